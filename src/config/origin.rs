//! Where each value of the effective configuration comes from: the file, a profile, or the defaults. Apart from the values,
//! because only who reads them wants to know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is written in the file.
    File,
    /// This profile fills it in.
    Profile(&'static str),
    /// Nobody said anything.
    Standard,
}

/// The origins of a file's values: each section by its name and its position among those of the name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    written: BTreeMap<(String, usize), BTreeSet<String>>,
    profiles: BTreeMap<(usize, &'static str), &'static str>,
}

// === impl Origins ===

impl Origins {
    pub(super) fn written(&mut self, section: &str, position: usize, key: &str) {
        self.written.entry((section.to_owned(), position)).or_default().insert(key.to_owned());
    }

    pub(super) fn filled(&mut self, trunk: usize, key: &'static str, profile: &'static str) {
        self.profiles.insert((trunk, key), profile);
    }

    /// Where the value of a key comes from.
    #[must_use]
    pub fn of(&self, section: &str, position: usize, key: &str) -> Origin {
        let section_keys = self.written.get(&(section.to_owned(), position));
        if section_keys.is_some_and(|keys| keys.contains(key)) {
            return Origin::File;
        }
        let filled = self.profiles.iter().find(|((trunk, known), _)| *trunk == position && *known == key);
        match filled {
            Some((_, profile)) if section == "trunk" => Origin::Profile(profile),
            _ => Origin::Standard,
        }
    }

    /// The configuration as TOML, with a comment behind each value that does not stand in the file.
    #[must_use]
    pub fn annotate(&self, toml: &str) -> String {
        let mut out = String::with_capacity(toml.len() * 2);
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut at: Option<(String, usize)> = None;
        let mut inside_text = false;
        for line in toml.lines() {
            let was_inside = inside_text;
            inside_text ^= (line.matches("\"\"\"").count() + line.matches("'''").count()) % 2 == 1;
            let mut key = None;
            if !was_inside && line.starts_with('[') {
                let path: Vec<&str> = line.trim_matches(['[', ']']).split('.').collect();
                match path.as_slice() {
                    [section] => {
                        let count = counts.entry((*section).to_owned()).or_default();
                        at = Some(((*section).to_owned(), *count));
                        *count += 1;
                    }
                    // A table within a section: one value of it, and what stands in it is its own affair.
                    [section, inner, ..] => {
                        let position = counts.get(*section).map_or(0, |count| count.saturating_sub(1));
                        key = Some(((*section).to_owned(), position, *inner));
                        at = None;
                    }
                    [] => {}
                }
            } else if let (false, Some((section, position)), Some((name, _))) =
                (was_inside, &at, line.split_once(" = "))
            {
                key = Some((section.clone(), *position, name));
            }
            out.push_str(line);
            if let Some((section, position, name)) = key.filter(|_| !inside_text) {
                match self.of(&section, position, name) {
                    Origin::File => {}
                    Origin::Profile(profile) => {
                        let _ = write!(out, " # profile {profile}");
                    }
                    Origin::Standard => out.push_str(" # default"),
                }
            }
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_stand_in_the_file_is_marked() {
        let mut origins = Origins::default();
        origins.written("sip", 0, "listen");
        origins.written("trunk", 0, "name");
        origins.written("trunk", 1, "name");
        origins.written("trunk", 1, "called");
        origins.filled(0, "called", "asterisk");
        let text = "[sip]\nlisten = []\nt1 = \"500ms\"\n\n[[trunk]]\nname = \"a\"\ncalled = [\"to\"]\n\n[[trunk]]\nname = \"\"\"\na = b\n\"\"\"\n\
            called = [\"to\"]\n\n[[trunk.translate]]\nmatch = \"x\"\n";
        let expected = "[sip]\nlisten = []\nt1 = \"500ms\" # default\n\n[[trunk]]\nname = \"a\"\ncalled = [\"to\"] # profile asterisk\n\n[[trunk]]\nname = \"\"\"\na = b\n\"\"\"\n\
            called = [\"to\"]\n\n[[trunk.translate]] # default\nmatch = \"x\"\n";
        assert_eq!(origins.annotate(text), expected);
    }
}
