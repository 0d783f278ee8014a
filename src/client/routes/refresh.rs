//! The thread that keeps routes fresh: at intervals, and out of turn when a route is suspected.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::finder::Routes;
use super::table::{DefaultTopic, Known};
use crate::client::LOG;
use crate::error::{Error, ErrorKind};
use crate::logging;
use crate::sync::Mutex;
use crate::sync::channel::Receiver;
use crate::transport::{Deadline, Threads, Ticker};

/// A topic that was not used for this long, and for this number of refreshes, is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(30 * 60);
const FORGET_AFTER_REFRESHES: u32 = 60;

/// A route is suspected by every send that fails, and a connection that ends can have very many: the
/// thread, which makes less of it anyway, is woken no more often than this.
const SUSPECT_EVERY: Duration = Duration::from_millis(20);

/// A topic whose route is kept as long as its owner lives, whether it is used or not.
#[derive(Debug, Clone)]
pub(crate) struct NeededTopic {
    /// Its name on the wire.
    pub(crate) topic: Arc<str>,
    /// The topic whose brokers serve until it exists; without one, its creation is awaited.
    pub(crate) default: Option<DefaultTopic>,
}

/// The routes that the members of a client need.
pub(crate) trait RouteNeeds: Send + Sync {
    /// The topics that are learnt as soon as possible and never forgotten.
    fn topics(&self) -> Vec<NeededTopic>;

    /// Whether brokers make requests of this client, so that they must be able to find it long after
    /// its last send.
    fn are_asked(&self) -> bool;
}

/// Refreshes the routes of a client, on a thread of its own.
pub(crate) struct Refresher {
    ticker: Ticker<Order>,
    /// The topic whose route was suspected last, and when.
    suspected: Mutex<Option<(Arc<str>, Instant)>>,
}

/// Work out of turn for the thread.
enum Order {
    /// Look a known topic up again.
    Refresh(Arc<str>),
    /// Look topics up that are needed and not known.
    Learn,
}

/// The state of the thread.
struct Work {
    routes: Arc<Routes>,
    needs: Arc<dyn RouteNeeds>,
    interval: Duration,
    api_timeout: Duration,
}

impl Refresher {
    /// `behind` runs after each refresh of all routes.
    pub(crate) fn start(
        threads: &Threads,
        routes: Arc<Routes>,
        needs: Arc<dyn RouteNeeds>,
        interval: Duration,
        api_timeout: Duration,
        closing: Receiver<()>,
        behind: impl Fn() + Send + 'static,
    ) -> io::Result<Refresher> {
        let work = Work {
            routes,
            needs,
            interval,
            api_timeout,
        };
        let run = move |order: Option<Order>| match order {
            Some(Order::Refresh(topic)) => work.refresh(&topic),
            Some(Order::Learn) => drop(work.learn()),
            None => {
                work.refresh_all();
                behind();
            }
        };
        Ok(Refresher {
            ticker: Ticker::start(threads, "rmq-routes", interval, closing, run)?,
            suspected: Mutex::new(None),
        })
    }

    /// Has a topic's route looked up soon.
    pub(crate) fn refresh_soon(&self, topic: &Arc<str>) {
        let now = Instant::now();
        let mut suspected = self.suspected.lock();
        let last = suspected.as_ref().filter(|(last, _)| last == topic);
        if last.is_some_and(|(_, at)| now.saturating_duration_since(*at) < SUSPECT_EVERY) {
            return;
        }
        *suspected = Some((topic.clone(), now));
        drop(suspected);
        self.ticker.wake(Order::Refresh(topic.clone()));
    }

    /// Has the needed topics looked up soon that are not known.
    pub(crate) fn learn_soon(&self) {
        self.ticker.wake(Order::Learn);
    }
}

impl Work {
    /// Looks the needed topics up that are not known; returns all of them. Stops when no name server
    /// answers.
    fn learn(&self) -> Vec<NeededTopic> {
        let needed = self.needs.topics();
        for NeededTopic { topic, default } in &needed {
            let deadline = Deadline::after(Instant::now(), self.api_timeout);
            if let Err(error) = self.routes.find(topic, default.as_ref(), deadline) {
                if default.is_none() && error.kind() == ErrorKind::NoRoute {
                    // It is waited for.
                    logging::debug!(target: LOG, "{error}");
                    continue;
                }
                logging::warn!(target: LOG, "route of a topic that is needed: {error}");
                if !is_of_topic(&error) {
                    break;
                }
            }
        }
        needed
    }

    /// Looks every known topic up again. Stops when no name server answers, keeping the rest. Unused
    /// topics are forgotten; if brokers must be able to find this client, not the last one of a broker.
    fn refresh_all(&self) {
        let needed = self.learn();
        for (topic, known) in self.routes.all() {
            let unused = known.note_refresh();
            let is_needed = || {
                let by_member = needed.iter().any(|needed| needed.topic == topic);
                by_member || self.needs.are_asked() && self.is_alone(&topic, &known)
            };
            if is_stale(unused, self.interval) && !is_needed() {
                logging::debug!(target: LOG, "{topic}: unused for long; its route is forgotten");
                self.routes.table.forget(&topic);
                continue;
            }
            let deadline = Deadline::after(Instant::now(), self.api_timeout);
            match self
                .routes
                .look_up(&topic, known.default.as_ref(), deadline)
            {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NoRoute => {
                    logging::info!(target: LOG, "{error}");
                }
                Err(error) => {
                    logging::warn!(
                        target: LOG,
                        "route refresh: {error}; going on with the routes known"
                    );
                    if !is_of_topic(&error) {
                        return;
                    }
                }
            }
        }
    }

    /// Whether a master of this topic has no other topic here.
    fn is_alone(&self, topic: &Arc<str>, known: &Known) -> bool {
        let all = self.routes.all();
        let others = || all.iter().filter(|(other, _)| other != topic);
        let has = |master: &Arc<str>| {
            others().any(|(_, other)| other.route.publish().addresses().any(|a| a == master))
        };
        known.route.publish().addresses().any(|master| !has(master))
    }

    /// Looks one topic up out of turn, if it is known and that was not done just now.
    fn refresh(&self, topic: &Arc<str>) {
        let now = Instant::now();
        let known = self.routes.table.get(topic);
        let Some(known) = known.filter(|known| known.may_go_out_of_turn(now)) else {
            return;
        };
        let deadline = Deadline::after(now, self.api_timeout);
        if let Err(error) = self.routes.look_up(topic, known.default.as_ref(), deadline) {
            logging::warn!(target: LOG, "route refresh: {error}; going on with the route known");
        }
    }
}

/// Whether a topic was unused for enough refreshes to be forgotten.
fn is_stale(unused: u32, interval: Duration) -> bool {
    unused >= FORGET_AFTER_REFRESHES && interval.saturating_mul(unused) >= FORGET_AFTER
}

/// Whether the error concerns only one topic's route.
fn is_of_topic(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NoRoute | ErrorKind::NameServer | ErrorKind::Invalid
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_stale_after_half_an_hour_and_sixty_refreshes() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        for (unused, interval, expected) in [
            (60, Duration::from_secs(30), true),
            (59, Duration::from_secs(30), false),
            (60, Duration::from_secs(5), false),
            (360, Duration::from_secs(5), true),
            (30, minutes(10), false),
            (60, Duration::MAX, true),
        ] {
            assert_eq!(
                is_stale(unused, interval),
                expected,
                "{unused} x {interval:?}"
            );
        }
    }
}
