//! Up and down under a virtual clock.

use super::*;
use crate::config::value::Span;

const SECOND: Duration = Duration::from_secs(1);

fn probed() -> (Health, Keepalive, Instant) {
    let keepalive = Keepalive { down_after: 3, up_after: 2, ..Keepalive::every(Span::from_secs(30)) };
    let health = Health::default();
    health.set_rule(Some(&keepalive));
    (health, keepalive, crate::clock::now())
}

fn unprobed() -> (Health, Instant) {
    (Health::default(), crate::clock::now())
}

fn probe(health: &Health, now: Instant, sign: Sign) -> Option<Standing> {
    health.note(now, Witness::Probe, sign)
}

#[test]
fn one_lost_answer_is_not_down_and_three_in_a_row_are() {
    let (health, _, now) = probed();
    assert_eq!(probe(&health, now, Sign::Alive), Some(Standing::Up));
    for _ in 0..5 {
        assert_eq!(probe(&health, now, Sign::Silent), None);
        assert_eq!(probe(&health, now, Sign::Unreachable), None);
        assert_eq!(probe(&health, now, Sign::Alive), None);
    }
    assert_eq!(probe(&health, now, Sign::Silent), None);
    assert_eq!(probe(&health, now, Sign::Silent), None);
    assert_eq!(probe(&health, now, Sign::Silent), Some(Standing::Down));
    assert!(health.is_down() && health.turns_away(now));
    assert_eq!(health.report().trouble, Some((Sign::Silent, now)));
}

#[test]
fn one_answer_is_not_up_again_and_two_in_a_row_are() {
    let (health, _, now) = probed();
    for _ in 0..3 {
        probe(&health, now, Sign::Silent);
    }
    assert_eq!(probe(&health, now, Sign::Alive), None);
    assert_eq!(probe(&health, now, Sign::Silent), None);
    assert_eq!(probe(&health, now, Sign::Alive), None);
    assert!(health.turns_away(now));
    let up = now + SECOND;
    assert_eq!(probe(&health, up, Sign::Alive), Some(Standing::Up));
    assert!(!health.turns_away(up));
    assert_eq!(health.report().since, Some(up));
}

#[test]
fn a_503_is_down_at_once_and_rests_for_as_long_as_it_asked() {
    let (health, keepalive, now) = probed();
    probe(&health, now, Sign::Alive);
    let sign = Sign::of_status(Witness::Probe, 503, Some(90 * SECOND));
    assert_eq!(probe(&health, now, sign), Some(Standing::Down));
    assert_eq!(health.next_probe(now, &keepalive), 90 * SECOND);
    assert_eq!(health.next_probe(now + 80 * SECOND, &keepalive), 30 * SECOND);
    probe(&health, now, Sign::Unavailable(Some(SECOND * 86_400)));
    assert_eq!(health.next_probe(now, &keepalive), LONGEST_REST);
}

#[test]
fn any_other_refusal_shows_life() {
    for status in [200, 401, 403, 404, 405, 407, 480, 481, 483, 486, 488, 500, 501, 504, 603] {
        let (health, _, now) = probed();
        assert_eq!(probe(&health, now, Sign::of_status(Witness::Probe, status, None)), Some(Standing::Up), "{status}");
    }
}

#[test]
fn a_408_is_silence_to_a_question_and_a_word_to_a_call() {
    assert_eq!(Sign::of_status(Witness::Probe, 408, None), Sign::Silent);
    assert_eq!(Sign::of_status(Witness::Call, 408, None), Sign::Alive);
}

#[test]
fn it_is_asked_sooner_while_an_opinion_is_formed() {
    let (health, keepalive, now) = probed();
    probe(&health, now, Sign::Alive);
    assert_eq!(health.next_probe(now, &keepalive), 30 * SECOND);
    probe(&health, now, Sign::Silent);
    assert_eq!(health.next_probe(now, &keepalive), 5 * SECOND);
}

#[test]
fn calls_speak_for_and_against_a_probed_one_too() {
    let (health, _, now) = probed();
    probe(&health, now, Sign::Alive);
    for _ in 0..2 {
        health.note(now, Witness::Call, Sign::Silent);
    }
    health.note(now, Witness::Call, Sign::Alive);
    for _ in 0..2 {
        assert_eq!(health.note(now, Witness::Call, Sign::Unreachable), None);
    }
    assert_eq!(probe(&health, now, Sign::Silent), Some(Standing::Down));
}

#[test]
fn a_call_refused_for_lack_of_room_takes_a_target_away_only_if_it_says_for_how_long() {
    let (health, now) = unprobed();
    assert_eq!(health.note(now, Witness::Call, Sign::Unavailable(None)), Some(Standing::Up));
    assert_eq!(health.note(now, Witness::Call, Sign::Unavailable(Some(10 * SECOND))), Some(Standing::Down));
    assert!(health.turns_away(now + 9 * SECOND));
    assert!(!health.turns_away(now + 10 * SECOND), "its time is over: one call tries it");
    assert!(health.turns_away(now + 11 * SECOND), "one, not all");
    assert_eq!(health.note(now + 12 * SECOND, Witness::Call, Sign::Alive), Some(Standing::Up));
}

#[test]
fn one_that_nobody_probes_is_tried_by_a_call_now_and_then() {
    let (health, now) = unprobed();
    for _ in 0..3 {
        health.note(now, Witness::Call, Sign::Silent);
    }
    assert!(health.turns_away(now));
    let later = now + TRIAL;
    assert!(!health.turns_away(later));
    assert!(health.turns_away(later));
    health.note(later + 32 * SECOND, Witness::Call, Sign::Silent);
    assert!(health.turns_away(later + 40 * SECOND), "the trial failed, the rest begins again");
    assert!(!health.turns_away(later + 32 * SECOND + TRIAL));
}

#[test]
fn a_call_of_its_own_shows_that_a_trunk_lives_unless_it_is_probed() {
    let (health, now) = unprobed();
    assert_eq!(health.note(now, Witness::Caller, Sign::Alive), Some(Standing::Up));
    let (health, _, now) = probed();
    for _ in 0..3 {
        probe(&health, now, Sign::Silent);
        health.note(now, Witness::Caller, Sign::Alive);
    }
    assert_eq!(health.report().standing, Standing::Down);
}
