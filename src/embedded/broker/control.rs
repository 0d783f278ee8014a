use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::groups;
use super::state::BrokerState;
use super::transactions::{Transaction, check_transactions};
use crate::embedded::faults::{Fault, Injected};
use crate::embedded::groups::Kind;
use crate::embedded::server::{Accept, Server};

/// One broker of a [`Cluster`](crate::embedded::Cluster): always a master.
pub struct Broker {
    pub(in crate::embedded) server: Server,
    pub(in crate::embedded) state: Arc<BrokerState>,
}

impl Broker {
    /// Its name: `broker-a`, `broker-b`, ..
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Where it listens; it stays the same over restarts.
    pub fn address(&self) -> SocketAddr {
        self.state.address
    }

    /// Whether it is up: not killed, or restarted.
    pub fn is_up(&self) -> bool {
        self.server.is_up()
    }

    /// Leaves the routes, stops listening and breaks every connection, at once (`kill -9`). Does nothing
    /// if the broker is down.
    ///
    /// State on the disk of a real broker stays: messages, groups, and the offsets that were committed
    /// before they were last written (each 5 s by the cluster's clock, from its start on). State in
    /// memory is lost: later commits, members, locks, and requests that wait for a later answer.
    /// Delayed messages that become due meanwhile are delivered after the restart.
    pub fn kill(&self) {
        self.state.topics.set_alive(self.state.index, false);
        self.server.stop();
        self.state.forget();
    }

    /// As [`kill`](Broker::kill), but in order: no commit is lost.
    pub fn shut_down(&self) {
        self.state.topics.set_alive(self.state.index, false);
        self.server.stop();
        self.state.offsets.flush();
        self.state.forget();
    }

    /// Listens on the same port again and is back in the routes. Does nothing if it is up.
    ///
    /// # Errors
    /// The port cannot be had within five seconds, or no thread can be started.
    pub fn restart(&self) -> io::Result<()> {
        self.server.restart()?;
        self.state.delays.set_down(self.state.index, false);
        self.state.topics.set_alive(self.state.index, true);
        Ok(())
    }

    /// Breaks every connection, but goes on listening. Returns at once; the connections' threads
    /// notice a little later.
    pub fn disconnect_all(&self) {
        self.server.disconnect_all();
    }

    /// What happens to new connections from now on; default: [`Accept::Serve`]. A connection that
    /// the server has not accepted yet is a new one.
    pub fn set_accept(&self, accept: Accept) {
        self.server.set_accept(accept);
    }

    /// Makes something go wrong. Of several faults that match a request, the one injected first
    /// happens. Faults outlive a restart.
    pub fn inject(&self, fault: Fault) -> Injected {
        self.server.faults().inject(fault)
    }

    /// Ends all faults. Requests held at a gate stay there until it opens.
    pub fn clear_faults(&self) {
        self.server.faults().clear();
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Waits until exactly `count` connections are open; `false` at the timeout. A client's connect
    /// returns before the server has accepted the connection.
    pub fn wait_for_connections(&self, count: usize, timeout: Duration) -> bool {
        self.server.wait_for_connections(count, timeout)
    }

    /// The producers it knows from heartbeats: client ids by group. A client is forgotten when it
    /// unregisters, when its connection ends, and 120 s after its last heartbeat. That time runs with the
    /// system's clock, as heartbeats do: to move the [clock](crate::embedded#the-clock) expires nobody, and
    /// with a manual clock only [`forget_client`](Broker::forget_client) does.
    pub fn producers(&self) -> BTreeMap<String, Vec<String>> {
        groups::expire(&self.state);
        self.state.members.client_ids(Kind::Producer)
    }

    /// The consumers that it knows from heartbeats, as [`producers`](Broker::producers).
    pub fn consumers(&self) -> BTreeMap<String, Vec<String>> {
        groups::expire(&self.state);
        self.state.members.client_ids(Kind::Consumer)
    }

    /// Forgets a client in all groups, as if it had been silent for 120 s. Its connection stays, and its
    /// next heartbeat brings it back.
    pub fn forget_client(&self, client_id: &str) {
        groups::forget(&self.state, client_id);
    }

    /// Whether notifications of changed groups (40) get lost from now on. Default: no.
    pub fn drop_notifications(&self, drop: bool) {
        self.state.knobs.set_drop_notifications(drop);
    }

    /// The broker id that answers to pulls suggest from now on, for the next pull. Default: 0,
    /// the master.
    pub fn suggest_broker(&self, id: i64) {
        self.state.knobs.set_suggested_broker(id);
    }

    /// Changes what the broker says of a group's members (38, 203) from now on: `edit` gets their ids, in
    /// the order in which they joined, and returns those that are listed. No member is notified.
    ///
    /// ```
    /// # use rocketmq_blocking::embedded::Cluster;
    /// let cluster = Cluster::builder().brokers(2).start()?;
    /// // broker-b lists no members.
    /// cluster.broker("broker-b").edit_members("billing", |_| Vec::new());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn edit_members(
        &self,
        group: &str,
        edit: impl Fn(Vec<String>) -> Vec<String> + Send + Sync + 'static,
    ) {
        self.state
            .knobs
            .set_member_list(group, Some(Arc::new(edit)));
    }

    /// Undoes [`edit_members`](Broker::edit_members).
    pub fn list_true_members(&self, group: &str) {
        self.state.knobs.set_member_list(group, None);
    }

    /// The transactions whose half messages this broker stored, ended or not, in order of arrival.
    pub fn transactions(&self) -> Vec<Transaction> {
        let all = self.state.transactions.all().into_iter();
        all.filter(|one| one.half().broker() == self.name())
            .collect()
    }

    /// Asks, for each open transaction, a producer of its group about the end. Returns the number of
    /// questions that went out. A transaction whose group is not connected waits for the next call.
    pub fn check_transactions(&self) -> usize {
        groups::expire(&self.state);
        check_transactions(&self.state)
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("name", &self.state.name)
            .field("address", &self.state.address)
            .finish_non_exhaustive()
    }
}
