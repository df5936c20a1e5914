//! The placeholders of templates: their words, forms and values. They stand apart from the syntax, so that a new fact of a
//! call is one line here.

use super::Values;
use crate::config::numbers::NumberFormat;
use crate::identity::correlation::{IDS, Id};

/// A placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Caller,
    Called,
    CallerName,
    OriginalCalled,
    RedirectReason,
    LastRedirecting,
    LastRedirectReason,
    RedirectCount,
    ReferredBy,
    Uui,
    Correlation(Id),
    PbxCallId,
    CallId,
    Trunk,
}

/// What stands behind the colon of a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing.
    Plain,
    /// The form of a number.
    Number(NumberFormat),
    /// The extension of a number (`ext`).
    Extension,
    /// The text of User-to-User.
    Text,
    /// Hexadecimal digits only.
    Hex,
}

/// How much a header matters when not all of them fit; the least goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// A header of the PBX that is passed on.
    Passed,
    /// Text for people, or of another header: a part of it is worth something.
    Text,
    /// User-to-User.
    UserToUser,
    /// Other facts of the call.
    Fact,
    /// What the configuration writes itself.
    Fixed,
    /// The caller and the called number.
    Number,
    /// Our name for the call: without it nothing else can be found.
    Call,
}

const FIELDS: [(&str, Field); 13] = [
    ("caller", Field::Caller),
    ("called", Field::Called),
    ("caller_name", Field::CallerName),
    ("original_called", Field::OriginalCalled),
    ("redirect_reason", Field::RedirectReason),
    ("last_redirecting", Field::LastRedirecting),
    ("last_redirect_reason", Field::LastRedirectReason),
    ("redirect_count", Field::RedirectCount),
    ("referred_by", Field::ReferredBy),
    ("uui", Field::Uui),
    ("pbx_call_id", Field::PbxCallId),
    ("call_id", Field::CallId),
    ("trunk", Field::Trunk),
];

const NUMBER_FORMS: [(&str, Form); 5] = [
    ("e164", Form::Number(NumberFormat::E164)),
    ("digits", Form::Number(NumberFormat::Digits)),
    ("national", Form::Number(NumberFormat::National)),
    ("as-received", Form::Number(NumberFormat::AsReceived)),
    ("ext", Form::Extension),
];

// === impl Field ===

impl Field {
    pub(super) fn named(word: &str) -> Option<Self> {
        let id = || IDS.iter().find(|(known, _)| *known == word).map(|(_, id)| Self::Correlation(*id));
        FIELDS.iter().find(|(known, _)| *known == word).map(|(_, field)| *field).or_else(id)
    }

    pub(super) fn words() -> impl Iterator<Item = &'static str> {
        FIELDS.iter().map(|(word, _)| *word).chain(IDS.iter().map(|(word, _)| *word))
    }

    fn known_forms(self) -> &'static [(&'static str, Form)] {
        match self {
            Self::Caller | Self::Called | Self::OriginalCalled | Self::LastRedirecting | Self::ReferredBy => {
                &NUMBER_FORMS
            }
            Self::Uui => &[("text", Form::Text), ("hex", Form::Hex)],
            Self::Correlation(Id::CiscoGuid) => &[("hex", Form::Hex)],
            _ => &[],
        }
    }

    /// The words that may stand behind its colon.
    pub(super) fn forms(self) -> Vec<&'static str> {
        self.known_forms().iter().map(|(word, _)| *word).collect()
    }

    pub(super) fn form(self, word: &str) -> Option<Form> {
        self.known_forms().iter().find(|(known, _)| *known == word).map(|(_, form)| *form)
    }

    pub(super) fn value(self, form: Form, values: &Values<'_>) -> String {
        let (numbers, withheld) = (values.numbers, values.shown.withheld);
        let written = match form {
            Form::Number(form) => form,
            _ => numbers.form,
        };
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let extension = form == Form::Extension;
        match self {
            Self::Caller if extension => text(
                numbers.caller.as_ref().filter(|_| !withheld.number).and_then(|caller| caller.extension.as_deref()),
            ),
            Self::Caller => numbers.caller_in(written, withheld),
            Self::Called if extension => text(numbers.called.extension.as_deref()),
            Self::Called => numbers.called.written(written).0,
            Self::CallerName => text(values.shown.caller_name.as_deref()),
            Self::OriginalCalled | Self::LastRedirecting => {
                let redirected = self.redirected(values);
                if extension {
                    let open = redirected.filter(|redirected| !withheld.hides(redirected));
                    return text(open.and_then(|redirected| redirected.number.extension.as_deref()));
                }
                numbers.redirected_in(redirected, written, withheld)
            }
            Self::RedirectReason | Self::LastRedirectReason => {
                text(self.redirected(values).and_then(|redirected| redirected.reason.as_deref()))
            }
            Self::RedirectCount if numbers.redirect_count == 0 => String::new(),
            Self::RedirectCount => numbers.redirect_count.to_string(),
            Self::ReferredBy if extension => {
                text(numbers.referred_by.as_ref().and_then(|party| party.extension.as_deref()))
            }
            Self::ReferredBy => numbers.referred_by.as_ref().map(|party| party.written(written).0).unwrap_or_default(),
            Self::Uui => match form {
                Form::Text => numbers.uui.text(),
                Form::Hex => numbers.uui.data().to_owned(),
                _ => numbers.uui.raw(),
            },
            Self::Correlation(id) if form == Form::Hex => numbers.correlation.get(id).map(guid).unwrap_or_default(),
            Self::Correlation(id) => text(numbers.correlation.get(id)),
            Self::PbxCallId => values.pbx_call_id.to_owned(),
            Self::CallId => values.call_id.to_owned(),
            Self::Trunk => values.trunk.config.name.clone(),
        }
    }

    fn redirected<'v>(self, values: &Values<'v>) -> Option<&'v crate::identity::redirect::Redirected> {
        match self {
            Self::OriginalCalled | Self::RedirectReason => values.numbers.original_called.as_ref(),
            _ => values.numbers.last_redirecting.as_ref(),
        }
    }

    pub(super) fn weight(self) -> Weight {
        match self {
            Self::CallerName => Weight::Text,
            Self::Uui => Weight::UserToUser,
            Self::Caller | Self::Called => Weight::Number,
            Self::CallId => Weight::Call,
            _ => Weight::Fact,
        }
    }
}

/// Cisco writes a GUID as four decimal numbers in SIP, and as hexadecimal digits in its logs and reports.
fn guid(decimal: &str) -> String {
    let parts: Option<Vec<String>> =
        decimal.split('-').map(|part| part.trim().parse::<u32>().ok().map(|part| format!("{part:08X}"))).collect();
    parts.filter(|parts| parts.len() == 4).map_or_else(|| decimal.to_owned(), |parts| parts.concat())
}
