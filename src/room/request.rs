//! What the companion asks of the outside, and how it can come out. Plain values between the state machine, which
//! decides, and the HTTP client, which does; neither knows how the other works.

use super::budget::Rank;
use crate::config::room::RoomPlan;
use crate::config::value::Secret;
use crate::record::{CallId, Lane};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One HTTP request.
#[derive(Debug, Clone)]
pub enum Request {
    /// `POST /rooms`.
    CreateRoom {
        /// Its name, ours.
        name: String,
        /// Who the SIP participant is shown as.
        display_name: String,
        /// Where `create` stands.
        plan: Arc<RoomPlan>,
    },
    /// `GET /rooms/{name}`.
    FetchRoom {
        /// Its name.
        name: String,
    },
    /// `POST /meeting-tokens`.
    CreateToken {
        /// The one room it opens.
        room: String,
        /// How long it opens it.
        expires: Duration,
    },
    /// `POST start_url`.
    StartBot(Box<StartBot>),
    /// `POST /dialin/pinlessCallUpdate`.
    Update {
        /// Daily's `callId`.
        call_id: String,
        /// Daily's `callDomain`.
        call_domain: String,
        /// Where the held caller goes, with scheme.
        sip_uri: String,
    },
}

/// The bot's start.
#[derive(Clone)]
pub struct StartBot {
    /// Where.
    pub url: String,
    /// Bearer token.
    pub bearer: Option<Secret>,
    /// The JSON body.
    pub body: serde_json::Map<String, serde_json::Value>,
    /// Deadline of this request.
    pub timeout: Duration,
    /// For `Idempotency-Key`: a repeated start is the same start,
    pub call: CallId,
    /// and the start by another plan is not; 0 for the first plan.
    pub plans_before: u32,
    /// W3C trace context, as header; the same is in the body.
    pub traceparent: String,
}

/// The kinds of request, as failures and ladders tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Creating or looking up the room.
    Room,
    /// Creating the token.
    Token,
    /// Starting the bot.
    Bot,
    /// Connecting the caller.
    Update,
}

/// The end of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Of what.
    pub operation: Operation,
    /// For the ladder: `200 OK`, `connection refused`.
    pub what: String,
    /// What came of it.
    pub outcome: Result<Product, Failure>,
}

/// What a successful request brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Product {
    /// A room.
    Room(Room),
    /// A meeting token.
    Token(Secret),
    /// Nothing but its effect.
    Effect,
}

/// What we know of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// Where participants join.
    pub url: Option<String>,
    /// Its SIP address, with scheme.
    pub endpoint: Option<String>,
    /// Further SIP addresses of it (`num_endpoints` above 1), each for one caller.
    pub more_endpoints: Vec<String>,
}

/// A request that brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it proves.
    pub kind: FailureKind,
    /// In words, without secrets: `429 rate-limit-error: too many requests`.
    pub text: String,
    /// `Retry-After`, if the answer had one.
    pub retry_after: Option<Duration>,
}

/// What a failure proves about the request's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No connection came about: the request was never sent.
    NotSent,
    /// It was answered with this status.
    Refused(u16),
    /// It was sent, or may have been, and no whole answer came.
    Lost,
    /// It succeeded, but the answer lacks what is needed.
    Unreadable,
    /// It cannot be built, for example because the URL is no URL.
    Impossible,
}

// === impl Request ===

impl Request {
    /// Its kind.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Self::CreateRoom { .. } | Self::FetchRoom { .. } => Operation::Room,
            Self::CreateToken { .. } => Operation::Token,
            Self::StartBot(_) => Operation::Bot,
            Self::Update { .. } => Operation::Update,
        }
    }

    /// Its place in the REST budget; `None` if it does not go to Daily.
    #[must_use]
    pub fn rank(&self) -> Option<Rank> {
        self.operation().rank()
    }

    /// For the ladder.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::CreateRoom { .. } => "POST /rooms".to_owned(),
            Self::FetchRoom { name } => format!("GET /rooms/{name}"),
            Self::CreateToken { .. } => "POST /meeting-tokens".to_owned(),
            Self::StartBot(_) => "start bot".to_owned(),
            Self::Update { .. } => "pinlessCallUpdate".to_owned(),
        }
    }

    /// What the ladder adds to [`line`](Self::line).
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::CreateRoom { name, .. } => Some(name.clone()),
            Self::FetchRoom { .. } | Self::StartBot(_) => None,
            Self::CreateToken { room, .. } => Some(room.clone()),
            Self::Update { sip_uri, .. } => Some(sip_uri.clone()),
        }
    }
}

// === impl StartBot ===

impl StartBot {
    /// The same for every try of one start.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        match self.plans_before {
            0 => self.call.as_str().to_owned(),
            before => format!("{}.{before}", self.call.as_str()),
        }
    }
}

/// The body holds two tokens, so it is not shown.
impl fmt::Debug for StartBot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartBot").field("call", &self.call).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

// === impl Operation ===

impl Operation {
    /// Who is asked.
    #[must_use]
    pub const fn lane(self) -> Lane {
        match self {
            Self::Room | Self::Token | Self::Update => Lane::Rest,
            Self::Bot => Lane::Bot,
        }
    }

    /// Its place in the REST budget; `None` if Daily is not asked.
    #[must_use]
    pub const fn rank(self) -> Option<Rank> {
        match self {
            Self::Room | Self::Token => Some(Rank::Creation),
            Self::Update => Some(Rank::Update),
            Self::Bot => None,
        }
    }

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Token => "token",
            Self::Bot => "bot",
            Self::Update => "update",
        }
    }
}
