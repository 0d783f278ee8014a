use std::fmt;

/// Whether a broker may hold the message of a failed send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SendFate {
    /// No attempt of this call left the message with a broker: sending it again cannot duplicate
    /// it. (Earlier calls with the same unique key do not count here. Fates are ordered: combine
    /// several calls with `max`.)
    NotSent,
    /// A broker may hold the message: sending it again can duplicate it.
    MaybeStored,
}

impl SendFate {
    /// `not_sent` or `maybe_stored`.
    pub fn as_str(self) -> &'static str {
        match self {
            SendFate::NotSent => "not_sent",
            SendFate::MaybeStored => "maybe_stored",
        }
    }
}

impl fmt::Display for SendFate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
