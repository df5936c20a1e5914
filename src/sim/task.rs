//! A tokio task that ends with its owner, and the wait until an instant.
//! Simulators are handles: dropping one must leave nothing running behind a test.

use std::future::Future;
use std::time::Instant;
use tokio::task::JoinHandle;

/// Aborts its task when dropped.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

// === impl Task ===

impl Task {
    /// Runs `future` until it ends or the owner drops this.
    pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits until `deadline`; for ever if there is none.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
