//! The `name=value` list of challenges and credentials (RFC 3261 §25.1 `auth-param`). It stands apart because it looks
//! like parameters but is joined by commas, and both directions read it.

use crate::sip::header::{Elements, quoted, unquote};

use std::fmt::Write as _;

/// The fields behind `Digest`.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// A list being written.
#[derive(Debug)]
pub struct FieldsWriter(String);

// === impl Fields ===

impl<'a> Fields<'a> {
    /// The fields of a value whose scheme is Digest; `None` for any other scheme.
    #[must_use]
    pub fn digest(value: &'a [u8]) -> Option<Self> {
        let value = value.trim_ascii();
        let end = value.iter().position(u8::is_ascii_whitespace)?;
        let (scheme, rest) = value.split_at_checked(end)?;
        scheme.eq_ignore_ascii_case(b"digest").then_some(Self { rest })
    }

    /// The fields of a value without scheme (`Authentication-Info`).
    #[must_use]
    pub const fn bare(value: &'a [u8]) -> Self {
        Self { rest: value }
    }

    /// The first field of this name, quotes taken off. `None` also for what is no UTF-8: it could not be sent back.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let value = self.raw(name)?;
        let text = match quoted(value) {
            Some((inside, _)) => String::from_utf8(unquote(inside).into_owned()),
            None => String::from_utf8(value.to_vec()),
        };
        text.ok()
    }

    /// Whether the field is there with the value `true`.
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn raw(&self, name: &str) -> Option<&'a [u8]> {
        Elements::new(self.rest).find_map(|element| {
            let at = memchr::memchr(b'=', element)?;
            let (key, value) = element.split_at_checked(at)?;
            let fits = key.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
            fits.then(|| value.get(1..).unwrap_or_default().trim_ascii())
        })
    }
}

// === impl FieldsWriter ===

impl FieldsWriter {
    /// Begins with the scheme.
    #[must_use]
    pub fn digest() -> Self {
        Self("Digest".to_owned())
    }

    /// A quoted value.
    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.separate();
        let _ = write!(self.0, "{name}=\"");
        for letter in value.chars().filter(|letter| !letter.is_control()) {
            if matches!(letter, '"' | '\\') {
                self.0.push('\\');
            }
            self.0.push(letter);
        }
        self.0.push('"');
        self
    }

    /// A value that RFC 7616 wants without quotes.
    pub fn word(&mut self, name: &str, value: &str) -> &mut Self {
        self.separate();
        let _ = write!(self.0, "{name}={value}");
        self
    }

    /// The whole value.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }

    fn separate(&mut self) {
        self.0.push_str(if self.0.len() == "Digest".len() { " " } else { ", " });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_and_escapes_in_quotes_belong_to_the_value() {
        let fields = Fields::digest(br#"digest  realm="a, \"b\"" , nc=00000001,uri="sip:x,y@z",NONCE = "q""#).unwrap();
        assert_eq!(fields.get("realm").as_deref(), Some(r#"a, "b""#));
        assert_eq!(fields.get("nc").as_deref(), Some("00000001"));
        assert_eq!(fields.get("uri").as_deref(), Some("sip:x,y@z"));
        assert_eq!(fields.get("nonce").as_deref(), Some("q"));
        assert_eq!(fields.get("cnonce"), None);
    }

    #[test]
    fn other_schemes_are_not_read() {
        assert!(Fields::digest(b"Basic QWxhZGRpbg==").is_none());
        assert!(Fields::digest(b"Digest").is_none());
    }

    #[test]
    fn what_is_written_is_read_back_and_cannot_break_the_line() {
        let mut writer = FieldsWriter::digest();
        writer.text("realm", "a\r\n\"\\").word("stale", "true");
        let text = writer.finish();
        assert_eq!(text, r#"Digest realm="a\"\\", stale=true"#);
        assert_eq!(Fields::digest(text.as_bytes()).unwrap().get("realm").as_deref(), Some(r#"a"\"#));
    }
}
