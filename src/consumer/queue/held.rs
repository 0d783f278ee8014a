//! The values that go into a window and come out of it.

use std::time::Instant;

#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) offset: u64,
    pub(super) bytes: u64,
    /// `None` once it is final, or cannot be handed out any more.
    pub(super) payload: Option<T>,
    /// How often it was handed out or recalled: identifies results of an earlier hand-out.
    pub(super) run: u32,
    /// How often it was put back.
    pub(super) failures: u32,
    pub(super) state: Held,
}

/// What happens to a message of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// Fetched and never handed out.
    Fetched,
    /// Put back; not handed out before this time.
    Waiting(Instant),
    /// With a handler since this time.
    Running(Instant),
    /// Its handler ended; its copy is not confirmed yet. Since when it was handed out.
    Settling(Instant),
    /// Final; a lower offset is not.
    Final,
}

/// A request for the next messages. It is answered by [`Window::answer`](super::Window::answer) or
/// [`Window::no_answer`](super::Window::no_answer).
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Ask {
    pub(super) generation: u64,
    /// The offset to ask for.
    pub(crate) offset: u64,
    /// The capacity, in messages.
    pub(crate) capacity: usize,
}

/// A message of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Fetched<T> {
    pub(crate) offset: u64,
    /// Its size in the limits of memory.
    pub(crate) bytes: u64,
    /// What it has in common with messages that must not overtake it, if such an order is kept.
    pub(crate) key: Option<u64>,
    pub(crate) payload: T,
}

/// How many of an answer's messages were accepted or refused.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) accepted: usize,
    pub(crate) bytes: u64,
    /// Below the asked offset, or in the window already.
    pub(crate) repeated: usize,
    /// Beyond the capacity. They are fetched again.
    pub(crate) surplus: usize,
}

/// The right to decide about a message that was handed out. It is used up by
/// [`finish`](super::Window::finish) or [`put_back`](super::window::Window::put_back).
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Ticket(pub(super) TicketId);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TicketId {
    pub(super) generation: u64,
    pub(super) number: u64,
    pub(super) run: u32,
}

/// A message for a handler.
#[derive(Debug)]
pub(crate) struct Handed<T> {
    pub(crate) ticket: Ticket,
    pub(crate) offset: u64,
    /// How often it was put back before, in this generation.
    pub(crate) failures: u32,
    pub(crate) payload: T,
}

/// What a final outcome changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) low_water: u64,
    /// Released bytes.
    pub(crate) freed: u64,
}

/// An answer or result that belongs to an older generation, or was recalled. It changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stale;

/// Refusals since the window was made.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowCounts {
    pub(crate) stale_answers: u64,
    pub(crate) stale_results: u64,
    pub(crate) repeated: u64,
    pub(crate) surplus: u64,
}
