//! The joining of webhooks, events and ready signals to their calls.

use super::*;
use crate::record::Step;
use crate::room::held::fixture::{self, Counts, WITH_BOT};
use crate::room::request::{Operation, Product, Room};

mod budget;
mod lease;
mod plans;

struct House {
    now: Instant,
    companion: Companion,
    counts: Arc<Counts>,
    flights: Vec<(FlightId, Request)>,
    told: Vec<(CallId, Instruction)>,
}

impl House {
    fn new(rooms: &str) -> Self {
        Self::with(fixture::settings(rooms))
    }

    fn with(settings: Settings) -> Self {
        let counts = Arc::new(Counts::default());
        let companion = Companion::new(settings, Arc::clone(&counts) as _, Entropy::seeded(1));
        Self { now: crate::clock::now(), companion, counts, flights: vec![], told: vec![] }
    }

    fn settle(&mut self) {
        while let Some(action) = self.companion.poll_action() {
            match action {
                Action::Perform(flight, request) => self.flights.push((flight, request)),
                Action::Abort(flight) => self.flights.retain(|(other, _)| *other != flight),
                Action::Instruct(call, instruction) => self.told.push((call, instruction)),
            }
        }
    }

    fn place(&mut self, number: u64) -> CallId {
        let call = fixture::numbered_call(number);
        self.companion.report(self.now, Report::Placed(fixture::facts_of(call.clone())));
        self.companion.report(self.now, Report::Answered(call.clone()));
        self.settle();
        call
    }

    fn announce(&mut self, call: &CallId, call_id: &str) {
        self.companion.dial_in(self.now, fixture::dial_in_of(call, call_id));
        self.settle();
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
        self.companion.expire(self.now);
        self.settle();
    }

    /// Answers the oldest request as a healthy cloud would; says which it was.
    fn serve(&mut self) -> Option<Request> {
        if self.flights.is_empty() {
            return None;
        }
        let (flight, request) = self.flights.remove(0);
        let product = match request.operation() {
            Operation::Room => Product::Room(Room {
                url: Some("https://d.example.com/r".to_owned()),
                endpoint: Some("sip:r@example.com".to_owned()),
                more_endpoints: (1..4).map(|number| format!("sip:r.{number}@example.com")).collect(),
            }),
            Operation::Token => Product::Token(Secret::new("t")),
            Operation::Bot | Operation::Update => Product::Effect,
        };
        let reply = Reply { operation: request.operation(), what: "200 OK".to_owned(), outcome: Ok(product) };
        self.companion.landed(self.now, flight, reply);
        self.settle();
        Some(request)
    }

    /// Serves until the bot was started; its room and ready token.
    fn until_started(&mut self) -> (String, String) {
        while let Some(request) = self.serve() {
            if let Request::StartBot(start) = request {
                let url = start.body["ready_url"].as_str().unwrap();
                let room = url.trim_end_matches("/ready").rsplit('/').next().unwrap().to_owned();
                return (room, start.body["ready_token"].as_str().unwrap().to_owned());
            }
        }
        panic!("no bot was started");
    }

    fn ready(&mut self, room: &str, token: &str) -> ReadyVerdict {
        let verdict = self.companion.ready(self.now, room, token, None);
        self.settle();
        verdict
    }

    fn event(&mut self, id: &str, kind: EventKind, room: &str) {
        let event = Event { id: Some(id.to_owned()), kind, room: room.to_owned(), call: None };
        self.companion.event(self.now, event);
        self.settle();
    }

    fn counted(&self) -> Vec<(&'static str, &'static str)> {
        self.counts.all()
    }

    fn connected(&self) -> Vec<CallId> {
        let connected = self.told.iter().filter(|(_, told)| *told == Instruction::Connected);
        connected.map(|(call, _)| call.clone()).collect()
    }

    fn end(&mut self, call: &CallId) {
        self.companion.report(self.now, Report::Ended(call.clone()));
        self.settle();
    }

    /// After the memory's time nothing may be left.
    fn is_empty(&mut self) -> bool {
        self.pass(Duration::from_secs(600));
        self.companion.census() == Census::default()
    }
}

#[test]
fn webhook_and_report_meet_in_either_order() {
    for webhook_first in [true, false] {
        let mut house = House::new(WITH_BOT);
        let call = fixture::numbered_call(1);
        if webhook_first {
            house.announce(&call, "c-1");
            assert_eq!(house.companion.census().early, 1);
        }
        house.place(1);
        if !webhook_first {
            house.announce(&call, "c-1");
        }
        let (room, token) = house.until_started();
        assert_eq!(house.ready(&room, &token), ReadyVerdict::Accepted);
        house.serve();
        assert_eq!(house.connected(), std::slice::from_ref(&call));
        assert_eq!(house.counted(), [("dialin", "accepted")]);
        house.end(&call);
        assert!(house.is_empty());
    }
}

#[test]
fn the_call_is_named_as_soon_as_daily_names_it() {
    let mut house = House::new(WITH_BOT);
    let call = house.place(1);
    house.announce(&call, "c-1");
    let named = house.told.iter().find_map(|(_, told)| match told {
        Instruction::Named(facts) => Some(facts.clone()),
        _ => None,
    });
    let named = named.unwrap();
    assert_eq!((named.call_id.as_str(), named.call_domain.as_str()), ("c-1", "d-1"));
    assert!(named.room.unwrap().starts_with("call-"));
}

#[test]
fn a_webhook_without_a_call_of_ours_starts_no_bot() {
    let mut house = House::new(WITH_BOT);
    house.announce(&fixture::numbered_call(9), "c-9");
    assert_eq!(house.counted(), []);
    house.pass(GRACE);
    assert_eq!(house.counted(), [("dialin", "unmatched")]);
    let foreign = DialIn { sip_headers: vec![], ..fixture::dial_in("c-8") };
    house.companion.dial_in(house.now, foreign);
    house.settle();
    assert_eq!(house.counted(), [("dialin", "unmatched"); 2]);
    assert!(house.flights.is_empty() && house.told.is_empty());
    assert!(house.is_empty());
}

#[test]
fn a_webhook_that_comes_again_is_absorbed_even_after_the_call() {
    let mut house = House::new(WITH_BOT);
    let call = house.place(1);
    house.announce(&call, "c-1");
    house.announce(&call, "c-1");
    assert_eq!(house.flights.len(), 1);
    house.end(&call);
    house.announce(&call, "c-1");
    let expected = [("dialin", "accepted"), ("dialin", "duplicate"), ("dialin", "duplicate")];
    assert_eq!(house.counted(), expected);
    assert!(house.is_empty());
}

#[test]
fn ready_needs_the_token_of_its_own_room() {
    let mut house = House::new(WITH_BOT);
    let first = house.place(1);
    house.announce(&first, "c-1");
    let (first_room, first_token) = house.until_started();
    let second = house.place(2);
    house.announce(&second, "c-2");
    let (second_room, second_token) = house.until_started();
    assert_ne!(first_token, second_token);
    assert_eq!(house.ready("nowhere", &first_token), ReadyVerdict::UnknownRoom);
    assert_eq!(house.ready(&first_room, &second_token), ReadyVerdict::WrongToken);
    assert_eq!(house.ready(&first_room, ""), ReadyVerdict::WrongToken);
    assert_eq!(house.ready(&second_room, &second_token), ReadyVerdict::Accepted);
    while house.serve().is_some() {}
    assert_eq!(house.connected(), std::slice::from_ref(&second));
    house.end(&second);
    assert_eq!(house.ready(&second_room, &second_token), ReadyVerdict::UnknownRoom);
}

#[test]
fn a_call_that_was_given_up_has_no_room_any_more() {
    let mut house = House::new(WITH_BOT);
    let call = house.place(1);
    house.announce(&call, "c-1");
    let (room, token) = house.until_started();
    house.pass(Duration::from_secs(20));
    assert!(house.told.iter().any(|(_, told)| matches!(told, Instruction::Failed { .. })));
    assert_eq!(house.ready(&room, &token), ReadyVerdict::UnknownRoom);
    house.end(&call);
    assert!(house.is_empty());
}

#[test]
fn a_call_that_was_given_up_is_forgotten_even_if_nobody_reports_its_end() {
    let mut house = House::new(WITH_BOT);
    let call = house.place(1);
    house.pass(Duration::from_secs(15));
    assert!(house.told.iter().any(|(_, told)| matches!(told, Instruction::Failed { .. })));
    house.announce(&call, "c-1");
    let too_late = |(_, told): &(CallId, Instruction)| match told {
        Instruction::Happened { detail: Some(detail), .. } => detail.starts_with("too late"),
        _ => false,
    };
    assert!(house.told.iter().any(too_late) && house.flights.is_empty());
    assert!(house.is_empty());
}

#[test]
fn callers_in_one_shared_room_are_served_in_their_order() {
    let mut house = House::new("[[room]]\nuse = 'lobby'\nready_token = 'lobby-key'\n");
    let calls: Vec<CallId> = (1..=3).map(|number| house.place(number)).collect();
    for (number, call) in calls.iter().enumerate() {
        house.announce(call, &format!("c-{number}"));
    }
    while house.serve().is_some() {}
    assert_eq!(house.ready("lobby", "wrong"), ReadyVerdict::WrongToken);
    house.event("e-1", EventKind::Ready(None), "lobby");
    house.event("e-1", EventKind::Ready(None), "lobby");
    while house.serve().is_some() {}
    assert_eq!(house.connected(), calls[..1]);
    assert_eq!(house.ready("lobby", "lobby-key"), ReadyVerdict::Accepted);
    while house.serve().is_some() {}
    assert_eq!(house.connected(), calls[..2]);
    for call in &calls {
        house.end(call);
    }
    assert!(house.is_empty());
}

#[test]
fn without_a_configured_token_the_ready_url_of_a_botless_plan_opens_for_nobody() {
    let mut house = House::new("[[room]]\nuse = 'lobby'\n");
    house.place(1);
    assert_eq!(house.ready("lobby", ""), ReadyVerdict::WrongToken);
}

#[test]
fn events_are_counted_by_whose_they_are() {
    let mut house = House::new("[[room]]\nuse = 'lobby'\n");
    house.place(1);
    house.event("e-1", EventKind::Connected, "elsewhere");
    house.event("e-2", EventKind::Warning("w".to_owned()), "lobby");
    house.event("e-2", EventKind::Warning("w".to_owned()), "lobby");
    let expected = [("events", "unmatched"), ("events", "accepted"), ("events", "duplicate")];
    assert_eq!(house.counted(), expected);
}

#[test]
fn a_call_without_room_plan_is_given_back_at_once() {
    let mut house = House::new("[[room]]\ntrunk = 'other'\n");
    house.place(1);
    let [(_, Instruction::Decided(_)), (_, Instruction::Failed { termination, on_failure })] = house.told.as_slice()
    else {
        panic!("{:?}", house.told)
    };
    assert_eq!((termination.cause, *on_failure), (Cause::NoRoomPlan, OnFailure::Fallback));
    assert!(house.is_empty());
}

#[test]
fn rooms_get_names_that_cannot_be_guessed_and_the_plans_prefix() {
    let mut house = House::new("[[room]]\ncreate = { name_prefix = 'sales-' }\n");
    let mut names = std::collections::HashSet::new();
    for number in 0..100 {
        let call = house.place(number);
        house.announce(&call, &format!("c-{number}"));
    }
    for (_, request) in &house.flights {
        let Request::CreateRoom { name, .. } = request else { panic!("{request:?}") };
        assert!(name.starts_with("sales-") && name.len() == 22, "{name}");
        assert!(names.insert(name.clone()));
    }
    assert_eq!(names.len(), 100);
}

#[test]
fn stopping_leaves_nothing_behind() {
    let mut house = House::new(WITH_BOT);
    for number in 0..10 {
        let call = house.place(number);
        house.announce(&call, &format!("c-{number}"));
    }
    house.announce(&fixture::numbered_call(99), "c-99");
    house.companion.stop(house.now);
    house.settle();
    assert!(house.flights.is_empty(), "requests were aborted");
    assert!(house.is_empty());
}
