//! The name server's side of the protocol.

use std::sync::Arc;

use crate::embedded::server::{Answer, Call, Service, not_supported};
use crate::embedded::topics::Topics;
use crate::protocol::Command;
use crate::protocol::code::{request, response};

/// From this version of the client on (Java's 4.9.4) a name server writes standard JSON.
const STANDARD_JSON_VERSION: i32 = 401;

pub(in crate::embedded) struct NameService {
    pub(in crate::embedded) topics: Arc<Topics>,
    pub(in crate::embedded) bare_route_keys: bool,
}

impl Service for NameService {
    fn handle(&self, call: Call<'_>) -> Answer {
        let request = call.request;
        Answer::Now(match request.code {
            request::GET_ROUTEINFO_BY_TOPIC => self.route(request),
            _ => not_supported(request),
        })
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
