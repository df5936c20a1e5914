//! Descriptions of real kinds of peers, from the shared corpus where it is at hand: all are read, none loses a byte,
//! and every one that offers plain audio can be answered.

use std::path::PathBuf;
use trunkline::sdp::{Description, LocalAudio, Origin, build, negotiate};

fn corpus() -> Vec<(String, Vec<u8>)> {
    let root = std::env::var_os("TRUNKLINE_CORPUS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let Ok(entries) = std::fs::read_dir(root.join("sdp")) else {
        eprintln!("no shared corpus here; nothing to compare with");
        return Vec::new();
    };
    let paths =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|kind| kind == "sdp"));
    paths
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn every_description_is_read_and_written_back_byte_for_byte() {
    for (name, body) in corpus() {
        let description = Description::parse(&body).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written: Vec<u8> = description.lines().flat_map(|line| [line.text, line.ending].concat()).collect();
        assert_eq!(written, body, "{name}");
    }
}

#[test]
fn exactly_the_descriptions_without_plain_audio_are_unusable() {
    let without = ["audio_plus_t38", "cucm_srtp", "hold_port0", "no_media", "t38"];
    for (name, body) in corpus() {
        let description = Description::parse(&body).unwrap();
        match description.usable_audio() {
            Ok(audio) => {
                assert!(!without.contains(&name.as_str()), "{name}");
                assert!(!audio.formats.is_empty() && !audio.host.is_empty(), "{name}: {audio:?}");
            }
            Err(reason) => assert!(without.contains(&name.as_str()), "{name}: {reason}"),
        }
    }
}

#[test]
fn every_offer_is_answered_with_its_own_media_lines_and_numbers() {
    for (name, body) in corpus() {
        let offered = Description::parse(&body).unwrap();
        let formats = offered.audio().map(|audio| audio.formats.clone()).unwrap_or_default();
        let onward = negotiate::for_target(&formats, None);
        let local = LocalAudio {
            address: "203.0.113.10".to_owned(),
            port: 20000,
            formats: negotiate::for_caller(&formats, &onward),
            direction: offered.audio().map(|audio| audio.direction.reversed()).unwrap_or_default(),
            ptime: offered.audio().and_then(|audio| audio.ptime),
            maxptime: offered.audio().and_then(|audio| audio.maxptime),
        };
        let answer = build::answer(&mut Origin::new(1), &offered, &local);
        let text = std::str::from_utf8(&answer).unwrap();
        if !offered.media().is_empty() {
            webrtc_sdp::parse_sdp(text, false).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        }
        let answered = Description::parse(&answer).unwrap();
        let kinds = |description: &Description| -> Vec<String> {
            description.media().iter().map(|media| media.kind.clone()).collect()
        };
        assert_eq!(kinds(&answered), kinds(&offered), "{name}");
        assert_eq!(answered.audio().is_some(), offered.audio().is_some(), "{name}");
    }
}

/// A description as lines, read by no code of the product.
struct Plain {
    session: Vec<String>,
    media: Vec<Vec<String>>,
}

impl Plain {
    fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body).replace(['\r', '\0'], "\n");
        let mut plain = Self { session: vec![], media: vec![] };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if line.starts_with("m=") {
                plain.media.push(vec![]);
            }
            plain.media.last_mut().unwrap_or(&mut plain.session).push(line.to_owned());
        }
        plain
    }

    /// Kind, port, protocol and formats of a stream.
    fn stream(&self, index: usize) -> (String, u16, String, Vec<String>) {
        let mut words = self.media[index][0]["m=".len()..].split_whitespace().map(str::to_owned);
        let kind = words.next().unwrap_or_default();
        let port = words.next().and_then(|port| port.split('/').next()?.parse().ok()).unwrap_or(0);
        (kind, port, words.next().unwrap_or_default(), words.collect())
    }

    /// The encoding, in small letters, that a stream maps a payload type to.
    fn mapped(&self, index: usize, number: &str) -> Option<String> {
        let prefix = format!("a=rtpmap:{number} ");
        let line = self.media[index].iter().find_map(|line| line.strip_prefix(&prefix))?;
        Some(line.trim().trim_end_matches("/1").to_lowercase())
    }

    fn sends_and_receives(&self, index: usize) -> (bool, bool) {
        let lines = self.media[index].iter().chain(&self.session);
        let word = lines.filter_map(|line| line.strip_prefix("a=")).find_map(|word| match word {
            "sendrecv" => Some((true, true)),
            "sendonly" => Some((true, false)),
            "recvonly" => Some((false, true)),
            "inactive" => Some((false, false)),
            _ => None,
        });
        word.unwrap_or((true, true))
    }
}

/// RFC 3264 §6, line by line.
fn complaints_about(offer: &Plain, answer: &Plain) -> Vec<String> {
    let mut complaints = vec![];
    let kinds: String = answer.session.iter().filter_map(|line| line.chars().next()).collect();
    if kinds != "vosct" {
        complaints.push(format!("session part is {kinds}"));
    }
    if offer.media.len() != answer.media.len() {
        complaints.push(format!("{} streams for {}", answer.media.len(), offer.media.len()));
        return complaints;
    }
    for index in 0..offer.media.len() {
        let (kind, _, protocol, offered) = offer.stream(index);
        let (answered_kind, port, answered_protocol, formats) = answer.stream(index);
        if (&kind, &protocol) != (&answered_kind, &answered_protocol) {
            complaints.push(format!("stream {index} is {answered_kind} {answered_protocol} for {kind} {protocol}"));
        }
        if port == 0 {
            continue;
        }
        for number in &formats {
            if !offered.contains(number) {
                complaints.push(format!("stream {index}: {number} was not offered"));
            }
            let mapped = answer.mapped(index, number);
            let theirs = offer.mapped(index, number).map(|text| text.split(' ').next().unwrap_or_default().to_owned());
            let same =
                theirs.as_ref().is_none_or(|theirs| mapped.as_ref().is_some_and(|ours| ours.starts_with(theirs)));
            if !same {
                complaints.push(format!("stream {index}: {number} is {mapped:?}, offered as {theirs:?}"));
            }
        }
        let (sends, receives) = answer.sends_and_receives(index);
        let (offer_sends, offer_receives) = offer.sends_and_receives(index);
        if sends && !offer_receives || receives && !offer_sends {
            complaints.push(format!("stream {index}: direction says more than was offered"));
        }
    }
    complaints
}

#[test]
fn every_answer_is_what_rfc_3264_makes_of_its_offer_and_the_offer_passed_on_is_valid_too() {
    for (name, body) in corpus() {
        let offered = Description::parse(&body).unwrap();
        let audio = offered.audio();
        let formats = audio.map(|audio| audio.formats.clone()).unwrap_or_default();
        let onward = negotiate::for_target(&formats, None);
        let direction = audio.map(|audio| audio.direction).unwrap_or_default();
        let address = "203.0.113.10".to_owned();
        let passed = LocalAudio {
            address: address.clone(),
            port: 20_002,
            formats: onward.clone(),
            direction,
            ..LocalAudio::default()
        };
        if !onward.is_empty() {
            let offer = build::offer(&mut Origin::new(2), &passed);
            let text = std::str::from_utf8(&offer).unwrap();
            webrtc_sdp::parse_sdp(text, true).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
            let mut numbers: Vec<u8> = onward.iter().map(|format| format.payload_type).collect();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), onward.len(), "{name}: a payload type twice");
        }
        // The far side may answer with anything less.
        for choice in 1..=onward.len().max(1) {
            let settled = negotiate::for_caller(&formats, onward.get(..choice).unwrap_or_default());
            let local = LocalAudio {
                formats: settled,
                direction: negotiate::answer_direction(direction, trunkline::sdp::Direction::SendRecv),
                ..LocalAudio { address: address.clone(), port: 20_000, ..LocalAudio::default() }
            };
            let answer = build::answer(&mut Origin::new(1), &offered, &local);
            let complaints = complaints_about(&Plain::read(&body), &Plain::read(&answer));
            assert!(
                complaints.is_empty(),
                "{name}, {choice} formats: {complaints:#?}\n{}",
                String::from_utf8_lossy(&answer)
            );
        }
    }
}

#[test]
fn the_checker_finds_what_an_answer_must_not_do() {
    let base = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
    let stream = "m=audio 4000 RTP/AVP 0 96\r\na=rtpmap:96 opus/48000/2\r\na=sendonly\r\n";
    let offer = Plain::read(format!("{base}{stream}").as_bytes());
    let count = |answer: &str| complaints_about(&offer, &Plain::read(format!("{base}{answer}").as_bytes())).len();
    assert_eq!(count("m=audio 9 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\na=recvonly\r\n"), 0);
    assert_eq!(count("m=audio 9 RTP/AVP 8\r\na=recvonly\r\n"), 1);
    assert_eq!(count("m=audio 9 RTP/AVP 96\r\na=rtpmap:96 iLBC/8000\r\na=recvonly\r\n"), 1);
    assert_eq!(count("m=audio 9 RTP/AVP 0\r\na=sendrecv\r\n"), 1);
    assert_eq!(count("m=video 0 RTP/AVP 0\r\n"), 1);
    assert_eq!(count(""), 1);
}
