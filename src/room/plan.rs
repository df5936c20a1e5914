//! Which `[[room]]` serves a call: the first whose conditions all hold. Apart, because `explain` and the companion must
//! come to the same answer and show the same steps.

use crate::config::room::RoomPlan;
use crate::record::{CallFacts, Step};
use std::sync::Arc;

/// The first plan that fits; each plan that was looked at leaves a step with the first condition that failed.
pub fn choose(plans: &[Arc<RoomPlan>], facts: &CallFacts, steps: &mut Vec<Step>) -> Option<Arc<RoomPlan>> {
    choose_from(plans, 0, facts, steps).map(|(_, plan)| plan)
}

/// The same among the plans from position `first` on, with the position of the one that fits.
pub fn choose_from(
    plans: &[Arc<RoomPlan>],
    first: usize,
    facts: &CallFacts,
    steps: &mut Vec<Step>,
) -> Option<(usize, Arc<RoomPlan>)> {
    for (position, plan) in plans.iter().enumerate().skip(first) {
        let failed = mismatch(plan, facts).or_else(|| passed_over(plan, position, facts));
        let fits = failed.is_none();
        steps.push(Step::Room { plan: position, failed, room: if fits { plan.use_room.clone() } else { None } });
        if fits {
            return Some((position, Arc::clone(plan)));
        }
    }
    None
}

/// Whether the plan's `share` leaves this call to the plans after it, in words. The draw follows from the call's name, so
/// that it comes out the same whenever it is asked.
fn passed_over(plan: &RoomPlan, position: usize, facts: &CallFacts) -> Option<String> {
    let share = plan.share?;
    (draw(position, facts.call_id.as_str()) >= u64::from(share)).then(|| format!("not among the {share}% of the calls"))
}

/// 0 to 99, evenly (FNV-1a); plans draw independently of each other.
fn draw(position: usize, call: &str) -> u64 {
    let bytes = position.to_le_bytes().into_iter().chain(call.bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash >> 24) % 100
}

/// The first condition of `plan` that does not hold, in words; `None` if all hold. Numbers are matched as they were
/// sent to the cloud, since these are the numbers that people find in the bot's log.
fn mismatch(plan: &RoomPlan, facts: &CallFacts) -> Option<String> {
    if let Some(trunk) = plan.trunk.as_ref().filter(|trunk| **trunk != facts.trunk) {
        return Some(format!("the trunk is `{}`, not `{trunk}`", facts.trunk));
    }
    if plan.called.as_ref().is_some_and(|pattern| !pattern.regex().is_match(&facts.called)) {
        return Some(format!("the called number `{}` does not match `called`", facts.called));
    }
    if plan.caller.as_ref().is_some_and(|pattern| !pattern.regex().is_match(&facts.caller)) {
        return Some(format!("the calling number `{}` does not match `caller`", facts.caller));
    }
    let header = plan.header.as_ref()?;
    let mut values = facts.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(&header.name)).peekable();
    if values.peek().is_none() {
        return Some(format!("the INVITE has no header `{}`", header.name));
    }
    (!values.any(|(_, value)| header.pattern.regex().is_match(value)))
        .then(|| format!("the header `{}` does not match", header.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::held::fixture;

    fn choice(toml: &str) -> (Option<String>, Vec<Step>) {
        let mut steps = vec![];
        let plan = choose(&fixture::plans(toml), &fixture::facts(), &mut steps);
        (plan.map(|plan| plan.use_room.clone().unwrap_or_default()), steps)
    }

    #[test]
    fn the_first_plan_without_a_failed_condition_wins_and_later_ones_are_not_looked_at() {
        let (plan, steps) = choice(
            "[[room]]\ntrunk = 'other'\nuse = 'a'\n[[room]]\ncalled = '^\\+1555'\nuse = 'b'\n[[room]]\nuse = 'c'\n",
        );
        assert_eq!(plan.as_deref(), Some("b"));
        assert_eq!(
            steps,
            [
                Step::Room { plan: 0, failed: Some("the trunk is `pbx`, not `other`".to_owned()), room: None },
                Step::Room { plan: 1, failed: None, room: Some("b".to_owned()) },
            ]
        );
    }

    #[test]
    fn every_condition_is_named_when_it_fails() {
        let cases = [
            ("called = '^999'", "the called number `+15550100` does not match `called`"),
            ("caller = '^999'", "the calling number `+15550123` does not match `caller`"),
            ("header = { name = 'X-None', match = '.' }", "the INVITE has no header `X-None`"),
            ("header = { name = 'X-Queue', match = '^support$' }", "the header `X-Queue` does not match"),
        ];
        for (condition, expected) in cases {
            let (plan, steps) = choice(&format!("[[room]]\n{condition}\n"));
            assert_eq!(plan, None, "{condition}");
            assert_eq!(steps, [Step::Room { plan: 0, failed: Some(expected.to_owned()), room: None }]);
        }
    }

    #[test]
    fn all_conditions_must_hold_together_and_header_names_have_no_case() {
        let (plan, _) = choice(
            "[[room]]\ntrunk = 'pbx'\ncaller = '0123$'\ncalled = '0100$'\nheader = { name = 'x-QUEUE', match = 'sales' }\nuse = 'x'",
        );
        assert_eq!(plan.as_deref(), Some("x"));
    }

    #[test]
    fn a_share_takes_that_part_of_the_calls_and_leaves_the_rest_to_the_next_plan() {
        let plans =
            fixture::plans("[[room]]\nshare = 30\nuse = 'a'\n[[room]]\nshare = 50\nuse = 'b'\n[[room]]\nuse = 'c'\n");
        let mut entropy = crate::clock::Entropy::seeded(1);
        let mut counts = [0_u32; 3];
        for _ in 0..20_000 {
            let facts = fixture::facts_of(crate::record::CallId::new(0, &entropy.hex(24)));
            let (position, plan) = choose_from(&plans, 0, &facts, &mut vec![]).unwrap();
            let again = choose_from(&plans, 0, &facts, &mut vec![]).unwrap();
            assert_eq!((position, again.0), (again.0, position), "the same call, the same plan");
            assert!(plan.use_room.is_some());
            counts[position] += 1;
        }
        for (count, expected) in counts.into_iter().zip([6_000_u32, 7_000, 7_000]) {
            assert!(count.abs_diff(expected) < 300, "{counts:?}");
        }
        let mut steps = vec![];
        let zero = fixture::plans("[[room]]\nshare = 0\nuse = 'a'\n");
        assert!(choose(&zero, &fixture::facts(), &mut steps).is_none());
        assert_eq!(
            steps,
            [Step::Room { plan: 0, failed: Some("not among the 0% of the calls".to_owned()), room: None }]
        );
    }

    #[test]
    fn no_plan_at_all_leaves_no_step() {
        assert_eq!(choice(""), (None, vec![]));
    }
}
