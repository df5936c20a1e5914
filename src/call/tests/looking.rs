//! Looking at live calls from outside, while they are many.

use super::*;

#[test]
fn a_thousand_live_calls_are_listed_in_pages_without_their_stories_and_each_once() {
    let mut bench = Bench::new("");
    for _ in 0..1_000 {
        bench.call(Some(audio("sendrecv", "0 8")));
    }
    let (mut names, mut next, mut pages) = (std::collections::HashSet::new(), Some(0), 0);
    while let Some(from) = next {
        let page = bench.shard.page(from, |_| true);
        assert!(page.records.len() <= 128, "a shard must not be kept: {}", page.records.len());
        assert!(page.records.iter().all(|record| record.decisions.is_empty() && record.timeline.is_empty()));
        names.extend(page.records.into_iter().map(|record| record.call_id));
        (next, pages) = (page.next, pages + 1);
    }
    assert_eq!(names.len(), 1_000);
    assert!((8..=16).contains(&pages), "{pages}");
    // The whole story is still there for whoever asks for one call.
    let whole = bench.shard.record(names.iter().next().unwrap()).unwrap();
    assert!(!whole.decisions.is_empty() && !whole.timeline.is_empty());
}

#[test]
fn a_listing_has_only_what_is_wanted() {
    let mut bench = Bench::new("");
    bench.connected();
    bench.call(Some(audio("sendrecv", "0 8")));
    let connected = bench.shard.page(0, |record| record.answered_ms.is_some());
    assert_eq!((connected.records.len(), connected.next), (1, None));
}
