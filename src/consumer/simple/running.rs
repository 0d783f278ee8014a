//! A simple consumer that runs: its start and its end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::SimpleConfig;
use super::member::SimpleMember;
use super::receive::no_pop;
use super::shared::SimpleShared;
use crate::client::{Client, Membership, RouteListener, epoch_millis};
use crate::consumer::LOG;
use crate::consumer::observe::ShutdownReport;
use crate::consumer::running::find_topic;
use crate::consumer::topics::{Topic, Topics};
use crate::error::{Error, ErrorKind, Result};
use crate::logging;
use crate::protocol::code::{request, response};
use crate::protocol::consumer::member::FilterCheck;
use crate::protocol::consumer::pop::PollingQuery;
use crate::sync::Mutex;
use crate::transport::{Deadline, Request, Threads};

/// How long dropping the last handle may take.
const DROP_WITHIN: Duration = Duration::from_secs(3);

/// How long the start waits for a broker.
const SOON: Duration = Duration::from_secs(3);

/// It is shut down when this is dropped.
pub(super) struct Running {
    pub(super) shared: Arc<SimpleShared>,
    pub(super) client: Client,
    owns_client: bool,
    membership: Mutex<Option<Membership>>,
    /// Locked for the whole of a shutdown.
    report: Mutex<Option<ShutdownReport>>,
    /// Hears of routes for as long as the consumer lives.
    _member: Arc<SimpleMember>,
}

impl Running {
    pub(super) fn start(
        config: SimpleConfig,
        client: Client,
        owns_client: bool,
    ) -> Result<Running> {
        let core = client.inner().clone();
        core.check_open()?;
        let deadline = Deadline::after(Instant::now(), config.start_timeout);
        let names = core.config.rpc.names();
        let group = names.on_wire(&config.group);
        let now = epoch_millis();
        let topics = Topics::new(&config.subscriptions, None, names, now)?;
        for (topic, subscribed) in topics.iter() {
            if find_topic(&client, topic, deadline)?.is_some() {
                check_brokers(&client, &group, topic, subscribed, deadline)?;
            }
        }
        let shared = Arc::new(SimpleShared::new(config, group, topics, core.clone()));
        let member = Arc::new(SimpleMember::new(shared.clone(), now));
        let membership = core.join(member.clone())?;
        let listener: Arc<dyn RouteListener> = member.clone();
        core.routes.listen(Arc::downgrade(&listener));
        Ok(Running {
            shared,
            client,
            owns_client,
            membership: Mutex::new(Some(membership)),
            report: Mutex::new(None),
            _member: member,
        })
    }

    pub(super) fn shut_down_within(&self, most: Duration) -> ShutdownReport {
        let deadline = Deadline::after(Instant::now(), most);
        let shared = &self.shared;
        shared.close();
        // It has no threads; a second caller waits for the first one.
        let threads = Threads::default();
        let Some(mut report) = threads.take_turn(&self.report, deadline) else {
            return ShutdownReport::default();
        };
        if let Some(report) = &*report {
            return report.clone();
        }
        let for_others = deadline.share(Instant::now(), 2);
        shared.held.wait_for_others(for_others);
        shared.end();
        let mut result = ShutdownReport {
            running: shared.held.left(),
            ..ShutdownReport::default()
        };
        if let Some(membership) = self.membership.lock().take() {
            membership.unregister(deadline);
        }
        if self.owns_client {
            let rest = deadline.remaining(Instant::now());
            result.stuck_threads = self.client.shutdown_within(rest).stuck_threads;
        }
        *report = Some(result.clone());
        result
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.report.lock().is_some() {
            return;
        }
        let report = self.shut_down_within(DROP_WITHIN);
        if !report.is_clean() {
            let group = &self.shared.config.group;
            logging::warn!(target: LOG, "consumer {group} dropped: {report}");
        }
    }
}

/// Whether the brokers of a topic have POP, and can evaluate its filter. One that does not answer now is asked
/// by the first receive.
///
/// # Errors
/// `Broker`: a broker has no POP. `Config`: one refuses the filter.
fn check_brokers(
    client: &Client,
    group: &Arc<str>,
    topic: &Arc<str>,
    subscribed: &Topic,
    deadline: Deadline,
) -> Result<()> {
    let core = client.inner();
    let users_topic = core.config.rpc.names().for_users(topic);
    let Some(route) = core.routes.known_route(topic, false) else {
        return Ok(());
    };
    let queues = route.subscribe().iter();
    let names: BTreeSet<&str> = queues.map(|queue| queue.broker()).collect();
    let brokers = core.routes.brokers();
    for name in names {
        let Some(address) = brokers.master(name) else {
            continue;
        };
        let soon = deadline.capped(Instant::now(), SOON);
        let header = PollingQuery {
            consumer_group: group.to_string(),
            topic: topic.to_string(),
            queue_id: -1,
            broker_name: Some(name.to_owned()),
        };
        let asked = Request::new(request::POLLING_INFO, &header);
        match core.remoting.invoke(address, &asked, soon) {
            Ok(answer) if answer.code == response::REQUEST_CODE_NOT_SUPPORTED => {
                let error = Error::response(answer.code, answer.remark.as_deref());
                return Err(no_pop(error).at(address).on_topic(&users_topic));
            }
            Ok(_) => {}
            // It is down.
            Err(_) => continue,
        }
        if subscribed.subscription.is_by_tags() {
            continue;
        }
        let check = FilterCheck {
            client_id: core.identity.client_id().to_owned(),
            group: group.to_string(),
            namespace: core.config.rpc.names().namespace().map(str::to_owned),
            subscription_data: subscribed.subscription.clone(),
        };
        let body = Arc::new(check.encode());
        let asked = Request::new(request::CHECK_CLIENT_CONFIG, &()).with_body(&body);
        match core.remoting.invoke(address, &asked, soon) {
            Ok(answer) if answer.code != response::SUCCESS => {
                let error = Error::response(answer.code, answer.remark.as_deref());
                let error = error.of_kind(ErrorKind::Config);
                return Err(error.at(address).on_topic(&users_topic));
            }
            _ => {}
        }
    }
    Ok(())
}
