//! The terms that a leg is on: what the configuration of its trunk or target says about reliable provisional responses and
//! session timers, in the words of the SIP stack. Apart from both, which do not know each other.

use crate::config::session::{OwnTimer, PlainTimer, Refresher, Reliable, SessionTimer};
use crate::config::trunk::Trunk;
use crate::error::{Cause, Termination};
use crate::route::Target;
use crate::sip::endpoint::{Terms, Unfit};
use crate::sip::session::reliable::Wish;
use crate::sip::session::session_timer::{self, Policy, Preference};

/// Of a leg that a PBX made.
pub(super) fn of_caller(trunk: &Trunk) -> Terms {
    // What the PBX asks for costs nothing unless it is switched off.
    terms(trunk.reliable.unwrap_or(Reliable::Supported), trunk.session_timer)
}

/// Of a leg to a PBX: nothing is advertised there that was not configured.
pub(super) fn of_fallback(trunk: &Trunk) -> Terms {
    terms(trunk.reliable.unwrap_or(Reliable::Off), trunk.session_timer)
}

/// Of a leg to a target.
pub(super) fn of_target(target: &Target) -> Terms {
    terms(target.reliable, target.session_timer)
}

/// The end that an INVITE means which does not fit.
pub(super) fn termination(unfit: &Unfit) -> Termination {
    let cause = match unfit {
        Unfit::Off(_) => Cause::ExtensionOff,
        Unfit::Lacks(_) => Cause::ExtensionMissing,
        Unfit::TooSmall(_) => Cause::SessionTooShort,
    };
    Termination::with_detail(cause, unfit.to_string())
}

fn terms(reliable: Reliable, timer: SessionTimer) -> Terms {
    let reliable = match reliable {
        Reliable::Off => Wish::Off,
        Reliable::Supported => Wish::Supported,
        Reliable::Required => Wish::Required,
    };
    let session_timer = match timer {
        SessionTimer::Plain(PlainTimer::Off) => Policy::OFF,
        SessionTimer::Plain(PlainTimer::Accept) => Policy::ACCEPT,
        SessionTimer::Own(OwnTimer { expires, min_se, refresher }) => {
            let refresher = match refresher {
                Refresher::Any => Preference::Any,
                Refresher::Us => Preference::Us,
                Refresher::Peer => Preference::Peer,
            };
            let wish = session_timer::Wish::Ask { expires: expires.get(), refresher };
            Policy { wish, min_se: min_se.get() }
        }
    };
    Terms { reliable, session_timer }
}
