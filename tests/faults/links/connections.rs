//! Group C: connections that cannot be made, and connections that break.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::embedded::{Fault, On};
use rocketmq_blocking::error::Wait;
use rocketmq_blocking::{ClientOptions, ErrorKind, Producer, SendFate};

use crate::bench::script::{Script, Signal, Step};
use crate::bench::*;
use crate::support::skipped;

#[test]
fn case_19_a_refusal_costs_no_time_and_another_broker_is_tried() {
    check(2, |bench| {
        bench.brokers[0].refuse();
        let once = bench.patient();
        for mode in MODES {
            let start = Instant::now();
            let other = bench.producer(|setup| setup);
            // Both brokers take turns.
            for _ in 0..2 {
                assert!(bench.send_in(mode, &other, LONG).is_ok());
            }
            let sent = bench.submit_to("broker-a", &once, LONG);
            check_error(sent.outcome(), &[ErrorKind::Connect], SendFate::NotSent);
            bench.check_within(ms(20), start, sent.ended());
            bench.check_prompt(ms(5), || {
                // A producer that has not dialled yet: one that has is in back-off for a moment.
                let new = bench.producer(|setup| setup.retries(0).async_retries(0));
                // It knows the route, and its threads run.
                assert!(bench.submit_to("broker-b", &new, LONG).outcome().is_ok());
                let start = Instant::now();
                let sent = bench.submit_to("broker-a", &new, LONG);
                check_error(sent.outcome(), &[ErrorKind::Connect], SendFate::NotSent);
                sent.ended() - start
            });
        }
        bench.brokers[0].serve();
        bench.check_heals(&once);
    });
}

#[test]
fn case_20_a_broker_that_drops_packets_costs_the_time_of_the_call() {
    check(1, |bench| {
        bench.broker().hole();
        let producer = bench.taught(|setup| setup);
        for mode in MODES {
            let result = bench.send_in(mode, &producer, SHORT);
            check_timeout(result, Wait::Connect, SendFate::NotSent);
        }
        bench.broker().serve();
        bench.check_heals(&producer);
    });
}

/// This many sends, whose retries should go to another broker.
const DIALLING: usize = 8;

/// Reports when this many sends have arrived, and resets their connection on request.
fn reset_together(sends: usize, heard: &Signal, go: &Signal) -> Script {
    let one = [Step::UntilSend, Step::Frame];
    let mut requests: Vec<_> = one.iter().cycle().take(2 * sends).cloned().collect();
    requests.push(Step::Raise(heard.clone()));
    let replies = [Step::UntilSend, Step::Wait(go.clone()), Step::Reset];
    Script::replies(replies).and_requests(requests)
}

/// Further attempts of asynchronous sends share a few threads, and those are all dialling. (That the
/// short sends end at their own time is in the ledger.)
#[test]
fn case_20_a_retry_ends_at_its_own_time_while_others_dial_into_nothing() {
    check(2, |bench| {
        let (hole, good) = (&bench.brokers[0], &bench.brokers[1]);
        let (heard, go) = (Signal::new(), Signal::new());
        good.next(reset_together(DIALLING, &heard, &go));
        // There are no answers afterwards either.
        let over = Signal::new();
        let silence = [Step::UntilSend, Step::Wait(over.clone())];
        good.next(Script::replies(silence));
        hole.refuse();
        let producer =
            bench.producer(|setup| setup.options(ClientOptions::new().connect_timeout(LONG)));
        // Longer than the short ones may be late.
        let submit = || bench.submit(&producer, ms(10_000));
        let dialling: Vec<_> = (0..DIALLING).map(|_| submit()).collect();
        heard.wait();
        hole.hole();
        go.raise();
        for _ in 0..2 {
            assert!(bench.submit(&producer, ms(200)).outcome().is_err());
        }
        assert!(dialling.iter().any(|sent| !sent.is_over()));
        over.raise();
        hole.serve();
    });
}

/// Any number of unanswered dials: the few retry threads serve the other sends.
#[test]
fn case_20_a_retry_succeeds_elsewhere_while_others_dial_into_nothing() {
    check(2, |bench| {
        let (hole, good) = (&bench.brokers[0], &bench.brokers[1]);
        let (heard, go) = (Signal::new(), Signal::new());
        good.next(reset_together(DIALLING, &heard, &go));
        hole.refuse();
        let producer =
            bench.producer(|setup| setup.options(ClientOptions::new().connect_timeout(LONG)));
        let dialling: Vec<_> = (0..DIALLING)
            .map(|_| bench.submit(&producer, LONG))
            .collect();
        heard.wait();
        hole.hole();
        go.raise();
        eventually("the good one has a new connection", || {
            let sent = bench.submit_to("broker-b", &producer, LONG);
            sent.outcome().is_ok()
        });
        // A broker that goes away has the request sent again by one of those threads.
        let away = Fault::go_away().on(On::Send).once();
        for _ in 0..3 {
            let away = bench.cluster.brokers()[1].inject(away.clone());
            let sent = bench.submit_to("broker-b", &producer, ms(15_000));
            let outcome = sent.outcome();
            assert!(outcome.is_ok(), "{outcome:?}");
            assert_eq!(away.hits(), 1);
        }
        assert!(dialling.iter().any(|sent| !sent.is_over()));
        hole.serve();
    });
}

/// The link is up, and the broker never answers; the next send does not trust that link.
#[test]
fn case_21_a_broker_that_never_answers_costs_the_time_of_the_call_and_its_connection() {
    for mode in MODES {
        check(1, |bench| {
            // The answer to the heartbeat comes before that to the first send: then there is silence.
            let second = [Step::UntilSend, Step::Frame, Step::UntilSend, Step::Lose];
            bench.broker().next(Script::replies(second));
            let producer = bench.patient();
            assert!(bench.send(&producer, LONG).is_ok());
            let result = bench.send_in(mode, &producer, SHORT);
            check_timeout(result, Wait::Response, SendFate::MaybeStored);
            assert!(bench.send(&producer, LONG).is_ok());
            assert_eq!(bench.broker().accepted(), 2);
        });
    }
}

#[test]
fn case_22_an_end_before_the_first_request_is_not_waited_for() {
    check(1, |bench| {
        let kinds = [ErrorKind::Connect, ErrorKind::Disconnected];
        for end in [Step::Fin, Step::Reset] {
            for mode in MODES {
                bench.broker().next(Script::replies([end.clone()]));
                let producer = bench.patient();
                let start = Instant::now();
                // It may be seen before or after the request is written. (What may be stored then is
                // in the ledger.)
                if let Err(error) = bench.send_in(mode, &producer, LONG) {
                    assert!(kinds.contains(&error.kind()), "{error}");
                    if error.kind() == ErrorKind::Connect {
                        assert_eq!(error.fate(), SendFate::NotSent, "{error}");
                    }
                }
                bench.check_within(ms(20), start, Instant::now());
                bench.check_heals(&producer);
                // Sends with attempts left are not affected.
                bench.broker().next(Script::replies([end.clone()]));
                let other = bench.producer(|setup| setup);
                assert!(bench.send_in(mode, &other, LONG).is_ok());
            }
        }
    });
}

/// The broker has stored the message, and the client sees only the end of the connection.
#[track_caller]
fn check_end_after_request(end: Step) {
    check(1, |bench| {
        let took = |mode| {
            let (both, ended) = (Signal::new(), Signal::new());
            let replies = [
                Step::UntilSend,
                Step::Wait(both.clone()),
                Step::Raise(ended.clone()),
                end.clone(),
            ];
            let requests = [
                Step::UntilSend,
                Step::Frame,
                Step::UntilSend,
                Step::Frame,
                Step::Raise(both),
            ];
            bench
                .broker()
                .next(Script::replies(replies).and_requests(requests));
            let producer = bench.patient();
            let other = bench.submit(&producer, LONG);
            let result = bench.send_in(mode, &producer, LONG);
            let now = Instant::now();
            check_error(result, &[ErrorKind::Disconnected], SendFate::MaybeStored);
            check_error(
                other.outcome(),
                &[ErrorKind::Disconnected],
                SendFate::MaybeStored,
            );
            bench.check_heals(&producer);
            let last = now.max(other.ended());
            last.saturating_duration_since(ended.wait())
        };
        for mode in MODES {
            bench.check_prompt(ms(10), || took(mode));
        }
    });
}

#[test]
fn case_23_an_end_after_the_request_means_maybe_stored_at_once() {
    check_end_after_request(Step::Fin);
}

#[test]
fn case_23_a_reset_after_the_request_means_maybe_stored_at_once() {
    check_end_after_request(Step::Reset);
}

#[test]
fn case_24_an_answer_cut_after_any_byte_means_maybe_stored() {
    check(1, |bench| {
        let producer = bench.patient();
        let mut bytes = 0;
        loop {
            bench.broker().cut();
            let end = if bytes % 2 == 0 {
                Step::Fin
            } else {
                Step::Reset
            };
            bench
                .broker()
                .next(Script::replies([Step::UntilSend, Step::Pass(bytes), end]));
            // The connection before may not be known to be at its end yet.
            let before = bench.broker().accepted();
            let result = loop {
                let result = bench.send(&producer, LONG);
                if bench.broker().accepted() > before {
                    break result;
                }
            };
            if result.is_ok() {
                break;
            }
            let error = error(result);
            assert_eq!(error.kind(), ErrorKind::Disconnected, "{bytes}: {error}");
            assert_eq!(error.fate(), SendFate::MaybeStored);
            bytes += 1;
        }
        assert!(bytes > 100, "an answer has more than {bytes} bytes");
    });
}

/// Both directions fall silent, as if a cable were pulled: no side is notified, and no dial is
/// answered.
#[test]
fn case_29_a_half_open_connection_is_left_and_heals_within_a_second() {
    check(1, |bench| {
        let for_ever = Signal::new();
        let idle = [Step::UntilSend, Step::Frame, Step::Wait(for_ever)];
        bench
            .broker()
            .next(Script::replies(idle.clone()).and_requests(idle));
        let producer = bench.patient();
        assert!(bench.send(&producer, LONG).is_ok());
        bench.broker().hole();
        let sent: Vec<_> = (0..1000).map(|_| bench.submit(&producer, LONG)).collect();
        let result = bench.send(&producer, SHORT);
        check_timeout(result, Wait::Response, SendFate::MaybeStored);
        // The first timeout ends the connection for all its sends.
        for sent in sent {
            let kinds = [ErrorKind::Disconnected];
            check_error(sent.outcome(), &kinds, SendFate::MaybeStored);
        }
        let result = bench.send(&producer, SHORT);
        check_timeout(result, Wait::Connect, SendFate::NotSent);
        bench.broker().serve();
        let start = Instant::now();
        bench.check_heals(&producer);
        bench.check_within(ms(1000), start, Instant::now());
    });
}

/// The nanoseconds that this thread has run, on systems that report it, such as Linux.
fn on_a_processor() -> u64 {
    let said = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = said.split(' ').next();
    nanos.and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

/// The number of threads that send to a broker that is down, and for how long it is.
#[track_caller]
fn check_down(threads: usize, millis: u64) {
    check(1, |bench| {
        // It accepts, so that dials can be counted, and ends each connection at once.
        bench.broker().always(Script::replies([Step::Fin]));
        let producer = bench.producer(|setup| setup.retries(u32::MAX));
        let start = Instant::now();
        let (tried, busy) = (AtomicUsize::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let error = error(bench.send(&producer, ms(millis)));
                    tried.fetch_max(error.attempts_made(), Ordering::SeqCst);
                    busy.fetch_add(on_a_processor(), Ordering::SeqCst);
                });
            }
        });
        // 50, 100, 200, 400, 500 ms, and from that up to a quarter less.
        let most = 6 + start.elapsed().as_millis() as usize / 375;
        let dials = bench.broker().accepted();
        assert!((2..=most).contains(&dials), "{dials} dials, {most} allowed");
        // Between two dials no thread is busy.
        let tried = tried.into_inner();
        assert!(tried <= 2 * most, "{tried} attempts of one send");
        // An attempt costs about 70 µs here, half of it for the log lines of a test. Threads that
        // spin would be busy for all of the time.
        let busy = Duration::from_nanos(busy.into_inner());
        let most_busy = Duration::from_micros(200) * (threads * tried) as u32;
        assert!(
            busy <= most_busy,
            "{threads} threads were busy for {busy:?}"
        );
        bench.broker().always(Script::default());
        bench.check_heals(&producer);
    });
}

#[test]
fn case_31_two_hundred_threads_dial_a_broken_broker_with_pauses() {
    check_down(200, 3000);
}

#[test]
#[ignore = "slow: part of the fault slice"]
fn case_31_a_broker_that_is_down_for_a_minute_is_not_stormed() {
    check_down(200, 60_000);
}

#[test]
fn case_34_servers_may_have_addresses_of_version_6_and_lists_may_have_blanks() {
    let version_6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    let (address, begin) = match TcpListener::bind((version_6, 0)) {
        Ok(_) => (version_6, "[::1]:"),
        Err(error) => {
            skipped(&format!("case 34, the addresses of version 6: {error}"));
            (Ipv4Addr::LOCALHOST.into(), "127.0.0.1:")
        }
    };
    check_at(address, 1, 2, |bench| {
        let list = bench.name_server().replace(';', " ; ;");
        assert!(list.starts_with(begin), "{list}");
        let producer = bench.producer(|setup| setup.name_server(format!(" {list}; ")));
        for mode in MODES {
            assert!(bench.send_in(mode, &producer, LONG).is_ok());
        }
        for bad in ["", " ;", "127.0.0.1", "127.0.0.1:99999", "[::1]", ":9876"] {
            let refused = Producer::builder("other").name_server(bad).start();
            let kinds = [ErrorKind::Config, ErrorKind::NoNameServer];
            let kind = refused.expect_err("no address").kind();
            assert!(kinds.contains(&kind), "{bad:?}: {kind}");
        }
    });
}
