//! The budget under a virtual clock.

use super::*;
use crate::clock::Entropy;

const PATIENCE: Duration = Duration::from_secs(3_600);

fn limits(all: u32, updates: Option<u32>) -> Limits {
    Limits { all, updates }
}

/// Lets everything that waits leave as early as it may; when each left.
fn drain(budget: &mut Budget<u32>, mut now: Instant) -> Vec<(Instant, Rank, u32)> {
    let mut left = vec![];
    while let Some(due) = budget.due(now) {
        now = now.max(due);
        let (rank, what, _) = budget.next(now).expect("what is due leaves");
        left.push((now, rank, what));
    }
    left
}

/// The most that left in any second.
fn busiest_second(times: &[Instant]) -> usize {
    let within =
        |from: &Instant| times.iter().filter(|at| *at >= from && at.duration_since(*from).as_secs() < 1).count();
    times.iter().map(within).max().unwrap_or(0)
}

#[test]
fn no_second_sees_more_than_the_limit_whatever_the_limit() {
    for limit in [1, 2, 3, 5, 19, 20, 100] {
        let now = crate::clock::now();
        let mut budget = Budget::new(limits(limit, None));
        for number in 0..limit * 5 {
            budget.enqueue(now, Rank::Creation, number, now + PATIENCE).unwrap();
        }
        let left = drain(&mut budget, now);
        assert_eq!(left.iter().map(|(.., what)| *what).collect::<Vec<_>>(), (0..limit * 5).collect::<Vec<_>>());
        let times: Vec<Instant> = left.iter().map(|(at, ..)| *at).collect();
        assert!(busiest_second(&times) <= limit as usize, "{limit}: {}", busiest_second(&times));
        let took = times.last().unwrap().duration_since(now);
        assert!(took <= Duration::from_secs(10), "{limit} a second took {took:?} for five seconds' worth");
    }
}

#[test]
fn no_second_sees_more_than_the_limit_when_requests_come_at_random() {
    for seed in 0..200 {
        let mut entropy = Entropy::seeded(seed);
        let limit = 1 + u32::try_from(entropy.below(30)).unwrap();
        let updates = (entropy.below(2) == 0).then(|| 1 + u32::try_from(entropy.below(3)).unwrap());
        let mut budget = Budget::new(limits(limit, updates));
        let (mut now, mut left) = (crate::clock::now(), vec![]);
        for number in 0..300 {
            now += Duration::from_millis(entropy.below(80));
            let rank = Rank::ALL[usize::try_from(entropy.below(2)).unwrap()];
            let _ = budget.enqueue(now, rank, number, now + Duration::from_secs(entropy.below(9)));
            if entropy.below(50) == 0 {
                budget.refused(now, rank, (entropy.below(2) == 0).then(|| Duration::from_secs(entropy.below(4))));
            }
            while let Some((rank, ..)) = budget.next(now) {
                left.push((now, rank));
            }
        }
        let times: Vec<Instant> = left.iter().map(|(at, _)| *at).collect();
        assert!(busiest_second(&times) <= limit as usize, "seed {seed}");
        let of_updates: Vec<Instant> =
            left.iter().filter(|(_, rank)| *rank == Rank::Update).map(|(at, _)| *at).collect();
        if let Some(limit) = updates {
            assert!(busiest_second(&of_updates) <= limit as usize, "seed {seed}");
        }
    }
}

#[test]
fn a_lone_request_leaves_at_once() {
    let now = crate::clock::now();
    let mut budget = Budget::new(limits(20, Some(1)));
    budget.enqueue(now, Rank::Update, 1, now + PATIENCE).unwrap();
    assert_eq!(budget.due(now), Some(now));
    assert_eq!(budget.next(now), Some((Rank::Update, 1, Duration::ZERO)));
    assert_eq!((budget.next(now), budget.due(now)), (None, None));
}

#[test]
fn updates_go_before_creations_that_came_earlier() {
    let now = crate::clock::now();
    let mut budget = Budget::new(limits(1, None));
    for number in 0..3 {
        budget.enqueue(now, Rank::Creation, number, now + PATIENCE).unwrap();
    }
    budget.enqueue(now, Rank::Update, 9, now + PATIENCE).unwrap();
    let order: Vec<u32> = drain(&mut budget, now).into_iter().map(|(.., what)| what).collect();
    assert_eq!(order, [9, 0, 1, 2]);
}

#[test]
fn updates_of_a_class_of_their_own_do_not_stop_creations() {
    let now = crate::clock::now();
    let mut budget = Budget::new(limits(20, Some(1)));
    for number in 0..3 {
        budget.enqueue(now, Rank::Update, number, now + PATIENCE).unwrap();
        budget.enqueue(now, Rank::Creation, 10 + number, now + PATIENCE).unwrap();
    }
    let order: Vec<(Duration, u32)> =
        drain(&mut budget, now).into_iter().map(|(at, _, what)| (at.duration_since(now), what)).collect();
    let seconds = Duration::from_secs;
    assert_eq!(
        order,
        [(seconds(0), 0), (seconds(0), 10), (seconds(0), 11), (seconds(0), 12), (seconds(1), 1), (seconds(2), 2)]
    );
}

#[test]
fn what_cannot_leave_in_time_is_not_taken() {
    let now = crate::clock::now();
    let mut budget = Budget::new(limits(2, None));
    let by = now + Duration::from_secs(3);
    let taken = (0..100).filter(|number| budget.enqueue(now, Rank::Creation, *number, by).is_ok()).count();
    assert_eq!(taken, 6, "one at once, then two a second, none at the deadline");
    assert_eq!(drain(&mut budget, now).len(), taken);
    let refused = budget.enqueue(now, Rank::Creation, 1, now);
    assert!(refused.is_err(), "a deadline that is over");
}

#[test]
fn what_was_withdrawn_makes_place() {
    let now = crate::clock::now();
    let mut budget = Budget::new(limits(1, None));
    for number in 0..3 {
        budget.enqueue(now, Rank::Creation, number, now + PATIENCE).unwrap();
    }
    assert!(budget.withdraw(&1));
    assert!(!budget.withdraw(&1));
    assert_eq!(budget.len(), 2);
    let order: Vec<u32> = drain(&mut budget, now).into_iter().map(|(.., what)| what).collect();
    assert_eq!(order, [0, 2]);
    assert!(budget.is_empty());
}

#[test]
fn retry_after_stops_the_whole_class_and_gives_up_what_waits_in_vain() {
    let now = crate::clock::now();
    let mut budget = Budget::new(limits(20, None));
    budget.enqueue(now, Rank::Creation, 1, now + Duration::from_secs(5)).unwrap();
    budget.enqueue(now, Rank::Update, 2, now + Duration::from_secs(15)).unwrap();
    let in_vain = budget.refused(now, Rank::Creation, Some(Duration::from_secs(7)));
    assert_eq!(in_vain, [(1, Hopeless { turn_in: Duration::from_secs(7) })]);
    assert_eq!(budget.next(now + Duration::from_millis(6_999)), None);
    let at = now + Duration::from_secs(7);
    assert_eq!(budget.due(now), Some(at));
    assert_eq!(budget.next(at), Some((Rank::Update, 2, Duration::from_secs(7))));
    assert!(budget.enqueue(at, Rank::Creation, 3, at + Duration::from_secs(1)).is_ok());
    assert_eq!(budget.next(at), None, "after a refusal nothing leaves in a burst");
}

#[test]
fn a_refused_update_of_a_class_of_its_own_stops_updates_only() {
    let now = crate::clock::now();
    let mut budget = Budget::new(limits(20, Some(5)));
    budget.refused(now, Rank::Update, Some(Duration::from_secs(7)));
    budget.enqueue(now, Rank::Update, 1, now + PATIENCE).unwrap();
    budget.enqueue(now, Rank::Creation, 2, now + PATIENCE).unwrap();
    assert_eq!(budget.next(now).map(|(_, what, _)| what), Some(2));
    assert_eq!(budget.due(now), Some(now + Duration::from_secs(7)));
}

#[test]
fn an_absurd_retry_after_ends_after_a_minute() {
    let now = crate::clock::now();
    let mut budget = Budget::new(limits(20, None));
    budget.refused(now, Rank::Creation, Some(Duration::MAX));
    budget.enqueue(now, Rank::Creation, 1, now + PATIENCE).unwrap();
    assert_eq!(budget.due(now), Some(now + LONGEST_PAUSE));
}
