//! The user's code, and what it said.

use super::retry::Retry;
use crate::message::MessageView;
use crate::panics::caught;

/// How the handler of one message ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Ok,
    Retry(Retry),
    Panicked,
}

/// A handler of a concurrent consumer.
pub(crate) trait Handler: Send + Sync {
    /// Runs user code with these messages of one queue, and says how it ended for each of them.
    fn handle(&self, messages: &[MessageView]) -> Vec<Ended>;
}

/// A handler that gets one message at a time.
pub(crate) struct Single<F>(pub(crate) F);

impl<F> Handler for Single<F>
where
    F: Fn(&MessageView) -> Result<(), Retry> + Send + Sync,
{
    fn handle(&self, messages: &[MessageView]) -> Vec<Ended> {
        let each = messages
            .iter()
            .map(|message| match caught(|| self.0(message)) {
                Ok(Ok(())) => Ended::Ok,
                Ok(Err(retry)) => Ended::Retry(retry),
                Err(_) => Ended::Panicked,
            });
        each.collect()
    }
}
