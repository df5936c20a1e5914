//! RFC 3261 Figure 5 as RFC 6026 Figure 4 corrected it.

use super::super::client_invite::{ClientInvite, Report, Send, State};
use super::*;
use crate::sip::transaction::Reliability::{Reliable, Unreliable};

fn calling() -> ClientInvite {
    ClientInvite::start(defaults(), Unreliable).0
}

fn proceeding() -> ClientInvite {
    let mut machine = calling();
    machine.response(Class::Provisional);
    machine
}

#[test]
fn timer_a_doubles_without_cap_until_timer_b_at_32_seconds() {
    let (mut machine, step) = ClientInvite::start(defaults(), Unreliable);
    assert_eq!(step.repeat, Change::Arm(Timer::A, ms(500)));
    assert_eq!(step.limit, Change::Arm(Timer::B, ms(32_000)));
    for interval in [1000, 2000, 4000, 8000, 16_000, 32_000] {
        let step = machine.fired(Timer::A);
        assert_eq!(step.send, Some(Send::Request));
        assert_eq!(step.repeat, Change::Arm(Timer::A, ms(interval)));
    }
    let step = machine.fired(Timer::B);
    assert_eq!(step.report, Some(Report::Timeout));
    assert_eq!(step.repeat, Change::Stop);
    assert_eq!(machine.state(), State::Abandoned);
}

#[test]
fn a_reliable_transport_sets_no_timer_a_but_timer_b() {
    let (_, step) = ClientInvite::start(defaults(), Reliable);
    assert_eq!((step.repeat, step.limit), (Change::Keep, Change::Arm(Timer::B, ms(32_000))));
}

#[test]
fn a_provisional_response_stops_timers_a_and_b() {
    let mut machine = calling();
    let step = machine.response(Class::Provisional);
    assert_eq!((step.report, step.repeat, step.limit), (Some(Report::Provisional), Change::Stop, Change::Stop));
    assert_eq!(machine.state(), State::Proceeding);
    assert_eq!(machine.response(Class::Provisional).report, Some(Report::Provisional));
    assert_eq!(machine.fired(Timer::B), Step::nothing());
}

#[test]
fn a_2xx_opens_accepted_where_timer_m_counts_and_every_2xx_goes_up() {
    for mut machine in [calling(), proceeding(), ClientInvite::start(defaults(), Reliable).0] {
        let step = machine.response(Class::Success);
        assert_eq!((step.report, step.repeat), (Some(Report::Success), Change::Stop));
        assert_eq!(step.limit, Change::Arm(Timer::M, ms(32_000)), "RFC 6026 §8.4: over TCP too");
        assert_eq!(machine.state(), State::Accepted);
        assert_eq!(machine.response(Class::Success), Step::nothing().reporting(Report::Success));
        assert_eq!(machine.response(Class::Failure), Step::nothing());
        assert_eq!(machine.response(Class::Provisional), Step::nothing());
        assert!(machine.fired(Timer::M).over);
    }
}

#[test]
fn a_failure_is_acked_each_time_and_reported_once_until_timer_d() {
    for mut machine in [calling(), proceeding()] {
        let step = machine.response(Class::Failure);
        assert_eq!((step.send, step.report), (Some(Send::Ack), Some(Report::Failure)));
        assert_eq!(step.limit, Change::Arm(Timer::D, ms(32_000)));
        assert_eq!(machine.response(Class::Failure), Step::nothing().sending(Send::Ack));
        assert_eq!(machine.response(Class::Provisional), Step::nothing());
        assert!(machine.fired(Timer::D).over);
    }
}

#[test]
fn timer_d_is_zero_over_a_reliable_transport() {
    let (mut machine, _) = ClientInvite::start(defaults(), Reliable);
    let step = machine.response(Class::Failure);
    assert_eq!((step.send, step.report, step.over), (Some(Send::Ack), Some(Report::Failure), true));
}

#[test]
fn a_2xx_of_another_fork_is_not_lost_behind_a_failure() {
    let mut machine = calling();
    machine.response(Class::Failure);
    assert_eq!(machine.response(Class::Success).report, Some(Report::Success));
}

#[test]
fn after_cancel_patience_lasts_64_t1_and_late_finals_are_still_served() {
    let mut machine = proceeding();
    assert_eq!(machine.cancelled().limit, Change::Arm(Timer::Patience, ms(32_000)));
    let step = machine.fired(Timer::Patience);
    assert_eq!((step.report, step.limit), (Some(Report::Timeout), Change::Arm(Timer::M, ms(32_000))));
    let mut late = machine;
    assert_eq!(late.response(Class::Success).report, Some(Report::Success));
    let step = machine.response(Class::Failure);
    assert_eq!((step.send, step.report), (Some(Send::Ack), None));
    assert_eq!(calling().cancelled(), Step::nothing(), "no wait before a provisional response: Timer B still counts");
}

#[test]
fn a_transport_error_ends_calling_and_completed_only() {
    let step = calling().transport_failed();
    assert_eq!((step.report, step.over), (Some(Report::Transport), true));
    let mut completed = calling();
    completed.response(Class::Failure);
    assert_eq!(completed.transport_failed(), Step::end());
    assert_eq!(proceeding().transport_failed(), Step::nothing());
}
