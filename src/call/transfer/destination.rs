//! Whom a `Refer-To` means. A peer may name any host of the internet; what is called is only what the configuration
//! knows: an address of a trunk or target as it was named, else the number alone at the call's own trunk.

use crate::call::{Policy, terms};
use crate::config::value::Peer;
use crate::record::Lane;
use crate::sip::Hop;
use crate::sip::endpoint::Terms;
use crate::sip::endpoint::aim::Path;
use crate::sip::header::ReferTo;
use crate::sip::uri::{self, Scheme, Uri};
use crate::trunk::Trunk;
use std::net::IpAddr;

/// Where the new party is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    pub request_uri: String,
    pub hop: Hop,
    /// Codecs it takes; `None` for all.
    pub takes: Option<Vec<String>>,
    /// How it is reached in signalling, where that is not the usual way.
    pub path: Path,
    /// What is agreed with it besides RFC 3261.
    pub terms: Terms,
    /// The address that it sends media to, if not the usual one.
    pub media_address: Option<IpAddr>,
    pub lane: Lane,
    /// For the record: `7001 at trunk pbx`.
    pub name: String,
}

// === impl Destination ===

impl Destination {
    /// The address that is called, if it needs no DNS.
    pub fn address(&self) -> Option<IpAddr> {
        self.hop.address.socket().map(|address| address.ip())
    }
}

/// Finds it.
///
/// # Errors
/// Why there is no such party, with the remedy.
pub(super) fn resolve(policy: &Policy, trunk: &Trunk, to: &ReferTo) -> Result<Destination, String> {
    let uri = Uri::parse(to.uri.as_bytes()).map_err(|error| error.to_string())?;
    let user = uri.subscriber().map(|user| String::from_utf8_lossy(&user).into_owned()).unwrap_or_default();
    let host = String::from_utf8_lossy(uri.host).to_ascii_lowercase();
    if matches!(uri.scheme, Scheme::Sip | Scheme::Sips) {
        let known = policy.trunks.all().iter().find(|trunk| is_at(trunk, &host));
        if let (Some(known), Some(hop)) = (known, uri::hop(&uri)) {
            return Ok(Destination {
                // An address with a port or transport of its own leads to the very machine; one without, to where calls
                // of this trunk go.
                hop: known.address.as_ref().filter(|_| uri.port.is_none()).map_or(hop, |address| address.hop.clone()),
                request_uri: to.uri.clone(),
                takes: known.config.codecs.clone(),
                path: known.config.path(),
                terms: terms::of_fallback(&known.config),
                media_address: known.config.media_address(),
                lane: Lane::Pbx,
                name: format!("{user} at trunk {}", known.config.name),
            });
        }
        let target =
            policy.routes.targets().iter().find(|target| host_of(&target.request_uri).as_deref() == Some(&host));
        if let Some(target) = target {
            return Ok(Destination {
                hop: target.hop.clone(),
                request_uri: to.uri.clone(),
                takes: target.codecs.clone(),
                path: target.path.clone(),
                terms: terms::of_target(target),
                media_address: target.media_address,
                lane: Lane::CloudSip,
                name: format!("{user} at target {}", target.name),
            });
        }
    }
    if user.is_empty() {
        return Err(format!("{} names no number, and {host} is no trunk or target", to.uri));
    }
    let name = &trunk.config.name;
    let address = trunk
        .address
        .as_ref()
        .ok_or_else(|| format!("{host} is no trunk or target, and trunk {name} has no `address` to call {user} at"))?;
    Ok(Destination {
        request_uri: address.request_uri(&user),
        hop: address.hop.clone(),
        takes: trunk.config.codecs.clone(),
        path: trunk.config.path(),
        terms: terms::of_fallback(&trunk.config),
        media_address: trunk.config.media_address(),
        lane: Lane::Pbx,
        name: format!("{user} at trunk {name}"),
    })
}

/// Does this host belong to the trunk: its address, or one of its peers?
fn is_at(trunk: &Trunk, host: &str) -> bool {
    let address = trunk.address.as_ref().and_then(|address| host_of(&address.request_uri("x")));
    address.as_deref() == Some(host)
        || trunk.config.peers.iter().any(|peer| match (peer, host.parse::<IpAddr>()) {
            (Peer::Net(net), Ok(address)) => net.contains(&address),
            (Peer::Name(name), Err(_)) => name.eq_ignore_ascii_case(host),
            _ => false,
        })
}

fn host_of(uri: &str) -> Option<String> {
    let uri = Uri::parse(uri.as_bytes()).ok()?;
    Some(String::from_utf8_lossy(uri.host).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn resolve_for(address: &str, to: &str) -> Result<(String, String), String> {
        let config = crate::config::parse(&format!(
            r#"
            [sip]
            listen = ["udp:192.0.2.1:5060"]
            [[trunk]]
            name = "pbx"
            peers = ["192.0.2.2", "10.0.0.0/8", "pbx.example.com"]
            {address}
            [[target]]
            name = "daily"
            kind = "sip"
            uri = "sip:static@daily.example.com"
            [[route]]
            targets = ["daily"]
            "#
        ));
        let policy = Policy::new(config.unwrap(), &HashMap::new()).unwrap();
        let trunk = policy.trunks.by_name("pbx").unwrap();
        let to = ReferTo::parse(to.as_bytes()).unwrap();
        resolve(&policy, &trunk, &to).map(|found| (found.request_uri, found.name))
    }

    const ADDRESS: &str = "address = \"sip:192.0.2.2:5070\"";

    #[test]
    fn a_known_host_is_called_as_it_was_named() {
        for (to, name) in [
            ("sip:7001@192.0.2.2", "7001 at trunk pbx"),
            ("sip:7001@10.1.2.3:5080", "7001 at trunk pbx"),
            ("sip:7001@PBX.example.com;user=phone", "7001 at trunk pbx"),
            ("sip:room@daily.example.com", "room at target daily"),
        ] {
            assert_eq!(resolve_for(ADDRESS, &format!("<{to}>")), Ok((to.to_owned(), name.to_owned())));
        }
    }

    #[test]
    fn of_an_unknown_host_only_the_number_is_believed() {
        for to in ["<tel:+15550100>", "<sip:+15550100@evil.example.net>", "<sip:+15550100@192.0.2.1>"] {
            let expected = ("sip:+15550100@192.0.2.2:5070".to_owned(), "+15550100 at trunk pbx".to_owned());
            assert_eq!(resolve_for(ADDRESS, to), Ok(expected));
        }
    }

    #[test]
    fn what_leads_nowhere_says_why() {
        assert!(resolve_for(ADDRESS, "<sip:evil.example.net>").unwrap_err().contains("names no number"));
        assert!(resolve_for("", "<tel:+15550100>").unwrap_err().contains("has no `address`"));
    }
}
