//! Real peers that SIPp cannot play, the gateway between them: Kamailio as a record-routing proxy over UDP, TCP and TLS,
//! baresip as a caller by TCP and TLS, and name servers of our own that send calls past a dead address.

mod certificates;
mod dns;
mod kamailio;
mod process;
mod registrars;
mod softphone;

use certificates::Certificates;
use dns::NameServer;
use process::{Sipp, free_port, until};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use trunkline::gateway::Gateway;
use trunkline::record::{CallRecord, CallState, Step};
use trunkline::sip::Protocol;

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Is this program here? In CI a missing one is a failure, elsewhere a test that is skipped, loudly.
fn installed(program: &str, package: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(program).exists())
    });
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "{program} is not installed (apt-get install {package}), and this is CI"
        );
        eprintln!("\n*** SKIPPED: {program} is not installed (apt-get install {package}) ***\n");
    }
    found
}

/// A gateway with a listener of each kind and one target.
struct Setup<'s> {
    certificates: &'s Certificates,
    /// Address of the target.
    uri: String,
    /// More lines for `[sip]`.
    sip: String,
}

async fn gateway(setup: &Setup<'_>) -> Gateway {
    let (certificate, key, ca) = setup.certificates.files();
    let ports = process::media_ports();
    let text = format!(
        r#"
[sip]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0", "tls:127.0.0.1:0"]
tls = {{ certificate = {certificate:?}, key = {key:?}, ca = {ca:?} }}
shards = 2
{}

[media]
bind = "127.0.0.1"
ports = "{ports}"

[http]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[[trunk]]
name = "pbx"
peers = ["127.0.0.1"]

[[target]]
name = "cloud"
kind = "sip"
uri = "{}"

[[route]]
targets = ["cloud"]
"#,
        setup.sip, setup.uri
    );
    let config = trunkline::config::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Gateway::start(config).await.unwrap()
}

fn listener(gateway: &Gateway, wanted: Protocol) -> SocketAddr {
    gateway.addresses().sip.iter().find(|(protocol, _)| *protocol == wanted).unwrap().1
}

/// The one call, once it is over.
async fn ended(gateway: &Gateway) -> Arc<CallRecord> {
    let mut changes = gateway.changes();
    let waiting = async {
        loop {
            let calls = gateway.calls().await;
            if let Some(call) = calls.iter().find(|call| call.state == CallState::Ended) {
                return Arc::clone(call);
            }
            changes.next().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the call ends")
}

/// The same, with what it says about the way of its INVITE.
async fn finished(gateway: &Gateway) -> (Arc<CallRecord>, String) {
    let call = ended(gateway).await;
    let mut way = String::new();
    for step in &call.decisions {
        if let Step::Hop { note } = step {
            let _ = writeln!(way, "{note}");
        }
    }
    (call, way)
}

/// A whole call through `setup`: it must be answered, last a moment, and be hung up by its caller.
async fn call(setup: &Setup<'_>, folder: &Path) -> (Arc<CallRecord>, String, Gateway) {
    let gateway = gateway(setup).await;
    let mut pbx = Sipp::calls("pbx-calls", listener(&gateway, Protocol::Udp), folder);
    let (record, way) = finished(&gateway).await;
    let verdict = tokio::task::spawn_blocking(move || pbx.finish(PATIENCE)).await.unwrap();
    assert!(verdict.is_ok(), "{}\n{way}\n{record:#?}", verdict.unwrap_err());
    let end = record.termination.as_ref().map(|end| end.cause.entry().code);
    assert_eq!(end, Some("caller_hung_up"), "{way}\n{record:#?}");
    (record, way, gateway)
}

/// A call that Kamailio leads to its callee, with every request of the dialog by way of it.
async fn through_the_proxy(protocol: Protocol) {
    if !installed("kamailio", "kamailio kamailio-tls-modules") || !installed("sipp", "sip-tester") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::write(folder.path());
    let mut callee = Sipp::answers("cloud-answers", folder.path());
    let mut proxy = kamailio::Proxy::start(folder.path(), &certificates, callee.port());
    let port = proxy.port(protocol);
    let uri = format!("sip:bot@localhost:{port};transport={}", protocol.as_str());
    let setup = Setup { certificates: &certificates, uri, sip: String::new() };
    let (_, way, mut gateway) = call(&setup, folder.path()).await;
    assert!(way.contains(&format!("{} 127.0.0.1:{port} by address", protocol.as_str())), "{way}");
    let verdict = callee.finish(PATIENCE);
    assert!(verdict.is_ok(), "{}\n{}", verdict.unwrap_err(), proxy.log());
    assert_eq!(proxy.passed(), ["INVITE", "ACK", "BYE"], "{}", proxy.log());
    if protocol == Protocol::Tls {
        let page = gateway.metrics().encode();
        assert!(page.contains("trunkline_tls_handshakes_total{direction=\"out\",result=\"ok\"} 1"), "{page}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_through_a_record_routing_proxy_by_udp() {
    through_the_proxy(Protocol::Udp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_through_a_record_routing_proxy_by_tcp() {
    through_the_proxy(Protocol::Tcp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_through_a_record_routing_proxy_by_tls() {
    through_the_proxy(Protocol::Tls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_server_of_a_domain_is_passed_over_within_the_blink_of_an_eye() {
    if !installed("kamailio", "kamailio kamailio-tls-modules") || !installed("sipp", "sip-tester") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::write(folder.path());
    let mut callee = Sipp::answers("cloud-answers", folder.path());
    let proxy = kamailio::Proxy::start(folder.path(), &certificates, callee.port());
    let dead = free_port();
    let names = NameServer::start(&[
        ("_sip._udp.cloud.test", dns::srv(10, dead, "one.cloud.test")),
        ("_sip._udp.cloud.test", dns::srv(20, proxy.port(Protocol::Udp), "two.cloud.test")),
        ("one.cloud.test", dns::a("127.0.0.1")),
        ("two.cloud.test", dns::a("127.0.0.1")),
    ]);
    let sip = format!("resolver = [\"udp:{}\"]", names.address());
    let setup = Setup { certificates: &certificates, uri: "sip:bot@cloud.test".to_owned(), sip };
    let (record, way, mut gateway) = call(&setup, folder.path()).await;
    assert!(way.contains("cloud.test is udp 127.0.0.1:") && way.contains("by SRV, and 1 more to try"), "{way}");
    assert!(way.contains("nobody listens there (ICMP)"), "the network's word, not a timer: {way}");
    assert!(record.answered_ms.unwrap() < 3_000, "{way}");
    assert!(callee.finish(PATIENCE).is_ok(), "{}", proxy.log());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_chooses_the_transport_by_naptr_and_answers_hold_for_their_ttl() {
    if !installed("sipp", "sip-tester") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::write(folder.path());
    let mut callee = Sipp::answers_by("cloud-answers", Protocol::Tcp, folder.path());
    let names = NameServer::start(&[
        ("cloud.test", dns::naptr(10, "SIP+D2T", "_sip._tcp.cloud.test")),
        ("cloud.test", dns::naptr(20, "SIP+D2U", "_sip._udp.cloud.test")),
        ("_sip._tcp.cloud.test", dns::srv(10, callee.port(), "one.cloud.test")),
        ("_sip._udp.cloud.test", dns::srv(10, free_port(), "one.cloud.test")),
        ("one.cloud.test", dns::a("127.0.0.1")),
    ]);
    let sip = format!("resolver = [\"udp:{}\"]", names.address());
    let setup = Setup { certificates: &certificates, uri: "sip:bot@cloud.test".to_owned(), sip };
    let (_, way, mut gateway) = call(&setup, folder.path()).await;
    assert!(way.contains("cloud.test is tcp 127.0.0.1:") && way.contains("by NAPTR"), "{way}");
    assert!(callee.finish(PATIENCE).is_ok());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_softphone_calls_by_tls() {
    softphone_calls(Protocol::Tls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_softphone_calls_by_tcp() {
    softphone_calls(Protocol::Tcp).await;
}

async fn softphone_calls(protocol: Protocol) {
    if !installed("baresip", "baresip-core") || !installed("sipp", "sip-tester") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::write(folder.path());
    // This callee hangs up, so that the BYE has to find its way back to the phone by the phone's own connection.
    let mut callee = Sipp::answers("cloud-hangs-up", folder.path());
    let uri = format!("sip:bot@127.0.0.1:{}", callee.port());
    let setup = Setup { certificates: &certificates, uri, sip: String::new() };
    let mut gateway = gateway(&setup).await;
    let phone = softphone::Phone::call(folder.path(), &certificates, protocol, listener(&gateway, protocol));
    let (record, way) = finished(&gateway).await;
    let end = record.termination.as_ref().map(|end| end.cause.entry().code);
    assert_eq!(end, Some("callee_hung_up"), "{way}\n{}\n{record:#?}", phone.log());
    assert!(record.answered_ms.is_some());
    assert!(until(PATIENCE, || phone.log().contains("session closed")), "the BYE did not arrive: {}", phone.log());
    assert!(callee.finish(PATIENCE).is_ok());
    if protocol == Protocol::Tls {
        let page = gateway.metrics().encode();
        assert!(page.contains("trunkline_tls_handshakes_total{direction=\"in\",result=\"ok\"} 1"), "{page}");
        assert!(page.contains("trunkline_tls_certificate_expiry_seconds{use=\"sip\"}"), "{page}");
    }
    gateway.stop().await;
}
