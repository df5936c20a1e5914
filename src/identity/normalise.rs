//! From a user part to a number that can be compared: `+` and digits where it is a telephone number, as received where
//! it is not. It stands apart so that every rule of reading numbers is in one table of cases.

use super::region::{Region, international, service};
use crate::config::numbers::NumberFormat;

/// Numbers without `+` and with fewer digits are a PBX's own extensions: some numbering plans have six-digit
/// subscribers, but no PBX sends one without its area code.
const SHORTEST_NATIONAL: usize = 7;

/// A number in the form that routes match on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalised {
    /// `+` and digits, or what was received.
    pub key: String,
    /// Whether it is `+` and digits.
    pub is_e164: bool,
    /// How it was read, or why it stayed as it was.
    pub note: Option<String>,
}

/// Reads a user part. `context` is its `phone-context` (RFC 3966 §5.1.5), if it had one.
#[must_use]
pub fn normalise(user: &str, context: Option<&str>, region: &Region) -> Normalised {
    // RFC 3966 §5.1.1: visual separators carry no meaning. The space is not one of them, but display forms have it.
    let bare: String = user.chars().filter(|character| !"-.() ".contains(*character)).collect();
    let kept = |why: String| Normalised { key: user.to_owned(), is_e164: false, note: Some(why) };
    let read = |key: String, how: Option<String>| Normalised { key, is_e164: true, note: how };
    let digits = bare.strip_prefix('+').unwrap_or(&bare);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return kept("not a telephone number; kept as received".to_owned());
    }
    if bare.starts_with('+') {
        let digits = digits.strip_prefix("00").unwrap_or(digits);
        return match worldwide(digits) {
            Some(number) if number.len() < digits.len() + 1 => {
                read(number, Some("trunk prefix behind the country code removed".to_owned()))
            }
            Some(number) => {
                let of_service = service(digits).map(|name| format!("no country's but {name}'s; kept as E.164"));
                read(number, of_service)
            }
            None => kept("no country has such a number; kept as received".to_owned()),
        };
    }
    if let Some(prefix) = context.and_then(|context| context.strip_prefix('+')) {
        let prefix: String = prefix.chars().filter(char::is_ascii_digit).collect();
        if let Some(number) = worldwide(&format!("{prefix}{digits}")) {
            return read(number, Some(format!("phone-context +{prefix} put before it")));
        }
    }
    if let Some(number) = region.after_exit(digits).and_then(worldwide) {
        return read(number, Some(format!("dialled out of {}", region.id())));
    }
    // Many PBXs dial 00 whatever their country does; no national number of a country with another prefix starts so.
    if let Some(number) = digits.strip_prefix("00").and_then(worldwide) {
        return read(number, Some("00 read as international prefix".to_owned()));
    }
    if digits.len() < SHORTEST_NATIONAL {
        return kept("extension; kept as received".to_owned());
    }
    match region.national(digits) {
        Some(number) => read(number, Some(format!("read as a number of {}", region.id()))),
        None => kept(format!("not a number of {}; kept as received", region.id())),
    }
}

/// Digits behind a `+`: a number of some country, or of a service that has a country code to itself.
fn worldwide(digits: &str) -> Option<String> {
    if service(digits).is_some() { Some(format!("+{digits}")) } else { international(digits) }
}

/// Writes a number in the form the target is to see, and says why where it could not.
pub(super) fn write(
    key: &str,
    is_e164: bool,
    received: &str,
    form: NumberFormat,
    region: &Region,
) -> (String, Option<String>) {
    if form == NumberFormat::AsReceived {
        return (received.to_owned(), None);
    }
    if !is_e164 {
        return (key.to_owned(), Some("not a telephone number".to_owned()));
    }
    match form {
        NumberFormat::Digits => (key.trim_start_matches('+').to_owned(), None),
        NumberFormat::National => match region.as_dialled(key) {
            Some(dialled) => (dialled, None),
            None => (key.to_owned(), Some(format!("not a number of {}", region.id()))),
        },
        NumberFormat::E164 | NumberFormat::AsReceived => (key.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_the_plan_of_the_country() {
        for (country, user, context, key, is_e164) in [
            ("US", "+12025550123", None, "+12025550123", true),
            ("US", "+15550100123", None, "+15550100123", true),
            ("US", "+1 (202) 555-0123", None, "+12025550123", true),
            ("US", "2025550123", None, "+12025550123", true),
            ("US", "12025550123", None, "+12025550123", true),
            ("US", "5551234567", None, "+15551234567", true),
            ("US", "011493023125123", None, "+493023125123", true),
            ("US", "00493023125123", None, "+493023125123", true),
            ("US", "+00493023125123", None, "+493023125123", true),
            ("DE", "03023125123", None, "+493023125123", true),
            ("DE", "030/23125123", None, "030/23125123", false),
            ("DE", "00442079460000", None, "+442079460000", true),
            ("GB", "02079460000", None, "+442079460000", true),
            ("GB", "442079460000", None, "+442079460000", true),
            ("US", "+4402079460000", None, "+442079460000", true),
            ("IT", "0612345678", None, "+390612345678", true),
            ("US", "5550123", Some("+1202"), "+12025550123", true),
            ("US", "5201", Some("cdp.udp"), "5201", false),
            ("US", "71506", None, "71506", false),
            ("DE", "715061", None, "715061", false),
            ("US", "5753606", None, "5753606", false),
            ("US", "912025550123", None, "912025550123", false),
            ("US", "967555500167", None, "967555500167", false),
            ("US", "+1302109762259", None, "+1302109762259", false),
            ("US", "+80012345678", None, "+80012345678", true),
            ("US", "+883510001234567", None, "+883510001234567", true),
            ("US", "01180012345678", None, "+80012345678", true),
            ("DE", "0088351000123456", None, "+88351000123456", true),
            ("US", "+8001234567", None, "+8001234567", false),
            ("US", "+99912345678", None, "+99912345678", false),
            ("US", "anonymous", None, "anonymous", false),
            ("US", "alice", None, "alice", false),
            ("US", "*67#31", None, "*67#31", false),
            ("US", "+", None, "+", false),
            ("US", "", None, "", false),
            ("US", "99999999999999999999999999999999", None, "99999999999999999999999999999999", false),
        ] {
            let region = Region::new(country).unwrap();
            let number = normalise(user, context, &region);
            assert_eq!((number.key.as_str(), number.is_e164), (key, is_e164), "{country} {user} {:?}", number.note);
        }
    }

    #[test]
    fn whatever_stays_as_it_was_has_a_note() {
        let region = Region::new("US").unwrap();
        for user in ["71506", "alice", "912025550123", "+1302109762259", "+80012345678", "+870773123456"] {
            assert!(normalise(user, None, &region).note.is_some(), "{user}");
        }
    }

    #[test]
    fn a_number_is_written_in_the_configured_form() {
        let region = Region::new("US").unwrap();
        let write = |user: &str, form| {
            let Normalised { key, is_e164, .. } = normalise(user, None, &region);
            write(&key, is_e164, user, form, &region).0
        };
        for (user, form, expected) in [
            ("(202) 555-0123", NumberFormat::E164, "+12025550123"),
            ("(202) 555-0123", NumberFormat::Digits, "12025550123"),
            ("(202) 555-0123", NumberFormat::National, "2025550123"),
            ("(202) 555-0123", NumberFormat::AsReceived, "(202) 555-0123"),
            ("+493023125123", NumberFormat::National, "+493023125123"),
            ("71506", NumberFormat::E164, "71506"),
            ("71506", NumberFormat::Digits, "71506"),
        ] {
            assert_eq!(write(user, form), expected, "{user} {form:?}");
        }
    }

    static REGIONS: std::sync::LazyLock<Vec<Region>> = std::sync::LazyLock::new(|| {
        ["US", "DE", "AR", "BR", "MX", "AU"].iter().filter_map(|country| Region::new(country)).collect()
    });

    proptest::proptest! {
        #[test]
        fn what_is_read_as_a_number_is_a_plus_and_digits(user in "[+0-9a-z*#. ()-]{0,40}", context in "[+0-9a-z.]{0,12}") {
            for region in REGIONS.iter() {
                let number = normalise(&user, Some(&context), region);
                let digits = number.key.strip_prefix('+').unwrap_or_default();
                let is_plain = (4..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
                proptest::prop_assert!(!number.is_e164 || is_plain, "{number:?}");
                proptest::prop_assert!(number.is_e164 || number.key == user, "{number:?}");
            }
        }
    }
}
