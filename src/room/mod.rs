//! The companion: gives a call that Daily holds its room and its bot, and connects it once the bot is ready.
//!
//! It stands apart because it speaks HTTP and never SIP: it is told of calls by [`Report`]s with plain [`CallFacts`]
//! and answers with [`Instruction`]s. `held` is one call, `companion` is all of them (both sans-IO), `driver` is the
//! tokio task with the HTTP client, and `docs/companion.md` tells the whole as a story.

pub mod budget;
pub mod companion;
pub mod daily;
pub mod driver;
pub mod held;
pub mod leases;
pub mod plan;
pub mod request;
pub mod retry;
pub mod seen;
pub mod timers;

use crate::config::room::{OnFailure, RoomPlan};
use crate::config::value::Secret;
use crate::config::{Config, daily::Daily};
use crate::error::Termination;
use crate::record::call::DailyFacts;
use crate::record::{CallFacts, CallId, Lane, Step};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use companion::{Census, Companion, ReadyVerdict};
pub use driver::{CompanionHandle, spawn};

/// What the SIP side tells the companion. Reports of one call must come in the order in which they happened, and
/// every `Placed` must be followed by one `Ended` in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The INVITE went to a target of kind `daily`. A second one for the same call means that the call moved on to
    /// another such target (failover), so another webhook is due.
    Placed(CallFacts),
    /// Daily answered: the caller is on hold.
    Answered(CallId),
    /// The call is over, or it is no longer Daily's; nothing more may be done for it.
    Ended(CallId),
}

/// What the companion tells the SIP side about one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// A decision for the call's record.
    Decided(Step),
    /// A line for the call's ladder; it happened now.
    Happened {
        /// Who acted.
        from: Lane,
        /// On whom.
        to: Lane,
        /// What, in a few words.
        what: String,
        /// More, if it helps.
        detail: Option<String>,
    },
    /// Daily's names for the call are known.
    Named(DailyFacts),
    /// The held caller was connected to the bot's room.
    Connected,
    /// The caller cannot be connected. The companion does nothing more for the call.
    Failed {
        /// Why.
        termination: Termination,
        /// What the room plan wants done with the caller.
        on_failure: OnFailure,
    },
}

/// Where the companion's figures go. Labels are bounded: both strings come from fixed sets.
pub trait Meter: Send + Sync {
    /// A stage of a held call ended, well or badly, after `took`. Stages: `webhook`, `room`, `token`, `bot`, `ready`,
    /// `update`, and `hold` for the whole of it.
    fn stage(&self, stage: &'static str, took: Duration);
    /// A request reached the webhook listener. Sources: `dialin`, `events`, `ready`, `connected`. Each request counts once.
    fn webhook(&self, source: &'static str, result: &'static str);
    /// A bot's start ended so. Results: `started`, `ready` (before its starter answered), `at_capacity` (the next plan was
    /// tried), `failed`.
    fn bot_start(&self, result: &'static str);
    /// So many SIP addresses of existing rooms are lent to calls, and so many calls wait for one.
    fn leases(&self, lent: usize, waiting: usize);
    /// So many REST requests of a rank wait for their turn now. Ranks: `update`, `creation`.
    fn rest_queue(&self, rank: &'static str, waiting: usize);
    /// A REST request of a rank left after this wait for its turn.
    fn rest_wait(&self, rank: &'static str, waited: Duration);
    /// A REST request was not sent. Reasons: `withdrawn` (the caller is gone, or it became pointless otherwise),
    /// `no_time` (its turn would have come after its deadline).
    fn rest_unsent(&self, reason: &'static str);
}

/// Where instructions go. Called on the companion's task: it must not block.
pub type Sink = Arc<dyn Fn(CallId, Instruction) + Send + Sync>;

/// All that the companion takes from the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// REST base, without a slash at the end.
    pub api_url: String,
    /// REST key.
    pub api_key: Secret,
    /// From Daily's answer to its webhook.
    pub webhook_timeout: Duration,
    /// One REST request; a stage of several tries may take [`retry::TRIES_IN_A_STAGE`] times as long.
    pub rest_timeout: Duration,
    /// How many REST requests a second all calls may cause together.
    pub limits: budget::Limits,
    /// How long a `callId` is remembered, so that nothing replayed within the signature's age limit acts twice.
    pub memory: Duration,
    /// Whether Daily's domain webhooks reach us, so that `dialin.connected` can settle a doubt.
    pub evidence: Evidence,
    /// What comes before `/rooms/...` in `ready_url`, without a slash at the end.
    pub public_url: String,
    /// `User-Agent` of our requests.
    pub user_agent: String,
    /// The room plans, in order.
    pub plans: Vec<Arc<RoomPlan>>,
}

/// Whether the outcome of a doubtful `pinlessCallUpdate` can be learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// `events_hmac` is configured: `dialin.connected` will tell.
    Events,
    /// Nothing will tell.
    Nothing,
}

// === impl Settings ===

impl Settings {
    /// From a checked configuration. `http` is the address that the webhook listener really got, which serves as
    /// `public_url` if none is configured. `None` without a `[daily]` section.
    #[must_use]
    pub fn new(config: &Config, http: SocketAddr) -> Option<Self> {
        let daily = config.daily.as_ref()?;
        let public_url = config.http.public_url.clone().unwrap_or_else(|| format!("http://{http}"));
        Some(Self {
            api_url: daily.api_url.trim_end_matches('/').to_owned(),
            api_key: daily.api_key.clone(),
            webhook_timeout: daily.webhook_timeout.get(),
            rest_timeout: daily.rest_timeout.get(),
            limits: budget::Limits { all: daily.budget, updates: daily.update_budget },
            memory: memory(daily),
            evidence: if daily.events_hmac.is_some() { Evidence::Events } else { Evidence::Nothing },
            public_url: public_url.trim_end_matches('/').to_owned(),
            user_agent: config.sip.user_agent.clone(),
            plans: config.rooms.iter().cloned().map(Arc::new).collect(),
        })
    }
}

/// A signed request stays valid from `max_skew` before its timestamp to `max_skew` after it.
fn memory(daily: &Daily) -> Duration {
    Duration::from_secs(600).max(daily.max_skew.get().saturating_mul(2))
}

/// A meter that measures nothing, for commands and tests that have none.
impl Meter for () {
    fn stage(&self, _: &'static str, _: Duration) {}
    fn webhook(&self, _: &'static str, _: &'static str) {}
    fn bot_start(&self, _: &'static str) {}
    fn leases(&self, _: usize, _: usize) {}
    fn rest_queue(&self, _: &'static str, _: usize) {}
    fn rest_wait(&self, _: &'static str, _: Duration) {}
    fn rest_unsent(&self, _: &'static str) {}
}
