//! Holds the direction of knowledge: which part of the house may know which. It reads the paths in the sources, so that
//! a shortcut fails here, with its reason, and not in a review.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One prohibition: files of `of` may not mention `never`.
struct Rule {
    of: &'static [&'static str],
    never: Never,
    why: &'static str,
}

enum Never {
    /// These parts of the house.
    Parts(&'static [&'static str]),
    /// Any part but its own and these.
    PartsBut(&'static [&'static str]),
    /// A package, except in files whose path starts like one of these.
    Package(&'static str, &'static [&'static str]),
}

/// Nothing stands below these, so anybody may know them.
const BOTTOM: &[&str] = &["clock", "error", "record"];

const RULES: &[Rule] = &[
    Rule {
        of: &["clock", "error", "record"],
        never: Never::PartsBut(BOTTOM),
        why: "they are the bottom of the house: everybody writes into them, so they can know nobody",
    },
    Rule {
        of: &["sip", "sdp", "media"],
        never: Never::PartsBut(BOTTOM),
        why: "the sans-IO cores know nothing above them and not each other: sdp is joined to sip by call, media gets plain values",
    },
    Rule {
        of: &["tls"],
        never: Never::PartsBut(BOTTOM),
        why: "certificates are loaded alike for the check, the transports and the listeners, so they know none of them",
    },
    Rule {
        of: &["config"],
        never: Never::Parts(&["call", "room", "transport", "http", "gateway", "sim", "store", "observe"]),
        why: "the configuration is an immutable value that others read; it starts nothing",
    },
    Rule {
        of: &["identity", "route", "trunk"],
        never: Never::Parts(&["call", "room", "transport", "http", "gateway", "sim", "store", "sdp", "media"]),
        why: "decisions are made from a message and the configuration alone, or `explain` could not repeat them",
    },
    Rule {
        of: &["guard"],
        never: Never::PartsBut(&["clock", "error", "record", "config"]),
        why: "it is asked before anything is parsed: bytes and addresses are all it may know",
    },
    Rule {
        of: &["call"],
        never: Never::Parts(&["transport", "http", "gateway", "sim", "store"]),
        why: "calls are values in their shard: sockets and servers come to them as events",
    },
    Rule {
        of: &["room"],
        never: Never::Parts(&["sip", "sdp", "media", "call", "transport", "gateway", "sim"]),
        why: "the companion gets CallFacts and never sees SIP",
    },
    Rule {
        of: &["explain"],
        never: Never::Parts(&["transport", "http", "gateway", "sim", "store"]),
        why: "a rehearsal has nothing to send with",
    },
    Rule {
        of: &[
            "call",
            "config",
            "identity",
            "media",
            "observe",
            "record",
            "room",
            "route",
            "sdp",
            "sip",
            "store",
            "transport",
            "trunk",
            "http",
        ],
        never: Never::Parts(&["explain"]),
        why: "a live call does not know that calls are rehearsed, too",
    },
    Rule {
        of: &["observe", "store"],
        never: Never::Parts(&["sip", "sdp", "media", "call", "room", "transport", "http", "gateway", "sim"]),
        why: "they take plain values from whoever has something to tell",
    },
    Rule {
        of: &["transport"],
        never: Never::Parts(&["call", "room", "http", "gateway", "sim", "trunk", "identity", "route", "sdp", "media"]),
        why: "a transport moves bytes and decides nothing",
    },
    Rule {
        of: &["http"],
        never: Never::Parts(&["sip", "sdp", "media", "call", "transport", "gateway", "sim"]),
        why: "listeners ask through traits and channels, so that they are tested without a gateway",
    },
    Rule {
        of: &["sim"],
        never: Never::Parts(&["sip", "sdp", "media", "room", "call", "transport", "gateway"]),
        why: "a simulator on our own stack would agree with our own mistakes",
    },
    Rule {
        of: &["gateway"],
        never: Never::Parts(&["sim"]),
        why: "what runs in production does not know its simulators",
    },
    Rule {
        of: EVERYBODY,
        never: Never::Parts(&["cli"]),
        why: "the command line is the edge: it knows all, nobody knows it",
    },
    Rule {
        of: &["sip", "sdp", "media", "call", "guard", "trunk", "identity", "route", "room", "explain"],
        never: Never::Package("tokio", &["room/driver", "room/daily/rest"]),
        why: "state machines take `now` and return effects; a runtime inside would end their tests under a virtual clock",
    },
];

const EVERYBODY: &[&str] = &[
    "call",
    "clock",
    "config",
    "error",
    "explain",
    "gateway",
    "guard",
    "http",
    "identity",
    "media",
    "observe",
    "record",
    "room",
    "route",
    "sdp",
    "sim",
    "sip",
    "store",
    "tls",
    "transport",
    "trunk",
];

/// The longest a file may be, its tests apart.
const LINES: usize = 600;

/// A file of `src`.
struct Source {
    /// Relative to `src`, with `/`.
    path: String,
    /// As written.
    text: String,
    /// Without comments, strings and tests.
    code: String,
}

// === impl Source ===

impl Source {
    fn read(root: &Path, path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let relative = path.strip_prefix(root).unwrap().components().map(|part| part.as_os_str().to_string_lossy());
        let path = relative.collect::<Vec<_>>().join("/");
        let code = if is_test_file(&path) { String::new() } else { code_of(&text) };
        Self { path, text, code }
    }

    /// The part of the house it belongs to: the first module under the crate.
    fn part(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// How many modules deep it is.
    fn depth(&self) -> usize {
        let names = self.path.trim_end_matches(".rs").split('/').filter(|name| *name != "mod");
        names.count()
    }

    /// The other parts that its code mentions.
    fn mentions(&self) -> BTreeSet<String> {
        let mut parts = BTreeSet::new();
        for (at, _) in self.code.match_indices("crate::") {
            parts.extend(heads(&self.code[at + "crate::".len()..]));
        }
        // A chain of `super::` that leaves the outermost module reaches the crate itself.
        let chain = "super::".repeat(self.depth());
        for (at, _) in self.code.match_indices(&chain) {
            let rest = &self.code[at + chain.len()..];
            if !self.code[..at].ends_with("super::") && !rest.starts_with("super::") {
                parts.extend(heads(rest));
            }
        }
        parts.retain(|part| EVERYBODY.contains(&part.as_str()) || part == "cli");
        parts.remove(self.part());
        parts
    }

    fn breaks(&self, rule: &Rule) -> Option<String> {
        let mentions = self.mentions();
        let bad: Vec<String> = match &rule.never {
            Never::Parts(parts) => mentions.into_iter().filter(|part| parts.contains(&part.as_str())).collect(),
            Never::PartsBut(parts) => mentions.into_iter().filter(|part| !parts.contains(&part.as_str())).collect(),
            Never::Package(package, but) => {
                let excepted = but.iter().any(|start| self.path.starts_with(start));
                let used = !excepted && self.code.match_indices(&format!("{package}::")).next().is_some();
                if used { vec![(*package).to_owned()] } else { vec![] }
            }
        };
        (!bad.is_empty()).then(|| format!("src/{} knows {}: {}", self.path, bad.join(", "), rule.why))
    }
}

/// The first names of what follows `crate::`: one, or those of a group in braces.
fn heads(rest: &str) -> Vec<String> {
    let ident = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = rest.trim_start().strip_prefix('{') else {
        return vec![ident(rest)];
    };
    let (mut names, mut depth, mut fresh) = (vec![], 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                names.push(ident(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("_tests.rs") || path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The text up to its test module, without comments and strings: only code can know something.
fn code_of(text: &str) -> String {
    let text = &text[..tests_start(text)];
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(quote) = ["'\"'", "'\\\"'", "b'\"'"].into_iter().find(|quote| rest.starts_with(quote)) {
            quote.len()
        } else if rest.starts_with("r#\"") {
            rest.find("\"#").map_or(rest.len(), |end| end + 2)
        } else if c == '"' {
            string_end(rest)
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// Where the string literal at the start of `text` is over.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn tests_start(text: &str) -> usize {
    let is_module = |at: &usize| {
        let after = text[*at..].lines().skip(1).find(|line| !line.trim_start().starts_with("#["));
        after.is_some_and(|line| line.trim_start().starts_with("mod ") || line.trim_start().starts_with("pub mod "))
    };
    text.match_indices("\n#[cfg(test)]").map(|(at, _)| at + 1).find(is_module).unwrap_or(text.len())
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    collect(&root, &mut files);
    files.sort();
    files.iter().map(|path| Source::read(&root, path)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn complain(complaints: &[String]) {
    let mut text = String::new();
    for complaint in complaints {
        writeln!(text, "  {complaint}").unwrap();
    }
    assert!(complaints.is_empty(), "\n{text}");
}

#[test]
fn knowledge_flows_one_way() {
    let sources = sources();
    let rows = RULES.iter().flat_map(|rule| sources.iter().map(move |source| (rule, source)));
    let complaints: Vec<String> = rows
        .filter(|(rule, source)| rule.of.contains(&source.part()))
        .filter_map(|(rule, source)| source.breaks(rule))
        .collect();
    complain(&complaints);
}

#[test]
fn every_part_of_the_house_is_known_to_the_rules() {
    let parts: BTreeSet<String> = sources().iter().map(|source| source.part().to_owned()).collect();
    let outside = ["cli", "lib", "main"];
    let unknown: Vec<String> = parts
        .into_iter()
        .filter(|part| !EVERYBODY.contains(&part.as_str()) && !outside.contains(&part.as_str()))
        .map(|part| format!("src/{part}: say in tests/architecture.rs what it may know"))
        .collect();
    complain(&unknown);
}

#[test]
fn no_file_is_longer_than_a_reader_is_patient() {
    let complaints: Vec<String> = sources()
        .iter()
        .filter(|source| !is_test_file(&source.path))
        .map(|source| {
            let limit = if source.path == "main.rs" { 100 } else { LINES };
            (source, source.text[..tests_start(&source.text)].lines().count(), limit)
        })
        .filter(|(_, lines, limit)| lines >= limit)
        .map(|(source, lines, limit)| {
            format!("src/{} has {lines} lines, the limit is {limit}: one concept a file", source.path)
        })
        .collect();
    complain(&complaints);
}

#[test]
fn every_file_says_at_its_top_what_it_is_and_why_it_stands_apart() {
    let complaints: Vec<String> = sources()
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("src/{} does not start with `//! `", source.path))
        .collect();
    complain(&complaints);
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["todo!(", "unimplemented!(", "#[ignore", "#[allow(dead_code)]"];
    let complaints: Vec<String> = sources()
        .iter()
        .flat_map(|source| marks.iter().filter(|mark| source.text.contains(**mark)).map(move |mark| (source, mark)))
        .map(|(source, mark)| format!("src/{} has `{mark}`", source.path))
        .collect();
    complain(&complaints);
}

// --- the reader itself

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned(), code: code_of(text) }
}

fn mentions(path: &str, text: &str) -> Vec<String> {
    source(path, text).mentions().into_iter().collect()
}

#[test]
fn the_reader_finds_plain_grouped_and_relative_paths() {
    assert_eq!(mentions("room/plan.rs", "use crate::sip::Message;"), ["sip"]);
    assert_eq!(
        mentions("room/plan.rs", "use crate::{clock, media::{Relay, Side}, record::CallId};"),
        ["clock", "media", "record"]
    );
    assert_eq!(mentions("room/plan.rs", "fn f() { crate::call::end(); }"), ["call"]);
    assert_eq!(mentions("room/mod.rs", "use super::sip::Message;"), ["sip"]);
    assert_eq!(mentions("room/daily/rest.rs", "use super::super::super::{media, sdp::Description};"), ["media", "sdp"]);
}

#[test]
fn the_reader_takes_its_own_part_comments_strings_and_tests_for_nothing() {
    assert!(mentions("room/plan.rs", "use super::sip;").is_empty(), "that is room::sip");
    assert!(mentions("sip/uri.rs", "use crate::sip::Method; use super::super::super::x;").is_empty());
    assert!(
        mentions("room/plan.rs", "// see crate::sip\n/* crate::media */ const A: &str = \"crate::call\";").is_empty()
    );
    assert!(mentions("room/plan.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n use crate::sip::Message;\n}").is_empty());
}

#[test]
fn a_broken_rule_is_named_with_its_reason() {
    let rule = RULES.iter().find(|rule| rule.of == ["room"]).unwrap();
    let complaint = source("room/plan.rs", "use crate::sip::Message;").breaks(rule).unwrap();
    assert_eq!(complaint, "src/room/plan.rs knows sip: the companion gets CallFacts and never sees SIP");
    let rule = RULES.last().unwrap();
    assert!(source("call/leg.rs", "use tokio::time::Instant;").breaks(rule).is_some());
    assert!(source("room/driver.rs", "use tokio::sync::mpsc;").breaks(rule).is_none());
}
