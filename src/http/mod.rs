//! The HTTP listeners: webhooks and bots on one (`webhook`), operators, probes and Prometheus on the other (`admin`).
//! They are routers, and the loop that serves them; sockets are opened by whoever assembles the gateway.

pub mod access;
pub mod admin;
mod bearer;
pub mod body;
pub mod peers;
pub mod problem;
pub mod serve;
pub mod webhook;

pub use problem::Problem;
