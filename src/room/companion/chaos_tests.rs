//! Thousands of seeded runs against a cloud, a bot and a network that misbehave in every way they can: late, twice, out of
//! order, lost, refused. Whatever happens, the promises of `docs/companion.md` must hold.

use super::*;
use crate::room::Evidence;
use crate::room::budget::Limits;
use crate::room::held::fixture;
use crate::room::request::{Failure, FailureKind, Operation, Product, Room};
use std::collections::HashSet;

const RUNS: u64 = 4_000;

const PLANS: [&str; 8] = [
    fixture::WITH_BOT,
    "[[room]]\n",
    "[[room]]\nuse = 'lobby'\nready_token = 'lobby-key'\n",
    "[[room]]\nuse = 'lobby'\nbot = { start_url = 'http://bots.example.com/start' }\nready_timeout = '3s'\n",
    "[[room]]\nconnect = 'bot'\nbot = { start_url = 'http://bots.example.com/start' }\n",
    "[[room]]\nconnect = 'bot'\nuse = 'lobby'\n",
    "[[room]]\nuse = 'lobby'\nready_token = 'lobby-key'\n\
     [[room]]\nbot = { start_url = 'http://bots.example.com/start' }\n",
    "[[room]]\nshare = 50\nbot = { start_url = 'http://one.example.com' }\n\
     [[room]]\nbot = { start_url = 'http://two.example.com' }\n\
     [[room]]\nbot = { kind = 'pipecat-cloud', agent = 'a' }\nconnect = 'gateway'\n",
];

/// What the world knows of one call.
#[derive(Default)]
struct Truth {
    placed: bool,
    ended: bool,
    /// Somebody told the companion that the call's room is ready.
    ready: bool,
    /// callIds that Daily gave it.
    call_ids: Vec<String>,
    /// Verdicts of the companion.
    connected: u32,
    failed: u32,
}

/// Something that will happen.
enum Happening {
    Report(Report),
    DialIn(DialIn),
    Reply(FlightId, Reply),
    Ready { room: String, token: String },
    Daily(Event),
}

struct World {
    entropy: Entropy,
    start: Instant,
    now: Instant,
    companion: Companion,
    future: Vec<(Instant, Happening)>,
    calls: HashMap<CallId, Truth>,
    owners: HashMap<String, CallId>,
    rooms: HashMap<String, HashSet<CallId>>,
    shared: bool,
    by_bot: bool,
    /// Ready signals, and callers that were sent, by room.
    signals: HashMap<String, usize>,
    served: HashMap<String, HashSet<CallId>>,
    event_ids: HashSet<String>,
    aborted: HashSet<FlightId>,
    /// Updates that took effect, by callId.
    effective: HashMap<String, u32>,
    /// Updates that may have taken effect as far as the companion can tell.
    doubtful: HashMap<String, u32>,
    limits: Limits,
    /// When REST requests left, and which of them were updates.
    left: Vec<(Instant, bool)>,
    /// How many SIP addresses the lobby has, and who was sent to which.
    addresses: u64,
    lent: HashMap<String, CallId>,
    /// Starts of bots that worked.
    started: HashSet<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut entropy = Entropy::seeded(seed);
        let plan = PLANS[usize::try_from(entropy.below(8)).unwrap()];
        let evidence = if entropy.below(2) == 0 { Evidence::Events } else { Evidence::Nothing };
        let all = [1, 2, 5, 20][usize::try_from(entropy.below(4)).unwrap()];
        let limits = Limits { all, updates: (entropy.below(2) == 0).then_some(1) };
        let settings = Settings { evidence, limits, ..fixture::settings(plan) };
        let now = crate::clock::now();
        let companion = Companion::new(settings, Arc::new(()), entropy.fork());
        let mut world = Self {
            entropy,
            start: now,
            now,
            companion,
            future: vec![],
            calls: HashMap::new(),
            owners: HashMap::new(),
            rooms: HashMap::new(),
            shared: plan.contains("lobby"),
            by_bot: plan.contains("'bot'"),
            signals: HashMap::new(),
            served: HashMap::new(),
            event_ids: HashSet::new(),
            aborted: HashSet::new(),
            effective: HashMap::new(),
            doubtful: HashMap::new(),
            limits,
            left: vec![],
            started: HashSet::new(),
            addresses: 0,
            lent: HashMap::new(),
        };
        world.addresses = 1 + world.entropy.below(3);
        for number in 0..=world.entropy.below(4) {
            world.plan_call(number);
        }
        world
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.entropy.below(100) < percent
    }

    fn at(&mut self, up_to_ms: u64, event: Happening) {
        let at = self.now + Duration::from_millis(self.entropy.below(up_to_ms));
        self.future.push((at, event));
    }

    fn plan_call(&mut self, number: u64) {
        let call = fixture::numbered_call(number);
        self.calls.insert(call.clone(), Truth::default());
        let placed = self.now + Duration::from_millis(self.entropy.below(1_000));
        self.future.push((placed, Happening::Report(Report::Placed(fixture::facts_of(call.clone())))));
        let mut last = placed;
        if self.chance(90) {
            last += Duration::from_millis(self.entropy.below(2_000));
            self.future.push((last, Happening::Report(Report::Answered(call.clone()))));
        }
        for attempt in 0..self.entropy.below(3) {
            let call_id = format!("c-{number}-{attempt}");
            self.owners.insert(call_id.clone(), call.clone());
            for _ in 0..=self.entropy.below(2) {
                self.at(20_000, Happening::DialIn(fixture::dial_in_of(&call, &call_id)));
            }
        }
        if self.chance(15) {
            last += Duration::from_millis(self.entropy.below(8_000));
            self.future.push((last, Happening::Report(Report::Placed(fixture::facts_of(call.clone())))));
        }
        if self.chance(60) {
            last += Duration::from_millis(self.entropy.below(40_000));
            self.future.push((last, Happening::Report(Report::Ended(call))));
        }
    }

    fn run(&mut self) {
        loop {
            self.settle();
            let next = self.future.iter().map(|(at, _)| *at).min();
            let timeout = self.companion.next_timeout();
            let Some(at) = next.into_iter().chain(timeout).min() else { break };
            assert!(at >= self.now || timeout.is_some(), "time goes forward");
            self.now = self.now.max(at);
            if timeout.is_some_and(|timeout| timeout <= self.now) && self.chance(70) {
                self.companion.expire(self.now);
                continue;
            }
            if let Some(position) = self.future.iter().position(|(at, _)| *at <= self.now) {
                let (_, event) = self.future.swap_remove(position);
                self.happen(event);
            } else {
                self.companion.expire(self.now);
            }
        }
    }

    fn happen(&mut self, event: Happening) {
        match event {
            Happening::Report(report) => {
                match &report {
                    Report::Placed(facts) => {
                        let truth = self.calls.get_mut(&facts.call_id).unwrap();
                        if truth.ended {
                            return;
                        }
                        truth.placed = true;
                        if self.shared && !self.rooms.values().any(|calls| calls.contains(&facts.call_id)) {
                            self.rooms.entry("lobby".to_owned()).or_default().insert(facts.call_id.clone());
                        }
                    }
                    Report::Ended(call) => self.calls.get_mut(call).unwrap().ended = true,
                    Report::Answered(_) => {}
                }
                self.companion.report(self.now, report);
            }
            Happening::DialIn(dial_in) => self.companion.dial_in(self.now, dial_in),
            Happening::Reply(flight, reply) if !self.aborted.contains(&flight) => {
                self.companion.landed(self.now, flight, reply);
            }
            Happening::Reply(..) => {}
            Happening::Ready { room, token } => {
                if self.companion.ready(self.now, &room, &token, None) == ReadyVerdict::Accepted {
                    assert_ne!(token, "guess", "a guessed token opened {room}");
                    self.mark_ready(&room);
                }
            }
            Happening::Daily(event) => {
                let first = event.id.as_ref().is_none_or(|id| self.event_ids.insert(id.clone()));
                if first && matches!(event.kind, EventKind::Ready(_)) {
                    self.mark_ready(&event.room);
                }
                self.companion.event(self.now, event);
            }
        }
    }

    fn mark_ready(&mut self, room: &str) {
        *self.signals.entry(room.to_owned()).or_default() += 1;
        for call in self.rooms.get(room).into_iter().flatten() {
            self.calls.get_mut(call).unwrap().ready = true;
        }
    }

    fn settle(&mut self) {
        while let Some(action) = self.companion.poll_action() {
            match action {
                Action::Perform(flight, request) => self.perform(flight, request),
                Action::Abort(flight) => drop(self.aborted.insert(flight)),
                Action::Instruct(call, instruction) => self.told(&call, &instruction),
            }
        }
    }

    fn told(&mut self, call: &CallId, instruction: &Instruction) {
        let truth = self.calls.get_mut(call).unwrap();
        assert!(!truth.ended, "{call} was told {instruction:?} after its end");
        match instruction {
            Instruction::Connected => truth.connected += 1,
            Instruction::Failed { .. } => truth.failed += 1,
            Instruction::Named(names) => {
                truth.call_ids.push(names.call_id.clone());
                let room = names.room.clone().unwrap();
                if !self.rooms.get(&room).is_some_and(|calls| calls.contains(call)) {
                    // Another plan, another room: what was ready is no longer this call's.
                    for calls in self.rooms.values_mut() {
                        calls.remove(call);
                    }
                    truth.ready = false;
                }
                self.rooms.entry(room).or_default().insert(call.clone());
            }
            _ => {}
        }
        assert!(truth.connected + truth.failed <= 1, "one verdict a call");
    }

    fn perform(&mut self, flight: FlightId, request: Request) {
        let operation = request.operation();
        if operation != Operation::Bot {
            self.left.push((self.now, operation == Operation::Update));
            self.check_budget();
        }
        let (mut outcome, worked) = self.outcome(operation);
        if let (Request::FetchRoom { .. }, Ok(Product::Room(room))) = (&request, &mut outcome) {
            let address = |number| format!("sip:lobby.{number}@example.com");
            room.endpoint = Some(address(0));
            room.more_endpoints = (1..self.addresses).map(address).collect();
        }
        if let Request::Update { call_id, sip_uri, .. } = &request {
            self.check_lease(call_id, sip_uri);
            self.check_update(call_id, &outcome, worked);
        }
        self.consequences(&request, worked);
        let slow = if self.chance(20) { 5_000 } else { 300 };
        self.at(slow, Happening::Reply(flight, Reply { operation, what: String::new(), outcome }));
    }

    fn check_budget(&self) {
        let recent = |only_updates: bool| {
            let young = |at: Instant| self.now.duration_since(at) < Duration::from_secs(1);
            self.left.iter().filter(|(at, update)| young(*at) && (*update || !only_updates)).count()
        };
        assert!(recent(false) <= self.limits.all as usize, "more REST requests in a second than the budget");
        assert!(self.limits.updates.is_none_or(|limit| recent(true) <= limit as usize), "more updates than the budget");
    }

    /// An address of the lobby has one caller at a time.
    fn check_lease(&mut self, call_id: &str, sip_uri: &str) {
        let address = sip_uri.split('?').next().unwrap();
        if !address.starts_with("sip:lobby") {
            return;
        }
        let call = &self.owners[call_id];
        if let Some(other) = self.lent.insert(address.to_owned(), call.clone()) {
            assert!(other == *call || self.calls[&other].ended, "{address} was lent twice");
        }
    }

    fn check_update(&mut self, call_id: &str, outcome: &Result<Product, Failure>, worked: bool) {
        let truth = &self.calls[&self.owners[call_id]];
        assert!(!self.by_bot, "an update that is the bot's affair");
        assert!(truth.ready, "an update before ready");
        let room = self.rooms.iter().find(|(_, calls)| calls.contains(&self.owners[call_id])).unwrap().0;
        let served = self.served.entry(room.clone()).or_default();
        served.insert(self.owners[call_id].clone());
        assert!(served.len() <= self.signals[room], "more callers than ready signals");
        assert!(truth.placed && !truth.ended, "an update without a caller");
        assert_eq!(truth.connected + truth.failed, 0, "an update after the verdict");
        assert_eq!(truth.call_ids.last().map(String::as_str), Some(call_id), "an update of a dead callId");
        let doubtful = self.doubtful.entry(call_id.to_owned()).or_default();
        assert_eq!(*doubtful, 0, "an update after one that may have worked");
        let kind = outcome.as_ref().err().map(|failure| failure.kind);
        *doubtful += u32::from(!matches!(kind, Some(FailureKind::NotSent | FailureKind::Refused(400..=429))));
        let effective = self.effective.entry(call_id.to_owned()).or_default();
        *effective += u32::from(worked);
        assert!(*effective <= 1, "two effective updates");
    }

    /// What the companion hears, and whether the request had its effect.
    fn outcome(&mut self, operation: Operation) -> (Result<Product, Failure>, bool) {
        let fail = |kind, retry_after| Err(Failure { kind, text: format!("{kind:?}"), retry_after });
        let coin = self.chance(50);
        match self.entropy.below(20) {
            0 => (fail(FailureKind::NotSent, None), false),
            1 => (fail(FailureKind::Refused(429), None), false),
            2 => (fail(FailureKind::Refused(429), Some(Duration::from_secs(self.entropy.below(20)))), false),
            3 => (fail(FailureKind::Refused(404), None), false),
            4 => (fail(FailureKind::Refused(400), None), false),
            // A starter that says 503 started nothing; of Daily that is not known.
            5 => (fail(FailureKind::Refused(503), None), coin && operation != Operation::Bot),
            6 => (fail(FailureKind::Lost, None), coin),
            7 => (fail(FailureKind::Unreadable, None), coin),
            _ => {
                let address = Some("sip:r@example.com".to_owned());
                let product = match operation {
                    Operation::Room => {
                        Product::Room(Room { url: Some("u".to_owned()), endpoint: address, ..Room::default() })
                    }
                    Operation::Token => Product::Token(Secret::new("t")),
                    Operation::Bot | Operation::Update => Product::Effect,
                };
                (Ok(product), true)
            }
        }
    }

    /// What the world does because of a request: bots report ready, Daily sends events.
    fn consequences(&mut self, request: &Request, worked: bool) {
        match request {
            Request::StartBot(start) if worked => {
                // Pipecat Cloud has it in `body`.
                let told = start.body.get("body").and_then(|body| body.as_object()).unwrap_or(&start.body);
                assert!(self.started.insert(start.idempotency_key()), "a bot was started twice");
                let url = told["ready_url"].as_str().unwrap();
                let room = url.trim_end_matches("/ready").rsplit('/').next().unwrap().to_owned();
                let token = told["ready_token"].as_str().unwrap().to_owned();
                for _ in 0..self.entropy.below(3) {
                    self.at(25_000, Happening::Ready { room: room.clone(), token: token.clone() });
                }
                self.at(25_000, Happening::Ready { room: room.clone(), token: "guess".to_owned() });
                self.send_ready_events(&room);
                if self.by_bot && self.chance(70) {
                    let event = Event { id: None, kind: EventKind::Connected, room, call: Some(start.call.clone()) };
                    self.at(25_000, Happening::Daily(event));
                }
            }
            Request::CreateRoom { name, .. } | Request::FetchRoom { name } => {
                let name = name.clone();
                if self.chance(40) {
                    self.send_ready_events(&name);
                }
            }
            Request::Update { call_id, .. } if worked => {
                let call = self.owners[call_id].clone();
                let room = self.rooms.iter().find(|(_, calls)| calls.contains(&call)).map(|(room, _)| room.clone());
                for kind in [EventKind::Connected, EventKind::Stopped] {
                    let event = Event { id: None, kind, room: room.clone().unwrap(), call: None };
                    self.at(10_000, Happening::Daily(event));
                }
            }
            _ => {}
        }
    }

    fn send_ready_events(&mut self, room: &str) {
        for endpoint in 0..self.entropy.below(3) {
            let kind = EventKind::Ready((endpoint > 0).then(|| format!("{room}.{endpoint}@example.com")));
            let event = Event { id: Some(format!("{room}-{endpoint}")), kind, room: room.to_owned(), call: None };
            self.at(15_000, Happening::Daily(event.clone()));
            self.at(15_000, Happening::Daily(event));
        }
    }

    /// Every call that did not end by itself got its verdict in time, and nothing is left of any.
    fn conclude(&mut self) {
        // Unanswered, or webhook; room, token, update at 3 x 5 s; bot 10 s; ready 20 s, once more after a failover.
        let deadlines = super::super::held::UNANSWERED + Duration::from_secs(15 * 4 + 10 + 20 * 2);
        let latest = self.start + Duration::from_secs(50) + deadlines * 2;
        assert!(self.now <= latest, "the last thing happened after {:?}", self.now - self.start);
        let calls: Vec<CallId> = self.calls.keys().cloned().collect();
        for call in calls {
            let truth = &self.calls[&call];
            assert!(truth.ended || truth.connected + truth.failed == 1, "{call} has no verdict");
            self.companion.report(self.now, Report::Ended(call.clone()));
            while self.companion.poll_action().is_some() {}
        }
        self.companion.expire(self.now + Duration::from_secs(600));
        assert_eq!(self.companion.census(), Census::default());
    }
}

#[test]
fn no_order_of_events_breaks_a_promise() {
    let (mut connected, mut failed, mut ended) = (0, 0, 0);
    for seed in 0..RUNS {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            world.run();
            world.conclude();
            let count = |of: fn(&Truth) -> u32| world.calls.values().map(of).sum::<u32>();
            (count(|truth| truth.connected), count(|truth| truth.failed), count(|truth| u32::from(truth.ended)))
        });
        let Ok(counts) = outcome else { panic!("seed {seed} breaks a promise, see above") };
        connected += counts.0;
        failed += counts.1;
        ended += counts.2;
    }
    // The runs must reach every kind of end, or they prove nothing.
    assert!(connected > 500 && failed > 500 && ended > 500, "{connected} connected, {failed} failed, {ended} ended");
}
