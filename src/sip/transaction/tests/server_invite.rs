//! RFC 3261 Figure 7 as RFC 6026 Figure 5 corrected it.

use super::super::server_invite::{Report, Resend, ServerInvite, State};
use super::*;
use crate::sip::transaction::Reliability::{Reliable, Unreliable};

fn proceeding() -> ServerInvite {
    ServerInvite::start(defaults(), Unreliable)
}

#[test]
fn a_retransmitted_invite_gets_the_last_response_before_and_after_a_failure() {
    let mut machine = proceeding();
    assert_eq!(machine.request().send, Some(Resend));
    machine.respond(Class::Failure);
    assert_eq!(machine.request().send, Some(Resend));
    machine.acknowledge();
    assert_eq!(machine.request().send, None);
}

#[test]
fn a_failure_is_repeated_by_timer_g_up_to_t2_until_timer_h_at_32_seconds() {
    let mut machine = proceeding();
    let step = machine.respond(Class::Failure);
    assert_eq!((step.repeat, step.limit), (Change::Arm(Timer::G, ms(500)), Change::Arm(Timer::H, ms(32_000))));
    for interval in [1000, 2000, 4000, 4000] {
        let step = machine.fired(Timer::G);
        assert_eq!((step.send, step.repeat), (Some(Resend), Change::Arm(Timer::G, ms(interval))));
    }
    let step = machine.fired(Timer::H);
    assert_eq!((step.report, step.over), (None, true));
}

#[test]
fn the_ack_to_a_failure_stops_timer_g_and_more_of_them_are_absorbed_for_timer_i() {
    let mut machine = proceeding();
    machine.respond(Class::Failure);
    let step = machine.acknowledge();
    assert_eq!((step.report, step.repeat, step.limit), (None, Change::Stop, Change::Arm(Timer::I, ms(5000))));
    assert_eq!(machine.acknowledge(), Step::nothing());
    assert_eq!(machine.state(), State::Confirmed);
    assert!(machine.fired(Timer::I).over);
}

#[test]
fn over_a_reliable_transport_timer_g_is_not_set_and_timer_i_is_zero() {
    let mut machine = ServerInvite::start(defaults(), Reliable);
    let step = machine.respond(Class::Failure);
    assert_eq!((step.repeat, step.limit), (Change::Stop, Change::Arm(Timer::H, ms(32_000))));
    assert!(machine.acknowledge().over);
}

#[test]
fn a_2xx_is_repeated_up_to_t2_over_every_transport_until_timer_l() {
    for reliability in [Unreliable, Reliable] {
        let mut machine = ServerInvite::start(defaults(), reliability);
        let step = machine.respond(Class::Success);
        assert_eq!(
            (step.repeat, step.limit),
            (Change::Arm(Timer::Success, ms(500)), Change::Arm(Timer::L, ms(32_000)))
        );
        for interval in [1000, 2000, 4000, 4000] {
            let step = machine.fired(Timer::Success);
            assert_eq!((step.send, step.repeat), (Some(Resend), Change::Arm(Timer::Success, ms(interval))));
        }
        let step = machine.fired(Timer::L);
        assert_eq!((step.report, step.over), (Some(Report::Unacknowledged), true));
    }
}

#[test]
fn the_ack_to_a_2xx_is_reported_once_and_invites_are_absorbed_until_timer_l() {
    let mut machine = proceeding();
    machine.respond(Class::Success);
    assert_eq!(machine.request(), Step::nothing());
    let step = machine.acknowledge();
    assert_eq!((step.report, step.repeat, step.limit), (Some(Report::Acknowledged), Change::Stop, Change::Keep));
    assert_eq!(machine.acknowledge(), Step::nothing());
    assert_eq!(machine.request(), Step::nothing());
    assert_eq!(machine.fired(Timer::L), Step::end());
}

#[test]
fn a_provisional_response_is_repeated_every_minute() {
    let mut machine = proceeding();
    assert_eq!(machine.respond(Class::Provisional).repeat, Change::Arm(Timer::Extension, ms(60_000)));
    let step = machine.fired(Timer::Extension);
    assert_eq!((step.send, step.repeat), (Some(Resend), Change::Arm(Timer::Extension, ms(60_000))));
}

#[test]
fn a_second_final_response_is_refused_by_the_machine() {
    let mut machine = proceeding();
    machine.respond(Class::Failure);
    assert_eq!(machine.respond(Class::Success), Step::nothing());
    assert_eq!(machine.state(), State::Completed);
}
