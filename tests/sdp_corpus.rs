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
