//! Trunkline: the SIP gateway at the enterprise edge that brings PBX callers, with their true numbers, to voice
//! bots in Daily rooms.
//!
//! The crate is one binary; the library exists so that tests and benches can reach the parts. Knowledge flows one
//! way (`tests/architecture.rs` holds it): `clock`, `error` and `record` know nothing; `sip`, `sdp` and `media` are
//! sans-IO and know nothing above them; `tls` knows certificates and nobody; `guard` keeps strangers out; `trunk`,
//! `identity`, `route` decide; `call` joins the legs; `room` is the companion and never sees SIP; `explain` rehearses a
//! call without a socket; `transport` and `http` touch sockets; `gateway` assembles; `cli` is the edge.
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod call;
pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
pub mod explain;
pub mod gateway;
pub mod guard;
pub mod http;
pub mod identity;
pub mod media;
pub mod observe;
pub mod record;
pub mod room;
pub mod route;
pub mod sdp;
pub mod sim;
pub mod sip;
pub mod store;
pub mod tls;
pub mod transport;
pub mod trunk;
