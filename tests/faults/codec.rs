//! Group A: bytes that break the protocol, on a live connection.

use std::time::Duration;

use rocketmq_blocking::protocol::{Command, HeaderFormat, frame};
use rocketmq_blocking::{ErrorKind, SendFate};

use crate::bench::script::{Script, Signal, Step};
use crate::bench::*;

/// These bytes come while two sends wait: they end the connection, and both at once.
#[track_caller]
fn check_poison(bench: &Bench, bytes: &[u8]) {
    bench.check_prompt(ms(10), || poison(bench, bytes));
}

/// How long it takes until both are answered.
#[track_caller]
fn poison(bench: &Bench, bytes: &[u8]) -> Duration {
    let (both, go, poisoned) = (Signal::new(), Signal::new(), Signal::new());
    let requests = [Step::UntilSend, Step::Frame, Step::UntilSend, Step::Frame];
    let script = Script::replies([
        Step::UntilSend,
        Step::Wait(go.clone()),
        Step::insert(bytes),
        Step::Raise(poisoned.clone()),
        Step::Wait(Signal::new()),
    ]);
    let requests = [&requests[..], &[Step::Raise(both.clone())]].concat();
    bench.broker().next(script.and_requests(requests));
    let producer = bench.patient();
    let sent = [(); 2].map(|()| bench.submit(&producer, LONG));
    both.wait();
    go.raise();
    let start = poisoned.wait();
    for sent in &sent {
        check_error(
            sent.outcome(),
            &[ErrorKind::Protocol],
            SendFate::MaybeStored,
        );
    }
    bench.check_heals(&producer);
    let took = |sent: &Sent| sent.ended().saturating_duration_since(start);
    sent.iter().map(took).max().unwrap_or_default()
}

#[test]
fn case_01_an_impossible_length_ends_the_connection_and_all_its_requests() {
    check(1, |bench| {
        for length in [-1, i32::MIN, 0, 1, 3] {
            check_poison(bench, &length.to_be_bytes());
        }
    });
}

#[test]
fn case_02_a_length_of_2_gib_is_refused_from_its_four_bytes() {
    check(1, |bench| check_poison(bench, &i32::MAX.to_be_bytes()));
}

/// A frame that matches no request, of this many bytes on the wire.
fn frame_of(wire_len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut answer = Command::response_to(&Command::request(0), 0);
    answer.opaque = -1;
    answer.encode(HeaderFormat::Json, &mut bytes);
    bytes.resize(wire_len, 0);
    bytes[..4].copy_from_slice(&(wire_len as u32 - 4).to_be_bytes());
    bytes
}

#[test]
fn case_03_a_frame_of_16_mib_is_read_and_one_byte_more_ends_the_connection() {
    check(1, |bench| {
        for length in [frame::MAX_FRAME - 1, frame::MAX_FRAME] {
            let large = Step::insert(frame_of(length));
            bench
                .broker()
                .next(Script::replies([Step::UntilSend, large]));
            let producer = bench.patient();
            assert!(bench.send(&producer, LONG).is_ok());
        }
        check_poison(bench, &frame_of(frame::MAX_FRAME + 1)[..8]);
    });
}

/// The received stream is the sent one, whatever its pieces.
#[test]
fn case_09_a_stream_in_pieces_is_the_same_stream() {
    check(1, |bench| {
        let shred = [Step::Shred];
        bench
            .broker()
            .next(Script::replies(shred.clone()).and_requests(shred));
        let producer = bench.patient();
        for mode in MODES {
            for _ in 0..20 {
                assert!(bench.send_in(mode, &producer, LONG).is_ok());
            }
        }
        assert_eq!(bench.broker().accepted(), 1);
    });
}

/// A changed byte may make another frame, or none; in no case is a wrong outcome reported.
#[test]
fn case_06_an_answer_with_a_changed_byte_harms_one_connection_at_most() {
    check(1, |bench| {
        bench.distrust();
        let producer = bench.patient();
        for _ in 0..64 {
            let corrupt = Script::replies([Step::UntilSend, Step::Corrupt]);
            bench.broker().next(corrupt);
            bench.broker().cut();
            let _ = bench.send(&producer, ms(50));
        }
        // The last one too: a frame whose length has grown swallows answers as long as its
        // connection lives.
        bench.broker().cut();
    });
}

/// What that costs in memory is counted by the package `hostile`.
#[test]
fn case_65_answers_of_16_mib_of_small_fields_or_remark_fail_one_send_each() {
    check(1, |bench| {
        const SIZE: usize = 15 << 20;
        let fields = |answer: &mut Command| {
            for _ in 0..SIZE / 16 {
                answer.ext.push("", "");
            }
        };
        let remark = |answer: &mut Command| {
            let text = "\u{1b}[31m broken\r\nINFO forged: all is well";
            answer.remark = Some(text.repeat(SIZE / 64));
        };
        let fill: [fn(&mut Command); 2] = [fields, remark];
        for fill in fill {
            let large = Step::insert_for(move |send| {
                let mut answer = Command::response_to(send, 1);
                fill(&mut answer);
                let mut bytes = Vec::new();
                answer.encode(HeaderFormat::Json, &mut bytes);
                assert!(bytes.len() < frame::MAX_FRAME);
                bytes
            });
            bench
                .broker()
                .next(Script::replies([Step::UntilSend, large]));
            let producer = bench.patient();
            for _ in 0..2 {
                // The first is answered by this, and the second as ever.
                let Err(error) = bench.send(&producer, LONG) else {
                    continue;
                };
                assert_eq!(error.kind(), ErrorKind::Broker, "{error}");
                assert_eq!(error.fate(), SendFate::MaybeStored);
                for text in [error.to_string(), format!("{error:#}")] {
                    assert!(text.len() < 1000, "{} bytes", text.len());
                    assert!(!text.contains(char::is_control), "{text}");
                }
            }
            let counts = bench.counts();
            assert_eq!(counts.stored, counts.maybe_stored, "{counts:?}");
        }
    });
}
