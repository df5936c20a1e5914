//! The non-INVITE server transaction: RFC 3261 §17.2.2. Apart from the INVITE one because nothing acknowledges its
//! response: it only repeats it when asked again.

use super::Class;
use super::timers::{Change, Reliability, Step, Timer, Timers};

/// The state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not answered yet.
    Trying,
    /// A provisional response is out.
    Proceeding,
    /// The final response is out; repeated for each retransmission until Timer J.
    Completed,
    /// Gone.
    Terminated,
}

/// What the transaction sends: its last response, again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resend;

/// The transaction has nothing to report; this type has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {}

/// The transaction.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    state: State,
    reliability: Reliability,
    timers: Timers,
}

type Outcome = Step<Resend, Report>;

// === impl Server ===

impl Server {
    /// The transaction and its first step.
    #[must_use]
    pub fn start(timers: Timers, reliability: Reliability) -> (Self, Outcome) {
        // RFC 4320 §4.1: a response later than the client's Timer F helps nobody, and a transaction that is never
        // answered must not stay.
        let step = Step::nothing().limit(Change::Arm(Timer::Overdue, timers.long()));
        (Self { state: State::Trying, reliability, timers }, step)
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The request came again.
    pub fn request(&mut self) -> Outcome {
        match self.state {
            State::Proceeding | State::Completed => Step::nothing().sending(Resend),
            State::Trying | State::Terminated => Step::nothing(),
        }
    }

    /// We respond. The caller sends the response itself.
    pub fn respond(&mut self, class: Class) -> Outcome {
        match (self.state, class) {
            (State::Trying | State::Proceeding, Class::Provisional) => {
                self.state = State::Proceeding;
                Step::nothing()
            }
            (State::Trying | State::Proceeding, _) if self.reliability == Reliability::Reliable => {
                // Timer J is zero (§17.2.2).
                self.state = State::Terminated;
                Step::end()
            }
            (State::Trying | State::Proceeding, _) => {
                self.state = State::Completed;
                Step::nothing().limit(Change::Arm(Timer::J, self.timers.long()))
            }
            _ => Step::nothing(),
        }
    }

    /// A timer fired.
    pub fn fired(&mut self, timer: Timer) -> Outcome {
        match (self.state, timer) {
            (State::Completed, Timer::J) | (State::Trying | State::Proceeding, Timer::Overdue) => {
                self.state = State::Terminated;
                Step::end()
            }
            _ => Step::nothing(),
        }
    }
}
