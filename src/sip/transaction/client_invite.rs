//! The INVITE client transaction: RFC 3261 §17.1.1 with the Accepted state of RFC 6026 §7.2. Apart from the non-INVITE
//! one because it must ACK failures, outlive its 2xx for forks, and be able to wait for a person.

use super::Class;
use super::timers::{Change, Reliability, Step, Timer, Timers};
use std::time::Duration;

/// The state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The request is out, nothing came back.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// A 2xx came; more of them, from this or other forks, are passed up until Timer M.
    Accepted,
    /// A failure came and was ACKed; its retransmissions are ACKed until Timer D.
    Completed,
    /// We gave up (Timer B, or no final response after CANCEL). RFC 3261 would forget it here; a late 2xx would then
    /// leave the far side in a call that nobody ends, so late final responses are still served for 64*T1.
    Abandoned,
    /// Gone.
    Terminated,
}

/// What the transaction sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Send {
    /// The INVITE, again.
    Request,
    /// The ACK to a failure response.
    Ack,
}

/// What the transaction user learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// A provisional response.
    Provisional,
    /// A 2xx, the first or a later one.
    Success,
    /// The first failure response.
    Failure,
    /// No final response in time.
    Timeout,
    /// The transport failed.
    Transport,
}

/// The transaction.
#[derive(Debug, Clone, Copy)]
pub struct ClientInvite {
    state: State,
    reliability: Reliability,
    timers: Timers,
    interval: Duration,
}

type Outcome = Step<Send, Report>;

// === impl ClientInvite ===

impl ClientInvite {
    /// The transaction and its first step. The caller sends the request itself.
    #[must_use]
    pub fn start(timers: Timers, reliability: Reliability) -> (Self, Outcome) {
        let repeat = match reliability {
            Reliability::Unreliable => Change::Arm(Timer::A, timers.t1),
            Reliability::Reliable => Change::Keep,
        };
        let step = Step::nothing().repeat(repeat).limit(Change::Arm(Timer::B, timers.long()));
        (Self { state: State::Calling, reliability, timers, interval: timers.t1 }, step)
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// A response came.
    pub fn response(&mut self, class: Class) -> Outcome {
        match (self.state, class) {
            (State::Calling, Class::Provisional) => {
                self.state = State::Proceeding;
                // Timer B only guards Calling: from here on a person may be ringing.
                Step::nothing().reporting(Report::Provisional).repeat(Change::Stop).limit(Change::Stop)
            }
            (State::Proceeding, Class::Provisional) => Step::nothing().reporting(Report::Provisional),
            (State::Calling | State::Proceeding | State::Abandoned | State::Completed, Class::Success) => {
                // In Completed: a proxy must forward every fork's 2xx, also after it forwarded a failure (§16.7).
                self.state = State::Accepted;
                let limit = Change::Arm(Timer::M, self.timers.long());
                Step::nothing().reporting(Report::Success).repeat(Change::Stop).limit(limit)
            }
            (State::Accepted, Class::Success) => Step::nothing().reporting(Report::Success),
            (State::Calling | State::Proceeding, Class::Failure) => self.complete().reporting(Report::Failure),
            (State::Abandoned, Class::Failure) => self.complete(),
            (State::Completed, Class::Failure) => Step::nothing().sending(Send::Ack),
            _ => Step::nothing(),
        }
    }

    /// CANCEL was sent: a final response must follow within 64*T1 (§9.1).
    pub fn cancelled(&mut self) -> Outcome {
        match self.state {
            State::Proceeding => Step::nothing().limit(Change::Arm(Timer::Patience, self.timers.long())),
            _ => Step::nothing(),
        }
    }

    /// A timer fired.
    pub fn fired(&mut self, timer: Timer) -> Outcome {
        match (self.state, timer) {
            (State::Calling, Timer::A) => {
                self.interval *= 2;
                Step::nothing().sending(Send::Request).repeat(Change::Arm(Timer::A, self.interval))
            }
            (State::Calling, Timer::B) | (State::Proceeding, Timer::Patience) => {
                self.state = State::Abandoned;
                let limit = Change::Arm(Timer::M, self.timers.long());
                Step::nothing().reporting(Report::Timeout).repeat(Change::Stop).limit(limit)
            }
            (State::Accepted | State::Abandoned, Timer::M) | (State::Completed, Timer::D) => {
                self.state = State::Terminated;
                Step::end()
            }
            _ => Step::nothing(),
        }
    }

    /// The transport could not deliver what the transaction sent.
    pub fn transport_failed(&mut self) -> Outcome {
        match self.state {
            State::Calling => {
                self.state = State::Terminated;
                Step::end().reporting(Report::Transport)
            }
            State::Completed => {
                self.state = State::Terminated;
                Step::end()
            }
            // Whatever failed to be delivered, the INVITE was: it has been answered.
            State::Proceeding | State::Accepted | State::Abandoned | State::Terminated => Step::nothing(),
        }
    }

    fn complete(&mut self) -> Outcome {
        if self.reliability == Reliability::Reliable {
            // Timer D is zero (§17.1.1.2).
            self.state = State::Terminated;
            return Step::end().sending(Send::Ack);
        }
        self.state = State::Completed;
        let limit = Change::Arm(Timer::D, self.timers.d());
        Step::nothing().sending(Send::Ack).repeat(Change::Stop).limit(limit)
    }
}
