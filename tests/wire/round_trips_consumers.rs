//! Requests and answers of consumers read back as they were written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use rocketmq_blocking::MessageQueue;
use rocketmq_blocking::protocol::consumer::asked::*;
use rocketmq_blocking::protocol::consumer::assignment::*;
use rocketmq_blocking::protocol::consumer::back::SendBack;
use rocketmq_blocking::protocol::consumer::lock::{LockRequest, Locked};
use rocketmq_blocking::protocol::consumer::member::*;
use rocketmq_blocking::protocol::consumer::offset::{CommitOffset, QueryOffset};
use rocketmq_blocking::protocol::consumer::pop::{
    Ack, BatchAck, ChangeInvisible, Handle, Mark, PopAnswer, PopRequest,
};
use rocketmq_blocking::protocol::consumer::progress::{ConsumeStats, QueueStats, TopicList};
use rocketmq_blocking::protocol::consumer::pull::{PullAnswer, PullRequest};

use crate::round_trips::{FORMATS, round_fields};
use crate::values::{config, name, queue, subscription, text};

fn pull() -> impl Strategy<Value = PullRequest<'static>> {
    let numbers = (
        any::<[i32; 3]>(),
        any::<[i64; 4]>(),
        option::of(any::<i32>()),
    );
    let texts = (
        name(),
        name(),
        option::of(name()),
        option::of(name()),
        option::of(name()),
    );
    (numbers, texts).prop_map(|((ints, longs, max_bytes), texts)| PullRequest {
        consumer_group: texts.0.into(),
        topic: texts.1.into(),
        queue_id: ints[0],
        queue_offset: longs[0],
        max_messages: ints[1],
        sys_flag: ints[2],
        commit_offset: longs[1],
        suspend_millis: longs[2],
        subscription: texts.2.map(Cow::from),
        sub_version: longs[3],
        expression_type: texts.3.map(Cow::from),
        max_bytes,
        broker_name: texts.4.map(Cow::from),
    })
}

fn pull_answer() -> impl Strategy<Value = PullAnswer> {
    let flags = any::<[Option<i32>; 3]>();
    (any::<[i64; 4]>(), any::<Option<i64>>(), flags).prop_map(|(longs, offset_delta, flags)| {
        PullAnswer {
            suggested_broker_id: longs[0],
            next_offset: longs[1],
            min_offset: longs[2],
            max_offset: longs[3],
            offset_delta,
            topic_sys_flag: flags[0],
            group_sys_flag: flags[1],
            forbidden_type: flags[2],
        }
    })
}

fn handle() -> impl Strategy<Value = Handle> {
    let marks = select(&[Mark::Normal, Mark::RetryV1, Mark::RetryV2][..]);
    (any::<[i64; 4]>(), any::<[i32; 2]>(), marks, "[a-z-]{1,9}").prop_map(
        |(longs, ints, mark, broker)| Handle {
            start_offset: longs[0],
            pop_time: longs[1],
            invisible_time: longs[2],
            revive_queue: ints[0],
            mark,
            broker,
            queue_id: ints[1],
            queue_offset: longs[3],
        },
    )
}

fn table<V: Clone + std::fmt::Debug>(
    value: impl Strategy<Value = V>,
) -> impl Strategy<Value = BTreeMap<MessageQueue, V>> {
    btree_map(queue(), value, 0..4)
}

fn queue_info() -> impl Strategy<Value = QueueInfo> {
    (any::<[i32; 3]>(), any::<[i64; 4]>(), any::<[bool; 2]>()).prop_map(|(ints, longs, flags)| {
        QueueInfo {
            cached_msg_count: ints[0],
            cached_msg_size_in_mi_b: ints[1],
            transaction_msg_count: ints[2],
            cached_msg_max_offset: longs[0],
            cached_msg_min_offset: longs[1],
            commit_offset: longs[2],
            try_unlock_times: longs[3],
            droped: flags[0],
            locked: flags[1],
            ..QueueInfo::default()
        }
    })
}

fn running_info() -> impl Strategy<Value = RunningInfo> {
    let pops = (any::<bool>(), any::<i64>(), any::<i32>()).prop_map(|(droped, last, count)| {
        PopQueueInfo {
            droped,
            last_pop_timestamp: last,
            wait_ack_count: count,
        }
    });
    let status = (any::<i64>(), any::<i32>()).prop_map(|(failed, tps)| ConsumeStatus {
        consume_failed_msgs: failed,
        consume_ok_tps: f64::from(tps) / 4.0,
        ..ConsumeStatus::default()
    });
    let texts = || btree_map(text(), text(), 0..3);
    (
        (option::of(text()), texts(), texts()),
        (table(pops), table(queue_info())),
        (btree_map(text(), status, 0..3), vec(subscription(), 0..3)),
    )
        .prop_map(
            |(texts, tables, (status_table, subscription_set))| RunningInfo {
                jstack: texts.0,
                properties: texts.1,
                user_consumer_info: texts.2,
                mq_pop_table: tables.0,
                mq_table: tables.1,
                status_table,
                subscription_set,
            },
        )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_pull_reads_back_in_either_form(pull in pull(), answer in pull_answer()) {
        for format in FORMATS {
            let ext = round_fields(&pull, format);
            assert_eq!(PullRequest::decode(&ext).as_ref(), Ok(&pull));
            let ext = round_fields(&answer, format);
            assert_eq!(PullAnswer::decode(&ext), Ok(answer));
        }
    }

    #[test]
    fn headers_about_offsets_and_messages_read_back(
        texts in (name(), name(), option::of(name()), option::of(name()), option::of(name())),
        ints: [i32; 2], long: i64, times: Option<i32>, set: Option<bool>, unit_mode: bool,
    ) {
        let (group, topic, one, two, broker_name) = texts;
        let query = QueryOffset {
            consumer_group: group.clone(),
            topic: topic.clone(),
            queue_id: ints[0],
            set_zero_if_not_found: set,
            broker_name: broker_name.clone(),
        };
        let commit = CommitOffset {
            consumer_group: group.clone(),
            topic: topic.clone(),
            queue_id: ints[0],
            commit_offset: long,
            broker_name: broker_name.clone(),
        };
        let back = SendBack {
            offset: long,
            group: group.clone(),
            delay_level: ints[1],
            origin_message_id: one.clone(),
            origin_topic: two.clone(),
            unit_mode,
            max_reconsume_times: times,
            broker_name,
        };
        let reset = ResetOffsets {
            topic,
            group: group.clone(),
            timestamp: long,
            is_force: unit_mode,
            queue_id: times,
            offset: times.map(i64::from),
        };
        let directly = ConsumeDirectly {
            consumer_group: group,
            client_id: one.clone(),
            message_id: two.clone(),
            broker_name: one,
            topic: two,
            topic_sys_flag: times,
            group_sys_flag: times,
        };
        for format in FORMATS {
            assert_eq!(QueryOffset::decode(&round_fields(&query, format)).as_ref(), Ok(&query));
            assert_eq!(CommitOffset::decode(&round_fields(&commit, format)).as_ref(), Ok(&commit));
            assert_eq!(SendBack::decode(&round_fields(&back, format)).as_ref(), Ok(&back));
            assert_eq!(ResetOffsets::decode(&round_fields(&reset, format)).as_ref(), Ok(&reset));
            assert_eq!(ConsumeDirectly::decode(&round_fields(&directly, format)).as_ref(), Ok(&directly));
        }
    }

    #[test]
    fn bodies_about_queues_read_back(
        queues in vec(queue(), 0..4), texts in (text(), text(), text(), text()), only: bool,
        modes in vec(select(&[RequestMode::Pull, RequestMode::Pop][..]), 4), none: bool,
    ) {
        let (client_id, consumer_group, strategy_name, topic) = texts;
        let lock = LockRequest {
            client_id: client_id.clone(),
            consumer_group: consumer_group.clone(),
            mq_set: queues.clone(),
            only_this_broker: only,
        };
        assert_eq!(LockRequest::decode(&lock.encode()).as_ref(), Ok(&lock));
        let locked = Locked { queues: queues.clone() };
        assert_eq!(Locked::decode(&locked.encode()).as_ref(), Ok(&locked));
        let query = AssignmentQuery {
            client_id,
            consumer_group,
            message_model: MessageModel::Broadcasting,
            strategy_name,
            topic,
        };
        assert_eq!(AssignmentQuery::decode(&query.encode()).as_ref(), Ok(&query));
        let list = queues.into_iter().zip(modes);
        let list = list.map(|(message_queue, mode)| Assignment { message_queue, mode });
        let answer = Assignments {
            message_queue_assignments: (!none).then(|| list.collect()),
        };
        assert_eq!(Assignments::decode(&answer.encode()).as_ref(), Ok(&answer));
    }

    #[test]
    fn tables_with_queues_as_keys_read_back(
        offsets in table(any::<i64>()), info in running_info(), stats in table(any::<[i64; 4]>()), tps: i32,
    ) {
        let table = OffsetTable(offsets.clone());
        assert_eq!(OffsetTable::decode(&table.encode()).as_ref(), Ok(&table));
        assert_eq!(OffsetTable::decode(&table.encode_list()).as_ref(), Ok(&table));
        let status = ConsumerOffsets { message_queue_table: offsets };
        assert_eq!(ConsumerOffsets::decode(&status.encode()).as_ref(), Ok(&status));
        assert_eq!(RunningInfo::decode(&info.encode()).as_ref(), Ok(&info));
        let stats = stats.into_iter().map(|(queue, numbers)| {
            let stats = QueueStats {
                broker_offset: numbers[0],
                consumer_offset: numbers[1],
                last_timestamp: numbers[2],
                pull_offset: numbers[3],
            };
            (queue, stats)
        });
        let stats = ConsumeStats {
            consume_tps: f64::from(tps) / 4.0,
            offset_table: stats.collect(),
        };
        assert_eq!(ConsumeStats::decode(&stats.encode()).as_ref(), Ok(&stats));
    }

    #[test]
    fn bodies_about_members_read_back(
        ids in vec(text(), 0..4), subscription in subscription(), texts in (text(), text(), option::of(text())),
        version: i32, table in btree_map(text(), subscription(), 0..3),
    ) {
        let topics = TopicList { broker_addr: texts.0.clone(), topic_list: ids.clone() };
        assert_eq!(TopicList::decode(&topics.encode()).as_ref(), Ok(&topics));
        let members = Members { consumer_id_list: ids };
        assert_eq!(Members::decode(&members.encode()).as_ref(), Ok(&members));
        let (client_id, group, namespace) = texts;
        let connections = Connections {
            connection_set: vec![MemberConnection {
                client_addr: group.clone(),
                client_id: client_id.clone(),
                language: "RUST".to_owned(),
                version,
            }],
            subscription_table: table,
            ..Connections::default()
        };
        assert_eq!(Connections::decode(&connections.encode()).as_ref(), Ok(&connections));
        let check = FilterCheck { client_id, group, namespace, subscription_data: subscription };
        assert_eq!(FilterCheck::decode(&check.encode()).as_ref(), Ok(&check));
    }

    #[test]
    fn pops_and_handles_read_back(
        handle in handle(), longs: [i64; 3], ints: [i32; 3], order: bool,
        texts in (name(), name(), option::of(name()), option::of(name()), option::of(name())),
    ) {
        assert_eq!(handle.to_string().parse().as_ref(), Ok(&handle));
        let (consumer_group, topic, expression, attempt_id, broker_name) = texts;
        let ack = Ack::of(handle, &topic, &consumer_group);
        let change = ChangeInvisible { ack: ack.clone(), invisible_time: longs[0] };
        let pop = PopRequest {
            consumer_group,
            topic,
            queue_id: ints[0],
            max_messages: ints[1],
            invisible_time: longs[0],
            poll_time: longs[1],
            born_time: longs[2],
            init_mode: ints[2],
            expression_type: expression.clone(),
            expression,
            order,
            attempt_id,
            broker_name,
        };
        let answer = PopAnswer {
            pop_time: longs[0],
            invisible_time: longs[1],
            revive_queue: ints[0],
            rest: longs[2],
            start_offsets: pop.attempt_id.clone(),
            message_offsets: pop.expression.clone(),
            order_counts: None,
        };
        for format in FORMATS {
            assert_eq!(Ack::decode(&round_fields(&ack, format)).as_ref(), Ok(&ack));
            assert_eq!(ChangeInvisible::decode(&round_fields(&change, format)).as_ref(), Ok(&change));
            assert_eq!(PopRequest::decode(&round_fields(&pop, format)).as_ref(), Ok(&pop));
            assert_eq!(PopAnswer::decode(&round_fields(&answer, format)).as_ref(), Ok(&answer));
        }
    }

    #[test]
    fn acknowledged_offsets_come_back_from_their_bits(
        handle in handle(), start in 0..1i64 << 40, bits in btree_set(0..3000i64, 1..40),
    ) {
        let of = |bit: &i64| Handle { start_offset: start, queue_offset: start + bit, ..handle.clone() };
        let handles: Vec<Handle> = bits.iter().map(of).collect();
        let (ack, left) = BatchAck::of(&handle.broker, "T", "g", &handles);
        assert!(left.is_empty());
        let read = BatchAck::decode(&ack.encode()).unwrap();
        assert_eq!(read, ack);
        let offsets: Vec<i64> = read.acks.iter().flat_map(|batch| batch.offsets()).collect();
        assert_eq!(offsets, handles.iter().map(|h| h.queue_offset).collect::<Vec<_>>());
    }
}
