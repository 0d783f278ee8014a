use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process;
use std::sync::atomic::AtomicU16;

use crate::protocol::id::UniqueKeys;

/// The identity of this client at brokers, and the source of its messages' unique keys.
pub(crate) struct Identity {
    client_id: String,
    ip: IpAddr,
    pub(crate) keys: UniqueKeys,
    /// The number of the next key.
    pub(crate) counter: AtomicU16,
}

impl Identity {
    /// `instance` is generated if it is not set, so that every client differs.
    pub(crate) fn new(ip: IpAddr, instance: Option<&str>, unit: Option<&str>) -> Identity {
        let random = RandomState::new().hash_one(process::id());
        let process_id = process::id();
        let instance = instance.map_or_else(|| format!("{process_id}#{random:x}"), str::to_owned);
        let unit = unit.map(|unit| format!("@{unit}")).unwrap_or_default();
        Identity {
            client_id: format!("{ip}@{instance}{unit}"),
            ip,
            keys: UniqueKeys::new(ip, process_id as u16, (random >> 32) as u32),
            counter: AtomicU16::new(random as u16),
        }
    }

    /// `ip@instance`, or `ip@instance@unit`.
    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.ip
    }
}

/// The address by which this host would reach a peer. Connecting a UDP socket sends nothing.
pub(crate) fn local_ip(towards: Option<&str>) -> IpAddr {
    // Without a numeric peer, any address beyond this host will do: this one is for documentation.
    let peer = towards
        .and_then(|t| t.parse().ok())
        .unwrap_or(([192, 0, 2, 1], 9).into());
    let ask = || {
        let any: IpAddr = match peer {
            std::net::SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(peer).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    ask().unwrap_or(Ipv4Addr::LOCALHOST.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_has_the_instance_and_the_unit() {
        let identity = Identity::new(Ipv4Addr::LOCALHOST.into(), None, None);
        assert!(identity.client_id().starts_with("127.0.0.1@"));
        let named = Identity::new(Ipv4Addr::LOCALHOST.into(), Some("golden"), None);
        assert_eq!(named.client_id(), "127.0.0.1@golden");
        let unit = Identity::new(Ipv4Addr::LOCALHOST.into(), Some("golden"), Some("unit"));
        assert_eq!(unit.client_id(), "127.0.0.1@golden@unit");
    }

    #[test]
    fn loopback_peers_are_reached_by_loopback() {
        assert_eq!(
            local_ip(Some("127.0.0.1:9876")),
            IpAddr::from([127, 0, 0, 1])
        );
    }
}
