//! Whether a group may pull from a queue, and by which filter.

use super::filter::Filter;
use crate::embedded::broker::BrokerState;
use crate::protocol::Command;
use crate::protocol::code::{request, response};
use crate::protocol::consumer::member::MessageModel;
use crate::protocol::consumer::pull::{PullRequest, flag};
use crate::protocol::consumer::subscription::{SQL92, Subscription, TAG};
use crate::protocol::route::perm;

/// A code other than success, its remark, and the kind of prohibition.
pub(super) struct Refused {
    pub(super) code: i32,
    pub(super) remark: String,
    forbidden: Option<&'static str>,
}

/// The kinds of prohibition.
const BROKER_FORBIDDEN: &str = "1";
const GROUP_FORBIDDEN: &str = "2";
const TOPIC_FORBIDDEN: &str = "3";
const BROADCASTING_FORBIDDEN: &str = "4";

impl Refused {
    pub(super) fn new(code: i32, remark: impl Into<String>) -> Refused {
        Refused {
            code,
            remark: remark.into(),
            forbidden: None,
        }
    }

    fn forbidden(what: &'static str, remark: String) -> Refused {
        Refused {
            code: response::NO_PERMISSION,
            remark,
            forbidden: Some(what),
        }
    }

    pub(super) fn answer(self, broker: &BrokerState, request: &Command) -> Command {
        let mut answer = Command::response_to(request, self.code).with_remark(self.remark);
        if let Some(forbidden) = self.forbidden.filter(|_| broker.settings.release.is_5()) {
            answer.ext.push("forbiddenType", forbidden);
        }
        answer
    }
}

/// Checks a pull in the order in which brokers do.
pub(super) fn check_pull(
    broker: &BrokerState,
    code: i32,
    pull: &PullRequest<'_>,
    consumer: impl std::fmt::Display,
) -> Result<Filter, Refused> {
    if code == request::LITE_PULL_MESSAGE && !broker.settings.lite_pull {
        let ip = broker.address.ip();
        let remark = format!("the broker[{ip}] for lite pull consumer is forbidden");
        return Err(Refused::forbidden(BROKER_FORBIDDEN, remark));
    }
    let group = &*pull.consumer_group;
    let broadcast = check_group(broker, group)?;
    check_queue(broker, &pull.topic, pull.queue_id, consumer)?;
    let subscription = match pull.sys_flag & flag::SUBSCRIPTION {
        0 => subscription_of(broker, pull, broadcast)?,
        _ => {
            let expression = pull.subscription.as_deref().unwrap_or_default();
            build(&pull.topic, expression, pull.expression_type.as_deref()).map_err(|_| {
                let remark = "parse the consumer's subscription failed";
                Refused::new(response::SUBSCRIPTION_PARSE_FAILED, remark)
            })?
        }
    };
    check_filter_type(broker, &subscription.expression_type)?;
    let from_request = pull.sys_flag & flag::SUBSCRIPTION != 0;
    Filter::of(&subscription).map_err(|_| match from_request {
        true => {
            let remark = "parse the consumer's subscription failed";
            Refused::new(response::SUBSCRIPTION_PARSE_FAILED, remark)
        }
        false => {
            let remark =
                "The broker's consumer filter data is not exist!Your expression may be wrong!";
            Refused::new(response::FILTER_DATA_NOT_EXIST, remark)
        }
    })
}

/// Checks that the group exists and may consume; returns whether it may broadcast.
pub(super) fn check_group(broker: &BrokerState, group: &str) -> Result<bool, Refused> {
    let Some(config) = broker.configs.find(group) else {
        let remark = format!("subscription group [{group}] does not exist, {SEE_FAQ}");
        let code = response::SUBSCRIPTION_GROUP_NOT_EXIST;
        return Err(Refused::new(code, remark));
    };
    if !config.consume {
        let remark = format!("subscription group no permission, {group}");
        return Err(Refused::forbidden(GROUP_FORBIDDEN, remark));
    }
    Ok(config.broadcast)
}

/// Checks that the queue exists and may be read.
pub(super) fn check_queue(
    broker: &BrokerState,
    topic: &str,
    queue_id: i32,
    consumer: impl std::fmt::Display,
) -> Result<(), Refused> {
    let queues = check_topic(broker, topic)?;
    if (0..queues).contains(&queue_id) {
        return Ok(());
    }
    let remark = format!(
        "queueId[{queue_id}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{queues}] \
         consumer:[{consumer}]"
    );
    let code = match broker.settings.release.is_5() {
        true => response::INVALID_PARAMETER,
        false => response::SYSTEM_ERROR,
    };
    Err(Refused::new(code, remark))
}

/// Checks that the topic exists and may be read; returns its number of readable queues.
pub(super) fn check_topic(broker: &BrokerState, topic: &str) -> Result<i32, Refused> {
    let Some((_, config)) = broker.topics.find(topic, broker.index) else {
        let remark = format!("topic[{topic}] not exist, apply first please! {SEE_FAQ}");
        return Err(Refused::new(response::TOPIC_NOT_EXIST, remark));
    };
    if config.perm & perm::READ == 0 {
        let remark = format!("the topic[{topic}] pulling message is forbidden");
        return Err(Refused::forbidden(TOPIC_FORBIDDEN, remark));
    }
    Ok(config.read_queues)
}

/// Checks that the broker serves filters of this type.
pub(super) fn check_filter_type(broker: &BrokerState, kind: &str) -> Result<(), Refused> {
    if is_tags(kind) || broker.settings.sql_filters {
        return Ok(());
    }
    let remark = format!("The broker does not support consumer to filter message by {kind}");
    Err(Refused::new(response::SYSTEM_ERROR, remark))
}

/// The subscription in a request.
pub(super) fn build(
    topic: &str,
    expression: &str,
    kind: Option<&str>,
) -> Result<Subscription, crate::protocol::ProtocolError> {
    match kind {
        Some(kind) if !is_tags(kind) => {
            let sql = Subscription::sql(topic, expression, 0)?;
            Ok(Subscription {
                expression_type: kind.to_owned(),
                ..sql
            })
        }
        _ => Subscription::tags(topic, expression, 0),
    }
}

fn is_tags(kind: &str) -> bool {
    kind.is_empty() || kind == TAG
}

/// The group's subscription, by heartbeats.
fn subscription_of(
    broker: &BrokerState,
    pull: &PullRequest<'_>,
    broadcast: bool,
) -> Result<Subscription, Refused> {
    let (group, topic) = (&*pull.consumer_group, &*pull.topic);
    let not_exist = |what| {
        let remark = format!("the consumer's {what} not exist{SEE_FAQ}");
        Refused::new(response::SUBSCRIPTION_NOT_EXIST, remark)
    };
    let Some(model) = broker.members.message_model(group) else {
        return Err(not_exist("group info"));
    };
    if model == MessageModel::Broadcasting && !broadcast {
        let remark = format!("the consumer group[{group}] can not consume by broadcast way");
        return Err(Refused::forbidden(BROADCASTING_FORBIDDEN, remark));
    }
    let Some(subscription) = broker.members.subscription(group, topic) else {
        return Err(not_exist("subscription"));
    };
    if subscription.sub_version < pull.sub_version {
        let remark = "the consumer's subscription not latest";
        return Err(Refused::new(response::SUBSCRIPTION_NOT_LATEST, remark));
    }
    Ok(subscription)
}

const SEE_FAQ: &str =
    "See https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

/// The type of filters that are conditions on properties.
pub(super) fn is_sql(kind: &str) -> bool {
    kind == SQL92
}
