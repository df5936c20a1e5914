//! Two endpoints and a network between them that loses, repeats and reorders, by seed: whatever happens to the
//! messages, both sides agree that the call is over, each says so once, and nothing is left.

use super::*;
use crate::sip::session::reliable::Wish;
use crate::sip::session::session_timer;
use std::collections::{BTreeMap, BTreeSet};

/// How bad the network is, in percent.
#[derive(Clone, Copy)]
struct Weather {
    loss: u64,
    repeat: u64,
    /// Longest delay in milliseconds; more than a few reorder.
    delay: u64,
}

struct World {
    now: Instant,
    entropy: Entropy,
    weather: Weather,
    /// In order of arrival; the number keeps equal times apart.
    flying: BTreeMap<(Instant, u64), (usize, Bytes)>,
    count: u64,
    sides: [Side; 2],
}

/// One endpoint and a layer above it that does at random what a layer above may do.
struct Side {
    endpoint: Endpoint,
    entropy: Entropy,
    /// What this side still wants to do, and when.
    plans: BTreeMap<(Instant, u64), (LegId, Plan)>,
    count: u64,
    open: BTreeSet<LegId>,
    closed: BTreeSet<LegId>,
    acknowledged: u64,
    answered: u64,
    hung_up: BTreeSet<LegId>,
    terms: Terms,
    /// How long calls last at most, in milliseconds.
    patience: u64,
    refreshed: u64,
    described_early: u64,
}

#[derive(Clone, Copy, Debug)]
enum Plan {
    Ring,
    Preview,
    Answer,
    Reject,
    Acknowledge,
    Cancel,
    Reinvite,
    Bye,
}

const ADDRESSES: [&str; 2] = ["192.0.2.1:5060", "192.0.2.2:5060"];

impl Side {
    fn new(seed: u64, address: &str) -> Self {
        let local =
            LocalAddress { protocol: Protocol::Udp, bind: address.parse().unwrap(), advertised: address.to_owned() };
        Self {
            endpoint: Endpoint::new(Settings { locals: vec![local], ..settings() }, Entropy::seeded(seed)),
            entropy: Entropy::seeded(seed + 1),
            plans: BTreeMap::new(),
            count: 0,
            open: BTreeSet::new(),
            closed: BTreeSet::new(),
            acknowledged: 0,
            answered: 0,
            hung_up: BTreeSet::new(),
            terms: Terms::PLAIN,
            patience: 30_000,
            refreshed: 0,
            described_early: 0,
        }
    }

    fn plan(&mut self, now: Instant, within: u64, leg: LegId, plan: Plan) {
        self.count += 1;
        let at = now + Duration::from_millis(self.entropy.below(within));
        self.plans.insert((at, self.count), (leg, plan));
    }

    fn take(&mut self, now: Instant, event: &Event) {
        match *event {
            Event::Invited { leg, .. } => {
                assert!(self.open.insert(leg));
                if self.endpoint.agree(leg, self.terms).is_err() {
                    return self.plan(now, 10, leg, Plan::Reject);
                }
                self.plan(now, 2000, leg, Plan::Ring);
                if self.entropy.below(2) == 0 {
                    self.plan(now, 4000, leg, Plan::Preview);
                }
                let verdict = if self.entropy.below(4) == 0 { Plan::Reject } else { Plan::Answer };
                self.plan(now, 20_000, leg, verdict);
            }
            Event::Reinvited { leg, .. } => {
                let verdict = if self.entropy.below(4) == 0 { Plan::Reject } else { Plan::Answer };
                self.plan(now, 3000, leg, verdict);
            }
            Event::Answered { leg, .. } => {
                self.answered += 1;
                self.plan(now, 1500, leg, Plan::Acknowledge);
                self.talk(now, leg);
            }
            Event::ReinviteAnswered { leg, .. } => self.plan(now, 1500, leg, Plan::Acknowledge),
            Event::Acknowledged { leg, .. } => {
                self.acknowledged += 1;
                self.talk(now, leg);
            }
            Event::Unacknowledged { leg } | Event::SessionExpired { leg } => self.plan(now, 10, leg, Plan::Bye),
            Event::Unpracked { leg } => {
                self.plan(now, 10, leg, Plan::Reject);
                self.plan(now, 20, leg, Plan::Bye);
            }
            Event::RefreshDue { leg } => drop(self.endpoint.refresh(now, leg, Some(&sdp()))),
            Event::Refreshed { .. } => self.refreshed += 1,
            Event::Progress { ref response, .. } => self.described_early += u64::from(!response.body().is_empty()),
            Event::ReinviteRefused { leg, status, .. } if matches!(status.get(), 408 | 481) => {
                self.plan(now, 10, leg, Plan::Bye);
            }
            Event::HungUp { leg, .. } => assert!(self.hung_up.insert(leg), "hung up twice"),
            Event::Closed { leg } => {
                assert!(self.open.remove(&leg), "closed twice, or never opened");
                assert!(self.closed.insert(leg));
            }
            _ => {}
        }
        assert!(self.concerned(event), "an event after Closed: {event:?}");
    }

    fn concerned(&self, event: &Event) -> bool {
        match event {
            Event::Closed { .. } | Event::OutOfDialog { .. } | Event::Noted { .. } => true,
            Event::Replied { leg, .. } => leg.is_none_or(|leg| self.open.contains(&leg)),
            Event::Requested { leg, .. }
            | Event::Invited { leg, .. }
            | Event::Reinvited { leg, .. }
            | Event::Progress { leg, .. }
            | Event::Answered { leg, .. }
            | Event::Refused { leg, .. }
            | Event::Unanswered { leg, .. }
            | Event::ReinviteAnswered { leg, .. }
            | Event::ReinviteRefused { leg, .. }
            | Event::Acknowledged { leg, .. }
            | Event::Doubted { leg, .. }
            | Event::Unacknowledged { leg }
            | Event::Refreshed { leg, .. }
            | Event::RefreshDue { leg }
            | Event::SessionExpired { leg }
            | Event::Unpracked { leg }
            | Event::Cancelled { leg, .. }
            | Event::HungUp { leg, .. } => self.open.contains(leg),
        }
    }

    fn talk(&mut self, now: Instant, leg: LegId) {
        for _ in 0..self.entropy.below(3) {
            self.plan(now, 20_000, leg, Plan::Reinvite);
        }
        self.plan(now, self.patience, leg, Plan::Bye);
    }

    fn act(&mut self, now: Instant) {
        while let Some(entry) = self.plans.first_entry().filter(|entry| entry.key().0 <= now) {
            let (leg, plan) = entry.remove();
            // Whether the command still fits is the endpoint's business: it must refuse without harm.
            let _ = match plan {
                Plan::Ring => self.endpoint.provisional(now, leg, StatusCode::RINGING, None, Headers::new(), None),
                Plan::Preview => {
                    let status = StatusCode::SESSION_PROGRESS;
                    self.endpoint.provisional(now, leg, status, None, Headers::new(), Some(sdp()))
                }
                Plan::Answer => self.endpoint.answer(now, leg, Headers::new(), Some(sdp())),
                Plan::Reject => self.endpoint.reject(now, leg, StatusCode::BUSY_HERE, None, Headers::new()),
                Plan::Acknowledge => self.endpoint.acknowledge(now, leg, None),
                Plan::Cancel => self.endpoint.cancel(now, leg, Headers::new()),
                Plan::Reinvite => self.endpoint.reinvite(now, leg, Headers::new(), Some(sdp())),
                Plan::Bye => self.endpoint.bye(now, leg, Headers::new()),
            };
        }
    }

    fn next(&mut self) -> Option<Instant> {
        let plan = self.plans.keys().next().map(|(at, _)| *at);
        self.endpoint.next_timeout().into_iter().chain(plan).min()
    }
}

impl World {
    fn new(seed: u64, weather: Weather) -> Self {
        Self {
            now: crate::clock::now(),
            entropy: Entropy::seeded(seed),
            weather,
            flying: BTreeMap::new(),
            count: 0,
            sides: [Side::new(seed * 1000, ADDRESSES[0]), Side::new(seed * 1000 + 500, ADDRESSES[1])],
        }
    }

    /// Side `from` calls the other one; it may change its mind.
    fn call(&mut self, from: usize) {
        let now = self.now;
        let side = &mut self.sides[from];
        let target = Invite { hop: udp(ADDRESSES[1 - from]), ..invite() };
        let leg = side.endpoint.invite_on(now, target, &side.terms);
        side.open.insert(leg);
        if side.entropy.below(3) == 0 {
            side.plan(now, 15_000, leg, Plan::Cancel);
        }
        // Nobody rings for ever.
        side.count += 1;
        side.plans.insert((now + seconds(60), side.count), (leg, Plan::Cancel));
    }

    /// Moves to the next thing that happens; `false` when nothing can happen any more.
    fn step(&mut self, limit: Instant) -> bool {
        let arrival = self.flying.keys().next().map(|(at, _)| *at);
        let [left, right] = &mut self.sides;
        let Some(at) = arrival.into_iter().chain(left.next()).chain(right.next()).min().filter(|at| *at <= limit)
        else {
            return false;
        };
        self.now = self.now.max(at);
        while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (to, bytes) = entry.remove();
            let source = Source {
                protocol: Protocol::Udp,
                peer: ADDRESSES[1 - to].parse().unwrap(),
                local: ADDRESSES[to].parse().unwrap(),
                connection: None,
            };
            self.sides[to].endpoint.receive(self.now, source, bytes);
        }
        for index in 0..2 {
            let now = self.now;
            self.sides[index].endpoint.expire(now);
            self.sides[index].act(now);
            while let Some(event) = self.sides[index].endpoint.poll_event() {
                self.sides[index].take(now, &event);
            }
            while let Some(transmit) = self.sides[index].endpoint.poll_transmit() {
                self.fly(&transmit);
            }
        }
        true
    }

    fn fly(&mut self, transmit: &Transmit) {
        let to = ADDRESSES.iter().position(|address| transmit.hop.address == socket(address)).expect("a known address");
        let copies = 1 + u64::from(self.entropy.below(100) < self.weather.repeat);
        for _ in 0..copies {
            if self.entropy.below(100) < self.weather.loss {
                continue;
            }
            self.count += 1;
            let at = self.now + Duration::from_millis(1 + self.entropy.below(self.weather.delay));
            self.flying.insert((at, self.count), (to, transmit.payload.clone()));
        }
    }

    fn run(mut self, calls: usize) -> [Side; 2] {
        for _ in 0..calls {
            let from = self.entropy.below(2) as usize;
            self.call(from);
            let limit = self.now + Duration::from_millis(self.entropy.below(200));
            while self.step(limit) {}
            self.now = limit;
        }
        let end = self.now + seconds(1000);
        while self.step(end) {}
        for side in &mut self.sides {
            assert_eq!(side.endpoint.census(), Census::default());
            assert!(side.open.is_empty(), "legs that were never closed: {:?}", side.open);
            assert!(side.plans.is_empty() && side.endpoint.next_timeout().is_none());
        }
        self.sides
    }
}

#[test]
fn in_fair_weather_every_answer_is_acknowledged() {
    let sides = World::new(1, Weather { loss: 0, repeat: 0, delay: 20 }).run(1000);
    assert_eq!(sides[0].closed.len() + sides[1].closed.len(), 2000);
    assert!(sides[0].answered + sides[1].answered > 500);
    assert!(sides[0].acknowledged + sides[1].acknowledged >= sides[0].answered + sides[1].answered);
}

#[test]
fn loss_repetition_and_reordering_leave_nothing_behind() {
    for seed in 2..8 {
        let weather = Weather { loss: 5 + seed * 4, repeat: 20, delay: 900 };
        let sides = World::new(seed, weather).run(300);
        assert!(sides[0].closed.len() + sides[1].closed.len() > 500);
    }
}

#[test]
fn a_network_that_loses_nearly_everything_leaves_nothing_behind() {
    World::new(77, Weather { loss: 80, repeat: 50, delay: 3000 }).run(300);
}

/// Both sides ask for whatever there is.
fn on_terms(mut world: World, reliable: Wish, timer: session_timer::Policy) -> World {
    for side in &mut world.sides {
        side.terms = Terms { reliable, session_timer: timer };
        side.patience = 400_000;
    }
    world
}

fn ninety_seconds() -> session_timer::Policy {
    let wish = session_timer::Wish::Ask { expires: seconds(90), refresher: session_timer::Preference::Any };
    session_timer::Policy { wish, min_se: seconds(90) }
}

#[test]
fn reliable_responses_and_session_timers_leave_nothing_behind_in_any_weather() {
    for seed in 10..14 {
        let weather = Weather { loss: (seed - 10) * 10, repeat: 20, delay: 900 };
        let sides = on_terms(World::new(seed, weather), Wish::Supported, ninety_seconds()).run(60);
        assert!(sides.iter().all(|side| side.closed.len() > 40));
        assert!(sides.iter().map(|side| side.described_early).sum::<u64>() > 10, "early media was described");
    }
}

#[test]
fn a_network_that_loses_nearly_everything_leaves_no_timer_of_an_extension_behind() {
    let weather = Weather { loss: 80, repeat: 50, delay: 3000 };
    on_terms(World::new(78, weather), Wish::Required, ninety_seconds()).run(60);
}
