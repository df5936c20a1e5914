//! What a scraper sees.

use super::*;
use crate::error::{Cause, Termination};
use crate::record::{CallId, CallState};

fn record(target: Option<&str>, answered_ms: Option<u64>, cause: Cause) -> CallRecord {
    CallRecord {
        call_id: CallId::new(0, "0123456789abcdef01234567"),
        pbx_call_id: "1@192.0.2.1".to_owned(),
        cloud_call_id: None,
        started: std::time::UNIX_EPOCH,
        state: CallState::Ended,
        trunk: Some("pbx".to_owned()),
        target: target.map(str::to_owned),
        fallback: None,
        caller: Some("+15550100123".to_owned()),
        called: None,
        correlation: std::collections::BTreeMap::new(),
        answered_ms,
        duration_ms: None,
        ended_by: None,
        termination: Some(Termination::new(cause)),
        daily: None,
        media: Default::default(),
        decisions: vec![],
        timeline: vec![],
    }
}

fn has(page: &str, line: &str) {
    assert!(page.lines().any(|other| other == line), "no line `{line}` in:\n{page}");
}

#[test]
fn the_page_has_the_promised_names() {
    let metrics = Metrics::new();
    metrics.call_started("pbx", "daily");
    metrics.call_finished(&record(Some("daily"), Some(1_500), Cause::CallerHungUp));
    metrics.call_finished(&record(Some("daily"), None, Cause::TargetBusy));
    metrics.call_finished(&record(Some("daily"), None, Cause::CallerCancelled));
    metrics.call_finished(&record(None, None, Cause::NoRoute));
    metrics.stage_seconds("bot", Duration::from_millis(40));
    metrics.rtp_packets(Leg::A, Direction::In, 7);
    metrics.webhook_request("daily", "accepted");
    metrics.admission_refused("trunk_full");
    metrics.sip_message(Direction::Out, b"SIP/2.0 486 Busy Here\r\n\r\n");
    metrics.sip_message(Direction::In, b"\r\n\r\n");
    metrics.target_reach("daily", Reach::Up);
    let page = metrics.encode();
    for line in [
        r#"trunkline_target_up{target="daily"} 1"#,
        r#"trunkline_calls_started_total{trunk="pbx",target="daily"} 1"#,
        r#"trunkline_calls_total{trunk="pbx",target="daily",result="answered",reason="caller_hung_up"} 1"#,
        r#"trunkline_calls_total{trunk="pbx",target="daily",result="failed",reason="target_busy"} 1"#,
        r#"trunkline_calls_total{trunk="pbx",target="daily",result="cancelled",reason="caller_cancelled"} 1"#,
        r#"trunkline_calls_total{trunk="pbx",target="none",result="refused",reason="no_route"} 1"#,
        "trunkline_setup_seconds_count 1",
        "trunkline_setup_seconds_sum 1.5",
        r#"trunkline_stage_seconds_count{stage="bot"} 1"#,
        r#"trunkline_rtp_packets_total{leg="a",direction="in"} 7"#,
        r#"trunkline_rtp_packets_total{leg="b",direction="out"} 0"#,
        r#"trunkline_webhook_requests_total{source="daily",result="accepted"} 1"#,
        r#"trunkline_admission_refused_total{reason="trunk_full"} 1"#,
        r#"trunkline_sip_messages_total{direction="out",message="4xx"} 1"#,
        r#"trunkline_sip_messages_total{direction="in",message="INVITE"} 0"#,
        "trunkline_calls_active 0",
        "trunkline_media_ports_in_use 0",
        "trunkline_sip_dialogs 0",
        "trunkline_sip_transactions 0",
    ] {
        has(&page, line);
    }
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn a_target_and_a_trunk_are_up_or_down_as_they_were_last_told() {
    let metrics = Metrics::new();
    metrics.target_reach("daily", Reach::Down);
    metrics.trunk_reach("pbx", Reach::Up);
    has(&metrics.encode(), r#"trunkline_target_up{target="daily"} 0"#);
    has(&metrics.encode(), r#"trunkline_trunk_up{trunk="pbx"} 1"#);
    metrics.call_finished(&record(Some("daily"), Some(80), Cause::CallerHungUp));
    has(&metrics.encode(), r#"trunkline_target_up{target="daily"} 0"#);
}

#[test]
fn a_call_that_the_fallback_took_is_not_counted_for_the_target() {
    let metrics = Metrics::new();
    let record =
        CallRecord { fallback: Some("desk".to_owned()), ..record(Some("daily"), Some(80), Cause::CallerHungUp) };
    metrics.call_finished(&record);
    let line = r#"trunkline_calls_total{trunk="pbx",target="fallback",result="answered",reason="caller_hung_up"} 1"#;
    has(&metrics.encode(), line);
}

#[test]
fn no_label_holds_a_number_or_an_address() {
    let metrics = Metrics::new();
    metrics.call_finished(&record(Some("daily"), Some(1), Cause::CalleeHungUp));
    let page = metrics.encode();
    assert!(!page.contains("5550100") && !page.contains("192.0.2"), "{page}");
}

#[test]
fn gauges_are_the_sum_over_the_shards_that_live() {
    let metrics = Metrics::new();
    let (first, second) = (metrics.shard(), metrics.shard());
    first.set(Load { calls: 2, dialogs: 4, transactions: 6, timers: 8, media_ports: 8 });
    second.set(Load { calls: 1, dialogs: 2, transactions: 3, timers: 4, media_ports: 4 });
    has(&metrics.encode(), "trunkline_calls_active 3");
    has(&metrics.encode(), "trunkline_media_ports_in_use 12");
    drop(second);
    assert_eq!(metrics.load(), first.get());
    has(&metrics.encode(), "trunkline_sip_dialogs 4");
    first.set(Load::default());
    assert_eq!(metrics.load(), Load::default());
}
