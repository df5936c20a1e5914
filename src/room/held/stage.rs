//! The stages of a held call and the waits between them, apart from the machine that walks through them, because
//! metrics, records and the catalogue share their names.

use crate::error::Cause;
use crate::room::request::Operation;

/// Where a held call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Daily's webhook is due.
    Webhook,
    /// The room is being made or looked up.
    Room,
    /// The token is being made.
    Token,
    /// The bot is being started.
    Bot,
    /// Ready is due.
    Ready,
    /// The caller is being connected.
    Update,
    /// The caller was connected.
    Connected,
    /// Given up or ended: nothing may happen any more.
    Over,
}

/// The waits of a held call. One deadline runs at a time, and `Retry` beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timer {
    /// Daily neither answered nor announced the call ([`UNANSWERED`](super::UNANSWERED)).
    Unanswered,
    /// The webhook after the answer (`webhook_timeout` of `[daily]`).
    Webhook,
    /// The room, all tries (`rest_timeout` times [`TRIES_IN_A_STAGE`](crate::room::retry::TRIES_IN_A_STAGE)).
    Room,
    /// The token, all tries (likewise).
    Token,
    /// The bot's start, all tries (`timeout` of `bot`).
    Bot,
    /// Ready (`ready_timeout` of the plan).
    Ready,
    /// The update, all tries (as the room).
    Update,
    /// After giving up: how long late webhooks still find the call, should nobody report its end
    /// ([`LINGER`](super::LINGER)).
    Linger,
    /// The wait before the next try ([`retry::wait`](crate::room::retry::wait)).
    Retry,
}

// === impl Stage ===

impl Stage {
    /// Metric label and stage of the decision record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Room => "room",
            Self::Token => "token",
            Self::Bot => "bot",
            Self::Ready => "ready",
            Self::Update => "update",
            Self::Connected => "connected",
            Self::Over => "over",
        }
    }

    /// Its deadline.
    #[must_use]
    pub const fn timer(self) -> Option<Timer> {
        match self {
            Self::Webhook => Some(Timer::Webhook),
            Self::Room => Some(Timer::Room),
            Self::Token => Some(Timer::Token),
            Self::Bot => Some(Timer::Bot),
            Self::Ready => Some(Timer::Ready),
            Self::Update => Some(Timer::Update),
            Self::Connected | Self::Over => None,
        }
    }

    /// What it asks of the outside.
    pub(super) const fn operation(self) -> Option<Operation> {
        match self {
            Self::Room => Some(Operation::Room),
            Self::Token => Some(Operation::Token),
            Self::Bot => Some(Operation::Bot),
            Self::Update => Some(Operation::Update),
            Self::Webhook | Self::Ready | Self::Connected | Self::Over => None,
        }
    }

    /// What a call dies of in it.
    pub(super) const fn cause(self) -> Cause {
        match self {
            Self::Webhook => Cause::WebhookMissing,
            Self::Room => Cause::RoomFailed,
            Self::Token => Cause::TokenFailed,
            Self::Bot => Cause::BotFailed,
            Self::Ready => Cause::BotNotReady,
            Self::Update => Cause::UpdateFailed,
            Self::Connected | Self::Over => Cause::Internal,
        }
    }
}
