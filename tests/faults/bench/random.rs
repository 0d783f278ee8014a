//! Chance that comes again with its seed.

use super::ms;
use super::script::{Script, Signal, Step};

/// Numbers from a seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most as u64) as usize
    }

    /// Some good exchanges, then a fault.
    fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..self.below(30) {
            steps.extend([Step::UntilSend, Step::Frame]);
        }
        if self.below(2) == 0 {
            steps.push(Step::UntilSend);
        }
        if self.below(2) == 0 {
            steps.push(Step::Pass(self.below(400)));
        }
        steps.push(match self.below(7) {
            0 => Step::Fin,
            1 => Step::Reset,
            2 => Step::Lose,
            3 => Step::Shred,
            4 => Step::Wait(Signal::new()),
            5 => Step::Drip(1 + self.below(200), ms(1), Signal::new()),
            _ => Step::Shuffle(2),
        });
        steps
    }

    pub fn script(&mut self) -> Script {
        let script = Script::replies(self.steps());
        match self.below(2) {
            0 => script,
            _ => script.and_requests(self.steps()),
        }
    }
}
