//! When our certificates end, as the seconds that are left when somebody asks. Apart, because it is the one gauge that
//! moves by itself.

use crate::clock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// The ends, by what the certificate is for.
#[derive(Debug, Clone, Default)]
pub(super) struct Certificates(Arc<Mutex<BTreeMap<&'static str, SystemTime>>>);

// === impl Certificates ===

impl Certificates {
    pub(super) fn set(&self, purpose: &'static str, end: SystemTime) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(purpose, end);
    }
}

impl Collector for Certificates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let now = clock::wall();
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.is_empty() {
            return Ok(());
        }
        let help = "Seconds until the certificate for this use ends; negative afterwards.";
        let mut family = encoder.encode_descriptor("tls_certificate_expiry_seconds", help, None, MetricType::Gauge)?;
        for (purpose, end) in ends.iter() {
            let seconds = |span: std::time::Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
            let left = match end.duration_since(now) {
                Ok(left) => seconds(left),
                Err(past) => -seconds(past.duration()),
            };
            ConstGauge::new(left).encode(family.encode_family(&[("use", *purpose)])?)?;
        }
        Ok(())
    }
}
