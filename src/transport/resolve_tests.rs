//! The cache under a clock and a name server of our own.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A resolver over `answer`, the number of questions it asked, and the hand of its clock.
fn resolver(families: Families, answer: &'static [&'static str]) -> (Resolver, Arc<AtomicUsize>, Arc<Mutex<Instant>>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let hand = Arc::new(Mutex::new(crate::clock::now()));
    let (counter, reading) = (Arc::clone(&asked), Arc::clone(&hand));
    let lookup = move |_: String| -> Lookup {
        counter.fetch_add(1, SeqCst);
        Box::pin(async move {
            tokio::task::yield_now().await;
            match answer {
                [] => Err(std::io::Error::other("no such name")),
                some => Ok(some.iter().map(|address| address.parse().unwrap()).collect()),
            }
        })
    };
    (Resolver::with(families, lookup, move || *reading.lock().unwrap()), asked, hand)
}

fn addresses(list: &[&str]) -> Vec<SocketAddr> {
    list.iter().map(|address| address.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_literal_is_itself_and_the_protocol_gives_the_port() {
    let (resolver, asked, _) = resolver(Families::Both, &[]);
    assert_eq!(resolver.resolve("192.0.2.1", None, Protocol::Tcp).await.unwrap(), addresses(&["192.0.2.1:5060"]));
    assert_eq!(
        resolver.resolve("[2001:db8::1]", None, Protocol::Tls).await.unwrap(),
        addresses(&["[2001:db8::1]:5061"])
    );
    assert_eq!(asked.load(SeqCst), 0);
}

#[tokio::test]
async fn an_answer_is_remembered_for_thirty_seconds_in_any_spelling() {
    let (resolver, asked, hand) = resolver(Families::Both, &["192.0.2.1", "2001:db8::1"]);
    for host in ["pbx.example.com", "PBX.Example.com."] {
        let found = resolver.resolve(host, Some(5070), Protocol::Udp).await.unwrap();
        assert_eq!(found, addresses(&["192.0.2.1:5070", "[2001:db8::1]:5070"]));
    }
    assert_eq!(asked.load(SeqCst), 1);
    *hand.lock().unwrap() += POSITIVE;
    resolver.resolve("pbx.example.com", None, Protocol::Udp).await.unwrap();
    assert_eq!(asked.load(SeqCst), 2);
}

#[tokio::test]
async fn a_failure_is_remembered_for_five_seconds() {
    let (resolver, asked, hand) = resolver(Families::Both, &[]);
    for _ in 0..2 {
        let error = resolver.resolve("gone.example.com", None, Protocol::Udp).await.unwrap_err();
        assert_eq!(error.to_string(), "gone.example.com does not resolve: no such name");
    }
    assert_eq!(asked.load(SeqCst), 1);
    *hand.lock().unwrap() += NEGATIVE;
    resolver.resolve("gone.example.com", None, Protocol::Udp).await.unwrap_err();
    assert_eq!(asked.load(SeqCst), 2);
}

#[tokio::test]
async fn many_who_want_one_name_ask_once() {
    let (resolver, asked, _) = resolver(Families::Both, &["192.0.2.1"]);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let resolver = resolver.clone();
        waiting.spawn(async move { resolver.resolve("pbx.example.com", None, Protocol::Udp).await });
    }
    assert!(waiting.join_all().await.iter().all(Result::is_ok));
    assert_eq!(asked.load(SeqCst), 1);
}

#[tokio::test]
async fn only_families_that_we_listen_in_are_given() {
    let (resolver_4, ..) = resolver(Families::V4, &["2001:db8::1", "192.0.2.1"]);
    let found = resolver_4.resolve("pbx.example.com", None, Protocol::Udp).await.unwrap();
    assert_eq!(found, addresses(&["192.0.2.1:5060"]));
    let (resolver_6, ..) = resolver(Families::V6, &["192.0.2.1"]);
    let error = resolver_6.resolve("pbx.example.com", None, Protocol::Udp).await.unwrap_err();
    assert_eq!(error, ResolveError::Family { host: "pbx.example.com".to_owned(), there: "IPv4" });
}

#[tokio::test]
async fn the_memory_for_names_is_bounded() {
    let (resolver, ..) = resolver(Families::Both, &["192.0.2.1"]);
    for number in 0..REMEMBERED + 10 {
        resolver.resolve(&format!("h{number}.example.com"), None, Protocol::Udp).await.unwrap();
    }
    assert!(resolver.inner.names.lock().unwrap().len() <= REMEMBERED);
}

#[tokio::test]
async fn the_system_knows_this_machine() {
    let found = Resolver::system(Families::V4).resolve("localhost", Some(5060), Protocol::Udp).await.unwrap();
    assert!(found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
}

#[test]
fn families_follow_the_listeners() {
    let of = |list: &[&str]| Families::of(list.iter().map(|address| address.parse().unwrap()));
    assert_eq!(of(&["192.0.2.1"]), Families::V4);
    assert_eq!(of(&["2001:db8::1"]), Families::V6);
    assert_eq!(of(&["::"]), Families::V6);
    assert_eq!(of(&["0.0.0.0", "2001:db8::1"]), Families::Both);
    assert_eq!(of(&[]), Families::Both);
}
