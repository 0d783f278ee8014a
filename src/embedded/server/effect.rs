//! The effect of a scripted fault on the answer to a request.

use std::time::Duration;

use crate::embedded::faults::Action;
use crate::protocol::Command;

/// The effect on the connection.
pub(super) enum Effect {
    Nothing,
    Frame(Vec<u8>),
    Drip {
        frame: Vec<u8>,
        chunk: usize,
        pause: Duration,
    },
    /// The first bytes of the answer, then the end.
    Last(Vec<u8>),
    HangUp,
    StopReading,
}

/// The answer with the fault's code or damage, if it has one.
pub(super) fn changed(action: &Action, mut answer: Command) -> Command {
    match action {
        Action::Damage(damage) => {
            damage(&mut answer);
            answer
        }
        Action::Answer { code, remark } => {
            answer.code = *code;
            answer.with_remark(remark.as_str())
        }
        _ => answer,
    }
}

/// `frame` is the answer as it would be without the fault, already with the fault's code or damage.
pub(super) fn of(action: &Action, request: &Command, frame: Vec<u8>) -> Effect {
    match action {
        Action::Silence => Effect::Nothing,
        Action::HangUp => Effect::HangUp,
        Action::StopReading => Effect::StopReading,
        Action::Bytes(_) if request.is_oneway() => Effect::Nothing,
        Action::Bytes(make) => Effect::Frame(make(request)),
        Action::Slow { chunk, pause } => Effect::Drip {
            frame,
            chunk: *chunk,
            pause: *pause,
        },
        Action::CutAfter(bytes) => {
            let mut first = frame;
            first.truncate(*bytes);
            Effect::Last(first)
        }
        // Code and damage are already in the answer, and the others only delay it.
        Action::Answer { .. } | Action::Damage(_) | Action::Hold(_) | Action::Late(_) => {
            Effect::Frame(frame)
        }
    }
}
