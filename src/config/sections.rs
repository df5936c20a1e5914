//! From the tree to the types of the sections. A section that cannot be read gives all of its problems, not only the
//! first: the entry that was wrong is taken out and the rest is read again.

use super::Config;
use super::document::{Document, take_out};
use super::problem::Problem;
use super::value::Later;
use serde::de::DeserializeOwned;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

/// The sections of the file; those in double brackets may stand several times.
const SECTIONS: [&str; 15] = [
    "sip",
    "media",
    "http",
    "admin",
    "numbers",
    "trunk",
    "target",
    "route",
    "daily",
    "room",
    "guard",
    "observe",
    "signalwire",
    "store",
    "cluster",
];
const REPEATED: [&str; 4] = ["trunk", "target", "route", "room"];
const LATER: [&str; 3] = ["signalwire", "store", "cluster"];

/// Reads all sections; `None` if one of them had a problem.
pub(super) fn read(document: &Document<'_>, problems: &mut Vec<Problem>) -> Option<Config> {
    let before = problems.len();
    let mut reader = Reader { document, problems };
    for (key, value) in document.root().iter() {
        reader.known_section(key.get_ref(), &key.span(), value);
    }
    let config = Config {
        sip: reader.one("sip").unwrap_or_default(),
        media: reader.one("media").unwrap_or_default(),
        http: reader.one("http").unwrap_or_default(),
        admin: reader.one("admin").unwrap_or_default(),
        numbers: reader.one("numbers").unwrap_or_default(),
        trunks: reader.many("trunk"),
        targets: reader.many("target"),
        routes: reader.many("route"),
        daily: reader.one("daily"),
        rooms: reader.many("room"),
        guard: reader.one("guard").unwrap_or_default(),
        observe: reader.one("observe").unwrap_or_default(),
        signalwire: None,
        store: None,
        cluster: None,
    };
    (problems.len() == before).then_some(config)
}

/// What a value's own error says, split where its author wrote `problem; remedy`.
struct Complaint {
    message: String,
    remedy: String,
    /// The key that a mistyped one was probably meant to be.
    meant: Option<String>,
}

struct Reader<'d, 't> {
    document: &'d Document<'t>,
    problems: &'d mut Vec<Problem>,
}

// === impl Reader ===

impl Reader<'_, '_> {
    fn known_section(&mut self, name: &str, span: &Range<usize>, value: &Spanned<DeValue<'_>>) {
        if LATER.contains(&name) {
            self.problems.push(self.document.problem(span, format!("`{name}` is not in this version"), "remove it"));
        } else if !SECTIONS.contains(&name) {
            let remedy = match nearest(name, SECTIONS) {
                Some(near) => format!("did you mean {}?", bracketed(near)),
                None => format!("known sections: {}", SECTIONS.map(bracketed).join(", ")),
            };
            self.problems.push(self.document.problem(span, format!("unknown section or key `{name}`"), remedy));
        } else {
            let fits = match value.get_ref() {
                DeValue::Table(_) => !REPEATED.contains(&name),
                DeValue::Array(_) => REPEATED.contains(&name),
                _ => false,
            };
            if !fits {
                let problem = self.document.problem(
                    span,
                    format!("`{name}` has not the form of its section"),
                    format!("write it as {}", bracketed(name)),
                );
                self.problems.push(problem);
            }
        }
    }

    fn one<T: DeserializeOwned>(&mut self, section: &'static str) -> Option<T> {
        let value = self.document.root().get(section)?;
        if !matches!(value.get_ref(), DeValue::Table(_)) {
            return None;
        }
        self.element(section, value)
    }

    fn many<T: DeserializeOwned>(&mut self, section: &'static str) -> Vec<T> {
        match self.document.root().get(section).map(Spanned::get_ref) {
            Some(DeValue::Array(list)) => list.iter().filter_map(|value| self.element(section, value)).collect(),
            _ => vec![],
        }
    }

    fn element<T: DeserializeOwned>(&mut self, section: &'static str, value: &Spanned<DeValue<'_>>) -> Option<T> {
        let mut value = value.clone();
        let mut taken: Vec<String> = vec![];
        let mut clean = true;
        loop {
            let error = match T::deserialize(ValueDeserializer::from(value.clone())) {
                Ok(read) => return clean.then_some(read),
                Err(error) => error,
            };
            let span = error.span().unwrap_or_else(|| value.span());
            let missing = quoted_after(error.message(), "missing field ");
            let entry = take_out(&mut value, &span);
            let keys = entry.as_ref().map(|entry| entry.keys.clone()).unwrap_or_default();
            // What was taken out a moment ago is not missing: its own problem is told already.
            if !missing.is_some_and(|field| taken.iter().any(|key| key == field)) {
                let Complaint { message, remedy, meant } = complaint(error.message(), section, &keys);
                // What has to go is pointed at by its key, what has to change by its value.
                let later = error.message().contains(Later::REFUSAL);
                let place = entry.as_ref().and_then(|entry| entry.key.clone()).filter(|_| later).unwrap_or(span);
                self.problems.push(self.document.problem(&place, message, remedy));
                taken.extend(meant);
            }
            clean = false;
            entry?;
            taken.extend(keys.into_iter().next_back());
        }
    }
}

/// Puts serde's message into our words.
fn complaint(raw: &str, section: &str, keys: &[String]) -> Complaint {
    let own = |message: String, remedy: String| Complaint { message, remedy, meant: None };
    let key = keys.last().map_or("value", String::as_str);
    let place = place(section, keys);
    if raw.contains(Later::REFUSAL) {
        return own(format!("`{key}` is not in this version"), "remove it".to_owned());
    }
    if let Some(unknown) = quoted_after(raw, "unknown field ") {
        let known = expected(raw, unknown);
        let near = nearest(unknown, known.iter().copied());
        let remedy = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known keys: {}", known.join(", ")),
        };
        let outer = keys.get(..keys.len().saturating_sub(1)).unwrap_or_default();
        let message = format!("unknown key `{unknown}` in {}", self::place(section, outer));
        return Complaint { message, remedy, meant: near.map(str::to_owned) };
    }
    if let Some(unknown) = quoted_after(raw, "unknown variant ") {
        let known = expected(raw, unknown);
        let remedy = match nearest(unknown, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write one of {}", known.join(", ")),
        };
        return own(format!("`{unknown}` is no value of {place}"), remedy);
    }
    if let Some(field) = quoted_after(raw, "missing field ") {
        return own(format!("`{field}` is missing in {place}"), format!("add `{field} = ...`"));
    }
    if let Some((message, wanted)) = raw.rsplit_once(", expected ") {
        if key == "targets" && raw.contains("map") {
            return own("weighted targets are not in this version".to_owned(), "write a list of names".to_owned());
        }
        return own(format!("{place}: {message}"), in_words(wanted));
    }
    match raw.rsplit_once("; ") {
        Some((message, remedy)) => own(format!("{place}: {message}"), remedy.to_owned()),
        None => own(format!("{place}: {raw}"), "correct the value".to_owned()),
    }
}

/// `` `key` of [section] ``, from the keys on the way down.
fn place(section: &str, keys: &[String]) -> String {
    if keys.is_empty() { bracketed(section) } else { format!("`{}` of {}", keys.join("."), bracketed(section)) }
}

/// What serde expects, as an instruction.
fn in_words(wanted: &str) -> String {
    match wanted {
        "a string" => "write a string in quotes".to_owned(),
        "a boolean" => "write true or false".to_owned(),
        "a sequence" => "write a list in [ ]".to_owned(),
        "a map" => "write a table in { }".to_owned(),
        "u8" => "write a whole number from 0 to 255".to_owned(),
        "u16" => "write a whole number from 0 to 65535".to_owned(),
        "u32" => "write a whole number from 0 to 4294967295".to_owned(),
        other if other.starts_with("struct ") => "write a table in { }".to_owned(),
        other => format!("write {other}"),
    }
}

/// A section as it is written in the file.
fn bracketed(section: &str) -> String {
    if REPEATED.contains(&section) { format!("[[{section}]]") } else { format!("[{section}]") }
}

/// The name in backticks that follows `lead`.
fn quoted_after<'m>(message: &'m str, lead: &str) -> Option<&'m str> {
    message.strip_prefix(lead)?.strip_prefix('`')?.split('`').next()
}

/// The names in backticks behind the unknown one: what serde would have taken.
fn expected<'m>(message: &'m str, unknown: &str) -> Vec<&'m str> {
    let list = message.split_once(unknown).map_or("", |(_, after)| after);
    list.split('`').skip(2).step_by(2).collect()
}

/// The known name that a mistyped one is likely to mean.
pub(super) fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let typed = typed.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&typed, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.len().max(typed.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
