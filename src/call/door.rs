//! The door: whether a stranger's request is looked at, and what OPTIONS is told of the room inside. Apart from the
//! calls, because both are asked where there is no call, and must say the same as a call would find.

use super::Policy;
use super::desk::Desk;
use super::refusal::{RETRY_AFTER_DRAINING, RETRY_AFTER_FULL};
use crate::error::{Cause, Termination};
use crate::guard::Refusal;
use crate::route::Target;
use crate::sip::endpoint::Headers;
use crate::sip::{Message, Method, Source, StatusCode};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// Does this message go on to the endpoint? A peer's always; a stranger's if it belongs to something that is here, or if
/// strangers are answered.
pub(super) fn opens(desk: &Desk, policy: &Policy, now: Instant, source: &Source, message: &Message) -> bool {
    let from = source.peer.ip();
    // An ACK is never answered, so that it tells nobody anything.
    if !policy.guard.is_stranger(from) || message.method() == Method::Ack || desk.endpoint.expects(message) {
        return true;
    }
    // Whom only the user would name is asked for it first.
    let may_prove = matches!(message.method(), Method::Invite | Method::Register);
    if may_prove && policy.trunks.by_user().next().is_some() {
        return true;
    }
    match policy.guard.new_request(now, from, message.call_id()) {
        Ok(()) => true,
        Err(refusal) => {
            turned_away(desk, refusal);
            false
        }
    }
}

fn turned_away(desk: &Desk, refusal: Refusal) {
    desk.metrics.admission_refused(refusal.code());
}

/// The answer to OPTIONS outside of a dialog (RFC 3261 §11.2: the same as an INVITE would get).
pub(super) fn ping(desk: &Desk, policy: &Policy, now: Instant, source: IpAddr) -> (StatusCode, Headers) {
    match obstacle(desk, policy, now, source.to_canonical()) {
        None => (StatusCode::OK, Headers::new()),
        Some(end) => {
            let status = StatusCode::new(end.sip_status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            let mut headers: Headers = vec![(Cow::Borrowed("Reason"), end.reason_header())];
            if let Some(seconds) = retry_after(end.cause) {
                headers.push((Cow::Borrowed("Retry-After"), seconds.to_string()));
            }
            (status, headers)
        }
    }
}

/// Why a call from there would be refused now.
fn obstacle(desk: &Desk, policy: &Policy, now: Instant, source: IpAddr) -> Option<Termination> {
    let registered = || policy.trunks.by_name(&policy.registrar.trunk_at(now, source)?);
    let Some(trunk) = policy.trunks.matching(source, &mut vec![]).or_else(registered) else {
        desk.metrics.admission_refused(Cause::UnknownSource.entry().code);
        return Some(Termination::with_detail(Cause::UnknownSource, source.to_string()));
    };
    if desk.settings.draining {
        return Some(Termination::new(Cause::Draining));
    }
    if trunk.admission.is_full() {
        return Some(Termination::new(Cause::TrunkFull));
    }
    if !desk.plane.has_room() {
        return Some(Termination::new(Cause::NoMediaPort));
    }
    targets(policy.routes.reachable(&trunk.config.name)).map(Termination::new)
}

/// Why none of these targets would take a call; a trunk without any is for calls towards it, and lacks nothing.
pub(crate) fn targets<'t>(targets: impl Iterator<Item = &'t Arc<Target>>) -> Option<Cause> {
    let mut cause = None;
    for target in targets {
        cause = match (target.health.is_down(), target.admission.is_full()) {
            (true, _) => cause.or(Some(Cause::TargetsDown)),
            (false, true) => Some(Cause::TargetFull),
            (false, false) => return None,
        };
    }
    cause
}

fn retry_after(cause: Cause) -> Option<u32> {
    match cause {
        Cause::Draining | Cause::TargetsDown => Some(RETRY_AFTER_DRAINING),
        cause if cause.entry().status == 503 => Some(RETRY_AFTER_FULL),
        _ => None,
    }
}
