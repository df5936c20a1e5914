//! The assembly: sockets, shards, media workers, companion and listeners from one configuration. It is the only module
//! that knows all the others, and it holds no behaviour of its own besides starting and stopping.

mod changes;
mod keepalive;
mod moved;
mod operations;
mod peers;
mod registrations;
pub mod router;
mod secure;
pub mod shard_thread;
mod start;

use crate::http::admin::Operations;
use crate::observe::Metrics;
use crate::record::{CallId, CallRecord};
use crate::sip::Protocol;
use crate::store::recent::Filter;
use router::{Control, ShardHandle};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

pub use changes::Changes;
pub use start::{StartError, stage};

/// How long ended calls may take to say goodbye (a BYE and its retransmissions) before the process goes.
const FAREWELL: Duration = Duration::from_secs(4);

/// Where the gateway listens.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// SIP.
    pub sip: Vec<(Protocol, SocketAddr)>,
    /// Webhooks.
    pub http: SocketAddr,
    /// API, metrics, health.
    pub admin: SocketAddr,
}

/// A running gateway.
pub struct Gateway {
    addresses: Addresses,
    shared: Arc<Shared>,
    threads: Vec<std::thread::JoinHandle<()>>,
    tasks: Vec<JoinHandle<()>>,
    tcp: Option<crate::transport::tcp::HubHandle>,
    companion: Option<(crate::room::CompanionHandle, JoinHandle<()>)>,
    config: Arc<crate::config::Config>,
    certificates: secure::Certificates,
    registrations: registrations::Registrations,
}

/// What the listeners and the gateway's owner share.
struct Shared {
    pub shards: Vec<ShardHandle>,
    pub recent: Arc<crate::store::Recent>,
    pub metrics: Metrics,
    pub policy: Arc<crate::call::Policy>,
    pub draining: watch::Sender<bool>,
    /// What `explain` rehearses on.
    pub stage: Arc<crate::explain::Stage>,
}

// === impl Gateway ===

impl Gateway {
    /// Where it listens, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Its metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The admin API's view of it.
    #[must_use]
    pub fn operations(&self) -> Arc<dyn Operations> {
        self.shared.clone()
    }

    /// Live and recent calls, newest first.
    pub async fn calls(&self) -> Vec<Arc<CallRecord>> {
        self.shared.calls(Filter { limit: Filter::MAX_LIMIT, ..Filter::default() }).await
    }

    /// One live or recent call.
    pub async fn call(&self, call_id: &CallId) -> Option<Arc<CallRecord>> {
        self.shared.one_call(call_id).await
    }

    /// What the companion holds; nothing without a `[daily]` section, or once stopped.
    pub async fn held(&self) -> crate::room::Census {
        match &self.companion {
            Some((companion, _)) => companion.census().await,
            None => crate::room::Census::default(),
        }
    }

    /// What the gateway's calls, records and figures are waited for with.
    #[must_use]
    pub fn changes(&self) -> Changes {
        let shards = self.shared.shards.iter().map(ShardHandle::load).collect();
        Changes::new(shards, self.companion.as_ref().map(|(companion, _)| companion.watch()))
    }

    /// Reads the files of certificates and keys again. New handshakes work with what they hold now; connections that
    /// stand go on.
    ///
    /// # Errors
    /// What cannot be used; then everything stays as it was.
    pub fn reload_certificates(&mut self) -> Result<(), crate::tls::LoadError> {
        let new = secure::Certificates::load(&self.config)?;
        self.certificates.replace(&new);
        self.certificates.publish(&self.shared.metrics);
        Ok(())
    }

    /// Completes when somebody asks for a drain by the API.
    pub async fn drain_requested(&self) {
        let mut draining = self.shared.draining.subscribe();
        // The sender lives in `shared`, so waiting cannot fail.
        let _ = draining.wait_for(|draining| *draining).await;
    }

    /// Refuses new calls, lets live ones finish until `patience` is over, ends the rest with BYE, and stops.
    pub async fn drain(&mut self, patience: Duration) {
        self.shared.start_drain();
        if !self.shared.wait_until(patience, |load| load.active == 0).await {
            for shard in &self.shared.shards {
                shard.control(Control::HangUpAll);
            }
        }
        let silent = self.shared.wait_until(FAREWELL, |load| load.remaining == 0).await;
        if !silent {
            tracing::warn!("some peers did not confirm the end of their calls in time");
        }
        self.stop().await;
    }

    /// Ends everything at once; live calls get their BYE if it can be sent without waiting.
    pub async fn stop(&mut self) {
        self.shared.draining.send_replace(true);
        self.registrations.end().await;
        if let Some((companion, task)) = self.companion.take() {
            companion.shutdown();
            let _ = task.await;
        }
        for task in self.tasks.drain(..) {
            task.abort();
            let _ = task.await;
        }
        for shard in &self.shared.shards {
            shard.control(Control::Stop);
        }
        let threads = std::mem::take(&mut self.threads);
        // Joining blocks; the runtime's other tasks must not wait for it.
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let _ = thread.join();
            }
        });
        let _ = joined.await;
        if let Some(tcp) = self.tcp.take() {
            tcp.shutdown().await;
        }
    }
}

impl Drop for Gateway {
    /// What [`Gateway::stop`] would do, but without waiting for it: every part is told to end and does so by itself.
    fn drop(&mut self) {
        if let Some((companion, _)) = self.companion.take() {
            companion.shutdown();
        }
        for task in self.tasks.drain(..) {
            task.abort();
        }
        for shard in &self.shared.shards {
            shard.control(Control::Stop);
        }
    }
}

impl Shared {
    fn start_drain(&self) {
        self.draining.send_replace(true);
        for shard in &self.shards {
            shard.control(Control::Drain);
        }
    }

    /// Waits until every shard's load is as wanted; false if `patience` ran out first.
    async fn wait_until(&self, patience: Duration, wanted: fn(&router::Load) -> bool) -> bool {
        let all = async {
            for shard in &self.shards {
                let mut load = shard.load();
                if load.wait_for(wanted).await.is_err() {
                    return; // the shard is gone, and its calls with it
                }
            }
        };
        tokio::time::timeout(patience, all).await.is_ok()
    }

    /// Live calls that the filter wants, without their decisions and timelines. A shard is asked for a page at a time:
    /// between two pages it serves its calls, however many there are to list.
    async fn live_calls(&self, filter: &Filter) -> Vec<CallRecord> {
        let mut calls = Vec::new();
        for shard in &self.shards {
            let mut next = Some(0);
            while let Some(from) = next {
                let (reply, answer) = oneshot::channel();
                shard.control(Control::Page(from, filter.clone(), reply));
                let Ok(page) = answer.await else { break };
                calls.extend(page.records);
                next = page.next;
            }
        }
        calls
    }

    async fn one_call(&self, call_id: &CallId) -> Option<Arc<CallRecord>> {
        if let Some(shard) = self.shards.get(usize::from(call_id.shard())) {
            let (reply, answer) = oneshot::channel();
            shard.control(Control::Record(call_id.clone(), reply));
            if let Ok(Some(record)) = answer.await {
                return Some(Arc::new(record));
            }
        }
        self.recent.get(call_id)
    }
}
