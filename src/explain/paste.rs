//! INVITEs in text as people paste it: from sngrep, Wireshark, a PBX's log or a mail. It stands apart from the stack's
//! reading because it mends what pasting breaks (line ends, prefixes, lengths) and says so; a live message is never mended.

use super::source::Origin;
use super::{Candidate, Unreadable, tree};
use crate::sip::header::{decode, is_token};
use crate::sip::{HeaderName, Message};
use bytes::Bytes;
use regex::Regex;

/// How far above a message the log's line about it may stand.
const LINES_ABOVE: usize = 3;

/// One line of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// Without its end.
    pub text: String,
}

/// The first line of a message within a line of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Start<'l> {
    /// What stands before it.
    prefix: &'l str,
    /// The method; empty for a response.
    method: &'l str,
}

/// A message being put together again.
#[derive(Debug, Default)]
struct Mending {
    head: Vec<Line>,
    body: Vec<Line>,
    notes: Vec<String>,
}

/// Every INVITE of a text.
///
/// # Errors
/// The place where an INVITE was expected, when there is none.
pub(super) fn invites(input: &Bytes) -> Result<Vec<Candidate>, Unreadable> {
    let (lines, unescaped) = lines(&decode(input));
    let starts: Vec<usize> = lines.iter().enumerate().filter_map(|(at, line)| start(&line.text).map(|_| at)).collect();
    if starts.len() == 1
        && let Some(whole) = verbatim(input)
    {
        return Ok(vec![whole]);
    }
    let mut found = vec![];
    for (nth, at) in starts.iter().enumerate() {
        let end = starts.get(nth + 1).copied().unwrap_or(lines.len());
        let earlier = nth.checked_sub(1).and_then(|before| starts.get(before)).map_or(0, |before| before + 1);
        let Some(message) = lines.get(*at..end) else { continue };
        let above = lines.get(earlier.max(at.saturating_sub(LINES_ABOVE))..*at).unwrap_or_default();
        found.extend(invite(message, above, unescaped));
    }
    if found.is_empty() { Err(nothing(&lines)) } else { Ok(found) }
}

/// A message that a socket could have delivered needs no mending.
fn verbatim(input: &Bytes) -> Option<Candidate> {
    let message = Message::parse(input.clone()).ok()?;
    if message.method_bytes() != b"INVITE" || !message.is_request() || message.check().is_err() {
        return None;
    }
    let skipped = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| **byte == b'\n').count();
    let count = input.iter().filter(|byte| **byte == b'\n').count() + 1;
    let lines = (skipped + 1..=count.max(skipped + 1)).collect();
    Some(Candidate { message: input.clone(), origin: Origin::default(), lines, mended: vec![] })
}

/// The lines of a text; and what had to be undone to see them.
fn lines(text: &str) -> (Vec<Line>, Option<&'static str>) {
    let text = text.trim_start_matches('\u{feff}');
    let (text, unescaped) = if !text.trim().contains('\n') && text.contains("\\r\\n") {
        (text.replace("\\r\\n", "\n"), Some("`\\r\\n` read as line ends"))
    } else if text.contains("&lt;sip") && !text.contains("<sip") {
        let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
        (plain, Some("HTML escapes undone"))
    } else {
        (text.to_owned(), None)
    };
    // Wireshark writes the line end out at the end of each line.
    let bare = |line: &str| line.trim_end_matches('\r').trim_end_matches("\\r\\n").to_owned();
    let lines = text.split('\n').zip(1..).map(|(line, number)| Line { number, text: bare(line) });
    (lines.collect(), unescaped)
}

/// Finds the first line of a message: `METHOD URI SIP/2.0` to the end of the line, or `SIP/2.0 200`. Some logs write no
/// blank before it.
fn start(line: &str) -> Option<Start<'_>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let begin = |word: &str| (word.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
    let version = |word: &str| {
        word.strip_prefix("SIP/").is_some_and(|rest| rest.starts_with(char::is_numeric) && !rest.contains('/'))
    };
    if let [.., word, uri, last] = words.as_slice()
        && version(last)
        && uri.contains(':')
    {
        let at = word.rfind(|c: char| !c.is_ascii_uppercase()).map_or(0, |at| at + 1);
        let method = word.get(at..).filter(|method| !method.is_empty())?;
        return Some(Start { prefix: line.get(..begin(method)).unwrap_or_default(), method });
    }
    let response = words.windows(2).find_map(|pair| match pair {
        [first, status] if status.len() == 3 && status.parse::<u16>().is_ok() => {
            first.rfind("SIP/").and_then(|at| first.get(at..)).filter(|first| version(first))
        }
        _ => None,
    })?;
    Some(Start { prefix: line.get(..begin(response)).unwrap_or_default(), method: "" })
}

fn invite(lines: &[Line], above: &[Line], unescaped: Option<&str>) -> Option<Candidate> {
    let (first, rest) = lines.split_first()?;
    let start = start(&first.text).filter(|start| start.method == "INVITE")?;
    let begin = Line { number: first.number, text: first.text.get(start.prefix.len()..)?.trim_end().to_owned() };
    let mut mending = Mending { notes: unescaped.map(str::to_owned).into_iter().collect(), ..Mending::default() };
    mending.head.push(begin);
    if tree::is_tree(start.prefix) {
        let (head, body) = tree::read(rest);
        mending.head.extend(head);
        mending.body = body;
        mending.notes.push("put together from Wireshark's tree".to_owned());
    } else {
        mending.split(stripped(start.prefix, rest));
        if !start.prefix.is_empty() {
            mending.notes.push("what stands before the message on each line was cut off".to_owned());
        }
    }
    mending.trim_body();
    mending.correct_length();
    let said = std::iter::once(start.prefix).chain(above.iter().rev().map(|line| line.text.as_str()));
    let origin = said.into_iter().find_map(Origin::of_log_line).unwrap_or_default();
    Some(mending.finish(origin))
}

/// The lines without what the log writes before each of them.
fn stripped(prefix: &str, lines: &[Line]) -> Vec<Line> {
    let shape = shape(prefix);
    let strip = |line: &Line| {
        let cut = shape.as_ref().and_then(|shape| shape.find(&line.text)).map_or(0, |found| found.end());
        Line { number: line.number, text: line.text.get(cut..).unwrap_or_default().to_owned() }
    };
    let lines: Vec<Line> = lines.iter().map(strip).collect();
    // Double spacing: CRLF that became two line ends.
    let doubled = matches!(lines.as_slice(), [blank, header, again, ..]
        if blank.text.trim().is_empty() && is_header(&header.text) && again.text.trim().is_empty());
    if doubled { lines.into_iter().skip(1).step_by(2).collect() } else { lines }
}

/// What a prefix looks like on other lines: other digits (a later time), not more blanks (they may be folding).
fn shape(prefix: &str) -> Option<Regex> {
    if prefix.is_empty() {
        return None;
    }
    let mut pattern = "^".to_owned();
    let mut rest = prefix;
    while let Some(first) = rest.chars().next() {
        let same = |c: char| {
            if first.is_ascii_digit() {
                c.is_ascii_digit()
            } else {
                c.is_whitespace() == first.is_whitespace() && !c.is_ascii_digit()
            }
        };
        let end = rest.find(|c: char| !same(c)).unwrap_or(rest.len());
        let (run, behind) = rest.split_at_checked(end)?;
        if first.is_ascii_digit() {
            pattern.push_str("[0-9]+");
        } else if first.is_whitespace() {
            pattern.push_str(&format!("[ \\t]{{0,{}}}", run.chars().count()));
        } else {
            pattern.push_str(&regex::escape(run));
        }
        rest = behind;
    }
    Regex::new(&pattern).ok()
}

fn is_header(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| is_token(name.trim_end().as_bytes()))
}

/// A line of a session description: `v=0`.
pub(super) fn is_sdp(line: &str) -> bool {
    matches!(line.as_bytes(), [letter, b'=', ..] if letter.is_ascii_lowercase())
}

fn nothing(lines: &[Line]) -> Unreadable {
    let at = |line: usize, problem: String, remedy: &str| Unreadable {
        line,
        problem,
        remedy: remedy.to_owned(),
        response: None,
    };
    if lines.iter().all(|line| line.text.trim().is_empty()) {
        return at(
            1,
            "the input is empty".to_owned(),
            "paste an INVITE from its first line to the end of its body, or give a capture",
        );
    }
    let other = lines.iter().find_map(|line| Some((line.number, start(&line.text)?.method.to_owned())));
    if let Some((number, method)) = other {
        let what = if method.is_empty() { "a response".to_owned() } else { format!("a request {method}") };
        return at(number, format!("this is {what}; only an INVITE begins a call"), "paste the INVITE of the call");
    }
    let near = lines.iter().find(|line| line.text.to_ascii_uppercase().contains("INVITE"));
    let remedy = "write the first line as `INVITE sip:USER@HOST SIP/2.0`, with the headers on lines of their own";
    match near {
        Some(line) => at(line.number, "this is no first line of an INVITE".to_owned(), remedy),
        None => at(
            1,
            "there is no INVITE in this text".to_owned(),
            "paste it from its first line, `INVITE sip:USER@HOST SIP/2.0`",
        ),
    }
}

// === impl Mending ===

impl Mending {
    /// Head and body, at the empty line between them.
    fn split(&mut self, lines: Vec<Line>) {
        let mut in_body = false;
        for line in lines {
            let text = line.text.trim_end();
            if !in_body && is_sdp(text) {
                self.notes.push(format!("line {}: the empty line before the body was missing", line.number));
                in_body = true;
            } else if !in_body && text.trim().is_empty() {
                in_body = true;
                continue;
            }
            let folded = text.starts_with([' ', '\t']);
            if !in_body && !folded && !is_header(text) {
                self.notes.push(format!("line {}: it is no header and was passed over", line.number));
                continue;
            }
            let line = Line { number: line.number, text: text.to_owned() };
            if in_body { self.body.push(line) } else { self.head.push(line) }
        }
    }

    fn header(&self, wanted: HeaderName) -> Option<(usize, &str)> {
        self.head.iter().enumerate().skip(1).find_map(|(at, line)| {
            let (name, value) = line.text.split_once(':')?;
            (HeaderName::parse(name.trim().as_bytes()) == wanted).then_some((at, value.trim()))
        })
    }

    /// Behind a session description stands what belongs to the log.
    fn trim_body(&mut self) {
        let several = self
            .header(HeaderName::ContentType)
            .is_some_and(|(_, kind)| kind.to_ascii_lowercase().contains("multipart"));
        if !several {
            let end = self.body.iter().position(|line| !is_sdp(&line.text)).unwrap_or(self.body.len());
            self.body.truncate(end);
        }
        while self.body.last().is_some_and(|line| line.text.trim().is_empty()) {
            self.body.pop();
        }
    }

    /// Pasting changes line ends, and with them the length that the sender counted.
    fn correct_length(&mut self) {
        let length: usize = self.body.iter().map(|line| line.text.len() + 2).sum();
        let Some((at, told)) = self.header(HeaderName::ContentLength) else { return };
        let told = told.to_owned();
        if told.parse() == Ok(length) {
            return;
        }
        self.notes.push(match (length, told.parse::<usize>()) {
            (0, Ok(_)) => format!("Content-Length says {told}, but the body is missing: read as an INVITE without one"),
            _ => format!("Content-Length {told} corrected to {length}"),
        });
        if let Some(line) = self.head.get_mut(at) {
            line.text = format!("Content-Length: {length}");
        }
    }

    fn finish(self, origin: Origin) -> Candidate {
        let mut message = String::new();
        let mut lines = vec![];
        let blank = Line { number: self.head.last().map_or(1, |line| line.number), text: String::new() };
        for line in self.head.iter().chain(std::iter::once(&blank)).chain(&self.body) {
            message.push_str(&line.text);
            message.push_str("\r\n");
            lines.push(line.number);
        }
        Candidate { message: Bytes::from(message), origin, lines, mended: self.notes }
    }
}

#[cfg(test)]
#[path = "paste_tests.rs"]
mod tests;
