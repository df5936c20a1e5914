//! RFC 3261 Figure 6.

use super::super::client::{Client, Report, Resend, State};
use super::*;
use crate::sip::transaction::Reliability::{Reliable, Unreliable};

fn trying() -> Client {
    Client::start(defaults(), Unreliable).0
}

#[test]
fn timer_e_doubles_up_to_t2_until_timer_f_at_32_seconds() {
    let (mut machine, step) = Client::start(defaults(), Unreliable);
    assert_eq!((step.repeat, step.limit), (Change::Arm(Timer::E, ms(500)), Change::Arm(Timer::F, ms(32_000))));
    for interval in [1000, 2000, 4000, 4000, 4000] {
        let step = machine.fired(Timer::E);
        assert_eq!((step.send, step.repeat), (Some(Resend), Change::Arm(Timer::E, ms(interval))));
    }
    let step = machine.fired(Timer::F);
    assert_eq!((step.report, step.over), (Some(Report::Timeout), true));
}

#[test]
fn a_provisional_response_slows_timer_e_down_to_t2_and_timer_f_still_counts() {
    let mut machine = trying();
    assert_eq!(machine.response(Class::Provisional), Step::nothing().reporting(Report::Provisional));
    assert_eq!(machine.state(), State::Proceeding);
    assert_eq!(machine.fired(Timer::E).repeat, Change::Arm(Timer::E, ms(4000)));
    assert_eq!(machine.fired(Timer::F).report, Some(Report::Timeout));
}

#[test]
fn a_final_response_is_reported_once_and_absorbed_for_timer_k() {
    for class in [Class::Success, Class::Failure] {
        let mut machine = trying();
        let step = machine.response(class);
        assert_eq!((step.report, step.repeat), (Some(Report::Final), Change::Stop));
        assert_eq!(step.limit, Change::Arm(Timer::K, ms(5000)));
        assert_eq!(machine.response(class), Step::nothing());
        assert!(machine.fired(Timer::K).over);
    }
}

#[test]
fn over_a_reliable_transport_timer_e_is_not_set_and_timer_k_is_zero() {
    let (mut machine, step) = Client::start(defaults(), Reliable);
    assert_eq!((step.repeat, step.limit), (Change::Keep, Change::Arm(Timer::F, ms(32_000))));
    let step = machine.response(Class::Success);
    assert_eq!((step.report, step.over), (Some(Report::Final), true));
}

#[test]
fn a_transport_error_is_reported_before_the_final_response_only() {
    assert_eq!(trying().transport_failed().report, Some(Report::Transport));
    let mut completed = trying();
    completed.response(Class::Success);
    assert_eq!(completed.transport_failed(), Step::end());
}
