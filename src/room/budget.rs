//! The REST budget: how many requests a second all calls of this process may send to Daily together, and who waits for
//! whom. Pure and under a virtual clock, because Daily answers a burst with 429 and a caller on hold pays for each.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A `Retry-After` beyond this is tried again earlier: a whole class of requests stands still meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The limits, in requests a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All requests that calls cause: rooms, tokens, updates (Daily's class of 20 a second).
    pub all: u32,
    /// Of these `pinlessCallUpdate`, where the account counts it as the start of a SIP call (Daily's class of 1 a second).
    pub updates: Option<u32>,
}

/// Whose turn it is; the first is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rank {
    /// `pinlessCallUpdate`: this caller has waited longest, and only this step is missing.
    Update,
    /// A room or a token.
    Creation,
}

/// Why a request was not taken into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hopeless {
    /// After how long its turn would have come.
    pub turn_in: Duration,
}

/// One class of requests: `burst` at once, then one every `interval` (the generic cell rate algorithm). No second, wherever
/// it begins, sees more than the limit that it was made for.
#[derive(Debug, Clone)]
pub struct Bucket {
    interval: Duration,
    burst: u32,
    /// When the bucket is full again; `None` if it was never used.
    full_at: Option<Instant>,
    closed_until: Option<Instant>,
}

/// The buckets and the queues in front of them.
#[derive(Debug)]
pub struct Budget<T> {
    all: Bucket,
    updates: Option<Bucket>,
    queues: [VecDeque<Waiting<T>>; 2],
}

#[derive(Debug)]
struct Waiting<T> {
    what: T,
    since: Instant,
    by: Instant,
}

// === impl Rank ===

impl Rank {
    /// Both, the first served first.
    pub const ALL: [Self; 2] = [Self::Update, Self::Creation];

    /// Metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Creation => "creation",
        }
    }
}

// === impl Bucket ===

impl Bucket {
    /// At most `limit` in any second, a fifth of them at once.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        let limit = limit.max(1);
        let burst = (limit / 5).max(1);
        // `burst` at the start of a second and one at the end of each interval within it make `limit`.
        let interval = Duration::from_nanos(1_000_000_000_u64.div_ceil(u64::from(limit - burst + 1)));
        Self { interval, burst, full_at: None, closed_until: None }
    }

    /// When the request after `ahead` others may leave, if they leave as early as they can.
    #[must_use]
    pub fn opens(&self, now: Instant, ahead: u32) -> Instant {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + self.interval.saturating_mul(ahead);
        let slack = self.interval.saturating_mul(self.burst - 1);
        let turn = full_at.checked_sub(slack).map_or(now, |at| at.max(now));
        self.closed_until.map_or(turn, |until| until.max(turn))
    }

    /// One leaves now.
    pub fn take(&mut self, now: Instant) {
        self.full_at = Some(self.full_at.map_or(now, |at| at.max(now)) + self.interval);
    }

    /// Daily says that it is too much: whoever else uses the key has used it up. Nothing leaves for `span`, and then one
    /// after the other, not in a burst.
    pub fn refuse(&mut self, now: Instant, span: Option<Duration>) {
        let opens = now + span.unwrap_or(self.interval).clamp(self.interval, LONGEST_PAUSE);
        let empty = opens + self.interval.saturating_mul(self.burst - 1);
        self.full_at = Some(self.full_at.map_or(empty, |at| at.max(empty)));
        self.closed_until = Some(self.closed_until.map_or(opens, |at| at.max(opens)));
    }
}

// === impl Budget ===

impl<T: PartialEq> Budget<T> {
    /// An unused one.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let queues = [VecDeque::new(), VecDeque::new()];
        Self { all: Bucket::new(limits.all), updates: limits.updates.map(Bucket::new), queues }
    }

    /// Puts a request in its queue; [`next`](Self::next) hands it out when its turn has come. The queue is as long as can be
    /// served in time: what cannot leave before `by` is refused at once, so that its caller need not wait for nothing.
    ///
    /// # Errors
    /// Its turn would come too late.
    pub fn enqueue(&mut self, now: Instant, rank: Rank, what: T, by: Instant) -> Result<(), Hopeless> {
        let turn = self.turn(now, rank, self.ahead(rank));
        if turn >= by {
            return Err(Hopeless { turn_in: turn.saturating_duration_since(now) });
        }
        self.queue(rank).push_back(Waiting { what, since: now, by });
        Ok(())
    }

    /// Takes a request back; whether it was still there.
    pub fn withdraw(&mut self, what: &T) -> bool {
        let before = self.len();
        for queue in &mut self.queues {
            queue.retain(|waiting| waiting.what != *what);
        }
        self.len() < before
    }

    /// One that may leave now, and how long it waited.
    pub fn next(&mut self, now: Instant) -> Option<(Rank, T, Duration)> {
        let rank = Rank::ALL.into_iter().find(|rank| self.waiting(*rank) > 0 && self.turn(now, *rank, 0) <= now)?;
        let waiting = self.queue(rank).pop_front()?;
        self.all.take(now);
        if let (Rank::Update, Some(updates)) = (rank, &mut self.updates) {
            updates.take(now);
        }
        Some((rank, waiting.what, now.saturating_duration_since(waiting.since)))
    }

    /// When [`next`](Self::next) has something to give.
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let waiting = Rank::ALL.into_iter().filter(|rank| self.waiting(*rank) > 0);
        waiting.map(|rank| self.turn(now, rank, 0)).min()
    }

    /// Daily answered 429 to a request of this rank: its whole class stands still for `retry_after`. What waits in vain
    /// because of it is taken out and returned.
    pub fn refused(&mut self, now: Instant, rank: Rank, retry_after: Option<Duration>) -> Vec<(T, Hopeless)> {
        match (&mut self.updates, rank) {
            (Some(updates), Rank::Update) => updates.refuse(now, retry_after),
            _ => self.all.refuse(now, retry_after),
        }
        let mut in_vain = vec![];
        for rank in Rank::ALL {
            let turn = self.turn(now, rank, 0);
            let hopeless = Hopeless { turn_in: turn.saturating_duration_since(now) };
            let (kept, lost) = std::mem::take(self.queue(rank)).into_iter().partition(|one: &Waiting<T>| turn < one.by);
            *self.queue(rank) = kept;
            in_vain.extend(lost.into_iter().map(|one: Waiting<T>| (one.what, hopeless)));
        }
        in_vain
    }

    /// How many of a rank wait.
    #[must_use]
    pub fn waiting(&self, rank: Rank) -> usize {
        let [updates, creations] = &self.queues;
        match rank {
            Rank::Update => updates.len(),
            Rank::Creation => creations.len(),
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        Rank::ALL.into_iter().map(|rank| self.waiting(rank)).sum()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn turn(&self, now: Instant, rank: Rank, ahead: usize) -> Instant {
        let count = |ahead| u32::try_from(ahead).unwrap_or(u32::MAX);
        let turn = self.all.opens(now, count(ahead));
        match (&self.updates, rank) {
            (Some(updates), Rank::Update) => turn.max(updates.opens(now, count(ahead))),
            _ => turn,
        }
    }

    /// Who is served before one that comes now.
    fn ahead(&self, rank: Rank) -> usize {
        Rank::ALL.into_iter().filter(|other| *other <= rank).map(|other| self.waiting(other)).sum()
    }

    fn queue(&mut self, rank: Rank) -> &mut VecDeque<Waiting<T>> {
        let [updates, creations] = &mut self.queues;
        match rank {
            Rank::Update => updates,
            Rank::Creation => creations,
        }
    }
}

#[cfg(test)]
mod tests;
