//! Reliable provisional responses (RFC 3262): ours wait for their PRACK one at a time, the peer's are taken in order.
//! Apart from the INVITE transactions, which they outlive by one PRACK and share no timer with.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What one end of a leg wants of reliable provisional responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// They are not used; a peer that requires them is refused.
    #[default]
    Off,
    /// They are used with a peer that can.
    Supported,
    /// No call without them.
    Required,
}

/// Whether a provisional response carries a session description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Described {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// The called side: our reliable provisional responses to one INVITE. `T` is what the owner needs to send one.
#[derive(Debug)]
pub struct Outbox<T> {
    t1: Duration,
    next: u32,
    outstanding: Option<Outstanding<T>>,
    waiting: VecDeque<(T, Described)>,
    /// The INVITE has its final response: nothing is sent any more, but a late PRACK is still known.
    closed: bool,
}

/// A response that waits for its PRACK.
#[derive(Debug)]
struct Outstanding<T> {
    item: T,
    number: u32,
    described: Described,
    interval: Duration,
    again: Instant,
    until: Instant,
}

/// What is to be done with a response that was given to an [`Outbox`].
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    /// It goes out now, with this `RSeq`.
    Send(T, u32),
    /// It waits for the PRACK to the one before.
    Wait,
    /// It is not sent at all: there are too many before it, or the final response is out.
    Drop,
}

/// What a timer of an [`Outbox`] means.
#[derive(Debug, PartialEq, Eq)]
pub enum Due<'a, T> {
    /// Nothing yet.
    Nothing,
    /// Send this one again.
    Again(&'a T),
    /// No PRACK in 64*T1: the INVITE is to be refused with 5xx (§3).
    GivenUp,
}

/// The PRACK acknowledges nothing that is outstanding: 481 (§3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such reliable provisional response is outstanding")]
pub struct Unknown;

/// The calling side: the order of the peer's reliable provisional responses in one early dialog.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inbox {
    last: Option<u32>,
}

/// What a received reliable provisional response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The next one: it is acknowledged and counts.
    Next,
    /// It was acknowledged before: it counts for nothing, and the PRACK repeats itself (§4).
    Repeated,
    /// One is missing before it: it is neither acknowledged nor looked at, and will come again.
    TooEarly,
}

/// Responses that may wait: who rings more often than this before the first PRACK is not worth remembering.
const MOST_WAITING: usize = 8;

// === impl Outbox ===

impl<T> Outbox<T> {
    /// Without responses yet. `first` is the first `RSeq`, a random number from 1 to 2**31 - 1 (§3).
    #[must_use]
    pub fn new(t1: Duration, first: u32) -> Self {
        let next = first.clamp(1, (1 << 31) - 1);
        Self { t1, next, outstanding: None, waiting: VecDeque::new(), closed: false }
    }

    /// A response is to be sent reliably.
    pub fn push(&mut self, now: Instant, item: T, described: Described) -> Verdict<T>
    where
        T: Clone,
    {
        if self.closed || self.waiting.len() >= MOST_WAITING {
            return Verdict::Drop;
        }
        if self.outstanding.is_some() {
            self.waiting.push_back((item, described));
            return Verdict::Wait;
        }
        let number = self.send(now, item.clone(), described);
        Verdict::Send(item, number)
    }

    /// Keeps what was really sent, to send it again.
    pub fn keep(&mut self, sent: T) {
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.item = sent;
        }
    }

    /// Takes the PRACK for `number`, and gives back whether the response was a session description.
    ///
    /// # Errors
    /// [`Unknown`] if it is not the one that is outstanding.
    pub fn acknowledge(&mut self, number: u32) -> Result<Described, Unknown> {
        match self.outstanding.take_if(|outstanding| outstanding.number == number) {
            Some(acknowledged) => Ok(acknowledged.described),
            None => Err(Unknown),
        }
    }

    /// The next one that waited, if one may go out now, with its `RSeq`.
    pub fn next(&mut self, now: Instant) -> Option<(T, u32)>
    where
        T: Clone,
    {
        if self.closed || self.outstanding.is_some() {
            return None;
        }
        let (item, described) = self.waiting.pop_front()?;
        let number = self.send(now, item.clone(), described);
        Some((item, number))
    }

    /// When [`Outbox::fired`] is to be called.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.outstanding.as_ref().filter(|_| !self.closed).map(|outstanding| outstanding.again.min(outstanding.until))
    }

    /// Time passed.
    pub fn fired(&mut self, now: Instant) -> Due<'_, T> {
        let closed = self.closed;
        let given_up = self.outstanding.as_ref().is_some_and(|outstanding| now >= outstanding.until);
        if given_up && !closed {
            self.outstanding = None;
            self.waiting.clear();
            return Due::GivenUp;
        }
        match &mut self.outstanding {
            Some(outstanding) if !closed && now >= outstanding.again => {
                // §3: doubling, without the cap that requests have.
                outstanding.interval *= 2;
                outstanding.again = now + outstanding.interval;
                Due::Again(&outstanding.item)
            }
            _ => Due::Nothing,
        }
    }

    /// Must a 2xx wait (§3)? Only for a description that the peer has not acknowledged.
    #[must_use]
    pub fn holds_back_success(&self) -> bool {
        self.outstanding.as_ref().is_some_and(|outstanding| outstanding.described == Described::Yes)
    }

    /// The final response goes out: nothing is repeated or sent after it (§3).
    pub fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
    }

    fn send(&mut self, now: Instant, item: T, described: Described) -> u32 {
        let number = self.next;
        // Of 2**31 numbers and more nobody uses up what is left.
        self.next = self.next.saturating_add(1);
        let (again, until) = (now + self.t1, now + self.t1 * 64);
        self.outstanding = Some(Outstanding { item, number, described, interval: self.t1, again, until });
        number
    }
}

// === impl Inbox ===

impl Inbox {
    /// Takes the `RSeq` of a reliable provisional response (§4).
    pub fn take(&mut self, number: u32) -> Arrival {
        match self.last {
            Some(last) if number <= last => Arrival::Repeated,
            Some(last) if number > last.saturating_add(1) => Arrival::TooEarly,
            _ => {
                self.last = Some(number);
                Arrival::Next
            }
        }
    }
}

#[cfg(test)]
#[path = "reliable_tests.rs"]
mod tests;
