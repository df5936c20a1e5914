//! The numbering plan of one country, compiled from libphonenumber's data. It stands apart from the rules because the
//! data's own crate keeps one locked cache of patterns for the whole process; a plan compiled once per trunk has no lock.

use phonenumber::metadata::{DATABASE, Descriptor, Metadata};
use regex::Regex;
use std::collections::HashMap;
use std::sync::LazyLock;

/// How numbers are dialled in one country; by default in none: only numbers with `+` are understood.
#[derive(Debug, Clone, Default)]
pub struct Region {
    id: String,
    /// Its calling code: 1, 44, 49.
    code: String,
    /// What dials out of the country: `011`, `00`.
    exit: Option<Regex>,
    /// What stands before a national number: `0` in `030 23125123`.
    trunk_prefix: Option<String>,
    /// How its numbers are written, which says before which of them that prefix is dialled.
    formats: Vec<Format>,
    /// Carrier codes and the like before a national number, and what becomes of them.
    leading: Option<Leading>,
    general: Option<Regex>,
    /// One pattern per kind of number, of all countries with this calling code; unused where all numbers have one length.
    kinds: Vec<Regex>,
    lengths: Lengths,
}

#[derive(Debug, Clone)]
struct Format {
    pattern: Regex,
    leading_digits: Option<Regex>,
    prefix: String,
}

#[derive(Debug, Clone)]
struct Leading {
    pattern: Regex,
    transform: Option<String>,
}

/// A set of lengths, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Lengths(u32);

/// What is known of a calling code.
#[derive(Debug, Clone, Default)]
struct CallingCode {
    lengths: Lengths,
    trunk_prefix: Option<String>,
}

static CALLING_CODES: LazyLock<HashMap<u16, CallingCode>> = LazyLock::new(|| {
    let mut codes: HashMap<u16, CallingCode> = HashMap::new();
    for metadata in DATABASE.iter() {
        let code = codes.entry(metadata.country_code()).or_default();
        code.lengths.0 |= lengths(metadata).0;
        if metadata.is_main_country_for_code() || code.trunk_prefix.is_none() {
            code.trunk_prefix = metadata.national_prefix().map(ToOwned::to_owned);
        }
    }
    codes
});

// === impl Region ===

impl Region {
    /// The plan of an ISO 3166 country; `None` if it has none.
    #[must_use]
    pub fn new(country: &str) -> Option<Self> {
        let metadata = DATABASE.by_id(country)?;
        let code = metadata.country_code();
        let lengths = lengths(metadata);
        let mut patterns = vec![];
        if !lengths.is_single() {
            for other in DATABASE.by_code(&code).unwrap_or_default() {
                patterns.extend(kinds(other).filter_map(|kind| compile(kind.national_number().as_str(), Anchor::Both)));
            }
        }
        Some(Self {
            id: country.to_owned(),
            code: code.to_string(),
            exit: metadata.international_prefix().and_then(|exit| compile(exit.as_str(), Anchor::Start)),
            trunk_prefix: metadata.national_prefix().map(ToOwned::to_owned),
            formats: metadata.formats().iter().filter_map(|format| Format::new(format, metadata)).collect(),
            leading: metadata.national_prefix_for_parsing().and_then(|leading| {
                let transform = metadata.national_prefix_transform_rule().map(braced);
                Some(Leading { pattern: compile(leading.as_str(), Anchor::Start)?, transform })
            }),
            general: compile(metadata.descriptors().general().national_number().as_str(), Anchor::Both),
            kinds: patterns,
            lengths,
        })
    }

    /// Its ISO 3166 code.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What follows the prefix that dials out of the country, if the digits start with it.
    pub(super) fn after_exit<'n>(&self, digits: &'n str) -> Option<&'n str> {
        let found = self.exit.as_ref()?.find(digits)?;
        digits.get(found.end()..)
    }

    /// A number dialled inside the country as `+` and digits.
    pub(super) fn national(&self, digits: &str) -> Option<String> {
        let without_leading = self.without_leading(digits);
        let without_prefix = self.trunk_prefix.as_deref().and_then(|prefix| digits.strip_prefix(prefix));
        let without_code = digits.strip_prefix(&self.code);
        [without_leading.as_deref(), without_prefix, Some(digits), without_code]
            .into_iter()
            .flatten()
            .find(|national| self.is_plausible(national))
            .map(|national| format!("+{}{national}", self.code))
    }

    /// How a number with `+` is written inside the country; `None` if it belongs to another one.
    pub(super) fn as_dialled(&self, e164: &str) -> Option<String> {
        let national = e164.strip_prefix('+')?.strip_prefix(&self.code)?;
        let prefix = self.formats.iter().find(|format| format.fits(national)).map_or("", |format| &format.prefix);
        Some(format!("{prefix}{national}"))
    }

    /// The number without carrier code and whatever else its country puts before it.
    fn without_leading(&self, digits: &str) -> Option<String> {
        let leading = self.leading.as_ref()?;
        let groups = leading.pattern.captures(digits)?;
        let last = groups.len().checked_sub(1).filter(|last| *last > 0).and_then(|last| groups.get(last));
        let shorter = match (&leading.transform, last) {
            (Some(transform), Some(_)) => leading.pattern.replace(digits, transform).into_owned(),
            _ => digits.get(groups.get(0)?.end()..)?.to_owned(),
        };
        (shorter != digits).then_some(shorter)
    }

    fn is_plausible(&self, national: &str) -> bool {
        self.lengths.contains(national.len())
            && self.general.as_ref().is_some_and(|general| general.is_match(national))
            && (self.lengths.is_single() || self.kinds.iter().any(|kind| kind.is_match(national)))
    }
}

/// Digits behind a `+`: as they are if their country knows numbers of this length; without a trunk prefix that does
/// not belong there (`+44 (0)20 ...`) if that makes them possible; `None` if they are no number of any country.
pub(super) fn international(digits: &str) -> Option<String> {
    let (code, known) = (1..=3).find_map(|length| {
        let code = digits.get(..length)?;
        Some((code, CALLING_CODES.get(&code.parse().ok()?)?))
    })?;
    let national = digits.get(code.len()..)?;
    if known.lengths.contains(national.len()) {
        return Some(format!("+{digits}"));
    }
    let shorter = national.strip_prefix(known.trunk_prefix.as_deref()?)?;
    known.lengths.contains(shorter.len()).then(|| format!("+{code}{shorter}"))
}

// === impl Format ===

impl Format {
    fn new(format: &phonenumber::metadata::Format, metadata: &Metadata) -> Option<Self> {
        // The rule puts the prefix before the first group: `$NP$FG`, `($NP $FG)`; without one, nothing is dialled before.
        let rule = format.national_prefix().unwrap_or_default();
        let rule = rule.replace("$NP", metadata.national_prefix().unwrap_or_default());
        Some(Self {
            pattern: compile(format.pattern().as_str(), Anchor::Both)?,
            // Each further pattern is narrower; the last one decides.
            leading_digits: format.leading_digits().last().and_then(|last| compile(last.as_str(), Anchor::Start)),
            prefix: rule.split('$').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect(),
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

fn compile(pattern: &str, anchor: Anchor) -> Option<Regex> {
    let pattern = match anchor {
        Anchor::Start => format!("^(?:{pattern})"),
        Anchor::Both => format!("^(?:{pattern})$"),
    };
    regex::RegexBuilder::new(&pattern).ignore_whitespace(true).build().ok()
}

/// `9$1` as `9${1}`: the regex crate would read the digits behind a group as part of its name.
fn braced(transform: &str) -> String {
    let mut out = String::with_capacity(transform.len() + 4);
    let mut characters = transform.chars().peekable();
    while let Some(character) = characters.next() {
        out.push(character);
        if character == '$'
            && let Some(group) = characters.next_if(char::is_ascii_digit)
        {
            out.extend(['{', group, '}']);
        }
    }
    out
}

/// The kinds of number that people call from and to.
fn kinds(metadata: &Metadata) -> impl Iterator<Item = &Descriptor> {
    let all = metadata.descriptors();
    [
        all.fixed_line(),
        all.mobile(),
        all.toll_free(),
        all.premium_rate(),
        all.shared_cost(),
        all.personal_number(),
        all.voip(),
        all.pager(),
        all.uan(),
        all.voicemail(),
    ]
    .into_iter()
    .flatten()
}

fn lengths(metadata: &Metadata) -> Lengths {
    let bits = kinds(metadata).flat_map(Descriptor::possible_length).filter(|length| **length < 32);
    Lengths(bits.fold(0, |set, length| set | (1 << length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_reads_its_own_example_numbers_as_the_library_does() {
        let mut compared = 0;
        for metadata in DATABASE.iter().filter(|metadata| metadata.id() != "001") {
            let region = Region::new(metadata.id()).unwrap();
            for example in kinds(metadata).take(2).filter_map(Descriptor::example).filter(|example| example.len() >= 7)
            {
                let expected = format!("+{}{example}", metadata.country_code());
                assert_eq!(region.national(example).as_deref(), Some(&*expected), "{}: {example}", metadata.id());
                assert_eq!(international(&expected[1..]), Some(expected.clone()), "{}", metadata.id());
                let dialled = region.as_dialled(&expected).unwrap();
                assert_eq!(region.national(&dialled), Some(expected), "{}: {dialled}", metadata.id());
                compared += 1;
            }
        }
        assert!(compared > 400, "{compared}");
    }

    #[test]
    fn a_number_is_written_as_its_country_dials_it() {
        for (country, e164, dialled) in [
            ("US", "+12025550123", Some("2025550123")),
            ("DE", "+493023125123", Some("03023125123")),
            ("GB", "+442079460000", Some("02079460000")),
            ("IT", "+390612345678", Some("0612345678")),
            ("HU", "+3612345678", Some("0612345678")),
            ("US", "+493023125123", None),
        ] {
            assert_eq!(Region::new(country).unwrap().as_dialled(e164).as_deref(), dialled, "{country} {e164}");
        }
    }

    #[test]
    fn a_trunk_prefix_behind_the_country_code_is_taken_out() {
        assert_eq!(international("4402079460000").as_deref(), Some("+442079460000"));
        assert_eq!(international("390612345678").as_deref(), Some("+390612345678"), "Italy keeps its zero");
        assert_eq!(international("1302109762259"), None);
        assert_eq!(international("0123"), None);
        assert_eq!(international(""), None);
    }

    #[test]
    fn what_is_no_country_has_no_plan() {
        assert!(Region::new("us").is_none());
        assert!(Region::new("XX").is_none());
        assert!(Region::new("").is_none());
    }
}
