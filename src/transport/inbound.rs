use std::sync::Arc;

use super::Connection;
use crate::protocol::Command;

/// What the layer above does with events of connections.
///
/// Both functions run on threads that must not wait (reader threads, a dialling caller): they hand
/// work on.
pub(crate) trait Inbound: Send + Sync {
    /// A connection came up.
    fn connected(&self, connection: &Arc<Connection>);

    /// A broker asks something. `Err` gives the request back if nobody knows its code; it is then
    /// answered "not supported".
    fn request(&self, connection: &Arc<Connection>, request: Command) -> Result<(), Command>;
}
