//! Sockets: datagrams and streams in and out, names to addresses. Whole messages pass here and nothing is understood.

pub mod local;
pub mod resolve;
pub mod tcp;
pub mod udp;
