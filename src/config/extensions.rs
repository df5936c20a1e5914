//! A list of extensions and their numbers as CSV text: what a PBX's administrator exports. It stands apart from the values
//! of one line because its errors have lines of their own.

use super::value::from_text;
use serde::{Deserialize, Serialize, de};
use std::collections::BTreeMap;
use std::fmt;

/// Extension and number, one pair a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtensionList(BTreeMap<String, String>);

// === impl ExtensionList ===

impl ExtensionList {
    /// The pairs, ordered by extension.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(extension, number)| (extension.as_str(), number.as_str()))
    }
}

impl fmt::Display for ExtensionList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(extension, number)| writeln!(f, "{extension},{number}"))
    }
}

from_text!(ExtensionList, "ExtensionList", r"^[^]*$", parse);

/// `7100,+12025550110` or with `;`, quotes or not; further columns, empty lines and those that start with `#` are passed
/// over, and so is a first line without digits: the names of the columns.
fn parse(text: &str) -> Result<ExtensionList, String> {
    let mut list = BTreeMap::new();
    let mut is_first = true;
    for (position, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_title = std::mem::take(&mut is_first) && !line.bytes().any(|byte| byte.is_ascii_digit());
        if is_title {
            continue;
        }
        let number = position + 1;
        let mut columns = line.split([',', ';']).map(|column| column.trim().trim_matches('"').trim());
        let (Some(extension), Some(direct)) = (columns.next(), columns.next()) else {
            return Err(format!("line {number} of the list has one column; write extension, number"));
        };
        if extension.is_empty() || direct.is_empty() {
            return Err(format!("line {number} of the list has an empty column; write extension, number"));
        }
        let before = list.insert(extension.to_owned(), direct.to_owned());
        if before.is_some_and(|before| before != direct) {
            return Err(format!(
                "extension `{extension}` has two numbers, the second in line {number} of the list; keep one"
            ));
        }
    }
    Ok(ExtensionList(list))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_administrators_export_is_read() {
        let text = "\u{feff}Extension;Number;Name\r\n\r\n# desks\r\n7100; +12025550110 ;Alice\r\n\"7101\",\"+12025550111\"\r\n7101,+12025550111\r\n";
        let list = parse(text).unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), [("7100", "+12025550110"), ("7101", "+12025550111")]);
        assert_eq!(parse(&list.to_string()), Ok(list));
        assert_eq!(parse(""), Ok(ExtensionList::default()));
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, line) in [("7100", "line 1"), ("7100,1\n7101,", "line 2"), ("7100,1\n\n7100,2", "line 3")] {
            assert!(parse(text).unwrap_err().contains(line), "{text}");
        }
    }
}
