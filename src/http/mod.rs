//! The HTTP listeners: what the cloud, bots and operators may ask of the gateway over HTTP. Apart from what they call,
//! so that routes, limits and problem documents are in one place.

pub mod body;
pub mod problem;
pub mod webhook;
