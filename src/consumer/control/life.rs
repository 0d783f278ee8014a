//! The beginning of the control thread, and its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inbox::{Event, Inbox};
use super::owned::Queues;
use super::stages::giving_up;
use super::tools::Tools;
use crate::client::Client;
use crate::consumer::observe::ShutdownReport;
use crate::sync::channel::Receiver;
use crate::transport::{Deadline, Promise, Threads};

/// The values that the control thread starts with.
pub(crate) struct Beginning {
    pub(crate) inbox: Inbox,
    pub(crate) events: Receiver<Event>,
    pub(crate) client: Client,
    pub(crate) owns_client: bool,
    pub(crate) threads: Threads,
    /// Kept once the first assignment has its start offsets.
    pub(crate) started: Arc<Promise<()>>,
    /// Kept when no queue is left, and brokers know that the member is gone.
    pub(crate) ended: Arc<Promise<ShutdownReport>>,
    /// Kept when the client is closed, if it is the consumer's own: its threads that did not end.
    pub(crate) closed: Arc<Promise<Vec<String>>>,
}

/// A shutdown in progress.
pub(super) struct Ending {
    pub(super) deadline: Deadline,
    /// Until when popped messages may be settled.
    settled_by: Instant,
    pub(super) report: ShutdownReport,
}

impl Ending {
    /// All queues are given up, and nothing is popped. A part of the time is kept for what follows.
    pub(super) fn begin(
        deadline: Deadline,
        queues: &mut Queues,
        tools: &mut Tools,
        now: Instant,
    ) -> Ending {
        // A polling thread cannot mark its messages while it shuts the consumer down.
        tools.waits_for_handlers = !tools.config.is_pull;
        let rest = deadline.remaining(now);
        let until = now + (rest - (rest / 4).min(Duration::from_millis(500)));
        for number in queues.numbers() {
            if let Some(owned) = queues.get_mut(number) {
                giving_up::begin(owned, tools, until, now);
                queues.look_at(number, Some(now));
            }
        }
        if let Some(popping) = &tools.popping {
            popping.close();
        }
        Ending {
            deadline,
            settled_by: until,
            report: ShutdownReport::default(),
        }
    }

    /// When the next step is due, unless an event comes before.
    pub(super) fn due(&self) -> Instant {
        self.settled_by
    }

    /// Whether no popped message holds up the end.
    pub(super) fn is_settled(&mut self, tools: &Tools, now: Instant) -> bool {
        match &tools.popping {
            Some(popping) if !popping.is_quiet() => {
                let is_late = now >= self.settled_by;
                if is_late {
                    self.report.running.extend(popping.left());
                    self.report.uncommitted.extend(popping.unacknowledged());
                }
                is_late
            }
            _ => true,
        }
    }
}
