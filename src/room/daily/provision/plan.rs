//! From what the account holds and what is wanted to the steps between them. Pure: whoever performs the steps asks here
//! again after each, so that "nothing to do" and "it worked" are the same question.

use super::entry::{Current, Entry};
use super::{Difference, MASKED, Refusal, array, same_url};
use crate::config::provision::ProvisionApi;
use crate::config::value::Secret;
use crate::room::daily::rest::path_segment;
use serde_json::{Map, Value, json};

/// What this gateway needs.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// `name_prefix` of its entries.
    pub name: String,
    /// Its `/daily/dialin`, as Daily reaches it.
    pub webhook: String,
    /// Which entries.
    pub lines: Vec<Line>,
    /// MP3 for held callers; `None` leaves what is there.
    pub hold_music: Option<String>,
    /// Words for callers in vain; `None` leaves what is there.
    pub timeout_message: Option<String>,
    /// The secret of a new entry, unless another entry of ours has one already.
    pub hmac: Secret,
    /// May an entry that posts elsewhere become ours?
    pub adopt: Adopt,
}

/// What an entry is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Calls over SIP: no phone number.
    Interconnect,
    /// Calls to this number.
    Number(String),
}

/// May an entry that posts elsewhere become ours?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopt {
    /// It is somebody else's.
    No,
    /// The operator said so.
    Yes,
}

/// Which of Daily's two interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// `/domain-dialin-config`.
    Entries,
    /// `pinless_dialin` of the domain.
    Array,
}

/// All steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Through which interface.
    pub api: Api,
    /// One for each line.
    pub steps: Vec<Step>,
    /// Entries that post to this gateway and are not among the lines; they stay.
    pub strays: Vec<String>,
}

/// One entry of ours: how it is, how it will be.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it is for.
    pub line: Line,
    /// As it is; `None` if it has to be created.
    pub before: Option<Entry>,
    /// As it will be.
    pub after: Map<String, Value>,
    /// What differs; empty if nothing has to be done.
    pub differences: Vec<Difference>,
}

/// One request that writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) verb: Verb,
    pub(super) path: String,
    pub(super) body: String,
}

/// How it is sent, which says whether it may be sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Creates: a second one creates another.
    Create,
    /// Replaces by PUT: a second one changes nothing.
    Put,
    /// Replaces by POST: a second one changes nothing.
    Set,
}

// === planning ===

/// Which interface: the one asked for; else per-entry, unless the account has none, or our entries are only in the array.
///
/// # Errors
/// The one asked for is not there.
pub(super) fn choose(asked: ProvisionApi, current: &Current, wanted: &Wanted) -> Result<Api, Refusal> {
    let there = |entries: &Option<Vec<Entry>>| entries.as_ref().is_some_and(|entries| wanted.has_own(entries));
    match (asked, &current.entries, &current.array) {
        (ProvisionApi::Entries, None, _) => {
            Err(Refusal::new("this account has no /domain-dialin-config", "use --api array, or ask Daily to enable it"))
        }
        (ProvisionApi::Array, _, None) => {
            Err(Refusal::new("the domain's `pinless_dialin` was not shown", "use --api entries"))
        }
        (ProvisionApi::Array, _, Some(_)) | (ProvisionApi::Auto, None, Some(_)) => Ok(Api::Array),
        (ProvisionApi::Auto, Some(_), Some(_)) if !there(&current.entries) && there(&current.array) => Ok(Api::Array),
        (ProvisionApi::Entries | ProvisionApi::Auto, Some(_), _) => Ok(Api::Entries),
        (ProvisionApi::Auto, None, None) => {
            Err(Refusal::new("Daily shows neither of its two lists of dial-in entries", "check the key of [daily]"))
        }
    }
}

/// The steps.
///
/// # Errors
/// It is not certain which entry is ours, or one cannot be changed without harm.
pub(super) fn plan(api: Api, current: &Current, wanted: &Wanted) -> Result<Plan, Refusal> {
    let entries = api.list(current);
    if api == Api::Array {
        nothing_hidden(entries, current.entries.as_deref().unwrap_or_default())?;
    }
    let own = wanted.lines.iter().map(|line| Ok((line, wanted.own(line, entries)?)));
    let own: Vec<(&Line, Option<&Entry>)> = own.collect::<Result<_, Refusal>>()?;
    // One secret for all of them is easiest to configure.
    let secret = own.iter().find_map(|(_, entry)| entry.and_then(Entry::hmac)).unwrap_or(wanted.hmac.expose());
    let steps = own.iter().map(|(line, before)| wanted.step(line, *before, secret)).collect::<Result<_, _>>()?;
    let posts_here = |entry: &&Entry| entry.webhook().is_some_and(|url| same_url(url, &wanted.webhook));
    let known = |entry: &Entry| own.iter().any(|(_, known)| *known == Some(entry));
    let strays = entries.iter().filter(posts_here).filter(|entry| !known(entry)).map(Entry::title).collect();
    let plan = Plan { api, steps, strays };
    if api == Api::Array && plan.differs() {
        array::body(entries, &plan.steps)?;
    }
    Ok(plan)
}

/// Setting the array would remove what it does not show.
fn nothing_hidden(array: &[Entry], entries: &[Entry]) -> Result<(), Refusal> {
    let in_array = |entry: &&Entry| {
        array.iter().any(|other| match (entry.sip_uri(), entry.number()) {
            (Some(uri), _) => other.sip_uri() == Some(uri),
            (None, Some(number)) => other.number() == Some(number),
            (None, None) => true,
        })
    };
    match entries.iter().filter(|entry| !entry.asks_for_pin()).find(|entry| !in_array(entry)) {
        None => Ok(()),
        Some(entry) => Err(Refusal::new(
            format!("the array does not show the entry {}, and setting it might remove that", entry.title()),
            "use --api entries",
        )),
    }
}

// === impl Plan ===

impl Plan {
    /// Is there anything to do?
    #[must_use]
    pub fn differs(&self) -> bool {
        self.steps.iter().any(|step| !step.differences.is_empty())
    }

    /// The first request; `None` if everything is as it should be.
    pub(super) fn next(&self, current: &Current) -> Result<Option<Write>, Refusal> {
        let Some(step) = self.steps.iter().find(|step| !step.differences.is_empty()) else { return Ok(None) };
        if self.api == Api::Array {
            let body = array::body(self.api.list(current), &self.steps)?;
            return Ok(Some(Write { verb: Verb::Set, path: "/".to_owned(), body }));
        }
        let mut fields = step.after.clone();
        fields.entry("type").or_insert_with(|| json!("pinless_dialin"));
        let body = Value::Object(fields).to_string();
        Ok(Some(match step.before.as_ref().and_then(|entry| entry.id.as_deref()) {
            None => Write { verb: Verb::Create, path: "/domain-dialin-config".to_owned(), body },
            Some(id) => Write { verb: Verb::Put, path: format!("/domain-dialin-config/{}", path_segment(id)), body },
        }))
    }
}

// === impl Api ===

impl Api {
    /// Its list.
    #[must_use]
    pub fn list(self, current: &Current) -> &[Entry] {
        let list = match self {
            Self::Entries => &current.entries,
            Self::Array => &current.array,
        };
        list.as_deref().unwrap_or_default()
    }

    /// For output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Array => "array",
        }
    }
}

// === impl Write ===

impl Write {
    /// For people.
    pub(super) fn request(&self) -> String {
        let method = if self.verb == Verb::Put { "PUT" } else { "POST" };
        format!("{method} {}", self.path)
    }
}

// === impl Line ===

impl Line {
    /// For output.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Interconnect => "interconnect",
            Self::Number(number) => number,
        }
    }
}

// === impl Wanted ===

impl Wanted {
    pub(super) fn has_own(&self, entries: &[Entry]) -> bool {
        self.lines.iter().any(|line| matches!(self.own(line, entries), Ok(Some(_)) | Err(_)))
    }

    /// The entry of this line, if there is one. It is ours if it posts to us. One that only bears our name, or has our
    /// number, may be another gateway's: only the operator can tell.
    fn own<'e>(&self, line: &Line, entries: &'e [Entry]) -> Result<Option<&'e Entry>, Refusal> {
        let pinless = entries.iter().filter(|entry| !entry.asks_for_pin());
        let ours = |entry: &&&Entry| entry.webhook().is_some_and(|url| same_url(url, &self.webhook));
        let (candidates, own): (Vec<&Entry>, Vec<&Entry>) = match line {
            Line::Interconnect => {
                let plain: Vec<&Entry> = pinless.filter(|entry| entry.number().is_none()).collect();
                let own: Vec<&Entry> = plain.iter().filter(ours).copied().collect();
                let named = |entry: &&&Entry| entry.name() == Some(&self.name);
                let both: Vec<&Entry> = own.iter().filter(named).copied().collect();
                let own = if both.len() == 1 { both } else { own };
                (plain.iter().filter(named).copied().collect(), own)
            }
            Line::Number(number) => {
                let same: Vec<&Entry> =
                    pinless.filter(|entry| entry.number().is_some_and(|n| same_number(n, number))).collect();
                let own = same.iter().filter(ours).copied().collect();
                (same, own)
            }
        };
        match (own.as_slice(), candidates.as_slice()) {
            ([one], _) => Ok(Some(one)),
            ([], []) => Ok(None),
            ([], [one]) if self.adopt == Adopt::Yes => Ok(Some(one)),
            ([], [one]) => Err(self.somebody_elses(one)),
            (many, others) => Err(ambiguous(line, if many.is_empty() { others } else { many })),
        }
    }

    fn somebody_elses(&self, entry: &Entry) -> Refusal {
        let url = entry.webhook().unwrap_or("nowhere");
        let rename = if entry.number().is_none() { ", or set another `name` in [daily.provision]" } else { "" };
        Refusal::new(
            format!("the entry {} posts to {url}, not to {}", entry.title(), self.webhook),
            format!("if it is this gateway's, run again with --adopt{rename}"),
        )
    }

    fn step(&self, line: &Line, before: Option<&Entry>, secret: &str) -> Result<Step, Refusal> {
        let mut after = before.map(|entry| entry.fields.clone()).unwrap_or_default();
        let mut differences = vec![];
        let mut field = |field: &'static str, from: Option<&str>, to: &str| {
            differences.push(Difference { field, from: from.map(str::to_owned), to: to.to_owned() });
        };
        if let (None, Line::Number(number)) = (before, line) {
            after.insert("phone_number".to_owned(), json!(number));
            field("phone_number", None, number);
        }
        let name = before.and_then(Entry::name);
        if name != Some(&self.name) {
            after.insert("name_prefix".to_owned(), json!(self.name));
            field("name_prefix", name, &self.name);
        }
        let webhook = before.and_then(Entry::webhook);
        if !webhook.is_some_and(|url| same_url(url, &self.webhook)) {
            after.insert("room_creation_api".to_owned(), json!(self.webhook));
            field("room_creation_api", webhook, &self.webhook);
        }
        let music = before.and_then(Entry::hold_music);
        if let Some(wanted) = self.hold_music.as_deref().filter(|wanted| music != Some(*wanted)) {
            after.insert("hold_music_url".to_owned(), json!(wanted));
            field("hold_music_url", music, wanted);
        }
        let message = before.and_then(Entry::timeout_message);
        if let Some(wanted) = self.timeout_message.as_deref().filter(|wanted| message != Some(*wanted)) {
            let config = after.entry("timeout_config").or_insert_with(|| json!({}));
            if !config.is_object() {
                *config = json!({});
            }
            if let Some(config) = config.as_object_mut() {
                config.insert("message".to_owned(), json!(wanted));
            }
            field("timeout_config.message", message, wanted);
        }
        match before {
            None => {
                after.insert("hmac".to_owned(), json!(secret));
                field("hmac", None, MASKED);
            }
            Some(entry) if entry.hmac().is_none() && !differences.is_empty() => return Err(unwritable(entry)),
            Some(_) => {}
        }
        if before.is_some_and(|entry| entry.id.is_some()) {
            // Daily's own, and read-only.
            after.shift_remove("sip_uri");
        }
        Ok(Step { line: line.clone(), before: before.cloned(), after, differences })
    }
}

fn unwritable(entry: &Entry) -> Refusal {
    Refusal::new(
        format!(
            "Daily does not show the secret of the entry {}, so changing it would change the secret too",
            entry.title()
        ),
        "change the entry in Daily's dashboard, or delete it and run again",
    )
}

fn ambiguous(line: &Line, entries: &[&Entry]) -> Refusal {
    let names: Vec<String> = entries.iter().map(|entry| entry.title()).collect();
    Refusal::new(
        format!("{} entries could be this gateway's for {}: {}", entries.len(), line.name(), names.join(", ")),
        "delete those that are not needed, or give the right one the `name` of [daily.provision]",
    )
}

fn same_number(one: &str, other: &str) -> bool {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    digits(one) == digits(other)
}
