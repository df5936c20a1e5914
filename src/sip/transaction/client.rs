//! The non-INVITE client transaction: RFC 3261 §17.1.2. Apart from the INVITE one because it has no ACK, no person to
//! wait for, and retransmits also after a provisional response.

use super::Class;
use super::timers::{Change, Reliability, Step, Timer, Timers};
use std::time::Duration;

/// The state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The request is out, nothing came back.
    Trying,
    /// A provisional response came.
    Proceeding,
    /// A final response came; its retransmissions are absorbed until Timer K.
    Completed,
    /// Gone.
    Terminated,
}

/// What the transaction sends: the request, again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resend;

/// What the transaction user learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// A provisional response.
    Provisional,
    /// The final response.
    Final,
    /// Timer F.
    Timeout,
    /// The transport failed.
    Transport,
}

/// The transaction.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    state: State,
    reliability: Reliability,
    timers: Timers,
    interval: Duration,
}

type Outcome = Step<Resend, Report>;

// === impl Client ===

impl Client {
    /// The transaction and its first step. The caller sends the request itself.
    #[must_use]
    pub fn start(timers: Timers, reliability: Reliability) -> (Self, Outcome) {
        let repeat = match reliability {
            Reliability::Unreliable => Change::Arm(Timer::E, timers.t1),
            Reliability::Reliable => Change::Keep,
        };
        let step = Step::nothing().repeat(repeat).limit(Change::Arm(Timer::F, timers.long()));
        (Self { state: State::Trying, reliability, timers, interval: timers.t1 }, step)
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// A response came.
    pub fn response(&mut self, class: Class) -> Outcome {
        match (self.state, class) {
            (State::Trying | State::Proceeding, Class::Provisional) => {
                self.state = State::Proceeding;
                Step::nothing().reporting(Report::Provisional)
            }
            (State::Trying | State::Proceeding, _) if self.reliability == Reliability::Reliable => {
                // Timer K is zero (§17.1.2.2).
                self.state = State::Terminated;
                Step::end().reporting(Report::Final)
            }
            (State::Trying | State::Proceeding, _) => {
                self.state = State::Completed;
                let limit = Change::Arm(Timer::K, self.timers.t4);
                Step::nothing().reporting(Report::Final).repeat(Change::Stop).limit(limit)
            }
            _ => Step::nothing(),
        }
    }

    /// A timer fired.
    pub fn fired(&mut self, timer: Timer) -> Outcome {
        match (self.state, timer) {
            (State::Trying, Timer::E) => {
                self.interval = (self.interval * 2).min(self.timers.t2);
                Step::nothing().sending(Resend).repeat(Change::Arm(Timer::E, self.interval))
            }
            (State::Proceeding, Timer::E) => {
                self.interval = self.timers.t2;
                Step::nothing().sending(Resend).repeat(Change::Arm(Timer::E, self.interval))
            }
            (State::Trying | State::Proceeding, Timer::F) => {
                self.state = State::Terminated;
                Step::end().reporting(Report::Timeout)
            }
            (State::Completed, Timer::K) => {
                self.state = State::Terminated;
                Step::end()
            }
            _ => Step::nothing(),
        }
    }

    /// The transport could not deliver the request.
    pub fn transport_failed(&mut self) -> Outcome {
        match std::mem::replace(&mut self.state, State::Terminated) {
            State::Trying | State::Proceeding => Step::end().reporting(Report::Transport),
            State::Completed | State::Terminated => Step::end(),
        }
    }
}
