//! The thread that acknowledges messages, and renews those with handlers.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::running::Consumed;
use super::shared::{Popping, REST, SETTLE_WITHIN};
use super::turns::repeat;
use crate::consumer::LOG;
use crate::consumer::control;
use crate::consumer::observe::Event;
use crate::consumer::pop::{AckStatus, Delivery, ack_all, hide_all};
use crate::logging;
use crate::transport::Deadline;

/// When messages come again that no handler got here: the shortest time that brokers know.
const SOON: Duration = Duration::from_secs(1);

/// The shortest round of requests.
const SHORTEST: Duration = Duration::from_millis(500);

/// How often it looks for stuck handlers.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// What is to be done now.
#[derive(Default)]
struct Work {
    to_ack: Vec<Consumed>,
    to_return: Vec<Arc<Delivery>>,
    to_renew: Vec<(u64, Arc<Delivery>)>,
}

/// The loop of the thread.
pub(super) fn run(popping: &Popping) {
    let mut look = Instant::now();
    let turn = || keep(popping, &mut look);
    repeat("a consumer's thread of acks", turn, || {
        // What was to be given back comes again when its time is over.
        popping.table.lock().running.no_renewals();
        settled(popping);
        popping.pop.pause(REST);
    });
}

/// Does what is due. What comes meanwhile is done together in the next turn.
fn keep(popping: &Popping, look: &mut Instant) -> ControlFlow<()> {
    let Some(work) = wait_for_work(popping, look) else {
        return ControlFlow::Break(());
    };
    renew(popping, &work.to_renew);
    acknowledge(popping, &work.to_ack);
    give_back(popping, &work.to_return);
    settled(popping);
    ControlFlow::Continue(())
}

/// The keeper works for nothing now.
fn settled(popping: &Popping) {
    let is_closed = {
        let mut table = popping.table.lock();
        table.is_keeping = false;
        table.is_closed
    };
    popping.changed.notify_all();
    if is_closed {
        // The end may have waited for this.
        popping.consumer.inbox.put(control::Event::Settled);
    }
}

/// Waits for work, and looks for stuck handlers at `look`; `None`: the consumer has ended.
fn wait_for_work(popping: &Popping, look: &mut Instant) -> Option<Work> {
    let most = popping.consumer.config.consume_timeout;
    let mut table = popping.table.lock();
    loop {
        if table.has_ended {
            return None;
        }
        let now = Instant::now();
        if now >= *look {
            *look = now + LOOK_AROUND;
            for stuck in table.running.stuck(most, now) {
                popping.consumer.counters.stuck.add(1);
                if popping.consumer.config.revoke_stuck {
                    table.running.revoke(stuck.number);
                }
                popping.tell(Event::Stuck {
                    queue: stuck.queue,
                    offset: stuck.offset,
                    since: stuck.since,
                });
            }
        }
        let work = Work {
            to_ack: table.to_ack.clone(),
            to_return: std::mem::take(&mut table.to_return),
            to_renew: table.running.take_due(now),
        };
        // Those of a client that is closed stay, for the report.
        let may_ack = !work.to_ack.is_empty() && !popping.pop.has_ended();
        let is_idle = !may_ack && work.to_return.is_empty();
        if !is_idle || !work.to_renew.is_empty() {
            table.is_keeping = true;
            return Some(work);
        }
        let next = table.running.renew_at();
        let until = match table.running.is_empty() {
            true => None,
            false => Some(next.map_or(*look, |at| at.min(*look))),
        };
        match until {
            Some(until) => drop(popping.changed.wait_until(&mut table, until)),
            None => popping.changed.wait(&mut table),
        }
    }
}

/// The end of one round of requests: a broker that does not answer must not hold up the renewals at others.
fn soon(popping: &Popping) -> Deadline {
    let most = popping.consumer.config.invisible_time / 20;
    Deadline::after(Instant::now(), most.clamp(SHORTEST, SETTLE_WITHIN))
}

/// Hides messages with handlers for another invisible time.
fn renew(popping: &Popping, messages: &[(u64, Arc<Delivery>)]) {
    if messages.is_empty() {
        return;
    }
    let deliveries: Vec<&Delivery> = messages.iter().map(|(_, d)| &**d).collect();
    let invisible = popping.consumer.config.invisible_time;
    let outcomes = hide_all(&popping.pop, &deliveries, invisible, soon(popping));
    let mut failed = Vec::new();
    let mut table = popping.table.lock();
    for ((number, delivery), outcome) in messages.iter().zip(outcomes) {
        table
            .running
            .renewed(*number, matches!(outcome, Ok(AckStatus::Confirmed)));
        let why = match outcome {
            Ok(AckStatus::Confirmed | AckStatus::Unknown) => continue,
            Ok(AckStatus::Expired) => "its time is over".to_owned(),
            Err(error) => error.to_string(),
        };
        table.running.leave(*number);
        failed.push((delivery, why));
    }
    popping.changed.notify_all();
    drop(table);
    for (delivery, why) in failed {
        let id = delivery.message_id();
        logging::warn!(
            target: LOG,
            "{id} cannot be hidden for longer while its handler runs, and may come again: {why}"
        );
    }
}

/// Acknowledges messages. Those that no broker answered about are left for the next round, until they expire.
fn acknowledge(popping: &Popping, messages: &[Consumed]) {
    if messages.is_empty() {
        return;
    }
    let deliveries: Vec<&Delivery> = messages.iter().map(|one| &*one.delivery).collect();
    let outcomes = ack_all(&popping.pop, &deliveries, soon(popping));
    let counters = &popping.consumer.counters;
    let now = Instant::now();
    let mut again = Vec::new();
    for (one, outcome) in messages.iter().zip(outcomes) {
        let id = one.delivery.message_id();
        match outcome {
            Ok(AckStatus::Confirmed) => counters.commits.add(1),
            Ok(AckStatus::Expired) => counters.late_results.add(1),
            Ok(AckStatus::Unknown) => {
                counters.commit_failures.add(1);
                logging::debug!(target: LOG, "ack of {id} failed: not confirmed in time");
                if !one.delivery.is_expired(now) {
                    again.push(one.clone());
                }
            }
            Err(error) => {
                counters.commit_failures.add(1);
                logging::debug!(target: LOG, "ack of {id} failed: {error}");
            }
        }
    }
    // What came meanwhile is behind these.
    let mut table = popping.table.lock();
    table.to_ack.drain(..messages.len());
    again.append(&mut table.to_ack);
    table.to_ack = again;
}

fn give_back(popping: &Popping, messages: &[Arc<Delivery>]) {
    if messages.is_empty() {
        return;
    }
    let deliveries: Vec<&Delivery> = messages.iter().map(|d| &**d).collect();
    // What fails comes again later, when its time is over.
    drop(hide_all(&popping.pop, &deliveries, SOON, soon(popping)));
}
