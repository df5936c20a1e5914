//! Templates of the headers to a target: `"{caller:digits}"`, `"{trunk}/{header:X-Tenant|'none'}"`. They are compiled
//! when the file is loaded, so that a misspelt placeholder is a line of `check` and not an empty header in production.

mod field;

use super::Numbers;
use super::clean;
use super::shown::Shown;
use crate::sip::Message;
use crate::sip::header::decode;
use crate::trunk::Trunk;
use field::{Field, Form};
use std::fmt;

pub use field::Weight;

/// A compiled template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The first of these that the call has.
    Choice(Vec<Source>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Field(Field, Form),
    /// A header of the PBX's INVITE.
    Header(String),
    /// `'text'`.
    Literal(String),
}

/// What a template is filled with.
#[derive(Debug, Clone, Copy)]
pub struct Values<'v> {
    /// The call's numbers.
    pub numbers: &'v Numbers,
    /// What the target may see of them.
    pub shown: &'v Shown,
    /// The PBX's Call-ID.
    pub pbx_call_id: &'v str,
    /// Our name for the call.
    pub call_id: &'v str,
    /// The trunk.
    pub trunk: &'v Trunk,
    /// The PBX's INVITE.
    pub request: &'v Message,
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// This placeholder does not exist.
    Unknown(String),
    /// This form of this placeholder does not exist.
    Form(String, String),
    /// A brace or quote without its partner.
    Brace,
}

// === impl Template ===

impl Template {
    /// Compiles it. `{{` and `}}` are braces that stand for themselves; `{a|b|'text'}` is the first that is not empty.
    ///
    /// # Errors
    /// An unknown placeholder or form, or a brace without its partner.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = vec![];
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at_checked(at).ok_or(TemplateError::Brace)?;
            plain.push_str(before);
            if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
                plain.push_str(brace.get(..1).unwrap_or_default());
                rest = after;
                continue;
            }
            let (sources, after) = choice(brace.strip_prefix('{').ok_or(TemplateError::Brace)?)?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Choice(sources));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// Fills it. What is not known of this call comes out empty; the result never holds a control character.
    #[must_use]
    pub fn render(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Choice(sources) => {
                    let first = sources.iter().map(|source| source.value(values)).find(|value| !value.is_empty());
                    out.push_str(&first.unwrap_or_default());
                }
            }
        }
        clean(&out)
    }

    /// How much its header matters when not all of them fit: as much as the least that stands in it.
    #[must_use]
    pub fn weight(&self) -> Weight {
        self.sources().map(Source::weight).min().unwrap_or(Weight::Fact)
    }

    /// The headers of the PBX's INVITE that it copies from.
    pub fn copied(&self) -> impl Iterator<Item = &str> {
        self.sources().filter_map(|source| match source {
            Source::Header(name) => Some(name.as_str()),
            _ => None,
        })
    }

    fn sources(&self) -> impl Iterator<Item = &Source> {
        self.parts.iter().flat_map(|part| match part {
            Part::Text(_) => &[][..],
            Part::Choice(sources) => sources.as_slice(),
        })
    }
}

/// The inside of braces up to the closing one, alternatives separated by `|`; and what follows.
fn choice(inner: &str) -> Result<(Vec<Source>, &str), TemplateError> {
    let mut sources = vec![];
    let mut rest = inner;
    loop {
        rest = rest.trim_start();
        let quote = rest.chars().next().filter(|first| matches!(first, '\'' | '"'));
        rest = match quote {
            Some(quote) => {
                let (text, after) =
                    rest.get(1..).and_then(|text| text.split_once(quote)).ok_or(TemplateError::Brace)?;
                sources.push(Source::Literal(text.to_owned()));
                after.trim_start()
            }
            None => {
                let end = rest.find(['|', '}', '{']).ok_or(TemplateError::Brace)?;
                let (name, after) = rest.split_at_checked(end).ok_or(TemplateError::Brace)?;
                sources.push(Source::parse(name.trim_end())?);
                after
            }
        };
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((sources, after));
        }
        rest = rest.strip_prefix('|').ok_or(TemplateError::Brace)?;
    }
}

// === impl Source ===

impl Source {
    fn parse(name: &str) -> Result<Self, TemplateError> {
        let unknown = || TemplateError::Unknown(name.to_owned());
        if let Some(header) = name.strip_prefix("header:") {
            let header = header.trim();
            let named =
                !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            return if named { Ok(Self::Header(header.to_owned())) } else { Err(unknown()) };
        }
        let (word, form) = name.split_once(':').map_or((name, None), |(word, form)| (word, Some(form)));
        let field = Field::named(word).ok_or_else(unknown)?;
        let form = match form {
            None => Form::Plain,
            Some(form) => {
                field.form(form.trim()).ok_or_else(|| TemplateError::Form(word.to_owned(), form.trim().to_owned()))?
            }
        };
        Ok(Self::Field(field, form))
    }

    fn value(&self, values: &Values<'_>) -> String {
        match self {
            Self::Field(field, form) => field.value(*form, values),
            Self::Header(name) => {
                values.request.named(name).next().map(|value| clean(&decode(value))).unwrap_or_default()
            }
            Self::Literal(text) => text.clone(),
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::Field(field, _) => field.weight(),
            Self::Header(_) => Weight::Text,
            Self::Literal(_) => Weight::Call,
        }
    }
}

// === impl TemplateError ===

impl TemplateError {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Brace => {
                "write {{ or }} for a brace that stands for itself, and close every { and every quote in it".to_owned()
            }
            Self::Form(word, _) => match Field::named(word).map(Field::forms) {
                Some(forms) if !forms.is_empty() => format!("forms of {{{word}}}: {}", forms.join(", ")),
                _ => format!("write {{{word}}}"),
            },
            Self::Unknown(name) => {
                let near = Field::words()
                    .min_by_key(|known| strsim::damerau_levenshtein(known, name))
                    .filter(|near| strsim::damerau_levenshtein(near, name) <= 3);
                match near {
                    Some(near) => format!("did you mean {{{near}}}?"),
                    None => {
                        let known: Vec<String> = Field::words().map(|known| format!("{{{known}}}")).collect();
                        format!("known placeholders: {} and {{header:Name}}", known.join(" "))
                    }
                }
            }
        }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "unknown placeholder {{{name}}}"),
            Self::Form(word, form) => write!(f, "{{{word}}} has no form `{form}`"),
            Self::Brace => f.write_str("a brace or quote has no partner"),
        }
    }
}

impl std::error::Error for TemplateError {}

#[cfg(test)]
mod tests;
