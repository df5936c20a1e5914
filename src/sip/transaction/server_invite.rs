//! The INVITE server transaction: RFC 3261 §17.2.1 with the Accepted state of RFC 6026 §7.1, and the two repetitions
//! that RFC 3261 leaves to the UA core (2xx until ACK, provisional every minute). Apart from the non-INVITE one
//! because an ACK must come, and because the answer may take as long as a person does.

use super::Class;
use super::timers::{Change, Reliability, Step, Timer, Timers};
use std::time::Duration;

/// The state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No final response yet.
    Proceeding,
    /// A 2xx is out; repeated until [`ServerInvite::acknowledge`], at most until Timer L.
    Accepted,
    /// As `Accepted`, and the ACK came: only INVITE retransmissions are absorbed.
    Acknowledged,
    /// A failure is out; repeated until the ACK, at most until Timer H.
    Completed,
    /// The ACK to the failure came; more of them are absorbed until Timer I.
    Confirmed,
    /// Gone.
    Terminated,
}

/// What the transaction sends: its last response, again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resend;

/// What the transaction user learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The ACK to our 2xx, the first one.
    Acknowledged,
    /// No ACK to our 2xx in 64*T1.
    Unacknowledged,
}

/// The transaction.
#[derive(Debug, Clone, Copy)]
pub struct ServerInvite {
    state: State,
    reliability: Reliability,
    timers: Timers,
    interval: Duration,
}

type Outcome = Step<Resend, Report>;

// === impl ServerInvite ===

impl ServerInvite {
    /// The transaction. The caller sends 100 itself.
    #[must_use]
    pub const fn start(timers: Timers, reliability: Reliability) -> Self {
        Self { state: State::Proceeding, reliability, timers, interval: timers.t1 }
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The INVITE came again.
    pub fn request(&mut self) -> Outcome {
        match self.state {
            State::Proceeding | State::Completed => Step::nothing().sending(Resend),
            // RFC 6026 §7.1: absorbed in Accepted; the 2xx has its own repetition.
            _ => Step::nothing(),
        }
    }

    /// We respond. The caller sends the response itself.
    pub fn respond(&mut self, class: Class) -> Outcome {
        if self.state != State::Proceeding {
            return Step::nothing();
        }
        match class {
            Class::Provisional => Step::nothing().repeat(Change::Arm(Timer::Extension, self.timers.extension())),
            Class::Success => {
                self.state = State::Accepted;
                // §13.3.1.4: repeated over reliable transports too, as the ACK is end to end.
                let repeat = Change::Arm(Timer::Success, self.timers.t1);
                Step::nothing().repeat(repeat).limit(Change::Arm(Timer::L, self.timers.long()))
            }
            Class::Failure => {
                self.state = State::Completed;
                let repeat = match self.reliability {
                    Reliability::Unreliable => Change::Arm(Timer::G, self.timers.t1),
                    Reliability::Reliable => Change::Stop,
                };
                Step::nothing().repeat(repeat).limit(Change::Arm(Timer::H, self.timers.long()))
            }
        }
    }

    /// The ACK came.
    pub fn acknowledge(&mut self) -> Outcome {
        match self.state {
            State::Accepted => {
                self.state = State::Acknowledged;
                Step::nothing().reporting(Report::Acknowledged).repeat(Change::Stop)
            }
            State::Completed if self.reliability == Reliability::Reliable => {
                // Timer I is zero (§17.2.1).
                self.state = State::Terminated;
                Step::end()
            }
            State::Completed => {
                self.state = State::Confirmed;
                Step::nothing().repeat(Change::Stop).limit(Change::Arm(Timer::I, self.timers.t4))
            }
            _ => Step::nothing(),
        }
    }

    /// The dialog is over before the ACK came (BYE): the 2xx need not be repeated any more.
    pub fn abandon(&mut self) -> Outcome {
        match self.state {
            State::Accepted => {
                self.state = State::Acknowledged;
                Step::nothing().repeat(Change::Stop)
            }
            _ => Step::nothing(),
        }
    }

    /// A timer fired.
    pub fn fired(&mut self, timer: Timer) -> Outcome {
        match (self.state, timer) {
            (State::Proceeding, Timer::Extension) => {
                Step::nothing().sending(Resend).repeat(Change::Arm(Timer::Extension, self.timers.extension()))
            }
            (State::Accepted, Timer::Success) => self.again(Timer::Success),
            (State::Completed, Timer::G) => self.again(Timer::G),
            (State::Accepted, Timer::L) => {
                self.state = State::Terminated;
                Step::end().reporting(Report::Unacknowledged)
            }
            (State::Acknowledged, Timer::L) | (State::Completed, Timer::H) | (State::Confirmed, Timer::I) => {
                self.state = State::Terminated;
                Step::end()
            }
            _ => Step::nothing(),
        }
    }

    fn again(&mut self, timer: Timer) -> Outcome {
        self.interval = (self.interval * 2).min(self.timers.t2);
        Step::nothing().sending(Resend).repeat(Change::Arm(timer, self.interval))
    }
}
