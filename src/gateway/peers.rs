//! What the admin pages about trunks, targets and bans show, and why the gateway as a whole takes no calls. It reads what
//! the decisions about calls read, so that the pages and the answers to OPTIONS cannot disagree.

use super::Shared;
use crate::call::obstacle_of_targets;
use crate::clock;
use crate::config::keepalive::Keepalive;
use crate::error::Cause;
use crate::http::admin::Reason;
use crate::http::peers::{
    BanStatus, ContactStatus, HealthStatus, Peers, RegistrationStatus, TargetStatus, Trouble, TrunkStatus,
};
use crate::record::moment::rfc3339;
use crate::route::Standing;
use crate::trunk::binding::Binding;
use crate::trunk::health::Health;
use ipnet::IpNet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

impl Shared {
    /// Why no call can be taken, whoever sends it.
    pub(super) fn obstacles(&self) -> Vec<Reason> {
        let gone = self.shards.iter().position(super::ShardHandle::is_gone).map(|number| Reason {
            text: format!("shard {number} has ended"),
            remedy: "see the log and restart",
            ..Reason::of(Cause::Internal)
        });
        let policy = &self.policy;
        let trunks = policy.trunks.all();
        let full = !trunks.is_empty() && trunks.iter().all(|trunk| trunk.admission.is_full());
        let ports = self.metrics.load().media_ports;
        let room = u64::try_from(policy.config.media.ports.calls()).unwrap_or(u64::MAX).saturating_mul(4);
        let causes = [
            obstacle_of_targets(policy.routes.targets().iter()),
            full.then_some(Cause::TrunkFull),
            (ports >= room).then_some(Cause::NoMediaPort),
        ];
        gone.into_iter().chain(causes.into_iter().flatten().map(Reason::of)).collect()
    }
}

impl Peers for Shared {
    fn trunks(&self) -> Vec<TrunkStatus> {
        let clocks = Clocks::read();
        let trunks = self.policy.trunks.all().iter();
        trunks
            .map(|trunk| TrunkStatus {
                name: trunk.config.name.clone(),
                peers: trunk.config.peers.iter().map(ToString::to_string).collect(),
                address: trunk.config.address.clone(),
                calls: trunk.admission.open(),
                max_calls: trunk.config.max_calls,
                contacts: clocks.contacts(&self.policy.registrar.contacts_of(clocks.now, &trunk.config.name)),
                health: clocks.health(&trunk.health, trunk.config.keepalive),
            })
            .collect()
    }

    fn targets(&self) -> Vec<TargetStatus> {
        let clocks = Clocks::read();
        let configured = &self.policy.config.targets;
        let targets = self.policy.routes.targets().iter();
        targets
            .map(|target| TargetStatus {
                name: target.name.clone(),
                uri: target.request_uri.clone(),
                calls: target.admission.open(),
                max_calls: configured.iter().find(|own| own.name == target.name).and_then(|own| own.max_calls),
                registration: self.policy.standings.of(&target.name).map(|standing| clocks.registration(standing)),
                health: clocks.health(&target.health, target.keepalive),
            })
            .collect()
    }

    fn bans(&self) -> Vec<BanStatus> {
        let clocks = Clocks::read();
        let bans = self.policy.guard.bans(clocks.now).into_iter();
        bans.map(|ban| BanStatus {
            source: crate::config::value::Network(ban.source).to_string(),
            reason: ban.reason,
            until: rfc3339(clocks.wall + ban.left),
        })
        .collect()
    }

    fn ban(&self, source: IpNet, time: Option<Duration>) -> Result<(), String> {
        self.policy.guard.ban(clock::now(), source, time).map_err(|error| error.to_string())
    }

    fn unban(&self, source: IpNet) -> bool {
        self.policy.guard.unban(clock::now(), source)
    }
}

/// The same moment on both clocks.
struct Clocks {
    now: Instant,
    wall: SystemTime,
}

// === impl Clocks ===

impl Clocks {
    fn read() -> Self {
        Self { now: clock::now(), wall: clock::wall() }
    }

    /// A moment of the monotonic clock, in words.
    fn tell(&self, at: Instant) -> String {
        let past = self.now.saturating_duration_since(at);
        let ahead = at.saturating_duration_since(self.now);
        rfc3339(self.wall.checked_sub(past).unwrap_or(self.wall) + ahead)
    }

    fn contacts(&self, bindings: &[Arc<Binding>]) -> Vec<ContactStatus> {
        let shown = |binding: &Arc<Binding>| ContactStatus {
            uri: binding.uri.clone(),
            source: binding.source.peer.to_string(),
            until: self.tell(binding.until),
        };
        bindings.iter().map(shown).collect()
    }

    fn registration(&self, standing: Standing) -> RegistrationStatus {
        RegistrationStatus { until: standing.until.map(|until| self.tell(until)), failure: standing.failure }
    }

    fn health(&self, health: &Health, keepalive: Option<Keepalive>) -> HealthStatus {
        let report = health.report();
        let trouble = |(sign, at): (crate::trunk::health::Sign, Instant)| {
            Some(Trouble { at: self.tell(at), text: sign.text()?, remedy: sign.remedy() })
        };
        HealthStatus {
            state: report.standing,
            since: report.since.map(|at| self.tell(at)),
            heard: report.heard.map(|at| self.tell(at)),
            last_error: report.trouble.and_then(trouble),
            rests_until: report.rests_until.map(|at| self.tell(at)),
            keepalive,
        }
    }
}
