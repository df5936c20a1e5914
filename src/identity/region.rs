//! The numbering plan of one country, compiled from the tables in `plans`. It stands apart from the rules because its
//! patterns cost time and memory: those of a configured country are compiled, once, and matching them takes no lock.

use super::plans::{self, FormatPlan};
use regex::Regex;

/// How numbers are dialled in one country; by default in none: only numbers with `+` are understood.
#[derive(Debug, Clone, Default)]
pub struct Region {
    id: &'static str,
    /// Its calling code: 1, 44, 49.
    code: &'static str,
    /// What dials out of the country: `011`, `00`.
    exit: Option<Regex>,
    /// What stands before a national number: `0` in `030 23125123`.
    trunk_prefix: Option<&'static str>,
    /// How its numbers are written, which says before which of them that prefix is dialled.
    formats: Vec<Format>,
    /// Carrier codes and the like before a national number, and what becomes of them.
    leading: Option<Leading>,
    general: Option<Regex>,
    /// All kinds of number of all countries with this calling code; `None` where all numbers have one length.
    kinds: Option<Regex>,
    lengths: Lengths,
}

#[derive(Debug, Clone)]
struct Format {
    pattern: Regex,
    leading_digits: Option<Regex>,
    prefix: &'static str,
}

#[derive(Debug, Clone)]
struct Leading {
    pattern: Regex,
    transform: Option<&'static str>,
}

/// A set of lengths, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Lengths(u32);

// === impl Region ===

impl Region {
    /// The plan of an ISO 3166 country; `None` if it has none.
    #[must_use]
    pub fn new(country: &str) -> Option<Self> {
        let plan = plans::of(country)?;
        let lengths = Lengths(plan.lengths);
        let code = plan.code.parse().ok().and_then(plans::calling_code).filter(|_| !lengths.is_single());
        Some(Self {
            id: plan.id,
            code: plan.code,
            exit: plan.exit.and_then(|exit| compile(exit, Anchor::Start)),
            trunk_prefix: plan.trunk_prefix,
            formats: plan.formats.iter().filter_map(Format::new).collect(),
            leading: plan.leading.and_then(|leading| {
                Some(Leading { pattern: compile(leading, Anchor::Start)?, transform: plan.transform })
            }),
            general: compile(plan.general, Anchor::Both),
            // One pattern of alternatives shares what it needs for matching; one per kind would need it each.
            kinds: code.and_then(|code| compile(&code.kinds.join("|"), Anchor::Both)),
            lengths,
        })
    }

    /// Whether an ISO 3166 country has a plan, without compiling it.
    #[must_use]
    pub fn is_known(country: &str) -> bool {
        plans::of(country).is_some()
    }

    /// Its ISO 3166 code.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// What follows the prefix that dials out of the country, if the digits start with it.
    pub(super) fn after_exit<'n>(&self, digits: &'n str) -> Option<&'n str> {
        let found = self.exit.as_ref()?.find(digits)?;
        digits.get(found.end()..)
    }

    /// A number dialled inside the country as `+` and digits.
    pub(super) fn national(&self, digits: &str) -> Option<String> {
        let without_leading = self.without_leading(digits);
        let without_prefix = self.trunk_prefix.and_then(|prefix| digits.strip_prefix(prefix));
        let without_code = digits.strip_prefix(self.code);
        [without_leading.as_deref(), without_prefix, Some(digits), without_code]
            .into_iter()
            .flatten()
            .find(|national| self.is_plausible(national))
            .map(|national| format!("+{}{national}", self.code))
    }

    /// How a number with `+` is written inside the country; `None` if it belongs to another one.
    pub(super) fn as_dialled(&self, e164: &str) -> Option<String> {
        let national = e164.strip_prefix('+')?.strip_prefix(self.code)?;
        let prefix = self.formats.iter().find(|format| format.fits(national)).map_or("", |format| format.prefix);
        Some(format!("{prefix}{national}"))
    }

    /// The number without carrier code and whatever else its country puts before it.
    fn without_leading(&self, digits: &str) -> Option<String> {
        let leading = self.leading.as_ref()?;
        let groups = leading.pattern.captures(digits)?;
        let last = groups.len().checked_sub(1).filter(|last| *last > 0).and_then(|last| groups.get(last));
        let shorter = match (leading.transform, last) {
            (Some(transform), Some(_)) => leading.pattern.replace(digits, transform).into_owned(),
            _ => digits.get(groups.get(0)?.end()..)?.to_owned(),
        };
        (shorter != digits).then_some(shorter)
    }

    fn is_plausible(&self, national: &str) -> bool {
        self.lengths.contains(national.len())
            && self.general.as_ref().is_some_and(|general| general.is_match(national))
            && (self.lengths.is_single() || self.kinds.as_ref().is_some_and(|kinds| kinds.is_match(national)))
    }
}

/// Digits behind a `+`: as they are if their country knows numbers of this length; without a trunk prefix that does
/// not belong there (`+44 (0)20 ...`) if that makes them possible; `None` if they are no number of any country.
pub(super) fn international(digits: &str) -> Option<String> {
    let (code, known) = (1..=3).find_map(|length| {
        let code = digits.get(..length)?;
        Some((code, plans::calling_code(code.parse().ok()?)?))
    })?;
    let national = digits.get(code.len()..)?;
    let lengths = Lengths(known.lengths);
    if lengths.contains(national.len()) {
        return Some(format!("+{digits}"));
    }
    let shorter = national.strip_prefix(known.trunk_prefix?)?;
    lengths.contains(shorter.len()).then(|| format!("+{code}{shorter}"))
}

/// Country codes that ITU-T E.164 gives to services and networks of all countries, with the lengths of what follows
/// them. The numbering data is about countries and knows some of them at most.
const SERVICES: [(&str, std::ops::RangeInclusive<usize>, &str); 10] = [
    ("800", 8..=8, "international freephone"),
    ("808", 8..=8, "international shared cost"),
    ("870", 7..=12, "Inmarsat"),
    ("878", 8..=12, "universal personal telecommunications"),
    ("881", 8..=12, "a satellite network"),
    ("882", 7..=12, "an international network"),
    ("883", 7..=12, "an international network"),
    ("888", 9..=12, "disaster relief"),
    ("979", 9..=9, "international premium rate"),
    ("991", 7..=12, "an international trial"),
];

/// The service that a number with `+` belongs to, if it belongs to none of the countries and is formally valid.
pub(super) fn service(digits: &str) -> Option<&'static str> {
    let (code, subscriber) = digits.split_at_checked(3)?;
    let (_, lengths, name) = SERVICES.iter().find(|(known, ..)| *known == code)?;
    lengths.contains(&subscriber.len()).then_some(*name)
}

// === impl Format ===

impl Format {
    fn new(plan: &FormatPlan) -> Option<Self> {
        Some(Self {
            pattern: compile(plan.pattern, Anchor::Both)?,
            leading_digits: plan.leading_digits.and_then(|leading| compile(leading, Anchor::Start)),
            prefix: plan.prefix,
        })
    }

    fn fits(&self, national: &str) -> bool {
        self.leading_digits.as_ref().is_none_or(|leading| leading.is_match(national)) && self.pattern.is_match(national)
    }
}

// === impl Lengths ===

impl Lengths {
    fn contains(self, length: usize) -> bool {
        length < 32 && self.0 & (1 << length) != 0
    }

    fn is_single(self) -> bool {
        self.0.count_ones() == 1
    }
}

enum Anchor {
    Start,
    Both,
}

/// A pattern for digits, which are ASCII whoever calls this: tables of all the digits of Unicode are not compiled in.
fn compile(pattern: &str, anchor: Anchor) -> Option<Regex> {
    let pattern = match anchor {
        Anchor::Start => format!("^(?:{pattern})"),
        Anchor::Both => format!("^(?:{pattern})$"),
    };
    regex::RegexBuilder::new(&pattern).unicode(false).build().ok()
}

#[cfg(test)]
mod tests;
