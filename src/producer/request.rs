//! Requests: a message that is to be answered by another, which the broker pushes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::asynchronous::{self, Listener, Who};
use super::attempt::Start;
use super::core::Core;
use super::hook::SendMode;
use super::outgoing::Outgoing;
use super::send::Send;
use super::target::Target;
use crate::client::{Answer, PackedReply, Waiting};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Message, MessageView, SendReceipt, name};
use crate::protocol::reply::correlation_text;
use crate::transport::Deadline;

type Callback = Box<dyn FnOnce(Result<MessageView>) + std::marker::Send>;

/// A request that is about to be sent.
pub(super) struct Question<'a> {
    pub(super) core: &'a Arc<Core>,
    pub(super) message: &'a Message,
    pub(super) target: Target,
    pub(super) timeout: Duration,
}

/// The place of a request in the table of those that wait for replies.
pub(super) struct Asked {
    core: Arc<Core>,
    id: u128,
}

impl Question<'_> {
    /// Sends and waits for the reply.
    pub(super) fn ask(self) -> Result<MessageView> {
        let core = self.core;
        let deadline = Deadline::after(Instant::now(), self.timeout);
        core.check_open()?;
        let id = core.client.inner().replies.new_id();
        let mut out = self.outgoing(id)?;
        let permit = out.take_room(&core.account, 0, deadline)?;
        let (answer, answered) = crossbeam_channel::bounded(1);
        let answer = move |reply| {
            // The other end is there until this was called, or the request has failed otherwise.
            let _ = answer.send(reply);
        };
        let waiting = self.waiting(Box::new(answer));
        let mut send = Send::new(core, out, self.target, deadline, SendMode::Sync)?;
        let asked = match Asked::register(core, id, deadline, waiting) {
            Ok(asked) => asked,
            Err(waiting) => {
                // Hooks were shown the attempt, and hear of its end.
                let refused = send.interrupt(waiting.refused());
                return Err(refused.err().unwrap_or_else(|| waiting.refused()));
            }
        };
        let sent = send.run();
        drop(permit);
        if let Err(error) = sent {
            // The answer to the send can be lost although the reply has come: then somebody else has
            // taken it and is about to answer, or has done so.
            let reply = match asked.take() {
                Some(_) => None,
                None => answered.recv().ok().and_then(Result::ok),
            };
            let reply = reply.and_then(|reply: PackedReply| reply.unpack().ok());
            return reply.ok_or(error);
        }
        let reply = answered.recv_deadline(deadline.instant());
        let reply = reply.unwrap_or_else(|_| match asked.take() {
            Some(waiting) => Err(waiting.no_reply()),
            // Somebody else has taken it and is about to answer.
            None => answered.recv().unwrap_or_else(|_| Err(shut_down())),
        });
        reply.and_then(PackedReply::unpack)
    }

    /// Sends without waiting; every end reaches the callback.
    pub(super) fn ask_async(self, callback: Callback) {
        let core = self.core;
        let callbacks = core.client.inner().workers.callbacks.clone();
        let deadline = Deadline::after(Instant::now(), self.timeout);
        let id = core.client.inner().replies.new_id();
        let ready = core.check_open().and_then(|()| {
            let out = self.outgoing(id)?;
            Ok((out, core.account.acquire(1, 0, deadline)?))
        });
        let (out, permit) = match ready {
            Ok(ready) => ready,
            Err(error) => return core.call_back(move || callback(Err(error))),
        };
        let answer = move |reply: Result<PackedReply>| {
            callbacks.submit(Box::new(move || {
                // Given back before the callback starts, so that a callback may send.
                drop(permit);
                callback(reply.and_then(PackedReply::unpack));
            }));
        };
        let waiting = self.waiting(Box::new(answer));
        match Asked::register(core, id, deadline, waiting) {
            Ok(asked) => {
                let ready = Ok((out, self.target));
                let listener = Listener::uncounted(Who::Asked(Box::new(asked)));
                asynchronous::launch(core, ready, deadline, listener, None);
            }
            Err(waiting) => {
                let error = waiting.refused();
                (waiting.answer)(Err(error));
            }
        }
    }

    fn outgoing(&self, id: u128) -> Result<Outgoing> {
        let client = self.core.client.inner();
        let ttl = self.timeout.as_millis().max(1);
        if self
            .message
            .system_properties()
            .get(name::MESSAGE_TYPE)
            .is_some()
        {
            return Err(Error::invalid("a reply cannot be a request: send it"));
        }
        let message = self
            .message
            .clone()
            .system_property(name::CORRELATION_ID, correlation_text(id))
            .system_property(name::REPLY_TO_CLIENT, client.identity.client_id())
            .system_property(name::TTL, ttl.to_string());
        self.core.outgoing(
            &message,
            self.target.sharding_key(),
            Start::now(),
            String::new(),
        )
    }

    fn waiting(&self, answer: Answer) -> Waiting {
        Waiting {
            group: self.core.config.group.clone(),
            topic: self.message.shared_topic().clone(),
            timeout: self.timeout,
            limit: self.core.config.max_message_size,
            answer,
        }
    }
}

impl Asked {
    /// Waits from now on: before anything is sent, since the reply can be faster than the receipt.
    fn register(
        core: &Arc<Core>,
        id: u128,
        deadline: Deadline,
        waiting: Waiting,
    ) -> std::result::Result<Asked, Waiting> {
        let replies = &core.client.inner().replies;
        replies.register(id, deadline, waiting)?;
        let asked = Asked {
            core: core.clone(),
            id,
        };
        // A shutdown that did not see the entry is seen here.
        match core.check_open() {
            Ok(()) => Ok(asked),
            Err(_) => match asked.take() {
                Some(waiting) => Err(waiting),
                None => Ok(asked),
            },
        }
    }

    fn take(&self) -> Option<Waiting> {
        self.core.client.inner().replies.take(self.id)
    }

    /// The message was sent, and the reply is still to come; or it was not, and there will be none.
    pub(super) fn sent(self, result: Result<SendReceipt>) {
        if let Err(error) = result {
            if let Some(waiting) = self.take() {
                (waiting.answer)(Err(error));
            }
        }
    }
}

fn shut_down() -> Error {
    Error::new(ErrorKind::Closed, "the client is shut down").maybe_stored()
}
