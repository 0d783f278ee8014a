//! What brokers ask of a client.

use std::sync::Arc;
use std::time::Instant;

use super::LOG;
use super::core::Inner;
use crate::logging;
use crate::message::name;
use crate::protocol::code::{request, response};
use crate::protocol::message::{self, Packed};
use crate::protocol::transaction::CheckTransaction;
use crate::protocol::{Command, ProtocolError};
use crate::transport::{Connection, Deadline};

/// A transaction producer, as the client sees it.
pub(crate) trait TransactionChecks: Send + Sync {
    /// A broker asks about a half message, whose body is still packed. Runs on a reader thread: it
    /// hands on.
    fn check(&self, from: &Arc<Connection>, question: CheckTransaction, half: Packed);

    /// No check begins from now on.
    fn stop(&self);

    /// Waits for the threads of running checks; names those that still run at the deadline.
    fn join(&self, deadline: Deadline) -> Vec<String>;
}

impl Inner {
    /// Carries out a broker's request, or gives it back if nobody knows its code.
    pub(super) fn answer(
        &self,
        connection: &Arc<Connection>,
        request: Command,
    ) -> Result<(), Command> {
        let done = match request.code {
            request::CHECK_TRANSACTION_STATE => self.check_transaction(connection, &request),
            request::PUSH_REPLY_MESSAGE_TO_CLIENT => self.requests.pushed(&request),
            _ => return Err(request),
        };
        if let Err(error) = &done {
            let (broker, code) = (connection.address(), request.code);
            let (level, more) = self.warnings.level(Instant::now());
            logging::log!(target: LOG, level, "{broker}: request {code} cannot be read: {error}{more}");
        }
        // Checks are asked oneway. A broker that does not must still not wait for ever.
        if !request.is_oneway() {
            connection.reply(&match done {
                Ok(()) => Command::response_to(&request, response::SUCCESS),
                Err(error) => Command::response_to(&request, response::SYSTEM_ERROR)
                    .with_remark(error.to_string()),
            });
        }
        Ok(())
    }

    /// Finds the producer whose half message the broker asks about.
    fn check_transaction(
        &self,
        connection: &Arc<Connection>,
        request: &Command,
    ) -> Result<(), ProtocolError> {
        let question = CheckTransaction::decode(&request.ext)?;
        let half = message::decode_packed(request.body.clone())?;
        let Some(group) = half.property(name::PRODUCER_GROUP) else {
            return Err(ProtocolError::new("the half message names no group"));
        };
        let checks = self.checks.lock().get(group).cloned();
        match checks {
            Some(checks) => checks.check(connection, question, half),
            None => {
                let (level, more) = self.warnings.level(Instant::now());
                logging::log!(
                    target: LOG,
                    level,
                    "{}: check of a transaction of group {group:?}, which has no transaction producer \
                     here; the broker will ask again{more}",
                    connection.address()
                );
            }
        }
        Ok(())
    }
}
