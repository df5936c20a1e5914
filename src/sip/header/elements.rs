//! Comma lists: the elements of one or many header lines. They stand apart because the comma rule (not in quotes, not in
//! angle brackets) is the same for every list header and wrong in most places where it is written twice.

use memchr::memchr3;

/// The elements of one header line, trimmed; empty ones are passed over (RFC 3261 §7.3.1).
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

// === impl Elements ===

impl<'a> Elements<'a> {
    /// The elements of one line's value.
    pub fn new(value: &'a [u8]) -> Elements<'a> {
        Elements { rest: value }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = element_end(self.rest);
            let (element, rest) = self.rest.split_at_checked(end)?;
            self.rest = rest.get(1..).unwrap_or_default();
            let element = element.trim_ascii();
            if !element.is_empty() {
                return Some(element);
            }
        }
        None
    }
}

/// Where the first element ends: at a comma, or at the end. A quote or bracket that never closes is taken as a plain
/// character, so that one slip does not swallow the elements behind it.
fn element_end(value: &[u8]) -> usize {
    let mut at = 0;
    while let Some(hit) = value.get(at..).and_then(|rest| memchr3(b',', b'"', b'<', rest)) {
        let here = at + hit;
        let rest = value.get(here..).unwrap_or_default();
        let skip = match rest.first() {
            Some(b',') => return here,
            Some(b'"') => super::quoted(rest).map(|(inside, _)| inside.len() + 2),
            _ => memchr::memchr(b'>', rest),
        };
        at = here + skip.unwrap_or(1);
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(value: &str) -> Vec<&str> {
        Elements::new(value.as_bytes()).map(|element| std::str::from_utf8(element).unwrap()).collect()
    }

    #[test]
    fn commas_in_quotes_and_brackets_do_not_separate() {
        assert_eq!(
            split(r#""Doe, \"J\", <x>" <sip:a,b@h;x=",">;q=1 , <sip:c@d>,, e"#),
            [r#""Doe, \"J\", <x>" <sip:a,b@h;x=",">;q=1"#, "<sip:c@d>", "e"]
        );
    }

    #[test]
    fn an_open_quote_does_not_swallow_the_rest() {
        assert_eq!(split(r#""open <sip:a@b>, <sip:c@d>"#), [r#""open <sip:a@b>"#, "<sip:c@d>"]);
        assert_eq!(split("<sip:open, x"), ["<sip:open", "x"]);
        assert_eq!(split(" , ,"), [] as [&str; 0]);
    }
}
