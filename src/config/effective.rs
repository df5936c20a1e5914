//! The configuration as it takes effect: what a key that was left out comes to. It stands apart from the sections
//! because most of these defaults depend on another section.

use super::Config;
use super::value::Listen;
use std::net::IpAddr;

// === impl Config ===

impl Config {
    /// Host by which peers of this listener reach us: `advertise` of `[sip]`, else the listening address, else (it
    /// listens on all addresses) `advertise` of `[media]`. `None` if nothing says.
    #[must_use]
    pub fn sip_host(&self, listen: &Listen) -> Option<String> {
        let own = listen.address.ip();
        self.sip
            .advertise
            .clone()
            .or_else(|| (!own.is_unspecified()).then(|| own.to_string()))
            .or_else(|| self.media.advertise.clone())
            .map(|host| unbracketed(&host))
    }

    /// Host written into SDP: `advertise` of `[media]`, else of `[sip]`, else the address that media or SIP binds to.
    #[must_use]
    pub fn media_host(&self) -> Option<String> {
        let specific = |ip: IpAddr| (!ip.is_unspecified()).then(|| ip.to_string());
        self.media
            .advertise
            .clone()
            .or_else(|| self.sip.advertise.clone())
            .or_else(|| self.media.bind.and_then(specific))
            .or_else(|| self.sip.listen.iter().find_map(|listen| specific(listen.address.ip())))
            .map(|host| unbracketed(&host))
    }

    /// The URL that bots report to: `public_url` of `[http]`, else `http://` (`https://` with `tls`) and the listening
    /// address; no slash at its end.
    #[must_use]
    pub fn public_url(&self) -> String {
        match &self.http.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("{}://{}", if self.http.tls.is_some() { "https" } else { "http" }, self.http.listen),
        }
    }

    /// The same configuration with every default written out.
    #[must_use]
    pub fn effective(&self) -> Self {
        let mut config = self.clone();
        config.sip.advertise = self.sip.listen.first().and_then(|listen| self.sip_host(listen));
        config.media.bind = Some(self.media.bind.unwrap_or(IpAddr::from([0, 0, 0, 0])));
        config.media.advertise = self.media_host();
        config.http.public_url = Some(self.public_url());
        for trunk in &mut config.trunks {
            trunk.country.get_or_insert_with(|| self.numbers.country.clone());
        }
        for target in &mut config.targets {
            target.codecs = target.effective_codecs();
            target.header_limit = target.effective_header_limit();
            target.headers = Some(target.effective_headers().into_iter().collect());
        }
        for room in &mut config.rooms {
            if room.use_room.is_none() {
                room.create.get_or_insert_default();
            }
        }
        config
    }
}

fn unbracketed(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}
