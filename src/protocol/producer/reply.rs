//! Replies that a broker pushes to the client that asked, and the ids that match them.

use std::net::{Ipv4Addr, SocketAddr};

use super::code::request;
use super::message::{Packed, Record};
use super::send::{SendRequest, V1};
use super::{ExtFields, FieldSink, Fields, ProtocolError, properties};
use crate::message::{MessageView, Properties, name};

/// The header of a pushed reply (PUSH_REPLY_MESSAGE_TO_CLIENT, 326): the long names of a send, and
/// the replier's address. The body is the reply's, compressed if the system flag says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedReply {
    /// The system flag of the reply.
    pub send: SendRequest,
    /// The replier's address as the broker saw it.
    pub born_host: Option<SocketAddr>,
    /// The broker's own address.
    pub store_host: Option<SocketAddr>,
    /// When the broker got the reply, epoch milliseconds.
    pub store_timestamp: i64,
}

impl PushedReply {
    /// Reads the header. Addresses that cannot be read count as absent.
    ///
    /// # Errors
    /// A required field is missing or not valid; or the properties are longer than any
    /// that a message can have.
    pub fn decode(ext: &ExtFields) -> Result<PushedReply, ProtocolError> {
        let send = SendRequest::decode(request::SEND_REPLY_MESSAGE, ext)?;
        // Read, they take many times the memory of their text, which could fill a whole frame.
        if send.properties.len() > properties::MAX_LEN {
            return Err(ProtocolError::new("a reply's properties are too long"));
        }
        Ok(PushedReply {
            send,
            born_host: ext.get("bornHost").and_then(address),
            store_host: ext.get("storeHost").and_then(address),
            store_timestamp: ext.parse("storeTimestamp")?.unwrap_or(0),
        })
    }

    /// The properties.
    pub fn properties(&self) -> Properties {
        properties::decode(&self.send.properties)
    }

    /// The whole reply, its body as it came.
    pub fn packed(&self, body: &[u8]) -> Packed {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let record = Record {
            topic: &self.send.topic,
            body,
            properties: &self.send.properties,
            flag: self.send.flag,
            sys_flag: self.send.sys_flag,
            queue_id: self.send.queue_id,
            queue_offset: 0,
            commit_log_offset: 0,
            born_timestamp: self.send.born_timestamp,
            born_host: self.born_host.unwrap_or(nowhere),
            store_timestamp: self.store_timestamp,
            store_host: self.store_host.unwrap_or(nowhere),
            reconsume_times: self.send.reconsume_times,
            prepared_transaction_offset: 0,
        };
        record.packed()
    }

    /// The whole reply, its body decompressed up to `limit` bytes.
    ///
    /// # Errors
    /// The body is damaged, too large, or of a compression that is not built in.
    pub fn message(&self, body: &[u8], limit: usize) -> Result<MessageView, ProtocolError> {
        self.packed(body)
            .unpack(limit)
            .map_err(|unreadable| unreadable.error)
    }
}

impl Fields for PushedReply {
    fn visit(&self, sink: &mut dyn FieldSink) {
        V1(&self.send.header()).visit(sink);
        for (field, host) in [
            ("bornHost", &self.born_host),
            ("storeHost", &self.store_host),
        ] {
            if let Some(host) = host {
                sink.display(field, host);
            }
        }
        sink.display("storeTimestamp", &self.store_timestamp);
    }
}

/// Java writes `host:port`, for IPv6 too, without brackets.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some(SocketAddr::new(host.parse().ok()?, port.parse().ok()?))
}

/// Writes the number of a request as Java's clients write theirs: a random UUID.
///
/// The six bits that say so (version 4, variant 1) are set here. A caller that generates a number
/// sets them with [`correlation`], so that it reads back unchanged.
pub fn correlation_text(number: u128) -> String {
    let hex = format!("{:032x}", correlation(number));
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

/// A number with the bits of a random UUID.
pub fn correlation(number: u128) -> u128 {
    let version = number & !(0xF << 76) | 4 << 76;
    version & !(3 << 62) | 2 << 62
}

/// Reads the number in a message's correlation id; `None` if it has none, or one that is not ours.
pub fn correlation_of(properties: &Properties) -> Option<u128> {
    let text = properties.get(name::CORRELATION_ID)?;
    let well_formed = text.len() == 36
        && text.bytes().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    well_formed.then(|| u128::from_str_radix(&text.replace('-', ""), 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{compress, sys_flag};

    fn pushed(body_flag: i32) -> PushedReply {
        let text = [("CORRELATION_ID", "c"), ("MSG_TYPE", "reply")];
        PushedReply {
            send: SendRequest {
                producer_group: "g".into(),
                topic: "DefaultCluster_REPLY_TOPIC".into(),
                default_topic: "TBW102".into(),
                default_topic_queue_nums: 4,
                queue_id: 1,
                sys_flag: body_flag,
                born_timestamp: 5,
                flag: 6,
                properties: properties::encode(text.into_iter()),
                reconsume_times: 0,
                unit_mode: false,
                max_reconsume_times: None,
                batch: false,
                broker_name: None,
            },
            born_host: Some("127.0.0.1:1234".parse().unwrap()),
            store_host: Some("[::1]:10911".parse().unwrap()),
            store_timestamp: 9,
        }
    }

    #[test]
    fn a_pushed_reply_reads_back() {
        let header = pushed(0);
        let mut ext = ExtFields::new();
        header.visit(&mut ext);
        assert_eq!(ext.get("producerGroup"), Some("g"));
        assert_eq!(PushedReply::decode(&ext).unwrap(), header);
        ext.push("storeHost", "0:0:0:0:0:0:0:1:10911");
        assert_eq!(PushedReply::decode(&ext).unwrap(), header);
        ext.push("storeHost", "no address");
        assert_eq!(PushedReply::decode(&ext).unwrap().store_host, None);
        let properties = "p".repeat(properties::MAX_LEN);
        ext.push("properties", &properties);
        assert!(PushedReply::decode(&ext).is_ok());
        ext.push("properties", &(properties + "p"));
        assert!(PushedReply::decode(&ext).is_err());
        ext.push("properties", "");
        ext.push("sysFlag", "x");
        assert!(PushedReply::decode(&ext).is_err());
        assert!(PushedReply::decode(&ExtFields::new()).is_err());
    }

    #[test]
    fn a_compressed_reply_is_inflated_up_to_the_limit() {
        let header = pushed(sys_flag::COMPRESSED | sys_flag::COMPRESSION_ZLIB);
        let body = b"reply ".repeat(1000);
        let packed = compress::zlib(&body, 5);
        let message = header.message(&packed, body.len()).unwrap();
        assert_eq!(message.body(), body);
        assert_eq!(message.property("MSG_TYPE"), Some("reply"));
        assert!(header.message(&packed, body.len() - 1).is_err());
        assert!(header.message(b"damaged", 1000).is_err());
        assert_eq!(pushed(0).message(b"plain", 0).unwrap().body(), b"plain");
    }

    #[test]
    fn correlation_ids_are_uuids_and_read_back() {
        for number in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            let number = correlation(number);
            let text = correlation_text(number);
            let parts: Vec<usize> = text.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12]);
            assert_eq!(&text[14..15], "4");
            assert!("89ab".contains(&text[19..20]));
            let with = |text: String| Properties::from_iter([(name::CORRELATION_ID, text)]);
            assert_eq!(correlation_of(&with(text.clone())), Some(number));
            assert_eq!(correlation_of(&with(text.replace('-', "+"))), None);
            assert_eq!(correlation_of(&with(text[1..].to_owned())), None);
        }
        assert_eq!(correlation_of(&Properties::new()), None);
    }
}
