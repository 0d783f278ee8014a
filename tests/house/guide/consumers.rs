//! The settings of consumers.

use std::collections::BTreeSet;
use std::time::Duration;

use rocketmq_blocking::consumer::{
    OnCorrupt, PullConsumerBuilder, PushConsumerBuilder, SimpleConsumerBuilder,
};
use rocketmq_blocking::{
    Error, ErrorKind, MessageQueue, PullConsumer, PushConsumer, SimpleConsumer, StartFrom,
};

use super::{SETTINGS, Setting, assert_defaults_are_documented, is_shown, printed};
use super::{setters, settings_of};

/// Where their tables begin.
pub const BEGIN: &str = "\n# Of a consumer\n";

const OF_PUSH: &str = "\n# Of a push consumer\n";
const OF_PULL: &str = "\n# Of a pull consumer\n";
const OF_SIMPLE: &str = "\n# Of a simple consumer\n";

const PUSH: &str = "consumer/push/builder.rs";
const PULL: &str = "consumer/pull/builder.rs";
const SIMPLE: &str = "consumer/simple/builder.rs";

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

/// The rows of the tables: of push and pull consumers, of each of them only, and of simple consumers.
fn tables() -> [Vec<Setting>; 4] {
    let (_, rest) = SETTINGS.split_once(BEGIN).expect("the section");
    let (both, rest) = rest.split_once(OF_PUSH).expect("the section");
    let (push, pull) = rest.split_once(OF_PULL).expect("the section");
    let (pull, simple) = pull.split_once(OF_SIMPLE).expect("the section");
    [both, push, pull, simple].map(settings_of)
}

#[test]
fn every_setting_is_in_the_table_of_its_builders_and_every_setter_names_its_default() {
    let [push, pull, simple] = [PUSH, PULL, SIMPLE].map(|file| {
        let mut setters = setters(&[file]);
        setters.retain(|(name, _)| !OF_CLIENT.contains(&name.as_str()));
        assert_defaults_are_documented(&setters);
        let names: BTreeSet<String> = setters.into_iter().map(|(name, _)| name).collect();
        assert!(names.len() > 7, "{names:?}");
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
    assert_eq!(documented[3], simple);
}

/// Settings, their defaults in the table, and their fields, where the names or values differ.
const FIELDS: &[(&str, &str, &str)] = &[
    ("allocation", "`averagely`", "allocation: Allocation(AVG)"),
    ("assign", "none", "assigned: []"),
    ("broadcast", "no", "sharing: Group"),
    ("consume_hook", "none", "consume: 0"),
    ("consume_threads", "20", "threads: 20"),
    ("events", "none", "listener: None"),
    ("local_filter", "none", "filters: 0"),
    ("max_attempts", "17", "max_attempts: Some(17)"),
    ("on_assigned", "none", "listeners: 0 listeners"),
    ("on_corrupt", "`Wait`", "on_corrupt: Wait"),
    ("on_lost", "none", "listeners: 0 listeners"),
    ("on_offset_moved", "`Follow`", "on_offset_moved: Follow"),
    ("on_revoking", "none", "listeners: 0 listeners"),
    ("ordered", "no", "is_ordered: false"),
    ("ordered_by_key", "none", "by_key: None"),
    ("start_from", "`Last`", "start_from: Last"),
    ("subscribe", "none", "subscriptions: Subscriptions([])"),
    ("trace", "none", "trace_topic: None"),
];

#[test]
fn the_defaults_of_the_tables_are_those_of_the_builders() {
    let push = format!("{:?}", PushConsumer::builder("g"));
    let pull = format!("{:?}", PullConsumer::builder("g"));
    let simple = format!("{:?}", SimpleConsumer::builder("g"));
    let [both, of_push, of_pull, of_simple] = tables();
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
    check(&of_simple, &simple);
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
        ("ordered_by_key", new().ordered_by_key(0)),
        ("ordered_by_key", new().ordered_by_key(1001)),
        ("ordered_by_key", new().ordered_by_key(2)),
        ("rate_limit", new().rate_limit(0)),
        (
            "broker_assignment",
            new().broker_assignment(true).broadcast(),
        ),
        (
            "broker_assignment",
            new()
                .broker_assignment(true)
                .start_from(StartFrom::Time(std::time::SystemTime::now())),
        ),
        (
            "invisible_time",
            new().invisible_time(Duration::from_millis(999)),
        ),
        (
            "invisible_time",
            new().invisible_time(Duration::from_secs(12 * 3600 + 1)),
        ),
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

/// The same of simple consumers.
fn bad_simples() -> Vec<(&'static str, SimpleConsumerBuilder)> {
    let none = || SimpleConsumer::builder("g").name_server("127.0.0.1:9");
    let new = || none().subscribe("T", "*");
    let time = StartFrom::Time(std::time::SystemTime::now());
    vec![
        ("subscribe", none()),
        ("start_from", new().start_from(time)),
        ("ack_timeout", new().ack_timeout(Duration::ZERO)),
        ("max_attempts", new().max_attempts(0)),
    ]
}

#[test]
fn a_value_out_of_its_range_is_refused_at_the_start() {
    let pushes = bad_pushes().into_iter();
    let pushes = pushes.map(|(setting, builder)| (setting, builder.start(|_| Ok(())).err()));
    let pulls = bad_pulls().into_iter();
    let pulls = pulls.map(|(setting, builder)| (setting, builder.start().err()));
    let simples = bad_simples().into_iter();
    let simples = simples.map(|(setting, builder)| (setting, builder.start().err()));
    let [both, push, pull, simple] = tables();
    assert_refused(
        [both, push, pull].into_iter().flatten(),
        pushes.chain(pulls),
    );
    assert_refused(simple.into_iter(), simples);
    for most in [0, 1025] {
        let builder = PushConsumer::builder("g").subscribe("T", "*");
        let error = builder.start_batch(most, |_| Ok(())).expect_err("no batch");
        assert_eq!(error.kind(), ErrorKind::Config, "{most}: {error}");
    }
}

/// Each start was refused, and exactly the settings with a range were tried.
#[track_caller]
fn assert_refused(
    table: impl Iterator<Item = Setting>,
    starts: impl Iterator<Item = (&'static str, Option<Error>)>,
) {
    let mut tried = BTreeSet::new();
    for (setting, error) in starts {
        let error = error.expect(setting);
        assert_eq!(error.kind(), ErrorKind::Config, "{setting}: {error}");
        tried.insert(setting);
    }
    // Tested with clients.
    let elsewhere = ["client", "options"];
    for Setting { name, range, .. } in table {
        let expected = !range.starts_with("any") && !elsewhere.contains(&name);
        assert_eq!(tried.contains(name), expected, "{name}: {range}");
    }
}
