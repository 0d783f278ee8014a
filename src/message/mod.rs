// What is sent and what comes back. In reading order:
//
// - `message`: a message to be sent; `schedule`: when consumers may see it
// - `properties`: names and values that travel with a message, their text form, and RocketMQ's own names
// - `id`: the two kinds of message id
// - `batch`, `split`: messages that are sent together, and cutting messages into batches
// - `java`: Java's string functions, where all clients must agree
// - `queue`: one queue of a topic; legal names of topics and groups
// - `receipt`: a broker's answer about a stored message
// - `transaction`: how a transaction ends
// - `view`: a message that was read

mod batch;
pub(crate) mod id;
mod java;
#[expect(clippy::module_inception, reason = "the file of the type of that name")]
mod message;
pub(crate) mod properties;
mod queue;
mod receipt;
mod schedule;
mod split;
mod transaction;
mod view;

pub use batch::Batch;
pub(crate) use id::offset_message_id;
pub(crate) use java::{string_hash, string_order};
pub use message::Message;
pub(crate) use message::Parts;
#[cfg(feature = "embedded")]
pub(crate) use message::reply_topic;
pub use properties::Properties;
pub(crate) use properties::name;
pub use queue::MessageQueue;
#[cfg(feature = "embedded")]
pub(crate) use queue::SCHEDULE_TOPIC;
pub(crate) use queue::{FORBIDDEN_TOPICS, LONGEST_GROUP, LONGEST_TOPIC, check_name};
pub(crate) use receipt::{DEFAULT_REGION, Extras, OwnExtras};
pub use receipt::{SendReceipt, SendStatus};
pub use schedule::Schedule;
pub use split::Unbatchable;
pub use transaction::TransactionState;
pub use view::MessageView;
pub(crate) use view::{Fixed, StoredParts};
