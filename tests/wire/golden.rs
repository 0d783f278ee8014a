//! Captures of the Java clients and servers, read and written again.

use std::collections::BTreeSet;

use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::protocol::heartbeat::{Heartbeat, Unregister};
use rocketmq_blocking::protocol::route::{RouteRequest, TopicRoute};
use rocketmq_blocking::protocol::send::{self, SendRequest, SendResponse, V1};
use rocketmq_blocking::protocol::{Command, ExtFields, Fields, HeaderFormat, frame};
use serde_json::{Value, json};

use crate::support::captures::{Frame, as_map, differences, files, frames};

pub const SENDS: &[i32] = &[
    request::SEND_MESSAGE,
    request::SEND_MESSAGE_V2,
    request::SEND_BATCH_MESSAGE,
];

/// A field that we may write otherwise than Java did, and why.
pub type Differs = (&'static str, &'static str);

const SEND_MAY_DIFFER: &[Differs] = &[];

const EMPTY_TEXTS: &[Differs] = &[
    ("remark", "an empty text is absent in the binary form"),
    ("startOffsetInfo", "the same"),
    ("msgOffsetInfo", "the same"),
];

const SEND_RESPONSE_MAY_DIFFER: &[Differs] = &[];

const UNREGISTER_MAY_DIFFER: &[Differs] = &[(
    "ReqT",
    "a hook of Java's pull consumers adds it to every request",
)];

const ROUTE_REQUEST_MAY_DIFFER: &[Differs] = &[
    (
        "acceptStandardJsonOnly",
        "Java's clients read fastjson's dialect and do not ask for standard JSON; we do",
    ),
    (
        "ReqT",
        "a hook of Java's pull consumers adds it to every request",
    ),
];

const ROUTE_MAY_DIFFER: &[Differs] = &[
    (
        "filterServerTable",
        "filter servers are gone since 4.4; nothing reads the table",
    ),
    (
        "enableActingMaster",
        "4.9.7 does not know the flag; we write its default",
    ),
];

const HEARTBEAT_MAY_DIFFER: &[Differs] = &[
    (
        "heartbeatFingerprint",
        "4.9.7 does not know it; we write 0: a whole heartbeat",
    ),
    ("withoutSub", "4.9.7 does not know it; we write its default"),
];

/// Compares captures with our encoding, for the frames that `pick` selects. The names that differ
/// must be exactly those of the list: an unused exception is an error too.
#[track_caller]
pub fn check(may_differ: &[Differs], pick: impl Fn(&Frame) -> Option<(Value, Value)>) {
    let listed: BTreeSet<String> = may_differ.iter().map(|(n, _)| (*n).to_owned()).collect();
    let mut seen = BTreeSet::new();
    let checked = each(|frame| {
        let Some((captured, ours)) = pick(frame) else {
            return false;
        };
        let different = differences(&captured, &ours);
        assert!(
            different.is_subset(&listed),
            "{}: differs in {different:?}\ncaptured {captured}\nours     {ours}",
            frame.place
        );
        seen.extend(different);
        true
    });
    println!("{checked} frames");
    assert_eq!(seen, listed, "a listed difference that no frame shows");
}

/// Calls `test` for every frame; it returns whether the frame was relevant. No relevant frame at
/// all is a failure.
#[track_caller]
pub fn each(mut test: impl FnMut(&Frame) -> bool) -> usize {
    let checked = frames().iter().filter(|frame| test(frame)).count();
    assert!(checked > 0, "no captured frame was checked");
    checked
}

/// The fields that a header writes, as a map.
pub fn written(fields: &dyn Fields) -> Value {
    let mut ext = ExtFields::new();
    fields.visit(&mut ext);
    as_map(ext.iter())
}

/// A command's header in the form of the captures.
fn header(command: &Command) -> Value {
    let mut header = json!({
        "code": command.code,
        "extFields": as_map(command.ext.iter()),
        "flag": command.flag,
        "language": command.language.name(),
        "opaque": command.opaque,
        "version": command.version,
    });
    if let Some(remark) = &command.remark {
        header["remark"] = json!(remark);
    }
    header
}

/// The captured header in the same form.
fn captured_header(frame: &Frame) -> Value {
    let mut header = frame.line["header"].clone();
    header["extFields"] = frame.ext();
    let header_map = header.as_object_mut().expect("a header is an object");
    let format = header_map.remove("serializeTypeCurrentRPC");
    assert_eq!(
        format.as_ref(),
        Some(&frame.line["serialize"]),
        "{}",
        frame.place
    );
    header
}

#[test]
fn captures_of_both_versions_and_both_header_forms_are_there() {
    let files = files();
    println!("{} files, {} frames", files.len(), frames().len());
    for version in ["5.4.0", "4.9.7"] {
        for binary in [true, false] {
            let begin = if binary { "binary/" } else { "" };
            let begin = format!("{begin}{version}/");
            let serialize = if binary { "ROCKETMQ" } else { "JSON" };
            let is_one = |f: &&Frame| {
                f.place.starts_with(&begin) && f.line["serialize"].as_str() == Some(serialize)
            };
            let count = frames().iter().filter(is_one).count();
            println!("{begin}: {count} {serialize} frames");
            assert!(count > 0, "no {serialize} frame below {begin}");
        }
    }
    // A file that was emptied or that the loader overlooks must not go unnoticed.
    for file in files {
        let name = file.file_name().expect("a file").to_string_lossy();
        let has_frames = frames().iter().any(|f| f.place.contains(&*name));
        assert!(has_frames, "no frame in {name}");
    }
}

#[test]
fn every_frame_decodes_to_the_captured_values() {
    check(&[], |frame| {
        let command = frame.command();
        assert_eq!(command.body, frame.body(), "{}", frame.place);
        let raw = frame::split(&frame.raw)
            .expect("checked above")
            .expect("whole");
        assert_eq!(raw.wire_len(), frame.raw.len(), "{}", frame.place);
        Some((captured_header(frame), header(&command)))
    });
}

#[test]
fn every_frame_reads_back_after_it_is_written_in_either_form() {
    for format in [HeaderFormat::Json, HeaderFormat::Binary] {
        let may_differ = match format {
            HeaderFormat::Json => &[][..],
            HeaderFormat::Binary => EMPTY_TEXTS,
        };
        check(may_differ, |frame| {
            let mut bytes = Vec::new();
            frame.command().encode(format, &mut bytes);
            let raw = frame::split(&bytes).expect("our own frame").expect("whole");
            // Codes of POP do not fit the binary form.
            let fits = i16::try_from(frame.command().code).is_ok();
            let expected = if fits { format } else { HeaderFormat::Json };
            assert_eq!(raw.format, expected, "{}", frame.place);
            let again = Command::decode(raw).expect("our own header");
            assert_eq!(again.body, frame.body(), "{}", frame.place);
            Some((captured_header(frame), header(&again)))
        });
    }
}

#[test]
fn a_json_header_has_the_same_keys_and_values_as_javas() {
    check(&[], |frame| {
        if frame.line["serialize"] != "JSON" {
            return None;
        }
        let mut bytes = Vec::new();
        frame.command().encode(HeaderFormat::Json, &mut bytes);
        let raw = frame::split(&bytes).expect("our own frame").expect("whole");
        let ours: Value = serde_json::from_slice(raw.header).expect("JSON");
        let mut captured = frame.line["header"].clone();
        // Java leaves the map out where it never made one; a reader sees no difference.
        captured["extFields"] = frame.ext();
        Some((captured, ours))
    });
}

#[test]
fn a_binary_header_is_the_same_bytes_as_javas() {
    each(|frame| {
        let binary = frame.line["serialize"] == "ROCKETMQ";
        if binary {
            let mut bytes = Vec::new();
            frame.command().encode(HeaderFormat::Binary, &mut bytes);
            assert_eq!(bytes, frame.raw, "{}", frame.place);
        }
        binary
    });
}

#[test]
fn every_send_header_reads_and_writes_back() {
    check(SEND_MAY_DIFFER, |frame| {
        let command = frame.is_request(SENDS).then(|| frame.command())?;
        let decoded = SendRequest::decode(command.code, &command.ext);
        let decoded = decoded.unwrap_or_else(|e| panic!("{}: {e}", frame.place));
        let ours = match command.code {
            request::SEND_MESSAGE => written(&V1(&decoded.header())),
            _ => written(&decoded.header()),
        };
        Some((frame.ext(), ours))
    });
}

#[test]
fn every_send_header_is_the_same_with_long_names() {
    each(|frame| {
        if !frame.is_request(SENDS) {
            return false;
        }
        let command = frame.command();
        let decoded = SendRequest::decode(command.code, &command.ext).expect("checked above");
        let mut long = ExtFields::new();
        V1(&decoded.header()).visit(&mut long);
        let again = SendRequest::decode(request::SEND_MESSAGE, &long);
        assert_eq!(again.as_ref(), Ok(&decoded), "{}", frame.place);
        true
    });
}

#[test]
fn every_send_response_reads_and_writes_back() {
    check(SEND_RESPONSE_MAY_DIFFER, |frame| {
        let command = frame.answers(SENDS).then(|| frame.command())?;
        // Other codes carry no position of a message.
        send::status(command.code)?;
        let decoded = SendResponse::decode(&command.ext);
        let decoded = decoded.unwrap_or_else(|e| panic!("{}: {e}", frame.place));
        Some((frame.ext(), written(&decoded)))
    });
}

#[test]
fn every_route_request_is_the_same() {
    check(ROUTE_REQUEST_MAY_DIFFER, |frame| {
        let routes = [request::GET_ROUTEINFO_BY_TOPIC];
        let command = frame.is_request(&routes).then(|| frame.command())?;
        let topic = command.ext.get("topic").expect("a topic");
        Some((frame.ext(), written(&RouteRequest { topic })))
    });
}

#[test]
fn every_route_reads_and_writes_back() {
    check(ROUTE_MAY_DIFFER, |frame| {
        if !frame.answers(&[request::GET_ROUTEINFO_BY_TOPIC]) || frame.body().is_empty() {
            return None;
        }
        let route = TopicRoute::decode(&frame.body());
        let route = route.unwrap_or_else(|e| panic!("{}: {e}", frame.place));
        for broker in &route.broker_datas {
            assert!(
                route.master(&broker.broker_name).is_some(),
                "{}",
                frame.place
            );
        }
        let parse = |json: &[u8]| serde_json::from_slice(json).ok();
        Some((parse(&frame.body())?, parse(&route.encode())?))
    });
}

#[test]
fn every_heartbeat_reads_and_writes_back() {
    check(HEARTBEAT_MAY_DIFFER, |frame| {
        frame.is_request(&[request::HEART_BEAT]).then_some(())?;
        let heartbeat = Heartbeat::decode(&frame.body());
        let heartbeat = heartbeat.unwrap_or_else(|e| panic!("{}: {e}", frame.place));
        let parse = |json: &[u8]| serde_json::from_slice(json).ok();
        Some((parse(&frame.body())?, parse(&heartbeat.encode())?))
    });
}

#[test]
fn every_unregister_header_reads_and_writes_back() {
    check(UNREGISTER_MAY_DIFFER, |frame| {
        let unregisters = [request::UNREGISTER_CLIENT];
        let command = frame.is_request(&unregisters).then(|| frame.command())?;
        let decoded = Unregister::decode(&command.ext);
        let decoded = decoded.unwrap_or_else(|e| panic!("{}: {e}", frame.place));
        Some((frame.ext(), written(&decoded)))
    });
}
