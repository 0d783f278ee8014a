use std::sync::Arc;

use crate::error::Result;
use crate::message::SendReceipt;
use crate::send::engine::Engine;
use crate::send::handle::ReceiptPromise;
use crate::send::stats::Size;

/// User code.
pub(crate) type Callback = Box<dyn FnOnce(Result<SendReceipt>) + Send>;

/// A listener for the end of a send: declared here, implemented by the layers above.
pub(crate) trait SendListener: Send {
    /// The send has ended. It may run on a reader or timer thread: it hands on, and does not wait.
    fn ended(self: Box<Self>, result: Result<SendReceipt>);
}

/// The recipient of the end of a send.
pub(crate) enum Recipient {
    /// User code, on a callback worker.
    Callback(Callback),
    /// A thread that waits, or will.
    Handle(Arc<ReceiptPromise>),
    Listener(Box<dyn SendListener>),
}

/// The recipient of the end of a send, called exactly once, and its statistics.
pub(crate) struct Listener {
    pub(crate) recipient: Recipient,
    pub(crate) size: Size,
}

impl Listener {
    /// One for a send that is counted elsewhere, or not at all.
    pub(crate) fn uncounted(recipient: Recipient) -> Listener {
        Listener {
            recipient,
            size: Size::NOTHING,
        }
    }

    /// Reports the end of a send that no worker has.
    pub(crate) fn end(self, engine: &Engine, result: Result<SendReceipt>) {
        engine.counters.end(self.size, &result);
        match self.recipient {
            Recipient::Callback(callback) => engine.call_back(move || callback(result)),
            Recipient::Handle(promise) => promise.keep(result),
            Recipient::Listener(listener) => listener.ended(result),
        }
    }
}
