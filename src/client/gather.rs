//! Sends requests to several brokers at once, on a thread that may wait for the answers.

use std::sync::Arc;
use std::time::Duration;

use super::core::ClientCore;
use crate::error::{Error, Result, Wait};
use crate::protocol::Command;
use crate::sync::channel::{self, Receiver, Sender};
use crate::transport::{Deadline, Dial, Next, Outcome, Request, To, Via};

/// Each request ends by its deadline; the margin is for the thread that ends it.
const MARGIN: Duration = Duration::from_secs(1);

/// Requests that are in flight together.
pub(crate) struct Gathering<'a> {
    core: &'a ClientCore,
    deadline: Deadline,
    sender: Sender<(usize, Outcome)>,
    answers: Receiver<(usize, Outcome)>,
    asked: usize,
}

impl<'a> Gathering<'a> {
    pub(crate) fn new(core: &'a ClientCore, deadline: Deadline) -> Gathering<'a> {
        let (sender, answers) = channel::unbounded();
        Gathering {
            core,
            deadline,
            sender,
            answers,
            asked: 0,
        }
    }

    /// Asks a broker. Returns the place of its answer.
    pub(crate) fn ask(&mut self, broker: &Arc<str>, request: &Request<'_>) -> usize {
        let (place, sender) = (self.asked, self.sender.clone());
        self.asked += 1;
        let completion = Box::new(move |outcome: Outcome| {
            let _ = sender.send((place, outcome));
            Next::Done
        });
        let (to, via) = (To::Address(broker), Via::WriterThread);
        let remoting = &self.core.remoting;
        remoting.invoke_async(to, request, self.deadline, via, Dial::Park, completion);
        place
    }

    /// Waits for the answers. `None`: the broker did not answer in time.
    pub(crate) fn answers(self) -> Vec<Option<Command>> {
        let outcomes = self.outcomes().into_iter();
        outcomes.map(Result::ok).collect()
    }

    /// Waits for the answers, and for the reasons why there is none.
    pub(crate) fn outcomes(self) -> Vec<Result<Command>> {
        let mut gathered: Vec<Option<Outcome>> = (0..self.asked).map(|_| None).collect();
        let until = self.deadline.instant() + MARGIN;
        for _ in 0..self.asked {
            let Ok((place, outcome)) = self.answers.recv_deadline(until) else {
                break;
            };
            gathered[place] = Some(outcome);
        }
        let late = || Err(Error::timeout(Wait::Response));
        let gathered = gathered.into_iter();
        gathered
            .map(|outcome| outcome.unwrap_or_else(late))
            .collect()
    }
}
