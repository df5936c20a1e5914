//! The addresses of one header line, as forgiving as possible: a display name with quotes that nobody escaped costs the
//! name at most, never the number. It stands apart from the stack's own parser, which must stay strict: RFC 4475
//! §3.1.2.6 wants a request refused whose From or To has such a name.

use crate::sip::header::{Elements, NameAddr, Params, decode, quoted, unquote};
use std::borrow::Cow;

/// One address of a line.
#[derive(Debug, Clone)]
pub struct Element<'a> {
    /// As written.
    pub raw: &'a [u8],
    /// The address, or why there is none.
    pub address: Result<NameAddr<'a>, String>,
    /// Whether it took more than the grammar to find it.
    pub origin: Origin,
}

/// How an address was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// By the grammar.
    Grammar,
    /// By its angle brackets, after the grammar had failed.
    Recovered,
}

/// Whether commas separate addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// They do.
    Commas,
    /// One address, as in From and To: a comma belongs to an unquoted display name.
    One,
}

/// The addresses of one header line.
#[must_use]
pub fn of_line(value: &[u8], list: List) -> Vec<Element<'_>> {
    let strict: Vec<Element<'_>> = match list {
        List::Commas => Elements::new(value).map(by_grammar).collect(),
        List::One => vec![by_grammar(value)],
    };
    if strict.iter().all(|element| element.address.is_ok()) {
        return strict;
    }
    let recovered = by_brackets(value);
    if recovered.is_empty() { strict } else { recovered }
}

fn by_grammar(raw: &[u8]) -> Element<'_> {
    let address = NameAddr::parse(raw).map_err(|error| format!("cannot be read: {error}"));
    Element { raw, address, origin: Origin::Grammar }
}

/// Every `<sip:...>`, `<sips:...>` and `<tel:...>` that is followed by parameters, a comma or the end. A bracket inside
/// of a name (`"x <sip:y> z"`) is followed by other text, and so is none.
fn by_brackets(value: &[u8]) -> Vec<Element<'_>> {
    let mut found = vec![];
    let (mut start, mut at) = (0, 0);
    while let Some(open) = value.get(at..).and_then(|rest| memchr::memchr(b'<', rest)).map(|hit| at + hit) {
        at = open + 1;
        let Some(inside) = value.get(at..).filter(|inside| has_scheme(inside)) else { continue };
        let Some(length) = memchr::memchr(b'>', inside) else { break };
        let uri = inside.get(..length).unwrap_or_default();
        let behind = inside.get(length + 1..).unwrap_or_default();
        let next = behind.trim_ascii_start().first();
        if !matches!(next, None | Some(b';' | b',')) {
            continue;
        }
        let params = behind.get(..comma(behind)).unwrap_or_default();
        let end = at + length + 1 + params.len();
        let display = value.get(start..open).map(name);
        let address = NameAddr {
            display: display.filter(|name| !name.is_empty()),
            uri: uri.trim_ascii(),
            params: Params::new(params.trim_ascii()),
        };
        let raw = value.get(start..end).unwrap_or_default().trim_ascii();
        found.push(Element { raw, address: Ok(address), origin: Origin::Recovered });
        start = end + 1;
        at = start;
    }
    found
}

fn has_scheme(text: &[u8]) -> bool {
    let starts = |scheme: &[u8]| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    [&b"sip:"[..], b"sips:", b"tel:"].into_iter().any(starts)
}

/// Up to the next comma outside of complete quotes.
fn comma(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(hit) = text.get(at..).and_then(|rest| memchr::memchr2(b',', b'"', rest)) {
        let rest = text.get(at + hit..).unwrap_or_default();
        if rest.first() == Some(&b',') {
            return at + hit;
        }
        at += hit + quoted(rest).map_or(1, |(inside, _)| inside.len() + 2);
    }
    text.len()
}

/// A display name whose quotes do not match: the outermost ones are taken off, what is between them stays.
fn name(text: &[u8]) -> Cow<'_, str> {
    let text = text.trim_ascii();
    let text = text.strip_prefix(b"\"").unwrap_or(text);
    let text = text.strip_suffix(b"\"").unwrap_or(text);
    match unquote(text) {
        Cow::Borrowed(text) => decode(text),
        Cow::Owned(text) => Cow::Owned(decode(&text).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Vec<(String, String, Origin)> {
        let told = |element: Element<'_>| match element.address {
            Ok(address) => (
                address.display.as_deref().unwrap_or_default().to_owned(),
                String::from_utf8_lossy(address.uri).into_owned(),
                element.origin,
            ),
            Err(why) => (why, String::new(), element.origin),
        };
        of_line(value.as_bytes(), List::Commas).into_iter().map(told).collect()
    }

    #[test]
    fn unescaped_quotes_cost_no_address() {
        for (value, name, uri) in [
            (
                r#""Bob "The Desk" Example" <sip:+15550100@192.0.2.1>"#,
                r#"Bob "The Desk" Example"#,
                "sip:+15550100@192.0.2.1",
            ),
            (r#""open <sip:1@192.0.2.1>;x=1"#, "open", "sip:1@192.0.2.1"),
            (r#""A "B, C" D" <tel:+15550100>"#, r#"A "B, C" D"#, "tel:+15550100"),
            (r#""a <b> "c" <SIPS:1@192.0.2.1>;text="x,y""#, r#"a <b> "c"#, "SIPS:1@192.0.2.1"),
            (r#""x "<sip:evil@example.net> y" <sip:1@192.0.2.1>"#, r#"x "<sip:evil@example.net> y"#, "sip:1@192.0.2.1"),
        ] {
            assert_eq!(read(value), [(name.to_owned(), uri.to_owned(), Origin::Recovered)], "{value}");
        }
        let two = read(r#""one" 1" <sip:1@192.0.2.1>;a="b,c", "two" <sip:2@192.0.2.1>"#);
        assert_eq!(two.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), [r#"one" 1"#, "two"]);
    }

    #[test]
    fn what_the_grammar_reads_is_left_to_it() {
        let escaped = r#""Bob \"The Desk\"" <sip:1@192.0.2.1>, tel:+15550100"#;
        assert_eq!(
            read(escaped),
            [
                (r#"Bob "The Desk""#.to_owned(), "sip:1@192.0.2.1".to_owned(), Origin::Grammar),
                (String::new(), "tel:+15550100".to_owned(), Origin::Grammar),
            ]
        );
        assert_eq!(read("\"nobody").len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_strange(value in "[\"<>,;:= \\\\a-z@0-9sip]{0,60}") {
            for list in [List::Commas, List::One] {
                let _ = of_line(value.as_bytes(), list);
            }
        }
    }
}
