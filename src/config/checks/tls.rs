//! Certificates and keys: what the start of the gateway would not get to work with, found before it is tried.

use super::Check;
use crate::clock;
use crate::config::document::Place;
use crate::config::value::ListenProtocol;
use crate::config::way::{PeerTls, Pem, SipTls, TlsVersion};
use crate::tls::{self, Clients, Identity, LoadError, MinVersion, Trust};
use std::time::Duration;

/// A certificate that ends sooner than this deserves a word.
const SOON: Duration = Duration::from_secs(14 * 86_400);

// === impl Check ===

impl<'c> Check<'c> {
    pub(super) fn tls(&mut self) {
        let config = self.config;
        let place = self.top().key("sip").key("tls");
        let listens = config.sip.listen.iter().any(|listen| listen.protocol == ListenProtocol::Tls);
        match &config.sip.tls {
            Some(tls) => self.sip_tls(&place, tls, listens),
            None if listens => {
                let remedy = "add to [sip] `tls = { certificate = \"FILE\", key = \"FILE\" }`";
                self.wrong(&self.top().key("sip").key("listen"), "a tls listener has no certificate", remedy);
            }
            None => {}
        }
        if let Some(tls) = &config.http.tls {
            let place = self.top().key("http").key("tls");
            self.identity(&place, &tls.certificate, &tls.key);
        }
        let mut hosts: Vec<(String, &'c PeerTls)> = vec![];
        for (position, trunk) in config.trunks.iter().enumerate() {
            let place = self.top().key("trunk").index(position);
            self.peer_tls(&place, &trunk.name, trunk.tls.as_ref(), trunk.tls_hosts(), &mut hosts);
        }
        for (position, target) in config.targets.iter().enumerate() {
            let place = self.top().key("target").index(position);
            self.peer_tls(&place, &target.name, target.tls.as_ref(), target.tls_hosts(), &mut hosts);
        }
    }

    fn sip_tls(&mut self, place: &Place<'_>, tls: &'c SipTls, listens: bool) {
        match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => {
                let identity = self.identity(place, certificate, key);
                if let (Some(identity), Some(ca)) = (identity, &tls.client_ca) {
                    let read = self.surroundings.read;
                    let server = tls::Server::new(&identity, Some(ca.as_str()), MinVersion::default(), read);
                    self.refused(place, server.err());
                }
            }
            (None, None) if listens => {
                self.wrong(place, "a tls listener has no certificate", "add `certificate` and `key`");
            }
            (None, None) => {
                if tls.client_ca.is_some() {
                    self.doubtful(&place.key("client_ca"), "`client_ca` has no tls listener to work for", "remove it");
                }
            }
            (Some(_), None) | (None, Some(_)) => {
                self.wrong(place, "`certificate` and `key` need each other", "add the one that is missing");
            }
        }
        self.authority(&place.key("ca"), tls.ca.as_ref());
    }

    /// A certificate with its key, if they can be used.
    fn identity(&mut self, place: &Place<'_>, certificate: &Pem, key: &Pem) -> Option<Identity> {
        match Identity::load(certificate.as_str(), key.as_str(), self.surroundings.read) {
            Ok(identity) => {
                let now = clock::wall();
                let place = place.key("certificate");
                if identity.expires.is_some_and(|end| end <= now) {
                    self.wrong(&place, "the certificate has expired", "renew it");
                } else if identity.expires.is_some_and(|end| end <= now + SOON) {
                    self.doubtful(&place, "the certificate ends within two weeks", "renew it, then send SIGHUP");
                } else if identity.begins.is_some_and(|begin| begin > now) {
                    self.doubtful(&place, "the certificate is not valid yet", "look at the clock of this machine");
                }
                Some(identity)
            }
            Err(error) => {
                self.refused(place, Some(error));
                None
            }
        }
    }

    fn peer_tls(
        &mut self,
        place: &Place<'_>,
        name: &str,
        tls: Option<&'c PeerTls>,
        own: Vec<String>,
        hosts: &mut Vec<(String, &'c PeerTls)>,
    ) {
        let Some(tls) = tls else { return };
        let place = place.key("tls");
        if own.is_empty() {
            self.doubtful(
                &place,
                format!("`{name}` is not called by TLS: `tls` changes nothing"),
                "write `;transport=tls` or sips: into its address",
            );
        }
        self.authority(&place.key("ca"), tls.ca.as_ref());
        if !tls.verify {
            let message = format!(
                "`{name}` is called without looking at its certificate: anybody on the way can take its place, and hear and change every call"
            );
            self.doubtful(
                &place.key("verify"),
                message,
                "name its authority with `ca`, and the name of its certificate with `server_name` if it is another",
            );
        }
        for host in own {
            if hosts.iter().any(|(other, with)| *other == host && *with != tls) {
                let message = format!("{host} is called by TLS in two ways");
                self.wrong(&place, message, "write the same `tls` wherever this host is named");
            }
            hosts.push((host, tls));
        }
    }

    fn authority(&mut self, place: &Place<'_>, ca: Option<&Pem>) {
        let Some(ca) = ca else { return };
        let trust = Trust::Authority(ca.as_str().to_owned());
        let clients = Clients::new(&trust, &[], None, MinVersion::default(), self.surroundings.read);
        if let Err(error) = clients {
            self.wrong(place, error.to_string(), error.remedy);
        }
    }

    fn refused(&mut self, place: &Place<'_>, error: Option<LoadError>) {
        if let Some(error) = error {
            self.wrong(&place.key(error.what), error.to_string(), error.remedy);
        }
    }
}

impl From<TlsVersion> for MinVersion {
    fn from(version: TlsVersion) -> Self {
        match version {
            TlsVersion::V12 => Self::V12,
            TlsVersion::V13 => Self::V13,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load::examine_text;
    use crate::config::surroundings::Surroundings;
    use rcgen::{CertificateParams, KeyPair};
    use std::path::Path;

    const GOOD: &str = "tls = { certificate = \"gw.pem\", key = \"gw.key\" }";

    /// Problems and warnings of a file with these lines in `[sip]` and these in its target; the certificate ends in
    /// `days`.
    fn examined(sip: &str, target: &str, days: i64) -> Vec<String> {
        let text = format!(
            "[sip]\nlisten = [\"tls:127.0.0.1:5061\"]\n{sip}\n[[trunk]]\nname = \"pbx\"\npeers = [\"192.0.2.10\"]\n\
             [[target]]\nname = \"bot\"\nkind = \"sip\"\nuri = \"sips:bot@bot.example.com\"\n{target}\n\
             [[route]]\ntargets = [\"bot\"]\n"
        );
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::new(vec!["gw.example.com".to_owned()]).unwrap();
        let now = crate::clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let since_2000 = i64::try_from(now).unwrap() / 86_400 - 10_957 + days;
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2000, 1, 1)
            + std::time::Duration::from_secs(u64::try_from(since_2000).unwrap() * 86_400);
        let certificate = params.self_signed(&key).unwrap().pem();
        let read = |path: &Path| match path.to_str() {
            Some("/etc/trunkline/gw.pem") => Ok(certificate.clone()),
            Some("/etc/trunkline/gw.key") => Ok(key.serialize_pem()),
            Some("/etc/trunkline/other.key") => Ok(other.serialize_pem()),
            Some("/etc/trunkline/empty.pem") => Ok("nothing".to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        let surroundings =
            Surroundings { directory: Path::new("/etc/trunkline"), env: &|_| None, read: &read, resolves: &|_| true };
        match examine_text("t.toml", &text, &surroundings) {
            Ok(examined) => examined.warnings.iter().map(|warning| warning.message.clone()).collect(),
            Err(error) => error.problems.iter().map(|problem| problem.message.clone()).collect(),
        }
    }

    #[test]
    fn files_start_from_the_configuration_and_a_good_pair_has_no_word_said_about_it() {
        assert_eq!(examined(GOOD, "", 400), [""; 0]);
    }

    #[test]
    fn what_the_start_could_not_work_with_is_found_with_its_reason() {
        for (sip, days, why) in [
            ("", 400, "a tls listener has no certificate"),
            ("tls = { certificate = \"gw.pem\" }", 400, "need each other"),
            (
                "tls = { certificate = \"gone.pem\", key = \"gw.key\" }",
                400,
                "certificate /etc/trunkline/gone.pem: cannot be read",
            ),
            ("tls = { certificate = \"empty.pem\", key = \"gw.key\" }", 400, "holds no certificate in PEM"),
            ("tls = { certificate = \"gw.pem\", key = \"gw.pem\" }", 400, "holds no private key in PEM"),
            ("tls = { certificate = \"gw.pem\", key = \"other.key\" }", 400, "does not belong to the certificate"),
            (
                "tls = { certificate = \"gw.pem\", key = \"gw.key\", client_ca = \"empty.pem\" }",
                400,
                "client_ca /etc/trunkline/empty.pem",
            ),
            (
                "tls = { certificate = \"gw.pem\", key = \"gw.key\", ca = \"gone.pem\" }",
                400,
                "ca /etc/trunkline/gone.pem: cannot be read",
            ),
            (GOOD, -1, "the certificate has expired"),
            (GOOD, 7, "warning: the certificate ends within two weeks"),
        ] {
            let said = examined(sip, "", days);
            assert!(said.len() == 1 && said[0].contains(why), "{sip}: {said:?}");
        }
    }

    #[test]
    fn a_peer_that_is_not_verified_is_warned_about() {
        let said = examined(GOOD, "tls = { verify = false }", 400);
        assert!(said.len() == 1 && said[0].contains("anybody on the way can take its place"), "{said:?}");
    }
}
