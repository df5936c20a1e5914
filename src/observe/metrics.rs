//! The metrics, by the names that dashboards rely on. One registry behind typed methods, so that a label can only hold
//! a configured name or a word of this program, never a number, a Call-ID or an address.

mod certificates;
mod shards;
mod words;

pub use shards::{Load, ShardGauges};
pub use words::{CallResult, Direction, Leg, MessageKind, Reach, Registered};

use crate::record::CallRecord;
use certificates::Certificates;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The label of a call that matched no trunk or reached no target.
pub const NONE: &str = "none";

/// The label of a call that was sent to the fallback of its route.
pub const FALLBACK: &str = "fallback";

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the setup and stage histograms, in seconds: a gateway's own share is milliseconds, a bot's cold start
/// tens of seconds.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0];

/// The registry and its typed entrances. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    shards: shards::Shards,
    calls_started: Family<PairLabels, Counter>,
    calls: Family<CallLabels, Counter>,
    setup: Histogram,
    stages: Family<StageLabels, Histogram, fn() -> Histogram>,
    webhooks: Family<WebhookLabels, Counter>,
    bot_starts: Family<ResultLabels, Counter>,
    leases: Family<StateLabels, Gauge>,
    rest_queue: Family<RankLabels, Gauge>,
    rest_waits: Family<RankLabels, Histogram, fn() -> Histogram>,
    rest_unsent: Family<ReasonLabels, Counter>,
    refused: Family<ReasonLabels, Counter>,
    dropped: Counter,
    target_up: Family<TargetLabels, Gauge>,
    handshakes: Family<HandshakeLabels, Counter>,
    certificates: Certificates,
    trunk_up: Family<TrunkLabels, Gauge>,
    auth_attempts: Family<TrunkResultLabels, Counter>,
    trunk_registrations: Family<TrunkResultLabels, Counter>,
    trunk_contacts: Family<TrunkLabels, Gauge>,
    registrations: Family<TargetResultLabels, Counter>,
    registered: Family<TargetLabels, Gauge>,
    /// By leg, then direction: the paths per packet and per message reach a counter by index, without hash or lock.
    rtp: [[Counter; 2]; 2],
    /// By direction, then kind.
    sip: [[Counter; MessageKind::COUNT]; 2],
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    trunk: String,
    target: String,
    result: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PairLabels {
    trunk: String,
    target: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabels {
    target: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    direction: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TrunkLabels {
    trunk: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TrunkResultLabels {
    trunk: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetResultLabels {
    target: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RankLabels {
    rank: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    source: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    direction: &'static str,
    message: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RtpLabels {
    leg: &'static str,
    direction: &'static str,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A fresh registry, everything at zero.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner::new()))
    }

    /// The gauges of a new shard. Dropping them takes the shard out of the sums.
    #[must_use]
    pub fn shard(&self) -> Arc<ShardGauges> {
        self.0.shards.join()
    }

    /// The sum over all shards.
    #[must_use]
    pub fn load(&self) -> Load {
        self.0.shards.sum()
    }

    /// An INVITE to `target` was sent for a call of `trunk`: configured names.
    pub fn call_started(&self, trunk: &str, target: &str) {
        let labels = PairLabels { trunk: trunk.to_owned(), target: target.to_owned() };
        self.0.calls_started.get_or_create(&labels).inc();
    }

    /// A call is over. `trunk` and `target` are configured names or [`NONE`], `reason` is a code of the catalogue.
    pub fn call_ended(&self, trunk: &str, target: &str, result: CallResult, reason: &'static str) {
        let labels = CallLabels { trunk: trunk.to_owned(), target: target.to_owned(), result: result.as_str(), reason };
        self.0.calls.get_or_create(&labels).inc();
    }

    /// Counts a finished call from its record: [`Metrics::call_ended`], and if it was answered
    /// [`Metrics::setup_seconds`].
    pub fn call_finished(&self, record: &CallRecord) {
        let reason = record.termination.as_ref().map_or(NONE, |end| end.cause.entry().code);
        let trunk = record.trunk.as_deref().unwrap_or(NONE);
        // Who answered for the target, or did not, is not the target.
        let target = match (&record.fallback, &record.target) {
            (Some(_), _) => FALLBACK,
            (None, Some(target)) => target,
            (None, None) => NONE,
        };
        self.call_ended(trunk, target, CallResult::of(record), reason);
        if let Some(milliseconds) = record.answered_ms {
            self.setup_seconds(Duration::from_millis(milliseconds));
        }
    }

    /// From the INVITE to our 200 towards the caller.
    pub fn setup_seconds(&self, duration: Duration) {
        self.0.setup.observe(duration.as_secs_f64());
    }

    /// One stage of the companion: `webhook`, `room`, `token`, `bot`, `ready`, `update`, or `hold` for the whole.
    pub fn stage_seconds(&self, stage: &'static str, duration: Duration) {
        self.0.stages.get_or_create(&StageLabels { stage }).observe(duration.as_secs_f64());
    }

    /// `packets` more RTP packets came from, or went to, the peer of a leg.
    pub fn rtp_packets(&self, leg: Leg, direction: Direction, packets: u64) {
        if let Some(counter) = self.0.rtp.get(leg as usize).and_then(|leg| leg.get(direction as usize)) {
            counter.inc_by(packets);
        }
    }

    /// A webhook came by the endpoint `source` (`dialin`, `events`, `ready`, `connected`) and this became of it (`accepted` ...).
    pub fn webhook_request(&self, source: &'static str, result: &'static str) {
        self.0.webhooks.get_or_create(&WebhookLabels { source, result }).inc();
    }

    /// A bot's start ended so: `started`, `ready`, `at_capacity`, `failed`.
    pub fn bot_start(&self, result: &'static str) {
        self.0.bot_starts.get_or_create(&ResultLabels { result }).inc();
    }

    /// So many SIP addresses of existing rooms are lent to calls, and so many calls wait for one.
    pub fn room_leases(&self, lent: usize, waiting: usize) {
        for (state, count) in [("lent", lent), ("waiting", waiting)] {
            self.0.leases.get_or_create(&StateLabels { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// So many REST requests of a rank (`update`, `creation`) wait for their turn.
    pub fn rest_queue(&self, rank: &'static str, waiting: usize) {
        self.0.rest_queue.get_or_create(&RankLabels { rank }).set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// A REST request of a rank left after this wait.
    pub fn rest_wait_seconds(&self, rank: &'static str, waited: Duration) {
        self.0.rest_waits.get_or_create(&RankLabels { rank }).observe(waited.as_secs_f64());
    }

    /// A REST request was not sent: `withdrawn` or `no_time`.
    pub fn rest_unsent(&self, reason: &'static str) {
        self.0.rest_unsent.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// A call was refused at the door, before a target was called: a code of the catalogue (`trunk_full`, `no_route` ...).
    pub fn admission_refused(&self, reason: &'static str) {
        self.0.refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// These bytes were received or sent as a SIP message; keep-alives count for nothing.
    pub fn sip_message(&self, direction: Direction, message: &[u8]) {
        let kinds = self.0.sip.get(direction as usize);
        if let (Some(kinds), Some(kind)) = (kinds, MessageKind::of(message))
            && let Some(counter) = kinds.get(kind.index())
        {
            counter.inc();
        }
    }

    /// A datagram was dropped because its shard had too many to do already.
    pub fn sip_dropped(&self) {
        self.0.dropped.inc();
    }

    /// A target is up, or down, from now on. One of which nothing is known has no sample.
    pub fn target_reach(&self, target: &str, reach: Reach) {
        self.0.target_up.get_or_create(&TargetLabels { target: target.to_owned() }).set(reach.gauge());
    }

    /// A TLS handshake of SIP is over: `ok`, or a word for why not.
    pub fn tls_handshake(&self, direction: Direction, result: &'static str) {
        self.0.handshakes.get_or_create(&HandshakeLabels { direction: direction.as_str(), result }).inc();
    }

    /// The certificate for this use (`sip`, `http`) ends then.
    pub fn certificate_ends(&self, purpose: &'static str, end: SystemTime) {
        self.0.certificates.set(purpose, end);
    }

    /// The same of a trunk.
    pub fn trunk_reach(&self, trunk: &str, reach: Reach) {
        self.0.trunk_up.get_or_create(&TrunkLabels { trunk: trunk.to_owned() }).set(reach.gauge());
    }

    /// A request had to be proven, and this came of it: `accepted`, or why not. `trunk` is [`NONE`] while nobody knows.
    pub fn auth_attempt(&self, trunk: &str, result: &'static str) {
        self.0.auth_attempts.get_or_create(&TrunkResultLabels { trunk: trunk.to_owned(), result }).inc();
    }

    /// A trunk's REGISTER got this status, and the trunk has so many contacts now.
    pub fn trunk_registration(&self, trunk: &str, status: u16, contacts: usize) {
        let result = words::of_status(status);
        self.0.trunk_registrations.get_or_create(&TrunkResultLabels { trunk: trunk.to_owned(), result }).inc();
        self.trunk_contacts(trunk, contacts);
    }

    /// A trunk has so many contacts now.
    pub fn trunk_contacts(&self, trunk: &str, contacts: usize) {
        let contacts = i64::try_from(contacts).unwrap_or(i64::MAX);
        self.0.trunk_contacts.get_or_create(&TrunkLabels { trunk: trunk.to_owned() }).set(contacts);
    }

    /// Our REGISTER at a target got this status.
    pub fn registration(&self, target: &str, status: u16) {
        let labels = TargetResultLabels { target: target.to_owned(), result: words::of_status(status) };
        self.0.registrations.get_or_create(&labels).inc();
    }

    /// Whether we are registered at a target now.
    pub fn registered(&self, target: &str, standing: Registered) {
        let gauge = i64::from(standing == Registered::Yes);
        self.0.registered.get_or_create(&TargetLabels { target: target.to_owned() }).set(gauge);
    }

    /// The page that Prometheus scrapes, as [`CONTENT_TYPE`].
    #[must_use]
    pub fn encode(&self) -> String {
        let mut page = String::with_capacity(16 * 1024);
        // Writing to a String cannot fail; if it did, the page without `# EOF` would be refused by the scraper.
        if prometheus_client::encoding::text::encode(&mut page, &self.0.registry).is_err() {
            page.clear();
        }
        page
    }
}

// === impl Inner ===

impl Inner {
    fn new() -> Self {
        let mut registry = Registry::with_prefix("trunkline");
        let rtp = Family::<RtpLabels, Counter>::default();
        let sip = Family::<MessageLabels, Counter>::default();
        let rtp_cells = Leg::ALL.map(|leg| {
            Direction::ALL.map(|direction| {
                rtp.get_or_create_owned(&RtpLabels { leg: leg.as_str(), direction: direction.as_str() })
            })
        });
        let sip_cells = Direction::ALL.map(|direction| {
            let mut kinds = MessageKind::all();
            std::array::from_fn(|_| {
                let message = kinds.next().map_or("other", MessageKind::as_str);
                sip.get_or_create_owned(&MessageLabels { direction: direction.as_str(), message })
            })
        });
        registry.register("rtp_packets", "RTP packets from and to the peers", rtp);
        registry.register("sip_messages", "SIP messages, by method or class of status", sip);
        let inner = Self {
            registry: Registry::default(),
            shards: shards::Shards::default(),
            calls_started: Family::default(),
            calls: Family::default(),
            setup: seconds(),
            stages: Family::new_with_constructor(seconds as fn() -> Histogram),
            webhooks: Family::default(),
            bot_starts: Family::default(),
            leases: Family::default(),
            rest_queue: Family::default(),
            rest_waits: Family::new_with_constructor(seconds as fn() -> Histogram),
            rest_unsent: Family::default(),
            refused: Family::default(),
            dropped: Counter::default(),
            target_up: Family::default(),
            handshakes: Family::default(),
            certificates: Certificates::default(),
            trunk_up: Family::default(),
            auth_attempts: Family::default(),
            trunk_registrations: Family::default(),
            trunk_contacts: Family::default(),
            registrations: Family::default(),
            registered: Family::default(),
            rtp: rtp_cells,
            sip: sip_cells,
        };
        inner.register(&mut registry);
        Self { registry, ..inner }
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("build", "This program", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("calls_started", "INVITEs sent to targets", self.calls_started.clone());
        registry.register("calls", "Finished calls, by how and why they ended", self.calls.clone());
        registry.register("setup_seconds", "From the caller's INVITE to our 200", self.setup.clone());
        registry.register("stage_seconds", "Stages of bringing a held call to its bot", self.stages.clone());
        registry.register("webhook_requests", "Webhooks, by what became of them", self.webhooks.clone());
        registry.register("bot_starts", "Starts of bots, by what became of them", self.bot_starts.clone());
        registry.register("room_leases", "SIP addresses of existing rooms, lent or waited for", self.leases.clone());
        registry.register("rest_queue", "REST requests to Daily that wait for their turn", self.rest_queue.clone());
        registry.register("rest_wait_seconds", "How long they waited for it", self.rest_waits.clone());
        registry.register("rest_unsent", "REST requests that were given up unsent", self.rest_unsent.clone());
        registry.register("admission_refused", "Calls refused at the door, by reason", self.refused.clone());
        registry.register("sip_dropped", "SIP datagrams dropped for overload", self.dropped.clone());
        registry.register("target_up", "Whether the target is up, by OPTIONS and calls", self.target_up.clone());
        registry.register("trunk_up", "Whether the trunk is up, by OPTIONS and calls", self.trunk_up.clone());
        registry.register("tls_handshakes", "TLS handshakes of SIP, by what became of them", self.handshakes.clone());
        registry.register_collector(Box::new(self.certificates.clone()));
        registry.register("auth_attempts", "Requests that had to be proven, by result", self.auth_attempts.clone());
        let trunk_registrations = self.trunk_registrations.clone();
        registry.register("trunk_registrations", "REGISTER requests of trunks, by answer", trunk_registrations);
        registry.register("trunk_contacts", "Contacts that a trunk has registered", self.trunk_contacts.clone());
        registry.register("registrations", "Our REGISTER requests at targets, by answer", self.registrations.clone());
        registry.register("registered", "Whether we are registered at the target", self.registered.clone());
        registry.register_collector(Box::new(self.shards.clone()));
    }
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
