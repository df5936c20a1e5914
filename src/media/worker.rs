//! A thread that moves packets: waits for readable sockets, lets the relay judge each packet, sends it on. Apart from the
//! relay because this is all system calls and no rules; per packet it makes two of them, and allocates, locks and
//! asks the clock for nothing.

use super::relay::{Channel, Forwarder};
use super::socket::{self, Family, PortPair};
use super::tone::PACKET_MS;
use super::{Counters, MediaEvent, RelayCommand, Side};
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use rustix::time::{timerfd_create, timerfd_settime};
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

/// Names a berth within its worker: a direct index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BerthId(usize);

/// The other end of a worker thread. Dropping it stops the thread and waits for its end.
pub struct WorkerHandle {
    commands: Sender<Command>,
    wake: Arc<Wake>,
    epoll: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    berths: usize,
    nobody: Arc<Counters>,
}

/// The thread's own state.
pub struct Worker {
    epoll: Arc<OwnedFd>,
    wake: Arc<Wake>,
    tick: Tick,
    /// 20 ms: the pace of tones.
    beat: Tick,
    /// Berths that play a tone.
    playing: Vec<BerthId>,
    commands: Receiver<Command>,
    on_event: Box<dyn Fn(MediaEvent) + Send>,
    berths: Vec<Berth>,
    /// Relays whose silence clocks run.
    watched: usize,
    /// Counts the packets that come in on ports at rest.
    nobody: Arc<Counters>,
    /// A UDP datagram is never longer; the pages beyond the longest one seen are never touched.
    buffer: Box<[u8]>,
}

/// Two port pairs, side A's and side B's, and what becomes of their packets.
struct Berth {
    pairs: [PortPair; 2],
    family: Family,
    relay: Forwarder,
}

enum Command {
    Adopt([PortPair; 2], Family),
    Open {
        berth: BerthId,
        owner: u64,
        counters: Arc<Counters>,
    },
    Relay {
        berth: BerthId,
        command: RelayCommand,
    },
    Stop,
    #[cfg(test)]
    Echo(Sender<()>),
    #[cfg(test)]
    Panic,
}

/// Wakes the thread for commands, with one system call for all that come before it looks.
struct Wake {
    event: OwnedFd,
    pending: AtomicBool,
}

/// A clock: a timer among the sockets, so that no wait has a timeout and no packet asks for the time. It rests while
/// nobody needs it: the sweep's while no silence clock runs, the tones' while none is played.
struct Tick {
    timer: OwnedFd,
    running: bool,
    slice: usize,
    nanoseconds: i64,
}

/// What became ready, as the 64 bits that epoll carries for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ready {
    Wake,
    Tick,
    Beat,
    Socket(BerthId, Side, Channel),
}

/// Readiness events taken with one wait.
const BATCH: usize = 256;

/// Panics that one thread survives. A packet or a callback that brings one down again and again ends the thread.
const PANICS: usize = 16;

/// Each relay is looked at once in this many ticks, so that thousands of relays are not one long pause.
const SLICES: usize = 8;

/// Time between ticks: a second for a full round.
const TICK_NANOSECONDS: i64 = 125_000_000;

/// Time between two packets of a tone.
const BEAT_NANOSECONDS: i64 = PACKET_MS as i64 * 1_000_000;

/// Beats made up for after a pause of the thread; a longer one is heard.
const MOST_BEATS: u64 = 5;

// === impl WorkerHandle ===

impl WorkerHandle {
    /// Takes over the sockets of a berth; they stay open and watched for the life of the thread.
    ///
    /// # Errors
    /// When the sockets cannot be watched (memory, `fs.epoll.max_user_watches`).
    pub fn adopt(&mut self, pairs: [PortPair; 2], family: Family) -> io::Result<BerthId> {
        let berth = BerthId(self.berths);
        let [a, b] = &pairs;
        let sockets = [
            (&a.rtp, Side::A, Channel::Rtp),
            (&a.rtcp, Side::A, Channel::Rtcp),
            (&b.rtp, Side::B, Channel::Rtp),
            (&b.rtcp, Side::B, Channel::Rtcp),
        ];
        for (socket, side, channel) in sockets {
            // Level-triggered: one receive for each readiness, and what is left shows up in the next wait. Edges would
            // cost a second receive for each packet, only to be told that there is none.
            epoll::add(&*self.epoll, socket, Ready::Socket(berth, side, channel).data(), epoll::EventFlags::IN)?;
        }
        self.send(Command::Adopt(pairs, family));
        self.berths += 1;
        Ok(berth)
    }

    /// Puts a relay into a berth.
    pub fn open(&self, berth: BerthId, owner: u64, counters: Arc<Counters>) {
        self.send(Command::Open { berth, owner, counters });
    }

    /// Passes a command on to the relay in a berth; without one there nothing happens.
    pub fn command(&self, berth: BerthId, command: RelayCommand) {
        self.send(Command::Relay { berth, command });
    }

    /// Berths adopted so far.
    #[must_use]
    pub fn berths(&self) -> usize {
        self.berths
    }

    /// Counts, as dropped, the packets that come in on ports while no relay has them.
    #[must_use]
    pub fn nobody(&self) -> Arc<Counters> {
        Arc::clone(&self.nobody)
    }

    /// Is the thread there?
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Stops the thread and waits for its end. Its sockets are closed with it.
    pub fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.send(Command::Stop);
            if thread.join().is_err() {
                tracing::error!("a media worker ended with a panic");
            }
        }
    }

    /// A thread that ended takes no commands, and needs none.
    fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.wake.ring();
        }
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

// === impl Worker ===

impl Worker {
    /// Starts a thread. `on_event` is called from it and must not block.
    ///
    /// # Errors
    /// When the system has no descriptor or thread to spare.
    pub fn spawn(name: &str, on_event: Box<dyn Fn(MediaEvent) + Send>) -> io::Result<WorkerHandle> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let wake = Arc::new(Wake {
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            pending: AtomicBool::new(false),
        });
        let (tick, beat) = (Tick::new(TICK_NANOSECONDS)?, Tick::new(BEAT_NANOSECONDS)?);
        epoll::add(&*epoll, &wake.event, Ready::Wake.data(), epoll::EventFlags::IN)?;
        epoll::add(&*epoll, &tick.timer, Ready::Tick.data(), epoll::EventFlags::IN)?;
        epoll::add(&*epoll, &beat.timer, Ready::Beat.data(), epoll::EventFlags::IN)?;
        let (sender, commands) = channel();
        let nobody = Arc::<Counters>::default();
        let worker = Self {
            epoll: Arc::clone(&epoll),
            wake: Arc::clone(&wake),
            tick,
            beat,
            playing: Vec::new(),
            commands,
            on_event,
            berths: Vec::new(),
            watched: 0,
            nobody: Arc::clone(&nobody),
            buffer: vec![0; 65_536].into_boxed_slice(),
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || worker.live())?;
        Ok(WorkerHandle { commands: sender, wake, epoll, thread: Some(thread), berths: 0, nobody })
    }

    /// The thread. Whatever is left after a panic goes on: the calls of this worker would all be mute otherwise.
    fn live(mut self) {
        for _ in 0..PANICS {
            match std::panic::catch_unwind(AssertUnwindSafe(|| self.run())) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => {
                    tracing::error!(%error, "a media worker cannot wait for its sockets and ends");
                    return;
                }
                Err(_) => tracing::error!("a media worker panicked and goes on"),
            }
        }
        tracing::error!("a media worker panicked too often and ends");
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(BATCH);
        // After a panic the wake that announced the commands left may have been used up.
        if self.obey() == Life::Ends {
            return Ok(());
        }
        loop {
            events.clear();
            match epoll::wait(&*self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match Ready::from_data(event.data.u64()) {
                    Ready::Socket(berth, side, channel) => self.packet(berth, side, channel),
                    Ready::Wake => {
                        self.wake.heard();
                        if self.obey() == Life::Ends {
                            return Ok(());
                        }
                    }
                    Ready::Tick => self.sweep(),
                    Ready::Beat => self.play(),
                }
            }
        }
    }

    /// One packet, from one socket to another.
    #[inline]
    fn packet(&mut self, id: BerthId, side: Side, channel: Channel) {
        // Watched already, but the command that brings it is still in the queue: its wake is in this batch or the next.
        let Some(berth) = self.berths.get_mut(id.0) else { return };
        let port = side.of(&berth.pairs).socket(channel);
        let Some((length, source)) = socket::receive(port, &mut self.buffer) else { return };
        let Some(packet) = self.buffer.get_mut(..length) else { return };
        let relay = &mut berth.relay;
        let step = match channel {
            Channel::Rtp => relay.rtp(side, source, packet),
            Channel::Rtcp => relay.rtcp(side, source, packet),
        };
        if let Some(forward) = step.forward {
            let out = side.other().of(&berth.pairs).socket(forward.channel);
            let result = socket::send(out, berth.family, packet, forward.to);
            relay.sent(side, forward.channel, &result);
        }
        if let Some(owner) = step.first {
            (self.on_event)(MediaEvent::FirstPacket { owner, side });
        }
    }

    /// Does what is in the queue.
    fn obey(&mut self) -> Life {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Adopt(pairs, family)) => {
                    self.berths.push(Berth { pairs, family, relay: Forwarder::at_rest(&self.nobody) });
                }
                Ok(Command::Open { berth, owner, counters }) => {
                    if let Some(berth) = self.berths.get_mut(berth.0) {
                        berth.relay.open(owner, &counters);
                    }
                }
                Ok(Command::Relay { berth, command }) => self.relay(berth, command),
                #[cfg(test)]
                Ok(Command::Echo(reply)) => drop(reply.send(())),
                #[cfg(test)]
                Ok(Command::Panic) => panic!("as told"),
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return Life::Ends,
                Err(TryRecvError::Empty) => return Life::GoesOn,
            }
        }
    }

    fn relay(&mut self, id: BerthId, command: RelayCommand) {
        let Some(Berth { relay, .. }) = self.berths.get_mut(id.0) else { return };
        if !relay.is_open() {
            return;
        }
        match command {
            RelayCommand::Configure { side, config } => relay.configure(side, config),
            RelayCommand::Reset(side) => relay.reset(side),
            RelayCommand::Play { side, score } => {
                relay.play(side, score);
                if !self.playing.contains(&id) {
                    self.playing.push(id);
                }
                self.beat.start();
            }
            RelayCommand::Quiet(side) => relay.quiet(side),
            RelayCommand::Watch(timeouts) => {
                self.watched += usize::from(!relay.is_watched());
                relay.watch(timeouts, crate::clock::now());
                self.tick.start();
            }
            RelayCommand::Close => {
                self.watched = self.watched.saturating_sub(usize::from(relay.is_watched()));
                relay.close(&self.nobody);
            }
        }
    }

    /// Sends the next packet of every tone, and forgets those that have stopped.
    fn play(&mut self) {
        let beats = self.beat.heard().min(MOST_BEATS);
        let Self { playing, berths, buffer, .. } = self;
        playing.retain(|id| {
            let Some(berth) = berths.get_mut(id.0) else { return false };
            for _ in 0..beats {
                for side in [Side::A, Side::B] {
                    let Some((length, to)) = berth.relay.tone(side, buffer) else { continue };
                    let Some(packet) = buffer.get(..length) else { continue };
                    let out = side.of(&berth.pairs).socket(Channel::Rtp);
                    let result = socket::send(out, berth.family, packet, to);
                    berth.relay.sent(side.other(), Channel::Rtp, &result);
                }
            }
            berth.relay.plays(Side::A) || berth.relay.plays(Side::B)
        });
        if self.playing.is_empty() {
            self.beat.stop();
        }
    }

    /// Looks at the silence clocks of one slice of the relays.
    fn sweep(&mut self) {
        self.tick.heard();
        if self.watched == 0 {
            self.tick.stop();
            return;
        }
        let now = crate::clock::now();
        for berth in self.berths.iter_mut().skip(self.tick.slice).step_by(SLICES) {
            berth.relay.sweep(now, &*self.on_event);
        }
    }
}

#[derive(PartialEq, Eq)]
enum Life {
    GoesOn,
    Ends,
}

// === impl Ready ===

impl Ready {
    fn data(self) -> epoll::EventData {
        epoll::EventData::new_u64(match self {
            Self::Wake => u64::MAX,
            Self::Tick => u64::MAX - 1,
            Self::Beat => u64::MAX - 2,
            Self::Socket(BerthId(berth), side, channel) => {
                (berth as u64) << 2 | u64::from(side == Side::B) << 1 | u64::from(channel == Channel::Rtcp)
            }
        })
    }

    #[inline]
    fn from_data(data: u64) -> Self {
        if data == u64::MAX {
            return Self::Wake;
        }
        if data == u64::MAX - 1 {
            return Self::Tick;
        }
        if data == u64::MAX - 2 {
            return Self::Beat;
        }
        let side = if data & 2 == 0 { Side::A } else { Side::B };
        let channel = if data & 1 == 0 { Channel::Rtp } else { Channel::Rtcp };
        Self::Socket(BerthId(usize::try_from(data >> 2).unwrap_or(usize::MAX)), side, channel)
    }
}

// === impl Wake ===

impl Wake {
    /// After a command was queued.
    fn ring(&self) {
        if !self.pending.swap(true, Ordering::AcqRel) {
            // The counter of an eventfd is full after 2^64 - 2 rings, and interrupted writes do not happen to it.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }

    /// Before the queue is read: a command queued from here on rings again.
    fn heard(&self) {
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
        self.pending.swap(false, Ordering::AcqRel);
    }
}

// === impl Tick ===

impl Tick {
    fn new(nanoseconds: i64) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        Ok(Self { timer, running: false, slice: 0, nanoseconds })
    }

    fn start(&mut self) {
        if !self.running {
            self.running = self.set(self.nanoseconds);
        }
    }

    fn stop(&mut self) {
        self.running = !self.set(0);
    }

    /// How often it ticked since it was last heard.
    fn heard(&mut self) -> u64 {
        let mut ticks = [0; 8];
        let read = rustix::io::read(&self.timer, &mut ticks);
        self.slice = (self.slice + 1) % SLICES;
        if read == Ok(ticks.len()) { u64::from_ne_bytes(ticks) } else { 0 }
    }

    fn set(&self, nanoseconds: i64) -> bool {
        let each = Timespec { tv_sec: 0, tv_nsec: nanoseconds };
        let spec = Itimerspec { it_interval: each, it_value: each };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec).is_ok()
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
