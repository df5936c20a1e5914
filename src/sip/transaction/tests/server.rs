//! RFC 3261 Figure 8.

use super::super::server::{Resend, Server, State};
use super::*;
use crate::sip::transaction::Reliability::{Reliable, Unreliable};

#[test]
fn a_request_that_comes_again_is_dropped_while_trying_and_answered_afterwards() {
    let (mut machine, _) = Server::start(defaults(), Unreliable);
    assert_eq!(machine.request(), Step::nothing());
    machine.respond(Class::Provisional);
    assert_eq!(machine.request().send, Some(Resend));
    machine.respond(Class::Success);
    assert_eq!(machine.request().send, Some(Resend));
    assert_eq!(machine.state(), State::Completed);
}

#[test]
fn the_final_response_is_kept_for_timer_j() {
    let (mut machine, _) = Server::start(defaults(), Unreliable);
    assert_eq!(machine.respond(Class::Failure).limit, Change::Arm(Timer::J, ms(32_000)));
    assert_eq!(machine.respond(Class::Success), Step::nothing());
    assert!(machine.fired(Timer::J).over);
}

#[test]
fn timer_j_is_zero_over_a_reliable_transport() {
    let (mut machine, _) = Server::start(defaults(), Reliable);
    assert!(machine.respond(Class::Success).over);
}

#[test]
fn a_request_that_nobody_answers_is_forgotten_with_the_clients_timer_f() {
    let (mut machine, step) = Server::start(defaults(), Unreliable);
    assert_eq!(step.limit, Change::Arm(Timer::Overdue, ms(32_000)));
    assert_eq!(machine.fired(Timer::Overdue), Step::end());
}
