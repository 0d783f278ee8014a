use super::*;
use crate::protocol::Language;
use crate::protocol::send::V1;

/// The lengths of the fault matrix, and what becomes of them.
#[test]
fn impossible_lengths_are_refused_from_four_bytes() {
    let max = i32::try_from(MAX_FRAME).unwrap() - 4;
    for bad in [-1, i32::MIN, 0, 1, 3, max + 1, i32::MAX] {
        assert!(split(&bad.to_be_bytes()).is_err(), "{bad}");
    }
    for good in [4, max - 1, max] {
        assert_eq!(split(&good.to_be_bytes()), Ok(None), "{good}");
    }
}

#[test]
fn a_header_must_fit_its_frame_and_have_a_known_format() {
    let frame = |word: u32| [&8u32.to_be_bytes()[..], &word.to_be_bytes(), &[0; 4]].concat();
    assert_eq!(split(&frame(4)).unwrap().unwrap().header, [0; 4]);
    assert_eq!(split(&frame(0)).unwrap().unwrap().body, [0; 4]);
    assert!(split(&frame(5)).is_err());
    assert!(split(&frame(0x00FF_FFFF)).is_err());
    for format in 2..=255u32 {
        assert!(split(&frame(format << 24 | 4)).is_err(), "{format}");
    }
}

/// Forgets the last header: the next one is written in full.
#[test]
fn an_encoder_remembers_nothing_that_shows() {
    let plain = SendHeader {
        producer_group: "g",
        topic: "t",
        default_topic: "d",
        default_topic_queue_nums: 4,
        queue_id: 1,
        sys_flag: 0,
        born_timestamp: 7,
        flag: 0,
        properties: "a\u{1}b\u{2}",
        reconsume_times: 0,
        unit_mode: false,
        max_reconsume_times: None,
        batch: false,
        broker_name: Some("b"),
    };
    let others = [
        SendHeader {
            producer_group: "gt",
            topic: "",
            ..plain
        },
        SendHeader {
            topic: "\"",
            ..plain
        },
        SendHeader {
            default_topic: "",
            ..plain
        },
        SendHeader {
            default_topic_queue_nums: 5,
            ..plain
        },
        SendHeader {
            queue_id: 2,
            sys_flag: 1,
            ..plain
        },
        SendHeader {
            flag: -1,
            born_timestamp: 8,
            ..plain
        },
        SendHeader {
            reconsume_times: 1,
            properties: "",
            ..plain
        },
        SendHeader {
            unit_mode: true,
            ..plain
        },
        SendHeader {
            max_reconsume_times: Some(0),
            ..plain
        },
        SendHeader {
            batch: true,
            broker_name: None,
            ..plain
        },
    ];
    let mut encoder = Encoder::default();
    let mut check = |send: &SendHeader<'_>, long_names, format| {
        let head = Head {
            code: 310,
            flag: 0,
            opaque: 1,
            language: Language::RUST,
            version: VERSION,
            remark: None,
            format,
        };
        let (mut known, mut fresh) = (Vec::new(), Vec::new());
        encoder.encode_send(&head, send, long_names, &(), 0, &mut known);
        match long_names {
            true => encode_head(&head, &V1(send), 0, &mut fresh),
            false => encode_head(&head, send, 0, &mut fresh),
        }
        assert_eq!(known, fresh);
    };
    for format in [HeaderFormat::Json, HeaderFormat::Binary] {
        for other in &others {
            for header in [&plain, other, other, &plain] {
                check(header, false, format);
                check(header, true, format);
            }
        }
    }
}
