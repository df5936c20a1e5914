//! Semicolon parameters, of header values and of URIs. They stand apart because Via, addresses, routes and URIs share
//! them, blanks and quoted values included.

use memchr::{memchr, memchr2};
use std::borrow::Cow;

/// Parameters as they stand in the message: `;name=value;flag ; name = "quoted"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Params<'a> {
    raw: &'a [u8],
}

/// One parameter after the other: name, and value if there is a `=`.
#[derive(Debug, Clone)]
pub struct ParamsIter<'a> {
    rest: &'a [u8],
}

// === impl Params ===

impl<'a> Params<'a> {
    /// Takes the text from the first semicolon on; the first semicolon itself may be missing.
    pub fn new(raw: &'a [u8]) -> Params<'a> {
        Params { raw }
    }

    /// As written, leading semicolon included.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// All of them in order. Names are compared without case by [`Params::get`]; values are trimmed and keep their quotes.
    pub fn iter(&self) -> ParamsIter<'a> {
        ParamsIter { rest: self.raw }
    }

    /// The first parameter of this name, in any case; a flag without value gives an empty slice. Quotes are kept.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.unwrap_or_default())
    }

    /// Like [`Params::get`], with the quotes taken off.
    pub fn unquoted(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let value = self.get(name)?;
        Some(match super::quoted(value) {
            Some((inside, _)) => super::unquote(inside),
            None => Cow::Borrowed(value),
        })
    }

    /// Whether there is a parameter of this name, with or without value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

// === impl ParamsIter ===

impl<'a> Iterator for ParamsIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let end = param_end(self.rest);
            let (param, rest) = self.rest.split_at_checked(end)?;
            self.rest = rest.get(1..).unwrap_or_default();
            let param = param.trim_ascii();
            if param.is_empty() {
                continue;
            }
            return Some(match memchr(b'=', param).and_then(|at| param.split_at_checked(at)) {
                Some((name, value)) => (name.trim_ascii(), Some(value.get(1..).unwrap_or_default().trim_ascii())),
                None => (param, None),
            });
        }
        None
    }
}

/// Up to the next semicolon outside quotes; a quote that never closes is a plain character.
fn param_end(value: &[u8]) -> usize {
    let mut at = 0;
    while let Some(hit) = value.get(at..).and_then(|rest| memchr2(b';', b'"', rest)) {
        let here = at + hit;
        let rest = value.get(here..).unwrap_or_default();
        if rest.first() == Some(&b';') {
            return here;
        }
        at = here + super::quoted(rest).map_or(1, |(inside, _)| inside.len() + 2);
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_case_flags_and_quotes_are_understood() {
        let params = Params::new(br#"; Branch = z9hG4bKa ;rport;;text="a;b\"c" ;empty="#);
        assert_eq!(params.get("branch"), Some(&b"z9hG4bKa"[..]));
        assert_eq!(params.get("RPORT"), Some(&b""[..]));
        assert_eq!(params.unquoted("text").unwrap().as_ref(), br#"a;b"c"#);
        assert_eq!(params.get("empty"), Some(&b""[..]));
        assert_eq!(params.get("lr"), None);
        assert_eq!(params.iter().count(), 4);
    }

    #[test]
    fn an_open_quote_ends_at_the_next_semicolon() {
        let params = Params::new(b";text=\"open;cause=16");
        assert_eq!(params.get("cause"), Some(&b"16"[..]));
    }
}
