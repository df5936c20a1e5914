//! `auth` and `register` of both ends.

use super::Check;
use crate::config::document::Place;
use crate::config::target::Target;
use crate::config::trunk::Trunk;
use std::time::Duration;

// === impl Check ===

impl<'c> Check<'c> {
    pub(super) fn trunk_auth(&mut self, place: &Place<'_>, position: usize, trunk: &'c Trunk) {
        let name = &trunk.name;
        if trunk.register && trunk.auth.is_none() {
            let message = format!("trunk `{name}` takes registrations from anybody");
            self.wrong(&place.key("register"), message, "add `auth = { username = \"..\", password = \"..\" }`");
        }
        let Some(auth) = &trunk.auth else { return };
        let place = place.key("auth");
        self.user(&place.key("username"), &auth.username);
        self.password(&place.key("password"), auth.password.expose());
        if auth.algorithms.is_empty() {
            let remedy = "name at least one, or remove the key for all of them";
            self.wrong(&place.key("algorithms"), "`algorithms` is empty", remedy);
        }
        // By its user alone a trunk is found only if nobody else has that user.
        let earlier = self.config.trunks.iter().take(position).find(|other| {
            let same = other.auth.as_ref().is_some_and(|other| other.username == auth.username);
            same && other.peers.is_empty() && trunk.peers.is_empty()
        });
        if let Some(other) = earlier {
            let message =
                format!("`{}` is the user of both `{}` and `{name}`, which have no `peers`", auth.username, other.name);
            self.wrong(&place.key("username"), message, "give one of them another user, or name their `peers`");
        }
    }

    pub(super) fn target_auth(&mut self, place: &Place<'_>, target: &'c Target) {
        let name = &target.name;
        if let Some(auth) = &target.auth {
            let place = place.key("auth");
            self.user(&place.key("username"), &auth.username);
            self.password(&place.key("password"), auth.password.expose());
        }
        let Some(register) = &target.register else { return };
        if target.auth.is_none() {
            let message = format!("target `{name}` is registered at without `auth`");
            self.wrong(&place.key("register"), message, "add `auth`: its `username` is the address that is registered");
        }
        let place = place.key("register").key("expires");
        if register.expires.get() < Duration::from_secs(30) || register.expires.get().subsec_nanos() > 0 {
            let message = format!("`expires` of target `{name}` is {}", register.expires);
            self.wrong(&place, message, "write whole seconds, 30s at least: each refresh is a request");
        }
    }

    pub(super) fn registrar(&mut self) {
        let sip = &self.config.sip;
        let place = self.top().key("sip");
        self.positive(&place.key("nonce_lifetime"), "nonce_lifetime", sip.nonce_lifetime);
        let (shortest, longest) = (sip.register_min.get(), sip.register_max.get());
        if shortest < Duration::from_secs(1) || shortest >= Duration::from_secs(3600) {
            let remedy = "write a duration from 1s to below 1h (RFC 3261 §10.3)";
            self.wrong(&place.key("register_min"), format!("`register_min` is {}", sip.register_min), remedy);
        } else if longest < shortest {
            let message = "`register_max` is shorter than `register_min`";
            self.wrong(&place.key("register_max"), message, "make it the longer one");
        }
    }

    fn user(&mut self, place: &Place<'_>, user: &str) {
        if user.is_empty() || user.chars().any(char::is_control) {
            self.wrong(
                place,
                "`username` is empty or holds a control character",
                "write the user as the other side knows it",
            );
        }
    }

    fn password(&mut self, place: &Place<'_>, password: &str) {
        if password.is_empty() {
            self.wrong(place, "`password` is empty", "write it, or better ${env:NAME} or ${file:PATH}");
        }
    }
}
