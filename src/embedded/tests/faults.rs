use std::time::Duration;

use super::client::{Client, PATIENCE, heartbeat, route, send};
use super::lifecycle::fill;
use crate::embedded::{Cluster, Fault, Gate, Injected, On};
use crate::protocol::send::SendResponse;
use crate::protocol::{Command, HeaderFormat};

struct Setup {
    cluster: Cluster,
    client: Client,
    injected: Injected,
}

fn inject(fault: Fault) -> Setup {
    let cluster = Cluster::builder().topic("T", 4).start().unwrap();
    let injected = cluster.broker("broker-a").inject(fault);
    let client = Client::connect(cluster.brokers()[0].address());
    Setup {
        cluster,
        client,
        injected,
    }
}

impl Setup {
    fn stored(&self) -> Vec<String> {
        let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
        let messages = self.cluster.messages("T");
        messages.iter().map(|m| text(&m.body())).collect()
    }

    /// A send that is served shows that the connection and the order of answers are intact.
    #[track_caller]
    fn check_served(&mut self) {
        assert_eq!(self.client.call(&send("T", "served")).code, 0);
    }
}

#[test]
fn an_error_code_is_answered_that_many_times_and_nothing_is_stored() {
    let mut at = inject(Fault::answer(2, "busy").on(On::Send).after(1).times(2));
    assert_eq!(at.client.call(&send("T", "first")).code, 0);
    for hits in 1..=2 {
        let answer = at.client.call(&send("T", "lost"));
        assert_eq!((answer.code, answer.remark.as_deref()), (2, Some("busy")));
        assert!(answer.ext.is_empty());
        assert_eq!(at.injected.hits(), hits);
    }
    assert_eq!(at.client.call(&heartbeat("me", &["g"])).code, 0);
    at.check_served();
    assert_eq!(at.stored(), ["first", "served"]);
}

#[test]
fn a_stored_message_can_be_answered_with_a_status() {
    let mut at = inject(Fault::answer(10, "FLUSH").once().after_storing());
    let answer = at.client.call(&send("T", "stored"));
    assert_eq!(answer.code, 10);
    let place = SendResponse::decode(&answer.ext).unwrap();
    let stored = &at.cluster.messages("T")[0];
    assert_eq!(place.message_id, stored.offset_message_id());
}

#[test]
fn go_away_is_a_code_of_its_own() {
    let mut at = inject(Fault::go_away().on(On::send_to("T")).once());
    assert_eq!(at.client.call(&send("T", "x")).code, 1500);
    at.check_served();
    assert_eq!(at.stored(), ["served"]);
}

#[test]
fn busy_is_a_code_of_its_own() {
    let mut at = inject(Fault::busy().on(On::Send).once());
    assert_eq!(at.client.call(&send("T", "x")).code, 2);
    at.check_served();
    assert_eq!(at.stored(), ["served"]);
}

#[test]
fn silence_loses_the_request_or_only_its_answer() {
    for (fault, stored) in [
        (Fault::silence(), &["served"][..]),
        (Fault::silence().after_storing(), &["x", "served"]),
    ] {
        let mut at = inject(fault.once());
        at.client.write(&send("T", "x"));
        // Its answer is the first that comes.
        let served = at.client.write(&send("T", "served"));
        assert_eq!(at.client.read().opaque, served);
        assert_eq!(at.stored(), stored);
    }
}

#[test]
fn a_hang_up_lets_earlier_answers_out() {
    for (fault, stored) in [
        (Fault::hang_up(), &["first"][..]),
        (Fault::hang_up().after_storing(), &["first", "x"]),
    ] {
        let mut at = inject(fault.after(1).once());
        let first = at.client.write(&send("T", "first"));
        at.client.write(&send("T", "x"));
        assert_eq!(at.client.read().opaque, first);
        assert!(at.client.try_read().is_none());
        assert_eq!(at.stored(), stored);
        assert_eq!(at.cluster.broker("broker-a").connections(), 0);
    }
}

#[test]
fn held_answers_are_overtaken_until_the_gate_opens() {
    for (executed, before, after) in [
        (false, &["2"][..], &["2", "0", "1"][..]),
        (true, &["0", "1", "2"], &["0", "1", "2"]),
    ] {
        let gate = Gate::new();
        let mut fault = Fault::hold(&gate).times(2);
        if executed {
            fault = fault.after_storing();
        }
        let mut at = inject(fault);
        let opaques = ["0", "1", "2"].map(|body| at.client.write(&send("T", body)));
        assert_eq!(at.client.read().opaque, opaques[2]);
        assert_eq!(gate.held(), 2);
        assert_eq!(at.stored(), before);
        gate.open();
        assert_eq!(at.client.read().opaque, opaques[0]);
        assert_eq!(at.client.read().opaque, opaques[1]);
        assert_eq!(at.stored(), after);
        assert_eq!(gate.held(), 0);
    }
}

#[test]
fn an_open_gate_holds_nothing_and_a_dead_connection_gets_nothing() {
    let gate = Gate::new();
    let mut at = inject(Fault::hold(&gate));
    at.client.write(&send("T", "held"));
    assert!(at.injected.wait_hits(1, PATIENCE));
    at.cluster.broker("broker-a").kill();
    gate.open();
    // The broker died before it came to this request.
    assert!(at.stored().is_empty());
    at.cluster.broker("broker-a").restart().unwrap();
    at.client = Client::connect(at.cluster.brokers()[0].address());
    at.check_served();
    assert_eq!(at.injected.hits(), 2);
}

#[test]
fn any_bytes_can_come_instead_of_the_answer() {
    let mut at = inject(Fault::bytes(*b"garbage").on(On::Send).once());
    at.client.write(&send("T", "x").oneway());
    at.check_served();
    let mut at = inject(Fault::bytes(*b"garbage").on(On::Send).once());
    at.client.write(&send("T", "x"));
    at.injected.wait_hits(1, PATIENCE);
    at.cluster.broker("broker-a").kill();
    assert_eq!(at.client.read_to_end(), b"garbage");
    assert!(at.stored().is_empty());

    let twice = Fault::bytes_from(|request| {
        let mut bytes = Vec::new();
        for code in [0, 1] {
            Command::response_to(request, code).encode(HeaderFormat::Json, &mut bytes);
        }
        bytes
    });
    let mut at = inject(twice.once().after_storing());
    assert_eq!(at.client.call(&send("T", "x")).code, 0);
    assert_eq!(at.client.read().code, 1);
    at.check_served();
    assert_eq!(at.stored(), ["x", "served"]);
}

#[test]
fn an_answer_can_drip_or_be_cut() {
    let mut at = inject(Fault::slow(50, Duration::from_millis(1)).once());
    assert_eq!(at.client.call(&send("T", "slow")).code, 0);
    at.check_served();
    let mut at = inject(Fault::cut_after(10));
    at.client.write(&send("T", "cut"));
    assert_eq!(at.client.read_to_end().len(), 10);
    assert_eq!(at.stored(), ["cut"]);
}

#[test]
fn a_damaged_answer_is_what_the_function_leaves_of_it() {
    let damage = Fault::damage(|answer| {
        answer.code = 77;
        answer.ext.set("queueId", "-1");
    });
    let mut at = inject(damage.on(On::Send).once());
    let answer = at.client.call(&send("T", "stored"));
    assert_eq!((answer.code, answer.ext.get("queueId")), (77, Some("-1")));
    let stored = at.cluster.only_message("T").offset_message_id();
    assert_eq!(answer.ext.get("msgId"), Some(&*stored), "the rest is right");
    at.check_served();
}

#[test]
fn a_dripping_answer_does_not_delay_the_end() {
    let mut at = inject(Fault::slow(1, Duration::from_secs(3600)));
    at.client.write(&send("T", "x"));
    at.cluster.wait_for_messages("T", 1, PATIENCE);
    at.cluster.broker("broker-a").kill();
    assert!(at.client.read_to_end().len() < 300);
}

#[test]
fn a_connection_can_stop_being_read() {
    let mut at = inject(Fault::stop_reading().on(On::Heartbeat));
    at.client.write(&heartbeat("me", &["g"]));
    assert!(at.injected.wait_hits(1, PATIENCE));
    fill(&at.client.stream);
    // Others are served.
    at.client = Client::connect(at.cluster.brokers()[0].address());
    at.check_served();
}

#[test]
fn the_first_of_several_faults_happens_and_removed_ones_do_not() {
    let mut at = inject(Fault::answer(2, "first").once());
    let broker = at.cluster.broker("broker-a");
    let second = broker.inject(Fault::answer(14, "second"));
    let code = |at: &mut Setup| at.client.call(&send("T", "x")).code;
    assert_eq!(code(&mut at), 2);
    assert_eq!(code(&mut at), 14);
    second.remove();
    assert_eq!(code(&mut at), 0);
    at.cluster.broker("broker-a").inject(Fault::silence());
    at.cluster.broker("broker-a").clear_faults();
    at.check_served();
}

#[test]
fn a_name_server_has_faults_too() {
    let cluster = Cluster::builder().topic("T", 1).start().unwrap();
    let server = &cluster.name_servers()[0];
    server.inject(Fault::answer(1, "sick").on(On::Route).once());
    let mut client = Client::connect(server.address());
    assert_eq!(client.call(&route("T")).code, 1);
    assert_eq!(client.call(&route("T")).code, 0);
    assert_eq!(cluster.requests(&On::Route).len(), 2);
}
