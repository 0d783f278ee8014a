//! What is looked up before the consumer is a member of its group, and the start of its thread.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::controller::Controller;
use super::inbox::{Answered, Asked, Event};
use super::life::Beginning;
use super::stages::starts::read_committed;
use super::tools::Tools;
use super::wire::Wire;
use crate::client::{ClientCore, Membership};
use crate::consumer::admission::no_access;
use crate::consumer::config::Sharing;
use crate::consumer::consume::Mode;
use crate::consumer::observe::{Events, History};
use crate::consumer::offset::{LocalOffsets, Past, Progress, Saver};
use crate::consumer::popping::Popping;
use crate::consumer::queue::Budget;
use crate::consumer::shared::Shared;
use crate::consumer::topics::GroupFacts;
use crate::error::Result;
use crate::sync::channel::Receiver;
use crate::transport::{Deadline, epoch_millis};

/// The parts of the control thread, before the consumer is a member.
pub(crate) struct Parts {
    shared: Shared,
    wire: Wire,
    facts: GroupFacts,
    local: Option<(LocalOffsets, Option<Saver>)>,
    popping: Option<Arc<Popping>>,
}

impl Parts {
    /// `local`: the offsets, if brokers do not keep them.
    pub(crate) fn new(
        shared: &Shared,
        core: &Arc<ClientCore>,
        facts: GroupFacts,
        local: Option<(LocalOffsets, Option<Saver>)>,
    ) -> Parts {
        let (group, inbox) = (shared.group.clone(), shared.inbox.clone());
        Parts {
            wire: Wire::new(core.clone(), group, inbox, shared.config.is_pull),
            shared: shared.clone(),
            facts,
            local,
            popping: None,
        }
    }

    /// Some topics are popped.
    pub(crate) fn pop(&mut self, popping: Option<Arc<Popping>>) {
        self.popping = popping;
    }

    /// Asks whether the group has offsets in the topics, until the deadline. This happens before the
    /// consumer is a member: members that start together must not mistake the offsets that the others
    /// have just committed for those of a group that is known.
    ///
    /// # Errors
    /// `Broker`: a broker refuses access.
    pub(crate) fn learn_group(
        &mut self,
        events: &Receiver<Event>,
        deadline: Deadline,
    ) -> Result<()> {
        let mut open = 0;
        let now = Instant::now();
        for (topic, _) in self
            .shared
            .topics
            .iter()
            .filter(|(_, topic)| !topic.is_retry)
        {
            for queue in self.facts.unknown(topic) {
                if let Some((local, _)) = &self.local {
                    self.facts.note(&queue, local.committed(&queue), false);
                    continue;
                }
                let asked = Asked::Committed(queue.clone());
                open += usize::from(self.wire.committed(&queue, now, asked));
            }
        }
        while open > 0 {
            let Ok(event) = events.recv_deadline(deadline.instant()) else {
                break;
            };
            if let Event::Answer(answered) = event {
                let Answered { asked, outcome, .. } = *answered;
                if let Asked::Committed(queue) = asked {
                    open -= 1;
                    if let Some(error) = outcome.as_ref().ok().and_then(no_access) {
                        let names = self.shared.topics.names();
                        let topic = names.for_users(&queue.topic().into());
                        return Err(error.on_topic(&topic));
                    }
                    let (committed, zero_may_mean_none) = read_committed(outcome);
                    self.facts.note(&queue, committed, zero_may_mean_none);
                }
            }
        }
        Ok(())
    }
}

/// Starts the control thread, and the thread of events.
pub(crate) fn spawn(begun: Beginning, parts: Parts, membership: Arc<Membership>) -> io::Result<()> {
    let threads = begun.threads.clone();
    let Parts {
        shared,
        wire,
        facts,
        local,
        popping,
    } = parts;
    let local = match local {
        Some((local, Some(saver))) => {
            let inbox = shared.inbox.clone();
            let told = move |saved| inbox.put(Event::Saved(saved));
            threads.spawn("rmq-offsets", move || saver.run(told))?;
            Some(local)
        }
        Some((local, None)) => Some(local),
        None => None,
    };
    let listener = shared.config.listener.clone();
    let is_shared = shared.config.sharing == Sharing::Group;
    let holds_locks = shared.config.mode == Mode::Ordered && is_shared;
    let now = Instant::now();
    let topics = shared.topics.iter();
    let histories = topics.map(|(topic, _)| (topic.clone(), History::new(now)));
    let tools = Tools {
        histories: histories.collect(),
        events: Events::start(listener, &threads, shared.counters.clone())?,
        budget: Budget::new(shared.config.byte_budget, shared.config.pull_batch),
        trace: shared.trace,
        config: shared.config,
        topics: shared.topics,
        wire,
        inbox: shared.inbox,
        membership,
        dispatcher: shared.dispatcher,
        facts,
        progress: match &local {
            Some(_) => Progress::default(),
            None => Progress::at_brokers(),
        },
        past: Past::default(),
        assignment: shared.assignment,
        counters: shared.counters,
        popping,
        local,
        started_ms: epoch_millis(),
        waits_for_handlers: true,
        holds_locks,
        leases: false,
        to_lock: BTreeMap::new(),
        has_others: false,
        are_all_ours: false,
        last_generation: 0,
    };
    let controller = Controller::new(begun, tools, now);
    threads.spawn("rmq-consumer", move || controller.run())
}
