//! The configuration file: one type per section, loaded, checked as a whole, then immutable.

pub mod extensions;
pub mod value;
// sections
pub mod admin;
pub mod auth;
pub mod causes;
pub mod daily;
pub mod guard;
pub mod http;
pub mod keepalive;
pub mod media;
pub mod numbers;
pub mod observe;
pub mod provision;
pub mod room;
pub mod route;
pub mod session;
pub mod sip;
pub mod target;
pub mod trunk;
pub mod way;
// from text to a checked snapshot
mod checks;
mod document;
pub mod draft;
pub mod effective;
pub mod load;
pub mod origin;
mod problem;
mod sections;
mod surroundings;

use serde::{Deserialize, Serialize};

pub use load::{Examined, LoadError, examine, load, parse};
pub use problem::Problem;

/// The whole file, secrets resolved, defaults filled in.
#[derive(Debug, Clone, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// SIP listeners and timers.
    pub sip: sip::Sip,
    /// Media ports and timeouts.
    pub media: media::Media,
    /// The webhook listener.
    pub http: http::Http,
    /// The admin listener.
    pub admin: admin::Admin,
    /// Number normalisation.
    pub numbers: numbers::Numbers,
    /// Peers on the enterprise side.
    #[serde(rename = "trunk")]
    pub trunks: Vec<trunk::Trunk>,
    /// SIP addresses on the cloud side.
    #[serde(rename = "target")]
    pub targets: Vec<target::Target>,
    /// Which calls go to which targets; first match wins.
    #[serde(rename = "route")]
    pub routes: Vec<route::Route>,
    /// The Daily account.
    pub daily: Option<daily::Daily>,
    /// Room plans; first match wins.
    #[serde(rename = "room")]
    pub rooms: Vec<room::RoomPlan>,
    /// What strangers may do.
    pub guard: guard::Guard,
    /// Logs.
    pub observe: observe::Observe,
    /// Not in this version.
    pub signalwire: Option<value::Later>,
    /// Not in this version.
    pub store: Option<value::Later>,
    /// Not in this version.
    pub cluster: Option<value::Later>,
}
