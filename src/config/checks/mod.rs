//! What must hold beyond the type of each value: names that exist, sections that need each other, addresses that can
//! be reached. It stands apart from the types because most of it looks at two sections at once.

mod credentials;
mod edges;
mod guard;
mod peers;
mod policy;
mod tls;

use super::Config;
use super::document::{Document, Place};
use super::problem::Problem;
use super::sections::nearest;
use super::surroundings::Surroundings;

/// Problems and warnings of a configuration whose sections could all be read.
pub(super) fn check(
    config: &Config,
    document: &Document<'_>,
    surroundings: &Surroundings<'_>,
) -> (Vec<Problem>, Vec<Problem>) {
    let mut check = Check { config, document, surroundings, problems: vec![], warnings: vec![] };
    check.sip();
    check.tls();
    check.registrar();
    check.media();
    check.http_and_admin();
    check.numbers();
    check.trunks();
    check.targets();
    check.routes();
    check.daily();
    check.rooms();
    check.guard();
    (check.problems, check.warnings)
}

/// Codecs by the names SDP gives them; others are taken, with a warning.
const CODECS: [&str; 16] = [
    "PCMU", "PCMA", "G722", "opus", "G729", "G723", "GSM", "iLBC", "speex", "AMR", "AMR-WB", "L16", "G726-32", "SILK",
    "EVS", "CN",
];

struct Check<'c> {
    config: &'c Config,
    document: &'c Document<'c>,
    surroundings: &'c Surroundings<'c>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

// === impl Check ===

impl<'c> Check<'c> {
    fn top(&self) -> Place<'c> {
        self.document.top()
    }

    fn wrong(&mut self, place: &Place<'_>, message: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(self.document.problem(&place.span(), message, remedy));
    }

    fn doubtful(&mut self, place: &Place<'_>, message: impl Into<String>, remedy: impl Into<String>) {
        let message = format!("warning: {}", message.into());
        self.warnings.push(self.document.problem(&place.span(), message, remedy));
    }

    /// A name that must be one of `known`.
    fn refers(&mut self, place: &Place<'_>, what: &str, name: &str, known: &[&'c str]) -> bool {
        if known.contains(&name) {
            return true;
        }
        let remedy = match (nearest(name, known.iter().copied()), known) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => format!("add a [[{what}]] with this name"),
            (None, known) => format!("known names: {}", known.join(", ")),
        };
        self.wrong(place, format!("there is no [[{what}]] `{name}`"), remedy);
        false
    }

    /// Names that must differ, and not be empty.
    fn names(&mut self, section: &str, names: &[&str]) {
        for (position, name) in names.iter().enumerate() {
            let place = self.top().key(section).index(position).key("name");
            if name.trim().is_empty() {
                self.wrong(&place, format!("a [[{section}]] has an empty name"), "give it one");
            } else if names.iter().take(position).any(|other| other == name) {
                self.wrong(&place, format!("`{name}` is the name of two [[{section}]]"), "rename one of them");
            }
        }
    }

    fn codecs(&mut self, place: &Place<'_>, codecs: Option<&[String]>) {
        let Some(codecs) = codecs else { return };
        if codecs.is_empty() {
            self.wrong(place, "`codecs` is empty", "name at least one codec, or remove the key to allow all");
        }
        for (position, codec) in codecs.iter().enumerate() {
            if !CODECS.iter().any(|known| known.eq_ignore_ascii_case(codec)) {
                let remedy = match nearest(codec, CODECS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "it is taken as written; compare it with the rtpmap lines of your PBX".to_owned(),
                };
                self.doubtful(&place.index(position), format!("codec `{codec}` is not one we know"), remedy);
            }
        }
    }

    fn country(&mut self, place: &Place<'_>, country: &str) {
        if !crate::identity::region::Region::is_known(country) {
            let remedy = "write the ISO 3166 code of the country in capitals, for example \"US\" or \"DE\"";
            self.wrong(place, format!("`{country}` is no country we know"), remedy);
        }
    }

    fn url(&mut self, place: &Place<'_>, key: &str, url: &str) {
        let usable = reqwest::Url::parse(url)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
        if !usable {
            self.wrong(place, format!("`{key}` is no usable URL"), "write it with http:// or https:// and a host");
        }
    }

    fn positive(&mut self, place: &Place<'_>, key: &str, span: super::value::Span) {
        if span.get().is_zero() {
            self.wrong(place, format!("`{key}` is zero"), "write a duration above zero, for example \"30s\"");
        }
    }

    fn limits(&mut self, place: &Place<'_>, max_calls: Option<u32>, max_rate: Option<u32>) {
        for (key, limit) in [("max_calls", max_calls), ("max_rate", max_rate)] {
            if limit == Some(0) {
                self.doubtful(&place.key(key), format!("`{key}` of 0 refuses every call"), "remove it for no limit");
            }
        }
    }

    fn pattern_header(&mut self, place: &Place<'_>, header: Option<&super::value::HeaderMatch>) {
        if header.is_some_and(|header| !is_token(&header.name)) {
            self.wrong(
                &place.key("name"),
                "`name` is no header name",
                "write it as in the message, for example \"X-Tenant\"",
            );
        }
    }
}

/// RFC 3261 §25.1 `token`: what a header name is made of.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

/// Host name or address without port, as an `advertise` wants it.
fn is_host(text: &str) -> bool {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= 253 && text.trim_end_matches('.').split('.').all(label)
}
