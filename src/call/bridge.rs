//! The bridge table: `(state, side, what happened) → what to do`. It decides and nothing else, so that every row is one
//! line of a test; the doing is in `commands`.

use crate::media::Side;

/// Where the two legs of a call stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Leg A is unanswered, leg B was called.
    Calling,
    /// Leg A has our 200 and owes the ACK; leg B is up.
    Answering,
    /// Both legs are up.
    Up,
    /// Leg B is up and keeps the caller's place, leg A rings until the caller has met the bot.
    Waiting,
    /// Leg A is up (or owes its ACK), and leg B is being called: a fallback while the old leg still plays, or the target of
    /// a caller who was answered at once.
    Diverting,
    /// The call's end was claimed; the legs are being released.
    Ending,
}

/// What happened on a leg, as far as the table cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Happened {
    /// A provisional response.
    Progress,
    /// The first 2xx to our INVITE.
    Answered,
    /// A final failure of our INVITE.
    Refused,
    /// No final response to our INVITE at all.
    Unanswered,
    /// The ACK to our 2xx arrived.
    Acknowledged,
    /// The ACK never came.
    Unacknowledged,
    /// The peer cancelled its INVITE.
    Cancelled,
    /// The peer hung up.
    HungUp,
    /// The peer offers a change of the session.
    Reinvited,
    /// The peer offers a change by UPDATE, which is answered at once (RFC 3311).
    Updated,
    /// The peer took our change.
    ReinviteAnswered,
    /// The peer refused our change and keeps the session.
    ReinviteRefused,
    /// The peer's answer to our change says that its dialog is gone (408, 481).
    DialogLost,
    /// Nobody refreshed the session in time.
    SessionExpired,
    /// A reliable provisional response was never acknowledged.
    Unpracked,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Tell leg A how leg B progresses.
    PassProgress,
    /// Acknowledge leg B's answer and answer leg A with it.
    PassAnswer,
    /// Acknowledge the fallback's answer and join it to leg A.
    JoinFallback,
    /// This target failed: the next one, the fallback, or the end.
    NextTarget,
    /// The fallback failed: the end.
    FallbackFailed,
    /// Leg A is up: the session is complete.
    Complete,
    /// Take the answer that the ACK of a caller without offer brings.
    TakeAnswer,
    /// Offer the peer's change to the other leg.
    PassReinvite,
    /// Keep the peer's change until the caller's ACK: leg A can be offered nothing before it.
    KeepReinvite,
    /// Offer the change that was kept to leg A, or what it has missed.
    PassKeptReinvite,
    /// Take over what the other leg answered.
    PassReinviteAnswer,
    /// Tell the initiator that the other leg refused its change.
    PassReinviteRefusal,
    /// The initiator takes its change back: it is taken back from the other leg too.
    WithdrawChange,
    /// Two changes at the same time: 491 (RFC 3261 §14.2).
    RefuseGlare,
    /// Offer the change that the peer's UPDATE asks for to the other leg.
    PassUpdate,
    /// Keep it until the caller's ACK.
    KeepUpdate,
    /// Answer an UPDATE of a leg that is not up yet: the other one is asked if it can be.
    PassEarlyUpdate,
    /// An UPDATE comes at the wrong moment: the peer is to try again.
    RefuseUpdate,
    /// End the call: its caller cancelled.
    EndCancelled,
    /// End the call: this side hung up. A held caller is diverted instead if leg B did it.
    EndHungUp,
    /// End the call: the ACK never came.
    EndUnacknowledged,
    /// End the call: this side lost its dialog.
    EndDialogLost,
    /// End the call: this side's session expired.
    EndExpired,
    /// End the call: the PRACK never came.
    EndUnpracked,
    /// Acknowledge a 2xx that nobody waits for, so that it is not retransmitted.
    AcknowledgeOnly,
    /// The ACK to a change arrived: the exchange is over.
    FinishExchange,
}

/// The table. An empty list means: nothing to do.
#[must_use]
pub const fn react(state: State, side: Side, happened: Happened) -> &'static [Command] {
    use Command as C;
    use Happened as H;
    use Side::{A, B};
    use State as S;
    match (state, side, happened) {
        // --- leg B is being called, leg A waits
        (S::Calling, B, H::Progress) => &[C::PassProgress],
        (S::Calling, B, H::Answered) => &[C::PassAnswer],
        // A BYE of the callee has overtaken its answer, or stands for a refusal: it does not want the call.
        (S::Calling, B, H::Refused | H::Unanswered | H::HungUp) => &[C::NextTarget],
        (S::Calling, A, H::Cancelled) => &[C::EndCancelled],
        // A BYE instead of a CANCEL is legal on an early dialog (RFC 3261 §15).
        (S::Calling, A, H::HungUp) => &[C::EndCancelled],
        // --- leg B is up, leg A rings on
        (S::Waiting, A, H::Cancelled | H::HungUp) => &[C::EndCancelled],
        (S::Waiting, B, H::HungUp) => &[C::EndHungUp],
        (S::Waiting, B, H::Reinvited) => &[C::KeepReinvite],
        (S::Waiting, B, H::Cancelled) => &[C::WithdrawChange],
        (S::Waiting, B, H::DialogLost) => &[C::EndDialogLost],
        (S::Waiting, B, H::SessionExpired) => &[C::EndExpired],
        // --- our 200 is on its way
        (S::Answering, A, H::Acknowledged) => &[C::Complete, C::PassKeptReinvite],
        // Leg B was acknowledged before leg A acknowledges: a peer that changes the session as soon as it is up (a move
        // of the media, a single codec) is early through no fault of its own, and is not sent away for seconds.
        (S::Answering, B, H::Reinvited) => &[C::KeepReinvite],
        (S::Answering, B, H::Cancelled) => &[C::WithdrawChange],
        // --- both up
        (S::Up, A, H::Acknowledged) | (_, B, H::Acknowledged) => &[C::FinishExchange],
        (S::Up, _, H::Reinvited) => &[C::PassReinvite],
        (S::Up, _, H::ReinviteAnswered) => &[C::PassReinviteAnswer],
        (S::Up, _, H::ReinviteRefused) => &[C::PassReinviteRefusal],
        (S::Up, _, H::Cancelled) => &[C::WithdrawChange],
        (S::Up, _, H::Updated) => &[C::PassUpdate],
        (S::Waiting | S::Answering, B, H::Updated) => &[C::KeepUpdate],
        (S::Calling, _, H::Updated) => &[C::PassEarlyUpdate],
        (S::Waiting | S::Answering | S::Diverting | S::Ending, _, H::Updated) => &[C::RefuseUpdate],
        // --- the fallback is being called while the caller stays on the line
        (S::Diverting, B, H::Progress) => &[C::PassProgress],
        (S::Diverting, B, H::Answered) => &[C::JoinFallback],
        (S::Diverting, B, H::Refused | H::Unanswered | H::HungUp) => &[C::FallbackFailed],
        (S::Diverting, A, H::Acknowledged) => &[C::TakeAnswer, C::FinishExchange],
        // --- the same in every live state
        (S::Answering | S::Up | S::Diverting, _, H::Unacknowledged) => &[C::EndUnacknowledged],
        (S::Answering | S::Up | S::Diverting, _, H::HungUp) => &[C::EndHungUp],
        (S::Answering | S::Up | S::Diverting, _, H::DialogLost) => &[C::EndDialogLost],
        (S::Answering | S::Up | S::Diverting, _, H::SessionExpired) => &[C::EndExpired],
        // An answer may be promised already, and wait for the PRACK: then the PBX has none yet.
        (S::Calling | S::Waiting | S::Answering | S::Diverting, A, H::Unpracked) => &[C::EndUnpracked],
        (S::Answering | S::Diverting, A, H::Cancelled) => &[C::EndCancelled],
        (S::Calling | S::Answering | S::Diverting | S::Ending, _, H::Reinvited) => &[C::RefuseGlare],
        // A 2xx to an INVITE that no longer matters still wants its ACK (RFC 3261 §13.2.2.4).
        (_, _, H::ReinviteAnswered) | (S::Waiting | S::Answering | S::Up | S::Ending, _, H::Answered) => {
            &[C::AcknowledgeOnly]
        }
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::{Command as C, Happened as H, State as S, react};
    use crate::media::Side::{A, B};

    const STATES: [S; 6] = [S::Calling, S::Waiting, S::Answering, S::Up, S::Diverting, S::Ending];
    const EVENTS: [H; 15] = [
        H::Progress,
        H::Answered,
        H::Refused,
        H::Unanswered,
        H::Acknowledged,
        H::Unacknowledged,
        H::Cancelled,
        H::HungUp,
        H::Reinvited,
        H::Updated,
        H::ReinviteAnswered,
        H::ReinviteRefused,
        H::DialogLost,
        H::SessionExpired,
        H::Unpracked,
    ];

    #[test]
    fn every_row_of_the_table_is_what_the_rfc_and_the_product_want() {
        let rows: &[(S, crate::media::Side, H, &[C])] = &[
            (S::Calling, B, H::Progress, &[C::PassProgress]),
            (S::Calling, B, H::Answered, &[C::PassAnswer]),
            (S::Calling, B, H::Refused, &[C::NextTarget]),
            (S::Calling, B, H::Unanswered, &[C::NextTarget]),
            (S::Calling, B, H::HungUp, &[C::NextTarget]),
            (S::Calling, A, H::Cancelled, &[C::EndCancelled]),
            (S::Calling, A, H::HungUp, &[C::EndCancelled]),
            (S::Calling, A, H::Reinvited, &[C::RefuseGlare]),
            (S::Calling, B, H::Reinvited, &[C::RefuseGlare]),
            (S::Answering, A, H::Acknowledged, &[C::Complete, C::PassKeptReinvite]),
            (S::Answering, A, H::Unacknowledged, &[C::EndUnacknowledged]),
            (S::Answering, A, H::HungUp, &[C::EndHungUp]),
            (S::Answering, B, H::HungUp, &[C::EndHungUp]),
            (S::Calling, A, H::Unpracked, &[C::EndUnpracked]),
            (S::Waiting, A, H::Cancelled, &[C::EndCancelled]),
            (S::Waiting, A, H::HungUp, &[C::EndCancelled]),
            (S::Waiting, A, H::Unpracked, &[C::EndUnpracked]),
            (S::Waiting, B, H::HungUp, &[C::EndHungUp]),
            (S::Waiting, B, H::Reinvited, &[C::KeepReinvite]),
            (S::Waiting, B, H::SessionExpired, &[C::EndExpired]),
            (S::Diverting, B, H::Progress, &[C::PassProgress]),
            (S::Answering, A, H::Unpracked, &[C::EndUnpracked]),
            (S::Answering, A, H::Cancelled, &[C::EndCancelled]),
            (S::Diverting, A, H::Cancelled, &[C::EndCancelled]),
            (S::Up, A, H::SessionExpired, &[C::EndExpired]),
            (S::Up, B, H::SessionExpired, &[C::EndExpired]),
            (S::Diverting, A, H::SessionExpired, &[C::EndExpired]),
            (S::Answering, A, H::Reinvited, &[C::RefuseGlare]),
            (S::Answering, B, H::Reinvited, &[C::KeepReinvite]),
            (S::Answering, B, H::Cancelled, &[C::WithdrawChange]),
            (S::Answering, B, H::DialogLost, &[C::EndDialogLost]),
            (S::Up, A, H::Reinvited, &[C::PassReinvite]),
            (S::Up, B, H::Reinvited, &[C::PassReinvite]),
            (S::Up, B, H::ReinviteAnswered, &[C::PassReinviteAnswer]),
            (S::Up, A, H::ReinviteRefused, &[C::PassReinviteRefusal]),
            (S::Up, A, H::Cancelled, &[C::WithdrawChange]),
            (S::Up, B, H::Cancelled, &[C::WithdrawChange]),
            (S::Up, A, H::DialogLost, &[C::EndDialogLost]),
            (S::Up, A, H::HungUp, &[C::EndHungUp]),
            (S::Up, B, H::HungUp, &[C::EndHungUp]),
            (S::Up, A, H::Acknowledged, &[C::FinishExchange]),
            (S::Up, B, H::Acknowledged, &[C::FinishExchange]),
            (S::Up, A, H::Unacknowledged, &[C::EndUnacknowledged]),
            (S::Up, B, H::Unacknowledged, &[C::EndUnacknowledged]),
            (S::Calling, A, H::Updated, &[C::PassEarlyUpdate]),
            (S::Calling, B, H::Updated, &[C::PassEarlyUpdate]),
            (S::Answering, A, H::Updated, &[C::RefuseUpdate]),
            (S::Answering, B, H::Updated, &[C::KeepUpdate]),
            (S::Up, A, H::Updated, &[C::PassUpdate]),
            (S::Up, B, H::Updated, &[C::PassUpdate]),
            (S::Diverting, A, H::Updated, &[C::RefuseUpdate]),
            (S::Waiting, A, H::Updated, &[C::RefuseUpdate]),
            (S::Waiting, B, H::Updated, &[C::KeepUpdate]),
            (S::Diverting, B, H::Updated, &[C::RefuseUpdate]),
            (S::Ending, B, H::Updated, &[C::RefuseUpdate]),
            (S::Diverting, B, H::Answered, &[C::JoinFallback]),
            (S::Diverting, B, H::Refused, &[C::FallbackFailed]),
            (S::Diverting, B, H::Unanswered, &[C::FallbackFailed]),
            (S::Diverting, B, H::HungUp, &[C::FallbackFailed]),
            (S::Diverting, A, H::HungUp, &[C::EndHungUp]),
            (S::Diverting, A, H::Acknowledged, &[C::TakeAnswer, C::FinishExchange]),
            (S::Diverting, A, H::Reinvited, &[C::RefuseGlare]),
            (S::Diverting, A, H::Unacknowledged, &[C::EndUnacknowledged]),
            (S::Ending, B, H::Answered, &[C::AcknowledgeOnly]),
            (S::Ending, A, H::ReinviteAnswered, &[C::AcknowledgeOnly]),
            (S::Ending, A, H::Reinvited, &[C::RefuseGlare]),
        ];
        for (state, side, happened, commands) in rows {
            assert_eq!(react(*state, *side, *happened), *commands, "{state:?} {side:?} {happened:?}");
        }
    }

    #[test]
    fn an_ending_call_never_starts_anything_new() {
        for side in [A, B] {
            for happened in EVENTS {
                for command in react(S::Ending, side, happened) {
                    assert!(
                        matches!(command, C::AcknowledgeOnly | C::RefuseGlare | C::RefuseUpdate | C::FinishExchange),
                        "{side:?} {happened:?} → {command:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn whoever_hangs_up_in_a_live_state_ends_the_call() {
        for state in STATES.into_iter().filter(|state| *state != S::Ending) {
            assert_eq!(react(state, A, H::HungUp).len(), 1, "{state:?}");
        }
        for state in [S::Answering, S::Up] {
            assert_eq!(react(state, B, H::HungUp), &[C::EndHungUp], "{state:?}");
        }
    }

    #[test]
    fn every_2xx_that_can_arrive_is_acknowledged() {
        for state in STATES {
            for (side, happened) in [(B, H::Answered), (A, H::ReinviteAnswered), (B, H::ReinviteAnswered)] {
                let acknowledging = react(state, side, happened).iter().any(|command| {
                    matches!(command, C::PassAnswer | C::JoinFallback | C::PassReinviteAnswer | C::AcknowledgeOnly)
                });
                assert!(acknowledging, "{state:?} {side:?} {happened:?}");
            }
        }
    }
}
