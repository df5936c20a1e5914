//! The file as a tree of values that know where they stand. It stands apart from the types of the sections, so that a
//! problem found long after parsing still points at its line.

use super::origin::Origins;
use super::problem::Problem;
use super::surroundings::Surroundings;
use crate::trunk::profile;
use std::borrow::Cow;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// A parsed file: the text and its tree, `${...}` already replaced.
#[derive(Debug)]
pub(super) struct Document<'t> {
    text: &'t str,
    root: DeTable<'t>,
    substituted: Vec<Substitution>,
    unresolved: Vec<Problem>,
    origins: Origins,
}

/// What a `${...}` was replaced with: a secret perhaps, so that messages show the placeholder instead.
#[derive(Debug)]
struct Substitution {
    placeholder: String,
    content: String,
}

/// A place in the tree: the deepest value that exists on the way that was asked for.
#[derive(Debug, Clone)]
pub(super) struct Place<'d> {
    value: Option<&'d Spanned<DeValue<'d>>>,
    root: Option<&'d DeTable<'d>>,
    span: Range<usize>,
}

/// One entry of the tree, found by its span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The keys on the way down to it, list positions left out.
    pub(super) keys: Vec<String>,
    /// Where its last key stands; of a list's element there is none.
    pub(super) key: Option<Range<usize>>,
}

// === impl Document ===

impl<'t> Document<'t> {
    /// Parses the text and replaces every `${env:NAME}` and `${file:PATH}`; one that stands for nothing is kept as a problem,
    /// so that it hides no other.
    pub(super) fn parse(text: &'t str, surroundings: &Surroundings<'_>) -> Result<Self, Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut document = Self {
            text,
            root: root.into_inner(),
            substituted: vec![],
            unresolved: vec![],
            origins: Origins::default(),
        };
        if !errors.is_empty() {
            let problem = |error: &toml::de::Error| {
                let message = format!("not valid TOML: {}", error.message());
                document.problem(&error.span().unwrap_or(0..0), message, "correct the syntax of this line")
            };
            return Err(errors.iter().map(problem).collect());
        }
        let mut root = std::mem::take(&mut document.root);
        let mut problems = vec![];
        for (_, value) in root.iter_mut() {
            document.substitute(value, surroundings, &mut problems);
        }
        note_written(&root, &mut document.origins);
        fill_profiles(&mut root, &mut document.origins);
        document.root = root;
        document.unresolved = problems;
        Ok(document)
    }

    /// The placeholders that stand for nothing.
    pub(super) fn unresolved(&self) -> &[Problem] {
        &self.unresolved
    }

    /// Where its values come from.
    pub(super) fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The sections.
    pub(super) fn root(&self) -> &DeTable<'t> {
        &self.root
    }

    /// The start of a way down.
    pub(super) fn top(&self) -> Place<'_> {
        Place { value: None, root: Some(&self.root), span: 0..0 }
    }

    /// A problem at a byte range of the text.
    pub(super) fn problem(
        &self,
        span: &Range<usize>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        let before = self.text.get(..span.start.min(self.text.len())).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Problem {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            message: self.veil(message.into()),
            remedy: self.veil(remedy.into()),
        }
    }

    /// Puts the placeholder back where a message quotes what it stood for: a message may be logged, a secret may not.
    fn veil(&self, text: String) -> String {
        self.substituted.iter().filter(|known| known.content.len() >= 4).fold(text, |text, known| {
            if text.contains(&known.content) { text.replace(&known.content, &known.placeholder) } else { text }
        })
    }

    fn substitute(
        &mut self,
        value: &mut Spanned<DeValue<'t>>,
        surroundings: &Surroundings<'_>,
        problems: &mut Vec<Problem>,
    ) {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) if text.contains("${") => match self.expand(text, &span, surroundings) {
                Ok(Some(expanded)) => *text = Cow::Owned(expanded),
                Ok(None) => {}
                Err(problem) => problems.push(problem),
            },
            DeValue::Array(list) => {
                for element in list.iter_mut() {
                    self.substitute(element, surroundings, problems);
                }
            }
            DeValue::Table(table) => {
                for (_, element) in table.iter_mut() {
                    self.substitute(element, surroundings, problems);
                }
            }
            _ => {}
        }
    }

    /// The string with its placeholders replaced; `None` if there were none. Other `${` (replacements of `translate`
    /// name groups so) stay.
    fn expand(
        &mut self,
        text: &str,
        span: &Range<usize>,
        surroundings: &Surroundings<'_>,
    ) -> Result<Option<String>, Problem> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut found = false;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let (kind, inner) = match (after.strip_prefix("env:"), after.strip_prefix("file:")) {
                (Some(inner), _) => ("env", inner),
                (_, Some(inner)) => ("file", inner),
                _ => {
                    out.push_str("${");
                    rest = after;
                    continue;
                }
            };
            let Some((name, after)) = inner.split_once('}') else {
                return Err(self.problem(span, format!("`${{{kind}:` has no closing brace"), "write the `}`"));
            };
            let content =
                fetch(kind, name, surroundings).map_err(|(message, remedy)| self.problem(span, message, remedy))?;
            out.push_str(&content);
            self.substituted.push(Substitution { placeholder: format!("${{{kind}:{name}}}"), content });
            found = true;
            rest = after;
        }
        out.push_str(rest);
        Ok(found.then_some(out))
    }
}

fn fetch(kind: &str, name: &str, surroundings: &Surroundings<'_>) -> Result<String, (String, String)> {
    if kind == "env" {
        return (surroundings.env)(name).ok_or_else(|| {
            (
                format!("environment variable `{name}` is not set"),
                format!("set {name} in the environment of the gateway, or use ${{file:PATH}}"),
            )
        });
    }
    match (surroundings.read)(&surroundings.directory.join(name)) {
        Ok(content) => Ok(content.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err((
            format!("file `{name}` cannot be read: {error}"),
            "check the path, which is relative to the configuration file, and its permissions".to_owned(),
        )),
    }
}

// === impl Place ===

impl<'d> Place<'d> {
    /// One step down by key; stays where it is if the key is absent.
    pub(super) fn key(&self, key: &str) -> Self {
        let table = match (self.root, self.value.map(Spanned::get_ref)) {
            (Some(root), _) => Some(root),
            (_, Some(DeValue::Table(table))) => Some(table),
            _ => None,
        };
        match table.and_then(|table| table.get(key)) {
            Some(value) => Self { value: Some(value), root: None, span: value.span() },
            None => Self { value: None, root: None, span: self.span.clone() },
        }
    }

    /// One step down by position.
    pub(super) fn index(&self, index: usize) -> Self {
        match self.value.map(Spanned::get_ref) {
            Some(DeValue::Array(list)) => match list.get(index) {
                Some(value) => Self { value: Some(value), root: None, span: value.span() },
                None => Self { value: None, root: None, span: self.span.clone() },
            },
            // One value where a list may stand.
            Some(_) if index == 0 => self.clone(),
            _ => Self { value: None, root: None, span: self.span.clone() },
        }
    }

    /// Its bytes of the text.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }
}

/// Takes the entry whose key or value has this span out of the tree, so that the rest can be read on; `None` if there
/// is no such entry.
pub(super) fn take_out(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<Entry> {
    match value.get_mut() {
        DeValue::Table(table) => {
            let here = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
            if let Some((key, place)) = here.map(|(key, _)| (key.get_ref().to_string(), key.span())) {
                table.remove(key.as_str());
                return Some(Entry { keys: vec![key], key: Some(place) });
            }
            table.iter_mut().find_map(|(key, value)| {
                let mut entry = take_out(value, span)?;
                entry.keys.insert(0, key.get_ref().to_string());
                Some(entry)
            })
        }
        DeValue::Array(list) => {
            if list.iter().any(|element| element.span() == *span) {
                let mut kept = DeArray::new();
                for element in list.iter().filter(|element| element.span() != *span) {
                    kept.push(element.clone());
                }
                *list = kept;
                return Some(Entry { keys: vec![], key: None });
            }
            list.iter_mut().find_map(|element| take_out(element, span))
        }
        _ => None,
    }
}

/// The keys that stand in the file, before anything is filled in.
fn note_written(root: &DeTable<'_>, origins: &mut Origins) {
    let mut note = |section: &str, position: usize, value: &DeValue<'_>| {
        if let DeValue::Table(table) = value {
            table.keys().for_each(|key| origins.written(section, position, key.get_ref()));
        }
    };
    for (section, value) in root {
        match value.get_ref() {
            DeValue::Array(list) => {
                list.iter()
                    .enumerate()
                    .for_each(|(position, entry)| note(section.get_ref(), position, entry.get_ref()));
            }
            single => note(section.get_ref(), 0, single),
        }
    }
}

/// What the profile of a trunk says where the trunk says nothing. It is filled in before anything is read, so that every
/// key is judged the same whoever wrote it.
fn fill_profiles(root: &mut DeTable<'_>, origins: &mut Origins) {
    let Some(DeValue::Array(trunks)) = root.get_mut("trunk").map(Spanned::get_mut) else { return };
    for (position, trunk) in trunks.iter_mut().enumerate() {
        let DeValue::Table(trunk) = trunk.get_mut() else { continue };
        let named = trunk.get("profile").and_then(|value| Some((value.get_ref().as_str()?.to_owned(), value.span())));
        let family = named.and_then(|(name, span)| Some((profile::named(&name)?, span)));
        let Some((family, span)) = family else { continue };
        for preset in family.presets {
            if trunk.contains_key(preset.key) || preset.with.is_some_and(|key| !trunk.contains_key(key)) {
                continue;
            }
            let Ok(value) = DeValue::parse(preset.value) else { continue };
            let value = Spanned::new(span.clone(), value.into_inner());
            trunk.insert(Spanned::new(span.clone(), Cow::Borrowed(preset.key)), value);
            origins.filled(position, preset.key, family.name);
        }
    }
}
