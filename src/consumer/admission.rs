//! Checks with brokers before a consumer joins its group: a start that fails here has changed nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::Sharing;
use super::shared::Shared;
use super::topics::{Topics, masters_of};
use crate::client::{ClientCore, Gathering};
use crate::error::{Error, ErrorKind, Result, refuses_access};
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::consumer::asked::RunningInfoQuery;
use crate::protocol::consumer::member::{Connections, FilterCheck, GroupName};
use crate::transport::{Deadline, Request};

/// How long brokers have for all checks. A check without an answer by then has passed.
pub(crate) const WITHIN: Duration = Duration::from_secs(2);

/// The most brokers that are asked for the members: each of them knows all members.
const MOST_ASKED: usize = 8;

/// Asks the brokers of the topics whose routes are known.
///
/// # Errors
/// `Config`: a broker refuses a filter, another client with this consumer's id is a member, or other members
/// subscribe differently (with `strict_subscriptions`).
pub(crate) fn admit(shared: &Shared, core: &ClientCore) -> Result<()> {
    let deadline = Deadline::after(Instant::now(), WITHIN);
    let mut gathering = Gathering::new(core, deadline);
    let filters = ask_filters(&shared.topics, &shared.group, core, &mut gathering);
    let groups = match shared.config.sharing {
        Sharing::Group => ask_groups(shared, core, &mut gathering),
        // Other members do not matter to it.
        Sharing::Everyone | Sharing::Fixed(_) => Vec::new(),
    };
    let answers = gathering.answers();
    check_filters(filters, &answers, &shared.topics)?;
    let mut twins = Vec::new();
    for (broker, place) in groups {
        let answer = answers[place].as_ref();
        let answer = answer.filter(|answer| answer.code == response::SUCCESS);
        let connections = answer.and_then(|answer| Connections::decode(&answer.body).ok());
        let Some(connections) = connections else {
            continue;
        };
        let members = &connections.connection_set;
        let me = core.identity.client_id();
        if let Some(twin) = members.iter().find(|member| member.client_id == me) {
            twins.push((broker, twin.client_addr.clone()));
        }
        let is_strict = shared.config.strict_subscriptions && !members.is_empty();
        let differences = shared.topics.differences(&connections.subscription_table);
        if let Some((topic, what)) = differences.into_iter().next().filter(|_| is_strict) {
            let group = &shared.config.group;
            let text =
                format!("the group {group} has a member that subscribes differently: {what}");
            return Err(Error::new(ErrorKind::Config, text).on_topic(&topic));
        }
    }
    match live(&twins, shared, core, deadline) {
        None => Ok(()),
        Some(address) => {
            let (group, me) = (&shared.config.group, core.identity.client_id());
            let text = format!(
                "the group {group} already has a member with the client id {me}, at {address}: set \
                 another instance_name"
            );
            Err(Error::new(ErrorKind::Config, text))
        }
    }
}

/// A filter that a broker checks.
pub(crate) struct AskedFilter {
    topic: Arc<str>,
    broker: Arc<str>,
    place: usize,
}

/// Asks whether brokers can evaluate the filters that are not by tags.
pub(crate) fn ask_filters(
    topics: &Topics,
    group: &Arc<str>,
    core: &ClientCore,
    gathering: &mut Gathering<'_>,
) -> Vec<AskedFilter> {
    let mut filters = Vec::new();
    for (topic, of_topic) in topics
        .iter()
        .filter(|(_, topic)| !topic.subscription.is_by_tags())
    {
        let check = FilterCheck {
            client_id: core.identity.client_id().to_owned(),
            group: group.to_string(),
            namespace: None,
            subscription_data: of_topic.subscription.clone(),
        };
        let body = Arc::new(check.encode());
        let check = Request::new(request::CHECK_CLIENT_CONFIG, &()).with_body(&body);
        filters.extend(
            masters_of(topic, core)
                .into_iter()
                .map(|broker| AskedFilter {
                    topic: topic.clone(),
                    place: gathering.ask(&broker, &check),
                    broker,
                }),
        );
    }
    filters
}

/// # Errors
/// `Config`: a broker refuses a filter.
pub(crate) fn check_filters(
    filters: Vec<AskedFilter>,
    answers: &[Option<Command>],
    topics: &Topics,
) -> Result<()> {
    for AskedFilter {
        topic,
        broker,
        place,
    } in filters
    {
        match &answers[place] {
            Some(answer) if !is_content(answer.code) => {
                let refused = Error::response(answer.code, answer.remark.as_deref());
                let topic = topics.names().for_users(&topic);
                return Err(refused
                    .of_kind(ErrorKind::Config)
                    .at(&broker)
                    .on_topic(&topic));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The error if a broker refuses access to the topic or the group; `None` for other answers.
pub(crate) fn no_access(answer: &Command) -> Option<Error> {
    let remark = answer.remark.as_deref();
    refuses_access(answer.code.into(), remark.unwrap_or_default())
        .then(|| Error::response(answer.code, remark))
}

/// Whether a broker accepts a filter. A broker that does not know the request accepts any.
fn is_content(code: i32) -> bool {
    matches!(
        code,
        response::SUCCESS | response::REQUEST_CODE_NOT_SUPPORTED
    )
}

/// The members of the group.
fn ask_groups(
    shared: &Shared,
    core: &ClientCore,
    gathering: &mut Gathering<'_>,
) -> Vec<(Arc<str>, usize)> {
    let header = GroupName {
        consumer_group: shared.group.to_string(),
    };
    let connections = Request::new(request::GET_CONSUMER_CONNECTION_LIST, &header);
    let brokers = shared.topics.masters(core).into_iter().take(MOST_ASKED);
    let asked = brokers.map(|broker| {
        let place = gathering.ask(&broker, &connections);
        (broker, place)
    });
    asked.collect()
}

/// The address of the first client with this consumer's id that lives. Brokers list a client for two minutes
/// after its connection was cut; only a living client answers.
fn live(
    twins: &[(Arc<str>, String)],
    shared: &Shared,
    core: &ClientCore,
    deadline: Deadline,
) -> Option<String> {
    let query = RunningInfoQuery {
        consumer_group: shared.group.to_string(),
        client_id: Some(core.identity.client_id().to_owned()),
        jstack: false,
    };
    let question = Request::new(request::GET_CONSUMER_RUNNING_INFO, &query);
    let mut gathering = Gathering::new(core, deadline);
    for (broker, _) in twins {
        gathering.ask(broker, &question);
    }
    let answers = gathering.answers().into_iter().zip(twins);
    let mut live = answers.filter_map(|(answer, (_, address))| {
        let is_live = answer.is_some_and(|answer| answer.code == response::SUCCESS);
        is_live.then(|| address.clone())
    });
    live.next()
}
