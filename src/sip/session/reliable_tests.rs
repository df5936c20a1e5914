//! Reliable provisional responses under a virtual clock.

use super::{Arrival, Described, Due, Inbox, Outbox, Unknown, Verdict};
use std::time::{Duration, Instant};

const T1: Duration = Duration::from_millis(500);

fn outbox() -> (Instant, Outbox<&'static str>) {
    (crate::clock::now(), Outbox::new(T1, 7))
}

#[test]
fn a_response_is_repeated_with_doubling_gaps_until_64_t1_and_then_given_up() {
    let (start, mut outbox) = outbox();
    assert_eq!(outbox.push(start, "180", Described::No), Verdict::Send("180", 7));
    let mut at = Vec::new();
    let end = loop {
        let due = outbox.due().expect("armed until it is given up");
        match outbox.fired(due) {
            Due::Again(item) => {
                assert_eq!(*item, "180");
                at.push((due - start).as_millis());
            }
            Due::GivenUp => break due - start,
            Due::Nothing => panic!("due for nothing"),
        }
    };
    assert_eq!(at, [500, 1500, 3500, 7500, 15_500, 31_500]);
    assert_eq!(end, T1 * 64);
    assert_eq!(outbox.due(), None, "nothing is armed any more");
}

#[test]
fn a_timer_that_fires_early_does_nothing() {
    let (start, mut outbox) = outbox();
    outbox.push(start, "180", Described::No);
    assert_eq!(outbox.fired(start + T1 / 2), Due::Nothing);
    assert_eq!(outbox.due(), Some(start + T1));
}

#[test]
fn a_second_response_waits_for_the_prack_to_the_first_and_has_the_next_number() {
    let (now, mut outbox) = outbox();
    outbox.push(now, "180", Described::No);
    assert_eq!(outbox.push(now, "183", Described::Yes), Verdict::Wait);
    assert_eq!(outbox.next(now), None, "the first one is outstanding");
    assert_eq!(outbox.acknowledge(7), Ok(Described::No));
    assert_eq!(outbox.next(now), Some(("183", 8)));
    assert_eq!(outbox.acknowledge(8), Ok(Described::Yes));
    assert_eq!((outbox.next(now), outbox.due()), (None, None));
}

#[test]
fn a_prack_counts_once_and_only_for_its_own_response() {
    let (now, mut outbox) = outbox();
    outbox.push(now, "180", Described::No);
    assert_eq!(outbox.acknowledge(6), Err(Unknown));
    assert_eq!(outbox.acknowledge(8), Err(Unknown));
    assert_eq!(outbox.acknowledge(7), Ok(Described::No));
    assert_eq!(outbox.acknowledge(7), Err(Unknown));
}

#[test]
fn only_a_description_holds_the_answer_back() {
    let (now, mut outbox) = outbox();
    outbox.push(now, "180", Described::No);
    assert!(!outbox.holds_back_success());
    outbox.push(now, "183", Described::Yes);
    assert!(!outbox.holds_back_success(), "a description that was never sent binds nobody");
    outbox.acknowledge(7).unwrap();
    outbox.next(now);
    assert!(outbox.holds_back_success());
    outbox.acknowledge(8).unwrap();
    assert!(!outbox.holds_back_success());
}

#[test]
fn after_the_final_response_nothing_is_repeated_but_its_prack_is_known() {
    let (now, mut outbox) = outbox();
    outbox.push(now, "180", Described::No);
    outbox.push(now, "183", Described::Yes);
    outbox.close();
    assert_eq!(outbox.due(), None);
    assert_eq!(outbox.fired(now + T1 * 64), Due::Nothing);
    assert_eq!(outbox.acknowledge(7), Ok(Described::No));
    assert_eq!(outbox.next(now), None);
    assert_eq!(outbox.push(now, "180", Described::No), Verdict::Drop);
}

#[test]
fn who_rings_without_end_does_not_fill_the_memory() {
    let (now, mut outbox) = outbox();
    let verdicts: Vec<_> = (0..100).map(|_| outbox.push(now, "180", Described::No)).collect();
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Wait).count(), super::MOST_WAITING);
}

#[test]
fn the_first_number_is_kept_within_the_rfcs_bounds() {
    let now = crate::clock::now();
    assert_eq!(Outbox::new(T1, 0).push(now, (), Described::No), Verdict::Send((), 1));
    assert_eq!(Outbox::new(T1, u32::MAX).push(now, (), Described::No), Verdict::Send((), 0x7fff_ffff));
}

#[test]
fn the_peers_responses_are_taken_in_order_each_once() {
    let mut inbox = Inbox::default();
    assert_eq!(inbox.take(988_789), Arrival::Next, "any number may be the first");
    assert_eq!(inbox.take(988_789), Arrival::Repeated);
    assert_eq!(inbox.take(988_791), Arrival::TooEarly);
    assert_eq!(inbox.take(988_790), Arrival::Next);
    assert_eq!(inbox.take(988_791), Arrival::Next, "what came too early comes again");
    assert_eq!(inbox.take(988_789), Arrival::Repeated);
    assert_eq!(Inbox { last: Some(u32::MAX) }.take(u32::MAX), Arrival::Repeated);
}
