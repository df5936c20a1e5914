//! The User-to-User header (RFC 7433) and what PBXs carry in it: Avaya's UCID, text of an application. It stands apart
//! because its content is a coding of its own: hexadecimal, and inside it tag, length, value.

use super::clean;
use crate::record::Step;
use crate::sip::header::{Elements, Params, decode, quoted, unquote};
use crate::sip::{HeaderName, Message};
use std::fmt::Write as _;

/// Tag of Avaya's universal call id.
const UCID: u8 = 0xfa;
/// Tag of an application's text.
const TEXT: u8 = 0xc8;

/// All values of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserToUser {
    values: Vec<Value>,
}

/// One value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Value {
    /// As received, parameters included.
    raw: String,
    /// Without them.
    data: String,
    /// `purpose`, `content`, `encoding` as they were given.
    parameters: Vec<String>,
    /// The text that it holds.
    text: Option<String>,
    /// Other tags with their values.
    fields: Vec<(u8, Vec<u8>)>,
}

// === impl UserToUser ===

impl UserToUser {
    /// Reads all of them; each is a step.
    pub fn read(request: &Message, steps: &mut Vec<Step>) -> Self {
        let elements = request.values(HeaderName::UserToUser).flat_map(Elements::new);
        let values: Vec<Value> = elements.map(Value::new).filter(|value| !value.raw.is_empty()).collect();
        steps.extend(values.iter().map(|value| Step::UserToUser {
            value: value.raw.clone(),
            parameters: value.parameters.clone(),
            decoded: value.told(),
        }));
        Self { values }
    }

    /// As received, parameters included; several are one list again.
    #[must_use]
    pub fn raw(&self) -> String {
        self.values.iter().map(|value| value.raw.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The text that the values hold; empty if they hold none.
    #[must_use]
    pub fn text(&self) -> String {
        self.values.iter().filter_map(|value| value.text.as_deref()).collect::<Vec<_>>().join(" ")
    }

    /// The content of the first value, without parameters.
    #[must_use]
    pub fn data(&self) -> &str {
        self.values.first().map_or("", |value| value.data.as_str())
    }

    /// Avaya's universal call id as its own tools print it: node, sequence and time, 20 digits.
    #[must_use]
    pub fn ucid(&self) -> Option<String> {
        let mut fields = self.values.iter().flat_map(|value| &value.fields);
        fields.find_map(|(tag, value)| if *tag == UCID { ucid(value) } else { None })
    }
}

// === impl Value ===

impl Value {
    fn new(element: &[u8]) -> Self {
        let raw = clean(&decode(element));
        let (data, params) = match quoted(element) {
            Some((inside, rest)) => (clean(&decode(&unquote(inside))), rest),
            None => {
                let end = memchr::memchr(b';', element).unwrap_or(element.len());
                let (data, params) = element.split_at_checked(end).unwrap_or((element, b""));
                (clean(&decode(data)), params)
            }
        };
        let params = Params::new(params);
        let param = |name: &str| params.unquoted(name).map(|value| clean(&decode(&value)));
        let given = |name: &str| param(name).map(|value| format!("{name}={value}"));
        let parameters = ["purpose", "content", "encoding"].into_iter().filter_map(given).collect();
        // RFC 7433 §4.1: without `encoding` it is a token; PBXs leave the parameter out and mean hexadecimal.
        let is_hex = param("encoding").is_none_or(|encoding| encoding.eq_ignore_ascii_case("hex"));
        let (text, fields) = match unhex(&data).filter(|bytes| is_hex && !bytes.is_empty()) {
            Some(bytes) => content(&bytes),
            None => (Some(data.clone()).filter(|data| !data.is_empty()), vec![]),
        };
        Self { raw, data, parameters, text, fields }
    }

    /// For the record: the text, and each tag.
    fn told(&self) -> Option<String> {
        let fields = self.fields.iter().filter(|(tag, _)| *tag != TEXT).map(|(tag, value)| match ucid(value) {
            Some(ucid) if *tag == UCID => format!("UCID {ucid}"),
            _ => format!("{tag:02X}={}", hex(value)),
        });
        let told: Vec<String> = self.text.iter().map(|text| format!("text `{text}`")).chain(fields).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}

/// What bytes say. Plain text says itself; else there is a protocol discriminator (Q.931 §4.5.30) and behind it either
/// tags with lengths and values, as Avaya writes them, or text.
fn content(bytes: &[u8]) -> (Option<String>, Vec<(u8, Vec<u8>)>) {
    if let Some(text) = printable(bytes) {
        return (Some(text), vec![]);
    }
    let behind = bytes.get(1..).unwrap_or_default();
    let (fields, rest) = tagged(behind);
    if rest.is_empty() || fields.iter().any(|(tag, _)| *tag == UCID) {
        let texts = fields.iter().filter(|(tag, _)| *tag == TEXT).filter_map(|(_, value)| printable(value));
        let text = texts.collect::<Vec<_>>().join(" ");
        return (Some(text).filter(|text| !text.is_empty()), fields);
    }
    (printable(behind), vec![])
}

/// Tag, length, value as often as they fit; and what is left behind them.
fn tagged(bytes: &[u8]) -> (Vec<(u8, Vec<u8>)>, &[u8]) {
    let mut fields = vec![];
    let mut rest = bytes;
    while let [tag, length, after @ ..] = rest
        && let Some((value, behind)) = after.split_at_checked(usize::from(*length))
    {
        fields.push((*tag, value.to_vec()));
        rest = behind;
    }
    (fields, rest)
}

/// Text without control characters; NULs that fill up its end are cut.
fn printable(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| clean(text)).filter(|text| !text.is_empty())
}

/// Node, sequence and time of a UCID in decimal.
fn ucid(value: &[u8]) -> Option<String> {
    let [n1, n2, s1, s2, t1, t2, t3, t4] = *value else { return None };
    let (node, sequence) = (u16::from_be_bytes([n1, n2]), u16::from_be_bytes([s1, s2]));
    let time = u32::from_be_bytes([t1, t2, t3, t4]);
    Some(format!("{node:05}{sequence:05}{time:010}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02X}");
        out
    })
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let nibble = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(nibble(high)? << 4 | nibble(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn of(lines: &[&str]) -> UserToUser {
        let lines: String = lines.iter().map(|line| format!("User-to-User: {line}\r\n")).collect();
        let text = format!("INVITE sip:1@192.0.2.1 SIP/2.0\r\n{lines}Content-Length: 0\r\n\r\n");
        UserToUser::read(&Message::parse(Bytes::from(text)).unwrap(), &mut vec![])
    }

    #[test]
    fn a_ucid_is_found_behind_other_tags_and_nothing_odd_breaks_it() {
        for (value, expected) in [
            ("00FA080001247C5E46F6E6;encoding=hex", Some("00001093401581709030")),
            ("00fa080001247c5e46f6e6", Some("00001093401581709030")),
            ("04C8024142FA080001247C5E46F6E6;encoding=hex", Some("00001093401581709030")),
            ("00FA080001247C5E46F6E6FF;encoding=hex", Some("00001093401581709030")),
            ("04C8024142;encoding=hex", None),
            ("00FA04000124", None),
            ("00FA", None),
            ("00F", None),
            ("hello", None),
            ("", None),
        ] {
            assert_eq!(of(&[value]).ucid().as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn text_is_read_in_every_coding_that_pbxs_use() {
        for (value, text) in [
            ("04C80A4F726465722034373131FA080001247C5E46F6E6;encoding=hex;purpose=isdn-uui", "Order 4711"),
            ("4F7264657220343731;encoding=hex", "Order 471"),
            ("044F72646572;encoding=hex;content=isdn-uui", "Order"),
            ("04C8054F726465720000;encoding=hex", "Order"),
            ("\"Order 4711; north\";encoding=ascii", "Order 4711; north"),
            ("order-4711;purpose=example", "order-4711"),
            ("00FA080001247C5E46F6E6;encoding=hex", ""),
            ("0001020304;encoding=hex", ""),
        ] {
            assert_eq!(of(&[value]).text(), text, "{value}");
        }
    }

    #[test]
    fn several_values_stay_in_order_and_the_ucid_may_be_in_any() {
        let both = of(&["4142;encoding=hex, 00FA080001247C5E46F6E6;encoding=hex", "43;encoding=hex"]);
        assert_eq!(both.raw(), "4142;encoding=hex, 00FA080001247C5E46F6E6;encoding=hex, 43;encoding=hex");
        assert_eq!((both.text().as_str(), both.data()), ("AB C", "4142"));
        assert_eq!(both.ucid().as_deref(), Some("00001093401581709030"));
    }

    proptest::proptest! {
        #[test]
        fn no_value_is_too_strange(value in "[ -~]{0,80}") {
            let read = of(&[&value]);
            let _ = (read.raw(), read.text(), read.ucid());
        }
    }
}
