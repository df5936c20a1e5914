//! Starting: sockets first (they are what fails), then the parts from the inside out. Nothing runs until everything
//! is bound, so that a start that fails leaves nothing behind.

use super::registrations::{self, Registrations};
use super::router::{self, Control, Router, ShardInbox};
use super::secure::Certificates;
use super::shard_thread::{self, Surroundings};
use super::{Addresses, Gateway, Shared, keepalive};
use crate::call::desk::shard_of_owner;
use crate::call::{Policy, Shard, ShardSettings};
use crate::clock::{self, Entropy};
use crate::config::Config;
use crate::config::value::{Listen, ListenProtocol};
use crate::explain::Stage;
use crate::guard::Caller;
use crate::http::webhook::{self, Webhooks};
use crate::http::{access::Access, admin, serve};
use crate::media::MediaEvent;
use crate::media::plane::SocketPlane;
use crate::media::worker::{Worker, WorkerHandle};
use crate::observe::Metrics;
use crate::observe::metrics::Direction;
use crate::room::daily::verify::{SecretError, Verifier};
use crate::room::{self, CompanionHandle};
use crate::route::registration;
use crate::sip::endpoint::Settings;
use crate::sip::endpoint::aim::Reach;
use crate::sip::{LocalAddress, Message, Protocol};
use crate::store::Recent;
use crate::tls::Server;
use crate::transport::resolve::{Abilities, NameServer, Resolver, dns};
use crate::transport::tcp::{self, Hub, HubHandle, TcpInput};
use crate::transport::{local, udp};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Shards at most: their number is two hexadecimal digits of every call's name.
const MOST_SHARDS: usize = 64;

/// How long the body of a webhook may take to arrive.
const WEBHOOK_PATIENCE: Duration = Duration::from_secs(5);

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener cannot be bound.
    #[error("cannot listen on {what} {address}: {error}; is another program there, or is the port not permitted?")]
    Listen {
        /// `udp`, `tcp`, `[http]` or `[admin]`.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's word.
        error: std::io::Error,
    },
    /// `[media] advertise` is no address and cannot be resolved.
    #[error("[media] advertise `{0}` is no address and does not resolve: write the address that peers send audio to")]
    MediaAddress(String),
    /// A thread or the media plane cannot be started.
    #[error("cannot start {what}: {error}")]
    Thread {
        /// Which.
        what: &'static str,
        /// The system's word.
        error: std::io::Error,
    },
    /// A certificate, a key or an authority that cannot be used.
    #[error("TLS: {0}")]
    Certificate(#[from] crate::tls::LoadError),
    /// The name servers cannot be used.
    #[error("cannot ask name servers: {0}; look at /etc/resolv.conf, or name some with `resolver` of [sip]")]
    NameServers(String),
    /// The routes do not compile.
    #[error(transparent)]
    Route(#[from] crate::route::TargetError),
    /// The HTTP client of the companion cannot be built.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
    /// The secrets of `[daily]` cannot be used.
    #[error("[daily]: {0}")]
    Secret(String),
}

/// Everything that is bound before anything runs.
struct Bound {
    /// Per shard.
    udp: Vec<Vec<std::net::UdpSocket>>,
    streams: Vec<tcp::Listener>,
    http: TcpListener,
    admin: TcpListener,
    addresses: Addresses,
}

/// The parts that shards are started with.
struct Parts {
    policy: Arc<Policy>,
    locals: Vec<LocalAddress>,
    media_address: IpAddr,
    router: Router,
    tcp: HubHandle,
    resolver: Arc<Resolver>,
    companion: Option<CompanionHandle>,
    recent: Arc<Recent>,
    metrics: Metrics,
    count: usize,
}

impl Gateway {
    /// Starts everything that the configuration asks for, within the current tokio runtime.
    ///
    /// # Errors
    /// A listener that cannot be bound, or a name that does not resolve; nothing stays behind.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if let Err(error) = crate::media::plane::raise_file_limit() {
            tracing::warn!(%error, "cannot raise the limit of open files: it bounds the number of calls");
        }
        let count = shard_count(&config);
        let certificates = Certificates::load(&config)?;
        let bound = bind(&config, count).await?;
        let resolver = Arc::new(resolver(&config, &bound.addresses)?);
        let policy = Arc::new(Policy::new(config.clone(), &resolve_peers(&config, &resolver).await)?);
        let media_address = media_address(&config, &bound.addresses, &resolver).await?;
        let (handles, inboxes): (Vec<_>, Vec<_>) = (0..count).map(|_| router::channels()).unzip();
        let metrics = Metrics::new();
        let router = Router::new(handles.clone(), metrics.clone());
        let recent = Arc::new(Recent::new(Recent::STANDARD));
        let companion = start_companion(&config, &bound.addresses, &router, &metrics)?;
        certificates.publish(&metrics);
        let tcp = start_streams(bound.streams, certificates.security(), &router, (&policy, &metrics));
        let parts = Parts {
            locals: locals(&config, &bound.addresses),
            policy,
            media_address,
            router,
            tcp: tcp.clone(),
            resolver,
            companion: companion.as_ref().map(|(handle, _)| handle.clone()),
            recent: recent.clone(),
            metrics: metrics.clone(),
            count,
        };
        let draining = watch::Sender::new(false);
        let (shard, sip) = shard_settings(&config, &parts.locals, media_address, 0);
        let stage = Arc::new(Stage { resolved: parts.policy.trunks.resolved(), config: config.clone(), shard, sip });
        let policy = parts.policy.clone();
        let metrics = metrics.clone();
        let shared = Arc::new(Shared { shards: handles, recent, metrics, policy, draining, stage });
        let (threads, tasks) = (Vec::new(), Vec::new());
        let (addresses, registrations) = (bound.addresses, Registrations::default());
        let config = Arc::new(config);
        let tcp = Some(tcp);
        let mut gateway =
            Self { addresses, shared, threads, tasks, tcp, companion, config, certificates, registrations };
        // From here on there is something that a failure has to end.
        match gateway.run(&parts, bound.udp, inboxes, [bound.http, bound.admin]) {
            Ok(()) => Ok(gateway),
            Err(problem) => {
                gateway.stop().await;
                Err(problem)
            }
        }
    }

    /// Starts threads and listeners; what was started before a failure is in the gateway.
    fn run(
        &mut self,
        parts: &Parts,
        udp: Vec<Vec<std::net::UdpSocket>>,
        inboxes: Vec<ShardInbox>,
        [http, admin]: [TcpListener; 2],
    ) -> Result<(), StartError> {
        let (config, metrics) = (&parts.policy.config, &parts.metrics);
        start_shards(parts, udp, inboxes, &mut self.threads)?;
        let webhooks = webhook_router(config, parts.companion.as_ref(), metrics)?;
        let operations = admin::router(self.shared.clone(), metrics.clone(), Access::new(&config.admin));
        self.tasks = keepalive::spawn(&parts.policy, &from_host(&parts.locals), &self.shared.shards, metrics);
        self.tasks.push(serve(admin, None, operations));
        self.tasks.push(serve(http, self.certificates.http(), webhooks));
        self.begin_registrations(parts);
        Ok(())
    }

    fn begin_registrations(&mut self, parts: &Parts) {
        let Policy { config, routes, registrar, standings, .. } = &*parts.policy;
        let own: Vec<String> = parts.locals.iter().map(|local| local.advertised.clone()).collect();
        for (position, target) in config.targets.iter().enumerate() {
            let number = position % self.shared.shards.len().max(1);
            let plan = target.register.as_ref().zip(routes.target(&target.name)).and_then(|(register, target)| {
                registration::Plan::new(target, register, own.clone(), format!("tl{number:02x}-"))
            });
            let (Some(plan), Some(shard)) = (plan, self.shared.shards.get(number)) else { continue };
            let around = registrations::Around {
                shard: shard.clone(),
                resolver: parts.resolver.clone(),
                standings: standings.clone(),
                metrics: parts.metrics.clone(),
                leave: self.shared.draining.subscribe(),
            };
            self.registrations.begin(plan, around);
        }
        if config.trunks.iter().any(|trunk| trunk.register) {
            self.registrations.sweep(registrar.clone(), parts.metrics.clone());
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn shard_count(config: &Config) -> usize {
    let wanted = match usize::from(config.sip.shards) {
        0 => cores(),
        count => count,
    };
    // A shard without ports would refuse every call that is hashed to it.
    wanted.min(MOST_SHARDS).min(config.media.ports.calls()).max(1)
}

async fn bind(config: &Config, count: usize) -> Result<Bound, StartError> {
    let mut sip = Vec::new();
    let mut per_shard: Vec<Vec<std::net::UdpSocket>> = (0..count).map(|_| Vec::new()).collect();
    let mut streams = Vec::new();
    for listen in &config.sip.listen {
        let mut address = listen.address;
        match listen.protocol {
            ListenProtocol::Udp => {
                let asked = address;
                let failed = |error| StartError::Listen { what: "udp", address: asked, error };
                udp::probe(address).map_err(failed)?;
                for sockets in &mut per_shard {
                    let socket = udp::bind(address).map_err(failed)?;
                    address = socket.local_addr().map_err(failed)?;
                    sockets.push(socket);
                }
                sip.push((Protocol::Udp, address));
            }
            ListenProtocol::Tcp | ListenProtocol::Tls => {
                let protocol = if listen.protocol == ListenProtocol::Tls { Protocol::Tls } else { Protocol::Tcp };
                let what = protocol.as_str();
                let socket = tcp::bind(address).map_err(|error| StartError::Listen { what, address, error })?;
                sip.push((protocol, local_of(what, address, &socket)?));
                streams.push(tcp::Listener { protocol, socket });
            }
        }
    }
    let http = listen_tcp("[http]", config.http.listen).await?;
    let admin = listen_tcp("[admin]", config.admin.listen).await?;
    let addresses = Addresses {
        sip,
        http: local_of("[http]", config.http.listen, &http)?,
        admin: local_of("[admin]", config.admin.listen, &admin)?,
    };
    Ok(Bound { udp: per_shard, streams, http, admin, addresses })
}

async fn listen_tcp(what: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { what, address, error })
}

fn local_of(what: &'static str, address: SocketAddr, listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|error| StartError::Listen { what, address, error })
}

fn resolver(config: &Config, bound: &Addresses) -> Result<Resolver, StartError> {
    let servers: Vec<NameServer> = config
        .sip
        .resolver
        .iter()
        .map(|server| match server.protocol {
            ListenProtocol::Udp => NameServer::Udp(server.address),
            ListenProtocol::Tcp | ListenProtocol::Tls => NameServer::Tcp(server.address),
        })
        .collect();
    let source = dns::source(&servers).map_err(StartError::NameServers)?;
    let abilities = Abilities::of(&bound.sip, config.sip.avoid_failed.get());
    Ok(Resolver::new(abilities, source, clock::now, Entropy::from_system()))
}

/// Addresses of the trunk peers that are given by name; a name that does not resolve matches nothing and is reported.
async fn resolve_peers(config: &Config, resolver: &Resolver) -> HashMap<String, Vec<IpAddr>> {
    let mut resolved = HashMap::new();
    for name in crate::trunk::Table::names(config) {
        match resolver.addresses(&name).await {
            Ok(addresses) => {
                resolved.insert(name, addresses);
            }
            Err(error) => tracing::warn!(%name, %error, "a trunk peer does not resolve: its calls will be refused"),
        }
    }
    resolved
}

/// The address written into SDP.
async fn media_address(config: &Config, bound: &Addresses, resolver: &Resolver) -> Result<IpAddr, StartError> {
    let Some(host) = config.media_host() else {
        let first = bound.sip.first().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |(_, address)| address.ip());
        return Ok(local::outward(first));
    };
    let host = local::host_of(&host).trim_matches(['[', ']']);
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    let resolved = resolver.addresses(host).await;
    let first = resolved.ok().and_then(|addresses| addresses.first().copied());
    first.ok_or_else(|| StartError::MediaAddress(host.to_owned()))
}

fn locals(config: &Config, bound: &Addresses) -> Vec<LocalAddress> {
    let listens = config.sip.listen.iter().zip(&bound.sip);
    listens
        .map(|(listen, (protocol, bind))| LocalAddress {
            protocol: *protocol,
            bind: *bind,
            advertised: local::advertised(*bind, config.sip_host(listen).as_deref()),
        })
        .collect()
}

/// The media workers of one shard: its part of the configured number, one at least.
fn start_workers(config: &Config, router: &Router, number: u8, count: usize) -> Result<Vec<WorkerHandle>, StartError> {
    let wanted = match usize::from(config.media.workers) {
        0 => cores(),
        wanted => wanted,
    };
    let number = usize::from(number);
    let share = (wanted * (number + 1) / count - wanted * number / count).max(1);
    let mut workers = Vec::with_capacity(share);
    for worker in 0..share {
        let router = router.clone();
        let on_event = Box::new(move |event: MediaEvent| {
            let (MediaEvent::FirstPacket { owner, .. } | MediaEvent::Silent { owner, .. }) = event;
            if let Some(shard) = router.shard(shard_of_owner(owner)) {
                shard.control(Control::Media(event));
            }
        });
        let worker = Worker::spawn(&format!("media-{number}-{worker}"), on_event)
            .map_err(|error| StartError::Thread { what: "a media worker", error })?;
        workers.push(worker);
    }
    Ok(workers)
}

fn start_companion(
    config: &Config,
    bound: &Addresses,
    router: &Router,
    metrics: &Metrics,
) -> Result<Option<(CompanionHandle, JoinHandle<()>)>, StartError> {
    let Some(settings) = room::Settings::new(config, bound.http) else { return Ok(None) };
    let router = router.clone();
    let sink: room::Sink = Arc::new(move |call_id, instruction| {
        if let Some(shard) = router.shard(call_id.shard()) {
            shard.control(Control::Instruct(call_id, instruction));
        }
    });
    let spawned = room::spawn(settings, sink, Arc::new(metrics.clone()), Entropy::from_system());
    spawned.map(Some).map_err(|error| StartError::Client(error.to_string()))
}

fn start_streams(
    listeners: Vec<tcp::Listener>,
    security: tcp::Security,
    router: &Router,
    (policy, metrics): (&Arc<Policy>, &Metrics),
) -> HubHandle {
    let (router, guarding, counting) = (router.clone(), policy.clone(), metrics.clone());
    let settings = tcp::Settings { security, gate: Some(gate(policy, metrics)), ..tcp::Settings::default() };
    Hub::spawn_with(
        settings,
        listeners,
        Arc::new(move |input| match input {
            TcpInput::Message { source, bytes } => {
                if let Err(refusal) = guarding.guard.packet(clock::now(), source.peer.ip(), &bytes) {
                    counting.admission_refused(refusal.code());
                    return None;
                }
                // A frame that has no start line belongs to no call: there is nobody to answer.
                router.deliver_surely(source, Message::parse(bytes).ok()?)
            }
            TcpInput::SendFailed { transaction, why } => {
                router.send_failed(transaction, why);
                None
            }
            TcpInput::Handshake { by, result } => {
                let direction = match by {
                    tcp::Initiator::Peer => Direction::In,
                    tcp::Initiator::Gateway => Direction::Out,
                };
                counting.tls_handshake(direction, result);
                None
            }
            TcpInput::TurnedAway => {
                counting.admission_refused("connections");
                None
            }
        }),
    )
}

/// Who may open a TCP connection.
fn gate(policy: &Arc<Policy>, metrics: &Metrics) -> tcp::Gate {
    let (policy, metrics) = (policy.clone(), metrics.clone());
    tcp::Gate::new(move |source| match policy.guard.connection(clock::now(), source) {
        Ok(Caller::Known) => tcp::Welcome::Peer,
        Ok(Caller::Stranger(at_once)) => tcp::Welcome::Stranger { at_once: at_once as usize },
        Err(refusal) => {
            metrics.admission_refused(refusal.code());
            tcp::Welcome::Nobody
        }
    })
}

fn start_shards(
    parts: &Parts,
    sockets: Vec<Vec<std::net::UdpSocket>>,
    inboxes: Vec<ShardInbox>,
    threads: &mut Vec<std::thread::JoinHandle<()>>,
) -> Result<(), StartError> {
    for (number, (sockets, inbox)) in sockets.into_iter().zip(inboxes).enumerate() {
        let number = u8::try_from(number).unwrap_or(u8::MAX);
        let around = Surroundings {
            number,
            sockets,
            tcp: parts.tcp.clone(),
            resolver: parts.resolver.clone(),
            runtime: tokio::runtime::Handle::current(),
            router: parts.router.clone(),
            companion: parts.companion.clone(),
            recent: parts.recent.clone(),
            metrics: parts.metrics.clone(),
            policy: parts.policy.clone(),
        };
        let workers = start_workers(&parts.policy.config, &parts.router, number, parts.count)?;
        let build = shard_builder(parts, number, workers);
        let thread = std::thread::Builder::new()
            .name(format!("shard-{number}"))
            .spawn(move || {
                if let Err(error) = shard_thread::run(build(), around, inbox) {
                    tracing::error!(%error, "a shard stopped");
                }
            })
            .map_err(|error| StartError::Thread { what: "a shard", error })?;
        threads.push(thread);
    }
    Ok(())
}

/// The host part of `From` in our requests.
fn from_host(locals: &[LocalAddress]) -> String {
    locals.first().map_or("localhost", |local| local::host_of(&local.advertised)).to_owned()
}

/// What a shard and its endpoint know of themselves.
fn shard_settings(
    config: &Config,
    locals: &[LocalAddress],
    media_address: IpAddr,
    number: u8,
) -> (ShardSettings, Settings) {
    let first = from_host(locals);
    let settings = ShardSettings {
        shard: number,
        from_host: first,
        media_address,
        epoch: (clock::now(), clock::wall()),
        draining: false,
    };
    let sip = Settings {
        t1: config.sip.t1.get(),
        t2: config.sip.t2.get(),
        t4: Duration::from_secs(5),
        user_agent: config.sip.user_agent.clone(),
        locals: locals.to_vec(),
        call_id_prefix: format!("tl{number:02x}-"),
        shard: number,
    };
    (settings, sip)
}

/// The gateway of this configuration for `explain`, when it does not run: nothing is bound, only names are resolved.
///
/// # Errors
/// An address for media that does not resolve.
pub async fn stage(config: Config) -> Result<Stage, StartError> {
    let unbound = |listen: &Listen| {
        let protocol = match listen.protocol {
            ListenProtocol::Udp => Protocol::Udp,
            ListenProtocol::Tcp => Protocol::Tcp,
            ListenProtocol::Tls => Protocol::Tls,
        };
        (protocol, listen.address)
    };
    let addresses = Addresses {
        sip: config.sip.listen.iter().map(unbound).collect(),
        http: config.http.listen,
        admin: config.admin.listen,
    };
    let resolver = resolver(&config, &addresses)?;
    let resolved = resolve_peers(&config, &resolver).await;
    let media_address = media_address(&config, &addresses, &resolver).await?;
    let (shard, sip) = shard_settings(&config, &locals(&config, &addresses), media_address, 0);
    Ok(Stage { config, resolved, shard, sip })
}

/// A shard is built on its own thread, because nothing in it is meant to leave it.
fn shard_builder(parts: &Parts, number: u8, workers: Vec<WorkerHandle>) -> impl FnOnce() -> Shard + Send + 'static {
    let config = &parts.policy.config;
    let (settings, sip) = shard_settings(config, &parts.locals, parts.media_address, number);
    let reach = Reach {
        datagram: Some(usize::from(config.sip.max_datagram)).filter(|limit| *limit > 0),
        next_after: config.sip.failover_after.get(),
    };
    let ports = share_of(config.media.ports.first, config.media.ports.last, number, parts.count);
    let bind = config.media.bind.unwrap_or(match parts.media_address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    });
    let rest = config.media.rest.get();
    let (policy, metrics) = (parts.policy.clone(), parts.metrics.clone());
    move || {
        let plane = Box::new(SocketPlane::new(bind, ports, rest, workers, clock::now));
        let mut shard = Shard::new(settings, sip, policy, plane, metrics, Entropy::from_system());
        shard.set_reach(reach);
        shard
    }
}

/// A shard's part of the media ports: the four ports of a call stay together.
fn share_of(first: u16, last: u16, number: u8, count: usize) -> std::ops::RangeInclusive<u16> {
    let first = u32::from(first.next_multiple_of(2));
    let pairs = (u32::from(last) + 1).saturating_sub(first) / 2;
    let (number, count) = (u32::from(number), u32::try_from(count).unwrap_or(1).max(1));
    let calls = pairs / 2;
    let start = first + calls * number / count * 4;
    let end = if number + 1 < count { first + calls * (number + 1) / count * 4 } else { first + pairs * 2 };
    let clamp = |port: u32| u16::try_from(port).unwrap_or(u16::MAX);
    clamp(start)..=clamp(end.saturating_sub(1))
}

fn webhook_router(
    config: &Config,
    companion: Option<&CompanionHandle>,
    metrics: &Metrics,
) -> Result<axum::Router, StartError> {
    let (Some(daily), Some(companion)) = (&config.daily, companion) else {
        return Ok(axum::Router::new().fallback(|| async {
            crate::http::Problem::not_found("no [daily] section: this gateway takes no webhooks")
        }));
    };
    let skew = daily.max_skew.get();
    let unusable = |error: SecretError| StartError::Secret(error.to_string());
    let events = daily.events_hmac.as_ref().map(|secrets| Verifier::events(&secrets.0, skew));
    Ok(webhook::router(Webhooks {
        companion: companion.clone(),
        dialin: Verifier::pinless(&daily.hmac.0, skew).map_err(unusable)?,
        events: events.transpose().map_err(unusable)?,
        meter: Arc::new(metrics.clone()),
        patience: WEBHOOK_PATIENCE,
    }))
}

fn serve(listener: TcpListener, tls: Option<Server>, router: axum::Router) -> JoinHandle<()> {
    tokio::spawn(serve::serve_by(listener, tls, router, serve::HEAD_PATIENCE))
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
