//! A message to be written as a broker stores it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::layout::{Layout, MAGIC_V1, MAGIC_V2, SHORTEST, checksum, len16, len32};
use super::packed::Packed;
use super::sys_flag;
use crate::message::{Fixed, MessageView, StoredParts};
use crate::protocol::ProtocolError;

/// Everything that a broker stores of a message, to be written.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The body as it is stored: compressed if the system flag says so.
    pub body: &'a [u8],
    /// The properties in their [text form](super::properties).
    pub properties: &'a str,
    /// The sender's flag.
    pub flag: i32,
    /// See [`sys_flag`]; the bits of the address families are set to what the addresses are.
    pub sys_flag: i32,
    /// The queue's number.
    pub queue_id: i32,
    /// Position in the queue.
    pub queue_offset: i64,
    /// Position in the commit log.
    pub commit_log_offset: i64,
    /// When the sender made it, epoch milliseconds.
    pub born_timestamp: i64,
    /// The sender's address.
    pub born_host: SocketAddr,
    /// When the broker stored it, epoch milliseconds.
    pub store_timestamp: i64,
    /// The broker's own address.
    pub store_host: SocketAddr,
    /// How often consumers sent it back.
    pub reconsume_times: i32,
    /// Commit log offset of the half message, for a committed one.
    pub prepared_transaction_offset: i64,
}

#[cfg(test)]
impl<'a> Record<'a> {
    /// The first message of a queue, from here, for tests.
    pub(crate) fn plain(topic: &'a str, body: &'a [u8]) -> Record<'a> {
        let host = ([127, 0, 0, 1], 1).into();
        Record {
            topic,
            body,
            properties: "",
            flag: 0,
            sys_flag: 0,
            queue_id: 0,
            queue_offset: 0,
            commit_log_offset: 0,
            born_timestamp: 0,
            born_host: host,
            store_timestamp: 0,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
        }
    }
}

impl Record<'_> {
    /// Appends the stored form.
    ///
    /// # Errors
    /// A part is longer than its length field can say; nothing is appended then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        let long_topic = self.topic.len() > usize::from(u8::MAX >> 1);
        let magic = if long_topic { MAGIC_V2 } else { MAGIC_V1 };
        let address_len = |address: SocketAddr| if address.is_ipv6() { 12 } else { 0 };
        let size = SHORTEST
            + address_len(self.born_host)
            + address_len(self.store_host)
            + usize::from(long_topic)
            + self.body.len()
            + self.topic.len()
            + self.properties.len();
        let size = len32(size)?;
        let body_len = len32(self.body.len())?;
        let topic_len = len16(self.topic.len())?;
        let properties_len = len16(self.properties.len())?;
        out.extend_from_slice(&size);
        out.extend_from_slice(&magic.to_be_bytes());
        out.extend_from_slice(&checksum(self.body).to_be_bytes());
        out.extend_from_slice(&self.queue_id.to_be_bytes());
        out.extend_from_slice(&self.flag.to_be_bytes());
        out.extend_from_slice(&self.queue_offset.to_be_bytes());
        out.extend_from_slice(&self.commit_log_offset.to_be_bytes());
        out.extend_from_slice(&self.flags().to_be_bytes());
        out.extend_from_slice(&self.born_timestamp.to_be_bytes());
        put_address(self.born_host, out);
        out.extend_from_slice(&self.store_timestamp.to_be_bytes());
        put_address(self.store_host, out);
        out.extend_from_slice(&self.reconsume_times.to_be_bytes());
        out.extend_from_slice(&self.prepared_transaction_offset.to_be_bytes());
        out.extend_from_slice(&body_len);
        out.extend_from_slice(self.body);
        out.extend_from_slice(&topic_len[usize::from(!long_topic)..]);
        out.extend_from_slice(self.topic.as_bytes());
        out.extend_from_slice(&properties_len);
        out.extend_from_slice(self.properties.as_bytes());
        Ok(())
    }

    /// The same message as one that was read, its body still as it is stored.
    pub fn packed(&self) -> Packed {
        let parts = [self.body, self.topic.as_bytes(), self.properties.as_bytes()];
        let bytes = parts.concat();
        let (body_end, properties_start) = (self.body.len(), self.body.len() + self.topic.len());
        Packed::new(Layout {
            crc: 0,
            parts: StoredParts {
                body: 0..body_end,
                topic: body_end..properties_start,
                properties: properties_start..bytes.len(),
                bytes: Arc::new(bytes),
                fixed: self.fixed(),
            },
        })
    }

    /// The same message as one that was read.
    ///
    /// # Errors
    /// The body is damaged, inflates to more than `limit` bytes, or is of a compression that is not
    /// built in.
    pub fn view(&self, limit: usize) -> Result<MessageView, ProtocolError> {
        self.packed().unpack(limit).map_err(ProtocolError::from)
    }

    fn flags(&self) -> i32 {
        let mut flags = self.sys_flag & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6);
        if self.born_host.is_ipv6() {
            flags |= sys_flag::BORN_HOST_V6;
        }
        if self.store_host.is_ipv6() {
            flags |= sys_flag::STORE_HOST_V6;
        }
        flags
    }

    fn fixed(&self) -> Fixed {
        Fixed {
            flag: self.flag,
            sys_flag: self.flags(),
            queue_id: self.queue_id,
            queue_offset: self.queue_offset,
            commit_log_offset: self.commit_log_offset,
            born_timestamp: self.born_timestamp,
            born_host: self.born_host,
            store_timestamp: self.store_timestamp,
            store_host: self.store_host,
            reconsume_times: self.reconsume_times,
            prepared_transaction_offset: self.prepared_transaction_offset,
        }
    }
}

fn put_address(address: SocketAddr, out: &mut Vec<u8>) {
    match address.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&u32::from(address.port()).to_be_bytes());
}
