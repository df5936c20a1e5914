//! Each row of the diagrams of RFC 3261 §17 and RFC 6026, with the default values of Table 4.

use super::*;
use std::time::Duration;

mod client;
mod client_invite;
mod key;
mod server;
mod server_invite;

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn defaults() -> Timers {
    Timers::default()
}
