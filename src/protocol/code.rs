//! Request and response codes (Java's `RequestCode` and `ResponseCode`), as far as a client
//! meets them.

/// Codes of requests.
pub mod request {
    /// A send with long header names ([`SendHeader`](crate::protocol::send::SendHeader), V1).
    pub const SEND_MESSAGE: i32 = 10;
    /// Asks a queue for messages ([`PullRequest`](crate::protocol::consumer::pull::PullRequest)).
    pub const PULL_MESSAGE: i32 = 11;
    /// Asks for the messages of a key.
    pub const QUERY_MESSAGE: i32 = 12;
    /// Asks for the committed offset of a group.
    pub const QUERY_CONSUMER_OFFSET: i32 = 14;
    /// Commits an offset of a group.
    pub const UPDATE_CONSUMER_OFFSET: i32 = 15;
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
    /// Gives a message back to be consumed again.
    pub const CONSUMER_SEND_MSG_BACK: i32 = 36;
    /// End of a transaction: commit, rollback or unknown.
    pub const END_TRANSACTION: i32 = 37;
    /// Asks for the members of a consumer group.
    pub const GET_CONSUMER_LIST_BY_GROUP: i32 = 38;
    /// The broker asks for the state of a transaction.
    pub const CHECK_TRANSACTION_STATE: i32 = 39;
    /// The broker tells a consumer group that its members changed.
    pub const NOTIFY_CONSUMER_IDS_CHANGED: i32 = 40;
    /// Locks queues for a member of a group.
    pub const LOCK_BATCH_MQ: i32 = 41;
    /// Gives locks back.
    pub const UNLOCK_BATCH_MQ: i32 = 42;
    /// Asks whether a broker can evaluate a filter.
    pub const CHECK_CLIENT_CONFIG: i32 = 46;
    /// Asks a name server for the route of a topic.
    pub const GET_ROUTEINFO_BY_TOPIC: i32 = 105;
    /// Asks for the connections of a consumer group.
    pub const GET_CONSUMER_CONNECTION_LIST: i32 = 203;
    /// Asks for the progress of a consumer group.
    pub const GET_CONSUME_STATS: i32 = 208;
    /// The broker tells a consumer to go on elsewhere.
    pub const RESET_CONSUMER_CLIENT_OFFSET: i32 = 220;
    /// The broker asks for the offsets that a consumer has in memory.
    pub const GET_CONSUMER_STATUS_FROM_CLIENT: i32 = 221;
    /// Resets the offsets of a consumer group.
    pub const INVOKE_BROKER_TO_RESET_OFFSET: i32 = 222;
    /// The broker asks what a consumer does.
    pub const GET_CONSUMER_RUNNING_INFO: i32 = 307;
    /// The broker tells a consumer to consume one message now.
    pub const CONSUME_MESSAGE_DIRECTLY: i32 = 309;
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
    /// Asks for the topics of which a consumer group has offsets (brokers from 5.x on).
    pub const QUERY_TOPICS_BY_CONSUMER: i32 = 343;
    /// The pull of a pull consumer (brokers from 5.0 on).
    pub const LITE_PULL_MESSAGE: i32 = 361;
    /// Takes a timer message back.
    pub const RECALL_MESSAGE: i32 = 370;
    /// Asks which queues a member gets (brokers from 5.0 on, as all that follow).
    pub const QUERY_ASSIGNMENT: i32 = 400;
    /// Sets how a group's messages of a topic are asked for.
    pub const SET_MESSAGE_REQUEST_MODE: i32 = 401;
    /// Asks for messages that are acknowledged one by one.
    pub const POP_MESSAGE: i32 = 200_050;
    /// Acknowledges a popped message.
    pub const ACK_MESSAGE: i32 = 200_051;
    /// Changes when a popped message comes again.
    pub const CHANGE_MESSAGE_INVISIBLETIME: i32 = 200_053;
    /// Asks whether there is a message to pop.
    pub const NOTIFICATION: i32 = 200_054;
    /// Asks how many pops are held.
    pub const POLLING_INFO: i32 = 200_055;
    /// Acknowledges several popped messages (brokers from 5.1.3 on).
    pub const BATCH_ACK_MESSAGE: i32 = 200_151;

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

/// Codes of responses, as numbers; [`ResponseCode`](crate::ResponseCode) has all of them, with what they
/// mean.
pub mod response {
    use crate::error::ResponseCode;

    /// Constants of the same name and number.
    macro_rules! same {
        ($($name:ident)*) => {
            $(
                #[doc = concat!("See [`ResponseCode::", stringify!($name), "`].")]
                pub const $name: i32 = ResponseCode::$name.number();
            )*
        };
    }

    same! {
        SUCCESS SYSTEM_ERROR SYSTEM_BUSY REQUEST_CODE_NOT_SUPPORTED
        FLUSH_DISK_TIMEOUT SLAVE_NOT_AVAILABLE FLUSH_SLAVE_TIMEOUT
        MESSAGE_ILLEGAL SERVICE_NOT_AVAILABLE NO_PERMISSION TOPIC_NOT_EXIST
        PULL_NOT_FOUND PULL_RETRY_IMMEDIATELY PULL_OFFSET_MOVED QUERY_NOT_FOUND
        SUBSCRIPTION_PARSE_FAILED SUBSCRIPTION_NOT_EXIST SUBSCRIPTION_NOT_LATEST
        SUBSCRIPTION_GROUP_NOT_EXIST FILTER_DATA_NOT_EXIST FILTER_DATA_NOT_LATEST INVALID_PARAMETER
        CONSUMER_NOT_ONLINE CONSUME_MSG_TIMEOUT
        NO_BUYER_ID NOT_IN_CURRENT_UNIT NO_MESSAGE POLLING_FULL POLLING_TIMEOUT FLOW_CONTROL
        NOT_LEADER_FOR_QUEUE ILLEGAL_OPERATION GO_AWAY
        LMQ_QUOTA_EXCEEDED LITE_SUBSCRIPTION_QUOTA_EXCEEDED
    }
}
