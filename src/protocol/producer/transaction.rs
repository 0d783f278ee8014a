//! The end of a transaction, and the broker's question about one.

use super::{ExtFields, FieldSink, Fields, ProtocolError, sys_flag};
use crate::message::TransactionState;

/// The header by which a producer ends a transaction (END_TRANSACTION, 37, always oneway).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndTransaction {
    /// The topic of the message; in the answer to a check, the topic of the check.
    pub topic: Option<String>,
    /// The group that sent the half message; brokers compare it.
    pub producer_group: String,
    /// The half message's position in its queue.
    pub table_offset: i64,
    /// The half message's position in the commit log.
    pub commit_log_offset: i64,
    /// How it ends; [`Unknown`](TransactionState::Unknown) leaves it open.
    pub state: TransactionState,
    /// Whether this answers a check.
    pub from_check: bool,
    /// The message's unique key.
    pub message_id: Option<String>,
    /// The transaction's id, as the broker sent it.
    pub transaction_id: Option<String>,
    /// The broker's name.
    pub broker_name: Option<String>,
}

impl EndTransaction {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<EndTransaction, ProtocolError> {
        Ok(EndTransaction {
            topic: text(ext, "topic"),
            producer_group: must(text(ext, "producerGroup"), "producerGroup")?,
            table_offset: number(ext, "tranStateTableOffset")?,
            commit_log_offset: number(ext, "commitLogOffset")?,
            state: must(ext.parse("commitOrRollback")?, "commitOrRollback").and_then(state)?,
            from_check: ext.parse("fromTransactionCheck")?.unwrap_or(false),
            message_id: text(ext, "msgId"),
            transaction_id: text(ext, "transactionId"),
            broker_name: text(ext, "bname"),
        })
    }
}

impl Fields for EndTransaction {
    fn visit(&self, sink: &mut dyn FieldSink) {
        optional(sink, "topic", &self.topic);
        sink.text("producerGroup", &self.producer_group);
        sink.display("tranStateTableOffset", &self.table_offset);
        sink.display("commitLogOffset", &self.commit_log_offset);
        sink.display("commitOrRollback", &code(self.state));
        sink.display("fromTransactionCheck", &self.from_check);
        optional(sink, "msgId", &self.message_id);
        optional(sink, "transactionId", &self.transaction_id);
        optional(sink, "bname", &self.broker_name);
    }
}

/// The header by which a broker asks for the state of a transaction (CHECK_TRANSACTION_STATE, 39,
/// oneway). The body is the half message in its [stored form](super::message).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckTransaction {
    /// Brokers from 5.x on name their internal topic here, and want it back.
    pub topic: Option<String>,
    /// The half message's position in its queue.
    pub table_offset: i64,
    /// The half message's position in the commit log.
    pub commit_log_offset: i64,
    /// The message's unique key.
    pub message_id: Option<String>,
    /// The transaction's id.
    pub transaction_id: Option<String>,
    /// The broker's address and the commit log offset.
    pub offset_message_id: Option<String>,
    /// The broker's name.
    pub broker_name: Option<String>,
}

impl CheckTransaction {
    /// Reads the header.
    ///
    /// # Errors
    /// A required field is missing or not valid.
    pub fn decode(ext: &ExtFields) -> Result<CheckTransaction, ProtocolError> {
        Ok(CheckTransaction {
            topic: text(ext, "topic"),
            table_offset: number(ext, "tranStateTableOffset")?,
            commit_log_offset: number(ext, "commitLogOffset")?,
            message_id: text(ext, "msgId"),
            transaction_id: text(ext, "transactionId"),
            offset_message_id: text(ext, "offsetMsgId"),
            broker_name: text(ext, "bname"),
        })
    }
}

impl Fields for CheckTransaction {
    fn visit(&self, sink: &mut dyn FieldSink) {
        optional(sink, "topic", &self.topic);
        sink.display("tranStateTableOffset", &self.table_offset);
        sink.display("commitLogOffset", &self.commit_log_offset);
        optional(sink, "msgId", &self.message_id);
        optional(sink, "transactionId", &self.transaction_id);
        optional(sink, "offsetMsgId", &self.offset_message_id);
        optional(sink, "bname", &self.broker_name);
    }
}

/// The number on the wire: the transaction bits of a message's system flag.
fn code(state: TransactionState) -> i32 {
    match state {
        TransactionState::Unknown => 0,
        TransactionState::Commit => sys_flag::TRANSACTION_COMMIT,
        TransactionState::Rollback => sys_flag::TRANSACTION_ROLLBACK,
    }
}

fn state(code: i32) -> Result<TransactionState, ProtocolError> {
    match code {
        0 => Ok(TransactionState::Unknown),
        sys_flag::TRANSACTION_COMMIT => Ok(TransactionState::Commit),
        sys_flag::TRANSACTION_ROLLBACK => Ok(TransactionState::Rollback),
        other => Err(ProtocolError::new(format!(
            "{other} is no end of a transaction"
        ))),
    }
}

fn text(ext: &ExtFields, name: &str) -> Option<String> {
    ext.get(name).map(str::to_owned)
}

fn number(ext: &ExtFields, name: &'static str) -> Result<i64, ProtocolError> {
    must(ext.parse(name)?, name)
}

fn must<T>(value: Option<T>, name: &str) -> Result<T, ProtocolError> {
    value.ok_or_else(|| ProtocolError::new(format!("transaction header has no {name}")))
}

fn optional(sink: &mut dyn FieldSink, name: &str, value: &Option<String>) {
    if let Some(value) = value {
        sink.text(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn fields(header: &dyn Fields) -> ExtFields {
        let mut ext = ExtFields::new();
        header.visit(&mut ext);
        ext
    }

    fn end(state: TransactionState) -> EndTransaction {
        EndTransaction {
            topic: some("T"),
            producer_group: "g".into(),
            table_offset: 7,
            commit_log_offset: 1 << 40,
            state,
            from_check: true,
            message_id: some("K"),
            transaction_id: some("K"),
            broker_name: some("broker-a"),
        }
    }

    #[test]
    fn an_end_reads_back_in_all_its_forms() {
        for (state, code) in [
            (TransactionState::Unknown, "0"),
            (TransactionState::Commit, "8"),
            (TransactionState::Rollback, "12"),
        ] {
            let full = end(state);
            let ext = fields(&full);
            assert_eq!(ext.get("commitOrRollback"), Some(code));
            assert_eq!(ext.get("fromTransactionCheck"), Some("true"));
            assert_eq!(EndTransaction::decode(&ext).unwrap(), full);
            let bare = EndTransaction {
                topic: None,
                from_check: false,
                message_id: None,
                transaction_id: None,
                broker_name: None,
                ..full
            };
            assert_eq!(EndTransaction::decode(&fields(&bare)).unwrap(), bare);
        }
    }

    #[test]
    fn a_check_reads_back_in_both_forms() {
        let full = CheckTransaction {
            topic: some("RMQ_SYS_TRANS_HALF_TOPIC"),
            table_offset: 7,
            commit_log_offset: -1,
            message_id: some("K"),
            transaction_id: some("K"),
            offset_message_id: some("7F00000100002AA90000000000001AF6"),
            broker_name: some("broker-a"),
        };
        assert_eq!(CheckTransaction::decode(&fields(&full)).unwrap(), full);
        let bare = CheckTransaction {
            topic: None,
            message_id: None,
            transaction_id: None,
            offset_message_id: None,
            broker_name: None,
            ..full
        };
        assert_eq!(CheckTransaction::decode(&fields(&bare)).unwrap(), bare);
    }

    #[test]
    fn a_field_that_is_missing_or_no_number_is_an_error() {
        let whole = fields(&end(TransactionState::Commit));
        for name in [
            "producerGroup",
            "tranStateTableOffset",
            "commitLogOffset",
            "commitOrRollback",
        ] {
            let mut cut = ExtFields::new();
            let mut bad = ExtFields::new();
            for (field, value) in whole.iter() {
                if field != name {
                    cut.push(field, value);
                }
                bad.push(field, if field == name { "x" } else { value });
            }
            assert!(EndTransaction::decode(&cut).is_err(), "{name}");
            let text_is_fine = name == "producerGroup";
            assert_eq!(EndTransaction::decode(&bad).is_ok(), text_is_fine, "{name}");
            if name.ends_with("Offset") {
                assert!(CheckTransaction::decode(&cut).is_err(), "{name}");
            }
        }
        let mut odd = whole.clone();
        odd.push("commitOrRollback", "4");
        assert!(EndTransaction::decode(&odd).is_err());
    }
}
