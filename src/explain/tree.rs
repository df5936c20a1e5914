//! An INVITE in the form of Wireshark's packet details, where headers have explanations below them and the session
//! description is spelt out. Apart from other pasted text, because only here depth says what belongs to the message.

use super::paste::Line;

/// What stands before the first line in this form.
const LABEL: &str = "Request-Line:";

/// Is this the form in which the first line has this before it?
pub(super) fn is_tree(prefix: &str) -> bool {
    prefix.trim().ends_with(LABEL)
}

/// Head and body.
pub(super) fn read(lines: &[Line]) -> (Vec<Line>, Vec<Line>) {
    let body_at = lines.iter().position(|line| line.text.trim() == "Message Body").unwrap_or(lines.len());
    let (head, body) = lines.split_at_checked(body_at).unwrap_or((lines, &[]));
    // The parts of the first line are explained before the headers come.
    let head_at = head.iter().position(|line| line.text.trim() == "Message Header").map_or(0, |at| at + 1);
    let head = head.get(head_at..).unwrap_or_default();
    let depth = head.iter().find(|line| is_field(&line.text)).map_or(0, |line| depth(&line.text));
    let head = head.iter().filter(|line| is_field(&line.text) && self::depth(&line.text) == depth);
    let plain = |line: &Line| Line { number: line.number, text: line.text.trim().to_owned() };
    (head.map(plain).collect(), body.iter().filter_map(described).collect())
}

fn depth(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// `Via: ...`; what Wireshark worked out itself stands in brackets.
fn is_field(line: &str) -> bool {
    let line = line.trim();
    !line.starts_with('[')
        && line.split_once(':').is_some_and(|(name, _)| crate::sip::header::is_token(name.as_bytes()))
}

/// `Media Attribute (a): rtpmap:0 PCMU/8000` is `a=rtpmap:0 PCMU/8000`.
fn described(line: &Line) -> Option<Line> {
    let (label, value) = line.text.trim().split_once("): ")?;
    let (words, letter) = label.rsplit_once('(')?;
    let is_letter = letter.len() == 1 && letter.bytes().all(|byte| byte.is_ascii_lowercase());
    (is_letter && !words.is_empty()).then(|| Line { number: line.number, text: format!("{letter}={value}") })
}
