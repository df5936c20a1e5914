//! A plan whose bots are at capacity, and the next one.

use super::*;
use crate::room::request::{Failure, FailureKind, StartBot};

const TWO_PLANS: &str = "[[room]]\ncreate = { name_prefix = 'first-' }\nbot = { start_url = 'http://one.example.com/start' }\n\
     [[room]]\ntrunk = 'other'\n\
     [[room]]\ncreate = { name_prefix = 'second-' }\nbot = { start_url = 'http://two.example.com/start' }\n";

impl House {
    /// Serves until a bot's start is out.
    fn until_start(&mut self) -> Box<StartBot> {
        while !matches!(self.flights.first(), Some((_, Request::StartBot(_)))) {
            self.serve().expect("a start comes");
        }
        let Some((_, Request::StartBot(start))) = self.flights.first() else { panic!("no start") };
        start.clone()
    }

    /// The oldest request is refused.
    fn refuse(&mut self, status: u16) {
        let (flight, request) = self.flights.remove(0);
        let text = format!("{status} no free session");
        let failure = Failure { kind: FailureKind::Refused(status), text, retry_after: None };
        let reply = Reply { operation: request.operation(), what: status.to_string(), outcome: Err(failure) };
        self.companion.landed(self.now, flight, reply);
        self.settle();
    }

    fn outcomes(&self) -> Vec<String> {
        let steps = self.told.iter().filter_map(|(_, told)| match told {
            Instruction::Decided(Step::Companion { stage, outcome }) => Some(format!("{stage}: {outcome}")),
            Instruction::Decided(Step::Room { plan, failed, .. }) => Some(format!("plan {plan}: {failed:?}")),
            _ => None,
        });
        steps.collect()
    }
}

#[test]
fn a_bot_at_capacity_moves_the_call_on_to_the_next_plan_that_fits() {
    for status in [429, 503] {
        let mut house = House::new(TWO_PLANS);
        let call = house.place(1);
        house.announce(&call, "c-1");
        let first = house.until_start();
        assert_eq!(first.idempotency_key(), call.as_str());
        house.refuse(status);
        let second = house.until_start();
        assert_eq!(
            (first.url.as_str(), second.url.as_str()),
            ("http://one.example.com/start", "http://two.example.com/start")
        );
        assert_eq!(second.idempotency_key(), format!("{}.1", call.as_str()), "another start");
        assert_eq!(first.traceparent, second.traceparent, "one call, one trace");
        let outcomes = house.outcomes();
        let at_capacity = format!("bot: {status} no free session: at capacity, so the next plan is tried");
        let at = outcomes.iter().position(|outcome| *outcome == at_capacity).unwrap_or_else(|| panic!("{outcomes:#?}"));
        assert_eq!(outcomes[at + 1], "plan 1: Some(\"the trunk is `pbx`, not `other`\")");
        assert_eq!(outcomes[at + 2], "plan 2: None");

        let (room, token) = house.until_started();
        assert!(room.starts_with("second-"), "{room}");
        let old = first.body["ready_url"].as_str().unwrap().trim_end_matches("/ready").rsplit('/').next().unwrap();
        let old_token = first.body["ready_token"].as_str().unwrap();
        assert_eq!(house.ready(old, old_token), ReadyVerdict::UnknownRoom, "the old room is nobody's");
        assert_eq!(house.ready(&room, old_token), ReadyVerdict::WrongToken);
        assert_eq!(house.ready(&room, &token), ReadyVerdict::Accepted);
        house.serve();
        assert_eq!(house.connected(), std::slice::from_ref(&call));
        assert_eq!(house.counts.bots(), ["at_capacity", "started"]);
        house.end(&call);
        assert!(house.is_empty());
    }
}

#[test]
fn the_last_plan_is_tried_again_as_long_as_its_stage_lasts() {
    let mut house = House::new(TWO_PLANS);
    let call = house.place(1);
    house.announce(&call, "c-1");
    house.until_start();
    house.refuse(429);
    let key = house.until_start().idempotency_key();
    house.refuse(429);
    assert!(house.flights.is_empty());
    house.pass(Duration::from_secs(1));
    assert_eq!(house.until_start().idempotency_key(), key, "the same start");
    house.pass(Duration::from_secs(10));
    let failed = house.told.iter().find_map(|(_, told)| match told {
        Instruction::Failed { termination, .. } => Some(termination.cause),
        _ => None,
    });
    assert_eq!(failed, Some(Cause::BotFailed));
    assert_eq!(house.counts.bots(), ["at_capacity", "failed"]);
    house.end(&call);
    assert!(house.is_empty());
}

#[test]
fn a_start_that_may_have_worked_moves_nothing_on() {
    let mut house = House::new(TWO_PLANS);
    let call = house.place(1);
    house.announce(&call, "c-1");
    house.until_start();
    house.refuse(500);
    assert!(house.flights.is_empty(), "two bots would greet the caller");
    assert!(house.told.iter().any(|(_, told)| matches!(told, Instruction::Failed { .. })));
}

#[test]
fn a_call_that_changed_meanwhile_and_fits_no_other_plan_fails() {
    let mut house = House::new(
        "[[room]]\nbot = { start_url = 'http://one.example.com/start' }\n[[room]]\ncalled = '0100$'\nuse = 'lobby'\n",
    );
    let call = house.place(1);
    house.announce(&call, "c-1");
    house.until_start();
    let moved = CallFacts { called: "+15550199".to_owned(), ..fixture::facts_of(call.clone()) };
    house.companion.report(house.now, Report::Placed(moved));
    house.settle();
    house.refuse(429);
    assert!(house.told.iter().any(|(_, told)| matches!(told, Instruction::Failed { .. })));
    house.end(&call);
    assert!(house.is_empty());
}
