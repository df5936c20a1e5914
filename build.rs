//! Turns libphonenumber's numbering plans into static tables for `src/identity/plans.rs`. They are generated because
//! reading the same data when the gateway starts takes longer, and more memory, than all the rest of its start.

use phonenumber::metadata::{DATABASE, Descriptor, Format, Metadata};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let mut countries: Vec<&Metadata> = DATABASE.iter().collect();
    countries.sort_by_key(|country| country.id());
    let out = env::var("OUT_DIR").expect("cargo names the directory");
    for (file, table) in [("plans.rs", plans(&countries)), ("codes.rs", codes(&countries))] {
        fs::write(Path::new(&out).join(file), table).expect("cargo's directory can be written");
    }
}

/// A slice of `Plan`, ordered by country.
fn plans(countries: &[&Metadata]) -> String {
    let mut table = String::from("&[\n");
    for country in countries {
        let formats: Vec<String> = country.formats().iter().map(|format| format_plan(format, country)).collect();
        writeln!(
            table,
            "Plan {{ id: {:?}, code: {:?}, exit: {:?}, trunk_prefix: {:?}, leading: {:?}, transform: {:?}, \
             general: {:?}, lengths: {}, formats: &[{}] }},",
            country.id(),
            country.country_code().to_string(),
            country.international_prefix().map(|exit| plain(exit.as_str())),
            country.national_prefix(),
            country.national_prefix_for_parsing().map(|leading| plain(leading.as_str())),
            country.national_prefix_transform_rule().map(braced),
            plain(country.descriptors().general().national_number().as_str()),
            lengths(country),
            formats.join(", "),
        )
        .expect("a string can be written");
    }
    table + "]\n"
}

fn format_plan(format: &Format, country: &Metadata) -> String {
    // The rule puts the prefix before the first group: `$NP$FG`, `($NP $FG)`; without one, nothing is dialled before.
    let rule = format.national_prefix().unwrap_or_default();
    let rule = rule.replace("$NP", country.national_prefix().unwrap_or_default());
    let prefix: String = rule.split('$').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    // Each further pattern is narrower; the last one decides.
    let leading = format.leading_digits().last().map(|leading| plain(leading.as_str()));
    let pattern = plain(format.pattern().as_str());
    format!("FormatPlan {{ pattern: {pattern:?}, leading_digits: {leading:?}, prefix: {prefix:?} }}")
}

/// A slice of `CallingCode`, ordered by code.
fn codes(countries: &[&Metadata]) -> String {
    let mut sharing: BTreeMap<u16, Vec<&Metadata>> = BTreeMap::new();
    for country in countries {
        sharing.entry(country.country_code()).or_default().push(country);
    }
    let mut table = String::from("&[\n");
    for (code, mut countries) in sharing {
        // What the main country says about the prefix goes before what the smaller ones say.
        countries.sort_by_key(|country| !country.is_main_country_for_code());
        let prefix = countries.iter().find_map(|country| country.national_prefix());
        let all = countries.iter().fold(0, |set, country| set | lengths(country));
        // Where all numbers of a country have one length, nobody asks for their kind.
        let asked = countries.iter().any(|country| lengths(country).count_ones() != 1);
        let patterns =
            countries.iter().flat_map(|country| kinds(country)).map(|kind| plain(kind.national_number().as_str()));
        let patterns: BTreeSet<String> = patterns.filter(|_| asked).collect();
        let patterns: Vec<String> = patterns.into_iter().collect();
        writeln!(
            table,
            "CallingCode {{ code: {code}, trunk_prefix: {prefix:?}, lengths: {all}, kinds: &{patterns:?} }},"
        )
        .expect("a string can be written");
    }
    table + "]\n"
}

/// A pattern without the blanks that the data's authors broke their lines with.
fn plain(pattern: &str) -> String {
    assert!(!pattern.contains('#') && !pattern.contains("\\ "), "{pattern} has a comment, or a blank that it means");
    pattern.chars().filter(|character| !character.is_whitespace()).collect()
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
fn kinds(country: &Metadata) -> impl Iterator<Item = &Descriptor> {
    let all = country.descriptors();
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

/// The lengths its numbers may have, one bit each.
fn lengths(country: &Metadata) -> u32 {
    let lengths = kinds(country).flat_map(Descriptor::possible_length).filter(|length| **length < u32::BITS as u16);
    lengths.fold(0, |set, length| set | (1 << length))
}
