//! Group E: name servers that are down, silent or wrong.

use std::thread;
use std::time::Instant;

use rocketmq_blocking::embedded::{Fault, On};
use rocketmq_blocking::error::Wait;
use rocketmq_blocking::protocol::{Command, HeaderFormat};
use rocketmq_blocking::{ClientOptions, Error, ErrorKind, SendFate};

use crate::bench::script::{Script, Signal, Step};
use crate::bench::*;

/// More sends than there are threads for further attempts.
const WAITING: usize = 32;

#[test]
fn case_45_with_all_name_servers_down_a_start_works_and_sends_report_the_reason() {
    check_with(1, 2, |bench| {
        for server in &bench.name_servers {
            server.refuse();
        }
        let producer = bench.patient();
        for mode in MODES {
            let start = Instant::now();
            let result = bench.send_in(mode, &producer, LONG);
            check_error(result, &[ErrorKind::NoNameServer], SendFate::NotSent);
            // At most once the pause of the address, and two rounds.
            bench.check_within(ms(500), start, Instant::now());
        }
        bench.name_servers[1].serve();
        bench.check_heals(&producer);
    });
}

#[test]
fn case_45_name_servers_that_drop_packets_cost_the_time_of_the_call() {
    check_with(1, 2, |bench| {
        for server in &bench.name_servers {
            server.hole();
        }
        let producer = bench.patient();
        for mode in MODES {
            let result = bench.send_in(mode, &producer, SHORT);
            check_timeout(result, Wait::Route, SendFate::NotSent);
        }
    });
}

#[test]
fn case_46_one_good_name_server_of_two_is_enough() {
    check_with(1, 2, |bench| {
        let stall = Script::requests([Step::Wait(Signal::new())]);
        for bad in 0..2 {
            let server = &bench.name_servers[bad];
            for fault in 0..3 {
                match fault {
                    0 => server.refuse(),
                    1 => server.hole(),
                    _ => server.always(stall.clone()),
                }
                // A bad one may cost 3 s, if it is asked first; a good one answers long before.
                let producer = bench.producer(|setup| setup);
                for mode in MODES {
                    let outcome = bench.send_in(mode, &producer, LONG);
                    assert!(outcome.is_ok(), "{outcome:?}");
                }
                server.always(Script::default());
                server.serve();
            }
        }
    });
}

#[test]
fn case_47_a_hundred_first_sends_end_at_their_own_time_when_all_name_servers_stall() {
    check_with(1, 2, |bench| {
        let silence = Fault::silence().on(On::Route);
        let servers = bench.cluster.name_servers().iter();
        let silent: Vec<_> = servers.map(|s| s.inject(silence.clone())).collect();
        let producer = bench.patient();
        thread::scope(|scope| {
            for i in 0..100 {
                let producer = &producer;
                scope.spawn(move || {
                    let start = Instant::now();
                    let result = bench.send_in(MODES[i % 2], producer, SHORT);
                    let in_vain = |e: &Error| e.kind() != ErrorKind::Timeout;
                    let early = result.as_ref().is_err_and(in_vain);
                    let kinds = [ErrorKind::Timeout, ErrorKind::NoNameServer];
                    check_error(result, &kinds, SendFate::NotSent);
                    assert!(early || start.elapsed() >= SHORT, "before its time");
                });
            }
        });
        let asked = bench.cluster.requests(&On::Route).len();
        // Each alone would ask both. A caller with more time than the first asks again.
        assert!(asked < 100, "they ask one at a time: {asked} questions");
        silent.iter().for_each(|silent| silent.remove());
        bench.name_servers.iter().for_each(|server| server.cut());
    });
}

/// Further attempts of asynchronous sends share a few threads, and those all wait for a route.
#[test]
fn case_47_a_retry_ends_at_its_own_time_while_others_wait_for_a_route() {
    check(1, |bench| {
        let broker = &bench.cluster.brokers()[0];
        let producer = bench.producer(|setup| {
            let setup = setup.retries(0).async_retries(u32::MAX);
            setup
                .options(ClientOptions::new().api_timeout(LONG))
                .send_timeout(LONG)
        });
        assert!(bench.send(&producer, LONG).is_ok());
        let name_server = &bench.cluster.name_servers()[0];
        let silent = name_server.inject(Fault::silence().on(On::Route));
        // A wrong queue causes a new route look-up, and a busy broker is retried.
        let wrong = broker.inject(Fault::answer(29, "wrong queue").on(On::Send).times(WAITING));
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| bench.submit(&producer, LONG))
            .collect();
        assert!(wrong.wait_hits(WAITING, PATIENCE));
        let busy = broker.inject(Fault::answer(2, "busy").on(On::Send));
        for _ in 0..2 {
            // What the error is depends on the machine. Its time is in the ledger.
            assert!(bench.submit(&producer, ms(200)).outcome().is_err());
        }
        assert!(waiting.iter().all(|sent| !sent.is_over()));
        busy.remove();
        silent.remove();
        // A failed look-up counts; the end of its connection is an answer too.
        bench.name_servers[0].cut();
    });
}

#[test]
fn case_48_a_route_that_cannot_be_read_is_the_name_servers_error() {
    check(1, |bench| {
        for body in [&b""[..], b"{", b"[]", b"\xFF\xFE", b"{\"queueDatas\":7}"] {
            let garbage = Fault::bytes_from(move |request| {
                let mut bytes = Vec::new();
                let answer = Command::response_to(request, 0).with_body(body.to_vec());
                answer.encode(HeaderFormat::Json, &mut bytes);
                bytes
            });
            let server = &bench.cluster.name_servers()[0];
            let fault = server.inject(garbage.on(On::Route));
            let producer = bench.patient();
            for mode in MODES {
                let result = bench.send_in(mode, &producer, LONG);
                check_error(result, &[ErrorKind::NameServer], SendFate::NotSent);
            }
            fault.remove();
            bench.check_heals(&producer);
        }
    });
}
