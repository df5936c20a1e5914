//! The gauges that every shard keeps for itself and that are summed when somebody asks. A shard writes its own cells
//! without a lock; the sum over the living shards is the scraper's business.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What one shard, or all of them, carry at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Calls that are not over.
    pub calls: u64,
    /// SIP dialogs, early ones included.
    pub dialogs: u64,
    /// SIP transactions, completed ones that absorb retransmissions included.
    pub transactions: u64,
    /// Armed timers.
    pub timers: u64,
    /// Media ports that calls hold; resting ports are not counted.
    pub media_ports: u64,
}

/// The gauges of one shard. The owner sets them; they leave the sums when the owner drops them.
#[derive(Debug, Default)]
pub struct ShardGauges {
    calls: AtomicU64,
    dialogs: AtomicU64,
    transactions: AtomicU64,
    timers: AtomicU64,
    media_ports: AtomicU64,
}

/// All shards that live.
#[derive(Debug, Clone, Default)]
pub(super) struct Shards(Arc<Mutex<Vec<Weak<ShardGauges>>>>);

// === impl ShardGauges ===

impl ShardGauges {
    /// Replaces what the shard carries. Wait-free; the five cells are independent, and a scrape may see them mid-way.
    pub fn set(&self, load: Load) {
        self.calls.store(load.calls, Ordering::Relaxed);
        self.dialogs.store(load.dialogs, Ordering::Relaxed);
        self.transactions.store(load.transactions, Ordering::Relaxed);
        self.timers.store(load.timers, Ordering::Relaxed);
        self.media_ports.store(load.media_ports, Ordering::Relaxed);
    }

    /// What it carries.
    #[must_use]
    pub fn get(&self) -> Load {
        Load {
            calls: self.calls.load(Ordering::Relaxed),
            dialogs: self.dialogs.load(Ordering::Relaxed),
            transactions: self.transactions.load(Ordering::Relaxed),
            timers: self.timers.load(Ordering::Relaxed),
            media_ports: self.media_ports.load(Ordering::Relaxed),
        }
    }
}

// === impl Shards ===

impl Shards {
    /// Adds a shard.
    pub(super) fn join(&self) -> Arc<ShardGauges> {
        let gauges = Arc::new(ShardGauges::default());
        let mut shards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shards.retain(|shard| shard.strong_count() > 0);
        shards.push(Arc::downgrade(&gauges));
        gauges
    }

    /// The sum over the shards that live.
    pub(super) fn sum(&self) -> Load {
        let shards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shards.iter().filter_map(Weak::upgrade).map(|shard| shard.get()).fold(Load::default(), |sum, load| Load {
            calls: sum.calls + load.calls,
            dialogs: sum.dialogs + load.dialogs,
            transactions: sum.transactions + load.transactions,
            timers: sum.timers + load.timers,
            media_ports: sum.media_ports + load.media_ports,
        })
    }
}

impl Collector for Shards {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let load = self.sum();
        let gauges = [
            ("calls_active", "Calls that are not over.", load.calls),
            ("sip_dialogs", "SIP dialogs, early ones included.", load.dialogs),
            ("sip_transactions", "SIP transactions, those that absorb retransmissions included.", load.transactions),
            ("sip_timers", "Armed timers of the SIP stack.", load.timers),
            ("media_ports_in_use", "Media ports that calls hold.", load.media_ports),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
