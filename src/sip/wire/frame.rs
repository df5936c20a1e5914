//! Framing of a byte stream into messages. It stands apart from parsing because a stream that lost its frame can only be
//! closed, whatever the message says, and because its limits protect the process from one peer.

use super::index::Line;
use super::name::HeaderName;
use crate::sip::header::number;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

/// How much one message may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Start line and header lines, in bytes [64 KiB].
    pub head: usize,
    /// Body, in bytes [64 KiB].
    pub body: usize,
}

/// What came out of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// One whole message.
    Message(Bytes),
    /// CRLF CRLF: the peer asks for a sign of life; answer with CRLF (RFC 5626 §4.4.1).
    Ping,
    /// CRLF: the answer to our ping.
    Pong,
}

/// Why the stream must be closed: the next message cannot be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first line is no SIP start line: another protocol, or a wrong length before.
    #[error("the stream carries no SIP")]
    NotSip,
    /// Larger than [`Limits::head`].
    #[error("the head of the message exceeds the limit")]
    Head,
    /// Larger than [`Limits::body`].
    #[error("the body of the message exceeds the limit")]
    Body,
    /// RFC 3261 §18.3: mandatory on streams.
    #[error("the message has no usable Content-Length")]
    Length,
}

/// The receiving side of one stream.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    limits: Limits,
    /// How much of the buffer was searched for the end of the head.
    searched: usize,
    /// Length of the whole message, once its head is complete.
    wanted: Option<usize>,
    /// A CRLF was given out as pong and nothing but CRLF came since: the next one makes it a ping.
    lone: bool,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Limits {
        Limits { head: 64 * 1024, body: 64 * 1024 }
    }
}

// === impl Framer ===

impl Default for Framer {
    fn default() -> Framer {
        Framer::new(Limits::default())
    }
}

impl Framer {
    /// An empty stream.
    pub fn new(limits: Limits) -> Framer {
        Framer { buffer: BytesMut::new(), limits, searched: 0, wanted: None, lone: false }
    }

    /// Appends what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes wait for the rest of their message.
    #[cfg(test)]
    fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next frame; `None` until more is fed. After an error the stream is to be closed.
    #[expect(clippy::should_implement_trait, reason = "it is fallible and goes on after None, unlike an iterator")]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.wanted.is_none() {
            if let Some(frame) = self.keep_alive() {
                return Ok(Some(frame));
            }
            self.wanted = self.head()?;
        }
        match self.wanted {
            Some(length) if self.buffer.len() >= length => {
                self.wanted = None;
                self.searched = 0;
                Ok(Some(Frame::Message(self.buffer.split_to(length).freeze())))
            }
            _ => Ok(None),
        }
    }

    /// Line ends between messages. A lone CRLF cannot wait for the next bytes to be told from half a ping: it is a pong
    /// now, and the CRLF that follows it directly is a ping.
    fn keep_alive(&mut self) -> Option<Frame> {
        loop {
            if self.buffer.starts_with(b"\r\n\r\n") {
                self.buffer.advance(4);
                self.lone = false;
                return Some(Frame::Ping);
            }
            if self.buffer.starts_with(b"\r\n") {
                self.buffer.advance(2);
                self.lone = !self.lone;
                return Some(if self.lone { Frame::Pong } else { Frame::Ping });
            }
            if !self.buffer.starts_with(b"\n") {
                self.lone &= matches!(self.buffer.first(), None | Some(b'\r'));
                return None;
            }
            self.buffer.advance(1);
        }
    }

    /// The length of the message whose head stands complete in front, found without searching any byte twice.
    fn head(&mut self) -> Result<Option<usize>, FrameError> {
        let Some(head_end) = self.find_head_end() else {
            // The start line is judged as soon as it is there: a TLS ClientHello or HTTP must not fill the buffer.
            return if self.buffer.len() > self.limits.head {
                Err(FrameError::Head)
            } else {
                self.judge_start().map(|()| None)
            };
        };
        self.judge_start()?;
        if head_end > self.limits.head {
            return Err(FrameError::Head);
        }
        let head = self.buffer.get(..head_end).unwrap_or_default();
        let length = content_length(head)?;
        if length > self.limits.body as u64 {
            return Err(FrameError::Body);
        }
        Ok(Some(head_end + length as usize))
    }

    fn find_head_end(&mut self) -> Option<usize> {
        while let Some(hit) = self.buffer.get(self.searched..).and_then(|rest| memchr(b'\n', rest)) {
            let behind = self.searched + hit + 1;
            let rest = self.buffer.get(behind..).unwrap_or_default();
            if rest.starts_with(b"\r\n") {
                return Some(behind + 2);
            }
            if rest.starts_with(b"\n") {
                return Some(behind + 1);
            }
            if rest.is_empty() || rest == b"\r" {
                return None;
            }
            self.searched = behind;
        }
        self.searched = self.buffer.len();
        None
    }

    fn judge_start(&self) -> Result<(), FrameError> {
        let Some(first) = self.buffer.first() else { return Ok(()) };
        let blank_or_token = |byte: &u8| byte.is_ascii_graphic() || *byte == b'\r';
        if !blank_or_token(first) {
            return Err(FrameError::NotSip);
        }
        match memchr(b'\n', &self.buffer) {
            None => Ok(()),
            Some(end) => {
                let line = self.buffer.get(..end).unwrap_or_default().trim_ascii();
                let mut words = line.split(u8::is_ascii_whitespace);
                let is_version = |word: Option<&[u8]>| {
                    word.and_then(|word| word.get(..4)).is_some_and(|name| name.eq_ignore_ascii_case(b"SIP/"))
                };
                if is_version(words.next()) || is_version(words.next_back()) { Ok(()) } else { Err(FrameError::NotSip) }
            }
        }
    }
}

/// Content-Length of a complete head; a value may stand folded on the next line.
fn content_length(head: &[u8]) -> Result<u64, FrameError> {
    let mut found: Option<u64> = None;
    let mut at = 0;
    while at < head.len() {
        let start = at;
        at = Line::at(head, at).next;
        while matches!(head.get(at), Some(b' ' | b'\t')) {
            at = Line::at(head, at).next;
        }
        let line = head.get(start..at).unwrap_or_default();
        let Some((name, value)) = memchr(b':', line).and_then(|colon| line.split_at_checked(colon)) else { continue };
        if start == 0 || HeaderName::parse(name.trim_ascii_end()) != HeaderName::ContentLength {
            continue;
        }
        let length = number(value.get(1..).unwrap_or_default().trim_ascii(), u64::MAX).ok_or(FrameError::Length)?;
        if found.is_some_and(|earlier| earlier != length) {
            return Err(FrameError::Length);
        }
        found = Some(length);
    }
    found.ok_or(FrameError::Length)
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
