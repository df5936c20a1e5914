//! The media plane of one shard: owns its ports and workers and gives relays out. Apart from the workers because it lives
//! on the shard's thread, and apart from the pool because it is the one that binds sockets.

use super::ports::{Binding, Grant, PortPool};
use super::socket::{Family, PortPair};
use super::worker::{BerthId, WorkerHandle};
use super::{Counters, Plane, PortsExhausted, Relay, RelayCommand, RelayId, RelaySink};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd as _;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Relays over real UDP sockets.
pub struct SocketPlane {
    shared: Rc<Shared>,
}

/// What a plane tells the metrics, from any thread.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Ports that belong to open relays now.
    pub in_use: AtomicUsize,
    /// Ports that are bound, in use or not.
    pub bound: AtomicUsize,
    /// Ports of the configured range that can be used.
    pub total: AtomicUsize,
    /// Times that ports were used again before they had rested, because the range was exhausted.
    pub short_rests: AtomicU64,
    nobody: Vec<Arc<Counters>>,
}

/// What relays hold on to: the workers live until the last relay is gone.
struct Shared {
    bind: IpAddr,
    ports: RangeInclusive<u16>,
    now: fn() -> Instant,
    gauges: Arc<Gauges>,
    state: RefCell<State>,
    /// The system refused a socket for want of descriptors or memory, and it was said.
    starved: Cell<bool>,
}

struct State {
    pool: PortPool<PortPair, Berth>,
    workers: Vec<WorkerHandle>,
    relays: HashMap<RelayId, Berth>,
}

/// Where a relay sits.
#[derive(Debug, Clone, Copy)]
struct Berth {
    worker: usize,
    id: BerthId,
    /// RTP ports of side A and side B.
    ports: [u16; 2],
}

/// Ports of a berth: RTP and RTCP on either side.
const PORTS_PER_RELAY: usize = 4;

/// Descriptors that media leaves to webhooks, bots, streams and the admin listener, where the limit allows. Media sockets
/// stay bound once they are, so what they take from the others is never given back.
const SPARED: u64 = 128;

/// Relay names are never used twice in a process, whichever plane gives them.
static NEXT_RELAY: AtomicU64 = AtomicU64::new(1);

// === impl SocketPlane ===

impl SocketPlane {
    /// A plane over `ports` (both ends included) of the local address `bind`. Nothing is bound before it is needed; a
    /// freed port rests for `rest` before its next call. Each relay stays on one of `workers`.
    #[must_use]
    pub fn new(
        bind: IpAddr,
        ports: RangeInclusive<u16>,
        rest: Duration,
        workers: Vec<WorkerHandle>,
        now: fn() -> Instant,
    ) -> Self {
        let pool = PortPool::new(ports.clone(), rest);
        let nobody = workers.iter().map(WorkerHandle::nobody).collect();
        let gauges = Arc::new(Gauges { nobody, ..Gauges::default() });
        gauges.total.store(pool.capacity() * 2, Ordering::Relaxed);
        let state = RefCell::new(State { pool, workers, relays: HashMap::new() });
        Self { shared: Rc::new(Shared { bind, ports, now, gauges, state, starved: Cell::new(false) }) }
    }

    /// Its gauges, to be read from any thread.
    #[must_use]
    pub fn gauges(&self) -> Arc<Gauges> {
        Arc::clone(&self.shared.gauges)
    }
}

impl Plane for SocketPlane {
    fn open(&mut self, owner: u64) -> Result<Relay, PortsExhausted> {
        let exhausted = PortsExhausted { first: *self.shared.ports.start(), last: *self.shared.ports.end() };
        let id = RelayId(NEXT_RELAY.fetch_add(1, Ordering::Relaxed));
        let counters = Arc::new(Counters::default());
        let berth = self.shared.berth().ok_or(exhausted)?;
        {
            let mut state = self.shared.state.borrow_mut();
            if let Some(worker) = state.workers.get(berth.worker) {
                worker.open(berth.id, owner, Arc::clone(&counters));
            }
            state.relays.insert(id, berth);
            self.shared.measure(&state);
        }
        Ok(Relay::new(id, berth.ports, counters, Rc::clone(&self.shared) as Rc<dyn RelaySink>))
    }

    fn ports_in_use(&self) -> usize {
        self.shared.state.borrow().relays.len() * PORTS_PER_RELAY
    }

    fn has_room(&self) -> bool {
        let pool = &self.shared.state.borrow().pool;
        pool.in_use() < pool.capacity() / 2
    }
}

// === impl Gauges ===

impl Gauges {
    /// Packets that came in on ports while no relay had them: senders that have not heard of the end of their call.
    #[must_use]
    pub fn strays(&self) -> u64 {
        self.nobody.iter().flat_map(|nobody| nobody.read().dropped).sum()
    }
}

// === impl Shared ===

impl Shared {
    /// A berth for one more relay, on a worker that is alive.
    fn berth(&self) -> Option<Berth> {
        let now = (self.now)();
        let mut state = self.state.borrow_mut();
        let State { pool, workers, .. } = &mut *state;
        loop {
            match pool.take(now, |port| self.bind(port))? {
                Grant::Again(berth) if workers.get(berth.worker).is_some_and(WorkerHandle::is_alive) => {
                    return Some(berth);
                }
                // Its worker is gone, and its sockets with it.
                Grant::Again(_) => pool.write_off(),
                Grant::Fresh(pairs) => {
                    let berth = adopt(workers, pairs, Family::from(self.bind));
                    return berth
                        .inspect_err(|error| {
                            pool.write_off();
                            tracing::error!(%error, "no media worker can take more sockets");
                        })
                        .ok();
                }
            }
        }
    }

    fn bind(&self, port: u16) -> Binding<PortPair> {
        match PortPair::bind(self.bind, port).and_then(sparing) {
            Ok(pair) => Binding::Bound(pair),
            // A port that another program has, or that the system reserves, says nothing about the next one.
            Err(error) if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {
                tracing::debug!(port, %error, "media port skipped");
                Binding::Taken
            }
            Err(error) => {
                if !self.starved.replace(true) {
                    tracing::error!(port, %error, "no more media sockets can be opened");
                }
                Binding::Impossible
            }
        }
    }

    fn measure(&self, state: &State) {
        self.gauges.in_use.store(state.relays.len() * PORTS_PER_RELAY, Ordering::Relaxed);
        self.gauges.bound.store(state.pool.pairs() * 2, Ordering::Relaxed);
        self.gauges.short_rests.store(state.pool.short_rests(), Ordering::Relaxed);
    }
}

impl RelaySink for Shared {
    fn command(&self, relay: RelayId, command: RelayCommand) {
        let mut state = self.state.borrow_mut();
        let closes = matches!(command, RelayCommand::Close);
        let berth = if closes { state.relays.remove(&relay) } else { state.relays.get(&relay).copied() };
        let Some(berth) = berth else { return };
        if let Some(worker) = state.workers.get(berth.worker) {
            worker.command(berth.id, command);
        }
        if closes {
            state.pool.give_back((self.now)(), berth);
            self.measure(&state);
        }
    }
}

/// Hands a new berth to the worker that has fewest.
fn adopt(workers: &mut [WorkerHandle], pairs: [PortPair; 2], family: Family) -> io::Result<Berth> {
    let ports = pairs.each_ref().map(|pair| pair.port);
    let (worker, handle) = workers
        .iter_mut()
        .enumerate()
        .filter(|(_, handle)| handle.is_alive())
        .min_by_key(|(_, handle)| handle.berths())
        .ok_or_else(|| io::Error::other("every media worker has ended"))?;
    Ok(Berth { worker, id: handle.adopt(pairs, family)?, ports })
}

/// Gives a pair up that would leave too few descriptors to the rest of the process.
fn sparing(pair: PortPair) -> io::Result<PortPair> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let highest = pair.rtp.as_raw_fd().max(pair.rtcp.as_raw_fd());
    if leaves_room(u64::try_from(highest).unwrap_or(0), limit) { Ok(pair) } else { Err(Errno::MFILE.into()) }
}

/// Descriptors that the table is made ready for; a range of media ports is not longer.
const MOST_DESCRIPTORS: u64 = 1 << 16;

/// The system gives the lowest free number, so a number tells how many are taken.
fn leaves_room(descriptor: u64, limit: u64) -> bool {
    descriptor < limit.saturating_sub(SPARED.min(limit / 2))
}

/// Raises the limit of open files to what the system allows this process: each relay takes four. Returns the limit now.
///
/// # Errors
/// What the system says; the limit is as before then.
pub fn raise_file_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    let limit = limit.maximum.unwrap_or(u64::MAX);
    grow_descriptor_table(limit);
    Ok(limit)
}

/// Lets the kernel make room for all descriptors at once. It would do so step by step, and each step of a process with
/// threads waits for every core (an RCU grace period, some 10 ms): calls at that moment would feel it.
fn grow_descriptor_table(limit: u64) {
    let last = limit.min(MOST_DESCRIPTORS).saturating_sub(1);
    if let Ok(last) = i32::try_from(last) {
        // Without room for it nothing is lost but the head start; the duplicate is closed at once.
        drop(rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), last));
    }
}

#[cfg(test)]
#[path = "plane_tests.rs"]
mod tests;
