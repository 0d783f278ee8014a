//! Scripted faults: which requests go wrong, how often, and how.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Gate, On};
use crate::protocol::Command;
use crate::protocol::code::response;

/// Something that goes wrong with requests of one server; see
/// [`Broker::inject`](super::Broker::inject).
///
/// Unless told otherwise, it happens to every request, for ever, and **instead of** what the server
/// would do: a message is not stored. With [`after_storing`](Fault::after_storing) the server does
/// its work first.
///
/// ```
/// use rocketmq_blocking::embedded::{Cluster, Fault, On};
///
/// let cluster = Cluster::start()?;
/// // Two sends find the broker busy, then it recovers.
/// let busy = Fault::answer(2, "[REJECTREQUEST]busy").on(On::Send).times(2);
/// let busy = cluster.broker("broker-a").inject(busy);
/// assert_eq!(busy.hits(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing until it is injected"]
pub struct Fault {
    on: On,
    after: usize,
    times: usize,
    pub(super) executed: bool,
    pub(super) action: Action,
}

type MakeBytes = Arc<dyn Fn(&Command) -> Vec<u8> + Send + Sync>;

#[derive(Clone)]
pub(super) enum Action {
    Answer { code: i32, remark: String },
    Silence,
    HangUp,
    Hold(Gate),
    Bytes(MakeBytes),
    Slow { chunk: usize, pause: Duration },
    CutAfter(usize),
    StopReading,
}

impl Fault {
    /// The request is answered with this code. After storing, the answer keeps its other fields, as
    /// with the codes 10, 11 and 12, which mean that the message is stored.
    pub fn answer(code: i32, remark: impl Into<String>) -> Fault {
        let remark = remark.into();
        Fault::new(Action::Answer { code, remark })
    }

    /// The request is answered with GO_AWAY (1500): send again over another connection.
    pub fn go_away() -> Fault {
        Fault::answer(response::GO_AWAY, "please go away")
    }

    /// The request is never answered.
    pub fn silence() -> Fault {
        Fault::new(Action::Silence)
    }

    /// The connection is closed. Answers to earlier requests are written first.
    pub fn hang_up() -> Fault {
        Fault::new(Action::HangUp)
    }

    /// The request waits at the gate, and later ones overtake it. The server does its work when the
    /// gate opens, or before with [`after_storing`](Fault::after_storing).
    pub fn hold(gate: &Gate) -> Fault {
        Fault::new(Action::Hold(gate.clone()))
    }

    /// These bytes come instead of the answer, whatever they are.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Fault {
        let bytes = bytes.into();
        Fault::bytes_from(move |_| bytes.clone())
    }

    /// What the function makes of the request comes instead of the answer: two answers, one with a
    /// wrong number, half a frame. It runs on the connection's thread.
    pub fn bytes_from(make: impl Fn(&Command) -> Vec<u8> + Send + Sync + 'static) -> Fault {
        Fault::new(Action::Bytes(Arc::new(make)))
    }

    /// The right answer, but dripped: `chunk` bytes (at least 1), a pause, the next `chunk` bytes.
    /// Later answers of the connection wait behind it.
    pub fn slow(chunk: usize, pause: Duration) -> Fault {
        let chunk = chunk.max(1);
        Fault::new(Action::Slow { chunk, pause }).after_storing()
    }

    /// The first `bytes` bytes of the right answer, then the connection is closed.
    pub fn cut_after(bytes: usize) -> Fault {
        Fault::new(Action::CutAfter(bytes)).after_storing()
    }

    /// The connection stays open, but nothing more is read from it: the peer's writes will block.
    pub fn stop_reading() -> Fault {
        Fault::new(Action::StopReading)
    }

    /// Only to these requests; default: [`On::Any`].
    pub fn on(mut self, on: On) -> Fault {
        self.on = on;
        self
    }

    /// Only so many times; default: for ever.
    pub fn times(mut self, times: usize) -> Fault {
        self.times = times;
        self
    }

    /// Only once.
    pub fn once(self) -> Fault {
        self.times(1)
    }

    /// Lets the first `requests` matching requests pass; default: 0.
    pub fn after(mut self, requests: usize) -> Fault {
        self.after = requests;
        self
    }

    /// The server first does what the request asks for: the message is stored.
    pub fn after_storing(mut self) -> Fault {
        self.executed = true;
        self
    }

    fn new(action: Action) -> Fault {
        Fault {
            on: On::Any,
            after: 0,
            times: usize::MAX,
            executed: false,
            action,
        }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Answer { code, .. } => write!(f, "Answer({code})"),
            Action::Silence => f.write_str("Silence"),
            Action::HangUp => f.write_str("HangUp"),
            Action::Hold(gate) => write!(f, "Hold({gate:?})"),
            Action::Bytes(_) => f.write_str("Bytes(..)"),
            Action::Slow { chunk, pause } => write!(f, "Slow({chunk} bytes, {pause:?})"),
            Action::CutAfter(bytes) => write!(f, "CutAfter({bytes})"),
            Action::StopReading => f.write_str("StopReading"),
        }
    }
}

/// A fault at work on a server. Dropping it changes nothing.
#[derive(Clone)]
pub struct Injected(Arc<Rule>);

impl Injected {
    /// How many requests it has met.
    pub fn hits(&self) -> usize {
        self.0.state.lock().hits
    }

    /// Waits until it has happened to so many requests: they are held, the bytes are written, the
    /// connection is about to be closed. Says whether that came in time.
    pub fn wait_hits(&self, hits: usize, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.0.state.lock();
        while state.done < hits {
            if self.0.hit.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.done >= hits
    }

    /// Ends it: later requests are served.
    pub fn remove(&self) {
        self.0.state.lock().times = 0;
    }
}

impl fmt::Debug for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injected")
            .field("fault", &self.0.fault)
            .field("hits", &self.hits())
            .finish()
    }
}

/// The faults of one server; of those that match a request, the one injected first happens.
#[derive(Default)]
pub(super) struct Faults {
    /// How many rules there are: without any, a request costs no lock.
    count: AtomicUsize,
    rules: Mutex<Vec<Arc<Rule>>>,
}

pub(super) struct Rule {
    pub(super) fault: Fault,
    state: Mutex<Counters>,
    hit: Condvar,
}

struct Counters {
    after: usize,
    times: usize,
    /// Counted before an answer can be seen.
    hits: usize,
    /// Counted after all of it has happened.
    done: usize,
}

impl Faults {
    pub(super) fn inject(&self, fault: Fault) -> Injected {
        let counters = Counters {
            after: fault.after,
            times: fault.times,
            hits: 0,
            done: 0,
        };
        let rule = Arc::new(Rule {
            fault,
            state: Mutex::new(counters),
            hit: Condvar::new(),
        });
        let mut rules = self.rules.lock();
        rules.push(Arc::clone(&rule));
        self.count.store(rules.len(), Ordering::Release);
        Injected(rule)
    }

    pub(super) fn clear(&self) {
        let mut rules = self.rules.lock();
        for rule in rules.drain(..) {
            rule.state.lock().times = 0;
        }
        self.count.store(0, Ordering::Release);
    }

    /// The fault that happens to this request, if one does.
    pub(super) fn meet(&self, request: &Command) -> Option<Arc<Rule>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        // A pick may be the user's code: it runs without the lock.
        let rules = self.rules.lock().clone();
        let mut matching = rules.into_iter().filter(|r| r.fault.on.matches(request));
        matching.find(|rule| rule.take())
    }
}

impl Rule {
    fn take(&self) -> bool {
        let mut state = self.state.lock();
        if state.times == 0 {
            return false;
        }
        if state.after > 0 {
            state.after -= 1;
            return false;
        }
        if state.times != usize::MAX {
            state.times -= 1;
        }
        state.hits += 1;
        true
    }

    /// The fault has happened to one more request.
    pub(super) fn count_done(&self) {
        self.state.lock().done += 1;
        self.hit.notify_all();
    }
}
