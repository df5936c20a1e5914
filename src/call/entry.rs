//! Who comes in: the trunk of a request by its address, by its registration, or by the user that it proves to be. Apart
//! from the setup of calls, because a REGISTER comes through the same door.

use super::Policy;
use super::desk::Desk;
use crate::error::{Cause, Termination};
use crate::observe::metrics::NONE;
use crate::record::Step;
use crate::sip::auth::server::Asked;
use crate::sip::auth::{Hash, Login, Refusal};
use crate::sip::endpoint::Headers;
use crate::sip::{Message, Source, StatusCode};
use crate::trunk::Trunk;
use std::sync::Arc;
use std::time::Instant;

/// A request that wants to come in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visitor<'a> {
    pub request: &'a Message,
    pub source: &'a Source,
}

/// Why it does not come in, yet or at all.
#[derive(Debug)]
pub(super) enum Turned {
    /// It is to come again with credentials; nothing ended by that.
    Challenged(StatusCode, Headers),
    /// It is refused, with these header fields besides the reason.
    Refused(Termination, Headers),
}

/// Who might it be?
struct Candidates<'p> {
    /// The trunk that its address stands for; empty if only the user can tell.
    scope: &'p str,
    trunks: Vec<(&'p Arc<Trunk>, &'p Arc<Login>)>,
}

impl From<Termination> for Turned {
    fn from(termination: Termination) -> Self {
        Self::Refused(termination, Headers::new())
    }
}

/// The trunk that a request belongs to.
pub(super) fn enter(
    desk: &mut Desk,
    policy: &Policy,
    now: Instant,
    visitor: Visitor<'_>,
    steps: &mut Vec<Step>,
) -> Result<Arc<Trunk>, Turned> {
    let source = visitor.source.peer.ip().to_canonical();
    if let Some(trunk) = policy.trunks.matching(source, steps) {
        let Some(login) = &trunk.login else { return Ok(trunk) };
        let candidates = Candidates { scope: &trunk.config.name, trunks: vec![(&trunk, login)] };
        return prove(desk, policy, now, visitor, &candidates, steps);
    }
    if let Some(target) = policy.standings.target_at(source) {
        return Err(Termination::with_detail(Cause::CallFromTarget, format!("target {target}")).into());
    }
    let registered = policy.registrar.trunk_at(now, source).and_then(|name| policy.trunks.by_name(&name));
    if let Some(trunk) = &registered
        && let Some(login) = &trunk.login
    {
        let verdict = format!("{source} is where trunk `{}` registered from", trunk.config.name);
        steps.push(Step::Admission { gate: "register".to_owned(), verdict });
        // The nonces of its REGISTER are from before it was known: the scope stays the same.
        return prove(desk, policy, now, visitor, &Candidates { scope: "", trunks: vec![(trunk, login)] }, steps);
    }
    let trunks: Vec<_> = policy.trunks.by_user().collect();
    if trunks.is_empty() {
        return Err(Termination::with_detail(Cause::UnknownSource, source.to_string()).into());
    }
    prove(desk, policy, now, visitor, &Candidates { scope: "", trunks }, steps)
}

fn prove(
    desk: &mut Desk,
    policy: &Policy,
    now: Instant,
    visitor: Visitor<'_>,
    candidates: &Candidates<'_>,
    steps: &mut Vec<Step>,
) -> Result<Arc<Trunk>, Turned> {
    let Some(guard) = desk.endpoint.guard() else { return Err(Termination::new(Cause::Internal).into()) };
    let asked = Asked { scope: candidates.scope, source: visitor.source.peer.ip(), request: visitor.request };
    let logins: Vec<&Login> = candidates.trunks.iter().map(|(_, login)| login.as_ref()).collect();
    let checked = guard.check(now, &asked, &logins);
    let proven = checked.map(|position| candidates.trunks.get(position));
    let why = match proven {
        Ok(Some((trunk, login))) => {
            desk.metrics.auth_attempt(&trunk.config.name, "accepted");
            let verdict = format!("proved to be user `{}` of trunk `{}`", login.username, trunk.config.name);
            steps.push(Step::Admission { gate: "auth".to_owned(), verdict });
            policy.guard.acquaint(asked.source.to_canonical());
            return Ok(Arc::clone(trunk));
        }
        Ok(None) => Refusal::Wrong,
        Err(why) => why,
    };
    let hashes: Vec<Hash> = logins.iter().flat_map(|login| login.hashes.iter().copied()).collect();
    let (status, headers) = guard.turn_away(now, &asked, &hashes, why);
    let label = if candidates.scope.is_empty() { NONE } else { candidates.scope };
    desk.metrics.auth_attempt(label, why.as_str());
    let cause = match why {
        Refusal::Missing | Refusal::Stale | Refusal::Replayed => return Err(Turned::Challenged(status, headers)),
        Refusal::Malformed | Refusal::Wrong => {
            policy.guard.failed_login(now, asked.source);
            Cause::WrongCredentials
        }
        Refusal::Limited { .. } => Cause::WrongTooOften,
    };
    steps.push(Step::Admission { gate: "auth".to_owned(), verdict: cause.entry().text.to_owned() });
    Err(Turned::Refused(Termination::new(cause), headers))
}
