use std::time::Duration;

use super::*;
use crate::embedded::On;
use crate::protocol::code::response;
use crate::protocol::consumer::pop::{
    Ack, BatchAck, ChangeAnswer, ChangeInvisible, Handle, Handled, Notice, NoticeRequest, Polling,
    PollingQuery, PopAnswer, PopRequest, Popped,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Messages of "T" hidden for a minute, from any queue, without waiting.
fn pop(most: i32) -> PopRequest {
    PopRequest {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: -1,
        max_messages: most,
        invisible_time: MINUTE.as_millis() as i64,
        poll_time: 0,
        born_time: 0,
        init_mode: 0,
        expression_type: None,
        expression: None,
        order: false,
        attempt_id: None,
        broker_name: None,
    }
}

fn command(pop: &PopRequest) -> Command {
    Command::request(request::POP_MESSAGE).with_fields(pop)
}

/// The bodies of an answer, each with what a client makes of the answer for it.
fn read(answer: &Command) -> Vec<(String, Handled)> {
    let fields = PopAnswer::decode(&answer.ext).unwrap();
    let views: Vec<_> = decode_all(answer.body.clone(), 1 << 20)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let popped: Vec<Popped<'_>> = views
        .iter()
        .map(|view| Popped {
            topic: view.topic(),
            queue_id: view.queue_id(),
            queue_offset: view.queue_offset(),
            handle: view.property("POP_CK"),
        })
        .collect();
    let handles = fields.handles("broker-a", &popped).unwrap();
    let bodies = views.iter().map(|view| view.text().unwrap().to_owned());
    bodies
        .zip(handles.into_iter().map(Result::unwrap))
        .collect()
}

fn popped(one: &mut Consumer, pop: &PopRequest) -> Vec<(String, Handle)> {
    let answer = one.call(&command(pop));
    if answer.code == response::POLLING_TIMEOUT {
        return Vec::new();
    }
    assert_eq!(answer.code, 0, "{:?}", answer.remark);
    let all = read(&answer).into_iter();
    all.map(|(body, handled)| (body, handled.handle)).collect()
}

fn ack(one: &mut Consumer, handle: &Handle) -> i32 {
    let ack = Ack::of(handle.clone(), "T", "g");
    one.call(&Command::request(request::ACK_MESSAGE).with_fields(&ack))
        .code
}

fn change(one: &mut Consumer, handle: &Handle, time: Duration) -> ChangeAnswer {
    let change = ChangeInvisible {
        ack: Ack::of(handle.clone(), "T", "g"),
        invisible_time: time.as_millis() as i64,
    };
    let code = request::CHANGE_MESSAGE_INVISIBLETIME;
    let answer = one.call(&Command::request(code).with_fields(&change));
    assert_eq!(answer.code, 0);
    ChangeAnswer::decode(&answer.ext).unwrap()
}

fn start_with(bodies: &[&str]) -> (Cluster, Consumer) {
    let builder = Cluster::builder().topic("T", 1).manual_clock(true);
    let cluster = builder.start().unwrap();
    let mut one = Consumer::connect(cluster.broker("broker-a"), "one");
    for body in bodies {
        one.call(&send("T", body));
    }
    (cluster, one)
}

#[test]
fn a_popped_message_comes_again_unless_it_is_acknowledged_in_time() {
    let (cluster, mut one) = start_with(&["a", "b", "c"]);
    let group = cluster.group("g");
    let first = popped(&mut one, &pop(2));
    assert_eq!((&*first[0].0, &*first[1].0), ("a", "b"));
    assert_eq!(group.in_flight(), 2);
    let second = popped(&mut one, &pop(32));
    assert_eq!(second[0].0, "c", "the others are hidden");
    assert!(popped(&mut one, &pop(32)).is_empty());
    assert_eq!(ack(&mut one, &first[0].1), 0);
    assert_eq!(ack(&mut one, &second[0].1), 0);
    assert_eq!(ack(&mut one, &second[0].1), 0, "again is no error");
    assert_eq!(group.in_flight(), 1);
    cluster.advance(MINUTE - Duration::from_millis(1));
    assert!(popped(&mut one, &pop(32)).is_empty());
    cluster.advance(Duration::from_millis(1));
    assert_eq!(group.in_flight(), 0);
    let answer = one.call(&command(&pop(32)));
    let view = decode_all(answer.body.clone(), 1 << 20).remove(0).unwrap();
    assert_eq!(
        (view.topic(), view.body(), view.reconsume_times()),
        ("T", &b"b"[..], 1)
    );
    let pop_time = first[1].1.pop_time.to_string();
    assert_eq!(view.property("1ST_POP_TIME"), Some(&*pop_time));
    assert_eq!(view.property("ORIGIN_GROUP"), Some("g"));
    assert_eq!(cluster.messages("%RETRY%g_T").len(), 1);
    // Its handle names the retry topic; without an acknowledgement it comes from there again.
    let handle = read(&answer).remove(0).1.handle;
    cluster.advance(MINUTE);
    let third = popped(&mut one, &pop(32));
    assert_eq!(third[0].0, "b");
    assert_eq!(ack(&mut one, &handle), 0, "too late");
    assert_eq!(group.in_flight(), 1);
    assert_eq!(ack(&mut one, &third[0].1), 0);
    cluster.advance(MINUTE);
    assert!(popped(&mut one, &pop(32)).is_empty());
    assert_eq!(cluster.requests(&On::Ack).len(), 5);
}

#[test]
fn several_messages_are_acknowledged_at_once() {
    let (cluster, mut one) = start_with(&["a", "b", "c"]);
    let all = popped(&mut one, &pop(32));
    let handles = [all[0].1.clone(), all[2].1.clone()];
    let (batch, left) = BatchAck::of("broker-a", "T", "g", &handles);
    assert!(left.is_empty());
    let ask = Command::request(request::BATCH_ACK_MESSAGE).with_body(batch.encode());
    assert_eq!(one.call(&ask).code, 0);
    cluster.advance(MINUTE);
    let again = popped(&mut one, &pop(32));
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].0, "b");
}

#[test]
fn a_changed_time_gives_a_new_handle_and_voids_the_old_one() {
    let (cluster, mut one) = start_with(&["a"]);
    let old = popped(&mut one, &pop(1)).remove(0).1;
    cluster.advance(MINUTE / 2);
    let changed = change(&mut one, &old, MINUTE * 2);
    let new = changed.handle(&old).unwrap();
    ack(&mut one, &old);
    assert_eq!(cluster.group("g").in_flight(), 1);
    cluster.advance(MINUTE * 2 - Duration::from_millis(1));
    assert!(popped(&mut one, &pop(1)).is_empty());
    // Shorter, and the same again.
    let changed = change(&mut one, &new, Duration::from_secs(1));
    let new = changed.handle(&new).unwrap();
    let same = change(&mut one, &new, Duration::from_secs(1));
    let new = same.handle(&new).unwrap();
    cluster.advance(Duration::from_secs(1));
    let again = popped(&mut one, &pop(2));
    assert_eq!(again.len(), 1);
    ack(&mut one, &new);
    ack(&mut one, &again[0].1);
    assert_eq!(cluster.group("g").in_flight(), 0);
}

#[test]
fn a_pop_waits_for_a_message_of_any_queue_and_one_of_several_gets_it() {
    let builder = Cluster::builder().topic("T", 4).manual_clock(true);
    let cluster = builder.start().unwrap();
    let broker = cluster.broker("broker-a");
    let [mut one, mut two, mut sender] =
        ["one", "two", "sender"].map(|id| Consumer::connect(broker, id));
    let waiting = command(&PopRequest {
        poll_time: 15_000,
        ..pop(32)
    });
    let group = cluster.group("g");
    one.client.write(&waiting);
    assert!(cluster.wait_until(PATIENCE, || group.parked() == 1));
    two.client.write(&waiting);
    assert!(cluster.wait_until(PATIENCE, || group.parked() == 2));
    let header = SendHeader {
        queue_id: 3,
        ..header("T")
    };
    sender.call(&v2(&header, b"first"));
    let answer = one.client.read();
    assert_eq!(read(&answer)[0].0, "first");
    // The answer may be here before the pop counts as over there.
    assert!(cluster.wait_until(PATIENCE, || group.parked() == 1));
    sender.call(&v2(&header, b"second"));
    assert_eq!(read(&two.client.read())[0].0, "second");
    // What is not acknowledged wakes a pop too.
    one.client.write(&pop(1).waiting());
    assert!(cluster.wait_until(PATIENCE, || group.parked() == 1));
    cluster.advance(Duration::from_secs(60));
    assert_eq!(read(&one.client.read())[0].0, "first");
    // The time ends it.
    two.call(&command(&pop(32)));
    one.client.write(&waiting);
    assert!(cluster.wait_until(PATIENCE, || group.parked() == 1));
    cluster.advance(Duration::from_millis(14_949));
    assert_eq!(group.parked(), 1);
    cluster.advance(Duration::from_millis(1));
    assert_eq!(one.client.read().code, response::POLLING_TIMEOUT);
}

trait Waiting {
    fn waiting(self) -> Command;
}

impl Waiting for PopRequest {
    fn waiting(self) -> Command {
        command(&PopRequest {
            poll_time: 600_000,
            ..self
        })
    }
}

#[test]
fn a_group_without_an_offset_starts_as_the_pop_says() {
    let (cluster, mut one) = start_with(&["a", "b", "c"]);
    let newest = |group: &str| PopRequest {
        consumer_group: group.into(),
        init_mode: 1,
        ..pop(32)
    };
    // A young queue is popped from its beginning all the same.
    assert_eq!(popped(&mut one, &newest("young")).len(), 3);
    cluster.delete_before(&queue("T", 0), 1);
    let last = popped(&mut one, &newest("old"));
    assert_eq!(last[0].0, "c");
    assert_eq!(last.len(), 1);
    assert_eq!(popped(&mut one, &pop(32)).len(), 2, "the oldest");
    cluster.group("g").reset_offset(&queue("T", 0), 2);
    assert_eq!(popped(&mut one, &pop(32))[0].0, "c");
}

#[test]
fn pops_filter_as_they_say() {
    let (_cluster, mut one) = start_with(&[]);
    for tag in ["x", "a", "x"] {
        one.call(&send_with("T", &format!("TAGS\u{1}{tag}\u{2}"), tag));
    }
    let filtered = |expression: &str| PopRequest {
        expression: Some(expression.into()),
        ..pop(32)
    };
    let found = popped(&mut one, &filtered("a || b"));
    assert_eq!(found[0].0, "a");
    assert_eq!(found.len(), 1);
    assert!(
        popped(&mut one, &pop(32)).is_empty(),
        "the others are passed over"
    );
}

#[test]
fn what_cannot_be_popped_or_acknowledged_is_refused() {
    let (cluster, mut one) = start_with(&["a"]);
    let mut refused = |change: &dyn Fn(&mut PopRequest)| {
        let mut pop = pop(1);
        change(&mut pop);
        one.call(&command(&pop)).code
    };
    assert_eq!(
        refused(&|pop| pop.max_messages = 33),
        response::INVALID_PARAMETER
    );
    assert_eq!(
        refused(&|pop| pop.queue_id = 1),
        response::INVALID_PARAMETER
    );
    assert_eq!(
        refused(&|pop| pop.topic = "U".into()),
        response::TOPIC_NOT_EXIST
    );
    let parse = response::SUBSCRIPTION_PARSE_FAILED;
    assert_eq!(refused(&|pop| pop.expression = Some("||".into())), parse);
    let handle = popped(&mut one, &pop(1)).remove(0).1;
    for (code, change) in [
        (
            response::MESSAGE_ILLEGAL,
            Handle {
                queue_id: 1,
                ..handle.clone()
            },
        ),
        (
            response::NO_MESSAGE,
            Handle {
                queue_offset: 2,
                ..handle.clone()
            },
        ),
    ] {
        assert_eq!(ack(&mut one, &change), code);
    }
    cluster.remove_topic("T");
    assert_eq!(ack(&mut one, &handle), response::TOPIC_NOT_EXIST);
}

#[test]
fn in_order_a_queue_yields_nothing_until_its_batch_is_done() {
    let (cluster, mut one) = start_with(&["a", "b", "c"]);
    let in_order = |attempt: &str| PopRequest {
        order: true,
        attempt_id: Some(attempt.into()),
        ..pop(2)
    };
    let first = popped(&mut one, &in_order("1"));
    assert_eq!((&*first[0].0, &*first[1].0), ("a", "b"));
    assert!(first[0].1.is_in_order());
    assert!(popped(&mut one, &in_order("2")).is_empty());
    assert_eq!(
        popped(&mut one, &in_order("1")),
        first,
        "the answer was lost"
    );
    let group = cluster.group("g");
    assert_eq!(ack(&mut one, &first[1].1), 0);
    assert_eq!(group.committed(&queue("T", 0)), Some(0));
    assert_eq!(group.in_flight(), 1);
    // It is not hidden any longer: the same again, and one more delivery.
    cluster.advance(MINUTE);
    let answer = one.call(&command(&in_order("3")));
    let second = read(&answer);
    assert_eq!(second[0].0, "a");
    assert_eq!(
        (second[0].1.deliveries, second[1].1.deliveries),
        (Some(1), Some(1))
    );
    assert_eq!(ack(&mut one, &first[0].1), 0, "of an earlier delivery");
    assert_eq!(group.committed(&queue("T", 0)), Some(0));
    let unknown = Handle {
        queue_offset: 2,
        ..second[0].1.handle.clone()
    };
    assert_eq!(ack(&mut one, &unknown), response::MESSAGE_ILLEGAL);
    // A change counts from the pop on, and makes no handle of what is acknowledged.
    let handle = &second[1].1.handle;
    cluster.advance(MINUTE / 2);
    let changed = change(&mut one, handle, MINUTE);
    assert_eq!(changed.pop_time, handle.pop_time);
    assert_eq!(changed.invisible_time, (MINUTE * 3 / 2).as_millis() as i64);
    ack(&mut one, handle);
    assert_eq!(change(&mut one, handle, MINUTE).handle(handle), None);
    // The last acknowledgement lets a waiting pop go on.
    let mut two = Consumer::connect(cluster.broker("broker-a"), "two");
    two.client.write(&in_order("4").waiting());
    assert!(cluster.wait_until(PATIENCE, || group.parked() == 1));
    ack(&mut one, &second[0].1.handle);
    assert_eq!(group.committed(&queue("T", 0)), Some(2));
    assert_eq!(read(&two.client.read())[0].0, "c");
}

#[test]
fn hidden_messages_outlive_a_kill_and_come_again_afterwards() {
    let (cluster, mut one) = start_with(&["a"]);
    let broker = cluster.broker("broker-a");
    popped(&mut one, &pop(1));
    cluster.advance(Duration::from_secs(5));
    broker.kill();
    cluster.advance(MINUTE);
    assert!(cluster.messages("%RETRY%g_T").is_empty());
    broker.restart().unwrap();
    let mut one = Consumer::connect(broker, "one");
    assert_eq!(popped(&mut one, &pop(1))[0].0, "a");
}

fn question(topic: &str, poll_time: i64, order: bool) -> Command {
    let question = NoticeRequest {
        consumer_group: "g".into(),
        topic: topic.into(),
        queue_id: -1,
        poll_time,
        born_time: 0,
        order,
        attempt_id: None,
        broker_name: None,
    };
    Command::request(request::NOTIFICATION).with_fields(&question)
}

fn polling(one: &mut Consumer) -> i32 {
    let query = PollingQuery {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: -1,
        broker_name: None,
    };
    let answer = one.call(&Command::request(request::POLLING_INFO).with_fields(&query));
    Polling::decode(&answer.ext).expect("a number").polling
}

#[test]
fn a_question_for_messages_takes_none_and_waits_for_one() {
    let (cluster, mut one) = start_with(&[]);
    let mut other = Consumer::connect(cluster.broker("broker-a"), "other");
    let read = |answer: &Command| Notice::decode(&answer.ext).map(|notice| notice.has_message);
    assert_eq!(read(&one.call(&question("T", 0, false))), Ok(false));
    assert_eq!(polling(&mut other), 0);
    one.client.write(&question("T", 15_000, false));
    assert!(cluster.wait_until(PATIENCE, || cluster.group("g").parked() == 1));
    assert_eq!(polling(&mut other), 1);
    other.call(&send("T", "first"));
    assert_eq!(read(&one.client.read()), Ok(true));
    let again = one.call(&question("T", 15_000, false));
    assert_eq!(read(&again), Ok(true), "it is still there");
    let in_order = PopRequest {
        order: true,
        ..pop(1)
    };
    assert_eq!(popped(&mut one, &in_order).len(), 1);
    let blocked = one.call(&question("T", 0, true));
    assert_eq!(read(&blocked), Ok(false), "its queue is blocked");
    one.client.write(&question("T", 15_000, true));
    assert!(cluster.wait_until(PATIENCE, || cluster.group("g").parked() == 1));
    cluster.advance(Duration::from_secs(15));
    assert_eq!(one.client.read().code, response::POLLING_TIMEOUT);
    let missing = one.call(&question("U", 0, false));
    assert_eq!(missing.code, response::TOPIC_NOT_EXIST);
}
