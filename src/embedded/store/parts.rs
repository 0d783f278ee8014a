//! The parts of a message, and the form in which brokers store and return messages.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use crate::message::name;
use crate::protocol::properties::{NAME_END, VALUE_END};
use crate::protocol::sys_flag;

/// The region that brokers name in their answers and in the messages.
pub(in crate::embedded) const REGION: &str = "DefaultRegion";
/// The name of the cluster that the brokers belong to.
pub(in crate::embedded) const CLUSTER_NAME: &str = "DefaultCluster";

/// Marks a stored message with a one-byte topic length.
const MAGIC_V1: i32 = -626_843_481;
/// Marks a stored message with a two-byte topic length.
const MAGIC_V2: i32 = -626_843_477;
/// The size of a stored message without body, topic, properties and hosts.
const FIXED: usize = 75;
/// The position of the message's place in the encoded form: two numbers of eight bytes.
const PLACE: usize = 20;

/// What a message consists of.
#[derive(Clone)]
pub(in crate::embedded) struct Parts<'a> {
    pub(in crate::embedded) broker: &'a Arc<str>,
    pub(in crate::embedded) topic: &'a Arc<str>,
    pub(in crate::embedded) producer_group: &'a Arc<str>,
    pub(in crate::embedded) queue_id: i32,
    pub(in crate::embedded) body: &'a [u8],
    /// The sender's own, in the text form.
    pub(in crate::embedded) properties: &'a str,
    pub(in crate::embedded) flag: i32,
    pub(in crate::embedded) sys_flag: i32,
    pub(in crate::embedded) reconsume_times: i32,
    pub(in crate::embedded) born_timestamp: i64,
    pub(in crate::embedded) born_host: SocketAddr,
    pub(in crate::embedded) store_host: SocketAddr,
    /// The place of the half message, for a committed one.
    pub(in crate::embedded) prepared_offset: i64,
}

/// Where a message is stored.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) queue_offset: i64,
    pub(super) commit_log_offset: i64,
    pub(super) store_timestamp: i64,
}

/// A whole message as consumers get it.
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    /// Where the body stands in it.
    pub(super) body: Range<usize>,
    /// Where the sender's properties stand in it.
    pub(super) properties: Range<usize>,
    store_timestamp_at: usize,
}

/// The properties that a broker adds.
fn added() -> [(&'static str, &'static str); 3] {
    [
        (name::MSG_REGION, REGION),
        (name::TRACE_ON, "true"),
        (name::CLUSTER, CLUSTER_NAME),
    ]
}

impl Parts<'_> {
    /// The size of the properties, those added by the broker included.
    pub(in crate::embedded) fn properties_len(&self) -> usize {
        let pairs = added().into_iter();
        let added: usize = pairs
            .map(|(name, value)| name.len() + value.len() + 2)
            .sum();
        self.properties.len() + usize::from(self.lacks_end()) + added
    }

    /// Clients before 5.2.0 leave out the last separator.
    fn lacks_end(&self) -> bool {
        !self.properties.is_empty() && !self.properties.ends_with(VALUE_END)
    }

    /// The size of the message in the commit log.
    pub(super) fn size(&self) -> usize {
        let hosts = host_len(self.born_host) + host_len(self.store_host);
        let long_topic = usize::from(self.has_long_topic());
        let texts = self.topic.len() + long_topic + self.properties_len();
        FIXED + hosts + self.body.len() + texts
    }

    fn has_long_topic(&self) -> bool {
        self.topic.len() > usize::from(u8::MAX >> 1)
    }

    /// The encoded form, without a place yet. The properties must fit, see
    /// [`properties_len`](Parts::properties_len).
    pub(super) fn encode(&self) -> Encoded {
        let mut flags = self.sys_flag & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6);
        if self.born_host.is_ipv6() {
            flags |= sys_flag::BORN_HOST_V6;
        }
        if self.store_host.is_ipv6() {
            flags |= sys_flag::STORE_HOST_V6;
        }
        let long_topic = self.has_long_topic();
        let magic = if long_topic { MAGIC_V2 } else { MAGIC_V1 };
        let mut crc = flate2::Crc::new();
        crc.update(self.body);
        let mut out = Vec::with_capacity(self.size());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&magic.to_be_bytes());
        // Brokers keep 31 bits of the checksum.
        out.extend_from_slice(&(crc.sum() & 0x7FFF_FFFF).to_be_bytes());
        out.extend_from_slice(&self.queue_id.to_be_bytes());
        out.extend_from_slice(&self.flag.to_be_bytes());
        // The place, not known yet.
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&flags.to_be_bytes());
        out.extend_from_slice(&self.born_timestamp.to_be_bytes());
        put_host(self.born_host, &mut out);
        out.extend_from_slice(&[0; 8]);
        put_host(self.store_host, &mut out);
        out.extend_from_slice(&self.reconsume_times.to_be_bytes());
        out.extend_from_slice(&self.prepared_offset.to_be_bytes());
        out.extend_from_slice(&len32(self.body.len()));
        let body = put(self.body, &mut out);
        out.extend_from_slice(&len16(self.topic.len())[usize::from(!long_topic)..]);
        put(self.topic.as_bytes(), &mut out);
        out.extend_from_slice(&len16(self.properties_len()));
        let properties = put(self.properties.as_bytes(), &mut out);
        if self.lacks_end() {
            put_char(VALUE_END, &mut out);
        }
        for (name, value) in added() {
            put(name.as_bytes(), &mut out);
            put_char(NAME_END, &mut out);
            put(value.as_bytes(), &mut out);
            put_char(VALUE_END, &mut out);
        }
        let total = len32(out.len());
        out[..4].copy_from_slice(&total);
        Encoded {
            bytes: out,
            body,
            properties,
            store_timestamp_at: 48 + host_len(self.born_host),
        }
    }
}

impl Encoded {
    /// Writes down where the message is stored.
    pub(super) fn place(&mut self, place: Place) {
        let mut put = |at: usize, value: i64| {
            self.bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
        };
        put(PLACE, place.queue_offset);
        put(PLACE + 8, place.commit_log_offset);
        put(self.store_timestamp_at, place.store_timestamp);
    }
}

fn host_len(host: SocketAddr) -> usize {
    match host {
        SocketAddr::V4(_) => 8,
        SocketAddr::V6(_) => 20,
    }
}

fn put_host(host: SocketAddr, out: &mut Vec<u8>) {
    match host.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&u32::from(host.port()).to_be_bytes());
}

fn put(bytes: &[u8], out: &mut Vec<u8>) -> Range<usize> {
    let start = out.len();
    out.extend_from_slice(bytes);
    start..out.len()
}

fn put_char(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// A stored message arrived in a frame of at most 16 MiB.
fn len32(len: usize) -> [u8; 4] {
    i32::try_from(len).unwrap_or(i32::MAX).to_be_bytes()
}

/// Topics and properties are checked before.
fn len16(len: usize) -> [u8; 2] {
    i16::try_from(len).unwrap_or(i16::MAX).to_be_bytes()
}
