//! The parser against messages of others: RFC 4475, RFC 5118, feature messages with their expected values, traces of real
//! PBXs and malformed collections. The shared corpus lies beside the repository or where `TRUNKLINE_CORPUS` says; without
//! it these tests pass and say so.

use trunkline::sip::header::{Elements, NameAddr, Params, Reason, Route, Via};
use trunkline::sip::uri::Uri;
use trunkline::sip::wire::{Framer, HeaderName, Message, ParseError};
use trunkline::sip::{Method, StatusCode};

use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The corpus directory of that name, if the corpus is here.
fn corpus(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let root = std::env::var_os("TRUNKLINE_CORPUS").map_or_else(beside, PathBuf::from);
    let path = root.join(name);
    if !path.is_dir() {
        eprintln!("the shared corpus is absent: {} was not looked at", path.display());
        return None;
    }
    Some(path)
}

/// All files below, in order.
fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

fn parse(path: &Path) -> Result<Message, ParseError> {
    Message::parse(Bytes::from(fs::read(path).unwrap()))
}

/// Parsed and checked, or why not.
fn accept(path: &Path) -> Result<Message, String> {
    let message = parse(path).map_err(|error| error.to_string())?;
    message.check().map_err(|fault| fault.to_string())?;
    Ok(message)
}

fn accepted(path: &Path) -> Message {
    accept(path).unwrap_or_else(|why| panic!("{} was refused: {why}", path.display()))
}

/// Text for comparison: what is not UTF-8 is spelled out.
fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn or_dash(value: Option<&[u8]>) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

#[test]
fn the_valid_messages_of_rfc_4475_are_accepted() {
    let Some(path) = corpus("rfc4475/valid") else { return };
    let names: Vec<String> = files(&path).iter().map(|path| accepted(path)).map(|m| show(m.call_id())).collect();
    assert_eq!(names.len(), 26);
    assert!(names.iter().all(|call_id| !call_id.is_empty()));
}

#[test]
fn the_valid_messages_of_rfc_4475_say_what_the_rfc_says() {
    let Some(path) = corpus("rfc4475/valid") else { return };
    let read = |name: &str| accepted(&path.join(format!("{name}.dat")));
    let uri_of = |message: &Message, name| show(message.address(name).unwrap().uri);

    let wsinv = read("wsinv");
    assert_eq!((wsinv.cseq().unwrap().number, wsinv.max_forwards()), (9, Some(68)));
    assert_eq!(wsinv.elements(HeaderName::Via).count(), 3);
    assert!(wsinv.elements(HeaderName::Via).all(|element| Via::parse(element).is_ok()));
    let branches: Vec<_> =
        wsinv.elements(HeaderName::Via).map(|via| show(Via::parse(via).unwrap().branch.unwrap())).collect();
    assert_eq!(branches, ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]);
    let from = wsinv.address(HeaderName::From).unwrap();
    assert_eq!((from.display.as_deref(), or_dash(from.tag())), (Some("J Rosenberg \\\""), "98asjd8".to_owned()));
    assert_eq!(
        wsinv.named("NewFangledHeader").map(show).collect::<Vec<_>>(),
        ["newfangled value continued newfangled value"]
    );
    assert_eq!(wsinv.body().len(), 150);

    let intmeth = read("intmeth");
    assert_eq!(intmeth.method(), Method::Other("!interesting-Method0123456789_*+`.%indeed'~".into()));
    assert_eq!(intmeth.cseq().unwrap().number, 139_122_385);
    let esc01 = read("esc01");
    let uri = Uri::parse(esc01.request_uri().unwrap()).unwrap();
    assert_eq!((uri.user, uri.host), (Some(&b"sips%3Auser%40example.com"[..]), &b"example.net"[..]));
    assert_eq!(uri.subscriber().unwrap().as_ref(), b"sips:user@example.com");
    let escnull = read("escnull");
    assert_eq!(escnull.elements(HeaderName::Contact).count(), 2);
    assert_eq!(uri_of(&escnull, HeaderName::To), "sip:null-%00-null@example.com");
    assert_eq!(read("esc02").method(), Method::Other("RE%47IST%45R".into()));
    let lwsdisp = read("lwsdisp");
    assert_eq!(lwsdisp.address(HeaderName::From).unwrap().display.as_deref(), Some("caller"));
    assert!(read("longreq").elements(HeaderName::Via).count() >= 33);
    let dblreq = read("dblreq");
    assert_eq!((dblreq.method(), dblreq.body().len()), (Method::Register, 0));
    let semiuri = read("semiuri");
    assert_eq!(Uri::parse(semiuri.request_uri().unwrap()).unwrap().user, Some(&b"user;par=u%40example.net"[..]));
    let transports = read("transports");
    let transports: Vec<_> =
        transports.elements(HeaderName::Via).map(|via| show(Via::parse(via).unwrap().transport)).collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
    assert_eq!(read("mpart01").body().len(), 553);
    assert!(read("unreason").reason().starts_with("= 2**3 * 5**2 "));
    assert_eq!(read("noreason").reason(), "");
}

#[test]
fn values_of_rfc_4475_above_the_parser_are_kept_as_written() {
    let Some(path) = corpus("rfc4475/valid") else { return };
    let read = |name: &str| accepted(&path.join(format!("{name}.dat")));
    let contact = |message: &Message| {
        let address = message.address(HeaderName::Contact).unwrap();
        (show(address.uri), address.param("unknownparam").is_some())
    };
    assert_eq!(show(read("unkscm").request_uri().unwrap()), "nobodyKnowsThisScheme:totallyopaquecontent");
    assert_eq!(show(read("novelsc").request_uri().unwrap()), "soap.beep://192.0.2.103:3002");
    assert_eq!(read("zeromf").max_forwards(), Some(0));
    assert_eq!(contact(&read("cparam01")), ("sip:+19725552222@gw1.example.net".to_owned(), true));
    assert_eq!(contact(&read("cparam02")), ("sip:+19725552222@gw1.example.net;unknownparam".to_owned(), false));
    assert_eq!(contact(&read("regescrt")).0, "sip:user@example.com?Route=%3Csip:sip.example.com%3E");
    let old = read("inv2543");
    assert_eq!((old.from_tag(), old.top_via().unwrap().branch, old.max_forwards()), (None, None, None));
    assert!(!old.body().is_empty());
    assert_eq!(read("bcast").status(), Some(StatusCode::OK));
    assert_eq!(
        show(read("bext01").value(HeaderName::Require).unwrap()),
        "nothingSupportsThis, nothingSupportsThisEither"
    );
}

#[test]
fn the_invalid_messages_of_rfc_4475_are_refused_unless_the_rfc_allows_repair() {
    let Some(path) = corpus("rfc4475") else { return };
    let table = fs::read_to_string(path.join("expected.tsv")).unwrap();
    let mut refused = BTreeMap::new();
    for line in table.lines().filter(|line| line.split('\t').nth(2) == Some("invalid")) {
        let fields: Vec<&str> = line.split('\t').collect();
        let result = accept(&path.join("invalid").join(format!("{}.dat", fields[0])));
        if !fields[3].contains("liberal") && !fields[3].contains("may 400") {
            let why = result.expect_err(fields[0]);
            refused.insert(fields[0].to_owned(), why.split_whitespace().next().unwrap().to_owned());
        }
    }
    let wanted = [
        ("badbranch", "Via"),
        ("badinv01", "Via"),
        ("badvers", "SIP-Version"),
        ("bigcode", "the"),
        ("clerr", "Content-Length"),
        ("insuf", "From"),
        ("mcl01", "Content-Length"),
        ("mismatch01", "CSeq"),
        ("mismatch02", "CSeq"),
        ("multi01", "From"),
        ("ncl", "Content-Length"),
        ("scalar02", "CSeq"),
        ("scalarlg", "CSeq"),
    ];
    assert_eq!(refused, BTreeMap::from(wanted.map(|(name, part)| (name.to_owned(), part.to_owned()))));
}

#[test]
fn what_rfc_4475_lets_one_repair_is_taken_only_where_nothing_is_guessed() {
    let Some(path) = corpus("rfc4475/invalid") else { return };
    let taken = |name: &str| accept(&path.join(format!("{name}.dat"))).is_ok();
    for name in ["lwsstart", "trws", "escruri", "baddate", "regbadct", "badaspec", "baddn"] {
        assert!(taken(name), "{name}");
    }
    for name in ["quotbal", "ltgtruri", "lwsruri"] {
        assert!(!taken(name), "{name}");
    }
}

#[test]
fn ipv6_stands_where_rfc_5118_allows_it() {
    let Some(path) = corpus("torture/rfc5118-fixed") else { return };
    for file in files(&path) {
        match stem(&file).as_str() {
            "ipv6-bad" => assert!(accept(&file).unwrap_err().starts_with("Request-URI")),
            _ => drop(accepted(&file)),
        }
    }
    let read = |name: &str| accepted(&path.join(format!("{name}.dat")));
    let port = |name: &str| {
        let message = read(name);
        let uri = Uri::parse(message.request_uri().unwrap()).unwrap();
        (uri.ip().unwrap().to_string(), uri.port)
    };
    assert_eq!(port("port-ambiguous"), ("2001:db8::10:5070".to_owned(), None));
    assert_eq!(port("port-unambiguous"), ("2001:db8::10".to_owned(), Some(5070)));
    assert_eq!(port("ipv6-bug-abnf-3-colons"), port("ipv6-correct-abnf-2-colons"));
    for name in ["via-received-param-with-delim", "via-received-param-no-delim"] {
        assert_eq!(or_dash(read(name).top_via().unwrap().received), "2001:db8::9:255");
    }
}

/// What the feature table calls by these names, read through our own accessors.
fn facts(message: &Message) -> BTreeMap<&'static str, String> {
    let mut facts = BTreeMap::new();
    let method = || show(message.method().as_str().as_bytes());
    match message.status() {
        Some(status) => drop(facts.insert("kind", format!("RES {status}"))),
        None => {
            facts.insert("kind", format!("REQ {}", method()));
            facts.insert("ruri", or_dash(message.request_uri()));
        }
    }
    facts.insert("via_n", message.elements(HeaderName::Via).count().to_string());
    if let Some(via) = message.top_via() {
        let host = if via.host.contains(&b':') { format!("[{}]", show(via.host)) } else { show(via.host) };
        let port = via.port.map(|port| format!(":{port}")).unwrap_or_default();
        facts.insert("via_top", format!("{}|{host}{port}|{}", show(via.transport), or_dash(via.branch)));
    }
    for (name, uri, tag) in [(HeaderName::From, "from_uri", "from_tag"), (HeaderName::To, "to_uri", "to_tag")] {
        if let Some(address) = message.address(name) {
            facts.insert(uri, show(address.uri));
            facts.insert(tag, or_dash(address.tag()));
            if name == HeaderName::From {
                facts.insert("from_name", address.display.map_or_else(|| "-".to_owned(), |name| name.into_owned()));
            }
        }
    }
    if let Some(cseq) = message.cseq() {
        facts.insert("cseq", format!("{} {}", cseq.number, cseq.method));
    }
    facts.insert("callid", show(message.call_id()));
    facts.insert("maxfwd", message.max_forwards().map_or_else(|| "-".to_owned(), |hops| hops.to_string()));
    facts.insert("contact_n", message.elements(HeaderName::Contact).count().to_string());
    facts.insert("contact", message.address(HeaderName::Contact).map_or_else(|| "-".to_owned(), |a| show(a.uri)));
    facts.insert("body_len", message.body().len().to_string());
    facts
}

/// The table keeps display names with their quotes.
fn without_quotes(name: &[u8]) -> String {
    let text = trunkline::sip::header::decode(name).into_owned();
    match text.strip_prefix('"').and_then(|inside| inside.strip_suffix('"')) {
        Some(inside) => inside.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => text,
    }
}

#[test]
fn the_feature_messages_mean_what_their_table_says() {
    let Some(path) = corpus("sip-features") else { return };
    let table = fs::read(path.join("expected.tsv")).unwrap();
    let mut compared = 0;
    for line in table.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let [name, field, value] = line.splitn(3, |byte| *byte == b'\t').collect::<Vec<_>>()[..] else { panic!() };
        let (name, field) = (show(name), show(field));
        // Their rows were made by a reader that knows neither; the next test looks at them.
        if name == "lf_only" || name == "leading_crlf" {
            continue;
        }
        let wanted = if field == "from_name" { without_quotes(value) } else { show(value) };
        let mut facts = facts(&accepted(&path.join(format!("{name}.dat"))));
        if name == "latin1_display" {
            // The table lost the letters that are not UTF-8; we read them as ISO-8859-1.
            facts.entry("from_name").and_modify(|name| *name = name.replace('\u{fc}', "\u{fffd}"));
        }
        assert_eq!(facts.get(field.as_str()), Some(&wanted), "{name} {field}");
        compared += 1;
    }
    assert!(compared > 800, "{compared}");
}

#[test]
fn line_ends_of_other_kinds_change_nothing() {
    let Some(path) = corpus("sip-features") else { return };
    let bare = fs::read(path.join("lf_only.dat")).unwrap();
    let whole: Vec<u8> = bare
        .iter()
        .flat_map(|byte| if *byte == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(byte) })
        .copied()
        .collect();
    let mut facts_of_bare = facts(&accepted(&path.join("lf_only.dat")));
    let whole = Message::parse(Bytes::from(whole)).unwrap();
    whole.check().unwrap();
    assert_eq!(facts_of_bare.remove("via_n").as_deref(), Some("1"));
    let mut facts_of_whole = facts(&whole);
    facts_of_whole.remove("via_n");
    assert_eq!(facts_of_bare, facts_of_whole);
    let leading = accepted(&path.join("leading_crlf.dat"));
    assert_eq!((leading.method(), leading.body().len()), (Method::Invite, 0));
}

#[test]
fn lists_and_order_of_the_feature_messages_survive() {
    let Some(path) = corpus("sip-features") else { return };
    let read = |name: &str| accepted(&path.join(format!("{name}.dat")));
    assert_eq!(read("comma_contact").elements(HeaderName::Contact).count(), 3);
    assert!(read("many_headers").headers().count() > 100);
    assert_eq!(read("reason_none").reason(), "");
    assert_eq!(read("ipv6").top_via().unwrap().ip(), Some("2001:db8::2".parse().unwrap()));
    let routes = read("rr_multi");
    assert!(routes.elements(HeaderName::RecordRoute).count() > 1);
    assert!(routes.elements(HeaderName::RecordRoute).all(|element| Route::parse(element).is_ok()));
    let diversion = read("diversion");
    assert!(
        diversion
            .elements(HeaderName::Diversion)
            .all(|element| NameAddr::parse(element).unwrap().param("reason").is_some())
    );
    let headers = read("ruri_headers");
    let uri = Uri::parse(headers.request_uri().unwrap()).unwrap();
    let pairs: Vec<_> = uri.header_pairs().map(|(name, value)| format!("{}={}", show(&name), show(&value))).collect();
    assert_eq!(pairs, ["x-caller=1", "x-called=2"]);
}

#[test]
fn the_invites_of_real_pbxs_are_accepted_with_every_header_readable() {
    let Some(path) = corpus("pbx-invites") else { return };
    let mut seen = 0;
    for file in files(&path).into_iter().filter(|file| file.extension().is_some_and(|ext| ext == "sip")) {
        let message = accepted(&file);
        for name in [
            HeaderName::From,
            HeaderName::To,
            HeaderName::Contact,
            HeaderName::PAssertedIdentity,
            HeaderName::RemotePartyId,
            HeaderName::Diversion,
            HeaderName::HistoryInfo,
            HeaderName::RecordRoute,
        ] {
            for element in message.elements(name) {
                let address = NameAddr::parse(element)
                    .unwrap_or_else(|error| panic!("{}: {error}: {}", file.display(), show(element)));
                address.uri().unwrap_or_else(|error| panic!("{}: {error}: {}", file.display(), show(element)));
            }
        }
        assert!(message.elements(HeaderName::Via).all(|element| Via::parse(element).unwrap().branch.is_some()));
        seen += 1;
    }
    assert!(seen >= 12, "{seen}");
    let avaya = accepted(&path.join("01-avaya-sm-invite.sip"));
    assert_eq!((avaya.elements(HeaderName::Via).count(), avaya.elements(HeaderName::RecordRoute).count()), (10, 8));
    assert!(avaya.value(HeaderName::UserToUser).is_some());
    let nortel = accepted(&path.join("16-nortel-cs1000-multipart-capneg.sip"));
    let uri = Uri::parse(nortel.request_uri().unwrap()).unwrap();
    assert_eq!(uri.subscriber().unwrap().as_ref(), b"5201");
    let cisco = accepted(&path.join("07-cisco-ios-gateway-isdn.sip"));
    let via = cisco.top_via().unwrap();
    assert_eq!(or_dash(via.params.unquoted("x-ds0num").as_deref()), "ISDN 0 / 0 / 1:15 0 / 0 / 1 : DS1 9 : DS0");
}

/// Everything that can be asked of bytes that came from anywhere.
fn interrogate(bytes: &[u8]) -> Option<Message> {
    let mut framer = Framer::default();
    framer.feed(bytes);
    while let Ok(Some(_)) = framer.next() {}
    let _ = (Uri::parse(bytes), NameAddr::parse(bytes), Via::parse(bytes));
    let message = Message::parse(Bytes::copy_from_slice(bytes)).ok()?;
    for (_, name, value) in message.headers() {
        for element in Elements::new(value) {
            let _ = (Via::parse(element), Reason::parse(element), Route::parse(element));
            let _ = NameAddr::parse(element).map(|address| address.uri().map(|uri| trunkline::sip::uri::hop(&uri)));
        }
        let _ = (Params::new(value).iter().count(), message.text(name), message.address(name));
    }
    let _ = facts(&message);
    assert!(message.body().len() <= bytes.len());
    Some(message)
}

#[test]
fn nothing_in_the_collections_panics() {
    for set in ["malformed", "fuzz", "torture", "rfc4475", "sip-features", "pbx-invites"] {
        let Some(path) = corpus(set) else { return };
        let files = files(&path);
        assert!(!files.is_empty());
        for file in files {
            let bytes = fs::read(&file).unwrap();
            let _ = interrogate(&bytes).map(|message| message.check().map_err(|fault| fault.reason()));
            // Cut anywhere, it still must not panic.
            for tenth in 1..10 {
                interrogate(&bytes[..bytes.len() * tenth / 10]);
            }
        }
    }
}

/// The first packet of a PROTOS test case with its placeholders filled in; a decimal length stands in front of it.
fn protos(file: &Path) -> Vec<u8> {
    let case = fs::read(file).unwrap();
    let blank = case.iter().position(|byte| *byte == b' ').unwrap();
    let length: usize = std::str::from_utf8(&case[..blank]).unwrap().parse().unwrap();
    let mut packet = case[blank + 1..][..length].to_vec();
    for (name, value) in [
        ("To", "b@192.0.2.2"),
        ("From-Address", "192.0.2.1"),
        ("From-IP", "192.0.2.1"),
        ("From", "a@192.0.2.1"),
        ("Local-Port", "5060"),
        ("Branch-ID", "1"),
        ("Call-ID", "1"),
        ("CSeq", "1"),
    ] {
        packet = replaced(packet, name, value);
    }
    let head_end = memchr::memmem::find(&packet, b"\r\n\r\n").map_or(packet.len(), |end| end + 4);
    let body_length = packet.len() - head_end;
    replaced(packet, "Content-Length", &body_length.to_string())
}

fn replaced(packet: Vec<u8>, name: &str, value: &str) -> Vec<u8> {
    let name = format!("<{name}>");
    let mut out = Vec::new();
    let mut rest = &packet[..];
    while let Some(at) = memchr::memmem::find(rest, name.as_bytes()) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(value.as_bytes());
        rest = &rest[at + name.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[test]
fn faults_in_optional_headers_and_in_the_body_never_cost_a_message() {
    let Some(path) = corpus("malformed/protos-c07-sip/sample") else { return };
    let (mut taken, mut lost) = (0, Vec::new());
    for file in files(&path) {
        let name = stem(&file);
        let packet = protos(&file);
        let result = interrogate(&packet).map(|message| message.check());
        let group = name.split_once('_').unwrap().1;
        let optional = ["valid", "sip-content-type", "sip-expires", "sip-from-displayname", "sip-call-id-value"];
        if group.starts_with("sdp-") || optional.contains(&group) {
            match result {
                Some(Ok(())) => taken += 1,
                other => lost.push(format!("{name}: {other:?}")),
            }
        }
    }
    assert_eq!(lost, [] as [&str; 0]);
    assert!(taken > 80, "{taken}");
}

#[test]
fn messages_of_other_stacks_are_accepted() {
    // Pieces for the test programs of that project: no Via, no To, `Call-ID;`, a header line that starts with a blank.
    let pieces =
        ["bad_uri", "bad_via2", "inv_srv", "invite3-callid", "invite5-callid", "message02", "req1", "short_reply"];
    // Made to be refused: cut bodies, another version, no From, no or no usable Contact, blanks in the Request-URI.
    let wrong = ["10052", "own8", "test11", "test16", "test20", "test22", "test3", "test35", "test42"];
    for (set, refused) in [("torture/kamailio-test-misc", &pieces[..]), ("torture/sofia-sip", &wrong[..])] {
        let Some(path) = corpus(set) else { return };
        let mut found = Vec::new();
        for file in files(&path) {
            let bytes = fs::read(&file).unwrap();
            // Some were stored with LF, and their Content-Length still counts CRLF.
            let lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
            let whole = lines.collect::<Vec<_>>().join(&b"\r\n"[..]);
            let good = [bytes, whole]
                .into_iter()
                .any(|bytes| Message::parse(Bytes::from(bytes)).is_ok_and(|m| m.check().is_ok()));
            if !good {
                eprintln!("{}: {:?}", stem(&file), accept(&file).err());
                found.push(stem(&file));
            }
        }
        assert_eq!(found, refused, "{set}");
    }
}
