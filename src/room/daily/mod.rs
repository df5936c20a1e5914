//! Everything that is peculiar to Daily: its signatures, its webhooks, its REST interface. Another cloud would get a
//! module beside this one and leave the state machine alone.

pub mod client;
pub mod provision;
pub mod rest;
pub mod verify;
pub mod webhook;
