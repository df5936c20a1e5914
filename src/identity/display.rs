//! Display names in whatever coding they come. They stand apart because a name is for people only: nothing here may ever
//! cost a call, and nothing else needs to know of code pages.

use super::clean;
use base64::Engine as _;
use std::borrow::Cow;

/// What bytes 0x80 to 0x9f mean on Windows, whose "ISO-8859-1" is code page 1252; where it has no sign, a replacement.
const WINDOWS: [char; 32] = [
    '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž', '\u{fffd}', '\u{fffd}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}', 'ž', 'Ÿ',
];

/// A display name as people should read it; `None` if nothing is left.
#[must_use]
pub fn readable(name: &str) -> Option<String> {
    let name = if name.contains("=?") { encoded_words(name) } else { Cow::Borrowed(name) };
    let name: String = name.chars().map(printed).collect();
    Some(clean(&name)).filter(|name| !name.is_empty())
}

/// The C1 control characters never stand in a name: whoever sends their bytes means those of Windows.
fn printed(character: char) -> char {
    let place = u32::from(character).checked_sub(0x80).and_then(|place| usize::try_from(place).ok());
    place.and_then(|place| WINDOWS.get(place)).copied().unwrap_or(character)
}

/// Undoes RFC 2047 words (`=?utf-8?B?...?=`), which SIP does not know and mail-minded systems send all the same. What
/// cannot be read stays as it is.
fn encoded_words(name: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    let mut behind_word = false;
    while let Some((before, after)) = rest.split_once("=?") {
        let Some((word, tail)) = encoded_word(after) else {
            out.push_str(before);
            out.push_str("=?");
            (rest, behind_word) = (after, false);
            continue;
        };
        // RFC 2047 §6.2: blanks between two such words do not count.
        if !(behind_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        out.push_str(&word);
        (rest, behind_word) = (tail, true);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// `charset?B?text?=` without its beginning: the text, and what follows.
fn encoded_word(after: &str) -> Option<(String, &str)> {
    let (charset, rest) = after.split_once('?')?;
    let (coding, rest) = rest.split_once('?')?;
    let (text, tail) = rest.split_once("?=")?;
    let bytes = match coding {
        "B" | "b" => base64::engine::general_purpose::STANDARD.decode(text).ok()?,
        "Q" | "q" => quoted_printable(text),
        _ => return None,
    };
    let charset = charset.split('*').next().unwrap_or_default(); // RFC 2231 §5: a language may follow
    let known = ["utf-8", "us-ascii", "iso-8859-1", "windows-1252", "iso-8859-15"];
    known.iter().any(|known| known.eq_ignore_ascii_case(charset)).then(|| {
        let text = crate::sip::header::decode(&bytes).into_owned();
        (text, tail)
    })
}

/// RFC 2047 §4.2: `_` is a blank, `=41` a byte.
fn quoted_printable(text: &str) -> Vec<u8> {
    let percent = text.replace('%', "=25").replace('_', " ").replace('=', "%");
    crate::sip::uri::unescape(percent.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::header::decode;

    #[test]
    fn names_of_every_coding_are_read() {
        for (bytes, name) in [
            (&b"Alice Example"[..], Some("Alice Example")),
            ("Jürgen Müller".as_bytes(), Some("Jürgen Müller")),
            (b"J\xfcrgen", Some("Jürgen")),
            (b"Smith\x92s Caf\xe9 \x96 Desk", Some("Smith’s Café – Desk")),
            (b"=?utf-8?B?SsO8cmdlbg==?=", Some("Jürgen")),
            (b"=?ISO-8859-1?Q?J=FCrgen_M=FCller?=", Some("Jürgen Müller")),
            (b"=?utf-8?Q?J=C3=BCr?= =?utf-8?Q?gen?= (Desk)", Some("Jürgen (Desk)")),
            (b"=?utf-8?B?%%%?= x", Some("=?utf-8?B?%%%?= x")),
            (b"=?koi8-r?B?SsO8?=", Some("=?koi8-r?B?SsO8?=")),
            ("山田 太郎".as_bytes(), Some("山田 太郎")),
            (b"A\tB\x01", Some("A B")),
            (b"  ", None),
        ] {
            assert_eq!(readable(&decode(bytes)).as_deref(), name, "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_name_is_too_strange(name in "\\PC*") {
            let read = readable(&name).unwrap_or_default();
            proptest::prop_assert!(!read.chars().any(char::is_control));
        }
    }
}
