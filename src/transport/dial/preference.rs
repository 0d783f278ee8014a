use std::net::SocketAddr;

/// In which order the addresses behind one name are tried: as they were resolved, but those that
/// failed come last, and among them the one that failed last.
///
/// An address fails if it cannot be connected to, and also if connections to it are of no use: one
/// that accepts and is silent would otherwise get every new connection.
#[derive(Default)]
pub(crate) struct Preference {
    /// Those that failed, the latest one last. Never more than were resolved together.
    failed: Vec<SocketAddr>,
    /// The number of addresses at the last resolution.
    resolved: usize,
}

impl Preference {
    /// The order of the next dial.
    pub(super) fn order(&mut self, mut resolved: Vec<SocketAddr>) -> Vec<SocketAddr> {
        self.failed.retain(|address| resolved.contains(address));
        self.resolved = resolved.len();
        // Stable: addresses without a failure keep the resolver's order.
        resolved.sort_by_key(|address| self.place(address));
        resolved
    }

    /// Nothing came of this address.
    pub(super) fn failed(&mut self, address: SocketAddr) {
        self.worked(address);
        self.failed.push(address);
    }

    /// It answers.
    pub(super) fn worked(&mut self, address: SocketAddr) {
        self.failed.retain(|failed| *failed != address);
    }

    /// Whether the next dial begins with an address that has not failed.
    pub(super) fn has_other(&self) -> bool {
        self.failed.len() < self.resolved
    }

    fn place(&self, address: &SocketAddr) -> usize {
        let place = self.failed.iter().position(|failed| failed == address);
        place.map_or(0, |place| place + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(ports: &[u16]) -> Vec<SocketAddr> {
        let address = |port: &u16| SocketAddr::from(([127, 0, 0, 1], *port));
        ports.iter().map(address).collect()
    }

    #[test]
    fn a_failed_address_is_tried_last_until_it_works_again() {
        let mut preference = Preference::default();
        let order = |preference: &mut Preference, ports: &[u16]| {
            let order = preference.order(addresses(ports));
            order.iter().map(SocketAddr::port).collect::<Vec<_>>()
        };
        let one = |port| addresses(&[port])[0];
        assert_eq!(order(&mut preference, &[1, 2, 3]), [1, 2, 3]);
        preference.failed(one(1));
        assert_eq!(order(&mut preference, &[1, 2, 3]), [2, 3, 1]);
        preference.failed(one(3));
        assert_eq!(order(&mut preference, &[1, 2, 3]), [2, 1, 3]);
        assert!(preference.has_other());
        preference.failed(one(1));
        assert_eq!(order(&mut preference, &[1, 2, 3]), [2, 3, 1]);
        preference.failed(one(2));
        assert_eq!(order(&mut preference, &[1, 2, 3]), [3, 1, 2], "in turn");
        assert!(!preference.has_other(), "all have failed");
        preference.worked(one(1));
        assert_eq!(order(&mut preference, &[1, 2, 3]), [1, 3, 2]);
        assert_eq!(order(&mut preference, &[2, 4]), [4, 2]);
        assert_eq!(preference.failed, addresses(&[2]), "3 is no longer known");
    }
}
