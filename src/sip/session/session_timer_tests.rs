//! Session timers under a virtual clock.

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn expires(interval: u64, refresher: Option<Role>) -> Option<SessionExpires> {
    Some(SessionExpires { interval: seconds(interval), refresher })
}

fn asking(expires: u64, refresher: Preference) -> SessionTimer {
    SessionTimer::new(Policy { wish: Wish::Ask { expires: seconds(expires), refresher }, min_se: SMALLEST })
}

fn accepting() -> SessionTimer {
    SessionTimer::new(Policy::ACCEPT)
}

/// A request of a peer that knows timers.
fn asked(interval: u64, refresher: Option<Role>) -> Asked {
    Asked { expires: expires(interval, refresher), min_se: None, knows_timers: true }
}

#[test]
fn who_refreshes_does_so_at_half_of_the_interval() {
    let (now, mut timer) = (crate::clock::now(), asking(1800, Preference::Any));
    assert_eq!(timer.due(), None, "nothing runs before the answer");
    timer.answered(now, expires(1800, Some(Role::Uac)));
    assert_eq!(timer.running(), Some((Refresher::Us, seconds(1800))));
    assert_eq!(timer.due(), Some(now + seconds(900)));
    assert_eq!(timer.fired(now + seconds(899)), Due::Nothing);
    assert_eq!(timer.fired(now + seconds(900)), Due::Refresh);
    timer.answered(now + seconds(901), expires(1800, Some(Role::Uac)));
    assert_eq!(timer.due(), Some(now + seconds(1801)), "and again");
}

#[test]
fn a_refresher_that_is_gone_is_found_before_the_session_expires() {
    let (now, mut timer) = (crate::clock::now(), asking(1800, Preference::Peer));
    timer.answered(now, expires(1800, Some(Role::Uas)));
    assert_eq!(timer.due(), Some(now + seconds(1768)), "32 s before");
    assert_eq!(timer.fired(now + seconds(1767)), Due::Nothing);
    assert_eq!(timer.fired(now + seconds(1768)), Due::Expired);
    assert_eq!(timer.due(), None, "no timer is left behind");
    timer.answered(now, expires(90, Some(Role::Uas)));
    assert_eq!(timer.due(), Some(now + seconds(60)), "a third of a short interval");
}

#[test]
fn a_refresh_of_ours_that_is_never_answered_ends_the_session_in_time() {
    let (now, mut timer) = (crate::clock::now(), accepting());
    timer.answered(now, expires(90, Some(Role::Uac)));
    assert_eq!(timer.fired(now + seconds(45)), Due::Refresh);
    assert_eq!(timer.due(), Some(now + seconds(60)));
    assert_eq!(timer.fired(now + seconds(60)), Due::Expired);
}

#[test]
fn what_the_refresh_failed_of_decides_what_follows() {
    let (now, mut timer) = (crate::clock::now(), accepting());
    timer.answered(now, expires(1800, Some(Role::Uac)));
    let at = now + seconds(900);
    assert_eq!(timer.fired(at), Due::Refresh);
    assert_eq!(timer.refresh_failed(at, 491, None, seconds(3)), After::Again);
    assert_eq!(timer.due(), Some(at + seconds(3)), "glare waits as long as RFC 3261 says");
    assert_eq!(timer.fired(at + seconds(3)), Due::Refresh);
    assert_eq!(timer.refresh_failed(at, 500, Some(seconds(7)), seconds(3)), After::Again);
    assert_eq!(timer.due(), Some(at + seconds(7)), "Retry-After");
    assert_eq!(timer.refresh_failed(at, 503, None, seconds(3)), After::Again);
    assert_eq!(timer.due(), Some(at + AGAIN));
    assert_eq!(timer.refresh_failed(at, 405, None, seconds(3)), After::Otherwise);
    assert_eq!(timer.refresh_failed(at, 481, None, seconds(3)), After::Over);
    assert_eq!(timer.refresh_failed(at, 408, None, seconds(3)), After::Over);
    assert_eq!(timer.refresh_failed(at, 500, Some(seconds(86_400)), seconds(3)), After::Again);
    assert_eq!(timer.due(), Some(now + seconds(1768)), "never later than the end");
}

#[test]
fn a_422_is_followed_with_what_the_peer_wants_and_only_upwards() {
    let mut timer = asking(100, Preference::Any);
    assert_eq!(timer.offer().unwrap().min_se, None);
    assert!(timer.enlarge(Some(seconds(600))));
    let offer = timer.offer().unwrap();
    assert_eq!((offer.expires.unwrap().interval, offer.min_se), (seconds(600), Some(seconds(600))));
    assert!(!timer.enlarge(Some(seconds(600))), "the same again is no sense");
    assert!(!timer.enlarge(None), "a 422 without Min-SE cannot be followed");
    assert!(timer.enlarge(Some(seconds(601))) && timer.enlarge(Some(seconds(602))));
    assert!(!timer.enlarge(Some(seconds(603))), "who raises it without end is not followed without end");
    timer.answered(crate::clock::now(), expires(602, Some(Role::Uac)));
    assert!(timer.enlarge(Some(seconds(900))), "a later request begins anew");
    assert_eq!(timer.offer().unwrap().expires, expires(900, Some(Role::Uac)), "the roles stay");
}

#[test]
fn too_small_an_interval_of_the_peer_gets_422_if_it_would_understand() {
    let timer = SessionTimer::new(Policy { min_se: seconds(300), ..Policy::ACCEPT });
    assert_eq!(timer.judge(&asked(299, None)), Err(TooSmall { min_se: seconds(300) }));
    assert_eq!(timer.judge(&asked(300, None)), Ok(()));
    assert_eq!(timer.judge(&Asked { knows_timers: false, ..asked(60, None) }), Ok(()), "a proxy put it in");
    assert_eq!(SessionTimer::new(Policy::OFF).judge(&asked(1, None)), Ok(()), "timers are not understood");
    let lowest = SessionTimer::new(Policy { min_se: Duration::ZERO, ..Policy::ACCEPT });
    assert_eq!(lowest.judge(&asked(89, None)), Err(TooSmall { min_se: SMALLEST }), "never below the RFC's");
}

#[test]
fn a_min_se_of_zero_is_no_reason_to_refuse() {
    let (now, mut timer) = (crate::clock::now(), accepting());
    let request = Asked { min_se: Some(Duration::ZERO), ..asked(1800, Some(Role::Uac)) };
    assert_eq!(timer.judge(&request), Ok(()));
    assert_eq!(timer.grant(now, &request).unwrap().expires, expires(1800, Some(Role::Uac)).unwrap());
}

#[test]
fn the_table_of_the_rfc_says_who_refreshes() {
    // RFC 4028 §9, Table 2: does the caller know timers, whom does it name, who refreshes?
    let rows = [
        (true, Some(Role::Uac), Role::Uac, Refresher::Peer),
        (true, Some(Role::Uas), Role::Uas, Refresher::Us),
        (true, None, Role::Uac, Refresher::Peer),
        (false, None, Role::Uas, Refresher::Us),
        (false, Some(Role::Uac), Role::Uas, Refresher::Us),
    ];
    for (knows_timers, named, role, refresher) in rows {
        let mut timer = accepting();
        let request = Asked { knows_timers, ..asked(600, named) };
        let granted = timer.grant(crate::clock::now(), &request).unwrap();
        assert_eq!(granted.expires.refresher, Some(role), "{knows_timers} {named:?}");
        assert_eq!(granted.required, knows_timers);
        assert_eq!(timer.running(), Some((refresher, seconds(600))));
    }
}

#[test]
fn a_policy_of_its_own_shortens_and_never_lengthens() {
    let now = crate::clock::now();
    let interval = |asked: &Asked| asking(600, Preference::Us).grant(now, asked).unwrap().expires.interval;
    assert_eq!(interval(&asked(1800, None)), seconds(600));
    assert_eq!(interval(&asked(300, None)), seconds(300));
    assert_eq!(interval(&Asked { min_se: Some(seconds(900)), ..asked(1800, None) }), seconds(900), "not below Min-SE");
    let granted = asking(600, Preference::Us).grant(now, &Asked::default()).unwrap();
    assert_eq!(granted.expires, expires(600, Some(Role::Uas)).unwrap(), "a caller without timers gets ours");
    assert!(!granted.required, "and is not asked to understand it");
}

#[test]
fn timers_that_are_off_or_not_asked_for_do_not_run() {
    let now = crate::clock::now();
    let mut off = SessionTimer::new(Policy::OFF);
    assert_eq!((off.offer(), off.grant(now, &asked(600, None))), (None, None));
    off.answered(now, expires(600, Some(Role::Uac)));
    assert_eq!(off.due(), None);
    let mut accept = accepting();
    assert_eq!(accept.offer(), Some(Offer { expires: None, min_se: None }), "Supported: timer and no more");
    assert_eq!(accept.grant(now, &Asked { knows_timers: true, ..Asked::default() }), None);
    accept.answered(now, None);
    assert_eq!(accept.due(), None);
}

#[test]
fn a_peer_without_timers_is_refreshed_by_who_asked_for_them() {
    let (now, mut timer) = (crate::clock::now(), asking(600, Preference::Peer));
    timer.answered(now, None);
    assert_eq!(timer.running(), Some((Refresher::Us, seconds(600))));
    assert_eq!(timer.offer().unwrap().expires, expires(600, Some(Role::Uac)));
}

#[test]
fn a_refresh_of_the_peer_starts_the_clock_anew_and_may_swap_the_roles() {
    let (now, mut timer) = (crate::clock::now(), accepting());
    timer.grant(now, &asked(600, Some(Role::Uac)));
    assert_eq!(timer.due(), Some(now + seconds(568)));
    timer.grant(now + seconds(300), &asked(600, Some(Role::Uac)));
    assert_eq!(timer.due(), Some(now + seconds(868)));
    timer.grant(now + seconds(600), &asked(600, Some(Role::Uas)));
    assert_eq!(timer.running(), Some((Refresher::Us, seconds(600))), "now it is our turn");
    assert_eq!(timer.due(), Some(now + seconds(900)));
}

#[test]
fn a_change_of_the_session_that_says_nothing_of_timers_keeps_them() {
    let (now, mut timer) = (crate::clock::now(), accepting());
    timer.answered(now, expires(600, Some(Role::Uac)));
    let granted = timer.grant(now + seconds(10), &Asked { knows_timers: true, ..Asked::default() }).unwrap();
    assert_eq!(granted.expires, expires(600, Some(Role::Uas)).unwrap(), "we refreshed, and still do");
}

#[test]
fn a_session_that_is_over_has_no_timer() {
    let (now, mut timer) = (crate::clock::now(), accepting());
    timer.answered(now, expires(600, Some(Role::Uac)));
    timer.stop();
    assert_eq!((timer.due(), timer.fired(now + seconds(6000))), (None, Due::Nothing));
    timer.answered(now, Some(SessionExpires { interval: Duration::ZERO, refresher: None }));
    assert_eq!(timer.due(), None, "zero is no interval");
}
