//! Simulated peers: a PBX, Daily and a bot, with real SIP, RTP and HTTP on loopback, scriptable into misbehaving.
//! They are a second implementation on purpose (`rsip`, `webrtc-sdp`) and share no protocol code with the gateway.

pub mod audio;
pub mod bot;
pub mod daily;
pub mod description;
pub mod ladder;
pub mod leg;
mod line;
pub mod message;
pub mod observation;
pub mod pbx;
pub mod rtp;
pub mod scene;
pub(crate) mod task;
pub mod web;

pub use audio::Voice;
pub use observation::{Observation, Observer, Violations};
pub use rtp::Heard;

#[cfg(test)]
mod companion_for_tests;
#[cfg(test)]
mod tests;
