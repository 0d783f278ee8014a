//! Records of message trace: texts that Java's `TraceDataEncoder` writes and its tools read.

use std::fmt::{Display, Write};

/// Between the fields of a record.
pub const FIELD_END: char = '\u{1}';
/// After each record.
pub const RECORD_END: char = '\u{2}';
/// The topic that brokers keep for records.
pub const TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'a> {
    /// A message was stored.
    Pub {
        /// When the attempt began, epoch milliseconds.
        timestamp: i64,
        /// The broker's region.
        region: &'a str,
        /// The producer's group.
        group: &'a str,
        /// The topic.
        topic: &'a str,
        /// The id that the client gave the message.
        message_id: &'a str,
        /// The tag.
        tags: Option<&'a str>,
        /// The keys, joined by a space.
        keys: Option<&'a str>,
        /// The broker's address.
        store_host: &'a str,
        /// Bytes of body on the wire.
        body_len: usize,
        /// Milliseconds until the answer.
        cost: u128,
        /// Java's ordinal of the message's type.
        message_type: u8,
        /// The broker's id of the message.
        offset_message_id: &'a str,
        /// Whether the status was `SEND_OK`.
        success: bool,
    },
    /// The end of a transaction was sent.
    EndTransaction {
        /// When, epoch milliseconds.
        timestamp: i64,
        /// The broker's region.
        region: &'a str,
        /// The producer's group.
        group: &'a str,
        /// The topic.
        topic: &'a str,
        /// The half message's id.
        message_id: &'a str,
        /// The tag.
        tags: Option<&'a str>,
        /// The keys, joined by a space.
        keys: Option<&'a str>,
        /// The broker's address.
        store_host: &'a str,
        /// The transaction's id.
        transaction_id: &'a str,
        /// Java's name of the state.
        state: &'a str,
        /// Whether the broker had asked.
        from_check: bool,
    },
    /// A timer message was recalled.
    Recall {
        /// When, epoch milliseconds.
        timestamp: i64,
        /// The broker's region.
        region: &'a str,
        /// The producer's group.
        group: &'a str,
        /// The topic.
        topic: &'a str,
        /// The message's id.
        message_id: &'a str,
        /// Whether the broker did it.
        success: bool,
    },
    /// A message goes to a consumer's code.
    SubBefore {
        /// When, epoch milliseconds.
        timestamp: i64,
        /// The broker's region.
        region: Option<&'a str>,
        /// The consumer's group.
        group: &'a str,
        /// The id that this record shares with the one of the end.
        request_id: &'a str,
        /// The message's id.
        message_id: &'a str,
        /// How many times the message failed before.
        retries: i32,
        /// The keys, joined by a space.
        keys: Option<&'a str>,
    },
    /// A consumer's code has ended with a message.
    SubAfter {
        /// The id of the record of the beginning.
        request_id: &'a str,
        /// The message's id.
        message_id: &'a str,
        /// Milliseconds since the beginning, for each message.
        cost: u128,
        /// How it ended.
        outcome: Consumed,
        /// The keys, joined by a space.
        keys: Option<&'a str>,
        /// When, epoch milliseconds.
        timestamp: i64,
        /// The consumer's group.
        group: &'a str,
    },
}

/// How consumption of a message ended (Java's `ConsumeReturnType`; its value `RETURNNULL`, 3, cannot occur
/// here).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumed {
    /// It is consumed.
    Success = 0,
    /// It took too long.
    TimedOut = 1,
    /// The code threw an exception.
    Exception = 2,
    /// It was refused.
    Failed = 4,
}

/// Java's ordinal of a committed transaction's message.
const COMMIT: u8 = 2;

impl Record<'_> {
    /// The record's text.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(256);
        let fields: &[&dyn Display] = match self {
            Record::Pub {
                timestamp,
                region,
                group,
                topic,
                message_id,
                tags,
                keys,
                store_host,
                body_len,
                cost,
                message_type,
                offset_message_id,
                success,
            } => &[
                &"Pub",
                timestamp,
                region,
                group,
                topic,
                message_id,
                &OrNull(*tags),
                &OrNull(*keys),
                store_host,
                body_len,
                cost,
                message_type,
                offset_message_id,
                success,
            ],
            Record::EndTransaction {
                timestamp,
                region,
                group,
                topic,
                message_id,
                tags,
                keys,
                store_host,
                transaction_id,
                state,
                from_check,
            } => &[
                &"EndTransaction",
                timestamp,
                region,
                group,
                topic,
                message_id,
                &OrNull(*tags),
                &OrNull(*keys),
                store_host,
                &COMMIT,
                transaction_id,
                state,
                from_check,
            ],
            Record::Recall {
                timestamp,
                region,
                group,
                topic,
                message_id,
                success,
            } => &[
                &"Recall", timestamp, region, group, topic, message_id, success,
            ],
            Record::SubBefore {
                timestamp,
                region,
                group,
                request_id,
                message_id,
                retries,
                keys,
            } => &[
                &"SubBefore",
                timestamp,
                &OrNull(*region),
                group,
                request_id,
                message_id,
                retries,
                &OrNull(*keys),
            ],
            Record::SubAfter {
                request_id,
                message_id,
                cost,
                outcome,
                keys,
                timestamp,
                group,
            } => &[
                &"SubAfter",
                request_id,
                message_id,
                cost,
                &(*outcome == Consumed::Success),
                &OrNull(*keys),
                &(*outcome as i32),
                timestamp,
                group,
            ],
        };
        for (i, field) in fields.iter().enumerate() {
            if i > 0 {
                text.push(FIELD_END);
            }
            // Writing to a String fails only if a Display does, and none of these does.
            let _ = write!(text, "{field}");
        }
        text.push(RECORD_END);
        text
    }
}

/// Java prints absent values as `null`.
struct OrNull<'a>(Option<&'a str>);

impl Display for OrNull<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.unwrap_or("null"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(record: Record<'_>, expected: &str) {
        assert_eq!(record.encode(), expected.replace(',', "\u{1}") + "\u{2}");
    }

    #[test]
    fn records_have_javas_fields_in_javas_order() {
        check(
            Record::Pub {
                timestamp: 17,
                region: "DefaultRegion",
                group: "g",
                topic: "T",
                message_id: "ID",
                tags: Some("TagA"),
                keys: None,
                store_host: "127.0.0.1:10911",
                body_len: 5,
                cost: 3,
                message_type: 0,
                offset_message_id: "OFF",
                success: true,
            },
            "Pub,17,DefaultRegion,g,T,ID,TagA,null,127.0.0.1:10911,5,3,0,OFF,true",
        );
        check(
            Record::EndTransaction {
                timestamp: 17,
                region: "r",
                group: "g",
                topic: "T",
                message_id: "ID",
                tags: None,
                keys: Some("k1 k2"),
                store_host: "h:1",
                transaction_id: "TX",
                state: "COMMIT_MESSAGE",
                from_check: false,
            },
            "EndTransaction,17,r,g,T,ID,null,k1 k2,h:1,2,TX,COMMIT_MESSAGE,false",
        );
        let recall = Record::Recall {
            timestamp: 17,
            region: "r",
            group: "g",
            topic: "T",
            message_id: "ID",
            success: true,
        };
        check(recall, "Recall,17,r,g,T,ID,true");
    }
    /// The texts are those that Java's encoder wrote for the same values, in 5.4.0 and in 4.9.7.
    #[test]
    fn records_of_consumption_are_those_of_javas_encoder() {
        let before = |region, keys| Record::SubBefore {
            timestamp: 17,
            region,
            group: "g",
            request_id: "REQ",
            message_id: "ID",
            retries: 2,
            keys,
        };
        let after = |outcome, keys| Record::SubAfter {
            request_id: "REQ",
            message_id: "ID",
            cost: 3,
            outcome,
            keys,
            timestamp: 19,
            group: "g",
        };
        let keys = Some("k1 k2");
        check(before(Some("r"), keys), "SubBefore,17,r,g,REQ,ID,2,k1 k2");
        check(before(None, None), "SubBefore,17,null,g,REQ,ID,2,null");
        for (outcome, keys, expected) in [
            (Consumed::Success, keys, "true,k1 k2,0"),
            (Consumed::TimedOut, None, "false,null,1"),
            (Consumed::Exception, None, "false,null,2"),
            (Consumed::Failed, None, "false,null,4"),
        ] {
            let expected = format!("SubAfter,REQ,ID,3,{expected},19,g");
            check(after(outcome, keys), &expected);
        }
    }
}
