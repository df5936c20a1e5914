//! The resolver under a clock and name servers of our own.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A resolver over a table of answers, the number of questions it asked, and the hand of its clock.
struct Bench {
    resolver: Resolver,
    asked: Arc<AtomicUsize>,
    hand: Arc<Mutex<Instant>>,
}

type Table = Vec<(Question, Answer)>;

fn bench(families: Families, table: Table) -> Bench {
    let asked = Arc::new(AtomicUsize::new(0));
    let hand = Arc::new(Mutex::new(crate::clock::now()));
    let (counter, reading) = (Arc::clone(&asked), Arc::clone(&hand));
    let source: Source = Box::new(move |question| -> Lookup {
        counter.fetch_add(1, SeqCst);
        let found = table.iter().find(|(known, _)| *known == question).map(|(_, answer)| answer.clone());
        Box::pin(async move {
            tokio::task::yield_now().await;
            match found {
                Some(answer) if answer.ttl.is_zero() => Err("server failure".to_owned()),
                Some(answer) => Ok(answer),
                None => Ok(Answer { records: vec![], ttl: seconds(10) }),
            }
        })
    });
    let protocols = vec![Protocol::Udp, Protocol::Tcp, Protocol::Tls];
    let abilities = Abilities { families, protocols, avoid: seconds(30) };
    let resolver = Resolver::new(abilities, source, move || *reading.lock().unwrap(), Entropy::seeded(3));
    Bench { resolver, asked, hand }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn hosts(name: &str, addresses: &[&str]) -> (Question, Answer) {
    let records = addresses.iter().map(|address| Record::Address(address.parse().unwrap())).collect();
    (Question::Addresses(name.to_owned()), Answer { records, ttl: seconds(60) })
}

fn srv(name: &str, records: &[(u16, u16, &str)]) -> (Question, Answer) {
    let record = |(priority, port, target): &(u16, u16, &str)| Record::Service {
        priority: *priority,
        weight: 0,
        port: *port,
        target: (*target).to_owned(),
    };
    let records = records.iter().map(record).collect();
    (Question::Services(name.to_owned()), Answer { records, ttl: seconds(60) })
}

fn naptr(domain: &str, records: &[(u16, &str, &str)]) -> (Question, Answer) {
    let record = |(order, service, replacement): &(u16, &str, &str)| Record::Pointer {
        order: *order,
        preference: 0,
        service: (*service).to_owned(),
        replacement: (*replacement).to_owned(),
    };
    let records = records.iter().map(record).collect();
    (Question::Pointers(domain.to_owned()), Answer { records, ttl: seconds(60) })
}

fn name(host: &str, port: Option<u16>, protocol: Protocol) -> Hop {
    Hop { protocol, address: HopAddress::Name { host: host.to_owned(), port }, connection: None }
}

fn domain(host: &str) -> Hop {
    Hop { protocol: Protocol::Udp, address: HopAddress::Domain { host: host.to_owned() }, connection: None }
}

/// The hops as text, behind what said so.
async fn found(bench: &Bench, hop: &Hop) -> Vec<String> {
    let located = bench.resolver.locate(hop).await.unwrap();
    std::iter::once(located.by.to_owned()).chain(located.hops.iter().map(ToString::to_string)).collect()
}

#[tokio::test]
async fn a_name_with_a_port_is_a_host_and_asks_for_nothing_else() {
    let bench = bench(Families::Both, vec![hosts("pbx.example.com", &["192.0.2.1", "2001:db8::1"])]);
    let hop = name("pbx.example.com", Some(5070), Protocol::Tcp);
    assert_eq!(found(&bench, &hop).await, ["address", "tcp 192.0.2.1:5070", "tcp [2001:db8::1]:5070"]);
    assert_eq!(bench.asked.load(SeqCst), 1);
    assert_eq!(bench.resolver.addresses("[2001:db8::9]").await.unwrap(), ["2001:db8::9".parse::<IpAddr>().unwrap()]);
    assert_eq!(bench.asked.load(SeqCst), 1);
}

#[tokio::test]
async fn a_named_transport_without_port_follows_its_own_srv_records_by_priority() {
    let table = vec![
        srv("_sips._tcp.example.com", &[(20, 5071, "b.example.com"), (10, 5061, "a.example.com")]),
        hosts("a.example.com", &["192.0.2.1"]),
        hosts("b.example.com", &["192.0.2.2", "192.0.2.3"]),
    ];
    let bench = bench(Families::V4, table);
    let hops = found(&bench, &name("example.com", None, Protocol::Tls)).await;
    assert_eq!(hops, ["SRV", "tls 192.0.2.1:5061", "tls 192.0.2.2:5071", "tls 192.0.2.3:5071"]);
    let first = bench.resolver.locate(&name("example.com", None, Protocol::Tls)).await.unwrap().hops.remove(0);
    assert_eq!(first.address.name(), Some("example.com"), "the certificate must be for the name that was asked for");
}

#[tokio::test]
async fn without_srv_records_the_name_is_a_host_at_the_usual_port() {
    let bench = bench(Families::V4, vec![hosts("pbx.example.com", &["192.0.2.1"])]);
    assert_eq!(found(&bench, &name("pbx.example.com", None, Protocol::Tls)).await, ["address", "tls 192.0.2.1:5061"]);
    assert_eq!(found(&bench, &domain("pbx.example.com")).await, ["address", "udp 192.0.2.1:5060"]);
}

#[tokio::test]
async fn the_domain_chooses_the_protocol_by_naptr() {
    let table = vec![
        naptr("example.com", &[(20, "SIP+D2U", "_sip._udp.example.com"), (10, "SIP+D2T", "_sip._tcp.example.com")]),
        srv("_sip._udp.example.com", &[(10, 5060, "a.example.com")]),
        srv("_sip._tcp.example.com", &[(10, 5080, "a.example.com")]),
        hosts("a.example.com", &["192.0.2.1"]),
    ];
    let bench = bench(Families::V4, table);
    assert_eq!(found(&bench, &domain("example.com")).await, ["NAPTR", "tcp 192.0.2.1:5080", "udp 192.0.2.1:5060"]);
}

#[tokio::test]
async fn without_naptr_the_first_protocol_that_has_srv_records_is_taken() {
    let table =
        vec![srv("_sip._tcp.example.com", &[(10, 5080, "a.example.com")]), hosts("a.example.com", &["192.0.2.1"])];
    let bench = bench(Families::V4, table);
    assert_eq!(found(&bench, &domain("example.com")).await, ["SRV", "tcp 192.0.2.1:5080"]);
}

#[tokio::test]
async fn a_name_of_one_label_is_asked_for_addresses_only() {
    let bench = bench(Families::V4, vec![hosts("pbx", &["192.0.2.1"])]);
    assert_eq!(found(&bench, &domain("pbx")).await, ["address", "udp 192.0.2.1:5060"]);
    assert_eq!(bench.asked.load(SeqCst), 1);
}

#[tokio::test]
async fn an_answer_holds_for_its_ttl_in_any_spelling_and_no_longer() {
    let bench = bench(Families::V4, vec![hosts("pbx.example.com", &["192.0.2.1"])]);
    for host in ["pbx.example.com", "PBX.Example.com."] {
        bench.resolver.addresses(host).await.unwrap();
    }
    assert_eq!(bench.asked.load(SeqCst), 1);
    *bench.hand.lock().unwrap() += seconds(59);
    bench.resolver.addresses("pbx.example.com").await.unwrap();
    assert_eq!(bench.asked.load(SeqCst), 1);
    *bench.hand.lock().unwrap() += seconds(1);
    bench.resolver.addresses("pbx.example.com").await.unwrap();
    assert_eq!(bench.asked.load(SeqCst), 2);
}

#[tokio::test]
async fn a_no_holds_for_its_own_ttl_and_a_failure_for_five_seconds() {
    let broken = (Question::Addresses("broken.example.com".to_owned()), Answer { records: vec![], ttl: seconds(0) });
    let bench = bench(Families::V4, vec![broken]);
    for (host, words, holds) in
        [("gone.example.com", "no addresses", seconds(10)), ("broken.example.com", "server failure", seconds(5))]
    {
        let before = bench.asked.load(SeqCst);
        for _ in 0..2 {
            let error = bench.resolver.addresses(host).await.unwrap_err();
            assert_eq!(error.to_string(), format!("{host} does not resolve: {words}"));
        }
        assert_eq!(bench.asked.load(SeqCst), before + 1);
        *bench.hand.lock().unwrap() += holds;
        bench.resolver.addresses(host).await.unwrap_err();
        assert_eq!(bench.asked.load(SeqCst), before + 2);
    }
}

#[tokio::test]
async fn many_who_want_one_name_ask_once() {
    let bench = bench(Families::V4, vec![hosts("pbx.example.com", &["192.0.2.1"])]);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let resolver = bench.resolver.clone();
        waiting.spawn(async move { resolver.addresses("pbx.example.com").await });
    }
    assert!(waiting.join_all().await.iter().all(Result::is_ok));
    assert_eq!(bench.asked.load(SeqCst), 1);
}

#[tokio::test]
async fn only_families_that_we_listen_in_are_given() {
    let bench_4 = bench(Families::V4, vec![hosts("pbx.example.com", &["2001:db8::1", "192.0.2.1"])]);
    assert_eq!(bench_4.resolver.addresses("pbx.example.com").await.unwrap(), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    let bench_6 = bench(Families::V6, vec![hosts("pbx.example.com", &["192.0.2.1"])]);
    let error = bench_6.resolver.addresses("pbx.example.com").await.unwrap_err();
    assert_eq!(error, ResolveError::Family { host: "pbx.example.com".to_owned(), there: "IPv4" });
}

#[tokio::test]
async fn an_address_that_failed_is_tried_last_until_its_time_is_over() {
    let bench = bench(Families::V4, vec![hosts("pbx.example.com", &["192.0.2.1", "192.0.2.2"])]);
    let hop = name("pbx.example.com", Some(5060), Protocol::Udp);
    let first = bench.resolver.locate(&hop).await.unwrap().hops.remove(0);
    bench.resolver.avoid(&first, None);
    assert_eq!(found(&bench, &hop).await, ["address", "udp 192.0.2.2:5060", "udp 192.0.2.1:5060"]);
    let by_stream = name("pbx.example.com", Some(5060), Protocol::Tcp);
    assert_eq!(found(&bench, &by_stream).await[1], "tcp 192.0.2.1:5060", "another protocol is another door");
    *bench.hand.lock().unwrap() += seconds(30);
    assert_eq!(found(&bench, &hop).await[1], "udp 192.0.2.1:5060");
    bench.resolver.avoid(&first, Some(seconds(120)));
    *bench.hand.lock().unwrap() += seconds(119);
    assert_eq!(found(&bench, &hop).await[1], "udp 192.0.2.2:5060", "as long as the server said");
}

#[tokio::test]
async fn the_memory_for_names_is_bounded() {
    let bench = bench(Families::V4, vec![]);
    for number in 0..3000 {
        let _ = bench.resolver.addresses(&format!("host-{number}.example.com")).await;
    }
    assert!(bench.resolver.inner.cache.remembered() <= 2048);
}
