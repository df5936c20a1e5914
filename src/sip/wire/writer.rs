//! The writer of outgoing messages: one buffer, filled in order. It stands apart because it is the only place where text
//! of the other side meets our framing, so what could break out of a line is stopped here.

use super::message::Message;
use super::name::HeaderName;
use crate::sip::{Method, StatusCode};

use bytes::Bytes;
use std::io::Write;

/// A message in the making.
#[derive(Debug)]
pub struct Writer {
    buffer: Vec<u8>,
    /// Where header lines go: the end, or in front of the end of the head once the body is there.
    head_end: Option<usize>,
}

/// An ordinary INVITE with its offer fits.
const CAPACITY: usize = 1536;

// === impl Writer ===

impl Writer {
    /// Starts a request. Blanks and control characters in the URI are escaped.
    pub fn request(method: &Method, uri: impl AsRef<[u8]>) -> Writer {
        let mut buffer = Vec::with_capacity(CAPACITY);
        buffer.extend(
            method.as_str().bytes().map(|byte| if is_line_breaking(byte) || byte == b' ' { b'_' } else { byte }),
        );
        buffer.push(b' ');
        for byte in uri.as_ref() {
            if *byte <= b' ' || *byte == 0x7f {
                // Writing to a Vec cannot fail.
                let _ = write!(buffer, "%{byte:02X}");
            } else {
                buffer.push(*byte);
            }
        }
        buffer.extend_from_slice(b" SIP/2.0\r\n");
        Writer { buffer, head_end: None }
    }

    /// Starts a response; without a phrase of its own it gets the standard one.
    pub fn response(status: StatusCode, reason: Option<&str>) -> Writer {
        let mut buffer = Vec::with_capacity(CAPACITY);
        let _ = write!(buffer, "SIP/2.0 {status} ");
        push_value(&mut buffer, reason.unwrap_or(status.reason()).as_bytes());
        buffer.extend_from_slice(b"\r\n");
        Writer { buffer, head_end: None }
    }

    /// Adds a header line. CR, LF and NUL in the value become blanks, what cannot stand in a name becomes `-`.
    /// Content-Length is left out: [`Writer::finish`] knows it better.
    pub fn header(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Writer {
        let name = name.as_ref();
        if HeaderName::parse(name) == HeaderName::ContentLength {
            return self;
        }
        let before = self.buffer.len();
        let broken = |byte: u8| is_line_breaking(byte) || matches!(byte, b':' | b' ' | b'\t');
        self.buffer.extend(name.iter().map(|byte| if broken(*byte) { b'-' } else { *byte }));
        self.buffer.extend_from_slice(b": ");
        push_value(&mut self.buffer, value.as_ref());
        self.buffer.extend_from_slice(b"\r\n");
        self.settle(before);
        self
    }

    /// Copies all lines of this header from a received message, values as they came, in order. For
    /// [`HeaderName::Other`], every header without a name of its own, with its spelling.
    pub fn copy(&mut self, message: &Message, name: HeaderName) -> &mut Writer {
        for (spelling, found, value) in message.headers() {
            if found == name {
                let spelling = if name == HeaderName::Other { spelling } else { name.as_str().as_bytes() };
                self.header(spelling, value);
            }
        }
        self
    }

    /// Adds the body and its Content-Type; a second call is ignored, header lines may still follow.
    pub fn body(&mut self, content_type: &str, body: &[u8]) -> &mut Writer {
        if self.head_end.is_none() {
            self.header("Content-Type", content_type);
            self.end_head(body);
        }
        self
    }

    /// The finished bytes, with Content-Length. The writer is empty afterwards.
    pub fn finish(&mut self) -> Bytes {
        if self.head_end.is_none() {
            self.end_head(b"");
        }
        Bytes::from(std::mem::take(&mut self.buffer))
    }

    fn end_head(&mut self, body: &[u8]) {
        self.head_end = Some(self.buffer.len());
        let _ = write!(self.buffer, "Content-Length: {}\r\n\r\n", body.len());
        self.buffer.extend_from_slice(body);
    }

    /// Moves the line that was just written at the end to where header lines go.
    fn settle(&mut self, before: usize) {
        let added = self.buffer.len() - before;
        if let Some(at) = &mut self.head_end {
            if let Some(tail) = self.buffer.get_mut(*at..) {
                tail.rotate_right(added);
            }
            *at += added;
        }
    }
}

const fn is_line_breaking(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0)
}

fn push_value(buffer: &mut Vec<u8>, value: &[u8]) {
    if value.iter().any(|byte| is_line_breaking(*byte)) {
        buffer.extend(value.iter().map(|byte| if is_line_breaking(*byte) { b' ' } else { *byte }));
    } else {
        buffer.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_written_line_by_line() {
        let request =
            b"OPTIONS sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bKa\r\nVIA: SIP/2.0/TCP i\r\nX-A: 1\r\n\r\n";
        let request = Message::parse(Bytes::from_static(request)).unwrap();
        let mut writer = Writer::response(StatusCode::OK, None);
        writer.copy(&request, HeaderName::Via).header("Server", "Trunkline").copy(&request, HeaderName::Other);
        assert_eq!(
            writer.finish(),
            &b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nVia: SIP/2.0/TCP i\r\nServer: Trunkline\r\nX-A: 1\r\n\
              Content-Length: 0\r\n\r\n"[..]
        );
    }

    #[test]
    fn a_header_after_the_body_still_stands_in_the_head() {
        let mut writer = Writer::request(&Method::Info, "sip:a@b");
        writer.header("A", "1").body("text/plain", b"hello").header("B", "2").body("text/plain", b"again");
        let bytes = Writer::finish(&mut writer);
        assert!(
            bytes.ends_with(b"A: 1\r\nContent-Type: text/plain\r\nB: 2\r\nContent-Length: 5\r\n\r\nhello"),
            "{bytes:?}"
        );
    }

    #[test]
    fn no_text_breaks_out_of_its_line() {
        let mut writer = Writer::request(&Method::parse(b"A\r\nB"), "sip:a\r\nX: y@b");
        writer.header("X\r\nEvil: 1", "a\r\nEvil: 2\0").header("Content-Length", "999").header("l", "1");
        let bytes = writer.finish();
        let message = Message::parse(bytes).unwrap();
        assert_eq!(message.headers().count(), 2);
        assert_eq!(message.request_uri(), Some(&b"sip:a%0D%0AX:%20y@b"[..]));
        assert_eq!(message.named("X--Evil--1").next(), Some(&b"a  Evil: 2"[..]));
        let response = Writer::response(StatusCode::OK, Some("Fine\r\nX: y")).finish();
        assert!(response.starts_with(b"SIP/2.0 200 Fine  X: y\r\n"));
    }
}
