//! The compiled plan against the crate that its data comes from: first its example numbers, then every answer next to
//! [`Original`], which asks the crate's database pattern by pattern, with Unicode and without our tables.

use super::*;
use crate::identity::plans::PLANS;
use phonenumber::metadata::{DATABASE, Descriptor, Metadata};
use std::collections::{BTreeSet, HashMap};

#[test]
fn every_country_reads_its_own_example_numbers_as_the_library_does() {
    let mut compared = 0;
    for metadata in DATABASE.iter().filter(|metadata| metadata.id() != "001") {
        let region = Region::new(metadata.id()).unwrap();
        for example in kinds(metadata).take(2).filter_map(Descriptor::example).filter(|example| example.len() >= 7) {
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
fn the_library_parses_the_same_numbers_out_of_what_is_dialled() {
    for country in ["US", "GB", "DE", "FR", "BR", "MX", "IN", "JP", "AU", "NL", "CH", "PL"] {
        let (metadata, region) = (DATABASE.by_id(country).unwrap(), Region::new(country).unwrap());
        for example in kinds(metadata).take(2).filter_map(Descriptor::example) {
            let dialled = region.as_dialled(&format!("+{}{example}", metadata.country_code())).unwrap();
            let parsed = phonenumber::parse(Some(country.parse().unwrap()), &dialled).unwrap();
            let parsed = parsed.format().mode(phonenumber::Mode::E164).to_string();
            assert_eq!(region.national(&dialled), Some(parsed), "{country}: {dialled}");
        }
    }
}

#[test]
fn every_pattern_of_every_country_compiles_without_unicode() {
    for plan in PLANS {
        let region = Region::new(plan.id).unwrap();
        assert_eq!(region.exit.is_some(), plan.exit.is_some(), "{}", plan.id);
        assert_eq!(region.leading.is_some(), plan.leading.is_some(), "{}", plan.id);
        assert!(region.general.is_some(), "{}", plan.id);
        assert_eq!(region.kinds.is_none(), region.lengths.is_single(), "{}", plan.id);
        assert_eq!(region.formats.len(), plan.formats.len(), "{}", plan.id);
        for (format, plan) in region.formats.iter().zip(plan.formats) {
            assert_eq!(format.leading_digits.is_some(), plan.leading_digits.is_some(), "{plan:?}");
        }
    }
}

#[test]
fn the_tables_know_the_countries_and_calling_codes_of_the_library() {
    let ours: BTreeSet<&str> = PLANS.iter().map(|plan| plan.id).collect();
    assert_eq!(ours, DATABASE.iter().map(Metadata::id).collect());
    let codes = original_codes();
    for code in 0..=u16::MAX {
        let ours = plans::calling_code(code).map(|code| (code.lengths, code.trunk_prefix.map(str::to_owned)));
        assert_eq!(ours.as_ref(), codes.get(&code), "{code}");
    }
}

#[test]
fn every_country_answers_for_its_examples_as_the_libraries_data_does() {
    let codes = original_codes();
    let mut compared = 0;
    for metadata in DATABASE.iter() {
        let (region, original) = (Region::new(metadata.id()).unwrap(), Original::new(metadata));
        let examples = kinds(metadata).chain([metadata.descriptors().general()]).filter_map(Descriptor::example);
        for example in examples {
            for digits in dialled_in_many_ways(example, metadata) {
                compare(&region, &original, &codes, &digits);
                compared += 1;
            }
        }
    }
    assert!(compared > 20_000, "{compared}");
}

#[test]
fn arbitrary_digits_are_answered_as_the_libraries_data_does() {
    let codes = original_codes();
    let mut chance = Chance(7);
    for country in [
        "US", "CA", "JM", "GB", "JE", "DE", "FR", "IT", "VA", "BR", "AR", "MX", "IN", "JP", "AU", "NZ", "RU", "KZ",
        "CN", "KR", "AT", "CH", "HU", "FI", "SM", "CR", "CL", "ID", "ZA", "SG",
    ] {
        let metadata = DATABASE.by_id(country).unwrap();
        let (region, original) = (Region::new(country).unwrap(), Original::new(metadata));
        for _ in 0..300 {
            let length = 1 + chance.below(15);
            let digits: String = (0..length).map(|_| char::from(b'0' + chance.below(10))).collect();
            compare(&region, &original, &codes, &digits);
        }
        // Carrier codes and prefixes that only few countries have, before numbers that exist.
        for example in kinds(metadata).filter_map(Descriptor::example) {
            for _ in 0..20 {
                let before: String = (0..1 + chance.below(5)).map(|_| char::from(b'0' + chance.below(10))).collect();
                compare(&region, &original, &codes, &format!("{before}{example}"));
                compare(&region, &original, &codes, &format!("0{before}{example}"));
            }
        }
    }
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
    for country in ["us", "XX", ""] {
        assert!(Region::new(country).is_none() && !Region::is_known(country), "{country}");
    }
    assert!(Region::is_known("US"));
}

/// A country's plan as the crate has it: every pattern by itself, compiled with Unicode.
struct Original<'m> {
    metadata: &'m Metadata,
    code: String,
    exit: Option<Regex>,
    leading: Option<Regex>,
    general: Regex,
    kinds: Vec<Regex>,
    /// Leading digits, pattern, prefix.
    formats: Vec<(Option<Regex>, Regex, String)>,
}

impl<'m> Original<'m> {
    fn new(metadata: &'m Metadata) -> Self {
        let start = |pattern: &str| with_unicode(&format!("^(?:{pattern})"));
        let whole = |pattern: &str| with_unicode(&format!("^(?:{pattern})$"));
        let sharing = DATABASE.by_code(&metadata.country_code()).unwrap();
        let sharing = if lengths(metadata).count_ones() == 1 { vec![] } else { sharing };
        let trunk_prefix = metadata.national_prefix().unwrap_or_default();
        let format = |format: &phonenumber::metadata::Format| {
            let rule = format.national_prefix().unwrap_or_default().replace("$NP", trunk_prefix);
            let prefix = rule.split('$').next().unwrap().chars().filter(char::is_ascii_digit).collect();
            let leading = format.leading_digits().last().map(|leading| start(leading.as_str()));
            (leading, whole(format.pattern().as_str()), prefix)
        };
        Self {
            metadata,
            code: metadata.country_code().to_string(),
            exit: metadata.international_prefix().map(|exit| start(exit.as_str())),
            leading: metadata.national_prefix_for_parsing().map(|leading| start(leading.as_str())),
            general: whole(metadata.descriptors().general().national_number().as_str()),
            kinds: sharing.into_iter().flat_map(kinds).map(|kind| whole(kind.national_number().as_str())).collect(),
            formats: metadata.formats().iter().map(format).collect(),
        }
    }

    fn after_exit<'n>(&self, digits: &'n str) -> Option<&'n str> {
        self.exit.as_ref()?.find(digits).map(|found| &digits[found.end()..])
    }

    fn national(&self, digits: &str) -> Option<String> {
        let without_leading = self.without_leading(digits).filter(|shorter| shorter != digits);
        let without_prefix = self.metadata.national_prefix().and_then(|prefix| digits.strip_prefix(prefix));
        let tries = [without_leading.as_deref(), without_prefix, Some(digits), digits.strip_prefix(&self.code)];
        let national = tries.into_iter().flatten().find(|national| self.is_plausible(national))?;
        Some(format!("+{}{national}", self.code))
    }

    fn without_leading(&self, digits: &str) -> Option<String> {
        let leading = self.leading.as_ref()?;
        let groups = leading.captures(digits)?;
        let last = (groups.len() > 1).then(|| groups.get(groups.len() - 1)).flatten();
        match (self.metadata.national_prefix_transform_rule(), last) {
            // `9$1` is a group named by one digit, where the regex crate reads `$1` and what may follow it.
            (Some(rule), Some(_)) => {
                let rule = with_unicode(r"\$(\d)").replace_all(rule, "$${$1}").into_owned();
                Some(leading.replace(digits, &*rule).into_owned())
            }
            _ => Some(digits[groups.get(0)?.end()..].to_owned()),
        }
    }

    fn is_plausible(&self, national: &str) -> bool {
        let lengths = lengths(self.metadata);
        let has_length = national.len() < 32 && lengths & (1 << national.len()) != 0;
        let is_of_a_kind = lengths.count_ones() == 1 || self.kinds.iter().any(|kind| kind.is_match(national));
        has_length && self.general.is_match(national) && is_of_a_kind
    }

    fn as_dialled(&self, e164: &str) -> Option<String> {
        let national = e164.strip_prefix('+')?.strip_prefix(&self.code)?;
        let fits = |leading: &Option<Regex>, pattern: &Regex| {
            leading.as_ref().is_none_or(|leading| leading.is_match(national)) && pattern.is_match(national)
        };
        let prefix = self.formats.iter().find(|(leading, pattern, _)| fits(leading, pattern));
        Some(format!("{}{national}", prefix.map_or("", |(.., prefix)| prefix)))
    }
}

/// Lengths and trunk prefix of each calling code, as the crate's database has them.
fn original_codes() -> HashMap<u16, (u32, Option<String>)> {
    let mut codes: HashMap<u16, (u32, Option<String>)> = HashMap::new();
    for metadata in DATABASE.iter() {
        let (all, prefix) = codes.entry(metadata.country_code()).or_default();
        *all |= lengths(metadata);
        if metadata.is_main_country_for_code() || prefix.is_none() {
            *prefix = metadata.national_prefix().map(str::to_owned);
        }
    }
    codes
}

fn original_international(digits: &str, codes: &HashMap<u16, (u32, Option<String>)>) -> Option<String> {
    let heads = (1..=3).filter_map(|length| digits.get(..length));
    let (code, (all, prefix)) = heads.filter_map(|code| Some((code, codes.get(&code.parse().ok()?)?))).next()?;
    let national = &digits[code.len()..];
    let possible = |national: &str| national.len() < 32 && all & (1 << national.len()) != 0;
    if possible(national) {
        return Some(format!("+{digits}"));
    }
    let shorter = national.strip_prefix(prefix.as_deref()?)?;
    possible(shorter).then(|| format!("+{code}{shorter}"))
}

fn compare(region: &Region, original: &Original<'_>, codes: &HashMap<u16, (u32, Option<String>)>, digits: &str) {
    let id = region.id();
    assert_eq!(region.national(digits), original.national(digits), "{id} {digits}");
    assert_eq!(region.after_exit(digits), original.after_exit(digits), "{id} {digits}");
    assert_eq!(international(digits), original_international(digits, codes), "{id} {digits}");
    for e164 in [format!("+{}{digits}", original.code), format!("+{digits}")] {
        assert_eq!(region.as_dialled(&e164), original.as_dialled(&e164), "{id} {e164}");
    }
}

/// A number as people and PBXs dial it, and some that are nearly one.
fn dialled_in_many_ways(example: &str, metadata: &Metadata) -> Vec<String> {
    let code = metadata.country_code();
    let prefix = metadata.national_prefix().unwrap_or_default();
    let nearly = |last: char| format!("{}{last}", &example[..example.len() - 1]);
    let mut ways = vec![
        example.to_owned(),
        format!("{prefix}{example}"),
        format!("0{example}"),
        format!("1{example}"),
        format!("{code}{example}"),
        format!("{code}{prefix}{example}"),
        format!("00{code}{example}"),
        format!("011{code}{example}"),
        format!("810{code}{example}"),
        format!("{example}0"),
        example[1..].to_owned(),
        example[..example.len() - 1].to_owned(),
        nearly('0'),
        nearly('9'),
    ];
    // The first digits say what kind of number it is.
    ways.extend(('0'..='9').map(|first| format!("{first}{}", &example[1..])));
    ways
}

fn with_unicode(pattern: &str) -> Regex {
    regex::RegexBuilder::new(pattern).ignore_whitespace(true).build().unwrap()
}

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

fn lengths(metadata: &Metadata) -> u32 {
    let lengths = kinds(metadata).flat_map(Descriptor::possible_length).filter(|length| **length < 32);
    lengths.fold(0, |set, length| set | (1 << length))
}

/// Digits that look arbitrary and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u8) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from((self.0 >> 33) % u64::from(limit)).unwrap()
    }
}
