//! The way of a request to the outside: past the REST budget if Daily is asked, straight out if not, and back when it
//! became pointless. Apart from the bookkeeping of calls, because here calls wait for each other.

use super::{Action, Companion, FlightId};
use crate::record::{CallId, Step};
use crate::room::Instruction;
use crate::room::budget::{Budget, Hopeless, Rank};
use crate::room::held::Input;
use crate::room::request::{Failure, FailureKind, Operation, Reply, Request};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// A wait for the budget that is worth a line in the call's record.
const WORTH_A_WORD: Duration = Duration::from_millis(10);

/// Requests to Daily that were not sent yet.
pub(super) struct RestQueue {
    budget: Budget<FlightId>,
    parked: HashMap<FlightId, Request>,
    /// Given up before they left; their calls are to hear of it.
    lost: VecDeque<(FlightId, Operation, Hopeless)>,
    due: Option<Instant>,
    shown: [usize; 2],
}

// === impl RestQueue ===

impl RestQueue {
    pub(super) fn new(budget: Budget<FlightId>) -> Self {
        Self { budget, parked: HashMap::new(), lost: VecDeque::new(), due: None, shown: [0; 2] }
    }

    /// When the next one may leave.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Takes one back; whether it was still here.
    fn withdraw(&mut self, flight: FlightId) -> bool {
        self.parked.remove(&flight).is_some() && self.budget.withdraw(&flight)
    }
}

// === impl Companion ===

impl Companion {
    pub(super) fn request(&mut self, now: Instant, call: &CallId, request: Request) {
        let Some(entry) = self.calls.get_mut(call) else { return };
        let flight = FlightId(self.next_flight);
        self.next_flight += 1;
        self.flights.insert(flight, call.clone());
        entry.flights.push(flight);
        let Some(rank) = request.rank() else {
            return self.actions.push_back(Action::Perform(flight, request));
        };
        match self.rest.budget.enqueue(now, rank, flight, entry.held.deadline()) {
            Ok(()) => drop(self.rest.parked.insert(flight, request)),
            Err(hopeless) => self.rest.lost.push_back((flight, request.operation(), hopeless)),
        }
    }

    /// A refusal for the sake of the rate holds for every call of its class.
    pub(super) fn heed_refusal(&mut self, now: Instant, reply: &Reply) {
        let (Some(rank), Err(failure)) = (reply.operation.rank(), &reply.outcome) else { return };
        let busy = match failure.kind {
            FailureKind::Refused(429) => true,
            FailureKind::Refused(503) => failure.retry_after.is_some(),
            _ => false,
        };
        if !busy {
            return;
        }
        for (flight, hopeless) in self.rest.budget.refused(now, rank, failure.retry_after) {
            if let Some(request) = self.rest.parked.remove(&flight) {
                self.rest.lost.push_back((flight, request.operation(), hopeless));
            }
        }
    }

    /// Sends what may be sent now, and tells the calls of what never will be.
    pub(super) fn let_go(&mut self, now: Instant) {
        while let Some((flight, operation, hopeless)) = self.rest.lost.pop_front() {
            self.meter.rest_unsent("no_time");
            self.tell_lost(now, flight, operation, hopeless);
        }
        while let Some((rank, flight, waited)) = self.rest.budget.next(now) {
            let Some(request) = self.rest.parked.remove(&flight) else { continue };
            self.meter.rest_wait(rank.name(), waited);
            if let Some(call) = self.flights.get(&flight).filter(|_| waited >= WORTH_A_WORD) {
                let outcome = format!("{} waited {:?} for the REST budget", request.line(), rounded(waited));
                let step = Step::Companion { stage: request.operation().name().to_owned(), outcome };
                self.actions.push_back(Action::Instruct(call.clone(), Instruction::Decided(step)));
            }
            self.actions.push_back(Action::Perform(flight, request));
        }
        self.rest.due = self.rest.budget.due(now);
        let waiting = Rank::ALL.map(|rank| self.rest.budget.waiting(rank));
        if std::mem::replace(&mut self.rest.shown, waiting) != waiting {
            for (rank, waiting) in Rank::ALL.into_iter().zip(waiting) {
                self.meter.rest_queue(rank.name(), waiting);
            }
        }
    }

    /// What its call makes of it is its own affair: it has no time left, so it gives up.
    fn tell_lost(&mut self, now: Instant, flight: FlightId, operation: Operation, hopeless: Hopeless) {
        let Some(call) = self.flights.remove(&flight) else { return };
        if let Some(entry) = self.calls.get_mut(&call) {
            entry.flights.retain(|other| *other != flight);
        }
        let text = format!("the REST budget has no place for it within {:?}", rounded(hopeless.turn_in));
        let failure = Failure { kind: FailureKind::NotSent, text, retry_after: Some(hopeless.turn_in) };
        let reply = Reply { operation, what: "not sent".to_owned(), outcome: Err(failure) };
        self.feed(now, &call, Input::Reply(reply));
    }

    /// Forgets the requests of a call, sent or not.
    pub(super) fn cancel(&mut self, call: &CallId) {
        self.withdraw(call);
        let Some(entry) = self.calls.get_mut(call) else { return };
        for flight in entry.flights.drain(..) {
            self.flights.remove(&flight);
            self.actions.push_back(Action::Abort(flight));
        }
    }

    /// Forgets the requests of a call that were not sent yet.
    pub(super) fn withdraw(&mut self, call: &CallId) {
        let Some(entry) = self.calls.get_mut(call) else { return };
        let (rest, flights, meter) = (&mut self.rest, &mut self.flights, &self.meter);
        entry.flights.retain(|flight| {
            let unsent = rest.withdraw(*flight);
            if unsent {
                flights.remove(flight);
                meter.rest_unsent("withdrawn");
            }
            !unsent
        });
    }
}

/// For people: nanoseconds are noise.
fn rounded(span: Duration) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}
