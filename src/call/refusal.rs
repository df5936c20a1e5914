//! How a refusal explains itself: the header fields that go with its status. Apart from teardown, because a change of a
//! living session is refused in the same words as a call.

use crate::error::{Cause, Termination};
use crate::sdp::Unusable;
use crate::sip::endpoint::Headers;
use crate::sip::{HeaderName, Message, StatusCode};
use std::borrow::Cow;

/// Seconds that `Retry-After` asks for when this gateway refuses for lack of room.
pub(super) const RETRY_AFTER_FULL: u32 = 5;
/// Seconds that `Retry-After` asks for while draining.
pub(super) const RETRY_AFTER_DRAINING: u32 = 30;
/// The bodies that are understood.
const ACCEPT: &str = "application/sdp, multipart/mixed";

/// The header fields that explain a refusal; `agent` is who warns.
pub(super) fn headers(end: &Termination, agent: &str) -> Headers {
    let mut headers: Headers = vec![(Cow::Borrowed("Reason"), end.reason_header())];
    let mut add = |name: &'static str, value: String| headers.push((Cow::Borrowed(name), value));
    match end.cause {
        Cause::Draining => add("Retry-After", RETRY_AFTER_DRAINING.to_string()),
        Cause::TrunkFull
        | Cause::TrunkRate
        | Cause::TargetFull
        | Cause::TargetRate
        | Cause::HalfOpen
        | Cause::NoMediaPort => {
            add("Retry-After", RETRY_AFTER_FULL.to_string());
        }
        // RFC 3261 §21.4.13: a 415 says what would have been understood.
        Cause::UnknownBody => add("Accept", ACCEPT.to_owned()),
        Cause::UnknownEncoding => add("Accept-Encoding", "identity".to_owned()),
        _ => {}
    }
    if let Some(code) = end.warning {
        // RFC 3261 §20.43.
        add("Warning", format!("{code} {agent} \"{}\"", end.text().replace(['"', '\\'], "'")));
    }
    headers
}

/// The status of a refusal of a change: whatever would have ended a call keeps the session here.
pub(super) fn status(end: &Termination) -> StatusCode {
    StatusCode::new(end.sip_status()).filter(|status| status.is_failure()).unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE)
}

/// The refusal that a description without a usable stream deserves, with its warn-code (RFC 3261 §20.43).
pub(super) fn no_media(why: &Unusable) -> Termination {
    let code = match why {
        Unusable::NoMedia | Unusable::NoAudio(_) | Unusable::Disabled => 304,
        Unusable::Profile(_) => 302,
        Unusable::Malformed { .. } => 399,
    };
    Termination::with_detail(Cause::NoUsableMedia, why.to_string()).warning(code)
}

/// The refusal of an offer whose codecs nobody here takes.
pub(super) fn no_codec(detail: impl Into<String>) -> Termination {
    Termination::with_detail(Cause::NoUsableMedia, detail).warning(305)
}

/// What a refusal of the other leg explains is passed on: its warning and when to come again.
pub(super) fn passed_on(response: Option<&Message>, status: StatusCode) -> Headers {
    let text = format!("SIP;cause={};text=\"refused by the far side\"", status.get());
    let mut headers: Headers = vec![(Cow::Borrowed("Reason"), text)];
    let Some(response) = response else { return headers };
    for (name, known) in [("Warning", HeaderName::Warning), ("Retry-After", HeaderName::RetryAfter)] {
        if let Some(value) = response.text(known) {
            headers.push((Cow::Borrowed(name), value.replace(|letter: char| letter.is_control(), " ")));
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(end: &Termination) -> Vec<(String, String)> {
        headers(end, "gw.example.com").into_iter().map(|(name, value)| (name.into_owned(), value)).collect()
    }

    #[test]
    fn a_refused_session_warns_with_the_code_of_its_fault() {
        let codes = [
            (Unusable::NoMedia, 304),
            (Unusable::NoAudio("video".to_owned()), 304),
            (Unusable::Disabled, 304),
            (Unusable::Profile("RTP/SAVP".to_owned()), 302),
            (Unusable::Malformed { line: 4, text: "m=\"audio\"".to_owned() }, 399),
        ];
        for (why, code) in codes {
            let (name, value) = shown(&no_media(&why)).pop().unwrap();
            assert_eq!(name, "Warning");
            assert!(value.starts_with(&format!("{code} gw.example.com \"offer has no usable audio: ")), "{value}");
            assert_eq!(value.matches('"').count(), 2, "{value}");
        }
        assert!(shown(&no_codec("x")).pop().unwrap().1.starts_with("305 "));
    }

    #[test]
    fn a_415_says_what_would_have_been_understood() {
        let last = |cause| shown(&Termination::new(cause)).pop().unwrap();
        assert_eq!(last(Cause::UnknownBody), ("Accept".to_owned(), ACCEPT.to_owned()));
        assert_eq!(last(Cause::UnknownEncoding), ("Accept-Encoding".to_owned(), "identity".to_owned()));
        assert_eq!(last(Cause::NoRoute).0, "Reason");
    }

    #[test]
    fn a_change_is_never_refused_with_a_status_that_is_none() {
        assert_eq!(status(&Termination::new(Cause::CallerHungUp)), StatusCode::NOT_ACCEPTABLE_HERE);
        assert_eq!(status(&Termination::new(Cause::UnknownBody)), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}
