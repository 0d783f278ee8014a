//! The settings of consumers.

use std::collections::BTreeSet;
use std::time::Duration;

use rocketmq_blocking::consumer::{OnCorrupt, PullConsumerBuilder, PushConsumerBuilder};
use rocketmq_blocking::{ErrorKind, MessageQueue, PullConsumer, PushConsumer, SimpleConsumer};

use super::{SETTINGS, Setting, assert_defaults_are_documented, is_shown, printed};
use super::{setters, settings_of};

/// Where their tables begin.
pub const BEGIN: &str = "\n# Of a consumer\n";

const OF_PUSH: &str = "\n# Of a push consumer\n";
const OF_PULL: &str = "\n# Of a pull consumer\n";

const OF_SIMPLE: &str = "\n# Of a simple consumer\n";

const SIMPLE: &str = "consumer/simple/builder.rs";
const PUSH: &str = "consumer/push/builder.rs";
const PULL: &str = "consumer/pull/builder.rs";

/// Those of a client, which its own table has.
const OF_CLIENT: &[&str] = &[
    "credentials",
    "instance_name",
    "name_server",
    "namespace",
    "tls",
];

/// The setters of `DefaultMQPushConsumer`, `DefaultLitePullConsumer` and `DefaultMQPullConsumer` of
/// 5.4.0.
pub const JAVA_SETTERS: &str = "addRegisterSubscriptions clearRegisterSubscriptions \
    registerMessageListener registerConsumeMessageHook registerMessageQueueListener \
    registerTopicMessageQueueChangeListener setAdjustThreadPoolNumsThreshold \
    setAllocateMessageQueueStrategy setAutoCommit setAutoCommitIntervalMillis \
    setAwaitTerminationMillisWhenShutdown setBrokerSuspendMaxTimeMillis setClientRebalance \
    setConnectBrokerByUser setConsumeConcurrentlyMaxSpan setConsumeFromWhere setConsumeMaxSpan \
    setConsumeMessageBatchMaxSize setConsumeThreadMax setConsumeThreadMin setConsumeTimeout \
    setConsumeTimestamp setConsumerGroup setConsumerPullTimeoutMillis \
    setConsumerTimeoutMillisWhenSuspend setCustomizedTraceTopic setDefaultBrokerId \
    setEnableMsgTrace setEnableRebalance setMaxReconsumeTimes setMessageListener setMessageModel \
    setMessageQueueListener setOffsetStore setPollTimeoutMillis setPopBatchNums \
    setPopInvisibleTime setPopThresholdForQueue setPostSubscriptionWhenPull setPullBatchSize \
    setPullBatchSizeInBytes setPullInterval setPullThreadNums setPullThresholdForAll \
    setPullThresholdForQueue setPullThresholdForTopic setPullThresholdSizeForQueue \
    setPullThresholdSizeForTopic setRegisterTopics setSubExpressionForAssign setSubscription \
    setSuspendCurrentQueueTimeMillis setTopicMetadataCheckIntervalMillis updateCorePoolSize";

/// The rows of the tables of both, of push consumers, and of pull consumers.
fn tables() -> [Vec<Setting>; 3] {
    let (_, rest) = SETTINGS.split_once(BEGIN).expect("the section");
    let (both, rest) = rest.split_once(OF_PUSH).expect("the section");
    let (push, pull) = rest.split_once(OF_PULL).expect("the section");
    let (pull, _) = pull.split_once("\n# ").unwrap_or((pull, ""));
    [both, push, pull].map(settings_of)
}

#[test]
fn every_setting_is_in_the_table_of_its_builders_and_every_setter_names_its_default() {
    let [push, pull] = [PUSH, PULL].map(|file| {
        let mut setters = setters(&[file]);
        setters.retain(|(name, _)| !OF_CLIENT.contains(&name.as_str()));
        assert_defaults_are_documented(&setters);
        let names: BTreeSet<String> = setters.into_iter().map(|(name, _)| name).collect();
        assert!(names.len() > 15, "{names:?}");
        names
    });
    let documented = tables().map(|table| {
        let names: BTreeSet<String> = table.iter().map(|row| row.name.to_owned()).collect();
        assert_eq!(names.len(), table.len(), "a setting has one row");
        names
    });
    assert_eq!(documented[0], &push & &pull);
    assert_eq!(documented[1], &push - &pull);
    assert_eq!(documented[2], &pull - &push);
}

/// Settings, their defaults in the table, and their fields, where the names or values differ.
const FIELDS: &[(&str, &str, &str)] = &[
    ("allocation", "`averagely`", "allocation: Allocation(AVG)"),
    ("assign", "none", "assigned: []"),
    ("broadcast", "no", "sharing: Group"),
    ("consume_threads", "20", "threads: 20"),
    ("events", "none", "listener: None"),
    ("on_assigned", "none", "listeners: 0 listeners"),
    ("on_corrupt", "`Wait`", "on_corrupt: Wait"),
    ("on_lost", "none", "listeners: 0 listeners"),
    ("on_offset_moved", "`Follow`", "on_offset_moved: Follow"),
    ("on_revoking", "none", "listeners: 0 listeners"),
    ("start_from", "`Last`", "start_from: Last"),
    ("subscribe", "none", "subscriptions: Subscriptions([])"),
];

#[test]
fn the_settings_of_simple_consumers_are_in_their_table_with_their_defaults() {
    let (_, table) = SETTINGS.split_once(OF_SIMPLE).expect("the section");
    let table = settings_of(table);
    let mut setters = setters(&[SIMPLE]);
    setters.retain(|(name, _)| !OF_CLIENT.contains(&name.as_str()));
    assert_defaults_are_documented(&setters);
    let names: BTreeSet<&str> = setters.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.len() > 8, "{names:?}");
    let documented: BTreeSet<&str> = table.iter().map(|row| row.name).collect();
    assert_eq!((documented.len(), &documented), (table.len(), &names));
    let shown = format!("{:?}", SimpleConsumer::builder("g"));
    for Setting { name, default, .. } in &table {
        let form = match *name {
            "client" | "options" => continue,
            "subscribe" => "subscriptions: Subscriptions([])".to_owned(),
            "start_from" => "start_from: Last".to_owned(),
            "ordered" => "is_ordered: false".to_owned(),
            "max_attempts" => format!("max_attempts: Some({default})"),
            _ => format!("{name}: {}", default.replace(' ', "")),
        };
        assert!(is_shown(&shown, &form), "{name}: {form} is not in {shown}");
    }
}

#[test]
fn the_defaults_of_the_tables_are_those_of_the_builders() {
    let push = format!("{:?}", PushConsumer::builder("g"));
    let pull = format!("{:?}", PullConsumer::builder("g"));
    let [both, of_push, of_pull] = tables();
    let check = |table: &[Setting], shown: &str| {
        // The origin of the client shows in its settings.
        let rows = table.iter();
        for Setting { name, default, .. } in
            rows.filter(|row| !["client", "options"].contains(&row.name))
        {
            let field = FIELDS.iter().find(|(setting, ..)| setting == name);
            let forms = match field {
                Some((_, told, field)) => {
                    assert_eq!(default, told, "{name}");
                    vec![(*field).to_owned()]
                }
                None => {
                    let values = printed(name, default).into_iter();
                    values.map(|value| format!("{name}: {value}")).collect()
                }
            };
            let is_there = forms.iter().any(|form| is_shown(shown, form));
            assert!(is_there, "{name}: {default} is not in {shown}");
        }
    };
    check(&both, &push);
    check(&both, &pull);
    check(&of_push, &push);
    check(&of_pull, &pull);
}

/// Values just out of their ranges, of push consumers.
fn bad_pushes() -> Vec<(&'static str, PushConsumerBuilder)> {
    let none = || PushConsumer::builder("g").name_server("127.0.0.1:9");
    let new = || none().subscribe("T", "*");
    vec![
        ("subscribe", none()),
        ("subscribe", none().subscribe("a b", "*")),
        ("offset_dir", new().offset_dir("offsets")),
        ("window", new().window(0)),
        ("byte_budget", new().byte_budget(0)),
        ("pull_batch", new().pull_batch(0)),
        ("pull_batch", new().pull_batch(1025)),
        ("commit_interval", new().commit_interval(Duration::ZERO)),
        (
            "rebalance_interval",
            new().rebalance_interval(Duration::from_millis(999)),
        ),
        ("consume_timeout", new().consume_timeout(Duration::ZERO)),
        (
            "on_corrupt",
            new().on_corrupt(OnCorrupt::DeadLetter).broadcast(),
        ),
        ("consume_threads", new().consume_threads(0)),
        ("consume_threads", new().consume_threads(1001)),
        ("max_reconsume", new().max_reconsume(1 << 31)),
        ("revoke_stuck", new().revoke_stuck(true).broadcast()),
        ("rate_limit", new().rate_limit(0)),
    ]
}

/// The same of pull consumers.
fn bad_pulls() -> Vec<(&'static str, PullConsumerBuilder)> {
    let none = || PullConsumer::builder("g").name_server("127.0.0.1:9");
    let new = || none().subscribe("T", "*");
    let queue = || [MessageQueue::new("T", "broker-a", 0)];
    vec![
        ("poll_batch", new().poll_batch(0)),
        ("poll_batch", new().poll_batch(1025)),
        ("assign", new().assign(queue())),
        ("assign", none().assign(queue()).broadcast()),
        ("assign_filter", new().assign_filter("a")),
    ]
}

#[test]
fn a_value_out_of_its_range_is_refused_at_the_start() {
    let mut tried = BTreeSet::new();
    let mut check = |setting, error: rocketmq_blocking::Error| {
        assert_eq!(error.kind(), ErrorKind::Config, "{setting}: {error}");
        tried.insert(setting);
    };
    for (setting, builder) in bad_pushes() {
        check(setting, builder.start(|_| Ok(())).expect_err(setting));
    }
    for (setting, builder) in bad_pulls() {
        check(setting, builder.start().expect_err(setting));
    }
    for most in [0, 1025] {
        let builder = PushConsumer::builder("g").subscribe("T", "*");
        let error = builder.start_batch(most, |_| Ok(())).expect_err("no batch");
        assert_eq!(error.kind(), ErrorKind::Config, "{most}: {error}");
    }
    // Tested with clients.
    let elsewhere = ["client", "options"];
    for Setting { name, range, .. } in tables().into_iter().flatten() {
        let expected = !range.starts_with("any") && !elsewhere.contains(&name);
        assert_eq!(tried.contains(name), expected, "{name}: {range}");
    }
}
