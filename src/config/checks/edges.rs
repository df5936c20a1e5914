//! The sections that say where this machine can be reached: `[sip]`, `[media]`, `[http]`, `[admin]`, and `[numbers]`.

use super::{Check, is_host};
use crate::config::document::Place;
use crate::config::value::ListenProtocol;
use std::net::IpAddr;

// === impl Check ===

impl Check<'_> {
    pub(super) fn sip(&mut self) {
        let sip = &self.config.sip;
        let place = self.top().key("sip");
        if sip.listen.is_empty() {
            let remedy = "add to [sip] `listen = [\"udp:0.0.0.0:5060\", \"tcp:0.0.0.0:5060\"]`";
            self.wrong(&place.key("listen"), "[sip] has no listener", remedy);
        }
        for (position, listen) in sip.listen.iter().enumerate() {
            let twice = listen.address.port() != 0 && sip.listen.iter().take(position).any(|other| other == listen);
            if twice {
                let place = place.key("listen").index(position);
                self.wrong(&place, format!("`{listen}` is listed twice"), "remove one of them");
            }
        }
        if let Some(advertise) = &sip.advertise {
            self.advertise(&place.key("advertise"), "[sip]", advertise);
        }
        for (key, span) in
            [("t1", sip.t1), ("t2", sip.t2), ("max_duration", sip.max_duration), ("failover_after", sip.failover_after)]
        {
            self.positive(&place.key(key), key, span);
        }
        if sip.t2 < sip.t1 {
            // RFC 3261 §17.1.2.2: T2 caps what starts at T1.
            self.wrong(&place.key("t2"), "`t2` is shorter than `t1`", "raise it; the RFC has 500ms and 4s");
        }
    }

    pub(super) fn media(&mut self) {
        let media = &self.config.media;
        let place = self.top().key("media");
        if let Some(advertise) = &media.advertise {
            self.advertise(&place.key("advertise"), "[media]", advertise);
        } else if self.config.media_host().is_none() && !self.config.sip.listen.is_empty() {
            let remedy =
                "add `advertise = \"ADDRESS\"` to [media], the address that the PBX and the cloud send media to";
            self.wrong(&place, "there is no address for media: everything listens on all addresses", remedy);
        }
        for (key, span) in [
            ("timeout_initial", media.timeout_initial),
            ("timeout", media.timeout),
            ("timeout_hold", media.timeout_hold),
        ] {
            self.positive(&place.key(key), key, span);
        }
        for listen in &self.config.sip.listen {
            let port = listen.address.port();
            if listen.protocol == ListenProtocol::Udp && (media.ports.first..=media.ports.last).contains(&port) {
                let message = format!("media ports {} contain the SIP port {port}", media.ports);
                self.wrong(&place.key("ports"), message, "move one of them");
            }
        }
    }

    pub(super) fn advertise(&mut self, place: &Place<'_>, section: &str, advertise: &str) {
        let bare = advertise.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
            let message = format!("`advertise` of {section} is {advertise}, which nobody can reach");
            self.wrong(place, message, "write the address that peers reach this machine by");
        } else if !is_host(bare) {
            let message = format!("`advertise` of {section} is no host: `{advertise}`");
            self.wrong(place, message, "write an IP address or a host name, without scheme and port");
        } else if bare.parse::<IpAddr>().is_err() && !(self.surroundings.resolves)(bare) {
            let message = format!("`advertise` of {section} does not resolve: `{advertise}`");
            self.wrong(place, message, "correct the name or its DNS entry, or write an IP address");
        }
    }

    pub(super) fn http_and_admin(&mut self) {
        let (http, admin) = (&self.config.http, &self.config.admin);
        let place = self.top().key("http");
        if let Some(url) = &http.public_url {
            self.url(&place.key("public_url"), "public_url", url);
        }
        let bots = self.config.rooms.iter().any(|room| room.bot.is_some());
        if bots && http.public_url.is_none() && http.listen.ip().is_unspecified() {
            let message = "bots cannot be told where to report ready: [http] listens on all addresses";
            let remedy = "add to [http] `public_url = \"https://HOST\"`, as bots reach it";
            self.doubtful(&place, message, remedy);
        }
        let place = self.top().key("admin");
        if admin.listen == http.listen && http.listen.port() != 0 {
            let message = format!("[http] and [admin] both listen on {}", http.listen);
            self.wrong(&place.key("listen"), message, "give one of them another port");
        }
        if admin.tokens.is_empty() && !admin.listen.ip().is_loopback() {
            let message = format!("[admin] listens on {} without tokens", admin.listen);
            let remedy =
                "add `tokens = [{ name = \"..\", role = \"admin\", token = \"${env:NAME}\" }]`, or listen on 127.0.0.1";
            self.wrong(&place, message, remedy);
        }
        for (position, token) in admin.tokens.iter().enumerate() {
            let place = place.key("tokens").index(position);
            if token.token.expose().trim().is_empty() {
                self.wrong(&place.key("token"), "the token is empty", "write a long random value");
            } else if token.token.expose().len() < 16 {
                self.doubtful(&place.key("token"), "the token is short", "use at least 16 random characters");
            }
            if admin.tokens.iter().take(position).any(|other| other.name == token.name) {
                let message = format!("`{}` is the name of two tokens", token.name);
                self.wrong(&place.key("name"), message, "rename one of them, so that the log can tell them apart");
            }
        }
    }

    pub(super) fn numbers(&mut self) {
        let place = self.top().key("numbers").key("country");
        self.country(&place, &self.config.numbers.country);
    }
}
