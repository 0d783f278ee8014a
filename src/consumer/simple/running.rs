//! A simple consumer that runs: its start and its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::SimpleConfig;
use super::held::Held;
use super::member::SimpleMember;
use super::shared::{Calls, Receiving, SimpleShared};
use crate::client::{Client, ClientCore, Gathering, Membership, RouteListener};
use crate::consumer::LOG;
use crate::consumer::admission::{WITHIN, ask_filters, check_filters, no_access};
use crate::consumer::consume::Trace;
use crate::consumer::observe::{Counters, ShutdownReport};
use crate::consumer::pop::{PopSettings, PopShared, no_pop};
use crate::consumer::running::find_topic;
use crate::consumer::topics::{Topics, masters_of};
use crate::error::{Error, Result};
use crate::logging;
use crate::protocol::code::{request, response};
use crate::protocol::consumer::pop::PollingQuery;
use crate::sync::Mutex;
use crate::transport::{Deadline, Request, Threads, epoch_millis};

/// How long dropping the last handle may take.
const DROP_WITHIN: Duration = Duration::from_secs(3);

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
        for (topic, _) in topics.iter() {
            find_topic(&client, topic, deadline)?;
        }
        admit(&topics, &group, &core)?;
        let counters: Arc<Counters> = Arc::default();
        let counted = counters.clone();
        let lost = move |records| counted.trace_lost.add(records);
        let trace = Trace::start(&client, &config.group, config.trace_topic.as_ref(), lost);
        let settings = PopSettings {
            start_from: config.start_from,
            is_ordered: config.is_ordered,
            max_attempts: config.max_attempts,
        };
        let topics = Arc::new(topics);
        let pop = PopShared::new(settings, group, topics, core.clone(), counters);
        let shared = Arc::new(SimpleShared {
            config,
            pop: Arc::new(pop),
            held: Held::default(),
            calls: Calls::default(),
            receiving: Receiving::new(Instant::now()),
            trace,
        });
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
        if self.client.inner().remoting.process.is_forked() {
            return ShutdownReport::default();
        }
        let deadline = Deadline::after(Instant::now(), most);
        let shared = &self.shared;
        shared.pop.close();
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
        shared.pop.end();
        let mut result = ShutdownReport {
            running: shared.held.left(),
            ..ShutdownReport::default()
        };
        if let Some(membership) = self.membership.lock().take() {
            membership.unregister(deadline);
        }
        if let Some(trace) = &shared.trace {
            trace.close(deadline.share(Instant::now(), 4));
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

/// Asks the brokers of the topics whose routes are known, before the consumer joins its group. What they do not
/// say now, the first receive will find out.
///
/// # Errors
/// `Broker`: a broker has no POP, or refuses access. `Config`: one refuses a filter.
fn admit(topics: &Topics, group: &Arc<str>, core: &ClientCore) -> Result<()> {
    let mut gathering = Gathering::new(core, Deadline::after(Instant::now(), WITHIN));
    let mut pops = Vec::new();
    for (topic, _) in topics.iter() {
        let header = PollingQuery {
            consumer_group: group.to_string(),
            topic: topic.to_string(),
            queue_id: -1,
            broker_name: None,
        };
        let asked = Request::new(request::POLLING_INFO, &header);
        for broker in masters_of(topic, core) {
            let place = gathering.ask(&broker, &asked);
            pops.push((topic, broker, place));
        }
    }
    let filters = ask_filters(topics, group, core, &mut gathering);
    let answers = gathering.answers();
    for (topic, broker, place) in pops {
        let Some(answer) = &answers[place] else {
            continue;
        };
        let refusal = match answer.code {
            response::REQUEST_CODE_NOT_SUPPORTED => {
                let error = Error::response(answer.code, answer.remark.as_deref());
                Some(no_pop(error))
            }
            _ => no_access(answer),
        };
        if let Some(error) = refusal {
            let topic = topics.names().for_users(topic);
            return Err(error.at(&broker).on_topic(&topic));
        }
    }
    check_filters(filters, &answers, topics)
}
