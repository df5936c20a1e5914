//! What the gateway tells about itself: numbers for Prometheus (`metrics`), lines for people and collectors (`log`), and
//! how phone numbers look in those lines (`redact`). It stands apart because everybody speaks through it and it decides
//! nothing.

pub mod log;
pub mod metrics;
pub mod redact;

pub use metrics::Metrics;
