//! What leg B's peer shows of itself while it is called, and what follows for the next call: a target that is down is
//! passed over while another one is up. Apart from the bridge table, because it changes nothing for the call it is seen in.

use super::bridge::Happened;
use super::desk::Desk;
use super::events::Notice;
use super::state::{Attempt, Call};
use crate::observe::metrics::Reach;
use crate::record::{CallState, Step};
use crate::sip::Message;
use crate::trunk::health::{Health, Sign, Standing, Witness};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Whom a sign is about.
enum Whom {
    Target(String),
    Trunk(String),
}

impl Call {
    /// Leg B said something, or its silence did.
    pub fn note_reach(&self, desk: &Desk, now: Instant, notice: &Notice) {
        let sign = match notice.happened {
            Happened::Progress | Happened::Answered => Sign::Alive,
            Happened::Refused => {
                Sign::of_status(Witness::Call, notice.status, notice.message.as_ref().and_then(retry_after))
            }
            Happened::Unanswered if notice.status == 503 => Sign::Unreachable,
            Happened::Unanswered => Sign::Silent,
            _ => return,
        };
        self.note_sign(desk, now, sign);
    }

    /// Its time to ring is over. Whoever did not even ring was silent.
    pub fn note_no_answer(&self, desk: &Desk, now: Instant) {
        if self.journal.record().state == CallState::Calling {
            self.note_sign(desk, now, Sign::Silent);
        }
    }

    fn note_sign(&self, desk: &Desk, now: Instant, sign: Sign) {
        let (whom, health) = match &self.attempt {
            // Whom the target redirected to says nothing of the target, and neither does whom a transfer named.
            Attempt::Target { .. } if self.redirection.is_elsewhere() => return,
            Attempt::Transferred { .. } => return,
            Attempt::Target { target, .. } => (Whom::Target(target.name.clone()), Arc::clone(&target.health)),
            Attempt::Fallback { .. } => {
                let trunk = self.journal.record().fallback.as_deref().and_then(|name| self.policy.trunks.by_name(name));
                let Some(trunk) = trunk else { return };
                (Whom::Trunk(trunk.config.name.clone()), Arc::clone(&trunk.health))
            }
        };
        if let Some(standing) = health.note(now, Witness::Call, sign) {
            let reach = if standing == Standing::Up { Reach::Up } else { Reach::Down };
            match whom {
                Whom::Target(name) => desk.metrics.target_reach(&name, reach),
                Whom::Trunk(name) => desk.metrics.trunk_reach(&name, reach),
            }
        }
    }

    /// The first target from `position` on that is worth a try: one that is down is passed over if a later one is not.
    pub fn worth_a_try(&mut self, now: Instant, mut position: usize) -> usize {
        while let Some(target) = self.route.targets.get(position) {
            let another = self.route.targets.iter().skip(position + 1).any(|later| !later.health.is_down());
            if !another || !target.health.turns_away(now) {
                break;
            }
            let failed = Some(format!("`{}` is passed over: it is down {}", target.name, why(&target.health, now)));
            let targets = vec![target.name.clone()];
            self.journal.step(Step::Route { route: self.route.index, targets, failed });
            position += 1;
        }
        position
    }
}

/// Since when one is down, and what it did last.
fn why(health: &Health, now: Instant) -> String {
    let report = health.report();
    let since = report.since.map_or(0, |since| now.saturating_duration_since(since).as_secs());
    let trouble = report.trouble.and_then(|(sign, _)| sign.text()).unwrap_or_default();
    format!("for {since} s ({trouble})")
}

/// The seconds of `Retry-After` (RFC 3261 §20.33); its comment and parameters say nothing to us.
pub(crate) fn retry_after(response: &Message) -> Option<Duration> {
    let value = response.named("Retry-After").next()?;
    let digits = value.trim_ascii().iter().take_while(|byte| byte.is_ascii_digit()).count();
    let seconds = std::str::from_utf8(value.trim_ascii().get(..digits)?).ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
