//! `Retry`: the result of a handler that could not handle a message.

use std::error::Error;
use std::fmt;

/// What happens to a message that was not handled. Handlers return `Result<(), Retry>`.
///
/// Any error becomes [`later`](Retry::later) by the `?` operator; a panic of the handler counts as
/// `later` too. For an error that does not implement [`std::error::Error`] (`Box<dyn Error>`,
/// `anyhow::Error`, a text), use [`because`](Retry::because):
///
/// ```ignore
/// consumer.start(|message| -> Result<(), Retry> {
///     let order: Order = serde_json::from_slice(message.body())?;       // again later
///     book(&order).map_err(|error| Retry::later().because(error))?;     // an anyhow::Error
///     if order.is_void() {
///         return Err(Retry::dead_letter().because("a person decides on void orders"));
///     }
///     Ok(())
/// })
/// ```
///
/// | consumer | `later` | `level(n)` | `dead_letter` |
/// |---|---|---|---|
/// | concurrent | a copy in the group's retry topic, after 10 s, 30 s, 1 min .. 2 h by the number of failures | the same, after the delay of level `n` | a copy in the group's dead letter topic |
/// | ordered | again here after 1 s (`suspend`); the queue waits | again here after the delay of level `n`, at most 30 s | a copy in the dead letter topic, then the next message |
/// | broadcasting | dropped, counted and logged | as `later` | as `later` |
///
/// After `max_reconsume` failures (16; ordered consumers: no limit) `later` and `level` mean
/// `dead_letter`.
#[doc(alias = "RECONSUME_LATER")]
#[doc(alias = "SUSPEND_CURRENT_QUEUE_A_MOMENT")]
#[doc(alias = "ConsumeConcurrentlyStatus")]
#[doc(alias = "ConsumeOrderlyStatus")]
#[must_use]
#[derive(Clone)]
pub struct Retry {
    when: When,
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Later,
    Level(u32),
    DeadLetter,
}

impl Retry {
    /// The message comes again later, after a delay that grows with each failure.
    pub fn later() -> Retry {
        Retry::new(When::Later)
    }

    /// The message comes again after the delay of this level: 1 s, 5 s, 10 s, 30 s, 1 to 10 min, 20
    /// min, 30 min, 1 h and 2 h for 1 to 18, unless the broker is configured otherwise. Higher levels
    /// count as the last one; 0 is [`later`](Retry::later).
    #[doc(alias = "setDelayLevelWhenNextConsume")]
    #[doc(alias = "setSuspendCurrentQueueTimeMillis")]
    pub fn level(level: u32) -> Retry {
        match level {
            0 => Retry::later(),
            level => Retry::new(When::Level(level)),
        }
    }

    /// The message does not come again: the broker puts a copy into the group's dead letter topic
    /// (`%DLQ%` and the group's name), where people can inspect it.
    pub fn dead_letter() -> Retry {
        Retry::new(When::DeadLetter)
    }

    /// Adds a reason for the log. It should not contain the message's body.
    pub fn because(mut self, reason: impl fmt::Display) -> Retry {
        self.reason = Some(reason.to_string());
        self
    }

    /// The delay level; `None` for [`later`](Retry::later) and
    /// [`dead_letter`](Retry::dead_letter).
    pub fn delay_level(&self) -> Option<u32> {
        match self.when {
            When::Level(level) => Some(level),
            _ => None,
        }
    }

    /// Whether this is [`dead_letter`](Retry::dead_letter).
    pub fn is_dead_letter(&self) -> bool {
        self.when == When::DeadLetter
    }

    /// The reason: the given text, or the texts of the error and its causes.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    pub(super) fn when(&self) -> When {
        self.when
    }

    fn new(when: When) -> Retry {
        Retry { when, reason: None }
    }
}

/// [`later`](Retry::later), with the texts of the error and of its causes as the reason.
impl<E: Error> From<E> for Retry {
    fn from(error: E) -> Retry {
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many errors repeat the text of their cause.
            if !reason.contains(&text) {
                reason = format!("{reason}: {text}");
            }
            cause = error.source();
        }
        Retry::later().because(reason)
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Retry({self})")
    }
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.when {
            When::Later => f.write_str("later")?,
            When::Level(level) => write!(f, "at delay level {level}")?,
            When::DeadLetter => f.write_str("dead letter")?,
        }
        match &self.reason {
            Some(reason) => write!(f, ": {}", crate::error::OneLine(reason)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_has_a_time_and_a_reason() {
        for (retry, text, level, dead) in [
            (Retry::later(), "later", None, false),
            (Retry::level(0), "later", None, false),
            (Retry::level(3), "at delay level 3", Some(3), false),
            (Retry::dead_letter(), "dead letter", None, true),
            (
                Retry::later().because("no\nstock"),
                "later: no\\nstock",
                None,
                false,
            ),
        ] {
            assert_eq!(retry.to_string(), text);
            assert_eq!(format!("{retry:?}"), format!("Retry({text})"));
            assert_eq!((retry.delay_level(), retry.is_dead_letter()), (level, dead));
        }
    }

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no number of an order")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn any_error_is_later() {
        fn handler(text: &str) -> Result<(), Retry> {
            let _number: i32 = text.parse().map_err(Outer)?;
            std::str::from_utf8(&[text.len() as u8 + 0xf0])?;
            Ok(())
        }
        let refused = handler("x").expect_err("no number");
        let reason = "no number of an order: invalid digit found in string";
        assert_eq!(refused.reason(), Some(reason));
        assert_eq!(refused.when(), When::Later);
        assert!(handler("1").is_err());
        // An error of our own, with the text of its cause in it.
        let io = std::io::Error::other("disk");
        let own = crate::Error::new(crate::ErrorKind::Io, "saving: disk").caused_by(io);
        assert_eq!(Retry::from(own).reason(), Some("saving: disk"));
        // A value that is no error can be the reason.
        let boxed: Box<dyn Error + Send + Sync> = "text".into();
        assert_eq!(Retry::level(2).because(boxed).reason(), Some("text"));
    }
}
