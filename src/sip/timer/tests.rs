//! The wheel against a sorted list, and its edges one by one.

use super::*;
use crate::clock::Entropy;

const MS: Duration = Duration::from_millis(1);

#[test]
fn timers_expire_in_order_of_deadline_and_then_of_insertion() {
    let (start, mut wheel) = (crate::clock::now(), TimerWheel::new());
    wheel.insert(start + 30 * MS, 'c');
    wheel.insert(start + 10 * MS, 'a');
    wheel.insert(start + 30 * MS, 'd');
    wheel.insert(start + 10 * MS + Duration::from_micros(1), 'b');
    assert_eq!(wheel.expire(start + 9 * MS).count(), 0);
    assert_eq!(wheel.expire(start + 40 * MS).collect::<String>(), "abcd");
    assert!(wheel.is_empty());
    assert_eq!(wheel.next(), None);
}

#[test]
fn a_deadline_is_kept_to_the_nanosecond_though_ticks_are_milliseconds() {
    let (start, mut wheel) = (crate::clock::now(), TimerWheel::new());
    let at = start + Duration::from_nanos(5_000_300);
    wheel.insert(at, ());
    assert_eq!(wheel.next(), Some(at));
    assert_eq!(wheel.pop(at - Duration::from_nanos(1)), None);
    assert_eq!(wheel.next(), Some(at));
    assert_eq!(wheel.pop(at), Some(()));
}

#[test]
fn a_cancelled_timer_gives_its_value_back_once_and_its_key_names_no_later_timer() {
    let (start, mut wheel) = (crate::clock::now(), TimerWheel::new());
    let key = wheel.insert(start + MS, 1);
    assert_eq!(wheel.cancel(key), Some(1));
    assert_eq!(wheel.cancel(key), None);
    let reused = wheel.insert(start + MS, 2);
    assert_eq!(wheel.cancel(key), None);
    assert_eq!(wheel.pop(start + MS), Some(2));
    assert_eq!(wheel.cancel(reused), None);
}

#[test]
fn a_timer_that_is_due_but_not_taken_can_still_be_cancelled() {
    let (start, mut wheel) = (crate::clock::now(), TimerWheel::new());
    wheel.insert(start, 1);
    let second = wheel.insert(start, 2);
    assert_eq!(wheel.pop(start), Some(1));
    assert_eq!(wheel.next(), Some(start));
    assert_eq!(wheel.cancel(second), Some(2));
    assert_eq!(wheel.pop(start), None);
    assert_eq!(wheel.next(), None);
}

#[test]
fn deadlines_in_the_past_and_before_the_first_one_are_kept() {
    let (start, mut wheel) = (crate::clock::now(), TimerWheel::new());
    wheel.insert(start + 7200 * 1000 * MS, 'z');
    wheel.insert(start, 'a');
    assert_eq!(wheel.next(), Some(start));
    assert_eq!(wheel.pop(start), Some('a'));
    assert_eq!(wheel.pop(start + 60_000 * MS), None);
    wheel.insert(start + MS, 'b');
    assert_eq!(wheel.next(), Some(start + MS));
    assert_eq!(wheel.pop(start + 60_000 * MS), Some('b'));
}

#[test]
fn cancelling_the_earliest_of_a_far_slot_reveals_the_next_one_exactly() {
    let (start, mut wheel) = (crate::clock::now(), TimerWheel::new());
    let key = wheel.insert(start + 32_000 * MS, 'a');
    wheel.insert(start + 32_700 * MS, 'b');
    assert_eq!(wheel.next(), Some(start + 32_000 * MS));
    wheel.cancel(key);
    assert_eq!(wheel.next(), Some(start + 32_700 * MS));
}

#[test]
fn the_wheel_agrees_with_a_sorted_list_over_random_work() {
    for seed in 0..20 {
        let mut entropy = Entropy::seeded(seed);
        let start = crate::clock::now();
        let (mut now, mut wheel, mut order) = (start, TimerWheel::new(), 0u64);
        let mut model: std::collections::BTreeMap<(Instant, u64), TimerKey> = std::collections::BTreeMap::new();
        for _ in 0..4000 {
            match entropy.below(10) {
                0..=4 => {
                    let far = [3, 700, 40_000, 5_000_000, 40_000_000_000][entropy.below(5) as usize];
                    let at = now + Duration::from_micros(entropy.below(far));
                    order += 1;
                    model.insert((at, order), wheel.insert(at, order));
                }
                5..=6 if !model.is_empty() => {
                    let nth = entropy.below(model.len() as u64) as usize;
                    let (at, key) = model.iter().nth(nth).map(|(at, key)| (*at, *key)).unwrap();
                    model.remove(&at);
                    assert_eq!(wheel.cancel(key), Some(at.1));
                }
                _ => {
                    let soon = [500, 100_000, 60_000_000][entropy.below(3) as usize];
                    now += Duration::from_micros(entropy.below(soon));
                    if entropy.below(3) == 0 {
                        now = model.keys().next().map_or(now, |(at, _)| now.max(*at));
                    }
                    while let Some(value) = wheel.pop(now) {
                        let ((at, expected), _) = model.pop_first().unwrap();
                        assert_eq!(value, expected, "seed {seed}");
                        assert!(at <= now);
                    }
                }
            }
            assert_eq!(wheel.next(), model.keys().next().map(|(at, _)| *at), "seed {seed}");
            assert_eq!(wheel.len(), model.len());
        }
    }
}
