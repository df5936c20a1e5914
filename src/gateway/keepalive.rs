//! The questions by OPTIONS to trunks and targets (RFC 3261 §11): one task for each that has a `keepalive`. Apart from
//! the judgement, which is `trunk::health`, and from the wire, which is a shard's.

use super::router::ShardHandle;
use crate::call::{Answer, Policy, retry_after};
use crate::clock::{self, Entropy};
use crate::config::keepalive::Keepalive;
use crate::observe::Metrics;
use crate::observe::metrics::Reach;
use crate::sip::endpoint::{OwnContact, Standalone};
use crate::sip::{Hop, Method};
use crate::trunk::health::{Health, Sign, Standing, Witness};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The first questions go out within this time, so that a restart does not ask everybody at once.
const SPREAD: Duration = Duration::from_secs(2);

/// What one of them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Trunk,
    Target,
}

/// Somebody who is asked.
struct Asked {
    kind: Kind,
    name: String,
    keepalive: Keepalive,
    health: Arc<Health>,
    hop: Hop,
    advertised: Option<String>,
    uri: String,
}

/// Starts the tasks, the askers taking turns among the shards.
pub(super) fn spawn(
    policy: &Policy,
    from_host: &str,
    shards: &[ShardHandle],
    metrics: &Metrics,
) -> Vec<JoinHandle<()>> {
    let mut entropy = Entropy::from_system();
    let everybody = asked(policy);
    everybody
        .into_iter()
        .zip(shards.iter().cycle())
        .map(|(asked, shard)| {
            let from = format!("<sip:{from_host}>");
            tokio::spawn(ask_forever(asked, from, shard.clone(), metrics.clone(), entropy.fork()))
        })
        .collect()
}

fn asked(policy: &Policy) -> Vec<Asked> {
    let targets = policy.routes.targets().iter().filter_map(|target| {
        Some(Asked {
            kind: Kind::Target,
            name: target.name.clone(),
            keepalive: target.keepalive?,
            health: Arc::clone(&target.health),
            hop: target.hop.clone(),
            advertised: target.path.advertised.clone(),
            uri: without_user(&target.request_uri),
        })
    });
    let trunks = policy.trunks.all().iter().filter_map(|trunk| {
        let address = trunk.address.as_ref()?;
        Some(Asked {
            kind: Kind::Trunk,
            name: trunk.config.name.clone(),
            keepalive: trunk.config.keepalive?,
            health: Arc::clone(&trunk.health),
            hop: address.hop.clone(),
            advertised: trunk.config.path().advertised,
            uri: address.uri(),
        })
    });
    targets.chain(trunks).collect()
}

async fn ask_forever(asked: Asked, from: String, shard: ShardHandle, metrics: Metrics, mut entropy: Entropy) {
    let first = asked.keepalive.interval.get().min(SPREAD);
    clock::sleep(within(first, &mut entropy)).await;
    loop {
        // Whoever does not answer in `timeout` is silent; what the transaction does until Timer F is its own business.
        let answer = tokio::time::timeout(asked.keepalive.timeout.get(), shard.ask(asked.question(&from))).await;
        let sign = match answer {
            Ok(Some(answer)) => sign_of(&answer),
            Ok(None) => return, // the shard is gone, and so are we soon
            Err(_) => Sign::Silent,
        };
        asked.note(&metrics, sign);
        let wait = asked.health.next_probe(clock::now(), &asked.keepalive);
        // Nine tenths to eleven, so that many gateways do not ask in step.
        clock::sleep(wait.mul_f64(0.9) + within(wait.mul_f64(0.2), &mut entropy)).await;
    }
}

fn sign_of(answer: &Answer) -> Sign {
    match (&answer.response, answer.status.get()) {
        (Some(response), status) => Sign::of_status(Witness::Probe, status, retry_after(response)),
        (None, 408) => Sign::Silent,
        (None, _) => Sign::Unreachable,
    }
}

/// A part of a time, by chance.
fn within(time: Duration, entropy: &mut Entropy) -> Duration {
    Duration::from_micros(entropy.below(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
}

/// A SIP URI without its user part: it is the machine that is asked, not the extension.
fn without_user(uri: &str) -> String {
    match uri.split_once(':').zip(uri.rsplit_once('@')) {
        Some(((scheme, _), (_, host))) => format!("{scheme}:{host}"),
        None => uri.to_owned(),
    }
}

// === impl Asked ===

impl Asked {
    fn question(&self, from: &str) -> Standalone {
        Standalone {
            method: Method::Options,
            request_uri: self.uri.clone(),
            hop: self.hop.clone(),
            advertised: self.advertised.clone(),
            from: from.to_owned(),
            to: format!("<{}>", self.uri),
            call_id: None,
            number: 1,
            contact: Some(OwnContact::default()),
            max_forwards: None,
            headers: vec![(Cow::Borrowed("Accept"), "application/sdp".to_owned())],
            body: None,
        }
    }

    fn note(&self, metrics: &Metrics, sign: Sign) {
        let Some(standing) = self.health.note(clock::now(), Witness::Probe, sign) else { return };
        let (name, trouble) = (&self.name, sign.text());
        let (reach, remedy) = (if standing == Standing::Up { Reach::Up } else { Reach::Down }, sign.remedy());
        match (self.kind, reach) {
            (Kind::Target, Reach::Up) => tracing::info!(target_name = %name, "a target is up"),
            (Kind::Trunk, Reach::Up) => tracing::info!(trunk = %name, "a trunk is up"),
            (Kind::Target, Reach::Down) => tracing::warn!(target_name = %name, ?trouble, remedy, "a target is down"),
            (Kind::Trunk, Reach::Down) => tracing::warn!(trunk = %name, ?trouble, remedy, "a trunk is down"),
        }
        match self.kind {
            Kind::Target => metrics.target_reach(name, reach),
            Kind::Trunk => metrics.trunk_reach(name, reach),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::without_user;

    #[test]
    fn the_machine_is_asked_and_not_the_extension() {
        assert_eq!(
            without_user("sip:bot@sip.example.com:5070;transport=tcp"),
            "sip:sip.example.com:5070;transport=tcp"
        );
        assert_eq!(without_user("sip:a%40b@[2001:db8::1]"), "sip:[2001:db8::1]");
        assert_eq!(without_user("sip:sip.example.com"), "sip:sip.example.com");
    }
}
