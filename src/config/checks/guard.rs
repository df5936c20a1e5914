//! `[guard]`, and the `keepalive` of both ends.

use super::Check;
use crate::config::document::Place;
use crate::config::keepalive::Keepalive;
use crate::config::value::{Peer, Span};

/// More often than this a healthy peer is bothered, and a sick one not found sooner.
const OFTEN: Span = Span::from_secs(5);

// === impl Check ===

impl Check<'_> {
    pub(super) fn guard(&mut self) {
        let (config, guard) = (self.config, &self.config.guard);
        let place = self.top().key("guard");
        for (key, span) in [("ban_window", guard.ban_window), ("ban_time", guard.ban_time)] {
            self.positive(&place.key(key), key, span);
        }
        if guard.connections == 0 {
            let message = "`connections` of 0 lets no stranger connect, nor a target that calls back";
            self.doubtful(&place.key("connections"), message, "write at least 1");
        }
        for (position, network) in guard.deny.iter().enumerate() {
            let peers = config.trunks.iter().flat_map(|trunk| &trunk.peers);
            let nets = peers.filter_map(|peer| match peer {
                Peer::Net(net) => Some(net),
                Peer::Name(_) => None,
            });
            for net in nets.filter(|net| network.0.contains(*net) || net.contains(&network.0)) {
                let message =
                    format!("`deny` has {network}, but {} is a peer of a trunk and stays welcome", Peer::Net(*net));
                self.doubtful(&place.key("deny").index(position), message, "take it out of one of them");
            }
        }
        for (position, signature) in guard.scanners.iter().enumerate() {
            if signature.trim().len() < 3 {
                let message = format!("`{signature}` in `scanners` is part of many names");
                let remedy = "write at least three characters of the scanner's own name";
                self.wrong(&place.key("scanners").index(position), message, remedy);
            }
        }
    }

    pub(super) fn keepalive(&mut self, place: &Place<'_>, keepalive: Option<&Keepalive>) {
        let Some(keepalive) = keepalive else { return };
        for (key, span) in [("interval", keepalive.interval), ("timeout", keepalive.timeout)] {
            self.positive(&place.key(key), key, span);
        }
        for (key, count) in [("down_after", keepalive.down_after), ("up_after", keepalive.up_after)] {
            if count == 0 {
                self.wrong(&place.key(key), format!("`{key}` is zero"), "write how many in a row it takes, at least 1");
            }
        }
        if keepalive.interval < OFTEN {
            let message = format!("`keepalive` asks every {}", keepalive.interval);
            self.doubtful(place, message, "30s is usual; most PBXs ask each other once a minute");
        }
    }
}
