//! Templates of the headers to a target: `"{caller}"`, `"{trunk}/{header:X-Tenant}"`. They are compiled when the file is
//! loaded, so that a misspelt placeholder is a line of `check` and not an empty header in production.

use super::user_to_user;
use super::{Numbers, clean};
use crate::sip::Message;
use crate::sip::header::decode;
use std::fmt;

/// A compiled template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
    /// A header of the PBX's INVITE.
    Header(String),
}

/// A placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Caller,
    Called,
    CallerName,
    OriginalCalled,
    RedirectReason,
    Uui,
    Ucid,
    PbxCallId,
    CallId,
    Trunk,
}

/// What a template is filled with.
#[derive(Debug, Clone, Copy)]
pub struct Values<'v> {
    /// Caller, called and what goes with them.
    pub numbers: &'v Numbers,
    /// The PBX's Call-ID.
    pub pbx_call_id: &'v str,
    /// Our name for the call.
    pub call_id: &'v str,
    /// The trunk's name.
    pub trunk: &'v str,
    /// The PBX's INVITE.
    pub request: &'v Message,
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// This placeholder does not exist.
    Unknown(String),
    /// A brace without its partner.
    Brace,
}

const FIELDS: [(&str, Field); 10] = [
    ("caller", Field::Caller),
    ("called", Field::Called),
    ("caller_name", Field::CallerName),
    ("original_called", Field::OriginalCalled),
    ("redirect_reason", Field::RedirectReason),
    ("uui", Field::Uui),
    ("ucid", Field::Ucid),
    ("pbx_call_id", Field::PbxCallId),
    ("call_id", Field::CallId),
    ("trunk", Field::Trunk),
];

// === impl Template ===

impl Template {
    /// Compiles it. `{{` and `}}` are braces that stand for themselves.
    ///
    /// # Errors
    /// An unknown placeholder, or a brace without its partner.
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
            let (name, after) =
                brace.strip_prefix('{').and_then(|inner| inner.split_once('}')).ok_or(TemplateError::Brace)?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(placeholder(name)?);
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
                Part::Field(field) => out.push_str(&field.value(values)),
                Part::Header(name) => {
                    if let Some(value) = values.request.named(name).next() {
                        out.push_str(&decode(value));
                    }
                }
            }
        }
        clean(&out)
    }
}

fn placeholder(name: &str) -> Result<Part, TemplateError> {
    if let Some(header) = name.strip_prefix("header:") {
        let header = header.trim();
        let named =
            !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        return if named { Ok(Part::Header(header.to_owned())) } else { Err(TemplateError::Unknown(name.to_owned())) };
    }
    match FIELDS.iter().find(|(known, _)| *known == name) {
        Some((_, field)) => Ok(Part::Field(*field)),
        None => Err(TemplateError::Unknown(name.to_owned())),
    }
}

// === impl Field ===

impl Field {
    fn value(self, values: &Values<'_>) -> String {
        let numbers = values.numbers;
        match self {
            Self::Caller => numbers.caller.clone(),
            Self::Called => numbers.called.clone(),
            Self::CallerName => numbers.caller_name.clone().unwrap_or_default(),
            Self::OriginalCalled => numbers.original_called.clone().unwrap_or_default(),
            Self::RedirectReason => numbers.redirect_reason.clone().unwrap_or_default(),
            Self::Uui => user_to_user::raw(values.request).unwrap_or_default(),
            Self::Ucid => user_to_user::ucid(values.request).unwrap_or_default(),
            Self::PbxCallId => values.pbx_call_id.to_owned(),
            Self::CallId => values.call_id.to_owned(),
            Self::Trunk => values.trunk.to_owned(),
        }
    }
}

// === impl TemplateError ===

impl TemplateError {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        let Self::Unknown(name) = self else { return "write {{ or }} for a brace that stands for itself".to_owned() };
        let near = FIELDS.iter().map(|(known, _)| *known).min_by_key(|known| strsim::damerau_levenshtein(known, name));
        match near.filter(|near| strsim::damerau_levenshtein(near, name) <= 3) {
            Some(near) => format!("did you mean {{{near}}}?"),
            None => {
                let known: Vec<String> = FIELDS.iter().map(|(known, _)| format!("{{{known}}}")).collect();
                format!("known placeholders: {} and {{header:Name}}", known.join(" "))
            }
        }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "unknown placeholder {{{name}}}"),
            Self::Brace => f.write_str("a brace has no partner"),
        }
    }
}

impl std::error::Error for TemplateError {}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn render(template: &str) -> String {
        let request = "INVITE sip:7000@192.0.2.1 SIP/2.0\r\nX-Tenant: north\r\nX-Odd: a\x01b\r\n\
            User-to-User: 00FA080001247C5E46F6E6;encoding=hex\r\nContent-Length: 0\r\n\r\n";
        let request = Message::parse(Bytes::from_static(request.as_bytes())).unwrap();
        let numbers = Numbers {
            caller: "+12025550123".to_owned(),
            called: "7000".to_owned(),
            caller_name: Some("Line\r\nBreak".to_owned()),
            caller_key: "+12025550123".to_owned(),
            called_key: "7000".to_owned(),
            original_called: None,
            redirect_reason: None,
        };
        let values =
            Values { numbers: &numbers, pbx_call_id: "abc@pbx", call_id: "tl00-1", trunk: "avaya", request: &request };
        Template::parse(template).unwrap().render(&values)
    }

    #[test]
    fn placeholders_are_filled_and_unknown_facts_are_empty() {
        for (template, value) in [
            ("{caller}", "+12025550123"),
            ("{trunk}/{header:x-tenant}/{called}", "avaya/north/7000"),
            ("{original_called}{redirect_reason}{header:X-None}", ""),
            ("{pbx_call_id} {call_id}", "abc@pbx tl00-1"),
            ("{{not}} {called}", "{not} 7000"),
            ("{uui}", "00FA080001247C5E46F6E6;encoding=hex"),
            ("{ucid}", "00001093401581709030"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(render(template), value, "{template}");
        }
    }

    #[test]
    fn no_value_can_break_out_of_its_header() {
        assert_eq!(render("{caller_name}|{header:X-Odd}"), "Line  Break|a b");
    }

    #[test]
    fn a_misspelt_placeholder_is_an_error_that_names_the_near_one() {
        let error = Template::parse("{caler}").unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.remedy().as_str()),
            ("unknown placeholder {caler}", "did you mean {caller}?")
        );
        assert_eq!(Template::parse("{unheard_of_thing}").unwrap_err().remedy().matches('{').count(), 11);
        for broken in ["{caller", "caller}", "{header:}", "{header:a b}", "{}"] {
            assert!(Template::parse(broken).is_err(), "{broken}");
        }
    }
}
