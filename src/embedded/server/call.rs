//! A request that a service carries out, and its answer: now, or later from any thread.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::common::{Common, HeldPermit};
use super::connection::{Connection, Peer, Post};
use super::effect::{self, Effect};
use crate::embedded::faults::{Action, Rule, Waiting};
use crate::protocol::code::response;
use crate::protocol::{Command, HeaderFormat, Language};

/// One request and its sender. A service answers it now, by returning the answer, or makes a
/// [`Responder`] of it with [`later`](Call::later).
pub(in crate::embedded) struct Call<'a> {
    pub(in crate::embedded) request: &'a Arc<Command>,
    pub(in crate::embedded) peer: Peer,
    pub(super) link: &'a Arc<Link>,
    pub(super) format: HeaderFormat,
    /// The scripted fault that happens to the answer.
    pub(super) rule: Option<&'a Arc<Rule>>,
}

/// Answers one request later, from any thread, without ever blocking it.
///
/// Clones answer the same request: the first answer counts, the others do nothing. Once all clones
/// are dropped, the request is never answered. When the connection ends, the request is forgotten
/// with everything given to [`keep`](Responder::keep), even if clones still exist.
#[derive(Clone)]
pub(in crate::embedded) struct Responder(Arc<Held>);

struct Held {
    id: u64,
    link: Weak<Link>,
    /// Absent once it is answered or forgotten.
    content: Mutex<Option<Content>>,
}

pub(super) struct Content {
    pub(super) request: Arc<Command>,
    pub(super) format: HeaderFormat,
    rule: Option<Arc<Rule>>,
    /// The answer, if it is known already and only has to wait.
    prepared: Option<Command>,
    kept: Vec<Box<dyn Send>>,
    permit: Option<HeldPermit>,
}

/// A connection and the requests of it that wait for a later answer.
pub(super) struct Link {
    pub(super) connection: Arc<Connection>,
    common: Arc<Common>,
    next: AtomicU64,
    /// `None` when the connection has ended.
    held: Mutex<Option<HashMap<u64, Weak<Held>>>>,
}

impl Call<'_> {
    /// Keeps the request for a later answer. If the cluster holds too many already, the request is
    /// refused here, and the responder is a closed one.
    pub(in crate::embedded) fn later(self) -> Responder {
        let Call {
            request,
            link,
            format,
            rule,
            ..
        } = self;
        link.hold(Arc::clone(request), format, rule.cloned())
    }
}

impl Responder {
    /// Answers with the result of `make`, unless the request was already answered or the connection
    /// has ended; then `make` does not run. Returns whether it did.
    pub(in crate::embedded) fn answer_with(&self, make: impl FnOnce() -> Command) -> bool {
        let Some((link, content)) = self.take() else {
            return false;
        };
        link.answer_later(content, make());
        true
    }

    /// Whether an answer would still reach the client.
    pub(in crate::embedded) fn is_open(&self) -> bool {
        self.0.content.lock().is_some()
    }

    /// Keeps something until the request is answered or forgotten: a timer, a watch of the store.
    pub(in crate::embedded) fn keep(&self, guard: impl Send + 'static) {
        let mut content = self.0.content.lock();
        match &mut *content {
            Some(content) => content.kept.push(Box::new(guard)),
            None => {
                drop(content);
                drop(guard);
            }
        }
    }

    /// Takes the link and the kept values; the responder is closed afterwards.
    pub(super) fn take(&self) -> Option<(Arc<Link>, Content)> {
        let link = self.0.link.upgrade()?;
        let mut content = self.0.content.lock().take()?;
        link.remove(self.0.id);
        // Before the answer can be seen.
        content.kept.clear();
        content.permit = None;
        Some((link, content))
    }

    /// Keeps the answer until [`release`](Waiting::release).
    fn prepare(&self, answer: Command) {
        if let Some(content) = &mut *self.0.content.lock() {
            content.prepared = Some(answer);
        }
    }

    /// Gives the prepared answer without blocking.
    fn post_prepared(&self) {
        if let Some((link, frame)) = self.take_prepared() {
            link.post(Effect::Frame(frame));
        }
    }

    fn take_prepared(&self) -> Option<(Arc<Link>, Vec<u8>)> {
        let (link, mut content) = self.take()?;
        let answer = content.prepared.take()?;
        let frame = link.frame(&content.request, content.format, answer);
        Some((link, frame))
    }

    fn closed() -> Responder {
        Responder(Arc::new(Held {
            id: 0,
            link: Weak::new(),
            content: Mutex::new(None),
        }))
    }
}

/// A gate has held a prepared answer.
impl Waiting for Responder {
    fn is_open(&self) -> bool {
        Responder::is_open(self)
    }

    /// Writes it from this thread, which is the test's.
    fn release(self: Box<Self>) {
        if let Some((link, frame)) = self.take_prepared() {
            // If the peer is gone, the answer has no receiver.
            let _ = link.connection.write(&frame);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(link) = self.link.upgrade() {
            link.remove(self.id);
        }
    }
}

impl Link {
    pub(super) fn new(connection: Arc<Connection>, common: Arc<Common>) -> Link {
        Link {
            connection,
            common,
            next: AtomicU64::new(0),
            held: Mutex::new(Some(HashMap::new())),
        }
    }

    /// Keeps a request for a later answer, to which the fault of `rule` will happen.
    pub(super) fn hold(
        self: &Arc<Link>,
        request: Arc<Command>,
        format: HeaderFormat,
        rule: Option<Arc<Rule>>,
    ) -> Responder {
        let Some(permit) = self.common.hold(request.body.len()) else {
            let busy = Command::response_to(&request, response::SYSTEM_BUSY)
                .with_remark("too many requests wait for a later answer");
            self.post(Effect::Frame(self.frame(&request, format, busy)));
            return Responder::closed();
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let responder = Responder(Arc::new(Held {
            id,
            link: Arc::downgrade(self),
            content: Mutex::new(Some(Content {
                request,
                format,
                rule,
                prepared: None,
                kept: Vec::new(),
                permit: Some(permit),
            })),
        }));
        let known = match &mut *self.held.lock() {
            Some(all) => {
                all.insert(id, Arc::downgrade(&responder.0));
                true
            }
            None => false,
        };
        match known {
            true => responder,
            false => Responder::closed(),
        }
    }

    /// The connection has ended: forgets all requests, and those that would come still.
    pub(super) fn forget_all(&self) {
        let all = self.held.lock().take().unwrap_or_default();
        for held in all.into_values().filter_map(|held| held.upgrade()) {
            // Dropped after the lock is free again.
            let _content = held.content.lock().take();
        }
    }

    /// Holds a known answer back, if the fault does that; gives it back otherwise.
    pub(super) fn delay(
        self: &Arc<Link>,
        action: &Action,
        request: &Arc<Command>,
        format: HeaderFormat,
        answer: Command,
    ) -> Option<Command> {
        let hold = |answer| {
            let responder = self.hold(Arc::clone(request), format, None);
            responder.prepare(answer);
            responder
        };
        match action {
            Action::Hold(gate) => gate.hold(Box::new(hold(answer))),
            Action::Late(delay) => {
                let responder = hold(answer);
                let late = responder.clone();
                let timer = self
                    .common
                    .clock
                    .after(*delay, move || late.post_prepared());
                responder.keep(timer);
            }
            _ => return Some(answer),
        }
        None
    }

    fn answer_later(self: &Arc<Link>, content: Content, answer: Command) {
        let Content {
            request,
            format,
            rule,
            ..
        } = content;
        match rule {
            None => self.post(Effect::Frame(self.frame(&request, format, answer))),
            Some(rule) => {
                let action = &rule.fault.action;
                if let Some(answer) = self.delay(action, &request, format, answer) {
                    let answer = effect::changed(action, answer);
                    let frame = self.frame(&request, format, answer);
                    self.post(effect::of(action, &request, frame));
                }
                rule.count_done();
            }
        }
    }

    fn post(&self, effect: Effect) {
        let post = match effect {
            Effect::Nothing => return,
            Effect::Frame(frame) if frame.is_empty() => return,
            Effect::Frame(frame) => Post::Frame(frame),
            Effect::Drip {
                frame,
                chunk,
                pause,
            } => Post::Drip {
                frame,
                chunk,
                pause,
            },
            Effect::Last(bytes) => Post::Last(bytes),
            Effect::HangUp => Post::Last(Vec::new()),
            Effect::StopReading => return self.connection.stop_reading(),
        };
        // A connection that has ended takes no answer, which then has no receiver.
        self.connection.post(post);
    }

    /// The bytes of an answer; none for a oneway request.
    fn frame(&self, request: &Command, format: HeaderFormat, answer: Command) -> Vec<u8> {
        let mut out = Vec::new();
        self.append_frame(request, format, answer, &mut out);
        out
    }

    /// The same, behind other answers.
    pub(super) fn append_frame(
        &self,
        request: &Command,
        format: HeaderFormat,
        mut answer: Command,
        out: &mut Vec<u8>,
    ) {
        if !request.is_oneway() {
            answer.language = Language::JAVA;
            answer.version = self.common.version;
            answer.encode(format, out);
        }
    }

    fn remove(&self, id: u64) {
        if let Some(all) = &mut *self.held.lock() {
            all.remove(&id);
        }
    }
}
