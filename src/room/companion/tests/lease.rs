//! Calls that share a room that exists, each at a SIP address of its own.

use super::*;

const LOBBY: &str = "[[room]]\nuse = 'lobby'\nready_token = 'lobby-key'\n";
const LOBBY_THEN_OWN: &str = "[[room]]\nuse = 'lobby'\nready_token = 'lobby-key'\n[[room]]\nbot = { start_url = 'http://bots.example.com/start' }\n";

impl House {
    /// Calls up to the answers of `GET /rooms`; the room has four addresses.
    fn lobby(&mut self, numbers: std::ops::Range<u64>) -> Vec<CallId> {
        numbers
            .map(|number| {
                let call = self.place(number);
                self.announce(&call, &format!("c-{number}"));
                self.serve().expect("the room is looked up");
                call
            })
            .collect()
    }

    /// Where callers were sent since the last look.
    fn sent_to(&mut self) -> Vec<(String, String)> {
        let mut sent = vec![];
        while let Some(request) = self.serve() {
            if let Request::Update { call_id, sip_uri, .. } = request {
                sent.push((call_id, sip_uri.split('?').next().unwrap().to_owned()));
            }
        }
        sent
    }
}

fn sent(call_id: &str, address: &str) -> (String, String) {
    (call_id.to_owned(), format!("sip:{address}@example.com"))
}

#[test]
fn every_caller_gets_an_address_of_his_own() {
    let mut house = House::new(LOBBY);
    let calls = house.lobby(0..4);
    for _ in &calls {
        assert_eq!(house.ready("lobby", "lobby-key"), ReadyVerdict::Accepted);
    }
    let expected = [sent("c-0", "r"), sent("c-1", "r.1"), sent("c-2", "r.2"), sent("c-3", "r.3")];
    assert_eq!(house.sent_to(), expected);
    for call in &calls {
        house.end(call);
    }
    assert!(house.is_empty());
}

#[test]
fn a_caller_beyond_the_last_address_waits_for_the_first_that_comes_free() {
    let mut house = House::new(LOBBY);
    let calls = house.lobby(0..6);
    for _ in &calls {
        house.ready("lobby", "lobby-key");
    }
    assert_eq!(house.sent_to().len(), 4);
    assert_eq!(house.companion.leases.count(), (4, 2));
    house.end(&calls[2]);
    house.pass(Duration::from_secs(1));
    assert_eq!(house.sent_to(), [sent("c-4", "r.2")], "who waited longest");
    house.pass(Duration::from_secs(15));
    let failed = house.told.iter().find_map(|(call, told)| match told {
        Instruction::Failed { termination, .. } => Some((call.clone(), termination.cause, termination.detail.clone())),
        _ => None,
    });
    let (call, cause, detail) = failed.unwrap();
    assert_eq!((call, cause), (calls[5].clone(), Cause::RoomFailed));
    assert!(detail.unwrap().contains("every SIP address of lobby has a caller"));
    assert_eq!(house.companion.leases.count(), (4, 0));
    for call in &calls {
        house.end(call);
    }
    assert!(house.is_empty());
}

#[test]
fn a_caller_beyond_the_last_address_is_served_by_the_next_plan_if_there_is_one() {
    let mut house = House::new(LOBBY_THEN_OWN);
    let calls = house.lobby(0..5);
    let (room, token) = house.until_started();
    assert!(room.starts_with("call-"), "{room}");
    assert_eq!(house.ready(&room, &token), ReadyVerdict::Accepted);
    house.sent_to();
    assert_eq!(house.connected(), calls[4..]);
    assert_eq!(house.companion.leases.count(), (4, 0));
    for call in &calls {
        house.end(call);
    }
    assert!(house.is_empty());
}

#[test]
fn an_event_that_names_an_address_is_for_the_call_that_has_it() {
    let mut house = House::new(LOBBY);
    let calls = house.lobby(0..3);
    house.event("e-1", EventKind::Ready(Some("r.2@example.com".to_owned())), "lobby");
    house.event("e-2", EventKind::Ready(Some("r.3@example.com".to_owned())), "lobby");
    assert_eq!(house.sent_to(), [sent("c-2", "r.2")]);
    house.event("e-3", EventKind::Ready(Some("sip:R@example.com".to_owned())), "lobby");
    assert_eq!(house.sent_to(), [sent("c-0", "r")]);
    for call in &calls {
        house.end(call);
    }
    assert!(house.is_empty());
}

#[test]
fn an_address_that_was_ready_before_the_lease_is_the_one_that_is_lent() {
    let mut house = House::new(LOBBY);
    let call = house.place(1);
    house.event("e-1", EventKind::Ready(Some("sip:r.2@example.com".to_owned())), "lobby");
    house.announce(&call, "c-1");
    assert_eq!(house.sent_to(), [sent("c-1", "r.2")]);
    house.end(&call);
    assert!(house.is_empty());
}
