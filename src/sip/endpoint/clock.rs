//! Timers that fired, to their transactions. Apart because it is the one place where time moves without a message.

use super::super::transaction::Timer;
use super::super::transaction::server_invite::Report;
use super::leg::Bye;
use super::table::{Alarm, ClientMachine, Owner, ServerMachine};
use super::{Endpoint, Event};

use std::time::Instant;

// === impl Endpoint ===

impl Endpoint {
    /// When [`Endpoint::expire`] is to be called next.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        self.wheel.next()
    }

    /// Does what is due at `now`.
    pub fn expire(&mut self, now: Instant) {
        while let Some(alarm) = self.wheel.pop(now) {
            let (owner, timer) = match alarm {
                Alarm::Transaction(owner, timer) => (owner, timer),
                Alarm::Provisional(leg) => {
                    self.repeat_provisional(now, leg);
                    continue;
                }
                Alarm::Session(leg) => {
                    self.session_fired(now, leg);
                    continue;
                }
            };
            match owner {
                Owner::Client(id) => {
                    let Some(entry) = self.clients.get_mut(id) else { continue };
                    match &mut entry.machine {
                        ClientMachine::Invite(machine) => {
                            let step = machine.fired(timer);
                            self.invite_step(now, id, step, None);
                        }
                        ClientMachine::Other(machine) => {
                            let step = machine.fired(timer);
                            self.other_step(now, id, step, None);
                        }
                    }
                }
                Owner::Server(id) => self.server_fired(now, id, timer),
            }
        }
    }

    fn server_fired(&mut self, now: Instant, id: u64, timer: Timer) {
        let Some(entry) = self.servers.get_mut(id) else { return };
        let leg = entry.leg;
        let (resend, unacknowledged, repeat, limit, over) = match &mut entry.machine {
            ServerMachine::Invite(machine) => {
                let step = machine.fired(timer);
                let unacknowledged = step.report == Some(Report::Unacknowledged);
                (step.send.is_some(), unacknowledged, step.repeat, step.limit, step.over)
            }
            ServerMachine::Other(machine) => {
                let step = machine.fired(timer);
                (step.send.is_some(), false, step.repeat, step.limit, step.over)
            }
        };
        if resend {
            self.repeat_response(id);
        }
        if over {
            self.close_server(now, id);
        } else {
            self.arm(now, Owner::Server(id), repeat, limit);
        }
        let Some(leg) = leg.filter(|_| unacknowledged) else { return };
        let Some(state) = self.legs.get_mut(leg.0) else { return };
        state.unacknowledged.retain(|waiting| waiting.server != id);
        // §15: from here on the callee may send BYE.
        state.confirmed = true;
        if matches!(state.bye, Bye::No) {
            self.events.push_back(Event::Unacknowledged { leg });
        } else {
            self.send_deferred_bye(now, leg);
        }
    }
}
