//! `trunkline run`: the gateway until it is told to stop. SIGTERM and SIGINT drain (a second one stops at once), SIGHUP
//! checks the file and says what a restart would change.

use super::Outcome;
use crate::config;
use crate::gateway::{Addresses, Gateway};
use crate::sip::Protocol;
use std::path::Path;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs the gateway with this configuration file.
#[must_use]
pub fn run(path: &Path) -> Outcome {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return Outcome::Wrong;
        }
    };
    let _log = match crate::observe::log::start(&config.observe) {
        Ok(guard) => guard,
        Err(error) => {
            eprintln!("{error}");
            return Outcome::Wrong;
        }
    };
    // Calls run on the shards' threads; this runtime only carries HTTP, streams and names.
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return Outcome::Failed;
        }
    };
    runtime.block_on(serve(path, config))
}

async fn serve(path: &Path, config: config::Config) -> Outcome {
    let patience = config.sip.drain_timeout.get();
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = signals else {
        tracing::error!("cannot listen to signals");
        return Outcome::Failed;
    };
    let mut gateway = match Gateway::start(config).await {
        Ok(gateway) => gateway,
        Err(error) => {
            tracing::error!("{error}");
            return Outcome::Failed;
        }
    };
    println!("{}", ready_line(gateway.addresses()));
    tracing::info!(addresses = ?gateway.addresses(), "ready");
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = gateway.drain_requested() => break,
            _ = hangup.recv() => reread(path, &mut gateway),
        }
    }
    tracing::info!(?patience, "draining: new calls are refused");
    tokio::select! {
        () = gateway.drain(patience) => {}
        () = again(&mut terminate, &mut interrupt) => {
            tracing::warn!("told twice: stopping at once");
            gateway.stop().await;
        }
    }
    Outcome::Done
}

async fn again(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Certificates are taken over at once; the rest of the file in no way in this version, which still tells whether it would
/// be.
fn reread(path: &Path, gateway: &mut Gateway) {
    match gateway.reload_certificates() {
        Ok(()) => tracing::info!("certificates were read again: new TLS handshakes use them"),
        Err(error) => tracing::error!("certificates stay as they were: {error}; {}", error.remedy),
    }
    match config::load(path) {
        Ok(_) => tracing::warn!("the file is valid; taking it over without a restart is not in this version"),
        Err(error) => tracing::error!("the file would be refused: {error}"),
    }
}

/// One line of JSON for whoever started us: where we listen, with the ports that the system chose.
fn ready_line(addresses: &Addresses) -> serde_json::Value {
    let sip: Vec<String> = addresses
        .sip
        .iter()
        .map(|(protocol, address)| {
            let protocol = match protocol {
                Protocol::Udp => "udp",
                Protocol::Tcp => "tcp",
                Protocol::Tls => "tls",
            };
            format!("{protocol}:{address}")
        })
        .collect();
    serde_json::json!({
        "event": "ready",
        "sip": sip,
        "http": addresses.http.to_string(),
        "admin": addresses.admin.to_string(),
    })
}
