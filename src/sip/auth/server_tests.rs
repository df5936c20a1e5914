//! The door as a client meets it: our own client on one side, forgeries on the other.

use super::client::Subject;
use super::server::Asked;
use super::{Account, Credentials, Guard, Hash, Login, Refusal, Settings, Tries};
use crate::clock::Entropy;
use crate::sip::Message;
use crate::sip::endpoint::Headers;
use bytes::Bytes;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn login(username: &str, hashes: &[Hash]) -> Login {
    Login { username: username.to_owned(), password: "secret".to_owned(), hashes: hashes.to_vec() }
}

const URI: &str = "sip:+15550100@gw.example.com";

struct Door {
    guard: Guard,
    now: Instant,
    source: IpAddr,
    entropy: Entropy,
}

fn door() -> Door {
    let now = crate::clock::now();
    let mut entropy = Entropy::seeded(3);
    let settings = Settings { realm: "gw.example.com".to_owned(), lifetime: Duration::from_secs(60) };
    let guard = Guard::new(settings, &mut entropy, now);
    Door { guard, now, source: "192.0.2.1".parse().unwrap(), entropy }
}

fn request(uri: &str, call_id: &str, headers: &Headers) -> Message {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let text =
        format!("INVITE {uri} SIP/2.0\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n{lines}Content-Length: 3\r\n\r\nv=0");
    Message::parse(Bytes::from(text)).unwrap()
}

fn account(username: &str, password: &str) -> Account {
    let (username, password) = (username.to_owned(), password.to_owned());
    Account::new(Arc::new(Credentials { username, password, realm: None }))
}

const SUBJECT: Subject<'_> = Subject { method: "INVITE", uri: URI, body: b"v=0" };

// === impl Door ===

impl Door {
    fn check(&mut self, request: &Message) -> Result<usize, Refusal> {
        let asked = Asked { scope: "trunk", source: self.source, request };
        self.guard.check(self.now, &asked, &[&login("pbx", &Hash::ALL)])
    }

    fn challenge(&mut self, request: &Message, refusal: Refusal) -> Headers {
        let asked = Asked { scope: "trunk", source: self.source, request };
        self.guard.challenges(self.now, &asked, &Hash::ALL, refusal)
    }

    /// Headers as the account answers a challenge for this Call-ID.
    fn answer(&mut self, account: &mut Account, call_id: &str) -> Headers {
        let challenges = self.challenge(&request(URI, call_id, &vec![]), Refusal::Missing);
        let lines: String = challenges.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let response = Message::parse(Bytes::from(format!("SIP/2.0 401 x\r\n{lines}\r\n"))).unwrap();
        assert!(account.challenged(&response, &mut Tries::default(), &mut self.entropy));
        account.authorize(&SUBJECT)
    }
}

#[test]
fn the_right_password_comes_in_once_per_count() {
    let mut door = door();
    assert_eq!(door.check(&request(URI, "a", &vec![])), Err(Refusal::Missing));
    let mut account = account("pbx", "secret");
    let headers = door.answer(&mut account, "a");
    assert_eq!(door.check(&request(URI, "a", &headers)), Ok(0));
    assert_eq!(door.check(&request(URI, "a", &headers)), Err(Refusal::Replayed));
    let next = account.authorize(&SUBJECT);
    assert_eq!(door.check(&request(URI, "a", &next)), Ok(0));
}

#[test]
fn challenges_are_offered_in_the_order_of_their_strength_and_the_strongest_is_used() {
    let mut door = door();
    let challenges = door.challenge(&request(URI, "a", &vec![]), Refusal::Missing);
    let order: Vec<bool> = challenges
        .iter()
        .zip(["SHA-512-256", "SHA-256", "MD5"])
        .map(|((_, value), name)| value.contains(&format!("algorithm={name},")) && !value.contains("stale"))
        .collect();
    assert_eq!(order, [true; 3]);
    let headers = door.answer(&mut account("pbx", "secret"), "a");
    assert!(headers[0].1.contains("algorithm=SHA-512-256"));
}

#[test]
fn a_wrong_user_and_a_wrong_password_look_the_same() {
    let mut door = door();
    let mut told = vec![];
    for (username, password) in [("pbx", "guess"), ("nobody", "secret")] {
        let headers = door.answer(&mut account(username, password), "a");
        let refused = request(URI, "a", &headers);
        let refusal = door.check(&refused).unwrap_err();
        assert_eq!(refusal, Refusal::Wrong);
        told.push(door.challenge(&refused, refusal));
    }
    assert_eq!(told[0], told[1]);
    assert!(!told[0][0].1.contains("stale"));
}

#[test]
fn an_old_nonce_is_stale_only_for_who_knows_the_password() {
    let mut door = door();
    let (mut good, mut bad) = (account("pbx", "secret"), account("pbx", "guess"));
    let (good, bad) = (door.answer(&mut good, "a"), door.answer(&mut bad, "a"));
    door.now += Duration::from_secs(61);
    let refused = request(URI, "a", &good);
    assert_eq!(door.check(&refused), Err(Refusal::Stale));
    assert!(door.challenge(&refused, Refusal::Stale)[0].1.ends_with("stale=true"));
    assert_eq!(door.check(&request(URI, "a", &bad)), Err(Refusal::Wrong));
}

#[test]
fn what_was_overheard_opens_no_other_call_and_no_other_place() {
    let mut door = door();
    let headers = door.answer(&mut account("pbx", "secret"), "a");
    assert_eq!(door.check(&request(URI, "b", &headers)), Err(Refusal::Stale), "another call");
    assert_eq!(door.check(&request("sip:+15550199@gw.example.com", "a", &headers)), Err(Refusal::Malformed));
    door.source = "192.0.2.9".parse().unwrap();
    assert_eq!(door.check(&request(URI, "a", &headers)), Err(Refusal::Stale), "another address");
    door.source = "192.0.2.1".parse().unwrap();
    assert_eq!(door.check(&request("sip:+15550100@10.0.0.1:5070", "a", &headers)), Ok(0), "an SBC changed the host");
}

#[test]
fn guessing_is_slowed_down_and_a_success_forgives() {
    let mut door = door();
    let guess = |door: &mut Door| {
        let headers = door.answer(&mut account("pbx", "guess"), "a");
        door.check(&request(URI, "a", &headers)).unwrap_err()
    };
    for _ in 0..10 {
        assert_eq!(guess(&mut door), Refusal::Wrong);
    }
    assert!(matches!(guess(&mut door), Refusal::Limited { .. }));
    let right = door.answer(&mut account("pbx", "secret"), "a");
    assert!(matches!(door.check(&request(URI, "a", &right)), Err(Refusal::Limited { .. })), "nothing is checked");
    assert_eq!(door.check(&request(URI, "a", &vec![])), Err(Refusal::Missing), "a challenge is no guess");
    door.now += Duration::from_secs(6);
    assert_eq!(door.check(&request(URI, "a", &right)), Ok(0));
    assert_eq!(guess(&mut door), Refusal::Wrong);
}

#[test]
fn an_algorithm_that_is_not_offered_does_not_open() {
    let mut door = door();
    let headers = door.answer(&mut account("pbx", "secret"), "a");
    let request = request(URI, "a", &headers);
    let asked = Asked { scope: "trunk", source: door.source, request: &request };
    assert_eq!(door.guard.check(door.now, &asked, &[&login("pbx", &[Hash::Md5])]), Err(Refusal::Wrong));
}

#[test]
fn one_of_several_users_is_found_by_its_name_or_its_hash() {
    let mut door = door();
    let headers = door.answer(&mut account("pbx", "secret"), "a");
    let request = request(URI, "a", &headers);
    let asked = Asked { scope: "trunk", source: door.source, request: &request };
    let logins = [login("other", &Hash::ALL), login("pbx", &Hash::ALL)];
    assert_eq!(door.guard.check(door.now, &asked, &[&logins[0], &logins[1]]), Ok(1));
}

#[test]
fn credentials_for_another_realm_are_for_somebody_else() {
    let mut door = door();
    let mut headers = door.answer(&mut account("pbx", "secret"), "a");
    headers[0].1 = headers[0].1.replace("gw.example.com\", nonce", "sbc.example.com\", nonce");
    assert_eq!(door.check(&request(URI, "a", &headers)), Err(Refusal::Missing));
}
