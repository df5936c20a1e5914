//! A PBX registers: through the door, to the registrar, and the answer. Apart from calls, of which it is none.

use super::Policy;
use super::desk::Desk;
use super::entry::{self, Turned, Visitor};
use super::refusal;
use crate::error::{Cause, Termination};
use crate::sip::endpoint::{Headers, RequestId};
use crate::sip::{Message, Source, StatusCode};
use crate::trunk::registrar::{Limits, Register};
use std::time::Instant;

/// Answers a REGISTER.
pub(super) fn register(
    desk: &mut Desk,
    policy: &Policy,
    now: Instant,
    id: RequestId,
    request: &Message,
    source: &Source,
) {
    let trunk = match admitted(desk, policy, now, Visitor { request, source }) {
        Ok(trunk) => trunk,
        Err(Turned::Challenged(status, headers)) => {
            let _ = desk.endpoint.respond(now, id, status, None, headers, None);
            return;
        }
        Err(Turned::Refused(end, headers)) => return refuse(desk, now, id, source, &end, headers),
    };
    let sip = &policy.config.sip;
    let limits = Limits { shortest: sip.register_min.get(), longest: sip.register_max.get() };
    let reply = policy.registrar.register(now, limits, &Register { trunk: &trunk, request, source: *source });
    desk.metrics.trunk_registration(&trunk, reply.status.get(), reply.count.1);
    match reply.count {
        (0, 1..) => tracing::info!(%trunk, source = %source.peer, "the trunk has registered"),
        (1.., 0) => tracing::info!(%trunk, source = %source.peer, "the trunk has taken its registration back"),
        _ => {}
    }
    let _ = desk.endpoint.respond(now, id, reply.status, reply.reason, reply.headers, None);
}

/// The name of the trunk that may register.
fn admitted(desk: &mut Desk, policy: &Policy, now: Instant, visitor: Visitor<'_>) -> Result<String, Turned> {
    let nobody = !policy.config.trunks.iter().any(|trunk| trunk.register);
    if nobody {
        return Err(Termination::new(Cause::NoRegistrar).into());
    }
    if desk.settings.draining {
        return Err(Termination::new(Cause::Draining).into());
    }
    let trunk = entry::enter(desk, policy, now, visitor, &mut Vec::new())?;
    if !trunk.config.register {
        return Err(Termination::with_detail(Cause::NoRegistrar, format!("trunk {}", trunk.config.name)).into());
    }
    Ok(trunk.config.name.clone())
}

fn refuse(desk: &mut Desk, now: Instant, id: RequestId, source: &Source, end: &Termination, mut headers: Headers) {
    let entry = end.cause.entry();
    tracing::warn!(source = %source.peer.ip(), code = entry.code, remedy = entry.remedy, "a registration was refused");
    headers.extend(refusal::headers(end, &desk.settings.from_host));
    let status = StatusCode::new(end.sip_status()).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR);
    let _ = desk.endpoint.respond(now, id, status, Some(entry.text), headers, None);
}
