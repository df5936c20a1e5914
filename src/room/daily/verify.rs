//! Whether a webhook is Daily's: HMAC-SHA256 over the timestamp, a dot and the raw body. Apart and small, because it is
//! the door of the house: it fails closed on whatever it does not understand.

use crate::config::value::Secret;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Secrets are copied by people, and some tools drop the padding.
const SECRET: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Timestamps from here on are milliseconds: as seconds they would be after the year 2286.
const MILLISECONDS_FROM: u64 = 10_000_000_000;

/// The secrets and header names of one kind of webhook.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: Vec<Hmac<Sha256>>,
    timestamp: &'static str,
    signature: &'static str,
    max_skew: Duration,
}

/// A configured secret that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is none.
    #[error("there is no secret")]
    None,
    /// It is not base64, or empty.
    #[error("secret number {0} is no base64")]
    NoBase64(usize),
}

/// Why a request is not believed. Told to the log, never to the sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// A header is missing.
    #[error("no {0}")]
    Missing(&'static str),
    /// A header is there more than once, so it is unclear which one was signed.
    #[error("several {0}")]
    Several(&'static str),
    /// The timestamp is no number.
    #[error("the timestamp is no Unix time")]
    BadTimestamp,
    /// The timestamp is too far from our clock.
    #[error("the timestamp is {0} s off our clock")]
    Stale(u64),
    /// The signature is not 32 bytes of base64.
    #[error("the signature is no base64 of a SHA-256")]
    BadSignature,
    /// The signature does not fit the body under any secret.
    #[error("the signature fits no configured secret")]
    Mismatch,
}

// === impl Verifier ===

impl Verifier {
    /// For `room_creation_api` requests. Several secrets while one replaces the other.
    ///
    /// # Errors
    /// No secret, or one that is no base64.
    pub fn pinless(secrets: &[Secret], max_skew: Duration) -> Result<Self, SecretError> {
        Self::new(secrets, "x-pinless-timestamp", "x-pinless-signature", max_skew)
    }

    /// For the domain's event webhooks.
    ///
    /// # Errors
    /// No secret, or one that is no base64.
    pub fn events(secrets: &[Secret], max_skew: Duration) -> Result<Self, SecretError> {
        Self::new(secrets, "x-webhook-timestamp", "x-webhook-signature", max_skew)
    }

    fn new(
        secrets: &[Secret],
        timestamp: &'static str,
        signature: &'static str,
        max_skew: Duration,
    ) -> Result<Self, SecretError> {
        let key = |(position, secret): (usize, &Secret)| {
            let bytes = SECRET.decode(secret.expose().trim()).ok().filter(|bytes| !bytes.is_empty());
            bytes.and_then(|bytes| Hmac::new_from_slice(&bytes).ok()).ok_or(SecretError::NoBase64(position + 1))
        };
        let keys = secrets.iter().enumerate().map(key).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(SecretError::None);
        }
        Ok(Self { keys, timestamp, signature, max_skew })
    }

    /// Checks a request: `body` exactly as received, `now` by our wall clock.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Result<(), Distrust> {
        let timestamp = only(headers, self.timestamp)?;
        let signature = only(headers, self.signature)?;
        let signature = base64::engine::general_purpose::STANDARD
            .decode(signature)
            .ok()
            .filter(|bytes| bytes.len() == 32)
            .ok_or(Distrust::BadSignature)?;
        self.check_age(timestamp, now)?;
        let fits = self.keys.iter().any(|key| {
            let mac = key.clone().chain_update(timestamp).chain_update(b".").chain_update(body);
            mac.verify_slice(&signature).is_ok()
        });
        if fits { Ok(()) } else { Err(Distrust::Mismatch) }
    }

    fn check_age(&self, timestamp: &[u8], now: SystemTime) -> Result<(), Distrust> {
        let digits = std::str::from_utf8(timestamp).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number: u64 = digits.and_then(|digits| digits.parse().ok()).ok_or(Distrust::BadTimestamp)?;
        // The unit is not documented; real traffic was seen in milliseconds.
        let at = if number >= MILLISECONDS_FROM { Duration::from_millis(number) } else { Duration::from_secs(number) };
        let skew = now.duration_since(UNIX_EPOCH).unwrap_or_default().abs_diff(at);
        if skew > self.max_skew { Err(Distrust::Stale(skew.as_secs())) } else { Ok(()) }
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a [u8], Distrust> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes().trim_ascii()),
        (None, _) => Err(Distrust::Missing(name)),
        (Some(_), Some(_)) => Err(Distrust::Several(name)),
    }
}

/// What a sender of signed webhooks does, for tests and simulators.
#[must_use]
pub fn sign(secret: &Secret, timestamp: &str, body: &[u8]) -> Option<String> {
    let key = SECRET.decode(secret.expose().trim()).ok()?;
    let mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    let mac = mac.chain_update(timestamp).chain_update(b".").chain_update(body);
    Some(base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const SECRET_TEXT: &str = "9jyatvPWQfBymCGDOYPYKF/TRZXR+08Gj4bvPF78pH0=";
    const BODY: &[u8] = br#"{"callId":"a"}"#;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn verifier(secrets: &[&str]) -> Verifier {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        Verifier::pinless(&secrets, Duration::from_secs(300)).unwrap()
    }

    fn headers(timestamp: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("X-Pinless-Timestamp", HeaderValue::from_str(timestamp).unwrap());
        headers.insert("X-Pinless-Signature", HeaderValue::from_str(signature).unwrap());
        headers
    }

    fn signed(timestamp: &str) -> HeaderMap {
        headers(timestamp, &sign(&Secret::new(SECRET_TEXT), timestamp, BODY).unwrap())
    }

    fn corpus(path: &str) -> Option<Vec<u8>> {
        let root = std::env::var_os("TRUNKLINE_CORPUS").map_or_else(
            || std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus")),
            std::path::PathBuf::from,
        );
        let bytes = std::fs::read(root.join(path)).ok();
        if bytes.is_none() {
            eprintln!("{path} is not here: skipped");
        }
        bytes
    }

    #[test]
    fn the_shared_corpus_of_signatures_is_judged_as_it_says() {
        let Some(cases) = corpus("webhook/daily-pinless/signature_cases.json") else { return };
        let cases: serde_json::Value = serde_json::from_slice(&cases).unwrap();
        let verifier = verifier(&[cases["secret_base64"].as_str().unwrap()]);
        for case in cases["cases"].as_array().unwrap() {
            let body = corpus(&format!("webhook/daily-pinless/{}", case["body_file"].as_str().unwrap())).unwrap();
            let mut headers = HeaderMap::new();
            for (name, value) in
                [("x-pinless-timestamp", &case["timestamp"]), ("x-pinless-signature", &case["signature"])]
            {
                if let Some(value) = value.as_str() {
                    headers.insert(name, HeaderValue::from_str(value).unwrap());
                }
            }
            let verdict = verifier.verify(&headers, &body, at(1_717_171_717));
            assert_eq!(verdict.is_ok(), case["valid"].as_bool().unwrap(), "{}: {verdict:?}", case["name"]);
        }
    }

    #[test]
    fn the_mac_is_that_of_rfc_4231() {
        let Some(vectors) = corpus("webhook/hmac-rfc/rfc4231_sha256.json") else { return };
        let vectors: serde_json::Value = serde_json::from_slice(&vectors).unwrap();
        let unhex = |text: &serde_json::Value| -> Vec<u8> {
            let text = text.as_str().unwrap();
            (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect()
        };
        for vector in vectors["vectors"].as_array().unwrap() {
            let mac = Hmac::<Sha256>::new_from_slice(&unhex(&vector["key_hex"])).unwrap();
            let tag = mac.chain_update(unhex(&vector["data_hex"])).finalize().into_bytes();
            let expected = unhex(&vector["hmac_sha256"]);
            assert_eq!(&tag[..expected.len()], expected, "{}", vector["name"]);
        }
    }

    #[test]
    fn seconds_and_milliseconds_are_both_understood_within_the_skew() {
        let verifier = verifier(&[SECRET_TEXT]);
        for (timestamp, now, fresh) in [
            ("1717171717", 1_717_171_717, true),
            ("1717171717", 1_717_171_717 + 300, true),
            ("1717171717", 1_717_171_717 + 301, false),
            ("1717171717", 1_717_171_717 - 300, true),
            ("1717171717", 1_717_171_717 - 301, false),
            ("1717171717000", 1_717_171_717 + 300, true),
            ("1717171717000", 1_717_171_717 + 301, false),
            ("17171717", 1_717_171_717, false),
            ("18446744073709551615", 1_717_171_717, false),
        ] {
            assert_eq!(verifier.verify(&signed(timestamp), BODY, at(now)).is_ok(), fresh, "{timestamp} at {now}");
        }
    }

    #[test]
    fn what_is_not_a_timestamp_is_refused_even_when_it_is_signed() {
        let verifier = verifier(&[SECRET_TEXT]);
        for timestamp in ["", "+1717171717", "-1", "1717171717.5", "0x10", "99999999999999999999"] {
            let verdict = verifier.verify(&signed(timestamp), BODY, at(1_717_171_717));
            assert_eq!(verdict, Err(Distrust::BadTimestamp), "{timestamp}");
        }
    }

    #[test]
    fn any_of_several_secrets_will_do_while_they_rotate() {
        let other = "bm90IHRoZSBzYW1lIHNlY3JldA==";
        assert_eq!(verifier(&[other, SECRET_TEXT]).verify(&signed("1717171717"), BODY, at(1_717_171_717)), Ok(()));
        let verdict = verifier(&[other]).verify(&signed("1717171717"), BODY, at(1_717_171_717));
        assert_eq!(verdict, Err(Distrust::Mismatch));
    }

    #[test]
    fn missing_and_repeated_headers_fail_closed() {
        let verifier = verifier(&[SECRET_TEXT]);
        let now = at(1_717_171_717);
        assert_eq!(verifier.verify(&HeaderMap::new(), BODY, now), Err(Distrust::Missing("x-pinless-timestamp")));
        for name in ["x-pinless-timestamp", "x-pinless-signature"] {
            let mut without = signed("1717171717");
            without.remove(name);
            assert_eq!(verifier.verify(&without, BODY, now), Err(Distrust::Missing(name)));
            let mut twice = signed("1717171717");
            let value = twice[name].clone();
            twice.append(name, value);
            assert_eq!(verifier.verify(&twice, BODY, now), Err(Distrust::Several(name)));
        }
    }

    #[test]
    fn a_changed_body_or_timestamp_is_noticed() {
        let verifier = verifier(&[SECRET_TEXT]);
        let now = at(1_717_171_717);
        assert_eq!(verifier.verify(&signed("1717171717"), br#"{"callId":"b"}"#, now), Err(Distrust::Mismatch));
        let mut moved = signed("1717171717");
        moved.insert("x-pinless-timestamp", HeaderValue::from_static("1717171718"));
        assert_eq!(verifier.verify(&moved, BODY, now), Err(Distrust::Mismatch));
    }

    #[test]
    fn the_signature_of_one_kind_of_webhook_does_not_open_the_other() {
        let events = Verifier::events(&[Secret::new(SECRET_TEXT)], Duration::from_secs(300)).unwrap();
        let verdict = events.verify(&signed("1717171717"), BODY, at(1_717_171_717));
        assert_eq!(verdict, Err(Distrust::Missing("x-webhook-timestamp")));
    }

    #[test]
    fn unusable_secrets_are_refused_at_the_start() {
        let skew = Duration::from_secs(300);
        assert_eq!(Verifier::pinless(&[], skew).err(), Some(SecretError::None));
        for secret in ["", "not base64!", "===="] {
            assert_eq!(Verifier::pinless(&[Secret::new(secret)], skew).err(), Some(SecretError::NoBase64(1)));
        }
        assert!(Verifier::pinless(&[Secret::new(SECRET_TEXT.trim_end_matches('='))], skew).is_ok());
    }
}
