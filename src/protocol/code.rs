//! Request and response codes (Java's `RequestCode` and `ResponseCode`), as far as a producer
//! meets them.

/// Codes of requests.
pub mod request {
    /// A send with long header names ([`SendHeader`](crate::protocol::send::SendHeader), V1).
    pub const SEND_MESSAGE: i32 = 10;
    /// Asks for the messages of a key.
    pub const QUERY_MESSAGE: i32 = 12;
    /// Makes or changes a topic on a broker.
    pub const UPDATE_AND_CREATE_TOPIC: i32 = 17;
    /// Asks for the offset of a time in a queue.
    pub const SEARCH_OFFSET_BY_TIMESTAMP: i32 = 29;
    /// Asks for the end of a queue.
    pub const GET_MAX_OFFSET: i32 = 30;
    /// Asks for the beginning of a queue.
    pub const GET_MIN_OFFSET: i32 = 31;
    /// Asks when the first message of a queue was stored.
    pub const GET_EARLIEST_MSG_STORETIME: i32 = 32;
    /// Asks for the message at an offset of the commit log.
    pub const VIEW_MESSAGE_BY_ID: i32 = 33;
    /// Heartbeat of a client.
    pub const HEART_BEAT: i32 = 34;
    /// A client's producer or consumer group goes away.
    pub const UNREGISTER_CLIENT: i32 = 35;
    /// End of a transaction: commit, rollback or unknown.
    pub const END_TRANSACTION: i32 = 37;
    /// The broker asks for the state of a transaction.
    pub const CHECK_TRANSACTION_STATE: i32 = 39;
    /// The broker tells a consumer group that its members changed.
    pub const NOTIFY_CONSUMER_IDS_CHANGED: i32 = 40;
    /// The broker tells a consumer group to go on from other offsets.
    pub const RESET_CONSUMER_CLIENT_OFFSET: i32 = 220;
    /// The broker asks a consumer for its offsets.
    pub const GET_CONSUMER_STATUS_FROM_CLIENT: i32 = 221;
    /// The broker asks what a consumer does.
    pub const GET_CONSUMER_RUNNING_INFO: i32 = 307;
    /// The broker has a consumer consume a message now.
    pub const CONSUME_MESSAGE_DIRECTLY: i32 = 309;
    /// Asks a name server for the route of a topic.
    pub const GET_ROUTEINFO_BY_TOPIC: i32 = 105;
    /// A send with one-letter header names (V2).
    pub const SEND_MESSAGE_V2: i32 = 310;
    /// A batch, with V2 header names.
    pub const SEND_BATCH_MESSAGE: i32 = 320;
    /// A reply to a request, with long header names.
    pub const SEND_REPLY_MESSAGE: i32 = 324;
    /// A reply to a request, with V2 header names.
    pub const SEND_REPLY_MESSAGE_V2: i32 = 325;
    /// A reply is pushed to the client that asked.
    pub const PUSH_REPLY_MESSAGE_TO_CLIENT: i32 = 326;
    /// Takes a timer message back.
    pub const RECALL_MESSAGE: i32 = 370;

    /// The name in Java of a request that brokers make of clients; `None` for all others.
    pub fn of_broker(code: i32) -> Option<&'static str> {
        Some(match code {
            CHECK_TRANSACTION_STATE => "CHECK_TRANSACTION_STATE",
            NOTIFY_CONSUMER_IDS_CHANGED => "NOTIFY_CONSUMER_IDS_CHANGED",
            RESET_CONSUMER_CLIENT_OFFSET => "RESET_CONSUMER_CLIENT_OFFSET",
            GET_CONSUMER_STATUS_FROM_CLIENT => "GET_CONSUMER_STATUS_FROM_CLIENT",
            GET_CONSUMER_RUNNING_INFO => "GET_CONSUMER_RUNNING_INFO",
            CONSUME_MESSAGE_DIRECTLY => "CONSUME_MESSAGE_DIRECTLY",
            PUSH_REPLY_MESSAGE_TO_CLIENT => "PUSH_REPLY_MESSAGE_TO_CLIENT",
            _ => return None,
        })
    }
}

/// Codes of responses.
pub mod response {
    /// Done.
    pub const SUCCESS: i32 = 0;
    /// Something failed in the server; for a send, the message may be stored.
    pub const SYSTEM_ERROR: i32 = 1;
    /// Overloaded; nothing was stored.
    pub const SYSTEM_BUSY: i32 = 2;
    /// The peer does not know the request code.
    pub const REQUEST_CODE_NOT_SUPPORTED: i32 = 3;
    /// Stored, but not flushed in time.
    pub const FLUSH_DISK_TIMEOUT: i32 = 10;
    /// Stored, but no replica was there.
    pub const SLAVE_NOT_AVAILABLE: i32 = 11;
    /// Stored, but the replica did not follow in time.
    pub const FLUSH_SLAVE_TIMEOUT: i32 = 12;
    /// The message breaks one of the broker's rules.
    pub const MESSAGE_ILLEGAL: i32 = 13;
    /// The broker is not serving now.
    pub const SERVICE_NOT_AVAILABLE: i32 = 14;
    /// Not allowed.
    pub const NO_PERMISSION: i32 = 16;
    /// The topic does not exist.
    pub const TOPIC_NOT_EXIST: i32 = 17;
    /// No message has the key that was asked for.
    pub const QUERY_NOT_FOUND: i32 = 22;
    /// A parameter is out of range, for example the queue's number.
    pub const INVALID_PARAMETER: i32 = 29;
    /// No buyer id (Java retries it).
    pub const NO_BUYER_ID: i32 = 204;
    /// The message belongs to another unit (Java retries it).
    pub const NOT_IN_CURRENT_UNIT: i32 = 205;
    /// Too many requests.
    pub const FLOW_CONTROL: i32 = 215;
    /// What was asked for cannot be done, for example recalling a message that is due.
    pub const ILLEGAL_OPERATION: i32 = 604;
    /// The server is about to close: send again over a new connection.
    pub const GO_AWAY: i32 = 1500;
    /// A quota of light queues is used up (brokers from 5.5 on).
    pub const LMQ_QUOTA_EXCEEDED: i32 = 2017;
    /// A quota of lite subscriptions is used up (brokers from 5.5 on).
    pub const LITE_SUBSCRIPTION_QUOTA_EXCEEDED: i32 = 2018;

    /// The code's name in Java, for messages that people read.
    #[rustfmt::skip]
    pub fn name(code: i32) -> Option<&'static str> {
        Some(match code {
            SUCCESS => "SUCCESS",
            SYSTEM_ERROR => "SYSTEM_ERROR",
            SYSTEM_BUSY => "SYSTEM_BUSY",
            REQUEST_CODE_NOT_SUPPORTED => "REQUEST_CODE_NOT_SUPPORTED",
            4 => "TRANSACTION_FAILED",
            FLUSH_DISK_TIMEOUT => "FLUSH_DISK_TIMEOUT",
            SLAVE_NOT_AVAILABLE => "SLAVE_NOT_AVAILABLE",
            FLUSH_SLAVE_TIMEOUT => "FLUSH_SLAVE_TIMEOUT",
            MESSAGE_ILLEGAL => "MESSAGE_ILLEGAL",
            SERVICE_NOT_AVAILABLE => "SERVICE_NOT_AVAILABLE",
            15 => "VERSION_NOT_SUPPORTED",
            NO_PERMISSION => "NO_PERMISSION",
            TOPIC_NOT_EXIST => "TOPIC_NOT_EXIST",
            QUERY_NOT_FOUND => "QUERY_NOT_FOUND",
            INVALID_PARAMETER => "INVALID_PARAMETER",
            NO_BUYER_ID => "NO_BUYER_ID",
            NOT_IN_CURRENT_UNIT => "NOT_IN_CURRENT_UNIT",
            FLOW_CONTROL => "FLOW_CONTROL",
            501 => "NOT_LEADER_FOR_QUEUE",
            ILLEGAL_OPERATION => "ILLEGAL_OPERATION",
            GO_AWAY => "GO_AWAY",
            LMQ_QUOTA_EXCEEDED => "LMQ_QUOTA_EXCEEDED",
            LITE_SUBSCRIPTION_QUOTA_EXCEEDED => "LITE_SUBSCRIPTION_QUOTA_EXCEEDED",
            3001 => "USER_NOT_EXIST",
            3002 => "POLICY_NOT_EXIST",
            _ => return None,
        })
    }
}
