//! The admin API's hands: what an operator may ask of a running gateway. Here too, because only this module knows both
//! sides: the companion's figures go into the metrics.

use super::Shared;
use super::router::Control;
use crate::error::{Cause, Termination};
use crate::explain::{Question, explain};
use crate::http::admin::{Answer, Ask, HangUp, Operations, Readiness, Reason};
use crate::observe::Metrics;
use crate::record::{CallId, CallRecord};
use crate::room::Meter;
use crate::store::recent::Filter;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

impl Meter for Metrics {
    fn stage(&self, stage: &'static str, took: Duration) {
        self.stage_seconds(stage, took);
    }

    fn webhook(&self, source: &'static str, result: &'static str) {
        self.webhook_request(source, result);
    }

    fn bot_start(&self, result: &'static str) {
        Self::bot_start(self, result);
    }

    fn leases(&self, lent: usize, waiting: usize) {
        self.room_leases(lent, waiting);
    }

    fn rest_queue(&self, rank: &'static str, waiting: usize) {
        Self::rest_queue(self, rank, waiting);
    }

    fn rest_wait(&self, rank: &'static str, waited: Duration) {
        self.rest_wait_seconds(rank, waited);
    }

    fn rest_unsent(&self, reason: &'static str) {
        Self::rest_unsent(self, reason);
    }
}

impl Operations for Shared {
    fn readiness(&self) -> Readiness {
        if *self.draining.borrow() {
            let calls = self.metrics.load().calls;
            return Readiness::Draining { calls, reasons: vec![Reason::of(Cause::Draining)] };
        }
        let reasons = self.obstacles();
        if reasons.is_empty() { Readiness::Ready } else { Readiness::Unable { reasons } }
    }

    fn calls(&self, filter: Filter) -> Answer<'_, Vec<Arc<CallRecord>>> {
        Box::pin(async move {
            let mut calls: Vec<Arc<CallRecord>> = self.live_calls(&filter).await.into_iter().map(Arc::new).collect();
            calls.sort_by_key(|call| std::cmp::Reverse(call.started));
            calls.truncate(filter.limit);
            let rest = filter.limit.saturating_sub(calls.len());
            if rest > 0 {
                // A call may have ended since the shards were asked: its last record is the better one.
                let ended = self.recent.list(&Filter { limit: rest, ..filter });
                calls.retain(|call| ended.iter().all(|other| other.call_id != call.call_id));
                calls.extend(ended);
            }
            calls
        })
    }

    fn call(&self, id: CallId) -> Answer<'_, Option<Arc<CallRecord>>> {
        Box::pin(async move { self.one_call(&id).await })
    }

    fn hang_up(&self, id: CallId) -> Answer<'_, HangUp> {
        Box::pin(async move {
            if let Some(shard) = self.shards.get(usize::from(id.shard())) {
                let (reply, answer) = oneshot::channel();
                shard.control(Control::HangUp(id.clone(), Termination::new(Cause::OperatorEnded), reply));
                if answer.await.unwrap_or(false) {
                    return HangUp::Ending;
                }
            }
            if self.recent.get(&id).is_some() { HangUp::Over } else { HangUp::Unknown }
        })
    }

    fn explain(&self, ask: Ask) -> Answer<'_, Result<serde_json::Value, String>> {
        let stage = self.stage.clone();
        Box::pin(async move {
            let question = Question { input: ask.input, trunk: ask.trunk, source: ask.source, call_id: ask.call_id };
            // Reading a capture takes its time; the listeners' threads are for others.
            let told = tokio::task::spawn_blocking(move || explain(&stage, &question, crate::clock::now())).await;
            let report = told.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
            serde_json::to_value(report).map_err(|error| error.to_string())
        })
    }

    fn drain(&self) -> Answer<'_, Readiness> {
        Box::pin(async move {
            self.start_drain();
            self.readiness()
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::observe::metrics::MessageKind;
    use crate::sip::Method;

    #[test]
    fn every_method_that_the_stack_knows_is_counted_under_its_name() {
        for name in Method::KNOWN {
            assert_eq!(MessageKind::request(name).as_str(), name);
        }
        // The unknown methods, and six classes of responses.
        assert_eq!(MessageKind::COUNT, Method::KNOWN.len() + 1 + 6);
    }
}
