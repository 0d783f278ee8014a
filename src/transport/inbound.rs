use std::sync::Arc;

use super::Connection;
use crate::protocol::Command;

/// Handles events of connections in the layer above.
///
/// Both functions run on threads that must not wait (reader threads, a dialling caller): they hand
/// work on.
pub(crate) trait Inbound: Send + Sync {
    /// A connection came up.
    fn connected(&self, connection: &Arc<Connection>);

    /// Handles a broker's request. `Err` returns a request with an unknown code; it is then
    /// answered "not supported".
    fn request(&self, connection: &Arc<Connection>, request: Command) -> Result<(), Command>;
}
