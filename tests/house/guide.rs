//! The guide's tables are correct: every setting with its default and range, every name of Java's.

mod consumers;

use std::collections::BTreeSet;
use std::time::Duration;

use rocketmq_blocking::producer::{FaultStrategy, ProducerBuilder};
use rocketmq_blocking::protocol::Language;
use rocketmq_blocking::transaction::TransactionProducerBuilder;
use rocketmq_blocking::{
    ClientOptions, Compression, ErrorKind, Producer, TransactionProducer, TransactionState,
};

use crate::source::Source;

const SETTINGS: &str = include_str!("../../src/docs/settings.md");
const FROM_JAVA: &str = include_str!("../../src/docs/from_java.md");

/// The files with setters.
const BUILDERS: &[&str] = &[
    "producer/builder.rs",
    "producer/transaction/builder.rs",
    "client/config/options.rs",
];

/// Settings whose fields have other names.
const FIELDS: &[(&str, &str)] = &[
    ("check_forbidden_hook", "forbid"),
    ("credentials", "signed"),
    ("default_topic", "name"),
    ("default_topic_queues", "queues"),
    ("end_transaction_hook", "end_transaction"),
    ("name_server", "name_servers"),
    ("protocol_version", "version"),
    (
        "retry_another_broker_when_not_stored",
        "another_broker_when_not_stored",
    ),
    ("retry_codes", "codes"),
    ("rpc_hook", "hooks"),
    ("send_message_hook", "send"),
    ("topics", "learn"),
    ("trace", "trace_topic"),
];

/// The setters of `ClientConfig`, `DefaultMQProducer` and `TransactionMQProducer` of 5.4.0.
const JAVA_SETTERS: &str = "addRetryResponseCode changeInstanceNameToPID setAccessChannel \
    setAsyncSenderExecutor setAutoBatch setBackPressureForAsyncSendNum \
    setBackPressureForAsyncSendNumInsideAdjust setBackPressureForAsyncSendSize \
    setBackPressureForAsyncSendSizeInsideAdjust setCallbackExecutor setCheckRequestHoldMax \
    setCheckThreadPoolMaxSize setCheckThreadPoolMinSize setClientCallbackExecutorThreads setClientIP \
    setCompressLevel setCompressMsgBodyOverHowmuch setCompressType setCreateTopicKey \
    setDecodeDecompressBody setDecodeReadBody setDefaultTopicQueueNums setDetectInterval \
    setDetectTimeout setEnableBackpressureForAsyncMode setEnableHeartbeatChannelEventListener \
    setEnableStreamRequestType setEnableTrace setExecutorService setHeartbeatBrokerInterval \
    setInstanceName setLanguage setLatencyMax setMaxMessageSize setMaxPageSizeInGetMetadata \
    setMqClientApiTimeout setNamespace setNamespaceV2 setNamesrvAddr setNotAvailableDuration \
    setPersistConsumerOffsetInterval setPollNameServerInterval setProducerGroup \
    setPullTimeDelayMillsWhenException setRetryAnotherBrokerWhenNotStoreOK \
    setRetryTimesWhenSendAsyncFailed setRetryTimesWhenSendFailed setSendLatencyEnable setSendLatencyFaultEnable \
    setSendMessageWithVIPChannel setSendMsgMaxTimeoutPerRequest setSendMsgTimeout \
    setSocksProxyConfig setStartDetectorEnable setTopics setTraceMsgBatchNum setTraceTopic \
    setTransactionCheckListener setTransactionListener setUnitMode setUnitName setUseHeartbeatV2 \
    setUseTLS setVipChannelEnabled withNamespace withoutNamespace";

/// The cells of each row of a page's tables, their heads excepted.
fn rows(page: &str) -> impl Iterator<Item = Vec<&str>> {
    let mut lines = page.lines().peekable();
    std::iter::from_fn(move || {
        loop {
            let line = lines.next()?;
            let is_head = lines.peek().is_some_and(|next| next.starts_with("|---"));
            if let Some(cells) = line.strip_prefix("| ").filter(|_| !is_head) {
                return Some(
                    cells
                        .trim_end_matches('|')
                        .split(" | ")
                        .map(str::trim)
                        .collect(),
                );
            }
        }
    })
}

/// The text between backquotes.
fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

struct Setting {
    name: &'static str,
    default: &'static str,
    range: &'static str,
    /// Whether it is there with the features that the tests run with.
    is_on: bool,
}

/// The tables before those of consumers.
fn settings() -> Vec<Setting> {
    let (page, _) = SETTINGS.split_once(consumers::BEGIN).expect("the section");
    settings_of(page)
}

fn settings_of(page: &'static str) -> Vec<Setting> {
    let setting = |row: Vec<&'static str>| {
        let mut words = code(row[0]);
        let name = words.next().expect("a setting");
        let is_on = match words.next() {
            Some("acl") => cfg!(feature = "acl"),
            Some("discovery") => cfg!(feature = "discovery"),
            Some("tls") => cfg!(feature = "tls"),
            Some(other) => panic!("which feature is {other}?"),
            None => true,
        };
        let (default, range) = (row[1], row[2]);
        Setting {
            name,
            default,
            range,
            is_on,
        }
    };
    rows(page).map(setting).collect()
}

/// Each setter in these files with its documentation.
fn setters(files: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for source in Source::all()
        .iter()
        .filter(|s| files.contains(&s.path.as_str()))
    {
        let mut doc = String::new();
        for line in source.text.lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("///") {
                doc += text;
            } else if let Some(rest) = line.strip_prefix("pub fn ") {
                let (name, arguments) = rest.split_once(['(', '<']).expect("a function");
                // These make something else than the builder that they are of.
                let makes = ["new", "start", "start_batch", "start_ordered"];
                let is_setter = !makes.contains(&name);
                if is_setter && !arguments.starts_with('&') {
                    found.push((name.to_owned(), std::mem::take(&mut doc)));
                }
            } else if !line.starts_with("#[") {
                doc.clear();
            }
        }
    }
    found
}

fn transactions() -> TransactionProducerBuilder {
    TransactionProducer::builder("g", |_| TransactionState::Unknown)
}

#[test]
fn every_setting_is_in_the_table_once_and_every_setter_names_its_default() {
    let setters = setters(BUILDERS);
    let mut names: Vec<&str> = setters.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    // The daily settings of a client are on the builders of producers too.
    names.dedup();
    let mut told: Vec<&str> = settings().iter().map(|setting| setting.name).collect();
    told.sort_unstable();
    assert_eq!(told, names);
    assert_defaults_are_documented(&setters);
}

#[track_caller]
fn assert_defaults_are_documented(setters: &[(String, String)]) {
    let silent =
        |(_, doc): &&(String, String)| !doc.contains("efault") && !doc.contains("is needed");
    let silent: Vec<_> = setters
        .iter()
        .filter(silent)
        .map(|(name, _)| name)
        .collect();
    assert!(silent.is_empty(), "no default documented: {silent:?}");
}

/// The printed forms that a default of the table may have.
fn printed(setting: &str, default: &str) -> Vec<String> {
    let number = |text: &str| text.replace(',', "").parse::<usize>().ok();
    let default = default
        .split(" (")
        .next()
        .unwrap_or(default)
        .trim_matches('`');
    let one = match (setting, default) {
        ("callback_threads", "one per core") => std::thread::available_parallelism()
            .map_or(1, |n| n.get())
            .to_string(),
        ("compression", "zlib") => format!("{:?}", Compression::Zlib),
        ("language", "RUST") => format!("{:?}", Language::RUST),
        ("header_format", _) => default.to_owned(),
        ("retry_codes", codes) => format!("{{{codes}}}"),
        (_, "yes") => "true".to_owned(),
        (_, "no") => "false".to_owned(),
        (_, "none") => return ["None", "[]", "0", "false"].map(str::to_owned).into(),
        _ if default.ends_with(" s") => default.replace(' ', ""),
        _ if default.ends_with(" min") => {
            let count = number(default.trim_end_matches(" min")).expect("a number");
            format!("{}s", 60 * count)
        }
        _ if default.ends_with(" MiB") => {
            let count = number(default.trim_end_matches(" MiB")).expect("a number");
            (count << 20).to_string()
        }
        _ => number(default).map_or(format!("{default:?}"), |number| number.to_string()),
    };
    vec![one]
}

#[test]
fn the_defaults_of_the_table_are_those_of_the_builders() {
    let producer = Producer::builder("g");
    let shown = format!("{producer:?} {:?}", transactions());
    // Secrets are not printed; the origin of the client shows in its settings.
    let unshown = ["security_token", "client", "options"];
    let settings = settings().into_iter();
    for Setting { name, default, .. } in settings.filter(|s| s.is_on && !unshown.contains(&s.name))
    {
        let field = FIELDS.iter().find(|(setting, _)| *setting == name);
        let field = field.map_or(name, |(_, field)| field);
        let texts = printed(name, default);
        let mut forms = texts.iter().map(|text| format!("{field}: {text}"));
        let is_there = forms.any(|form| is_shown(&shown, &form));
        assert!(is_there, "{name}: {default} is not in {shown}");
    }
}

/// Whether a field with its whole value is in a printed structure.
fn is_shown(structure: &str, field: &str) -> bool {
    let is_end = |text: &str| text.starts_with([',', ' ', '}']);
    let mut places = structure.match_indices(field);
    places.any(|(at, _)| is_end(&structure[at + field.len()..]))
}

/// Values just out of their ranges.
fn out_of_range() -> Vec<(&'static str, ErrorKind, ProducerBuilder)> {
    let new = || Producer::builder("g").name_server("127.0.0.1:9");
    let zero = Duration::ZERO;
    let detector = |interval, timeout| FaultStrategy::default().detector(interval, timeout);
    let second = Duration::from_secs(1);
    let bad = |setting, builder| (setting, ErrorKind::Config, builder);
    vec![
        bad("attempt_timeout", new().attempt_timeout(zero)),
        bad("max_message_size", new().max_message_size(0)),
        bad("compress_level", new().compress_level(10)),
        bad("default_topic_queues", new().default_topic_queues(0)),
        bad("latency_fault", new().latency_fault(detector(zero, second))),
        bad("latency_fault", new().latency_fault(detector(second, zero))),
        ("topics", ErrorKind::Invalid, new().topics(["a b"])),
        (
            "name_server",
            ErrorKind::NoNameServer,
            Producer::builder("g"),
        ),
        bad("name_server", new().name_server("host")),
        bad("instance_name", new().instance_name("")),
        bad("instance_name", new().instance_name("a@b")),
        bad(
            "connect_timeout",
            new().options(ClientOptions::new().connect_timeout(zero)),
        ),
        bad(
            "api_timeout",
            new().options(ClientOptions::new().api_timeout(zero)),
        ),
        bad(
            "route_interval",
            new().options(ClientOptions::new().route_interval(zero)),
        ),
        bad(
            "heartbeat_interval",
            new().options(ClientOptions::new().heartbeat_interval(zero)),
        ),
        bad(
            "callback_threads",
            new().options(ClientOptions::new().callback_threads(0)),
        ),
        bad(
            "callback_threads",
            new().options(ClientOptions::new().callback_threads(1025)),
        ),
        bad(
            "max_in_flight_messages",
            new().options(ClientOptions::new().max_in_flight_messages(0)),
        ),
        bad(
            "max_in_flight_bytes",
            new().options(ClientOptions::new().max_in_flight_bytes(0)),
        ),
        bad("namespace", new().namespace("a%b")),
        bad(
            "namespace_v2",
            new().options(ClientOptions::new().namespace_v2(" ")),
        ),
        bad(
            "unit_name",
            new().options(ClientOptions::new().unit_name("a@b")),
        ),
        #[cfg(feature = "acl")]
        bad("credentials", new().credentials(" ", "s")),
        #[cfg(feature = "acl")]
        bad(
            "security_token",
            new().options(ClientOptions::new().security_token("t")),
        ),
        #[cfg(feature = "tls")]
        bad(
            "tls",
            new().tls(rocketmq_blocking::TlsConfig::new().ca_pem("no PEM")),
        ),
        #[cfg(feature = "discovery")]
        bad(
            "name_server_url",
            new().options(ClientOptions::new().name_server_url("http://h/p")),
        ),
        #[cfg(feature = "discovery")]
        bad(
            "discovery_interval",
            new().options(ClientOptions::new().discovery_interval(zero)),
        ),
    ]
}

#[test]
fn a_value_out_of_its_range_is_refused_at_the_start() {
    let mut tried = BTreeSet::new();
    for (setting, kind, builder) in out_of_range() {
        let error = builder.start().expect_err(setting);
        assert_eq!(error.kind(), kind, "{setting}: {error}");
        tried.insert(setting);
    }
    for (setting, builder) in [
        ("check_threads", transactions().check_threads(0)),
        ("check_threads", transactions().check_threads(1025)),
        ("check_queue", transactions().check_queue(0)),
    ] {
        let error = builder
            .name_server("127.0.0.1:9")
            .start()
            .expect_err(setting);
        assert_eq!(error.kind(), ErrorKind::Config, "{setting}: {error}");
        tried.insert(setting);
    }
    // Tested where they are made: `auto_batch` in its module, the others with clients.
    let elsewhere = ["auto_batch", "client", "options"];
    for Setting { name, range, .. } in settings().into_iter().filter(|s| s.is_on) {
        let expected = !range.starts_with("any") && !elsewhere.contains(&name);
        assert_eq!(tried.contains(name), expected, "{name}: {range}");
    }
}

/// The name at the start of `send(msg, timeout)`, the last one of `new Thing(..)`.
fn name(code: &str) -> &str {
    let code = code.trim_start_matches("new ");
    code.split('(').next().unwrap_or(code)
}

#[test]
fn every_name_of_javas_can_be_searched_for() {
    let sources: String = Source::all().iter().map(|s| s.text.as_str()).collect();
    let (mapped, _) = FROM_JAVA.split_once("# Not here").expect("the last table");
    let names = rows(mapped).flat_map(|row| code(row[0]));
    let setters = rows(SETTINGS).filter_map(|row| row.get(3).copied());
    let setters = setters
        .flat_map(code)
        .filter(|text| !SETTINGS.contains(&format!("| `{text}`")));
    let is_there = |name: &str| {
        let alias = sources.contains(&format!("doc(alias = \"{name}\")"));
        let own = ["fn ", "struct ", "trait ", "enum "];
        let is_own = |word: &&str| {
            let item = format!("pub {word}{name}");
            let mut places = sources.split(&item).skip(1);
            places.any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        alias || own.iter().any(is_own)
    };
    // Words of the table that are no names of Java's.
    let ours = ["JAVA", "TlsConfig", "tls.client.trustCertPath"];
    let names: Vec<&str> = names.map(name).chain(setters.map(name)).collect();
    assert!(names.len() > 100, "{}", names.len());
    let missing: Vec<_> = names
        .into_iter()
        .filter(|name| !ours.contains(name) && !is_there(name))
        .collect();
    assert!(missing.is_empty(), "no doc(alias = ..) for {missing:?}");
}

#[test]
fn every_setter_of_javas_is_documented() {
    let told: BTreeSet<&str> = code(SETTINGS).chain(code(FROM_JAVA)).collect();
    let setters = [JAVA_SETTERS, consumers::JAVA_SETTERS];
    let missing: Vec<_> = setters
        .iter()
        .flat_map(|setters| setters.split_whitespace())
        .filter(|setter| !told.contains(setter))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
