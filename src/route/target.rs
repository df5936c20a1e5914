//! A target, ready for calls: addresses read, templates compiled, limits shared. It stands apart from the routes because
//! several of them may name it.

use super::address::{AddressError, TargetAddress};
use crate::config;
use crate::config::keepalive::Keepalive;
use crate::config::session::{Offer, Reliable, SessionTimer};
use crate::config::target::{Redirect, TargetKind, Transfer};
use crate::identity::headers::{PassList, Recipe};
use crate::identity::template::{Template, TemplateError};
use crate::sip::Hop;
use crate::sip::auth::Credentials;
use crate::sip::endpoint::aim::Path;
use crate::trunk::admission::Admission;
use crate::trunk::health::Health;
use std::net::IpAddr;
use std::sync::Arc;

/// One target.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// What stands behind it.
    pub kind: TargetKind,
    /// The Request-URI, without header part.
    pub request_uri: String,
    /// Where its INVITEs are sent.
    pub hop: Hop,
    /// Whether that is an `outbound_proxy`.
    pub proxied: bool,
    /// How the headers of its INVITEs are made.
    pub recipe: Recipe,
    /// How it is reached in signalling, where that is not the usual way.
    pub path: Path,
    /// The address that it sends media to, if not the usual one.
    pub media_address: Option<IpAddr>,
    /// Codecs it takes, in order; `None` for all.
    pub codecs: Option<Vec<String>>,
    /// Reliable provisional responses (RFC 3262).
    pub reliable: Reliable,
    /// Session timers (RFC 4028).
    pub session_timer: SessionTimer,
    /// Who makes the offer.
    pub offer: Offer,
    /// What its challenges are answered with.
    pub credentials: Option<Arc<Credentials>>,
    /// What is done when it asks for a transfer.
    pub transfer: Transfer,
    /// What is done when it redirects a call.
    pub redirect: Redirect,
    /// Its limits, shared by all shards and kept over a reload.
    pub admission: Arc<Admission>,
    /// How it is asked whether it is there.
    pub keepalive: Option<Keepalive>,
    /// Whether it is up, shared and kept likewise.
    pub health: Arc<Health>,
}

/// Why a target cannot be made ready; a checked configuration has none such.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Its address.
    #[error("target `{0}`: {1}")]
    Address(String, AddressError),
    /// One of its headers.
    #[error("target `{0}`: header `{1}`: {2}")]
    Template(String, String, TemplateError),
}

// === impl Target ===

impl Target {
    /// From its configuration; limits and health are those of its predecessor, if there is one.
    ///
    /// # Errors
    /// An address or a template that cannot be read.
    pub fn new(target: &config::target::Target, previous: Option<&Self>) -> Result<Self, TargetError> {
        let name = &target.name;
        let admission = previous.map_or_else(Default::default, |old| Arc::clone(&old.admission));
        admission.set_limits(target.max_calls, target.max_rate);
        let health = previous.map_or_else(Default::default, |old| Arc::clone(&old.health));
        health.set_rule(target.keepalive.as_ref());
        let address = TargetAddress::parse(&target.uri, target.outbound_proxy.as_deref())
            .map_err(|error| TargetError::Address(name.clone(), error))?;
        let templates = target
            .effective_headers()
            .into_iter()
            .map(|(header, template)| match Template::parse(&template) {
                Ok(template) => Ok((header, template)),
                Err(error) => Err(TargetError::Template(name.clone(), header, error)),
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            name: name.clone(),
            kind: target.kind,
            request_uri: address.request_uri,
            hop: address.hop,
            proxied: target.outbound_proxy.is_some(),
            recipe: Recipe {
                templates,
                fixed: address.uri_headers,
                pass: PassList::new(&target.pass_headers),
                limit: target.effective_header_limit().and_then(|limit| usize::try_from(limit).ok()),
                privacy: target.privacy,
            },
            path: target.path(),
            media_address: target.media_address(),
            codecs: target.effective_codecs(),
            reliable: target.reliable,
            session_timer: target.session_timer,
            offer: target.offer,
            credentials: target.auth.as_ref().map(|auth| Arc::new(credentials(auth))),
            transfer: target.transfer,
            redirect: target.redirect,
            admission,
            keepalive: target.keepalive,
            health,
        })
    }
}

fn credentials(auth: &config::auth::TargetAuth) -> Credentials {
    Credentials {
        username: auth.username.clone(),
        password: auth.password.expose().to_owned(),
        realm: auth.realm.clone(),
    }
}
