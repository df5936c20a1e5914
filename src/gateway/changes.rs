//! Waiting for a gateway to move on: whoever wants to see a call in some state looks, waits for a change, and looks again.
//! Apart from the gateway, so that a look at it and the wait for it can be used at the same time.

use super::router::Load;
use crate::room::Census;
use std::pin::Pin;
use tokio::sync::watch;

/// Changes of a gateway's live calls, finished records, gauges and held calls. None is missed between two waits.
#[derive(Debug, Clone)]
pub struct Changes {
    shards: Vec<watch::Receiver<Load>>,
    held: Option<watch::Receiver<Census>>,
}

// === impl Changes ===

impl Changes {
    pub(super) fn new(shards: Vec<watch::Receiver<Load>>, held: Option<watch::Receiver<Census>>) -> Self {
        Self { shards, held }
    }

    /// Completes when something changed since the last time, or since this was made; at once when the gateway has
    /// stopped, after which nothing changes any more.
    pub async fn next(&mut self) {
        type Wait<'a> = Pin<Box<dyn Future<Output = Result<(), watch::error::RecvError>> + Send + 'a>>;
        let shards = self.shards.iter_mut().map(|shard| Box::pin(shard.changed()) as Wait<'_>);
        let held = self.held.iter_mut().map(|held| Box::pin(held.changed()) as Wait<'_>);
        let mut waits: Vec<Wait<'_>> = shards.chain(held).collect();
        std::future::poll_fn(|context| {
            let any = waits.iter_mut().any(|wait| wait.as_mut().poll(context).is_ready());
            if any { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_between_two_waits_is_not_missed() {
        let (one, other, held) = (watch::Sender::default(), watch::Sender::default(), watch::Sender::default());
        let mut changes = Changes::new(vec![one.subscribe(), other.subscribe()], Some(held.subscribe()));
        other.send_modify(|load: &mut Load| load.turns += 1);
        changes.next().await;
        held.send_modify(|census: &mut Census| census.calls += 1);
        changes.next().await;
        let waits = tokio::spawn(async move { changes.next().await });
        one.send_modify(|load: &mut Load| load.active += 1);
        waits.await.unwrap();
    }

    #[tokio::test]
    async fn a_gateway_that_stopped_keeps_nobody_waiting() {
        let shard = watch::Sender::<Load>::default();
        let mut changes = Changes::new(vec![shard.subscribe()], None);
        drop(shard);
        changes.next().await;
    }
}
