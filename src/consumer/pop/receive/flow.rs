//! One receive: from the sources in turn, until there are messages or the time is up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::notice::ask_for_notice;
use super::pop::{Refusal, Stop, Wanted, pop};
use super::sources::{Source, Sources, Turn};
use super::unpack::Received;
use crate::consumer::pop::shared::PopShared;
use crate::error::Result;
use crate::transport::Deadline;

/// How long a broker may hold a pop. Other brokers that come up meanwhile are not asked before.
const HOLD: Duration = Duration::from_secs(5);

/// What a receive asks for.
#[derive(Debug, Clone, Copy)]
pub(in crate::consumer) struct Receive {
    /// The most messages.
    pub(in crate::consumer) max: usize,
    pub(in crate::consumer) invisible: Duration,
    /// For how long it waits for a message; zero: each source is popped once.
    pub(in crate::consumer) wait: Duration,
    /// The age of a pop up to which its messages are taken though the consumer is closed, if the source may have
    /// some: a broker that has none holds the pop.
    pub(in crate::consumer) linger: Duration,
}

/// The sources there are at this moment.
pub(in crate::consumer) struct Known {
    /// Sorted, each once.
    pub(in crate::consumer) sources: Vec<Source>,
    /// Whether a topic has no route.
    pub(in crate::consumer) is_missing: bool,
}

/// Receives messages of one of the sources that are `known` at each moment; empty if there are none in time.
/// `refused` decides what a broker's refusal means: if it is `Ok`, the other sources go on.
///
/// # Errors
/// `Closed`; that of `refused`; the last failure if all sources failed until the end.
pub(in crate::consumer) fn receive(
    shared: &Arc<PopShared>,
    known: impl Fn() -> Known,
    asked: &Receive,
    refused: impl Fn(Refusal) -> Result<()>,
) -> Result<Option<(Source, Vec<Received>)>> {
    // The messages, if there are any.
    let pop = |source: &Source, wanted: &Wanted| match pop(shared, source, wanted) {
        Ok(messages) => Ok(messages),
        Err(Stop::Closed(error)) => Err(error),
        Err(Stop::Refused(refusal)) => refused(refusal).map(|()| Vec::new()),
    };
    let deadline = Deadline::after(Instant::now(), asked.wait);
    let wanted = |hold| Wanted {
        max: asked.max,
        invisible: asked.invisible,
        hold,
        linger: asked.linger,
    };
    if asked.wait.is_zero() {
        return receive_now(shared, &known(), |source| {
            pop(source, &wanted(Duration::ZERO))
        });
    }
    loop {
        shared.check_open()?;
        let changes = shared.sources.lock().changes();
        let Known {
            sources: all,
            is_missing,
        } = known();
        let mut sources = shared.sources.lock();
        if sources.changes() != changes {
            // Others than these are known now, and nothing else would wake this thread.
            continue;
        }
        let now = Instant::now();
        let again = is_missing.then(|| learn(shared, &mut sources, now));
        if deadline.has_passed(now) {
            return sources.failure(&all).map_or(Ok(None), Err);
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
                let messages = pop(&source, &wanted(hold))?;
                if !messages.is_empty() {
                    return Ok(Some((source, messages)));
                }
            }
        }
    }
}

/// Pops from each source once, until one has messages.
fn receive_now(
    shared: &Arc<PopShared>,
    known: &Known,
    pop: impl Fn(&Source) -> Result<Vec<Received>>,
) -> Result<Option<(Source, Vec<Received>)>> {
    shared.check_open()?;
    let all = &known.sources;
    let mut sources = shared.sources.lock();
    let first = sources.first(all);
    if known.is_missing {
        learn(shared, &mut sources, Instant::now());
    }
    drop(sources);
    for n in 0..all.len() {
        let source = &all[(first + n) % all.len()];
        let messages = pop(source)?;
        if !messages.is_empty() {
            return Ok(Some((source.clone(), messages)));
        }
    }
    let failure = shared.sources.lock().failure(all);
    failure.map_or(Ok(None), Err)
}

/// Asks for topics that are missing, if it is time. Returns when to look again.
fn learn(shared: &PopShared, sources: &mut Sources, now: Instant) -> Instant {
    let (is_due, again) = sources.learn(now);
    if is_due {
        shared.core.learn_soon();
    }
    again
}
