/// The state of a local transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "LocalTransactionState")]
pub enum TransactionState {
    /// It succeeded: deliver the message.
    #[doc(alias = "COMMIT_MESSAGE")]
    Commit,
    /// It failed: drop the message.
    #[doc(alias = "ROLLBACK_MESSAGE")]
    Rollback,
    /// Not known (yet): the broker asks again later.
    #[doc(alias = "UNKNOW")]
    Unknown,
}

impl TransactionState {
    /// `commit`, `rollback` or `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            TransactionState::Commit => "commit",
            TransactionState::Rollback => "rollback",
            TransactionState::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for TransactionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
