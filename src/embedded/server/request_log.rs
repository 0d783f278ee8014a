//! The log of requests that the servers received.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::embedded::faults::On;
use crate::protocol::{Command, HeaderFormat};

/// The most requests that are kept.
const MAX_REQUESTS: usize = 65_536;
/// The most bytes of bodies that are kept.
const MAX_BYTES: usize = 64 << 20;

/// One request as a server received it, oneway ones and those that met a fault included.
#[derive(Clone)]
pub struct ReceivedRequest {
    pub(super) server: Arc<str>,
    pub(super) connection: u64,
    pub(super) format: HeaderFormat,
    pub(super) command: Arc<Command>,
}

impl ReceivedRequest {
    /// The server: a broker's name, or `namesrv-0`, `namesrv-1`, ..
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The number of its connection, unique in the cluster.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// The format of its header.
    pub fn format(&self) -> HeaderFormat {
        self.format
    }

    /// The request itself.
    pub fn command(&self) -> &Command {
        &self.command
    }
}

impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedRequest")
            .field("server", &self.server)
            .field("connection", &self.connection)
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

pub(in crate::embedded) struct RequestLog {
    enabled: bool,
    ring: Mutex<Ring>,
    arrived: Condvar,
}

#[derive(Default)]
struct Ring {
    requests: VecDeque<ReceivedRequest>,
    bytes: usize,
    /// The total number of requests.
    recorded: u64,
}

impl RequestLog {
    pub(super) fn new(enabled: bool) -> RequestLog {
        RequestLog {
            enabled,
            ring: Mutex::default(),
            arrived: Condvar::new(),
        }
    }

    pub(super) fn record(&self, request: impl FnOnce() -> ReceivedRequest) {
        if !self.enabled {
            return;
        }
        let request = request();
        let mut ring = self.ring.lock();
        ring.recorded += 1;
        ring.bytes += request.command.body.len();
        ring.requests.push_back(request);
        while ring.requests.len() > MAX_REQUESTS || ring.bytes > MAX_BYTES {
            let Some(oldest) = ring.requests.pop_front() else {
                break;
            };
            ring.bytes -= oldest.command.body.len();
        }
        drop(ring);
        self.arrived.notify_all();
    }

    pub(in crate::embedded) fn matching(&self, on: &On) -> Vec<ReceivedRequest> {
        self.look(on).0
    }

    pub(in crate::embedded) fn wait(
        &self,
        on: &On,
        count: usize,
        timeout: Duration,
    ) -> Vec<ReceivedRequest> {
        let deadline = Instant::now() + timeout;
        loop {
            let (found, recorded) = self.look(on);
            if found.len() >= count {
                return found;
            }
            let mut ring = self.ring.lock();
            // A request that arrives between the check and the lock would be missed: check again.
            if ring.recorded == recorded && self.arrived.wait_until(&mut ring, deadline).timed_out()
            {
                return found;
            }
        }
    }

    /// The matching requests, and the number of requests recorded so far.
    fn look(&self, on: &On) -> (Vec<ReceivedRequest>, u64) {
        let (all, recorded) = {
            let ring = self.ring.lock();
            let all: Vec<_> = ring.requests.iter().cloned().collect();
            (all, ring.recorded)
        };
        // The pick may be the user's: it runs without the lock.
        let matches = |request: &ReceivedRequest| on.matches(&request.command);
        (all.into_iter().filter(matches).collect(), recorded)
    }

    pub(in crate::embedded) fn clear(&self) {
        let mut ring = self.ring.lock();
        ring.requests.clear();
        ring.bytes = 0;
    }
}
