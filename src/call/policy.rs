//! Everything a call is decided by: the configuration and what was compiled from it, immutable once made. A reload
//! makes a new one; calls keep the one they started with.

use crate::config::Config;
use crate::guard::Guard;
use crate::{route, trunk};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A snapshot.
#[derive(Debug)]
pub struct Policy {
    /// The file, checked.
    pub config: Config,
    /// Trunks by source address.
    pub trunks: trunk::Table,
    /// Routes and their targets.
    pub routes: route::Table,
    /// Where trunks that register are. It outlives a snapshot: a reload takes it along.
    pub registrar: Arc<trunk::Registrar>,
    /// How our registrations at targets stand; taken along too.
    pub standings: Arc<route::Standings>,
    /// What strangers may do.
    pub guard: Guard,
    /// Header names (lower case) of the PBX's INVITE that room plans match on.
    pub room_headers: Vec<String>,
}

// === impl Policy ===

impl Policy {
    /// Compiles a checked configuration; `resolved` holds the addresses of trunk peers given by name.
    ///
    /// # Errors
    /// What the checks of the configuration should have found: a template or address that does not compile.
    pub fn new(config: Config, resolved: &HashMap<String, Vec<IpAddr>>) -> Result<Self, route::TargetError> {
        let trunks = trunk::Table::new(&config, resolved);
        let routes = route::Table::new(&config)?;
        let guard = Guard::new(&config.guard, &trunks.peers());
        let mut room_headers: Vec<String> = config
            .rooms
            .iter()
            .filter_map(|plan| plan.header.as_ref())
            .map(|header| header.name.to_ascii_lowercase())
            .collect();
        room_headers.sort();
        room_headers.dedup();
        let (registrar, standings) = Default::default();
        Ok(Self { config, trunks, routes, registrar, standings, guard, room_headers })
    }
}
