//! The lossless line model: every byte of a received description belongs to one line, and writing the lines gives the
//! bytes back. Apart from their meaning, so that what nobody understands still survives and can be shown with its number.

/// One line as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counted from 1, as editors do.
    pub number: usize,
    /// The line without its ending.
    pub text: &'a [u8],
    /// What ended it: CR LF, LF, CR, or nothing at the end of the body.
    pub ending: &'a [u8],
}

/// Walks the lines of a body. Endings may be CR LF (RFC 8866 §5), LF alone or CR alone, mixed at will.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

// === impl Line ===

impl<'a> Line<'a> {
    /// The letter before `=`; `None` for a line that is not of the form `x=...`.
    #[must_use]
    pub fn kind(&self) -> Option<u8> {
        match self.text.trim_ascii_start() {
            [kind, b'=', ..] if kind.is_ascii_alphabetic() => Some(*kind),
            _ => None,
        }
    }

    /// What stands behind `=`, without blanks and NULs around it; empty for a line of another form.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        match self.text.trim_ascii_start() {
            [kind, b'=', value @ ..] if kind.is_ascii_alphabetic() => trim(value),
            _ => &[],
        }
    }

    /// Name and value of an `a=` line: `a=name` or `a=name:value`.
    #[must_use]
    pub fn attribute(&self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        if self.kind() != Some(b'a') {
            return None;
        }
        let value = self.value();
        Some(match memchr::memchr(b':', value) {
            Some(colon) => {
                let (name, rest) = value.split_at_checked(colon)?;
                (trim(name), Some(trim(rest.strip_prefix(b":").unwrap_or(rest))))
            }
            None => (value, None),
        })
    }

    /// The value of `a=name:value`, the name in any case.
    #[must_use]
    pub fn attribute_value(&self, name: &str) -> Option<&'a [u8]> {
        match self.attribute() {
            Some((found, Some(value))) if found.eq_ignore_ascii_case(name.as_bytes()) => Some(value),
            _ => None,
        }
    }
}

// === impl Lines ===

impl<'a> Lines<'a> {
    /// The lines of `body`.
    #[must_use]
    pub fn of(body: &'a [u8]) -> Self {
        Self { rest: body, number: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let end = memchr::memchr2(b'\r', b'\n', self.rest).unwrap_or(self.rest.len());
        let (text, tail) = self.rest.split_at_checked(end)?;
        let length = match tail {
            [b'\r', b'\n', ..] => 2,
            [_, ..] => 1,
            [] => 0,
        };
        let (ending, rest) = tail.split_at_checked(length)?;
        self.rest = rest;
        Some(Line { number: self.number, text, ending })
    }
}

/// Without blanks and NULs at both ends: some stacks count the terminator of their C string into Content-Length.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    let idle = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    while let [first, rest @ ..] = text {
        if !idle(first) {
            break;
        }
        text = rest;
    }
    while let [rest @ .., last] = text {
        if !idle(last) {
            break;
        }
        text = rest;
    }
    text
}

/// The words of a value, split at any number of blanks.
pub(super) fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// Text for people and for what we send: bytes that are not UTF-8 become U+FFFD.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// A number from decimal digits.
pub(super) fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_line_ending_ends_a_line_and_is_kept() {
        let lines: Vec<_> = Lines::of(b"v=0\r\ns=-\na=x\rlast").collect();
        let endings: Vec<_> = lines.iter().map(|line| line.ending).collect();
        assert_eq!(endings, [b"\r\n".as_slice(), b"\n", b"\r", b""]);
        assert_eq!(lines[3].number, 4);
        assert_eq!(lines[3].kind(), None);
    }

    #[test]
    fn blanks_and_nuls_around_a_value_do_not_count() {
        let line = Lines::of(b"a=ptime: 20 \0\0").next().unwrap();
        assert_eq!(line.attribute_value("PTIME"), Some(b"20".as_slice()));
    }

    proptest::proptest! {
        #[test]
        fn lines_give_the_bytes_back(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let written: Vec<u8> = Lines::of(&body).flat_map(|line| [line.text, line.ending].concat()).collect();
            proptest::prop_assert_eq!(written, body);
        }
    }
}
