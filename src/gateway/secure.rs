//! Certificates of a configuration as the listeners and the transports work with them, read at the start and again when
//! the operator says so. Apart from the start, because a reload must be able to fail and change nothing.

use crate::config::Config;
use crate::config::way::{HttpTls, PeerTls, SipTls};
use crate::observe::Metrics;
use crate::tls::{Clients, Identity, LoadError, Profile, Server, Trust};
use crate::transport::tcp;
use std::path::Path;
use std::time::SystemTime;

/// Everything of TLS that a running gateway has.
#[derive(Debug, Clone)]
pub(super) struct Certificates {
    sip: Option<Server>,
    http: Option<Server>,
    clients: Clients,
    ends: Vec<(&'static str, SystemTime)>,
}

// === impl Certificates ===

impl Certificates {
    /// Reads every file.
    pub(super) fn load(config: &Config) -> Result<Self, LoadError> {
        let mut ends = vec![];
        let mut note = |purpose, identity: &Identity| ends.extend(identity.expires.map(|end| (purpose, end)));
        let sip = config.sip.tls.as_ref();
        let identity =
            sip.and_then(pair).map(|(certificate, key)| Identity::load(certificate, key, &read)).transpose()?;
        let mut server = None;
        if let (Some(identity), Some(tls)) = (&identity, sip) {
            note("sip", identity);
            let client_ca = tls.client_ca.as_ref().map(|ca| ca.as_str());
            server = Some(Server::new(identity, client_ca, tls.min_version.into(), &read)?);
        }
        let http = match &config.http.tls {
            None => None,
            Some(HttpTls { certificate, key, min_version }) => {
                let identity = Identity::load(certificate.as_str(), key.as_str(), &read)?;
                note("http", &identity);
                Some(Server::new(&identity, None, (*min_version).into(), &read)?)
            }
        };
        let usual = trust(sip.and_then(|tls| tls.ca.as_ref()).map(|ca| ca.as_str()));
        let min_version = sip.map(|tls| tls.min_version).unwrap_or_default().into();
        let clients = Clients::new(&usual, &profiles(config, &usual), identity.as_ref(), min_version, &read)?;
        Ok(Self { sip: server, http, clients, ends })
    }

    /// What the streams of SIP work with.
    pub(super) fn security(&self) -> tcp::Security {
        tcp::Security { server: self.sip.clone(), clients: Some(self.clients.clone()) }
    }

    /// What the webhook listener works with.
    pub(super) fn http(&self) -> Option<Server> {
        self.http.clone()
    }

    /// Takes over what another load found: new handshakes work with it, connections that stand go on.
    pub(super) fn replace(&mut self, new: &Self) {
        for (old, new) in [(&self.sip, &new.sip), (&self.http, &new.http)] {
            if let (Some(old), Some(new)) = (old, new) {
                old.replace(new);
            }
        }
        self.clients.replace(&new.clients);
        self.ends.clone_from(&new.ends);
    }

    /// Shows when they end.
    pub(super) fn publish(&self, metrics: &Metrics) {
        for (purpose, end) in &self.ends {
            metrics.certificate_ends(purpose, *end);
        }
    }
}

fn pair(tls: &SipTls) -> Option<(&str, &str)> {
    Some((tls.certificate.as_ref()?.as_str(), tls.key.as_ref()?.as_str()))
}

fn trust(ca: Option<&str>) -> Trust {
    ca.map_or(Trust::System, |ca| Trust::Authority(ca.to_owned()))
}

fn profiles(config: &Config, usual: &Trust) -> Vec<(String, Profile)> {
    let profile = |tls: &PeerTls| Profile {
        trust: match (&tls.ca, tls.verify) {
            (_, false) => Trust::Anybody,
            (Some(ca), true) => trust(Some(ca.as_str())),
            (None, true) => usual.clone(),
        },
        server_name: tls.server_name.clone(),
    };
    let trunks = config.trunks.iter().map(|trunk| (trunk.tls_hosts(), trunk.tls.as_ref()));
    let targets = config.targets.iter().map(|target| (target.tls_hosts(), target.tls.as_ref()));
    let mut found = vec![];
    for (hosts, tls) in trunks.chain(targets) {
        if let Some(tls) = tls {
            found.extend(hosts.into_iter().map(|host| (host, profile(tls))));
        }
    }
    found
}

fn read(path: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}
