//! Addresses with display name and parameters: From, To, Contact, P-Asserted-Identity, Diversion and their kin (RFC 3261
//! §20.10). They stand apart because the rule which semicolon belongs to the URI and which to the header is here alone.

use super::{HeaderError, Params, decode, quoted, unquote};
use crate::sip::uri::{Uri, UriError};

use memchr::memchr;
use std::borrow::Cow;

/// One name-addr or addr-spec with its header parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The display name without quotes and backslashes; `None` when there is none or it is empty.
    pub display: Option<Cow<'a, str>>,
    /// The URI as written, without the angle brackets; `*` for the Contact of a wildcard REGISTER.
    pub uri: &'a [u8],
    /// The parameters behind the URI that belong to the header.
    pub params: Params<'a>,
}

// === impl NameAddr ===

impl<'a> NameAddr<'a> {
    /// Reads one element of the header.
    pub fn parse(element: &'a [u8]) -> Result<NameAddr<'a>, HeaderError> {
        let element = element.trim_ascii();
        if element.is_empty() {
            return Err(HeaderError::Empty);
        }
        if element.starts_with(b"\"") {
            let (inside, rest) = quoted(element).ok_or(HeaderError::Missing("closing quote"))?;
            return bracketed(rest.trim_ascii_start(), Some(decode_quoted(inside)));
        }
        match memchr(b'<', element).and_then(|at| element.split_at_checked(at)) {
            Some((display, rest)) => bracketed(rest, Some(decode(display.trim_ascii_end()))),
            None => bare(element),
        }
    }

    /// The parsed URI.
    pub fn uri(&self) -> Result<Uri<'a>, UriError> {
        Uri::parse(self.uri)
    }

    /// `tag`, if it is there and not empty.
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    /// A header parameter in any case; a flag gives an empty slice.
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        self.params.get(name)
    }
}

fn decode_quoted(inside: &[u8]) -> Cow<'_, str> {
    match unquote(inside) {
        Cow::Borrowed(text) => decode(text),
        Cow::Owned(text) => Cow::Owned(decode(&text).into_owned()),
    }
}

fn bracketed<'a>(text: &'a [u8], display: Option<Cow<'a, str>>) -> Result<NameAddr<'a>, HeaderError> {
    let inside = text.strip_prefix(b"<").ok_or(HeaderError::Missing("URI in angle brackets"))?;
    let end = memchr(b'>', inside).ok_or(HeaderError::Missing("closing angle bracket"))?;
    let (uri, rest) = inside.split_at_checked(end).ok_or(HeaderError::Missing("closing angle bracket"))?;
    let params = rest.get(1..).unwrap_or_default().trim_ascii();
    if !params.is_empty() && !params.starts_with(b";") {
        return Err(HeaderError::Bad("text behind the URI"));
    }
    finish(display.filter(|name| !name.is_empty()), uri, params)
}

/// RFC 3261 §20.10: without brackets, everything from the first semicolon on belongs to the header.
fn bare(text: &[u8]) -> Result<NameAddr<'_>, HeaderError> {
    let semicolon = memchr(b';', text).unwrap_or(text.len());
    let (uri, params) = text.split_at_checked(semicolon).ok_or(HeaderError::Missing("URI"))?;
    if uri.trim_ascii().iter().any(u8::is_ascii_whitespace) {
        return Err(HeaderError::Missing("URI in angle brackets"));
    }
    finish(None, uri, params)
}

fn finish<'a>(display: Option<Cow<'a, str>>, uri: &'a [u8], params: &'a [u8]) -> Result<NameAddr<'a>, HeaderError> {
    let uri = uri.trim_ascii();
    if uri.is_empty() {
        return Err(HeaderError::Missing("URI"));
    }
    Ok(NameAddr { display, uri, params: Params::new(params) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> NameAddr<'_> {
        NameAddr::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn brackets_decide_whose_parameter_it_is() {
        let inside = parse("<sip:alice@example.com;tag=uri>;tag=hdr");
        assert_eq!((inside.uri, inside.tag()), (&b"sip:alice@example.com;tag=uri"[..], Some(&b"hdr"[..])));
        let bare = parse("sip:alice@example.com;tag=88");
        assert_eq!((bare.uri, bare.tag()), (&b"sip:alice@example.com"[..], Some(&b"88"[..])));
        assert_eq!(bare.display, None);
    }

    #[test]
    fn a_display_name_cannot_pretend_to_be_the_address() {
        let address = parse(r#""<sip:evil@example.net>;tag=bad \"x\\" <sip:alice@example.com> ; tag=9"#);
        assert_eq!(address.display.as_deref(), Some(r#"<sip:evil@example.net>;tag=bad "x\"#));
        assert_eq!((address.uri, address.tag()), (&b"sip:alice@example.com"[..], Some(&b"9"[..])));
    }

    #[test]
    fn unquoted_and_touching_display_names_are_read() {
        assert_eq!(parse("John Q Public <sip:a@b>").display.as_deref(), Some("John Q Public"));
        assert_eq!(parse("caller<sip:a@b>").display.as_deref(), Some("caller"));
        assert_eq!(parse("\"\" <sip:a@b>").display, None);
        assert_eq!(parse("*").uri, b"*");
    }

    #[test]
    fn what_holds_no_address_is_refused() {
        for text in ["", "\"open <sip:a@b>", "\"a\" sip:a@b", "<sip:a@b", "<>", "a b sip:c@d", ";tag=1", "<sip:a@b> x"]
        {
            assert!(NameAddr::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
