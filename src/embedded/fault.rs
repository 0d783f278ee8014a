//! Scripted faults: which requests go wrong, how often, and how.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Gate, On};
use crate::error::ResponseCode;
use crate::protocol::Command;
use crate::protocol::code::response;

/// Something that goes wrong with requests of one server; see
/// [`Broker::inject`](super::Broker::inject).
///
/// Unless told otherwise, it happens to every request, for ever, and **instead of** what the server
/// would do: a message is not stored. With [`after_storing`](Fault::after_storing) the server does
/// its work first.
///
/// | fault | what the client sees | made by |
/// |---|---|---|
/// | an error code | an answer with that code | [`answer`](Fault::answer), [`busy`](Fault::busy), [`go_away`](Fault::go_away) |
/// | no answer | nothing, until its deadline | [`silence`](Fault::silence) |
/// | an answer when the test says so | nothing, until the gate opens | [`hold`](Fault::hold) |
/// | a broken connection | the end of the connection | [`hang_up`](Fault::hang_up), [`cut_after`](Fault::cut_after) |
/// | garbage | those bytes | [`bytes`](Fault::bytes), [`bytes_from`](Fault::bytes_from) |
/// | slowness | an answer in drips | [`slow`](Fault::slow) |
/// | a stuck server | writes that block | [`stop_reading`](Fault::stop_reading) |
///
/// To which requests it happens is said by [`on`](Fault::on), to how many by
/// [`times`](Fault::times), [`once`](Fault::once) and [`after`](Fault::after).
///
/// ```
/// use rocketmq_blocking::embedded::{Cluster, Fault, On};
///
/// let cluster = Cluster::start()?;
/// // The first send is served, two find the broker busy, then it recovers.
/// let busy = Fault::busy().on(On::Send).after(1).times(2);
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
    ///
    /// ```
    /// # use rocketmq_blocking::embedded::{Cluster, Fault, On};
    /// # use rocketmq_blocking::{Message, Producer, SendStatus};
    /// # let cluster = Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// use rocketmq_blocking::ResponseCode;
    ///
    /// let broker = cluster.broker("broker-a");
    /// // The broker has no room: not an error that another attempt would mend.
    /// broker.inject(Fault::answer(ResponseCode::MESSAGE_ILLEGAL, "too large").on(On::Send).once());
    /// let error = producer.send(&Message::new("Orders", "one")).unwrap_err();
    /// assert_eq!(error.response_code(), Some(ResponseCode::MESSAGE_ILLEGAL));
    ///
    /// // It has the message, but its disk is behind.
    /// let late = Fault::answer(ResponseCode::FLUSH_DISK_TIMEOUT, "").after_storing();
    /// broker.inject(late.on(On::Send).once());
    /// let receipt = producer.send(&Message::new("Orders", "two"))?;
    /// assert_eq!(receipt.status(), SendStatus::FlushDiskTimeout);
    /// assert_eq!(cluster.only_message("Orders").text(), "two");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn answer(code: impl Into<ResponseCode>, remark: impl Into<String>) -> Fault {
        let (code, remark) = (code.into().number(), remark.into());
        Fault::new(Action::Answer { code, remark })
    }

    /// The request is answered with SYSTEM_BUSY (2), as by a broker whose disk is behind: a send is
    /// made again, after a short pause.
    ///
    /// ```
    /// # use rocketmq_blocking::embedded::{Cluster, Fault, On};
    /// # use rocketmq_blocking::{Message, Producer};
    /// # let cluster = Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// let busy = cluster.broker("broker-a").inject(Fault::busy().on(On::Send).times(2));
    /// assert_eq!(producer.send(&Message::new("Orders", "one"))?.attempts(), 3);
    /// assert_eq!(busy.hits(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn busy() -> Fault {
        Fault::answer(response::SYSTEM_BUSY, "[TIMEOUT_CLEAN_QUEUE]broker busy")
    }

    /// The request is answered with GO_AWAY (1500): send again over another connection.
    ///
    /// ```
    /// # use rocketmq_blocking::embedded::{Cluster, Fault, On};
    /// # use rocketmq_blocking::{Message, Producer};
    /// # let cluster = Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// cluster.broker("broker-a").inject(Fault::go_away().on(On::Send).once());
    /// let _ = producer.send(&Message::new("Orders", "one"))?;
    /// let sends = cluster.requests(&On::Send);
    /// assert_ne!(sends[0].connection(), sends[1].connection());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn go_away() -> Fault {
        Fault::answer(response::GO_AWAY, "please go away")
    }

    /// The request is never answered. The sender's deadline ends its wait, so give it a short one.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use rocketmq_blocking::embedded::{Cluster, Fault, On};
    /// # use rocketmq_blocking::{ErrorKind, Message, Producer};
    /// # let cluster = Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// cluster.broker("broker-a").inject(Fault::silence().on(On::Send));
    /// let message = Message::new("Orders", "one");
    /// let soon = Duration::from_millis(100);
    /// let error = producer.prepare(&message).timeout(soon).send().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Timeout);
    /// assert!(cluster.messages("Orders").is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn silence() -> Fault {
        Fault::new(Action::Silence)
    }

    /// The connection is closed. Answers to earlier requests are written first.
    ///
    /// ```
    /// # use rocketmq_blocking::embedded::{Cluster, Fault, On};
    /// # use rocketmq_blocking::{Message, Producer};
    /// # let cluster = Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// // The broker stores the message, and the connection breaks before its answer: the sender cannot
    /// // know, and sends it again. Both copies have the same unique key.
    /// cluster.broker("broker-a").inject(Fault::hang_up().after_storing().on(On::Send).once());
    /// assert_eq!(producer.send(&Message::new("Orders", "one"))?.attempts(), 2);
    /// let copies = cluster.messages("Orders");
    /// assert_eq!(copies.len(), 2);
    /// assert_eq!(copies[0].unique_key(), copies[1].unique_key());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hang_up() -> Fault {
        Fault::new(Action::HangUp)
    }

    /// The request waits at the gate, and later ones overtake it. The server does its work when the
    /// gate opens, or before with [`after_storing`](Fault::after_storing). A request whose connection
    /// has ended by then, as after the sender's deadline, is not carried out.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use rocketmq_blocking::embedded::{Cluster, Fault, On};
    /// # use rocketmq_blocking::{Message, Producer};
    /// # let cluster = Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// use rocketmq_blocking::embedded::Gate;
    ///
    /// let gate = Gate::new();
    /// let held = cluster.broker("broker-a").inject(Fault::hold(&gate).on(On::Send));
    /// let sending = producer.submit(Message::new("Orders", "one"));
    /// assert!(held.wait_hits(1, Duration::from_secs(20))); // it is at the broker ..
    /// assert!(cluster.messages("Orders").is_empty()); // .. and goes no further
    /// gate.open();
    /// assert_eq!(sending.wait()?.attempts(), 1);
    /// assert_eq!(cluster.only_message("Orders").text(), "one");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hold(gate: &Gate) -> Fault {
        Fault::new(Action::Hold(gate.clone()))
    }

    /// These bytes come instead of the answer, whatever they are.
    ///
    /// ```
    /// # use rocketmq_blocking::embedded::{Cluster, Fault, On};
    /// # use rocketmq_blocking::{Message, Producer};
    /// # let cluster = Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// let web = Fault::bytes("HTTP/1.1 400 Bad Request\r\n\r\n");
    /// cluster.broker("broker-a").inject(web.on(On::Send).once());
    /// assert_eq!(producer.send(&Message::new("Orders", "one"))?.attempts(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Fault {
        let bytes = bytes.into();
        Fault::bytes_from(move |_| bytes.clone())
    }

    /// What the function makes of the request comes instead of the answer: two answers, one with a
    /// wrong number, half a frame. It runs on the connection's thread.
    ///
    /// ```
    /// # use rocketmq_blocking::embedded::{Cluster, Fault, On};
    /// # use rocketmq_blocking::{Message, Producer};
    /// # let cluster = Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// use rocketmq_blocking::protocol::{Command, HeaderFormat, code::response};
    ///
    /// let twice = Fault::bytes_from(|request| {
    ///     let answer = Command::response_to(request, response::SUCCESS);
    ///     let mut frames = Vec::new();
    ///     answer.encode(HeaderFormat::Json, &mut frames);
    ///     answer.encode(HeaderFormat::Json, &mut frames);
    ///     frames
    /// });
    /// cluster.broker("broker-a").inject(twice.on(On::Send).once());
    /// let _ = producer.send(&Message::new("Orders", "one"))?; // the second answer is nobody's
    /// let _ = producer.send(&Message::new("Orders", "two"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bytes_from(make: impl Fn(&Command) -> Vec<u8> + Send + Sync + 'static) -> Fault {
        Fault::new(Action::Bytes(Arc::new(make)))
    }

    /// The right answer, but dripped: `chunk` bytes (at least 1), a pause, the next `chunk` bytes.
    /// Later answers of the connection wait behind it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use rocketmq_blocking::embedded::{Cluster, Fault, On};
    /// # use rocketmq_blocking::{Message, Producer};
    /// # let cluster = Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// let slow = Fault::slow(16, Duration::from_millis(1));
    /// cluster.broker("broker-a").inject(slow.on(On::Send).once());
    /// assert_eq!(producer.send(&Message::new("Orders", "one"))?.attempts(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn slow(chunk: usize, pause: Duration) -> Fault {
        let chunk = chunk.max(1);
        Fault::new(Action::Slow { chunk, pause }).after_storing()
    }

    /// The first `bytes` bytes of the right answer, then the connection is closed.
    ///
    /// ```
    /// # use rocketmq_blocking::embedded::{Cluster, Fault, On};
    /// # use rocketmq_blocking::{Message, Producer};
    /// # let cluster = Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// cluster.broker("broker-a").inject(Fault::cut_after(7).on(On::Send).once());
    /// assert_eq!(producer.send(&Message::new("Orders", "one"))?.attempts(), 2);
    /// assert_eq!(cluster.message_count("Orders"), 2); // it was stored before the answer was cut
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cut_after(bytes: usize) -> Fault {
        Fault::new(Action::CutAfter(bytes)).after_storing()
    }

    /// The connection stays open, but nothing more is read from it: the peer's writes will block.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use rocketmq_blocking::embedded::{Cluster, Fault, On};
    /// # use rocketmq_blocking::{ErrorKind, Message, Producer};
    /// # let cluster = Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// let stuck = cluster.broker("broker-a").inject(Fault::stop_reading().on(On::Send));
    /// let message = Message::new("Orders", "one");
    /// let soon = Duration::from_millis(100);
    /// let error = producer.prepare(&message).timeout(soon).send().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Timeout);
    /// stuck.remove(); // ends it for new connections
    /// cluster.broker("broker-a").disconnect_all();
    /// let _ = producer.send(&message)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
