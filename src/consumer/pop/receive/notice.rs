//! Questions whether a source has a message, which take none. The broker holds them; one for each source
//! serves all receiving threads.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::sources::{Noticed, Source};
use crate::consumer::pop::shared::PopShared;
use crate::error::{Error, ErrorKind};
use crate::protocol::code::{request, response};
use crate::protocol::consumer::pop::{Notice, NoticeRequest};
use crate::transport::{Completion, Deadline, Next, Outcome, Request};

/// How long a broker may hold a question.
const HOLD: Duration = Duration::from_secs(15);

/// In order, brokers do not answer a question when a batch is acknowledged or its time is over.
const HOLD_IN_ORDER: Duration = Duration::from_secs(1);

/// How much longer the answer may take.
const MARGIN: Duration = Duration::from_secs(5);

/// The answer changes the state of the source.
pub(super) fn ask_for_notice(shared: &Arc<PopShared>, source: Source) {
    let now = Instant::now();
    let address = match shared.master(&source.broker) {
        Ok(address) => address,
        Err(error) => {
            shared.core.refresh_soon(&source.topic);
            let mut sources = shared.sources.lock();
            return sources.noticed(&source, Noticed::Failed(error), now);
        }
    };
    let hold = match shared.settings.is_ordered {
        true => HOLD_IN_ORDER,
        false => HOLD,
    };
    let brokers_time = shared.sources.lock().clock(&source, now).time(now);
    let header = NoticeRequest {
        consumer_group: shared.group.to_string(),
        topic: source.topic.to_string(),
        queue_id: source.queue,
        poll_time: hold.as_millis() as i64,
        born_time: shared.born_time(brokers_time),
        order: shared.settings.is_ordered,
        attempt_id: None,
        broker_name: Some(source.broker.to_string()),
    };
    let question = Request::new(request::NOTIFICATION, &header).parked();
    let deadline = Deadline::after(now, hold + MARGIN);
    let shown = Arc::downgrade(shared);
    let asked = Asked {
        shared: shown,
        source,
        address: address.clone(),
    };
    shared.begin(&address, &question, deadline, Box::new(asked));
}

struct Asked {
    shared: Weak<PopShared>,
    source: Source,
    address: Arc<str>,
}

impl Completion for Asked {
    fn complete(self: Box<Self>, outcome: Outcome, at: Instant) -> Next {
        let Some(shared) = self.shared.upgrade() else {
            return Next::Done;
        };
        let noticed = self.read(outcome);
        shared.sources.lock().noticed(&self.source, noticed, at);
        shared.changed.notify_all();
        Next::Done
    }
}

impl Asked {
    fn read(&self, outcome: Outcome) -> Noticed {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(error) => return Noticed::Failed(error),
        };
        match answer.code {
            response::SUCCESS => match Notice::decode(&answer.ext) {
                Ok(notice) if notice.has_message => Noticed::Message,
                Ok(notice) if notice.polling_full => {
                    let text = "the broker holds too many requests";
                    Noticed::Failed(Error::new(ErrorKind::Busy, text).at(&self.address))
                }
                Ok(_) => Noticed::Nothing,
                Err(error) => Noticed::Failed(Error::from(error).at(&self.address)),
            },
            response::POLLING_TIMEOUT => Noticed::Nothing,
            // What it refuses, a pop will tell.
            code => {
                let error = Error::response(code, answer.remark.as_deref());
                match error.is_retryable() {
                    true => Noticed::Failed(error.at(&self.address)),
                    false => Noticed::Message,
                }
            }
        }
    }
}
