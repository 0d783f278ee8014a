use std::fmt;

/// The code of a server's answer (Java's `ResponseCode`).
///
/// The constants are the codes of name servers and brokers 4.x and 5.x; others can be made from their
/// number. A code prints as `SYSTEM_BUSY (2)`.
///
/// ```
/// use rocketmq_blocking::ResponseCode;
///
/// assert_eq!(ResponseCode::from(2), ResponseCode::SYSTEM_BUSY);
/// assert_eq!(ResponseCode::SYSTEM_BUSY.to_string(), "SYSTEM_BUSY (2)");
/// assert_eq!(ResponseCode::new(4711).to_string(), "response code 4711");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResponseCode(i32);

/// Constants, and the names by which they print.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl ResponseCode {
            $($(#[$doc])* pub const $name: ResponseCode = ResponseCode($number);)*

            /// The code's name in Java, if it is one of the constants.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            #[cfg(test)]
            pub(super) const ALL: &[ResponseCode] = &[$(ResponseCode::$name,)*];
        }
    };
}

codes! {
    /// A broker that forwarded a request failed for an unknown reason.
    RPC_UNKNOWN = -1000;
    /// A broker that should forward a request has no address to send it to.
    RPC_ADDR_IS_NULL = -1002;
    /// A broker could not forward a request.
    RPC_SEND_TO_CHANNEL_FAILED = -1004;
    /// A broker forwarded a request and got no answer in time.
    RPC_TIME_OUT = -1006;
    /// Done.
    SUCCESS = 0;
    /// Something failed in the server. For a send, the message may be stored.
    SYSTEM_ERROR = 1;
    /// Overloaded; nothing was stored.
    SYSTEM_BUSY = 2;
    /// The server does not know the request.
    REQUEST_CODE_NOT_SUPPORTED = 3;
    /// The end of a transaction failed.
    TRANSACTION_FAILED = 4;
    /// Stored, but not flushed in time.
    FLUSH_DISK_TIMEOUT = 10;
    /// Stored, but no replica was available.
    SLAVE_NOT_AVAILABLE = 11;
    /// Stored, but the replica did not follow in time.
    FLUSH_SLAVE_TIMEOUT = 12;
    /// The message breaks one of the broker's rules.
    MESSAGE_ILLEGAL = 13;
    /// The server starts, stops, or cannot write.
    SERVICE_NOT_AVAILABLE = 14;
    /// The server does not support the client's version.
    VERSION_NOT_SUPPORTED = 15;
    /// Not allowed.
    NO_PERMISSION = 16;
    /// The topic does not exist.
    TOPIC_NOT_EXIST = 17;
    /// The topic exists.
    TOPIC_EXIST_ALREADY = 18;
    /// A pull found no message.
    PULL_NOT_FOUND = 19;
    /// A pull found no message that matches; pull again at once.
    PULL_RETRY_IMMEDIATELY = 20;
    /// The offset of a pull is outside of the queue.
    PULL_OFFSET_MOVED = 21;
    /// The queried item is not known.
    QUERY_NOT_FOUND = 22;
    /// The filter expression cannot be parsed.
    SUBSCRIPTION_PARSE_FAILED = 23;
    /// The broker does not know the group's subscription.
    SUBSCRIPTION_NOT_EXIST = 24;
    /// The broker knows an older subscription of the group.
    SUBSCRIPTION_NOT_LATEST = 25;
    /// The consumer group does not exist.
    SUBSCRIPTION_GROUP_NOT_EXIST = 26;
    /// The broker has no filter data of the group.
    FILTER_DATA_NOT_EXIST = 27;
    /// The broker has older filter data of the group.
    FILTER_DATA_NOT_LATEST = 28;
    /// A parameter is out of range, for example the queue's number.
    INVALID_PARAMETER = 29;
    /// The transaction is to be committed.
    TRANSACTION_SHOULD_COMMIT = 200;
    /// The transaction is to be rolled back.
    TRANSACTION_SHOULD_ROLLBACK = 201;
    /// The state of the transaction is not known.
    TRANSACTION_STATE_UNKNOW = 202;
    /// The transaction belongs to another group.
    TRANSACTION_STATE_GROUP_WRONG = 203;
    /// The message has no buyer id.
    NO_BUYER_ID = 204;
    /// The message belongs to another unit.
    NOT_IN_CURRENT_UNIT = 205;
    /// The consumer is not connected.
    CONSUMER_NOT_ONLINE = 206;
    /// The consumer did not finish the message in time.
    CONSUME_MSG_TIMEOUT = 207;
    /// There is no such message.
    NO_MESSAGE = 208;
    /// Too many pops wait at the broker.
    POLLING_FULL = 209;
    /// A pop waited without finding a message.
    POLLING_TIMEOUT = 210;
    /// The broker does not exist.
    BROKER_NOT_EXIST = 211;
    /// The broker has not yet indexed all that it stored.
    BROKER_DISPATCH_NOT_COMPLETE = 212;
    /// The group consumes by broadcasting, which has no shared progress.
    BROADCAST_CONSUMPTION = 213;
    /// A quota is exhausted for now.
    FLOW_CONTROL = 215;
    /// The broker does not lead the logical queue.
    NOT_LEADER_FOR_QUEUE = 501;
    /// The operation is not possible, for example recalling a message that is due.
    ILLEGAL_OPERATION = 604;
    /// The server is about to close: send again over a new connection.
    GO_AWAY = 1500;
    /// Between brokers and controllers: the master's epoch is an old one.
    CONTROLLER_FENCED_MASTER_EPOCH = 2000;
    /// Between brokers and controllers: the epoch of the replicas in sync is an old one.
    CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH = 2001;
    /// Between brokers and controllers: not the master.
    CONTROLLER_INVALID_MASTER = 2002;
    /// Between brokers and controllers: unknown replicas.
    CONTROLLER_INVALID_REPLICAS = 2003;
    /// Between brokers and controllers: there is no master.
    CONTROLLER_MASTER_NOT_AVAILABLE = 2004;
    /// Between brokers and controllers: the request is not valid.
    CONTROLLER_INVALID_REQUEST = 2005;
    /// Between brokers and controllers: the broker is not alive.
    CONTROLLER_BROKER_NOT_ALIVE = 2006;
    /// Between brokers and controllers: this controller does not lead.
    CONTROLLER_NOT_LEADER = 2007;
    /// Between brokers and controllers: the broker is not known.
    CONTROLLER_BROKER_METADATA_NOT_EXIST = 2008;
    /// Between brokers and controllers: the broker's data cannot be cleaned.
    CONTROLLER_INVALID_CLEAN_BROKER_METADATA = 2009;
    /// Between brokers and controllers: the broker must register first.
    CONTROLLER_BROKER_NEED_TO_BE_REGISTERED = 2010;
    /// Between brokers and controllers: the master is still there.
    CONTROLLER_MASTER_STILL_EXIST = 2011;
    /// Between brokers and controllers: no master could be elected.
    CONTROLLER_ELECT_MASTER_FAILED = 2012;
    /// Between brokers and controllers: the replicas in sync could not be changed.
    CONTROLLER_ALTER_SYNC_STATE_SET_FAILED = 2013;
    /// Between brokers and controllers: the broker's id is not valid.
    CONTROLLER_BROKER_ID_INVALID = 2014;
    /// Between brokers and controllers: the consensus of the controllers failed.
    CONTROLLER_JRAFT_INTERNAL_ERROR = 2015;
    /// Between brokers and controllers: it is not known whether the broker is alive.
    CONTROLLER_BROKER_LIVE_INFO_NOT_EXISTS = 2016;
    /// Too many light queues (brokers from 5.5.0 on).
    LMQ_QUOTA_EXCEEDED = 2017;
    /// Too many light subscriptions (brokers from 5.5.0 on).
    LITE_SUBSCRIPTION_QUOTA_EXCEEDED = 2018;
    /// The user of the credentials does not exist.
    USER_NOT_EXIST = 3001;
    /// The access policy does not exist.
    POLICY_NOT_EXIST = 3002;
}

impl ResponseCode {
    /// The code of this number.
    pub const fn new(number: i32) -> ResponseCode {
        ResponseCode(number)
    }

    /// The number on the wire.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Whether the condition can pass without a change of the message, the settings or permissions.
    pub(super) fn may_pass(self) -> bool {
        matches!(
            self,
            ResponseCode::RPC_UNKNOWN
                | ResponseCode::RPC_ADDR_IS_NULL
                | ResponseCode::RPC_SEND_TO_CHANNEL_FAILED
                | ResponseCode::RPC_TIME_OUT
                | ResponseCode::SYSTEM_ERROR
                | ResponseCode::SYSTEM_BUSY
                | ResponseCode::FLUSH_DISK_TIMEOUT
                | ResponseCode::SLAVE_NOT_AVAILABLE
                | ResponseCode::FLUSH_SLAVE_TIMEOUT
                | ResponseCode::SERVICE_NOT_AVAILABLE
                | ResponseCode::SUBSCRIPTION_NOT_EXIST
                | ResponseCode::SUBSCRIPTION_NOT_LATEST
                | ResponseCode::FILTER_DATA_NOT_EXIST
                | ResponseCode::FILTER_DATA_NOT_LATEST
                | ResponseCode::CONSUMER_NOT_ONLINE
                | ResponseCode::CONSUME_MSG_TIMEOUT
                | ResponseCode::POLLING_FULL
                | ResponseCode::POLLING_TIMEOUT
                | ResponseCode::BROKER_NOT_EXIST
                | ResponseCode::BROKER_DISPATCH_NOT_COMPLETE
                | ResponseCode::FLOW_CONTROL
                | ResponseCode::NOT_LEADER_FOR_QUEUE
                | ResponseCode::GO_AWAY
        )
    }
}

/// Whether an answer reports a wrong signature. Brokers 4.x use the generic code for it; the
/// request was not executed then.
pub(crate) fn is_wrong_signature(code: ResponseCode, remark: &str) -> bool {
    code == ResponseCode::SYSTEM_ERROR && remark.contains("AclException")
}

/// Whether an answer refuses access: for want of a permission, or for a wrong signature.
pub(crate) fn refuses_access(code: ResponseCode, remark: &str) -> bool {
    code == ResponseCode::NO_PERMISSION || is_wrong_signature(code, remark)
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "response code {}", self.0),
        }
    }
}

impl fmt::Debug for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<i32> for ResponseCode {
    fn from(number: i32) -> ResponseCode {
        ResponseCode(number)
    }
}

impl From<ResponseCode> for i32 {
    fn from(code: ResponseCode) -> i32 {
        code.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_number_of_its_own_and_prints_its_name() {
        for (i, code) in ResponseCode::ALL.iter().enumerate() {
            let again = ResponseCode::new(code.number());
            assert_eq!(again.name(), code.name());
            assert!(!ResponseCode::ALL[..i].contains(code), "{code}");
        }
        let busy = ResponseCode::SYSTEM_BUSY;
        assert_eq!(
            format!("{busy} {busy:?}"),
            "SYSTEM_BUSY (2) SYSTEM_BUSY (2)"
        );
        assert_eq!(ResponseCode::from(-1).to_string(), "response code -1");
        assert_eq!(i32::from(ResponseCode::LMQ_QUOTA_EXCEEDED), 2017);
        let last = ResponseCode::LITE_SUBSCRIPTION_QUOTA_EXCEEDED;
        assert_eq!(last.number(), 2018);
    }
}
