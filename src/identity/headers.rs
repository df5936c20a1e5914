//! The headers that a target's INVITE carries beside those of the protocol: from templates, from the target's `uri`, and
//! the PBX's own where a list allows it. It stands apart from the call so that `explain` composes the very same ones.

use super::budget::{Line, fit};
use super::choose::UNTRUSTED;
use super::clean;
use super::template::{Template, Values, Weight};
use crate::config::trunk::PrivacyPolicy;
use crate::record::Step;
use crate::sip::HeaderName;
use crate::sip::header::{decode, is_token};

/// How one target's headers are made.
#[derive(Debug, Clone, Default)]
pub struct Recipe {
    /// Name and template. A value that comes out empty means that the header is left out.
    pub templates: Vec<(String, Template)>,
    /// Headers that the configured `uri` carried, escapes undone.
    pub fixed: Vec<(String, String)>,
    /// Which of the PBX's headers are passed on.
    pub pass: PassList,
    /// How many bytes all of them may take.
    pub limit: Option<usize>,
    /// Whether the target may see who asked not to be shown.
    pub privacy: Option<PrivacyPolicy>,
}

/// Names of headers that may pass; `X-Genesys-*` stands for all that start so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassList {
    /// In lower case.
    names: Vec<String>,
    /// Beginnings in lower case.
    starts: Vec<String>,
}

/// What is between us and the PBX alone, whatever a list says: it belongs to the hop, the dialog, the transaction, the
/// body or the credentials of leg A, and would lie about leg B.
const NEVER: [&str; 53] = [
    "Via",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Max-Forwards",
    "Max-Breadth",
    "Route",
    "Record-Route",
    "Path",
    "Service-Route",
    "Content-Length",
    "Content-Type",
    "Content-Encoding",
    "Content-Disposition",
    "Content-Language",
    "Content-ID",
    "MIME-Version",
    "Require",
    "Proxy-Require",
    "Supported",
    "Unsupported",
    "Allow",
    "Allow-Events",
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "User-Agent",
    "Server",
    "Authorization",
    "Proxy-Authorization",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Authentication-Info",
    "Expires",
    "Min-Expires",
    "Session-Expires",
    "Min-SE",
    "RAck",
    "RSeq",
    "Refer-To",
    "Refer-Sub",
    "Replaces",
    "Join",
    "Target-Dialog",
    "Event",
    "Subscription-State",
    "Timestamp",
    "Retry-After",
    "Recv-Info",
    "SIP-ETag",
    "SIP-If-Match",
];

/// Headers that name the caller: nothing of them leaves for a target that must not know who calls.
const NAMING: [&str; 9] = [
    "From",
    "Contact",
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Remote-Party-ID",
    "Reply-To",
    "Identity",
    "P-Charge-Info",
    "Call-Info",
];

/// Headers that assert what only a trusted trunk may: RFC 3325 §5 has them removed where the peer is not believed.
const ASSERTING: [&str; 5] =
    ["P-Asserted-Identity", "Remote-Party-ID", "Diversion", "History-Info", "P-Called-Party-ID"];

/// Headers that name who redirected the call.
const HISTORY: [&str; 2] = ["Diversion", "History-Info"];

// === impl Recipe ===

impl Recipe {
    /// The headers of one call, in the order in which they are sent; every one that is sent, cut or left out is a step.
    pub fn compose(&self, values: &Values<'_>, steps: &mut Vec<Step>) -> Vec<(String, String)> {
        let mut lines = self.own_lines(values, steps);
        for (name, value) in &self.fixed {
            // A header of the configuration's own table is the more deliberate one.
            if !self.templates.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                lines.push(Line { name: name.clone(), value: value.clone(), from: "uri", weight: Weight::Fixed });
            }
        }
        self.pass_on(values, &mut lines, steps);
        let lines = fit(lines, self.limit, steps);
        let sent = |line: Line| {
            let (name, value) = (line.name.clone(), line.value.clone());
            steps.push(Step::Header { name, value, from: line.from.to_owned() });
            (line.name, line.value)
        };
        lines.into_iter().map(sent).collect()
    }

    fn own_lines(&self, values: &Values<'_>, steps: &mut Vec<Step>) -> Vec<Line> {
        let mut lines = vec![];
        for (name, template) in &self.templates {
            let value = template.render(values);
            if value.is_empty() {
                continue; // a header that says nothing is left out
            }
            let copied = template.copied().find_map(|header| secret(header, values));
            let weight = template.weight();
            // The numbers of the call obey the policy by themselves; whoever calls his own number is still called.
            let betrays = || (weight < Weight::Number).then(|| betrayal(&value, values)).flatten();
            match copied.or_else(betrays) {
                Some(why) => left_out(steps, name, "template", why),
                None => lines.push(Line { name: name.clone(), value, from: "template", weight }),
            }
        }
        lines
    }

    /// The PBX's headers that this target's list or the trunk's names.
    fn pass_on(&self, values: &Values<'_>, lines: &mut Vec<Line>, steps: &mut Vec<Step>) {
        let lists = [&self.pass, &values.trunk.pass];
        if lists.iter().all(|list| list.is_empty()) {
            return;
        }
        let own = lines.len();
        for (spelling, known, value) in values.request.headers() {
            let name = if known == HeaderName::Other { decode(spelling) } else { known.as_str().into() };
            if !lists.iter().any(|list| list.names(&name)) || never(&name) || !is_token(name.as_bytes()) {
                continue;
            }
            let value = clean(&decode(value));
            let is_taken = lines.iter().take(own).any(|line| line.name.eq_ignore_ascii_case(&name));
            let taken = is_taken.then(|| "the target's own header has this name".to_owned());
            match taken.or_else(|| secret(&name, values)).or_else(|| betrayal(&value, values)) {
                _ if value.is_empty() => {}
                Some(why) => left_out(steps, &name, "passed", why),
                None => lines.push(Line { name: name.into_owned(), value, from: "passed", weight: Weight::Passed }),
            }
        }
    }
}

/// Why a header of the PBX must not be copied for this target.
fn secret(header: &str, values: &Values<'_>) -> Option<String> {
    let is_one_of = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(header));
    let withheld = values.shown.withheld;
    if !values.trunk.config.trust && is_one_of(&ASSERTING) {
        return Some(format!("{header} is {UNTRUSTED}"));
    }
    if withheld.hides_caller() && is_one_of(&NAMING) {
        return Some(format!("{header} names the caller, who asked to be withheld"));
    }
    if (withheld.history || withheld.redirecting) && is_one_of(&HISTORY) {
        return Some(format!("{header} names who redirected the call, which is withheld"));
    }
    None
}

/// Why a value must not leave: it holds the number that is withheld.
fn betrayal(value: &str, values: &Values<'_>) -> Option<String> {
    let betrays = values.shown.withheld.number && values.numbers.betrays_caller(value);
    betrays.then(|| "it holds the number that the caller asked to withhold".to_owned())
}

fn left_out(steps: &mut Vec<Step>, name: &str, from: &str, why: String) {
    steps.push(Step::HeaderLeftOut { name: name.to_owned(), from: from.to_owned(), why });
}

/// Whether a header is between us and the PBX alone.
#[must_use]
pub fn never(name: &str) -> bool {
    NEVER.iter().any(|never| never.eq_ignore_ascii_case(name))
}

// === impl PassList ===

impl PassList {
    /// From the names of a configuration.
    #[must_use]
    pub fn new(names: &[String]) -> Self {
        let mut list = Self::default();
        for name in names {
            match name.strip_suffix('*') {
                Some(start) => list.starts.push(start.to_ascii_lowercase()),
                None => {
                    // A compact form means its header.
                    let long = HeaderName::parse(name.as_bytes()).spelt(name);
                    list.names.push(long.to_ascii_lowercase());
                }
            }
        }
        list
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.starts.is_empty()
    }

    fn names(&self, name: &str) -> bool {
        let starts = |start: &String| name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
        self.names.iter().any(|known| known.eq_ignore_ascii_case(name)) || self.starts.iter().any(starts)
    }
}

#[cfg(test)]
mod tests;
