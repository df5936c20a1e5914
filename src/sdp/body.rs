//! Finds the session description in the body of a message, alone or inside MIME multiparts (RFC 2046 §5.1, RFC 5621),
//! and what else there has to be understood. Apart because it is MIME, not SDP, and works before a single line of SDP
//! has been read.

use super::line::text;
use memchr::memmem;

/// How deep multiparts may nest before we stop looking.
const DEPTH: u8 = 4;

/// What the header fields of a message, or of one part, say about its body. Empty values were not there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wrapping<'a> {
    /// `Content-Type`.
    pub content_type: &'a [u8],
    /// `Content-Disposition` (RFC 3261 §20.11).
    pub disposition: &'a [u8],
    /// `Content-Encoding`, or the `Content-Transfer-Encoding` of a part.
    pub encoding: &'a [u8],
}

/// What a body is to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    /// The session's description.
    Description(&'a [u8]),
    /// Nothing about the session, and nothing that has to be understood.
    Nothing,
    /// Something that has to be understood, of this media type, which is not (RFC 3261 §8.2.3).
    UnknownType(String),
    /// Something that has to be understood, in this encoding, which is not.
    UnknownEncoding(String),
}

/// Whether a body may be passed over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Handling {
    Required,
    Optional,
}

/// Looks for the description in `body`.
///
/// A body without Content-Type that begins like a description is taken for one. RFC 3261 §20.11 has every body required
/// that does not say `handling=optional`; a part beside others is only required where it says so itself, because
/// locations, metadata and ISUP come without a word next to descriptions that are perfectly well understood.
#[must_use]
pub fn find<'a>(wrapping: Wrapping<'_>, body: &'a [u8]) -> Found<'a> {
    find_within(wrapping, body, wrapping.handling().unwrap_or(Handling::Required), DEPTH)
}

fn find_within<'a>(wrapping: Wrapping<'_>, body: &'a [u8], handling: Handling, depth: u8) -> Found<'a> {
    let kind = wrapping.content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if body.trim_ascii().is_empty() {
        return Found::Nothing;
    }
    let plain = [b"".as_slice(), b"identity", b"binary", b"8bit", b"7bit"];
    if !plain.iter().any(|plain| wrapping.encoding.trim_ascii().eq_ignore_ascii_case(plain)) {
        return match handling {
            Handling::Required => Found::UnknownEncoding(text(wrapping.encoding)),
            Handling::Optional => Found::Nothing,
        };
    }
    if kind.is_empty() {
        let alike = body.trim_ascii_start().starts_with(b"v=");
        return if alike { Found::Description(body) } else { Found::Nothing };
    }
    if kind.eq_ignore_ascii_case(b"application/sdp") {
        // RFC 3959: what is played before the answer is not the session, and may be left alone.
        return if wrapping.is_early_session() { Found::Nothing } else { Found::Description(body) };
    }
    let multipart = kind.get(..10).is_some_and(|head| head.eq_ignore_ascii_case(b"multipart/"));
    if multipart && depth > 0 {
        let alternative = kind.eq_ignore_ascii_case(b"multipart/alternative");
        if let Some(found) = find_among(wrapping.content_type, body, alternative, depth) {
            return found;
        }
    }
    match handling {
        Handling::Required => Found::UnknownType(text(kind)),
        Handling::Optional => Found::Nothing,
    }
}

/// The description among the parts of a multipart; `None` if it has no parts. One part that must be understood and is
/// not spoils the whole, unless the parts are alternatives to each other.
fn find_among<'a>(content_type: &[u8], body: &'a [u8], alternative: bool, depth: u8) -> Option<Found<'a>> {
    let boundary = parameter(content_type, b"boundary").or_else(|| guess_boundary(body))?;
    let mut description = None;
    let mut unknown = None;
    let mut parts = 0;
    for part in (Parts { rest: body, boundary: [b"--", boundary].concat(), open: false }) {
        let Some((wrapping, content)) = open_part(part) else { continue };
        parts += 1;
        match find_within(wrapping, content, wrapping.handling().unwrap_or(Handling::Optional), depth - 1) {
            found @ Found::Description(_) => description = description.or(Some(found)),
            Found::Nothing => {}
            found @ (Found::UnknownType(_) | Found::UnknownEncoding(_)) => unknown = unknown.or(Some(found)),
        }
    }
    let found = if alternative { description.or(unknown) } else { unknown.or(description) };
    (parts > 0).then(|| found.unwrap_or(Found::Nothing))
}

// === impl Wrapping ===

impl Wrapping<'_> {
    fn handling(&self) -> Option<Handling> {
        let value = parameter(self.disposition, b"handling")?;
        // RFC 3261 §20.11: an unknown value counts as required.
        Some(if value.eq_ignore_ascii_case(b"optional") { Handling::Optional } else { Handling::Required })
    }

    fn is_early_session(&self) -> bool {
        let kind = self.disposition.split(|byte| *byte == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"early-session")
    }
}

/// Walks the parts between boundary lines; preamble and epilogue are passed over.
struct Parts<'a> {
    rest: &'a [u8],
    boundary: Vec<u8>,
    open: bool,
}

// === impl Parts ===

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if !self.open {
            let (_, after) = self.split()?;
            self.open = true;
            self.rest = after?;
        }
        match self.split() {
            Some((part, after)) => {
                self.rest = after.unwrap_or_default();
                Some(part)
            }
            // The closing boundary is missing: what is left is the last part.
            None if !self.rest.is_empty() => Some(std::mem::take(&mut self.rest)),
            None => None,
        }
    }
}

impl<'a> Parts<'a> {
    /// What stands before the next boundary line, and what follows it (`None` behind the closing one).
    fn split(&self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        for at in memmem::find_iter(self.rest, &self.boundary) {
            let (before, found) = self.rest.split_at_checked(at)?;
            if !(before.is_empty() || before.ends_with(b"\n") || before.ends_with(b"\r")) {
                continue;
            }
            let tail = found.strip_prefix(self.boundary.as_slice())?;
            let end = memchr::memchr(b'\n', tail).map_or(tail.len(), |newline| newline + 1);
            let (line, after) = tail.split_at_checked(end)?;
            let closing = line.starts_with(b"--");
            let mark = if closing { line.get(2..).unwrap_or_default() } else { line };
            if !mark.trim_ascii().is_empty() {
                continue; // a longer boundary that begins like ours
            }
            // RFC 2046 §5.1.1: the line break before a boundary belongs to the boundary.
            let part = before.strip_suffix(b"\r\n").or_else(|| before.strip_suffix(b"\n")).unwrap_or(before);
            return Some((part, (!closing).then_some(after)));
        }
        None
    }
}

/// What one part says of itself, and its content.
fn open_part(part: &[u8]) -> Option<(Wrapping<'_>, &[u8])> {
    // RFC 2046 §5.1: a part that says nothing is text.
    let mut wrapping = Wrapping { content_type: b"text/plain", ..Wrapping::default() };
    let mut rest = part;
    loop {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
        let (line, after) = rest.split_at_checked(end)?;
        rest = after;
        let line = line.trim_ascii();
        if line.is_empty() {
            return Some((wrapping, rest));
        }
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let name = halves.next().unwrap_or_default().trim_ascii();
        let value = halves.next().unwrap_or_default().trim_ascii();
        let is = |names: &[&[u8]]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
        if is(&[b"content-type", b"c"]) {
            wrapping.content_type = value;
        } else if is(&[b"content-disposition"]) {
            wrapping.disposition = value;
        } else if is(&[b"content-encoding", b"e", b"content-transfer-encoding"]) {
            wrapping.encoding = value;
        }
        if rest.is_empty() {
            return None;
        }
    }
}

/// The value of one parameter of a Content-Type, without its quotes.
fn parameter<'a>(content_type: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = content_type;
    while let Some(semicolon) = memchr::memchr(b';', rest) {
        rest = rest.get(semicolon + 1..)?.trim_ascii_start();
        let equals = rest.iter().position(|byte| matches!(byte, b'=' | b';'))?;
        let (found, tail) = rest.split_at_checked(equals)?;
        let Some(tail) = tail.strip_prefix(b"=") else { continue };
        let tail = tail.trim_ascii_start();
        let (value, after) = match tail.strip_prefix(b"\"") {
            Some(quoted) => quoted.split_at_checked(memchr::memchr(b'"', quoted).unwrap_or(quoted.len()))?,
            None => tail.split_at_checked(memchr::memchr(b';', tail).unwrap_or(tail.len()))?,
        };
        if found.trim_ascii().eq_ignore_ascii_case(name) {
            let value = value.trim_ascii();
            return (!value.is_empty()).then_some(value);
        }
        rest = after;
    }
    None
}

/// The first line that looks like a boundary, for senders that forget the parameter.
fn guess_boundary(body: &[u8]) -> Option<&[u8]> {
    body.split(|byte| *byte == b'\n')
        .filter_map(|line| line.trim_ascii_end().strip_prefix(b"--"))
        .find(|boundary| !boundary.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";

    fn look<'a>(kind: &str, body: &'a [u8]) -> Found<'a> {
        disposed(kind, "", body)
    }

    fn disposed<'a>(kind: &str, disposition: &str, body: &'a [u8]) -> Found<'a> {
        let wrapping = Wrapping { content_type: kind.as_bytes(), disposition: disposition.as_bytes(), encoding: b"" };
        find(wrapping, body)
    }

    /// A part of this kind, then the description.
    fn two_parts(kind: &str, disposition: &str, content: &str) -> Vec<u8> {
        let sdp = String::from_utf8(SDP.to_vec()).unwrap();
        format!(
            "--b\r\nContent-Type: {kind}\r\nContent-Disposition: {disposition}\r\n\r\n{content}\r\n\
             --b\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--b--\r\n"
        )
        .into_bytes()
    }

    fn mixed(boundary: &str) -> Vec<u8> {
        let sdp = String::from_utf8(SDP.to_vec()).unwrap();
        format!(
            "a preamble\r\n--{boundary}\r\nContent-Type: application/isup;version=x\r\n\r\n\x01\x10\r\n\
             --{boundary}\r\nContent-Length: 5\r\ncontent-type: Application/SDP\r\n\r\n{sdp}\r\n--{boundary}--\r\n"
        )
        .into_bytes()
    }

    #[test]
    fn a_plain_body_is_itself() {
        assert_eq!(look("application/sdp", SDP), Found::Description(SDP));
        assert_eq!(look(" Application/SDP ; charset=utf-8", SDP), Found::Description(SDP));
        assert_eq!(look("", SDP), Found::Description(SDP));
        assert_eq!(look("", b"hello"), Found::Nothing);
        assert_eq!(look("application/sdp", b"\r\n"), Found::Nothing);
    }

    #[test]
    fn another_body_has_to_be_understood_unless_it_says_that_it_need_not() {
        assert_eq!(look("text/plain; charset=utf-8", SDP), Found::UnknownType("text/plain".to_owned()));
        assert_eq!(disposed("text/plain", "render;handling=optional", SDP), Found::Nothing);
        assert_eq!(
            disposed("text/plain", "render; Handling=\"required\"", SDP),
            Found::UnknownType("text/plain".to_owned())
        );
        assert_eq!(disposed("application/sdp", "session;handling=required", SDP), Found::Description(SDP));
        assert_eq!(disposed("application/sdp", "session;handling=optional", SDP), Found::Description(SDP));
    }

    #[test]
    fn an_early_session_is_not_the_session() {
        assert_eq!(disposed("application/sdp", "early-session", SDP), Found::Nothing);
        let body = two_parts("application/sdp", "early-session", "v=0\r\no=- 9 9 IN IP4 192.0.2.9\r\n");
        assert_eq!(look("multipart/mixed;boundary=b", &body), Found::Description(SDP));
    }

    #[test]
    fn an_encoded_body_is_named_by_its_encoding() {
        let wrapping = Wrapping { content_type: b"application/sdp", encoding: b"gzip", ..Wrapping::default() };
        assert_eq!(find(wrapping, b"\x1f\x8b"), Found::UnknownEncoding("gzip".to_owned()));
        assert_eq!(find(Wrapping { disposition: b"session;handling=optional", ..wrapping }, b"\x1f"), Found::Nothing);
        assert_eq!(find(Wrapping { encoding: b"identity", ..wrapping }, SDP), Found::Description(SDP));
    }

    #[test]
    fn the_description_is_found_beside_an_isup_part() {
        let body = mixed("unique-1");
        assert_eq!(look("multipart/mixed;boundary=unique-1", &body), Found::Description(SDP));
        assert_eq!(look("MULTIPART/Mixed; x=\"a;b\"; Boundary=\"unique-1\"", &body), Found::Description(SDP));
    }

    #[test]
    fn a_part_that_must_be_understood_and_is_not_spoils_the_whole() {
        let kind = "multipart/mixed;boundary=b";
        let isup = "application/isup;version=x";
        let unknown = Found::UnknownType("application/isup".to_owned());
        assert_eq!(look(kind, &two_parts(isup, "signal;handling=required", "x")), unknown);
        assert_eq!(look(kind, &two_parts(isup, "signal;handling=optional", "x")), Found::Description(SDP));
        assert_eq!(look(kind, &two_parts(isup, "signal", "x")), Found::Description(SDP));
        let alternative = "multipart/alternative;boundary=b";
        assert_eq!(look(alternative, &two_parts(isup, "signal;handling=required", "x")), Found::Description(SDP));
    }

    #[test]
    fn a_multipart_without_description_is_nothing_and_one_without_parts_is_unknown() {
        let body = b"--b\r\nContent-Type: application/pidf+xml\r\n\r\n<x/>\r\n--b--\r\n";
        assert_eq!(look("multipart/mixed;boundary=b", body), Found::Nothing);
        assert_eq!(look("multipart/mixed;boundary=b", b"x"), Found::UnknownType("multipart/mixed".to_owned()));
    }

    #[test]
    fn a_forgotten_boundary_parameter_is_guessed() {
        assert_eq!(look("multipart/mixed", &mixed("b")), Found::Description(SDP));
    }

    #[test]
    fn a_nested_multipart_is_searched_and_a_longer_boundary_is_not_confused() {
        let inner = mixed("outer-2");
        let body = [
            b"--outer\r\nContent-Type: multipart/alternative; boundary=outer-2\r\n\r\n",
            inner.as_slice(),
            b"\r\n--outer--",
        ]
        .concat();
        assert_eq!(look("multipart/mixed;boundary=outer", &body), Found::Description(SDP));
    }

    #[test]
    fn a_missing_closing_boundary_costs_nothing() {
        let body = [b"--b\nContent-Type: application/sdp\n\n", SDP].concat();
        assert_eq!(look("multipart/mixed;boundary=b", &body), Found::Description(SDP));
    }

    #[test]
    fn an_encoded_part_is_not_taken_for_text() {
        let body =
            b"--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\ndj0w\r\n--b--\r\n";
        assert_eq!(look("multipart/mixed;boundary=b", body), Found::Nothing);
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(kind in ".{0,40}", disposition in ".{0,20}", body in "(--b\r?\n|--|b|content-type: application/sdp|\r?\n|.){0,60}") {
            let _ = disposed(&kind, &disposition, body.as_bytes());
            let _ = look("multipart/mixed;boundary=b", body.as_bytes());
        }
    }
}
