//! Finds the session description in the body of a message, alone or inside MIME multiparts (RFC 2046 §5.1). Apart
//! because it is MIME, not SDP, and works before a single line of SDP has been read.

use memchr::memmem;

/// How deep multiparts may nest before we stop looking.
const DEPTH: u8 = 4;

/// The `application/sdp` part of `body`.
///
/// `content_type` is the value of the Content-Type header field, empty if there was none; then a body that begins like
/// a description is taken for one. An encoded part (base64, quoted-printable) is not found: RFC 3261 §7.4.2 has SIP
/// bodies in binary.
#[must_use]
pub fn find<'a>(content_type: &[u8], body: &'a [u8]) -> Option<&'a [u8]> {
    find_within(content_type, body, DEPTH)
}

fn find_within<'a>(content_type: &[u8], body: &'a [u8], depth: u8) -> Option<&'a [u8]> {
    let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if kind.eq_ignore_ascii_case(b"application/sdp") {
        return (!body.trim_ascii().is_empty()).then_some(body);
    }
    if kind.is_empty() {
        return body.trim_ascii_start().starts_with(b"v=").then_some(body);
    }
    let multipart = kind.get(..10).is_some_and(|head| head.eq_ignore_ascii_case(b"multipart/"));
    if !multipart || depth == 0 {
        return None;
    }
    let boundary = parameter(content_type, b"boundary").or_else(|| guess_boundary(body))?;
    Parts { rest: body, boundary: [b"--", boundary].concat(), open: false }.find_map(|part| {
        let (kind, content) = open_part(part)?;
        find_within(kind, content, depth - 1)
    })
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

/// Content type and content of one part.
fn open_part(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut kind: &[u8] = b"text/plain"; // RFC 2046 §5.1
    let mut rest = part;
    loop {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
        let (line, after) = rest.split_at_checked(end)?;
        rest = after;
        let line = line.trim_ascii();
        if line.is_empty() {
            return Some((kind, rest));
        }
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let name = halves.next().unwrap_or_default().trim_ascii();
        let value = halves.next().unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-type") || name.eq_ignore_ascii_case(b"c") {
            kind = value;
        }
        let encoded = [b"base64".as_slice(), b"quoted-printable"].iter().any(|name| value.eq_ignore_ascii_case(name));
        if encoded && name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            return None;
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
        assert_eq!(find(b"application/sdp", SDP), Some(SDP));
        assert_eq!(find(b" Application/SDP ; charset=utf-8", SDP), Some(SDP));
        assert_eq!(find(b"", SDP), Some(SDP));
        assert_eq!(find(b"", b"hello"), None);
        assert_eq!(find(b"text/plain", SDP), None);
        assert_eq!(find(b"application/sdp", b"\r\n"), None);
    }

    #[test]
    fn the_description_is_found_beside_an_isup_part() {
        let body = mixed("unique-1");
        assert_eq!(find(b"multipart/mixed;boundary=unique-1", &body), Some(SDP));
        assert_eq!(find(b"MULTIPART/Mixed; x=\"a;b\"; Boundary=\"unique-1\"", &body), Some(SDP));
    }

    #[test]
    fn a_forgotten_boundary_parameter_is_guessed() {
        assert_eq!(find(b"multipart/mixed", &mixed("b")), Some(SDP));
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
        assert_eq!(find(b"multipart/mixed;boundary=outer", &body), Some(SDP));
    }

    #[test]
    fn a_missing_closing_boundary_costs_nothing() {
        let body = [b"--b\nContent-Type: application/sdp\n\n", SDP].concat();
        assert_eq!(find(b"multipart/mixed;boundary=b", &body), Some(SDP));
    }

    #[test]
    fn an_encoded_part_is_not_taken_for_text() {
        let body =
            b"--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\ndj0w\r\n--b--\r\n";
        assert_eq!(find(b"multipart/mixed;boundary=b", body), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(kind in ".{0,40}", body in "(--b\r?\n|--|b|content-type: application/sdp|\r?\n|.){0,60}") {
            let _ = find(kind.as_bytes(), body.as_bytes());
            let _ = find(b"multipart/mixed;boundary=b", body.as_bytes());
        }
    }
}
