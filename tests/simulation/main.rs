//! The whole core under a virtual clock and a network that loses, delays, duplicates and reorders by seed: thousands of
//! calls with cancels, races, busy and silent far sides, re-INVITEs, failing companions and peers that die. Whatever
//! happens, every call ends once and nothing is left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod network;
mod peer;
mod shape;
mod world;

use world::{Chaos, World};

/// Runs one seed and checks what must hold whatever happened.
fn run(seed: u64, calls: usize, chaos: Chaos) -> world::Outcome {
    let mut world = World::new(seed, chaos);
    world.place(calls);
    world.run_to_the_end();
    let outcome = world.outcome();
    let leftovers = world.leftovers();
    assert!(leftovers.is_empty(), "seed {seed}: left behind: {leftovers}");
    assert_eq!(outcome.finished, outcome.arrived, "seed {seed}: every INVITE that arrived ends in one record");
    assert_eq!(outcome.duplicates, 0, "seed {seed}: a call ended twice");
    outcome
}

#[test]
fn on_a_perfect_network_every_call_to_a_willing_far_side_is_answered() {
    let outcome = run(1, 300, Chaos::none());
    assert_eq!(outcome.arrived, 300);
    assert_eq!(outcome.answered, 300);
}

#[test]
fn thousands_of_calls_over_a_bad_network_leave_nothing_behind() {
    let mut total = 0;
    for seed in 0..24 {
        total += run(seed, 200, Chaos::bad_network()).arrived;
    }
    assert!(total > 4_000, "only {total} calls arrived");
}

#[test]
fn peers_that_die_in_the_middle_leave_nothing_behind() {
    for seed in 100..116 {
        run(seed, 60, Chaos::deadly());
    }
}

#[test]
fn peers_that_start_again_without_memory_leave_nothing_behind() {
    for seed in 300..316 {
        run(seed, 60, Chaos::forgetful());
    }
}

#[test]
fn on_a_bad_network_every_kind_of_end_is_met() {
    let mut causes = std::collections::BTreeSet::new();
    for seed in 400..404 {
        causes.extend(run(seed, 150, Chaos::bad_network()).causes.into_keys());
    }
    for code in
        ["caller_hung_up", "callee_hung_up", "caller_cancelled", "no_usable_media", "bot_not_ready", "fallback_failed"]
    {
        assert!(causes.contains(code), "{code}: {causes:?}");
    }
}

#[test]
fn a_failing_companion_sends_every_held_caller_somewhere() {
    for seed in 200..216 {
        let outcome = run(seed, 100, Chaos::failing_companion());
        assert!(outcome.diverted > 0, "seed {seed}: nobody was diverted");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let one = run(7, 120, Chaos::bad_network());
    let two = run(7, 120, Chaos::bad_network());
    assert_eq!(one, two);
}
