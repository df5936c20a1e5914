//! The update: what is repeated, what is in doubt, and who connected the caller.

use super::*;

#[test]
fn an_update_that_surely_did_nothing_is_repeated() {
    for kind in [FailureKind::Refused(429), FailureKind::NotSent, FailureKind::Refused(404)] {
        let mut line = Line::new(WITH_BOT);
        line.until_update().requests();
        line.refused(Operation::Update, kind);
        assert_eq!(line.requests(), Vec::<String>::new());
        assert_eq!(line.fire(), Timer::Retry);
        assert_eq!(line.requests(), ["pinlessCallUpdate"], "{kind:?}");
        assert!(line.updated().connected());
    }
}

#[test]
fn an_update_that_may_have_worked_is_never_repeated() {
    for kind in [FailureKind::Lost, FailureKind::Refused(500), FailureKind::Refused(502), FailureKind::Refused(503)] {
        let mut line = Line::new(WITH_BOT);
        line.until_update().requests();
        line.refused(Operation::Update, kind);
        let (cause, detail) = line.failure().unwrap();
        assert_eq!(cause, Cause::UpdateFailed);
        assert!(detail.contains("may have worked"), "{detail}");
        assert_eq!(line.requests(), Vec::<String>::new());
    }
}

#[test]
fn a_doubtful_update_waits_for_evidence_where_there_can_be_some() {
    let doubtful = || {
        let mut line = Line::with_evidence(WITH_BOT);
        line.until_update().requests();
        line.refused(Operation::Update, FailureKind::Refused(502));
        assert_eq!(line.look(), (Stage::Update, vec![Timer::Update], vec![]));
        line
    };
    assert!(doubtful().feed(Input::InRoom(Proof::Event)).connected());
    let mut line = doubtful();
    assert_eq!(line.fire(), Timer::Update);
    let (cause, detail) = line.failure().unwrap();
    assert_eq!(cause, Cause::UpdateFailed);
    assert!(detail.contains("Refused(502)"), "{detail}");
}

#[test]
fn a_404_is_retried_a_few_times_and_not_after_the_caller_left() {
    let mut line = Line::new(WITH_BOT);
    line.until_update();
    for _ in 1..TRIES_AFTER_404 {
        line.refused(Operation::Update, FailureKind::Refused(404));
        assert_eq!(line.fire(), Timer::Retry);
    }
    assert_eq!(line.refused(Operation::Update, FailureKind::Refused(404)).cause(), Some(Cause::UpdateFailed));
    let mut line = Line::new(WITH_BOT);
    line.until_update().refused(Operation::Update, FailureKind::Refused(404)).requests();
    assert_eq!(line.feed(Input::LeftRoom(Proof::Event)).cause(), Some(Cause::UpdateFailed));
    assert_eq!(line.look(), (Stage::Over, vec![Timer::Linger], vec![]));
}

#[test]
fn a_caller_that_somebody_else_connected_is_not_connected_again() {
    let mut line = Line::new(WITH_BOT);
    line.until_bot().bot().requests();
    assert!(line.feed(Input::InRoom(Proof::Event)).connected());
    line.ready(ReadySource::Bot);
    assert_eq!(line.look(), (Stage::Connected, vec![], vec![]));
}

#[test]
fn in_a_shared_room_a_stranger_proves_nothing() {
    let mut line = Line::with_evidence(EXISTING);
    line.webhook().room().ready(ReadySource::Event).requests();
    line.feed(Input::InRoom(Proof::Event)).feed(Input::LeftRoom(Proof::Event));
    assert_eq!(line.look(), (Stage::Update, vec![Timer::Update], vec![]));
    let failed = line.refused(Operation::Update, FailureKind::Lost).cause();
    assert_eq!(failed, Some(Cause::UpdateFailed));
}
