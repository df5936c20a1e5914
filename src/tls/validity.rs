//! From when until when a certificate holds (RFC 5280 §4.1.2.5): the few bytes of its DER that say so. Apart because
//! rustls checks the dates of others and tells nobody those of our own.

use std::time::{Duration, SystemTime};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Begin and end of a DER certificate; `None` if it is none.
pub(super) fn of(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let (tbs, _) = expect(SEQUENCE, certificate)?;
    let (mut rest, _) = expect(SEQUENCE, tbs)?;
    if rest.first() == Some(&VERSION) {
        rest = expect(VERSION, rest)?.1;
    }
    let (_serial, rest) = expect(INTEGER, rest)?;
    let (_algorithm, rest) = expect(SEQUENCE, rest)?;
    let (_issuer, rest) = expect(SEQUENCE, rest)?;
    let (validity, _) = expect(SEQUENCE, rest)?;
    let (begin, rest) = time(validity)?;
    let (end, _) = time(rest)?;
    Some((begin, end))
}

/// The content of an element of this kind, and what follows it.
fn expect(kind: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(der)?;
    (found == kind).then_some((content, rest))
}

fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (kind, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*kind, content, rest))
}

fn time(der: &[u8]) -> Option<(SystemTime, &[u8])> {
    let (kind, content, rest) = element(der)?;
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (year, text) = match kind {
        UTC_TIME => {
            let (year, text) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text)
        }
        GENERALIZED_TIME => {
            let (year, text) = text.split_at_checked(4)?;
            (year.parse().ok()?, text)
        }
        _ => return None,
    };
    let digits = |at: usize| text.get(at..at + 2)?.parse::<i64>().ok();
    let days = days_since_1970(year, digits(0)?, digits(2)?);
    let seconds = days * 86_400 + digits(4)? * 3_600 + digits(6)? * 60 + digits(8)?;
    let since = Duration::from_secs(seconds.unsigned_abs());
    let at =
        if seconds < 0 { SystemTime::UNIX_EPOCH.checked_sub(since) } else { SystemTime::UNIX_EPOCH.checked_add(since) };
    Some((at?, rest))
}

/// Civil date to days: years start in March, so that the leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dates_of_a_certificate_are_found_in_both_forms() {
        for (begin, end) in [((2024, 2, 29), (2049, 12, 31)), ((1996, 1, 1), (2051, 3, 1))] {
            let mut params = rcgen::CertificateParams::new(vec!["gw.example.com".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(begin.0, begin.1, begin.2);
            params.not_after = rcgen::date_time_ymd(end.0, end.1, end.2);
            let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            let found = of(certificate.der()).unwrap();
            let at = |(year, month, day): (i32, u8, u8)| {
                let days = days_since_1970(year.into(), month.into(), day.into());
                SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(days).unwrap() * 86_400)
            };
            assert_eq!(found, (at(begin), at(end)));
        }
        assert_eq!(days_since_1970(2026, 11, 21), 20_778);
    }

    #[test]
    fn what_is_no_certificate_has_no_dates() {
        for bytes in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x03\x30\x01\x02", &[0x30; 64]] {
            assert_eq!(of(bytes), None);
        }
    }
}
