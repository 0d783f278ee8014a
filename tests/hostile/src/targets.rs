//! The targets of hostile bytes: all code by which the client reads bytes from a peer.

use std::sync::Arc;

use rocketmq_blocking::protocol::admin::{OffsetAnswer, QueueQuery, RecallAnswer, StoreTimeAnswer};
use rocketmq_blocking::protocol::code::request;
use rocketmq_blocking::protocol::consumer::asked::{
    ConsumeDirectly, ConsumerOffsets, DirectResult, OffsetTable, OffsetsQuery, ResetOffsets,
    RunningInfo, RunningInfoQuery,
};
use rocketmq_blocking::protocol::consumer::assignment::{
    AssignmentQuery, Assignments, SetRequestMode,
};
use rocketmq_blocking::protocol::consumer::back::SendBack;
use rocketmq_blocking::protocol::consumer::lock::{LockRequest, Locked};
use rocketmq_blocking::protocol::consumer::member::{Connections, FilterCheck, GroupName, Members};
use rocketmq_blocking::protocol::consumer::offset::{CommitOffset, QueryOffset};
use rocketmq_blocking::protocol::consumer::pop::{
    Ack, BatchAck, ChangeAnswer, ChangeInvisible, Handle, Notice, NoticeRequest, Polling,
    PollingQuery, PopAnswer, PopRequest, Popped,
};
use rocketmq_blocking::protocol::consumer::progress::{
    ConsumeStats, ConsumeStatsQuery, GroupTopicsQuery, TopicList,
};
use rocketmq_blocking::protocol::consumer::pull::{PullAnswer, PullRequest};
use rocketmq_blocking::protocol::frame::{self, Buffer, RawFrame};
use rocketmq_blocking::protocol::heartbeat::Heartbeat;
use rocketmq_blocking::protocol::id::OffsetMessageId;
use rocketmq_blocking::protocol::recall::RecallHandle;
use rocketmq_blocking::protocol::reply::{self, PushedReply};
use rocketmq_blocking::protocol::route::TopicRoute;
use rocketmq_blocking::protocol::send::SendResponse;
use rocketmq_blocking::protocol::transaction::CheckTransaction;
use rocketmq_blocking::protocol::{Command, HeaderFormat, compress, message, properties};

use crate::corpus;
use crate::random::Random;

/// Bodies may inflate to this.
const INFLATED: usize = 1 << 16;

/// Whatever the input: errors with their texts, the state of an inflater, a first reservation.
const FIXED: usize = 128 * 1024;

/// The text of a message's properties is at most 32 KiB, which is checked; each of them becomes two
/// strings.
const PROPERTIES: usize = 16 * properties::MAX_LEN;

/// The checked limit of a route's brokers, and the memory of each.
const ROUTE: usize = 16 * 1024 * 80;

/// Something that reads bytes.
pub struct Target {
    pub name: &'static str,
    /// The seeds of inputs.
    pub corpus: Vec<Vec<u8>>,
    /// Reads an input. Must not panic.
    pub read: fn(&[u8]),
    /// Makes the outer lengths of a damaged input right again, without which little of it would be
    /// looked at.
    pub repair: fn(&mut [u8], &mut Random),
    /// The limits of its allocations.
    pub limit: Limit,
}

/// The allowed allocations for an input.
#[derive(Clone, Copy)]
pub struct Limit {
    /// No single allocation is larger than four times the input, or this checked length.
    pub checked: usize,
    /// The memory held at one time is at most this multiple of the input, plus twice the checked
    /// length.
    pub times: usize,
}

impl Target {
    pub fn all() -> Vec<Target> {
        let frames = corpus::frames();
        let headers = |format| {
            let is = move |raw: RawFrame<'_>| raw.format == format;
            let of_format = frames
                .iter()
                .filter(|bytes| matches!(frame::split(bytes), Ok(Some(raw)) if is(raw)));
            let of_format: Vec<_> = of_format.cloned().collect();
            corpus::parts(&of_format, |raw| raw.header)
        };
        let bodies = corpus::parts(&frames, |raw| raw.body);
        let is_route = |body: &Vec<u8>| TopicRoute::decode(body).is_ok();
        let is_batch = |body: &Vec<u8>| message::decode_batch(body).is_ok();
        let plain = limit(FIXED, 8);
        let inflating = limit(FIXED + INFLATED + PROPERTIES, 8);
        vec![
            target("frame", frames.clone(), read_frame, keep, plain),
            target("json", headers(HeaderFormat::Json), read_json, keep, plain),
            target(
                "binary",
                headers(HeaderFormat::Binary),
                read_binary,
                keep,
                plain,
            ),
            target(
                "route",
                bodies.iter().filter(|b| is_route(b)).cloned().collect(),
                read_route,
                keep,
                limit(ROUTE, 8),
            ),
            target(
                "stored",
                corpus::stored(),
                read_stored,
                right_length,
                inflating,
            ),
            target(
                "batch",
                bodies.iter().filter(|b| is_batch(b)).cloned().collect(),
                read_batch,
                keep,
                plain,
            ),
            target(
                "inflate",
                corpus::compressed(),
                read_compressed,
                keep,
                // LZ4 has its own buffers.
                limit(FIXED + INFLATED + compressors(), 8),
            ),
            target("pushed", corpus::pushed(), read_pushed, reframe, inflating),
            target("receive", streams(&frames), receive, keep, plain),
            target(
                "consumer",
                corpus::consumer_bodies(&bodies),
                read_consumer_body,
                keep,
                limit(ROUTE, 8),
            ),
            target(
                "popped",
                corpus::popped(),
                read_popped,
                keep,
                limit(ROUTE, 8),
            ),
        ]
    }
}

fn target(
    name: &'static str,
    corpus: Vec<Vec<u8>>,
    read: fn(&[u8]),
    repair: fn(&mut [u8], &mut Random),
    limit: Limit,
) -> Target {
    assert!(!corpus.is_empty(), "{name} has something to begin with");
    Target {
        name,
        corpus,
        read,
        repair,
        limit,
    }
}

fn limit(checked: usize, times: usize) -> Limit {
    Limit { checked, times }
}

/// LZ4 has blocks of up to 4 MiB; one block and its output are kept.
fn compressors() -> usize {
    if cfg!(feature = "lz4") { 8 << 20 } else { 0 }
}

fn read_frame(bytes: &[u8]) {
    if let Ok(Some(raw)) = frame::split(bytes) {
        assert!(raw.wire_len() <= bytes.len());
        read_command(raw);
    }
}

fn read_json(header: &[u8]) {
    read_header(HeaderFormat::Json, header);
}

fn read_binary(header: &[u8]) {
    read_header(HeaderFormat::Binary, header);
}

fn read_header(format: HeaderFormat, header: &[u8]) {
    read_command(RawFrame {
        format,
        header,
        body: &[],
    });
}

/// The header, and its fields as each of the answers that a client gets.
fn read_command(raw: RawFrame<'_>) {
    let Ok(Command { ext, .. }) = Command::decode(raw) else {
        return;
    };
    let _ = SendResponse::decode(&ext);
    let _ = CheckTransaction::decode(&ext);
    let _ = PushedReply::decode(&ext);
    let _ = QueueQuery::decode(&ext);
    let _ = OffsetAnswer::decode(&ext);
    let _ = StoreTimeAnswer::decode(&ext);
    let _ = RecallAnswer::decode(&ext);
    let _ = PullRequest::decode(&ext);
    let _ = PullAnswer::decode(&ext);
    let _ = QueryOffset::decode(&ext);
    let _ = CommitOffset::decode(&ext);
    let _ = SendBack::decode(&ext);
    let _ = GroupName::decode(&ext);
    let _ = ResetOffsets::decode(&ext);
    let _ = OffsetsQuery::decode(&ext);
    let _ = ConsumeStatsQuery::decode(&ext);
    let _ = GroupTopicsQuery::decode(&ext);
    let _ = RunningInfoQuery::decode(&ext);
    let _ = ConsumeDirectly::decode(&ext);
    let _ = PopRequest::decode(&ext);
    let _ = PopAnswer::decode(&ext);
    let _ = Ack::decode(&ext);
    let _ = ChangeInvisible::decode(&ext);
    let _ = ChangeAnswer::decode(&ext);
    let _ = NoticeRequest::decode(&ext);
    let _ = Notice::decode(&ext);
    let _ = PollingQuery::decode(&ext);
    let _ = Polling::decode(&ext);
    for (_, value) in ext.iter().take(8) {
        let _ = OffsetMessageId::decode(value);
        let _ = RecallHandle::decode(value);
    }
}

/// Every body that a consumer or its broker reads as JSON.
fn read_consumer_body(body: &[u8]) {
    let _ = Heartbeat::decode(body);
    let _ = Members::decode(body);
    let _ = Connections::decode(body);
    let _ = FilterCheck::decode(body);
    let _ = LockRequest::decode(body);
    let _ = Locked::decode(body);
    let _ = AssignmentQuery::decode(body);
    let _ = Assignments::decode(body);
    let _ = SetRequestMode::decode(body);
    let _ = ConsumerOffsets::decode(body);
    let _ = DirectResult::decode(body);
    let _ = TopicList::decode(body);
    if let Ok(stats) = ConsumeStats::decode(body) {
        assert!(ConsumeStats::decode(&stats.encode()).is_ok());
    }
    if let Ok(table) = OffsetTable::decode(body) {
        assert_eq!(OffsetTable::decode(&table.encode()), Ok(table));
    }
    if let Ok(info) = RunningInfo::decode(body) {
        assert!(RunningInfo::decode(&info.encode()).is_ok());
    }
    if let Ok(ack) = BatchAck::decode(body) {
        for batch in &ack.acks {
            let _ = (batch.mark(), batch.offsets().count());
        }
    }
}

/// The queue fields of a pop's answer: three texts separated by line breaks.
fn read_popped(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let mut parts = text.split('\n').map(str::to_owned);
    let answer = PopAnswer {
        start_offsets: parts.next().filter(|text| !text.is_empty()),
        message_offsets: parts.next(),
        order_counts: parts.next(),
        ..PopAnswer::default()
    };
    let messages: Vec<Popped<'_>> = (0..4)
        .map(|i| Popped {
            topic: ["T", "%RETRY%g_T"][i % 2],
            queue_id: (i / 2) as i32,
            queue_offset: i as i64,
            handle: (i == 3).then_some("0 1 2 3 1 b 0 1"),
        })
        .collect();
    if let Ok(handles) = answer.handles("b", &messages) {
        assert_eq!(handles.len(), messages.len());
    }
    if let Ok(handle) = text.parse::<Handle>() {
        assert_eq!(handle.to_string().parse(), Ok(handle));
    }
}

fn read_route(body: &[u8]) {
    let _ = TopicRoute::decode(body);
}

fn read_stored(bytes: &[u8]) {
    let bytes = Arc::new(bytes.to_vec());
    if let Ok(packed) = message::decode_packed(Arc::clone(&bytes)) {
        if let Ok(message) = packed.unpack(INFLATED) {
            assert!(message.body().len() <= bytes.len().max(INFLATED));
        }
    }
    let read = message::decode_all(Arc::clone(&bytes), INFLATED);
    let messages: Vec<_> = read.into_iter().flatten().collect();
    let all: usize = messages.iter().map(|m| m.body().len()).sum();
    assert!(all <= bytes.len() + INFLATED);
    // Parses them.
    messages
        .iter()
        .for_each(|m| assert!(m.property("").is_none()));
}

fn read_batch(body: &[u8]) {
    let _ = message::decode_batch(body);
}

fn read_compressed(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else {
        return;
    };
    let flags = 1 | i32::from(kind % 8) << 8;
    for flags in [flags, 0x301] {
        if let Ok(inflated) = compress::decompress(body, flags, INFLATED) {
            assert!(inflated.len() <= INFLATED);
        }
    }
}

/// The client's handling of a broker's request.
fn read_pushed(bytes: &[u8]) {
    let Ok(Some(raw)) = frame::split(bytes) else {
        return;
    };
    let Ok(command) = Command::decode(raw) else {
        return;
    };
    match command.code {
        request::CHECK_TRANSACTION_STATE => {
            let _ = CheckTransaction::decode(&command.ext);
            read_stored(&command.body);
        }
        _ => {
            if let Ok(header) = PushedReply::decode(&command.ext) {
                reply::correlation_of(&header.properties());
                let _ = header.message(&command.body, INFLATED);
            }
        }
    }
}

/// Some frames after a byte that chooses how they are cut.
fn streams(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let streams = frames.chunks(3).enumerate();
    streams
        .map(|(i, some)| [&[i as u8][..], &some.concat()].concat())
        .collect()
}

/// The receive path of a connection: bytes in chunks of any size give the same commands, and the
/// same end, as all of them at once, also in memory that held others before.
fn receive(bytes: &[u8]) {
    let Some((cuts, stream)) = bytes.split_first() else {
        return;
    };
    let mut random = Random::new(u64::from(*cuts), stream.len() as u64);
    let mut buffer = Buffer::new();
    let (mut rest, mut all, mut ended) = (stream, stream, false);
    while !rest.is_empty() && !ended {
        let most = [1, 7, 300, usize::MAX][random.below(4)];
        let read = buffer.fill(|room| {
            assert!(!room.is_empty(), "there is always room to read into");
            let len = rest.len().min(room.len()).min(most);
            room[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            Ok::<_, ()>(len)
        });
        assert!(read.is_ok());
        let mut some = Vec::with_capacity(SOME);
        let taken = buffer.take_commands(|command| {
            assert_eq!(Some(&command), next(&mut all).as_ref());
            if some.len() < SOME {
                some.push(command);
            }
        });
        ended = taken.is_err();
        some.into_iter().for_each(|command| buffer.recycle(command));
    }
    assert!(next(&mut all).is_none(), "there was another command");
    assert_eq!(ended, !matches!(frame::split(all), Ok(None)), "a bad end");
}

/// This many commands of one read are kept to reuse their memory.
const SOME: usize = 16;

/// The first command of a stream that is there as a whole.
fn next(stream: &mut &[u8]) -> Option<Command> {
    let raw = frame::split(stream).ok()??;
    let command = Command::decode(raw).ok()?;
    *stream = &stream[raw.wire_len()..];
    Some(command)
}

fn keep(_: &mut [u8], _: &mut Random) {}

/// A stored message begins with its own length.
fn right_length(bytes: &mut [u8], random: &mut Random) {
    if bytes.len() >= 4 && random.below(4) > 0 {
        let len = (bytes.len() as u32).to_be_bytes();
        bytes[..4].copy_from_slice(&len);
    }
}

/// A frame begins with the length of what follows, and a header's length should be within it.
fn reframe(bytes: &mut [u8], random: &mut Random) {
    if bytes.len() >= 8 && random.below(4) > 0 {
        let len = (bytes.len() as u32 - 4).to_be_bytes();
        bytes[..4].copy_from_slice(&len);
    }
}
