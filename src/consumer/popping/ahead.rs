//! How many messages are popped ahead of the handlers. Pure: time is an argument.
//!
//! The time of a popped message runs while it waits here, and no other member gets it. So at first only as
//! many wait as all handlers take at once. More are popped, by several requests at a time, while brokers have
//! more and handlers take messages soon after their pop.

use std::time::{Duration, Instant};

/// The most messages that wait or are asked for, unless handlers take more at once: four answers in flight, and
/// two that wait.
const MOST: usize = 192;

/// The part of the invisible time after which a message has waited for long.
const PART: u32 = 60;

/// It has after this time in any case: other members could have handled it.
const LONG: Duration = Duration::from_secs(1);

/// The messages that wait for handlers, and those that brokers are asked for.
#[derive(Debug)]
pub(super) struct Ahead {
    /// The most messages of one request.
    batch: usize,
    /// The messages of idle handlers: as many as these take whatever they do with them.
    hands: usize,
    /// The first limit, and the last one.
    first: usize,
    most: usize,
    /// A message that waits for longer has waited for long.
    long: Duration,
    waiting: usize,
    /// The requests in flight, and what they ask for together.
    pops: usize,
    asked: usize,
    /// The most messages that may wait or be asked for now.
    limit: usize,
    /// How many more messages idle handlers may take.
    idle: usize,
    /// The messages that handlers took soon since the limit last grew, without those of idle ones.
    soon: usize,
    /// When a handler last took messages.
    taken_at: Option<Instant>,
    /// The last answer had at least half of the messages for which it was asked.
    has_more: bool,
}

impl Ahead {
    /// `batch`: the most messages of one request; `call`: those of one call of a handler.
    pub(super) fn new(batch: usize, threads: usize, call: usize, invisible: Duration) -> Ahead {
        let first = threads.max(call);
        Ahead {
            batch,
            hands: threads * call,
            first,
            most: first.max(MOST),
            long: (invisible / PART).min(LONG),
            waiting: 0,
            pops: 0,
            asked: 0,
            limit: first,
            idle: threads * call,
            soon: 0,
            taken_at: None,
            has_more: false,
        }
    }

    /// For how many messages a pop may ask now; none if there are too few to be worth a request.
    pub(super) fn capacity(&mut self, now: Instant) -> usize {
        if self.taken_at.is_none_or(|at| now > at + self.long) {
            self.start_over();
        }
        if self.pops > 0 && !self.has_more {
            // One pop is enough to wait for messages.
            return 0;
        }
        let held = self.waiting + self.asked;
        let is_short = held + self.batch > self.limit;
        if is_short && self.has_more && self.soon >= self.limit {
            self.limit = (self.limit * 2).min(self.most);
            self.soon = 0;
        }
        let capacity = self.limit.saturating_sub(held).min(self.batch);
        match capacity >= self.batch.min(self.limit.div_ceil(2)) {
            true => capacity,
            false => 0,
        }
    }

    /// A pop asks for messages.
    pub(super) fn ask(&mut self, messages: usize) {
        self.pops += 1;
        self.asked += messages;
    }

    /// A pop has ended that asked for `asked` messages. `got` of them wait for handlers.
    pub(super) fn answered(&mut self, asked: usize, got: usize) {
        self.pops = self.pops.saturating_sub(1);
        self.asked = self.asked.saturating_sub(asked);
        self.waiting += got;
        self.has_more = got >= asked.div_ceil(2);
    }

    /// A handler takes messages, the first of which was popped this long ago.
    pub(super) fn taken(&mut self, messages: usize, age: Duration, now: Instant) {
        self.removed(messages);
        self.taken_at = Some(now);
        if age > self.long {
            return self.start_over();
        }
        let by_idle = messages.min(self.idle);
        self.idle -= by_idle;
        if age <= self.long / 2 {
            self.soon = self.soon.saturating_add(messages - by_idle);
        }
    }

    /// Messages do not wait any more, and no handler has them.
    pub(super) fn removed(&mut self, messages: usize) {
        self.waiting = self.waiting.saturating_sub(messages);
    }

    /// Whether no message waits or is asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0 && self.pops == 0
    }

    /// The requests in flight.
    pub(super) fn pops(&self) -> usize {
        self.pops
    }

    /// It is not known any more how soon handlers take messages.
    fn start_over(&mut self) {
        (self.limit, self.idle, self.soon) = (self.first, self.hands, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Handlers that take one message at a time.
    fn ahead(threads: usize) -> Ahead {
        Ahead::new(32, threads, 1, MINUTE)
    }

    /// A pop that gets as much as it asks for, which handlers take at this age. Returns what it asked for.
    fn pass(ahead: &mut Ahead, age: Duration, now: Instant) -> usize {
        let asked = ahead.capacity(now);
        ahead.ask(asked);
        ahead.answered(asked, asked);
        ahead.taken(asked, age, now);
        asked
    }

    /// The pops that may be made at once, each with what it asks for.
    fn at_once(ahead: &mut Ahead, now: Instant) -> Vec<usize> {
        let mut pops = Vec::new();
        while let asked @ 1.. = ahead.capacity(now) {
            ahead.ask(asked);
            pops.push(asked);
        }
        pops
    }

    #[test]
    fn quick_handlers_get_large_answers_of_several_pops() {
        let now = Instant::now();
        let mut ahead = ahead(20);
        for expected in [
            &[20][..],
            &[20],
            &[32],
            &[32],
            &[32, 32],
            &[32, 32],
            &[32; 5],
            &[32; 6],
        ] {
            let pops = at_once(&mut ahead, now);
            assert_eq!(pops, expected);
            for asked in pops {
                ahead.answered(asked, asked);
                ahead.taken(asked, Duration::ZERO, now);
            }
        }
        assert_eq!(at_once(&mut ahead, now), [32; 6]);
        for got in [32, 32, 32, 32, 32, 1] {
            ahead.answered(32, got);
        }
        // The last answer says that brokers have no more: one pop is enough.
        ahead.taken(161, Duration::ZERO, now);
        assert_eq!(at_once(&mut ahead, now), [32]);
    }

    #[test]
    fn idle_handlers_say_nothing_of_their_speed() {
        let now = Instant::now();
        let mut ahead = ahead(20);
        assert_eq!(pass(&mut ahead, Duration::ZERO, now), 20);
        let asked = ahead.capacity(now);
        ahead.ask(asked);
        ahead.answered(asked, asked);
        assert_eq!(asked, 20);
        assert_eq!(ahead.capacity(now), 0, "these wait for busy handlers");
    }

    #[test]
    fn messages_that_waited_for_long_end_it_at_once() {
        let now = Instant::now();
        for (age, asked) in [
            (Duration::from_millis(500), 32),
            (Duration::from_millis(1_001), 20),
        ] {
            let mut ahead = ahead(20);
            for _ in 0..8 {
                let _ = pass(&mut ahead, Duration::ZERO, now);
            }
            let _ = pass(&mut ahead, age, now);
            assert_eq!(ahead.capacity(now), asked, "{age:?}");
        }
    }

    #[test]
    fn what_was_seen_long_ago_does_not_count() {
        let now = Instant::now();
        let mut ahead = ahead(20);
        for _ in 0..8 {
            let _ = pass(&mut ahead, Duration::ZERO, now);
        }
        assert_eq!(ahead.capacity(now + LONG), 32);
        assert_eq!(ahead.capacity(now + LONG + Duration::from_nanos(1)), 20);
    }

    #[test]
    fn a_short_invisible_time_is_a_short_wait() {
        let now = Instant::now();
        for (age, grows) in [(8, true), (9, false), (17, false)] {
            let mut ahead = Ahead::new(32, 1, 1, Duration::from_secs(1));
            for _ in 0..8 {
                let _ = pass(&mut ahead, Duration::from_millis(age), now);
            }
            assert_eq!(ahead.capacity(now) > 1, grows, "{age} ms");
        }
    }

    #[test]
    fn a_pop_is_worth_its_request() {
        let now = Instant::now();
        let mut ahead = ahead(20);
        ahead.ask(20);
        ahead.answered(20, 20);
        ahead.taken(9, Duration::ZERO, now);
        assert_eq!(ahead.capacity(now), 0);
        ahead.removed(1);
        assert_eq!(ahead.capacity(now), 10);
    }

    #[test]
    fn many_handlers_have_a_message_each() {
        let now = Instant::now();
        let mut ahead = ahead(200);
        ahead.has_more = true;
        assert_eq!(at_once(&mut ahead, now), [32; 6]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Ask,
        Answer(usize),
        Take(usize, u64),
        Remove(usize),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Ask),
            3 => (0_usize..=32).prop_map(Step::Answer),
            4 => (1_usize..40, 0_u64..1_500).prop_map(|(n, age)| Step::Take(n, age)),
            1 => (1_usize..40).prop_map(Step::Remove),
            1 => (0_u64..1_500).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #![proptest_config(crate::consumer::cases(256, 5_000))]

        #[test]
        fn the_limit_holds_and_nothing_stalls(
            threads in 1_usize..300,
            call in 1_usize..64,
            batch in 1_usize..=32,
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let mut ahead = Ahead::new(batch, threads, call, MINUTE);
            let (first, most) = (threads.max(call), threads.max(call).max(MOST));
            let (mut now, mut waiting, mut pops) = (Instant::now(), 0_usize, Vec::new());
            // When handlers were last seen to take a message in time.
            let mut seen: Option<Instant> = None;
            for step in steps {
                match step {
                    Step::Ask => {
                        let capacity = ahead.capacity(now);
                        let held = waiting + pops.iter().sum::<usize>();
                        prop_assert!(capacity > 0 || held > 0, "nothing would wake it");
                        prop_assert!(capacity <= batch);
                        if capacity > 0 {
                            prop_assert!(held + capacity <= most);
                            let is_known = seen.is_some_and(|at| now <= at + LONG);
                            prop_assert!(is_known || held + capacity <= first);
                            ahead.ask(capacity);
                            pops.push(capacity);
                        }
                    }
                    Step::Answer(got) => {
                        let Some(asked) = pops.pop() else { continue };
                        let got = got.min(asked);
                        ahead.answered(asked, got);
                        waiting += got;
                    }
                    Step::Take(messages, age) => {
                        let messages = messages.min(waiting);
                        if messages == 0 {
                            continue;
                        }
                        let age = Duration::from_millis(age);
                        ahead.taken(messages, age, now);
                        waiting -= messages;
                        seen = (age <= LONG).then_some(now);
                    }
                    Step::Remove(messages) => {
                        let messages = messages.min(waiting);
                        ahead.removed(messages);
                        waiting -= messages;
                    }
                    Step::Wait(millis) => now += Duration::from_millis(millis),
                }
                prop_assert_eq!(ahead.pops(), pops.len());
            }
        }
    }
}
