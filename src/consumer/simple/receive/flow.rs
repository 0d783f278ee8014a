//! One receive: from the sources in turn, until there are messages or the time is up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::notice::ask_for_notice;
use super::pop::{Wanted, pop};
use super::sources::{Source, Sources, Turn};
use crate::consumer::simple::received::ReceivedMessage;
use crate::consumer::simple::shared::SimpleShared;
use crate::error::Result;
use crate::transport::Deadline;

/// How long a broker may hold a pop. Other brokers that come up meanwhile are not asked before.
const HOLD: Duration = Duration::from_secs(5);

/// Receives up to `max` messages of one source. Empty if there are none in time.
///
/// # Errors
/// `Closed`; `Broker` if one refuses; the last failure if all sources failed until the end.
pub(in crate::consumer::simple) fn receive(
    shared: &Arc<SimpleShared>,
    max: usize,
    invisible: Duration,
    wait: Duration,
) -> Result<Vec<ReceivedMessage>> {
    let deadline = Deadline::after(Instant::now(), wait);
    let wanted = |hold| Wanted {
        max,
        invisible,
        hold,
    };
    if wait.is_zero() {
        return receive_now(shared, wanted(Duration::ZERO));
    }
    loop {
        shared.check_open()?;
        let (all, is_missing) = all_sources(shared);
        let mut sources = shared.sources.lock();
        let now = Instant::now();
        let again = is_missing.then(|| learn(shared, &mut sources, now));
        if deadline.has_passed(now) {
            return sources.failure(&all).map_or(Ok(Vec::new()), Err);
        }
        match sources.turn(&all, now) {
            Turn::Wait(until) => {
                let until = [until, again].into_iter().flatten().min();
                let until = until.map_or(deadline.instant(), |at| at.min(deadline.instant()));
                shared.changed.wait_until(&mut sources, until);
            }
            Turn::Ask(idle) => {
                drop(sources);
                for source in idle {
                    ask_for_notice(shared, source);
                }
            }
            Turn::Pop(source) => {
                // The first answer shows the broker's clock: it must not be held.
                let hold = match all.len() == 1 && sources.has_answered(&source) {
                    true => deadline.remaining(now).min(HOLD),
                    false => Duration::ZERO,
                };
                drop(sources);
                let messages = pop(shared, &source, &wanted(hold))?;
                if !messages.is_empty() {
                    return Ok(messages);
                }
            }
        }
    }
}

/// Pops from each source once, until one has messages.
fn receive_now(shared: &Arc<SimpleShared>, wanted: Wanted) -> Result<Vec<ReceivedMessage>> {
    shared.check_open()?;
    let (all, is_missing) = all_sources(shared);
    let mut sources = shared.sources.lock();
    let first = sources.first(&all);
    if is_missing {
        learn(shared, &mut sources, Instant::now());
    }
    drop(sources);
    for n in 0..all.len() {
        let messages = pop(shared, &all[(first + n) % all.len()], &wanted)?;
        if !messages.is_empty() {
            return Ok(messages);
        }
    }
    let failure = shared.sources.lock().failure(&all);
    failure.map_or(Ok(Vec::new()), Err)
}

/// Asks for topics that are missing, if it is time. Returns when to look again.
fn learn(shared: &SimpleShared, sources: &mut Sources, now: Instant) -> Instant {
    let (is_due, again) = sources.learn(now);
    if is_due {
        shared.core.learn_soon();
    }
    again
}

/// All sources that the routes name now, and whether a topic has no route.
fn all_sources(shared: &SimpleShared) -> (Vec<Source>, bool) {
    let (mut all, mut is_missing) = (BTreeSet::new(), false);
    for (topic, _) in shared.topics.iter() {
        let Some(route) = shared.core.routes.known_route(topic, false) else {
            is_missing = true;
            continue;
        };
        let mut last = None;
        for queue in route.subscribe().iter() {
            // They are sorted by broker.
            if last != Some(queue.broker()) {
                last = Some(queue.broker());
                all.insert(Source {
                    topic: topic.clone(),
                    broker: queue.broker().into(),
                });
            }
        }
    }
    (all.into_iter().collect(), is_missing)
}
