//! What a failed request allows: another try, patience, or the end. One table, because "is a retry safe" is the
//! question on which a held caller is connected once, twice or never.

use super::request::{Failure, FailureKind, Operation};
use crate::clock::Entropy;
use std::time::Duration;

/// A stage may last this many times the deadline of one request, waits between tries included.
pub const TRIES_IN_A_STAGE: u32 = 3;

/// How often `pinlessCallUpdate` is tried when it answers 404.
pub const TRIES_AFTER_404: u32 = 4;

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// No stage lasts so long. A `Retry-After` beyond it means the same, and cannot overflow the clock.
const LONGEST_ASKED: Duration = Duration::from_secs(86_400);

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again after a wait; the failure proves that nothing happened, or a repetition harms nobody.
    Retry,
    /// As `Retry`, and the failed try may have worked all the same.
    RetryInDoubt,
    /// Try again, but only [`TRIES_AFTER_404`] times.
    RetryBriefly,
    /// It may have worked and must not be repeated: only evidence can tell.
    Doubt,
    /// No try will help.
    Fail,
}

/// The table. Section numbers are those of the collected facts about Daily that `docs/companion.md` sums up.
///
/// - Rooms carry a name of ours and tokens cost nothing, so both may be repeated after anything transient; a room that
///   a lost try made shows by 400 (name taken) at the next, and is then looked up.
/// - A bot start is repeated where the starter says that it did not start (429, 503: at capacity) or never heard us.
///   A lost answer is no licence: the bot may be on its way, and two bots in one room greet the caller twice.
/// - `pinlessCallUpdate`: no idempotency is documented and a second update may move or drop a connected caller (§3,
///   §11.4), so it is repeated only after answers that prove it had no effect. 429 is refused before it is worked on
///   (§7). 404 "Call Forwarding Failed" says that this try did not forward; whether a later one can is open (the
///   endpoint may not be registered yet, or the caller is gone), hence briefly. A 5xx or a lost answer proves nothing.
#[must_use]
pub fn judge(operation: Operation, kind: FailureKind) -> Verdict {
    use FailureKind::{Impossible, Lost, NotSent, Refused, Unreadable};
    match (operation, kind) {
        (_, Impossible | Unreadable) => Verdict::Fail,
        (_, NotSent | Refused(429)) => Verdict::Retry,
        (Operation::Room | Operation::Token, Lost | Refused(408 | 500..=599)) => Verdict::RetryInDoubt,
        (Operation::Bot, Refused(503)) => Verdict::Retry,
        (Operation::Update, Refused(404)) => Verdict::RetryBriefly,
        (Operation::Update, Lost | Refused(408 | 500..=599)) => Verdict::Doubt,
        (_, Refused(_)) | (Operation::Bot, Lost) => Verdict::Fail,
    }
}

/// How long to wait after try number `tries` (from 1) failed: doubling, at most 4 s, half of it random so that callers
/// who were refused together do not come back together; never less than the `Retry-After` of the answer.
pub fn wait(tries: u32, failure: &Failure, entropy: &mut Entropy) -> Duration {
    let full = FIRST_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(8)).min(LONGEST_WAIT);
    let half = full / 2;
    let jitter = Duration::from_millis(entropy.below(u64::try_from(half.as_millis()).unwrap_or(0) + 1));
    match failure.retry_after {
        Some(asked) => asked.clamp(half, LONGEST_ASKED) + jitter,
        None => half + jitter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_row_by_row() {
        use FailureKind::{Impossible, Lost, NotSent, Refused, Unreadable};
        let rows = [
            (NotSent, [Verdict::Retry, Verdict::Retry, Verdict::Retry, Verdict::Retry]),
            (Refused(429), [Verdict::Retry, Verdict::Retry, Verdict::Retry, Verdict::Retry]),
            (Lost, [Verdict::RetryInDoubt, Verdict::RetryInDoubt, Verdict::Fail, Verdict::Doubt]),
            (Refused(500), [Verdict::RetryInDoubt, Verdict::RetryInDoubt, Verdict::Fail, Verdict::Doubt]),
            (Refused(503), [Verdict::RetryInDoubt, Verdict::RetryInDoubt, Verdict::Retry, Verdict::Doubt]),
            (Refused(408), [Verdict::RetryInDoubt, Verdict::RetryInDoubt, Verdict::Fail, Verdict::Doubt]),
            (Refused(404), [Verdict::Fail, Verdict::Fail, Verdict::Fail, Verdict::RetryBriefly]),
            (Refused(400), [Verdict::Fail; 4]),
            (Refused(401), [Verdict::Fail; 4]),
            (Refused(302), [Verdict::Fail; 4]),
            (Unreadable, [Verdict::Fail; 4]),
            (Impossible, [Verdict::Fail; 4]),
        ];
        let operations = [Operation::Room, Operation::Token, Operation::Bot, Operation::Update];
        for (kind, verdicts) in rows {
            for (operation, verdict) in operations.into_iter().zip(verdicts) {
                assert_eq!(judge(operation, kind), verdict, "{operation:?} {kind:?}");
            }
        }
    }

    #[test]
    fn waits_double_within_their_jitter_and_stay_bounded() {
        let mut entropy = Entropy::seeded(1);
        let failure = Failure { kind: FailureKind::Refused(429), text: String::new(), retry_after: None };
        for (tries, full) in [(1, 250), (2, 500), (3, 1_000), (4, 2_000), (5, 4_000), (6, 4_000), (4_000_000, 4_000)] {
            for _ in 0..100 {
                let wait = u64::try_from(wait(tries, &failure, &mut entropy).as_millis()).unwrap();
                assert!((full / 2..=full).contains(&wait), "{tries}: {wait}");
            }
        }
    }

    #[test]
    fn retry_after_is_the_least_wait() {
        let mut entropy = Entropy::seeded(1);
        let retry_after = Some(Duration::from_secs(7));
        let failure = Failure { kind: FailureKind::Refused(429), text: String::new(), retry_after };
        assert!(wait(1, &failure, &mut entropy) >= Duration::from_secs(7));
    }
}
