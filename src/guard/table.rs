//! What is remembered of strangers: bucket, strikes and ban of each, in a table that never grows. A newcomer takes the
//! place of whoever was quiet for longest among eight, and of a banned one only if all eight are banned.

use super::explicit::left;
use super::{Ban, Offence, Refusal, bucket, network};
use ipnet::IpNet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Places among which one stranger may stand.
const WAYS: usize = 8;
/// Groups of places: 16 384 strangers in all, in about one and a half megabytes.
const SETS: usize = 2_048;
/// Seconds of its rate that a stranger may send at once.
const BURST: u64 = 2;

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    /// Keyed, so that nobody can aim at a place.
    hasher: RandomState,
    sets: Box<[Mutex<[Option<Stranger>; WAYS]>]>,
}

/// What a message costs its sender.
#[derive(Debug, Clone, Copy)]
pub(super) enum Charge {
    /// Nothing; only a ban counts, and nobody new is remembered.
    Nothing,
    /// One of so many per second.
    Message { rate: u32 },
}

/// When strikes become a ban; times in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub after: u32,
    pub window: u64,
    pub time: u64,
}

#[derive(Debug, Clone, Copy)]
struct Stranger {
    subject: u128,
    /// Of the bucket.
    due: u64,
    seen: u64,
    /// When the first of the strikes was.
    since: u64,
    strikes: u32,
    /// Which call the last strike was for: its repetitions are not more of them.
    mark: u64,
    /// 0 if it is not banned.
    banned_until: u64,
    offence: Offence,
}

// === impl Table ===

impl Default for Table {
    fn default() -> Self {
        Self { hasher: RandomState::new(), sets: (0..SETS).map(|_| Mutex::new([None; WAYS])).collect() }
    }
}

impl Table {
    /// Lets a message of a stranger through, or not.
    pub(super) fn take(&self, at: u64, subject: u128, charge: Charge) -> Result<(), Refusal> {
        let Some(mut set) = self.set(subject) else { return Ok(()) };
        let rate = match charge {
            Charge::Nothing => {
                let banned = find(&mut set, subject).is_some_and(|stranger| stranger.is_banned(at));
                return if banned { Err(Refusal::Banned) } else { Ok(()) };
            }
            Charge::Message { rate } => rate,
        };
        let Some(stranger) = find_or_take(&mut set, at, subject) else { return Ok(()) };
        if stranger.is_banned(at) {
            return Err(Refusal::Banned);
        }
        stranger.seen = at;
        stranger.due = bucket::next(stranger.due, at, rate, BURST).ok_or(Refusal::Rate)?;
        Ok(())
    }

    /// Counts an offence; says whether it brought a ban.
    pub(super) fn strike(&self, at: u64, subject: u128, offence: Offence, mark: u64, rule: &Rule) -> bool {
        let Some(mut set) = self.set(subject) else { return false };
        let Some(stranger) = find_or_take(&mut set, at, subject) else { return false };
        if stranger.is_banned(at) || (mark != 0 && mark == stranger.mark) {
            return false;
        }
        if at.saturating_sub(stranger.since) > rule.window {
            (stranger.since, stranger.strikes) = (at, 0);
        }
        stranger.strikes = stranger.strikes.saturating_add(1);
        (stranger.seen, stranger.mark) = (at, mark);
        let banned = stranger.strikes >= rule.after;
        if banned {
            stranger.banned_until = at.saturating_add(rule.time).max(1);
            stranger.offence = offence;
            stranger.strikes = 0;
        }
        banned
    }

    /// A name for a call by which its repetitions are known; never 0.
    pub(super) fn mark(&self, call: &[u8]) -> u64 {
        self.hasher.hash_one(call) | 1
    }

    /// Forgets what was held against those within `net`; says whether one was banned.
    pub(super) fn pardon(&self, at: u64, net: IpNet) -> bool {
        let mut found = false;
        for set in &self.sets {
            for place in set.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
                if let Some(stranger) = place
                    && (stranger.banned_until != 0 || stranger.strikes != 0)
                    && net.contains(&network(stranger.subject))
                {
                    found |= stranger.is_banned(at);
                    *place = None;
                }
            }
        }
        found
    }

    pub(super) fn bans(&self, at: u64) -> Vec<Ban> {
        let mut bans = vec![];
        for set in &self.sets {
            let set = set.lock().unwrap_or_else(PoisonError::into_inner);
            bans.extend(set.iter().flatten().filter(|stranger| stranger.is_banned(at)).map(|stranger| Ban {
                source: network(stranger.subject),
                reason: stranger.offence.as_str(),
                left: left(stranger.banned_until, at),
            }));
        }
        bans
    }

    fn set(&self, subject: u128) -> Option<MutexGuard<'_, [Option<Stranger>; WAYS]>> {
        let index = (self.hasher.hash_one(subject) % SETS as u64) as usize;
        self.sets.get(index).map(|set| set.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn find(set: &mut [Option<Stranger>; WAYS], subject: u128) -> Option<&mut Stranger> {
    set.iter_mut().flatten().find(|stranger| stranger.subject == subject)
}

/// The stranger's own place, or the one that is given up for it.
fn find_or_take(set: &mut [Option<Stranger>; WAYS], at: u64, subject: u128) -> Option<&mut Stranger> {
    let own = set.iter().position(|place| place.is_some_and(|stranger| stranger.subject == subject));
    let index = own.or_else(|| {
        let worth = |place: &Option<Stranger>| match place {
            None => (0, 0),
            Some(stranger) if stranger.is_banned(at) => (2, stranger.banned_until),
            Some(stranger) => (1, stranger.seen),
        };
        set.iter().enumerate().min_by_key(|(_, place)| worth(place)).map(|(index, _)| index)
    })?;
    let place = set.get_mut(index)?;
    if own.is_none() {
        *place = Some(Stranger::new(subject, at));
    }
    place.as_mut()
}

// === impl Stranger ===

impl Stranger {
    fn new(subject: u128, at: u64) -> Self {
        let offence = Offence::Refused;
        Self { subject, due: 0, seen: at, since: at, strikes: 0, mark: 0, banned_until: 0, offence }
    }

    fn is_banned(&self, at: u64) -> bool {
        self.banned_until > at
    }
}

#[cfg(test)]
impl Table {
    /// How many are remembered.
    pub(super) fn places(&self) -> usize {
        self.sets.iter().map(|set| set.lock().unwrap().iter().flatten().count()).sum()
    }
}
