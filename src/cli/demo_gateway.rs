//! The real gateway as the demo sees it. It stands between the two so that the demo knows nothing of the assembly and
//! the assembly nothing of the demo.

use super::demo::{Boxed, RunningGateway};
use crate::config::Config;
use crate::gateway::Gateway;
use crate::record::CallRecord;
use crate::sip::Protocol;
use std::net::SocketAddr;
use std::sync::Arc;

struct Started {
    gateway: Gateway,
    sip: SocketAddr,
}

/// Starts a gateway for the demo.
///
/// # Errors
/// Why it did not start, in words.
pub async fn start(config: Config) -> Result<Box<dyn RunningGateway>, String> {
    let mut gateway = Gateway::start(config).await.map_err(|error| error.to_string())?;
    let udp = gateway.addresses().sip.iter().find(|(protocol, _)| *protocol == Protocol::Udp);
    let Some(sip) = udp.map(|(_, address)| *address) else {
        gateway.stop().await;
        return Err("the demo's configuration has no UDP listener".to_owned());
    };
    Ok(Box::new(Started { gateway, sip }))
}

// === impl Started ===

impl RunningGateway for Started {
    fn sip(&self) -> SocketAddr {
        self.sip
    }

    fn webhooks(&self) -> SocketAddr {
        self.gateway.addresses().http
    }

    fn admin(&self) -> SocketAddr {
        self.gateway.addresses().admin
    }

    fn calls(&self) -> Boxed<'_, Vec<CallRecord>> {
        Box::pin(async { self.gateway.calls().await.into_iter().map(Arc::unwrap_or_clone).collect() })
    }

    fn stop(mut self: Box<Self>) -> Boxed<'static, ()> {
        Box::pin(async move { self.gateway.stop().await })
    }
}
