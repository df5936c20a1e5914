//! `[[room]]`: which held calls get which room and bot.

use super::value::{HeaderMatch, Pattern, Secret, Span};
use serde::{Deserialize, Serialize};

/// What comes before the agent's name in Pipecat Cloud's start URL.
const PIPECAT_CLOUD: &str = "https://api.pipecat.daily.co/v1/public";

/// One room plan; all conditions that are given must hold.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomPlan {
    /// Only calls of this trunk.
    #[serde(default)]
    pub trunk: Option<String>,
    /// On the called number.
    #[serde(default)]
    pub called: Option<Pattern>,
    /// On the calling number.
    #[serde(default)]
    pub caller: Option<Pattern>,
    /// On a header of the PBX's INVITE.
    #[serde(default)]
    pub header: Option<HeaderMatch>,
    /// Only this percentage of the calls for which the conditions hold; the others go on to the next plan.
    #[serde(default)]
    pub share: Option<u8>,
    /// An existing room.
    #[serde(rename = "use", default)]
    pub use_room: Option<String>,
    /// How to create one; the default if `use` is absent.
    #[serde(default)]
    pub create: Option<Create>,
    /// The bot to start; none if it is already there.
    #[serde(default)]
    pub bot: Option<Bot>,
    /// Who calls `pinlessCallUpdate`. With `bot` the gateway only watches, for which `events_hmac` is needed.
    #[serde(default)]
    pub connect: Connect,
    /// For a plan without `bot`: the bearer token with which whoever serves the room reports ready at
    /// `/rooms/{room}/ready`. A started bot is given a token of its own instead.
    #[serde(default)]
    pub ready_token: Option<Secret>,
    /// From the bot's start to ready.
    #[serde(default = "ready_timeout")]
    pub ready_timeout: Span,
    /// What becomes of the caller when the plan fails; `announce` is not in this version.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// How to create a room.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Create {
    /// Start of its name.
    pub name_prefix: String,
    /// Lifetime; joins are refused afterwards.
    pub expires: Span,
    /// Media region, for example `eu-central-1`.
    pub geo: Option<String>,
    /// Audio codecs of its SIP endpoint, in order.
    pub codecs: Option<Vec<String>>,
    /// Any further room property, as the REST interface takes it.
    pub properties: serde_json::Map<String, serde_json::Value>,
}

/// The bot's starter.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bot {
    /// What kind of starter it is.
    #[serde(default)]
    pub kind: BotKind,
    /// POSTed to. With `agent` it may be left out.
    #[serde(default)]
    pub start_url: String,
    /// The agent's name at Pipecat Cloud.
    #[serde(default)]
    pub agent: Option<String>,
    /// Sent as bearer token.
    #[serde(default)]
    pub token: Option<Secret>,
    /// Added to the JSON body.
    #[serde(default)]
    pub body: serde_json::Map<String, serde_json::Value>,
    /// Deadline of the start request.
    #[serde(default = "bot_timeout")]
    pub timeout: Span,
}

/// Who starts bots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BotKind {
    /// An HTTP endpoint of your own.
    #[default]
    Own,
    /// Pipecat Cloud's `/start`: the body goes in `body`, `token` is the public key.
    PipecatCloud,
}

/// Who connects the held caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Connect {
    /// We do.
    #[default]
    Gateway,
    /// The bot does.
    Bot,
}

/// What becomes of the caller when the plan fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The route's `fallback`.
    #[default]
    Fallback,
    /// A prompt, then hang up.
    Announce,
    /// BYE with a reason.
    Hangup,
}

impl Bot {
    /// Where its start is POSTed to.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.agent {
            Some(agent) if self.start_url.is_empty() => format!("{PIPECAT_CLOUD}/{agent}/start"),
            _ => self.start_url.clone(),
        }
    }
}

impl Default for Create {
    fn default() -> Self {
        Self {
            name_prefix: "call-".to_owned(),
            expires: Span::from_secs(3600),
            geo: None,
            codecs: None,
            properties: serde_json::Map::new(),
        }
    }
}

fn ready_timeout() -> Span {
    Span::from_secs(20)
}

fn bot_timeout() -> Span {
    Span::from_secs(10)
}
