//! Whatever comes in: mutilated messages by seed, and every file of the shared corpus. Nothing may panic, what goes
//! out must be sound, and nothing may be left.

use super::*;
use std::path::{Path, PathBuf};

impl Bench {
    /// Takes bytes, and ends the calls that come of them.
    fn survive(&mut self, bytes: &[u8]) {
        self.endpoint.receive(self.now, self.source, Bytes::copy_from_slice(bytes));
        for event in self.events() {
            match event {
                Event::Invited { leg, .. } => {
                    self.endpoint.provisional(self.now, leg, StatusCode::RINGING, None, Headers::new(), None).unwrap();
                    self.endpoint.answer(self.now, leg, Headers::new(), Some(sdp())).unwrap();
                    self.endpoint.bye(self.now, leg, Headers::new()).unwrap();
                }
                Event::Answered { leg, .. } => self.endpoint.bye(self.now, leg, Headers::new()).unwrap(),
                Event::OutOfDialog { id, .. } => {
                    self.endpoint.respond(self.now, id, StatusCode::OK, None, Headers::new(), None).unwrap();
                }
                _ => {}
            }
        }
        for transmit in self.transmits() {
            let sent = Message::parse(transmit.payload).unwrap();
            // An answer to an unusable request copies what made it unusable; everything else must be sound.
            let refusal = sent.status().is_some_and(|status| matches!(status.get(), 400 | 505));
            assert!(refusal || sent.check().is_ok(), "{:?}: {:?}", sent.check(), sent.bytes());
        }
    }
}

fn mutilate(text: &[u8], entropy: &mut Entropy) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for _ in 0..=entropy.below(4) {
        let at = entropy.below(bytes.len() as u64) as usize;
        match entropy.below(5) {
            0 => bytes[at] = entropy.next_u64() as u8,
            1 => bytes.truncate(at.max(1)),
            2 => bytes.insert(at, b"\r\n;,<>\"@:= "[entropy.below(11) as usize]),
            3 => {
                let end = (at + entropy.below(40) as usize).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                bytes.remove(at);
                if bytes.is_empty() {
                    bytes.push(b'x');
                }
            }
        }
    }
    bytes
}

#[test]
fn mutilated_messages_do_no_harm() {
    for seed in 0..20 {
        let mut entropy = Entropy::seeded(seed);
        let mut bench = Bench::new();
        let (leg, tag) = bench.answered_call();
        let (_, invite) = bench.calling();
        let sane = [
            INVITE.to_owned(),
            in_dialog("INVITE", 11, &tag, "n1"),
            in_dialog("OPTIONS", 12, &tag, "n2"),
            in_dialog("ACK", 11, &tag, "n3"),
            INVITE.replace("INVITE", "CANCEL"),
            response(&invite, "200 OK", "bob", CONTACT),
            response(&invite, "183 Session Progress", "bob", CONTACT),
            in_dialog("BYE", 99, &tag, "n4"),
        ];
        for text in &sane {
            let bytes = message(text).bytes().clone();
            for _ in 0..100 {
                bench.survive(&mutilate(&bytes, &mut entropy));
            }
            bench.pass(Duration::from_millis(700));
            bench.survive(b"");
        }
        // A mutilated BYE may have ended it already.
        let _ = bench.endpoint.bye(bench.now, leg, Headers::new());
        for _ in 0..20 {
            bench.pass(seconds(33));
            bench.survive(b"");
        }
        bench.finish();
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn every_message_of_the_shared_corpus_is_survived() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let corpus = std::env::var_os("TRUNKLINE_CORPUS").map_or(beside, PathBuf::from);
    let mut found = Vec::new();
    files(&corpus, &mut found);
    if found.is_empty() {
        eprintln!("no shared corpus at {}", corpus.display());
        return;
    }
    found.sort();
    let mut bench = Bench::new();
    for path in found {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        bench.survive(bytes.get(..65_535).unwrap_or(&bytes));
    }
    for _ in 0..20 {
        bench.pass(seconds(33));
        bench.survive(b"");
    }
    bench.finish();
}
