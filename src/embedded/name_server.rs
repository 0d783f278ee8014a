use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::broker::not_supported;
use super::server::{Peer, Server, Service};
use super::topics::Topics;
use super::{Accept, Fault, Injected};
use crate::protocol::Command;
use crate::protocol::code::{request, response};

/// From this version of the client on (Java's 4.9.4) a name server writes standard JSON.
const STANDARD_JSON_VERSION: i32 = 401;

/// One name server of a [`Cluster`](super::Cluster).
pub struct NameServer {
    pub(super) server: Server,
}

/// The name server's side of the protocol.
pub(super) struct NameService {
    pub(super) topics: Arc<Topics>,
    pub(super) bare_route_keys: bool,
}

impl NameServer {
    /// Its name: `namesrv-0`, `namesrv-1`, ..
    pub fn name(&self) -> &str {
        &self.server.shared.name
    }

    /// Where it listens; it stays the same over restarts.
    pub fn address(&self) -> SocketAddr {
        self.server.shared.address
    }

    /// Whether it is up: not killed, or restarted.
    pub fn is_up(&self) -> bool {
        self.server.is_up()
    }

    /// Stops listening and breaks every connection. Does nothing if it is down.
    pub fn kill(&self) {
        self.server.stop();
    }

    /// Listens on the same port again. Does nothing if it is up.
    ///
    /// # Errors
    /// The port cannot be had within five seconds, or no thread can be started.
    pub fn restart(&self) -> io::Result<()> {
        self.server.restart()
    }

    /// Breaks every connection, but goes on listening. Returns at once; the connections' threads
    /// notice a little later.
    pub fn disconnect_all(&self) {
        self.server.disconnect_all();
    }

    /// What happens to new connections from now on; default: [`Accept::Serve`]. A connection that
    /// the server has not come to yet is a new one.
    pub fn set_accept(&self, accept: Accept) {
        self.server.set_accept(accept);
    }

    /// Makes something go wrong. Of several faults that match a request, the one injected first
    /// happens. Faults outlive a restart.
    pub fn inject(&self, fault: Fault) -> Injected {
        self.server.shared.faults.inject(fault)
    }

    /// Ends all faults; those who wait at a gate still wait for it.
    pub fn clear_faults(&self) {
        self.server.shared.faults.clear();
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Waits until exactly so many connections are open; says whether that came in time. A client's
    /// connect returns before the server has come to the connection.
    pub fn wait_for_connections(&self, count: usize, timeout: Duration) -> bool {
        self.server.wait_for_connections(count, timeout)
    }
}

impl fmt::Debug for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameServer")
            .field("name", &self.name())
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

impl Service for NameService {
    fn handle(&self, request: &Command, _: &Peer) -> Command {
        match request.code {
            request::GET_ROUTEINFO_BY_TOPIC => self.route(request),
            _ => not_supported(request),
        }
    }
}

impl NameService {
    fn route(&self, request: &Command) -> Command {
        let Some(topic) = request.ext.get("topic") else {
            let remark = "the custom field <topic> is null";
            return Command::response_to(request, response::SYSTEM_ERROR).with_remark(remark);
        };
        let Some(route) = self.topics.route(topic) else {
            let remark = format!(
                "No topic route info in name server for the topic: {topic}\nSee \
                 https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
            );
            return Command::response_to(request, response::TOPIC_NOT_EXIST).with_remark(remark);
        };
        let mut body = route.encode();
        if self.bare_route_keys || !accepts_standard_json(request) {
            body = strip_number_keys(&body);
        }
        Command::response_to(request, response::SUCCESS).with_body(body)
    }
}

fn accepts_standard_json(request: &Command) -> bool {
    request.version >= STANDARD_JSON_VERSION
        || request.ext.get("acceptStandardJsonOnly") == Some("true")
}

/// Takes the quotes from keys that are numbers, as fastjson does: `{"0":"a"}` becomes `{0:"a"}`.
fn strip_number_keys(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'"' {
            out.push(byte);
            rest = after;
            continue;
        }
        let mut escaped = false;
        let closes = |b: &u8| {
            let end = *b == b'"' && !escaped;
            escaped = *b == b'\\' && !escaped;
            end
        };
        let len = after.iter().position(closes).unwrap_or(after.len());
        let (text, tail) = after.split_at(len);
        let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        if is_number && tail.get(1) == Some(&b':') {
            out.extend_from_slice(text);
        } else {
            out.extend_from_slice(&rest[..rest.len().min(len + 2)]);
        }
        rest = tail.get(1..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_are_numbers_lose_their_quotes() {
        let json = br#"{"a":{"0":"1","12":"x\":{\"3\":"},"b1":["4",5],"6":7}"#;
        let bare = br#"{"a":{0:"1",12:"x\":{\"3\":"},"b1":["4",5],6:7}"#;
        assert_eq!(strip_number_keys(json), bare);
    }
}
