//! The tasks behind registrations: one for each target that we register at, and one that notes when a trunk's own ends.
//! Apart from the assembly, which only starts and ends them; what to send, and when, is decided by the state machine.

use super::router::ShardHandle;
use crate::clock::{self, Entropy};
use crate::observe::Metrics;
use crate::observe::metrics::Registered;
use crate::route::registration::{News, Next, Outcome, Plan, Registration};
use crate::route::{Standing, Standings};
use crate::sip::Hop;
use crate::transport::resolve::Resolver;
use crate::trunk::Registrar;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long the end waits for registrars to confirm that we leave.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often ended registrations of trunks are looked for at least, and at most.
const SWEEP: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The tasks.
#[derive(Default)]
pub(super) struct Registrations {
    tasks: Vec<JoinHandle<()>>,
    sweeper: Option<JoinHandle<()>>,
}

/// What a registration needs of the house.
pub(super) struct Around {
    pub shard: ShardHandle,
    pub resolver: Arc<Resolver>,
    pub standings: Arc<Standings>,
    pub metrics: Metrics,
    /// Becomes true when we are to leave.
    pub leave: watch::Receiver<bool>,
}

struct Task {
    registration: Registration,
    around: Around,
    entropy: Entropy,
    /// Which of the registrar's addresses is tried.
    turn: usize,
    standing: Standing,
}

// === impl Registrations ===

impl Registrations {
    /// Registers at a target from now on.
    pub fn begin(&mut self, plan: Plan, around: Around) {
        let mut entropy = Entropy::from_system();
        let registration = Registration::new(plan, &mut entropy);
        let task = Task { registration, around, entropy, turn: 0, standing: Standing::default() };
        self.tasks.push(tokio::spawn(task.run()));
    }

    /// Notes from now on when registrations of trunks end.
    pub fn sweep(&mut self, registrar: Arc<Registrar>, metrics: Metrics) {
        self.sweeper = Some(tokio::spawn(sweep(registrar, metrics)));
    }

    /// Waits until all have left, as they were told to; not for long.
    pub async fn end(&mut self) {
        if let Some(sweeper) = self.sweeper.take() {
            sweeper.abort();
        }
        let all = async {
            for task in &mut self.tasks {
                let _ = task.await;
            }
        };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            tracing::warn!("a target did not confirm the end of our registration in time: it will run out by itself");
        }
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }
}

async fn sweep(registrar: Arc<Registrar>, metrics: Metrics) {
    loop {
        let now = clock::now();
        let (over, next) = registrar.expire(now);
        for binding in over {
            let left = registrar.contacts_of(now, &binding.trunk).len();
            metrics.trunk_contacts(&binding.trunk, left);
            if left == 0 {
                let remedy = "the PBX has stopped refreshing: is it up, and can it reach us?";
                tracing::warn!(trunk = %binding.trunk, remedy, "the registration of a trunk has run out");
            }
        }
        let pause = next.map_or(SWEEP.1, |next| next.saturating_duration_since(now));
        clock::sleep(pause.clamp(SWEEP.0, SWEEP.1)).await;
    }
}

// === impl Task ===

impl Task {
    async fn run(mut self) {
        self.publish();
        loop {
            let outcome = self.ask().await;
            let Some(outcome) = outcome else { return };
            self.tell(&outcome);
            self.publish();
            match outcome.next {
                Next::Send => {}
                Next::Done => return,
                Next::Wait(pause) => {
                    if self.is_told_to_leave_within(pause).await {
                        if !self.registration.leave(clock::now()) {
                            return;
                        }
                        self.take_back().await;
                        return;
                    }
                }
            }
        }
    }

    /// One request and what came of it; `None` if we are to leave, or the house is gone.
    async fn ask(&mut self) -> Option<Outcome> {
        let mut leave = self.around.leave.clone();
        let asked = tokio::select! {
            outcome = self.exchange() => outcome,
            _ = leave.wait_for(|leave| *leave) => None,
        };
        if asked.is_none() && self.registration.leave(clock::now()) {
            self.take_back().await;
        }
        asked
    }

    async fn exchange(&mut self) -> Option<Outcome> {
        let (hop, addresses) = self.locate().await;
        let request = self.registration.request(hop);
        let answer = self.around.shard.ask(request).await?;
        let (now, status) = (clock::now(), answer.status);
        self.around.metrics.registration(&self.registration.plan().target, status.get());
        if status.is_success() {
            self.standing.addresses = addresses;
        } else if answer.response.is_none() {
            self.turn += 1; // the next attempt goes to another of its addresses
        }
        Some(self.registration.answered(now, status, answer.response.as_ref(), &mut self.entropy))
    }

    async fn take_back(&mut self) {
        // A challenge on the way is answered; whatever else comes, we have left.
        while let Some(Outcome { next: Next::Send, .. }) = self.exchange().await {}
        self.publish();
        tracing::info!(target = %self.registration.plan().target, "our registration was taken back");
    }

    /// The address to send to, and all that the registrar has.
    async fn locate(&self) -> (Hop, Vec<IpAddr>) {
        let hop = self.registration.hop().clone();
        match self.around.resolver.locate(&hop).await {
            Ok(found) if !found.hops.is_empty() => {
                let all =
                    found.hops.iter().filter_map(|hop| hop.address.socket()).map(|address| address.ip()).collect();
                let chosen = found.hops.get(self.turn % found.hops.len()).cloned();
                (chosen.unwrap_or(hop), all)
            }
            // Sending will fail, and says so.
            _ => (hop, vec![]),
        }
    }

    /// Waits; notes on the way when what was given ends. True if we are to leave.
    async fn is_told_to_leave_within(&mut self, pause: Duration) -> bool {
        let end = clock::now() + pause;
        loop {
            let now = clock::now();
            self.publish();
            if now >= end {
                return false;
            }
            let next = self.registration.until(now).map_or(end, |until| until.min(end));
            let left = next.saturating_duration_since(now);
            tokio::select! {
                () = clock::sleep(left) => {}
                _ = self.around.leave.wait_for(|leave| *leave) => return true,
            }
        }
    }

    fn tell(&mut self, outcome: &Outcome) {
        let target = &self.registration.plan().target;
        match &outcome.news {
            Some(News::Registered { granted }) => {
                tracing::info!(%target, granted_s = granted.as_secs(), "registered at the target");
                self.standing.failure = None;
            }
            Some(News::Failed { what, remedy, pause }) => {
                let again_s = pause.as_secs();
                tracing::warn!(%target, %what, remedy, again_s, "registration at the target failed");
                self.standing.failure = Some(what.clone());
            }
            None => {}
        }
    }

    /// Says how it stands, if that has changed.
    fn publish(&mut self) {
        let until = self.registration.until(clock::now());
        let holds = if until.is_some() { Registered::Yes } else { Registered::No };
        self.standing.until = until;
        let target = &self.registration.plan().target;
        self.around.metrics.registered(target, holds);
        self.around.standings.set(target, &self.standing);
    }
}
