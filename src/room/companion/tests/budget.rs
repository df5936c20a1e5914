//! Many calls and one REST budget: what waits, what goes first, and what is dropped.

use super::*;
use crate::room::budget::Limits;

const WITHOUT_BOT: &str = "[[room]]\n";

/// `all` REST requests a second.
fn house(rooms: &str, all: u32, updates: Option<u32>) -> House {
    House::with(Settings { limits: Limits { all, updates }, ..fixture::settings(rooms) })
}

impl House {
    /// Goes to the next timer.
    fn advance(&mut self) {
        let due = self.companion.next_timeout().expect("something is due");
        self.pass(due.saturating_duration_since(self.now));
    }

    fn requested(&self) -> Vec<String> {
        self.flights.iter().map(|(_, request)| request.line()).collect()
    }

    fn held(&mut self, number: u64) -> CallId {
        let call = self.place(number);
        self.announce(&call, &format!("c-{number}"));
        call
    }
}

/// What became of hundreds of callers who came at once; when each REST request left, and when each caller was failed.
fn rush(house: &mut House, calls: u64) -> (Vec<Instant>, Vec<Instant>) {
    let start = house.now;
    let (mut left, mut failed) = (vec![], vec![]);
    for number in 0..calls {
        house.held(number);
    }
    while house.now < start + Duration::from_secs(120) {
        while let Some((_, request)) = house.flights.first() {
            if request.rank().is_some() {
                left.push(house.now);
            }
            if let Some(Request::StartBot(start)) = house.serve() {
                let url = start.body["ready_url"].as_str().unwrap();
                let room = url.trim_end_matches("/ready").rsplit('/').next().unwrap().to_owned();
                house.ready(&room, start.body["ready_token"].as_str().unwrap());
            }
        }
        let failures = house.told.iter().filter(|(_, told)| matches!(told, Instruction::Failed { .. })).count();
        failed.resize(failures, house.now);
        if house.companion.next_timeout().is_none() {
            break;
        }
        house.advance();
    }
    (left, failed)
}

#[test]
fn hundreds_of_calls_at_once_stay_within_the_budget_and_all_get_their_verdict() {
    for updates in [None, Some(1)] {
        let mut house = house(WITH_BOT, 20, updates);
        let start = house.now;
        let (left, failed) = rush(&mut house, 400);
        let within =
            |from: &Instant| left.iter().filter(|at| *at >= from && **at < *from + Duration::from_secs(1)).count();
        let busiest = left.iter().map(within).max().unwrap();
        assert!((15..=20).contains(&busiest), "{busiest} requests in a second");
        let connected = house.connected().len();
        assert_eq!(connected + failed.len(), 400);
        assert!(connected >= if updates.is_none() { 100 } else { 10 }, "{connected} were connected");
        let at_once = failed.iter().filter(|at| **at == start).count();
        assert!(at_once > 50, "who cannot be served in time is told at once: {at_once}");
        assert!(house.counted().contains(&("rest", "no_time")));
    }
}

#[test]
fn a_caller_who_hangs_up_gives_up_the_place_in_the_queue() {
    let mut house = house(WITHOUT_BOT, 1, None);
    house.held(1);
    let gone = house.held(2);
    house.held(3);
    assert_eq!(house.requested(), ["POST /rooms"], "the others wait");
    house.end(&gone);
    assert!(house.counted().contains(&("rest", "withdrawn")));
    assert_eq!(house.companion.census().flights, 2);
    house.pass(Duration::from_secs(1));
    let names: Vec<_> = house.flights.iter().map(|(_, request)| request.detail().unwrap()).collect();
    assert_eq!(names.len(), 2, "the third is the second now");
}

#[test]
fn a_wait_for_the_budget_is_a_step_of_the_record() {
    let mut house = house(WITHOUT_BOT, 1, None);
    house.held(1);
    let second = house.held(2);
    house.pass(Duration::from_secs(1));
    let expected =
        Step::Companion { stage: "room".to_owned(), outcome: "POST /rooms waited 1s for the REST budget".to_owned() };
    assert!(house.told.contains(&(second, Instruction::Decided(expected))), "{:#?}", house.told);
}

#[test]
fn an_update_that_waits_is_never_sent_once_somebody_else_connected_the_caller() {
    let mut house = house(WITHOUT_BOT, 1, None);
    let call = house.held(1);
    let Some(Request::CreateRoom { name, .. }) = house.serve() else { panic!("no room") };
    house.event("e-1", EventKind::Ready(None), &name);
    assert_eq!(house.requested(), Vec::<String>::new(), "the update waits for its turn");
    house.event("e-2", EventKind::Connected, &name);
    assert_eq!(house.connected(), std::slice::from_ref(&call));
    house.pass(Duration::from_secs(30));
    assert_eq!(house.requested(), Vec::<String>::new());
    house.end(&call);
    assert!(house.is_empty());
}

#[test]
fn an_update_goes_before_the_rooms_of_callers_who_came_earlier() {
    let mut house = house(WITHOUT_BOT, 1, None);
    house.held(1);
    let Some(Request::CreateRoom { name, .. }) = house.serve() else { panic!("no room") };
    for number in 2..6 {
        house.held(number);
    }
    house.event("e-1", EventKind::Ready(None), &name);
    house.pass(Duration::from_secs(1));
    assert_eq!(house.requested(), ["pinlessCallUpdate"]);
}

#[test]
fn retry_after_holds_for_every_call() {
    let mut house = house(WITHOUT_BOT, 20, None);
    house.held(1);
    house.held(2);
    let (flight, request) = house.flights.remove(0);
    let kind = crate::room::request::FailureKind::Refused(429);
    let retry_after = Some(Duration::from_secs(7));
    let failure = crate::room::request::Failure { kind, text: "429".to_owned(), retry_after };
    let reply = Reply { operation: request.operation(), what: "429".to_owned(), outcome: Err(failure) };
    house.companion.landed(house.now, flight, reply);
    house.settle();
    house.flights.clear();
    house.held(3);
    house.pass(Duration::from_millis(6_900));
    assert_eq!(house.requested(), Vec::<String>::new());
    house.pass(Duration::from_millis(4_000));
    assert_eq!(house.requested(), ["POST /rooms", "POST /rooms"]);
}
