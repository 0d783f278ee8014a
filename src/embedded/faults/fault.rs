//! A scripted fault: what fails, for which requests, and how often.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::gate::Gate;
use super::on::On;
use crate::error::ResponseCode;
use crate::protocol::Command;
use crate::protocol::code::response;

/// Something that goes wrong with requests of one server; see
/// [`Broker::inject`](crate::embedded::Broker::inject).
///
/// By default it happens to every request, without end, and **instead of** the server's work: a message
/// is not stored. With [`after_storing`](Fault::after_storing) the server does its work first.
///
/// | fault | what the client sees | made by |
/// |---|---|---|
/// | an error code | an answer with that code | [`answer`](Fault::answer), [`busy`](Fault::busy), [`go_away`](Fault::go_away) |
/// | no answer | nothing, until its deadline | [`silence`](Fault::silence) |
/// | an answer when the test decides | nothing, until the gate opens | [`hold`](Fault::hold) |
/// | a late answer | nothing, until the clock of the cluster has moved by that time | [`late`](Fault::late) |
/// | a broken connection | the end of the connection | [`hang_up`](Fault::hang_up), [`cut_after`](Fault::cut_after) |
/// | garbage | those bytes | [`bytes`](Fault::bytes), [`bytes_from`](Fault::bytes_from) |
/// | a damaged answer | what the function leaves of it | [`damage`](Fault::damage) |
/// | slowness | an answer in drips | [`slow`](Fault::slow) |
/// | a stuck server | writes that block | [`stop_reading`](Fault::stop_reading) |
///
/// [`on`](Fault::on) selects the requests; [`times`](Fault::times), [`once`](Fault::once) and
/// [`after`](Fault::after) limit their number.
///
/// If the server answers a request later (a long poll), a fault after storing happens when that answer
/// is due.
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
    pub(super) on: On,
    pub(super) after: usize,
    pub(super) times: usize,
    /// The server does its work first.
    pub(in crate::embedded) executed: bool,
    pub(in crate::embedded) action: Action,
}

type MakeBytes = Arc<dyn Fn(&Command) -> Vec<u8> + Send + Sync>;
type Damage = Arc<dyn Fn(&mut Command) + Send + Sync>;

#[derive(Clone)]
pub(in crate::embedded) enum Action {
    Answer { code: i32, remark: String },
    Silence,
    HangUp,
    Hold(Gate),
    Late(Duration),
    Bytes(MakeBytes),
    Damage(Damage),
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
    /// // A code that is not retried: the same message would be refused again.
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

    /// The request is answered with SYSTEM_BUSY (2), as by a broker whose disk is slow: the send is
    /// retried after a short pause.
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

    /// The request waits for this time of the cluster's [clock](crate::embedded#the-clock), and later
    /// ones overtake it. The server does its work when the time has passed, or before with
    /// [`after_storing`](Fault::after_storing). A request whose connection has ended by then is not
    /// carried out.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use rocketmq_blocking::embedded::{Cluster, Fault, On};
    /// # use rocketmq_blocking::{Message, Producer};
    /// let cluster = Cluster::builder().manual_clock(true).start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// let minute = Duration::from_secs(60);
    /// let late = cluster.broker("broker-a").inject(Fault::late(minute).on(On::Send).after_storing());
    /// let sending = producer.submit(Message::new("Orders", "one"));
    /// assert!(late.wait_hits(1, Duration::from_secs(20)));
    /// assert_eq!(cluster.only_message("Orders").text(), "one"); // stored, and not answered
    /// cluster.advance(minute);
    /// assert_eq!(sending.wait()?.attempts(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn late(delay: Duration) -> Fault {
        Fault::new(Action::Late(delay))
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

    /// The bytes that the function makes of the request come instead of the answer: two answers, one with
    /// a wrong number, half a frame. It runs on a thread of the server.
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
    /// let _ = producer.send(&Message::new("Orders", "one"))?; // the second answer matches no request
    /// let _ = producer.send(&Message::new("Orders", "two"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bytes_from(make: impl Fn(&Command) -> Vec<u8> + Send + Sync + 'static) -> Fault {
        Fault::new(Action::Bytes(Arc::new(make)))
    }

    /// The right answer, changed by the function: a wrong checksum of a message, an offset that cannot be.
    /// It runs on a thread of the server.
    ///
    /// ```
    /// # use rocketmq_blocking::embedded::{Cluster, Fault, On};
    /// # use rocketmq_blocking::{Message, Producer, PullConsumer, StartFrom};
    /// # let cluster = Cluster::start()?;
    /// # let producer = Producer::builder("g").name_server(cluster.name_server()).start()?;
    /// # let _ = producer.send(&Message::new("Orders", "one"))?;
    /// // The checksum of a message's body begins behind its length and its magic number.
    /// let damage = Fault::damage(|answer| {
    ///     if let Some(byte) = answer.body.get_mut(8) {
    ///         *byte ^= 1;
    ///     }
    /// });
    /// let damaged = cluster.broker("broker-a").inject(damage.on(On::Pull).times(2));
    /// let consumer = PullConsumer::builder("billing")
    ///     .name_server(cluster.name_server())
    ///     .subscribe("Orders", "*")
    ///     .start_from(StartFrom::First)
    ///     .start()?;
    /// // The message is fetched again until it can be read.
    /// let message = consumer.messages().take(1).next().expect("a message")?;
    /// assert_eq!(message.text()?, "one");
    /// assert_eq!(damaged.hits(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn damage(damage: impl Fn(&mut Command) + Send + Sync + 'static) -> Fault {
        Fault::new(Action::Damage(Arc::new(damage))).after_storing()
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

    /// At most this number of times; default: no limit.
    pub fn times(mut self, times: usize) -> Fault {
        self.times = times;
        self
    }

    /// At most once.
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
            Action::Late(delay) => write!(f, "Late({delay:?})"),
            Action::Bytes(_) => f.write_str("Bytes(..)"),
            Action::Damage(_) => f.write_str("Damage(..)"),
            Action::Slow { chunk, pause } => write!(f, "Slow({chunk} bytes, {pause:?})"),
            Action::CutAfter(bytes) => write!(f, "CutAfter({bytes})"),
            Action::StopReading => f.write_str("StopReading"),
        }
    }
}
