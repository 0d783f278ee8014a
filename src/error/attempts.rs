use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Delivery, Error, Printable};

/// One attempt of a send that failed in the end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Attempt {
    /// Name of the broker that was tried.
    pub broker: Arc<str>,
    /// Why this attempt failed.
    pub error: Error,
    /// How long this attempt took.
    pub elapsed: Duration,
}

/// The failed attempts of a send. With retries without end they can be very many: of those in the middle
/// only the number is kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attempts {
    listed: Vec<Attempt>,
    left_out: usize,
    worst: Option<Delivery>,
}

/// How many are listed at most: the first half of them, and the last.
const MOST_LISTED: usize = 32;

impl Attempts {
    pub(crate) fn push(&mut self, attempt: Attempt) {
        self.worst = self.worst.max(Some(attempt.error.delivery()));
        match self.listed.len() {
            // Mostly it stays alone, and a connection that ends can have very many such sends.
            0 => self.listed.reserve_exact(1),
            MOST_LISTED => {
                self.listed.remove(MOST_LISTED / 2);
                self.left_out += 1;
            }
            _ => {}
        }
        self.listed.push(attempt);
    }

    pub(crate) fn listed(&self) -> &[Attempt] {
        &self.listed
    }

    /// What all of them promise together.
    pub(crate) fn worst(&self) -> Delivery {
        self.worst.unwrap_or(Delivery::NotSent)
    }

    pub(super) fn made(&self) -> usize {
        self.listed.len() + self.left_out
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, attempt) in self.listed.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            if i == MOST_LISTED / 2 && self.left_out > 0 {
                write!(f, "({} more); ", self.left_out)?;
            }
            write!(f, "{}", Printable(&attempt.broker))?;
            let address = attempt.error.address();
            match address.filter(|_| attempt.error.was_not_reached()) {
                Some(address) => write!(f, " ({}): ", Printable(address))?,
                None => f.write_str(": ")?,
            }
            attempt.error.write_cause(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Wait;
    use super::*;

    #[test]
    fn of_many_attempts_the_first_and_the_last_are_kept_and_the_worst_of_all() {
        let mut attempts = Attempts::default();
        for i in 0..100 {
            let error = Error::timeout(Wait::Queue);
            attempts.push(Attempt {
                broker: format!("b{i}").into(),
                // One that is not kept may have stored the message.
                error: if i == 50 { error.maybe_stored() } else { error },
                elapsed: Duration::ZERO,
            });
        }
        let brokers: Vec<&str> = attempts.listed().iter().map(|a| &*a.broker).collect();
        assert_eq!(brokers.len(), 32);
        assert_eq!(
            (brokers[15], brokers[16], brokers[31]),
            ("b15", "b84", "b99")
        );
        assert_eq!(
            (attempts.made(), attempts.worst()),
            (100, Delivery::MaybeStored)
        );
        let text = attempts.to_string();
        let around = "; (68 more); b84: ";
        assert!(text.contains(around), "{text}");
    }
}
