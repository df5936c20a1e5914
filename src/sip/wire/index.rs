//! The index of one message's head: where each header field's name and value lie in the buffer. It stands apart from
//! the message because it is the only code that walks the head, once, and everything else looks up.

use super::name::HeaderName;

use memchr::memchr;
use smallvec::SmallVec;

/// How many header lines fit without an allocation; an ordinary INVITE of a PBX has 15 to 22.
const INLINE: usize = 24;

/// A range of the buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub start: u32,
    pub end: u32,
}

/// One header line: 16 bytes, so that an INVITE's index fits in six cache lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    name_start: u32,
    value_start: u32,
    value_end: u32,
    name_length: u16,
    pub name: HeaderName,
}

/// All header lines in order.
pub(super) type Index = SmallVec<[Field; INLINE]>;

// === impl Span ===

impl Span {
    /// The caller has made sure that the buffer is shorter than 4 GiB, so nothing is cut here.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    pub fn of(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

// === impl Field ===

impl Field {
    pub fn name_in(self, buffer: &[u8]) -> &[u8] {
        Span { start: self.name_start, end: self.name_start + u32::from(self.name_length) }.of(buffer)
    }

    pub fn value_in(self, buffer: &[u8]) -> &[u8] {
        Span { start: self.value_start, end: self.value_end }.of(buffer)
    }
}

/// Walks header lines from `at` up to the empty line. Lines without a colon are passed over: they carry nothing that
/// could be asked for, and are no reason to lose a call. Gives the index and where the body starts, or `None` when a line
/// continues on the next one: the caller unfolds and walks again.
pub(super) fn walk(buffer: &[u8], mut at: usize) -> Option<(Index, usize)> {
    let mut index = Index::new();
    loop {
        let line = Line::at(buffer, at);
        if line.content.is_empty() {
            return Some((index, line.next));
        }
        if matches!(line.content.first(), Some(b' ' | b'\t')) {
            return None;
        }
        if let Some(field) = field(line.content, at) {
            index.push(field);
        }
        at = line.next;
    }
}

fn field(line: &[u8], at: usize) -> Option<Field> {
    let colon = memchr(b':', line)?;
    let (name, rest) = line.split_at_checked(colon)?;
    let name = name.trim_ascii_end();
    let value = rest.get(1..)?;
    let trimmed = value.trim_ascii_start();
    let value_start = at + line.len() - trimmed.len();
    let value_end = value_start + trimmed.trim_ascii_end().len();
    Some(Field {
        name_start: at as u32,
        value_start: value_start as u32,
        value_end: value_end as u32,
        // A longer name fits in no datagram and exceeds the cap of the stream framing.
        name_length: u16::try_from(name.len()).ok()?,
        name: HeaderName::parse(name),
    })
}

/// One line of the head without its end.
pub(super) struct Line<'a> {
    pub content: &'a [u8],
    /// Where the next line starts.
    pub next: usize,
}

// === impl Line ===

impl<'a> Line<'a> {
    /// The line that starts at `at`. LF alone ends a line too; the end of the buffer ends the last one.
    pub fn at(buffer: &'a [u8], at: usize) -> Line<'a> {
        let rest = buffer.get(at..).unwrap_or_default();
        match memchr(b'\n', rest) {
            Some(end) => {
                let content = rest.get(..end).unwrap_or_default();
                Line { content: content.strip_suffix(b"\r").unwrap_or(content), next: at + end + 1 }
            }
            None => Line { content: rest.strip_suffix(b"\r").unwrap_or(rest), next: buffer.len() },
        }
    }
}

/// Undoes folding: RFC 3261 §7.3.1, a line end followed by blanks is the same as one blank. The body stays as it is.
/// The start line cannot be folded: a line with blanks in front that follows it directly is a header line.
pub(super) fn unfold(buffer: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(buffer.len() + 4);
    let first = Line::at(buffer, 0);
    out.extend_from_slice(first.content);
    let mut at = first.next;
    let mut continues = false;
    loop {
        let line = Line::at(buffer, at);
        if line.content.is_empty() {
            out.extend_from_slice(b"\r\n\r\n");
            out.extend_from_slice(buffer.get(line.next..).unwrap_or_default());
            return out;
        }
        let content = line.content.trim_ascii();
        if !content.is_empty() {
            if continues && matches!(line.content.first(), Some(b' ' | b'\t')) {
                out.truncate(out.trim_ascii_end().len());
                out.push(b' ');
            } else {
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(content);
            continues = true;
        }
        at = line.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_becomes_one_blank_and_the_body_is_left_alone() {
        let folded = b"START\r\nA: one \r\n\t two\r\n  \r\nB : three\r\n\r\n body\r\n more";
        assert_eq!(unfold(folded), b"START\r\nA: one two\r\nB : three\r\n\r\n body\r\n more");
    }

    #[test]
    fn the_start_line_is_never_continued() {
        assert_eq!(unfold(b"START\n A : one\n two\n"), b"START\r\nA : one two\r\n\r\n");
        assert_eq!(unfold(b"START\n \t\n A: one\n"), b"START\r\nA: one\r\n\r\n");
    }

    #[test]
    fn a_field_takes_sixteen_bytes() {
        assert_eq!(size_of::<Field>(), 16);
    }
}
