use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::protocol::id::{self, UniqueKeys};

/// The identity of this client at brokers, the source of its message ids, and its process.
pub(crate) struct Identity {
    client_id: String,
    pub(crate) process: Process,
    ip: IpAddr,
    keys: UniqueKeys,
    counter: AtomicU16,
}

impl Identity {
    /// `instance` is generated if it is not set, so that every client differs.
    pub(crate) fn new(ip: IpAddr, instance: Option<&str>, unit: Option<&str>) -> Identity {
        let random = RandomState::new().hash_one(process::id());
        let process_id = process::id();
        let instance = instance.map_or_else(|| format!("{process_id}#{random:x}"), str::to_owned);
        let unit = unit.map(|unit| format!("@{unit}")).unwrap_or_default();
        Identity {
            process: Process::current(),
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

    /// A new unique key for a message made at this time.
    pub(crate) fn unique_key(&self, epoch_millis: i64) -> String {
        let mut key = String::with_capacity(self.keys.len());
        self.push_unique_key(epoch_millis, &mut key);
        key
    }

    /// Appends one.
    pub(crate) fn push_unique_key(&self, epoch_millis: i64, text: &mut String) {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        let time = id::millis_of_month(epoch_millis - HALF_A_DAY);
        self.keys.push(time, counter, text);
    }
}

/// Java's tools read the time in a key as local time, and search messages stored from then on. West
/// of UTC that would be too late; half a day earlier is safe everywhere.
const HALF_A_DAY: i64 = 12 * 3600 * 1000;

/// Now, as messages carry it.
pub(crate) fn epoch_millis() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
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

/// The process that a client belongs to.
///
/// A fork has the client's sockets but none of its threads: its writes would mix with those of the
/// parent, and its shutdown would close the parent's connections. So calls in a fork are refused:
/// all calls except sends check each time, sends check at intervals.
pub(crate) struct Process(u32);

thread_local! {
    /// The process id of the last check, and its time.
    static LOOKED: Cell<Option<(u32, Instant)>> = const { Cell::new(None) };
}

/// The interval at which the sends of a thread check: at this rate the system call costs nothing.
const EVERY: Duration = Duration::from_millis(100);

impl Process {
    pub(crate) fn current() -> Process {
        Process(process::id())
    }

    /// Whether the current process is a fork of it. A system call.
    pub(crate) fn is_forked(&self) -> bool {
        process::id() != self.0
    }

    /// The same for every send: this thread's check of less than a tenth of a second ago is still
    /// valid.
    pub(crate) fn is_forked_at(&self, now: Instant) -> bool {
        let looked = LOOKED.get();
        let looked = looked.filter(|(_, at)| now.saturating_duration_since(*at) < EVERY);
        let (here, _) = looked.unwrap_or_else(|| {
            let looked = (process::id(), now);
            LOOKED.set(Some(looked));
            looked
        });
        // A check from before the fork is not valid for a client of the fork.
        here != self.0 && self.is_forked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_have_the_length_of_their_address() {
        let identity = Identity::new(Ipv4Addr::LOCALHOST.into(), None, None);
        let now = epoch_millis();
        let (a, b) = (identity.unique_key(now), identity.unique_key(now));
        assert_ne!(a, b);
        assert_eq!((a.len(), &a[..8]), (32, "7F000001"));
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

    /// In a fork, its own clients exist beside those of its parent.
    #[test]
    fn a_check_for_one_client_is_not_valid_for_a_client_of_another_process() {
        let (own, parents) = (Process::current(), Process(process::id() + 1));
        let now = Instant::now();
        for _ in 0..2 {
            assert!(!own.is_forked_at(now));
            assert!(parents.is_forked_at(now));
        }
        // Like a check of the parent just before the fork.
        LOOKED.set(Some((parents.0, now)));
        assert!(!own.is_forked_at(now));
    }

    /// A thread that has not sent for a while, such as one that forks workers, checks.
    #[test]
    fn a_thread_checks_again_after_a_tenth_of_a_second() {
        let parents = Process(process::id() + 1);
        let now = Instant::now();
        LOOKED.set(Some((parents.0, now)));
        assert!(!parents.is_forked_at(now + EVERY / 2));
        assert!(parents.is_forked_at(now + EVERY));
    }
}
