use std::fmt;

use crate::message::name::RETRY_PREFIX;
use crate::protocol::ProtocolError;

/// The topic from which a popped message came: the asked topic, or one of its retry topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mark {
    /// The topic itself.
    Normal,
    /// `%RETRY%group_topic`.
    RetryV1,
    /// `%RETRY%group+topic`.
    RetryV2,
}

impl Mark {
    /// The mark of a message of this topic.
    pub fn of_topic(topic: &str) -> Mark {
        match topic.strip_prefix(RETRY_PREFIX) {
            Some(rest) if rest.contains('+') => Mark::RetryV2,
            Some(_) => Mark::RetryV1,
            None => Mark::Normal,
        }
    }

    /// The topic in which a message with this mark is stored.
    pub fn real_topic(self, topic: &str, group: &str) -> String {
        match self {
            Mark::Normal => topic.to_owned(),
            Mark::RetryV1 => format!("{RETRY_PREFIX}{group}_{topic}"),
            Mark::RetryV2 => format!("{RETRY_PREFIX}{group}+{topic}"),
        }
    }

    /// The mark of this text.
    ///
    /// # Errors
    /// The text is no mark.
    pub fn parse(text: &str) -> Result<Mark, ProtocolError> {
        match text {
            "0" => Ok(Mark::Normal),
            "1" => Ok(Mark::RetryV1),
            "2" => Ok(Mark::RetryV2),
            other => Err(ProtocolError::new(format!(
                "unknown mark of a topic {other}"
            ))),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mark::Normal => "0",
            Mark::RetryV1 => "1",
            Mark::RetryV2 => "2",
        })
    }
}
