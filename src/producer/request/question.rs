use std::sync::Arc;
use std::time::Duration;

use super::pending_reply::PendingReply;
use crate::client::{Answer, PackedReply, Waiting};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Message, MessageView, name};
use crate::protocol::reply::correlation_text;
use crate::send::hooks::SendMode;
use crate::send::{
    Content, Engine, Listener, PreparedMessage, QueueChoice, Recipient, SendCall, SendFlow, Start,
    check_message, launch,
};
use crate::transport::{Deadline, Promise};

type Callback = Box<dyn FnOnce(Result<MessageView>) + Send>;

/// A request that is about to be sent.
pub(in crate::producer) struct Question<'a> {
    engine: &'a Arc<Engine>,
    message: &'a Message,
    choice: Option<QueueChoice>,
    timeout: Duration,
}

/// A thread's wait for a reply. Dropping it answers too.
struct ReplyPromise(Arc<Promise<Result<PackedReply>>>);

impl Drop for ReplyPromise {
    fn drop(&mut self) {
        let text = "the client is shut down";
        let closed = Error::new(ErrorKind::Closed, text).maybe_stored();
        self.0.keep(Err(closed));
    }
}

impl<'a> Question<'a> {
    pub(in crate::producer) fn new(
        engine: &'a Arc<Engine>,
        message: &'a Message,
        choice: Option<QueueChoice>,
        timeout: Duration,
    ) -> Question<'a> {
        Question {
            engine,
            message,
            choice,
            timeout,
        }
    }

    /// Sends and waits for the reply.
    pub(in crate::producer) fn ask(self) -> Result<MessageView> {
        let engine = self.engine;
        engine.check_open()?;
        let id = engine.core.replies.new_id();
        let reply = Arc::new(Promise::new());
        let promise = ReplyPromise(reply.clone());
        let waiting = self.waiting(Box::new(move |answer| promise.0.keep(answer)));
        let message = self.with_address(id)?;
        let call = SendCall::new(Content::Message(&message), self.choice, self.timeout);
        let deadline = call.deadline;
        let mut prepared = PreparedMessage::new(engine, &call, String::new())?;
        let permit = prepared.take_capacity(&engine.account, 0, deadline)?;
        let mut flow = SendFlow::new(engine, prepared, call.choice, deadline, SendMode::Sync)?;
        let pending = match PendingReply::register(engine, id, deadline, waiting) {
            Ok(pending) => pending,
            Err(waiting) => {
                // Hooks saw the attempt begin, and must see its end.
                let refused = flow.interrupt(waiting.refused());
                return Err(refused.err().unwrap_or_else(|| waiting.refused()));
            }
        };
        let sent = flow.run();
        drop(permit);
        if let Err(error) = sent {
            // The reply can arrive although the answer to the send is lost: then another thread has
            // taken the entry and answers it.
            let reply = match pending.take() {
                Some(_) => None,
                None => reply.take().and_then(PackedReply::unpack).ok(),
            };
            return reply.ok_or(error);
        }
        let reply = reply.take_until(deadline).unwrap_or_else(|| {
            // Or another thread has taken the entry and answers it.
            let waiting = pending.take();
            waiting.map_or_else(|| reply.take(), |waiting| Err(waiting.no_reply()))
        });
        reply.and_then(PackedReply::unpack)
    }

    /// Sends without waiting; every end reaches the callback.
    pub(in crate::producer) fn ask_async(self, callback: Callback) {
        let engine = self.engine;
        let id = engine.core.replies.new_id();
        let start = Start::now();
        let deadline = Deadline::after(start.at, self.timeout);
        let ready = engine.check_open().and_then(|()| {
            let message = self.with_address(id)?;
            check_message(&message, &engine.config)?;
            // A request has its place among the messages in flight until it has its reply.
            Ok((message, engine.account.acquire(1, 0, deadline)?))
        });
        let (message, permit) = match ready {
            Ok(ready) => ready,
            Err(error) => return engine.call_back(move || callback(Err(error))),
        };
        let callbacks = engine.core.workers.callbacks.clone();
        let answer = move |reply: Result<PackedReply>| {
            callbacks.submit(Box::new(move || {
                // Given back before the callback starts, so that a callback may send.
                drop(permit);
                callback(reply.and_then(PackedReply::unpack));
            }));
        };
        let waiting = self.waiting(Box::new(answer));
        match PendingReply::register(engine, id, deadline, waiting) {
            Ok(pending) => {
                let content = Content::Message(&message);
                let call = SendCall::at(start, content, self.choice, deadline);
                let listener = Listener::uncounted(Recipient::Listener(Box::new(pending)));
                launch(engine, call, 0, listener);
            }
            Err(waiting) => {
                let error = waiting.refused();
                (waiting.answer)(Err(error));
            }
        }
    }

    /// The message with what the replier needs: where the reply goes, and until when.
    fn with_address(&self, id: u128) -> Result<Message> {
        let ttl = self.timeout.as_millis().max(1);
        let system = self.message.system_properties();
        if system.get(name::MESSAGE_TYPE).is_some() {
            return Err(Error::invalid("a reply cannot be a request: send it"));
        }
        let identity = &self.engine.core.identity;
        let message = self.message.clone();
        Ok(message
            .system_property(name::CORRELATION_ID, correlation_text(id))
            .system_property(name::REPLY_TO_CLIENT, identity.client_id())
            .system_property(name::TTL, ttl.to_string()))
    }

    fn waiting(&self, answer: Answer) -> Waiting {
        Waiting {
            group: self.engine.config.group.clone(),
            topic: self.message.shared_topic().clone(),
            timeout: self.timeout,
            limit: self.engine.config.max_message_size,
            answer,
        }
    }
}
