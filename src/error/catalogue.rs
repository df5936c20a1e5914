//! Every way a call can end: its code, who failed, what the PBX is told (SIP status and Q.850 cause, RFC 3326), and
//! the remedy in words. One table, so that the answer, the log, the metric and the record can never disagree.

use serde::Serialize;
use std::fmt;

/// Whose doing an end was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// Nobody failed.
    Nobody,
    /// The caller or the PBX.
    Pbx,
    /// The cloud's SIP side.
    Cloud,
    /// The cloud's REST interface or webhook.
    Api,
    /// The bot.
    Bot,
    /// The network between.
    Network,
    /// This gateway.
    Gateway,
    /// Its configuration.
    Configuration,
}

/// What the catalogue knows of one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Stable code: metric label, API value, log key.
    pub code: &'static str,
    /// Who failed.
    pub fault: Party,
    /// SIP status towards the PBX while its INVITE is unanswered; also the `cause` of `Reason: SIP`.
    pub status: u16,
    /// Q.850 cause of the `Reason` header.
    pub q850: u8,
    /// What happened, as the reason phrase and the `text` of `Reason` show it.
    pub text: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

macro_rules! catalogue {
    ($( $(#[$doc:meta])* $name:ident = $code:literal $fault:ident $status:literal $q850:literal $text:literal $remedy:literal; )*) => {
        /// A cause of the catalogue.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Cause { $( $(#[$doc])* $name, )* }

        impl Cause {
            /// All causes, in the order of the table.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )* ];

            /// Its row.
            #[must_use]
            pub const fn entry(self) -> Entry {
                match self {
                    $( Self::$name => Entry { code: $code, fault: Party::$fault, status: $status, q850: $q850, text: $text, remedy: $remedy }, )*
                }
            }
        }
    };
}

catalogue! {
    // --- ordinary ends
    /// The caller hung up.
    CallerHungUp = "caller_hung_up" Nobody 200 16 "caller hung up" "none needed";
    /// The far side hung up.
    CalleeHungUp = "callee_hung_up" Nobody 200 16 "far side hung up" "none needed";
    /// The caller gave up before the answer.
    CallerCancelled = "caller_cancelled" Nobody 487 16 "caller gave up before the answer" "none needed; if it is frequent, look at the setup time of the target";
    /// Ended by an operator.
    OperatorEnded = "operator_ended" Nobody 200 16 "ended by an operator" "none needed";
    // --- refused before the target was called
    /// No trunk has this source.
    UnknownSource = "unknown_source" Configuration 403 21 "source address belongs to no trunk" "add the PBX's address to `peers` of a [[trunk]], or drop the packet in a firewall";
    /// The credentials do not fit.
    WrongCredentials = "wrong_credentials" Pbx 401 21 "user or password is wrong" "compare `auth` of the [[trunk]] with the account that the PBX calls with";
    /// Too many failures from this address.
    WrongTooOften = "wrong_too_often" Pbx 403 21 "user or password was wrong too often from this address" "correct the account at the PBX; a try every six seconds is allowed meanwhile";
    /// Nobody may register, or not this trunk.
    NoRegistrar = "no_registrar" Configuration 403 21 "registrations are not taken" "set `register = true` on the [[trunk]] with its `auth`, or point the PBX's trunk here without registration";
    /// A call from a target.
    CallFromTarget = "call_from_target" Configuration 404 3 "calls from a target are not routed in this version" "none yet: take the number off this registration at the target, or call the other way";
    /// No route fits.
    NoRoute = "no_route" Configuration 404 3 "no route for this call" "add a [[route]] whose `trunk`, `called` and `caller` fit; the decision record names the condition that failed";
    /// A mandatory header is missing or broken.
    BadRequest = "bad_request" Pbx 400 95 "request cannot be understood" "the reason phrase names the header that is missing or broken";
    /// No usable called number.
    NoCalledNumber = "no_called_number" Pbx 484 28 "no called number in the request" "set `called` of the trunk to the header that carries the number";
    /// The offer has nothing we can carry.
    NoUsableMedia = "no_usable_media" Pbx 488 88 "offer has no usable audio" "offer RTP/AVP audio with a codec that the target takes";
    /// The SDP cannot be read.
    BadSdp = "bad_sdp" Pbx 400 95 "session description cannot be read" "the detail names the line";
    /// The PBX requires an extension that is off.
    ExtensionOff = "extension_off" Configuration 420 127 "the call requires an extension that is off here" "set `reliable` or `session_timer` of the trunk, or switch it off at the PBX";
    /// The PBX cannot do what the trunk requires.
    ExtensionMissing = "extension_missing" Configuration 421 127 "the caller lacks an extension that is required here" "switch it on at the PBX, or set `reliable = \"supported\"` of the trunk";
    /// The PBX asks for too short a session.
    SessionTooShort = "session_too_short" Pbx 422 127 "session interval is too small" "raise the session interval of the PBX, or lower `min_se` of the trunk";
    /// A description names our own media address and port.
    MediaLoop = "media_loop" Pbx 488 88 "media would loop within this gateway" "the peer describes a media port of this very call as its own: look for a device that sends our description back";
    /// A body that has to be understood and is not.
    UnknownBody = "unknown_body" Pbx 415 79 "body of a media type that is not understood" "send the offer as application/sdp, and mark what may be left aside `handling=optional`";
    /// A body in an encoding that is not understood.
    UnknownEncoding = "unknown_encoding" Pbx 415 79 "body in an encoding that is not understood" "send the body without Content-Encoding";
    /// The trunk's limit of calls.
    TrunkFull = "trunk_full" Gateway 503 42 "trunk is at its limit of calls" "raise `max_calls` of the trunk, or send fewer calls";
    /// The trunk's limit of calls per second.
    TrunkRate = "trunk_rate" Gateway 503 42 "trunk is at its limit of calls per second" "raise `max_rate` of the trunk, or send calls more slowly";
    /// The target's limit of calls.
    TargetFull = "target_full" Gateway 503 42 "target is at its limit of calls" "raise `max_calls` of the target, or add one to the route";
    /// The target's limit of calls per second.
    TargetRate = "target_rate" Gateway 503 42 "target is at its limit of calls per second" "raise `max_rate` of the target, or add one to the route";
    /// Too many INVITEs of one source wait.
    HalfOpen = "half_open" Pbx 503 42 "too many calls of this source are not answered yet" "find out why they are not answered, or raise `half_open` of [guard]";
    /// No media port.
    NoMediaPort = "no_media_port" Gateway 503 47 "no free media port" "widen `ports` of [media]";
    /// The gateway is draining.
    Draining = "draining" Gateway 503 41 "gateway is draining" "wait for the Retry-After, or send to another gateway";
    /// OPTIONS alone hears this: a call tries the last target all the same.
    TargetsDown = "targets_down" Network 503 38 "every target is down" "see /api/targets for what each of them did last, and what to do about it";
    // --- the target
    /// The target did not answer the INVITE at all.
    TargetUnreachable = "target_unreachable" Network 408 102 "target did not respond" "check the target's address, DNS and firewall";
    /// Sending to the target failed.
    TargetTransport = "target_transport" Network 503 38 "target cannot be reached" "check the target's address, transport and DNS";
    /// It rang for too long.
    NoAnswer = "no_answer" Cloud 480 19 "target did not answer in time" "raise `ring_timeout` of the route, or add a fallback";
    /// It was busy.
    TargetBusy = "target_busy" Cloud 486 17 "target is busy" "none needed; a fallback can take such calls";
    /// It declined.
    TargetDeclined = "target_declined" Cloud 603 21 "target declined the call" "see the status and reason that the target gave";
    /// It refused us.
    TargetForbidden = "target_forbidden" Cloud 403 21 "target refused this gateway" "check allow-lists and credentials at the target";
    /// It asked for credentials.
    TargetWantsAuth = "target_wants_auth" Configuration 503 21 "target asks for credentials, or refused ours" "compare `auth` of the target (user, password, realm) with the account, or allow this gateway's address there";
    /// It does not know the address.
    TargetNotFound = "target_not_found" Configuration 404 1 "target does not know this address" "compare `uri` of the target with the sip_uri that Daily gave";
    /// It is not available now.
    TargetUnavailable = "target_unavailable" Cloud 480 20 "target is temporarily unavailable" "see the status and reason that the target gave";
    /// It had an error of its own.
    TargetFailed = "target_failed" Cloud 502 41 "target failed" "see the status and reason that the target gave";
    /// It is overloaded.
    TargetOverloaded = "target_overloaded" Cloud 503 42 "target is overloaded" "send fewer calls, or add a target to the route";
    /// It refused the media.
    TargetMedia = "target_media" Cloud 488 88 "target refused the offered media" "compare `codecs` of the target with what the PBX offers";
    /// It redirected.
    TargetRedirected = "target_redirected" Cloud 502 23 "target redirected the call to where it cannot be followed" "see where it redirects to: configure that as `uri`, or set `redirect` of the target";
    /// It answered something we cannot read.
    TargetBadAnswer = "target_bad_answer" Cloud 502 95 "target answered with an unusable session description" "the detail names the fault";
    /// It refused in another way.
    TargetRefused = "target_refused" Cloud 500 41 "target refused the call" "see the status and reason that the target gave";
    // --- during the call
    /// The PBX never acknowledged the answer.
    NoAck = "no_ack" Network 408 102 "answer was never acknowledged: the ACK did not arrive" "the ACK never reached this gateway: check `advertise` of [sip], NAT and the PBX's route to it";
    /// The PBX never acknowledged a reliable provisional response.
    NoPrack = "no_prack" Network 504 102 "provisional response was never acknowledged: the PRACK did not arrive" "the PRACK never reached this gateway: check `advertise` of [sip], NAT and the PBX's route to it, or set `reliable = \"off\"` of the trunk";
    /// The PBX did not refresh the session.
    SessionExpiredPbx = "session_expired_pbx" Network 408 102 "session expired: the PBX is gone or did not refresh it" "look for a restart or failover of the PBX at this time, or a firewall that drops long calls";
    /// The far side did not refresh the session.
    SessionExpiredCloud = "session_expired_cloud" Network 408 102 "session expired: the far side is gone or did not refresh it" "look for a restart or failover at the target at this time, or a firewall that drops long calls";
    /// No audio came from the PBX at first.
    NoAudioFromPbx = "no_audio_from_pbx" Network 408 27 "no audio ever came from the PBX" "check `advertise` of [media] and the firewall between the PBX and the media ports";
    /// No audio came from the cloud at first.
    NoAudioFromCloud = "no_audio_from_cloud" Network 408 27 "no audio ever came from the far side" "check `advertise` of [media] and the firewall towards the cloud";
    /// Audio from the PBX stopped.
    AudioStoppedPbx = "audio_stopped_pbx" Network 408 27 "audio from the PBX stopped" "the PBX vanished without BYE, or the network failed; `timeout` of [media] sets the patience";
    /// Audio from the cloud stopped.
    AudioStoppedCloud = "audio_stopped_cloud" Network 408 27 "audio from the far side stopped" "the far side vanished without BYE, or the network failed; `timeout` of [media] sets the patience";
    /// The PBX no longer knows the dialog.
    PbxLostDialog = "pbx_lost_dialog" Pbx 481 41 "PBX no longer knows this call" "look for a restart or failover of the PBX at this time";
    /// The far side no longer knows the dialog.
    CloudLostDialog = "cloud_lost_dialog" Cloud 481 41 "far side no longer knows this call" "look for a restart or failover at the target at this time";
    /// The party that a transfer named could not be had, and who asked for it is gone.
    TransferFailed = "transfer_failed" Pbx 480 20 "the party that the call was transferred to could not be reached" "the detail names the party and what it answered; a `fallback` of the route takes such callers";
    /// The hard deadline.
    TooLong = "too_long" Gateway 408 102 "call reached its longest allowed duration" "raise `max_duration` of [sip] if such calls are meant";
    /// The gateway stopped.
    GatewayStopped = "gateway_stopped" Gateway 503 41 "gateway stopped" "none needed";
    /// A defect of ours.
    Internal = "internal" Gateway 500 41 "internal error" "please report it with the call's record";
    // --- the companion
    /// Daily's webhook never came.
    WebhookMissing = "webhook_missing" Api 504 102 "the cloud's webhook for this call never came" "check `room_creation_api` at Daily and that it reaches [http] listen";
    /// The cloud hung up before the bot was met.
    HoldDropped = "hold_dropped" Cloud 502 41 "the cloud hung up while the caller was on hold" "look at the timeline: did the webhook come, and how far did the room get?";
    /// No room plan fits.
    NoRoomPlan = "no_room_plan" Configuration 404 3 "no room plan for this call" "add a [[room]] without conditions as the last one";
    /// The room could not be made.
    RoomFailed = "room_failed" Api 502 41 "room could not be created" "see the status that the REST interface gave; check `api_key` of [daily]";
    /// The token could not be made.
    TokenFailed = "token_failed" Api 502 41 "meeting token could not be created" "see the status that the REST interface gave; check `api_key` of [daily]";
    /// The bot could not be started.
    BotFailed = "bot_failed" Bot 502 41 "bot could not be started" "see the status that `start_url` gave";
    /// The bot never got ready.
    BotNotReady = "bot_not_ready" Bot 504 102 "bot did not get ready in time" "see the bot's log; raise `ready_timeout` of the room plan if it starts slowly";
    /// The caller could not be connected.
    UpdateFailed = "update_failed" Api 502 41 "caller could not be connected to the room" "see the status that pinlessCallUpdate gave";
    /// The fallback failed too.
    FallbackFailed = "fallback_failed" Configuration 503 41 "fallback could not be reached either" "check `fallback` of the route, and `address` or the registration of its trunk";
}

/// An end: a cause and the particulars of this case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// The row of the catalogue.
    pub cause: Cause,
    /// The particulars, for example `486 Busy Here`.
    pub detail: Option<String>,
    /// The status to send instead of the row's (what the far side said, where passing it on is honest).
    pub status: Option<u16>,
    /// The words to send with it instead of the row's: what the route's fallback says.
    pub phrase: Option<String>,
    /// The status that the far side gave, if it gave one.
    pub heard: Option<u16>,
    /// The `Contact` of a redirection that is passed on.
    pub contact: Option<String>,
    /// The warn-code of a refused session (RFC 3261 §20.43).
    pub warning: Option<u16>,
    /// The Q.850 cause to send instead of the row's: what the trunk's `causes` say.
    pub told: Option<u8>,
}

// === impl Termination ===

impl Termination {
    /// An end without particulars.
    #[must_use]
    pub const fn new(cause: Cause) -> Self {
        Self { cause, detail: None, status: None, phrase: None, heard: None, contact: None, warning: None, told: None }
    }

    /// With particulars.
    #[must_use]
    pub fn with_detail(cause: Cause, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::new(cause) }
    }

    /// With a warn-code.
    #[must_use]
    pub fn warning(self, code: u16) -> Self {
        Self { warning: Some(code), ..self }
    }

    /// The end that a final response of the target (300..=699) means.
    #[must_use]
    pub fn from_target(status: u16, reason: &str) -> Self {
        let cause = match status {
            300..=399 => Cause::TargetRedirected,
            401 | 407 => Cause::TargetWantsAuth,
            403 => Cause::TargetForbidden,
            404 | 410 | 604 => Cause::TargetNotFound,
            408 | 480 => Cause::TargetUnavailable,
            415 | 488 | 606 => Cause::TargetMedia,
            486 | 600 => Cause::TargetBusy,
            503 => Cause::TargetOverloaded,
            500..=599 => Cause::TargetFailed,
            603 | 607 | 608 => Cause::TargetDeclined,
            _ => Cause::TargetRefused,
        };
        // What the caller's side can act on is passed on as it came. Our own relation to the target is not: redirection,
        // credentials and hop-by-hop repairs (407, 420, 421, 422, 494) mean nothing to the PBX.
        let passed = matches!(status, 400 | 403..=406 | 408..=419 | 423..=493 | 495..=699);
        let detail = format!("{status} {reason}").trim_end().to_owned();
        Self { status: passed.then_some(status), heard: Some(status), ..Self::with_detail(cause, detail) }
    }

    /// Status towards the PBX while its INVITE is unanswered.
    #[must_use]
    pub fn sip_status(&self) -> u16 {
        self.status.unwrap_or(self.cause.entry().status)
    }

    /// Q.850 cause: the row's, unless the row gathers statuses that a PBX's routing tells apart (RFC 3398 §8.2.6.1).
    #[must_use]
    pub fn q850(&self) -> u8 {
        if let Some(told) = self.told {
            return told;
        }
        let row = self.cause.entry().q850;
        if !matches!(self.cause, Cause::TargetRefused | Cause::TargetFailed | Cause::TargetNotFound) {
            return row;
        }
        match self.heard {
            Some(405 | 501) => 63,
            Some(406) => 79,
            Some(410) => 22,
            Some(413 | 414 | 416 | 420 | 421 | 423 | 505 | 513) => 127,
            Some(482 | 483) => 25,
            Some(484) => 28,
            Some(502) => 38,
            Some(504) => 102,
            _ => row,
        }
    }

    /// The status that a route's `retry_on` is asked about: what the far side gave, or what its silence amounts to.
    #[must_use]
    pub fn retry_status(&self) -> u16 {
        match self.cause {
            Cause::NoAnswer | Cause::TargetUnreachable => 408,
            cause => self.heard.unwrap_or(cause.entry().status),
        }
    }

    /// The value of a `Reason` header field: SIP and Q.850 (RFC 3326). An ordinary end carries Q.850 alone, because
    /// `SIP;cause=200` would mean that the call was answered elsewhere.
    #[must_use]
    pub fn reason_header(&self) -> String {
        let entry = self.cause.entry();
        let text = self.phrase.clone().unwrap_or_else(|| self.text());
        let text = text.replace(['"', '\\'], "'").replace(|c: char| c.is_control(), " ");
        if self.sip_status() < 300 {
            return format!("Q.850;cause={};text=\"{text}\"", self.q850());
        }
        format!("SIP;cause={};text=\"{text}\", Q.850;cause={};text=\"{}\"", self.sip_status(), self.q850(), entry.code)
    }

    /// What happened, with the particulars.
    #[must_use]
    pub fn text(&self) -> String {
        let entry = self.cause.entry();
        match &self.detail {
            Some(detail) => format!("{}: {detail}", entry.text),
            None => entry.text.to_owned(),
        }
    }
}

impl fmt::Display for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text(), self.cause.entry().code)
    }
}

impl Serialize for Termination {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let entry = self.cause.entry();
        let mut out = serializer.serialize_struct("Termination", 7)?;
        out.serialize_field("code", entry.code)?;
        out.serialize_field("fault", &entry.fault)?;
        out.serialize_field("status", &self.sip_status())?;
        out.serialize_field("q850", &self.q850())?;
        out.serialize_field("text", entry.text)?;
        out.serialize_field("remedy", entry.remedy)?;
        out.serialize_field("detail", &self.detail)?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Termination};
    use std::collections::HashSet;

    #[test]
    fn every_cause_has_its_own_code_and_a_status_and_cause_that_exist() {
        let codes: HashSet<_> = Cause::ALL.iter().map(|cause| cause.entry().code).collect();
        assert_eq!(codes.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            let entry = cause.entry();
            assert!(entry.status == 200 || (400..700).contains(&entry.status), "{cause:?}");
            assert!((1..=127).contains(&entry.q850), "{cause:?}");
            assert!(!entry.text.contains('"') && !entry.remedy.is_empty(), "{cause:?}");
        }
    }

    #[test]
    fn what_the_target_says_reaches_the_pbx_where_the_pbx_can_act_on_it() {
        for status in [404, 480, 486, 488, 500, 503, 600, 603] {
            assert_eq!(Termination::from_target(status, "x").sip_status(), status);
        }
        assert_eq!(Termination::from_target(302, "Moved").sip_status(), 502);
        assert_eq!(Termination::from_target(401, "Unauthorized").sip_status(), 503);
        assert_eq!(Termination::from_target(407, "Proxy Authentication Required").sip_status(), 503);
        assert_eq!(Termination::from_target(420, "Bad Extension").sip_status(), 500);
    }

    #[test]
    fn the_reason_header_names_both_causes_and_cannot_be_broken_out_of() {
        let end = Termination::from_target(486, "Busy \"Here\"\r\nEvil: 1");
        let reason = end.reason_header();
        assert!(reason.starts_with("SIP;cause=486;text=\""), "{reason}");
        assert!(reason.contains("Q.850;cause=17"), "{reason}");
        assert!(!reason.contains('\r') && !reason.contains('\n'), "{reason}");
        assert_eq!(reason.matches('"').count(), 4, "{reason}");
    }

    #[test]
    fn words_of_their_own_replace_the_row_in_the_reason_header_but_not_its_code() {
        let end = Termination { phrase: Some("All bots are asleep".to_owned()), ..Termination::new(Cause::BotFailed) };
        let expected = "SIP;cause=502;text=\"All bots are asleep\", Q.850;cause=41;text=\"bot_failed\"";
        assert_eq!(end.reason_header(), expected);
        assert_eq!(end.text(), Cause::BotFailed.entry().text);
    }

    #[test]
    fn statuses_that_share_a_row_keep_the_q850_cause_that_a_pbx_routes_by() {
        for (status, cause) in [(404, 1), (410, 22), (405, 63), (483, 25), (484, 28), (500, 41), (502, 38), (504, 102)]
        {
            let end = Termination::from_target(status, "x");
            assert!(
                end.reason_header().contains(&format!("Q.850;cause={cause};")),
                "{status}: {}",
                end.reason_header()
            );
        }
    }

    #[test]
    fn an_ordinary_end_does_not_claim_that_the_call_was_answered_elsewhere() {
        assert!(Termination::new(Cause::CallerHungUp).reason_header().starts_with("Q.850;cause=16"));
    }
}
