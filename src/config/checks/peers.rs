//! The two ends: `[[trunk]]` and `[[target]]`.

use super::{Check, is_token};
use crate::config::causes::Causes;
use crate::config::document::Place;
use crate::config::sections::nearest;
use crate::config::target::{Target, TargetKind};
use crate::config::trunk::{CalledSource, CallerSource, Translate, Trunk};
use crate::config::value::Peer;
use crate::error::Cause;
use crate::identity::headers::never;
use crate::identity::template::Template;
use crate::route::address::TargetAddress;
use crate::sip::HeaderName;
use crate::trunk::address::TrunkAddress;

/// The least that `header_limit` may be: the three headers that Daily's webhook is matched by.
const SMALLEST_LIMIT: u32 = 128;

/// Header fields that the gateway writes itself; a second one would contradict it.
const OWN_HEADERS: [&str; 24] = [
    "Via",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Max-Forwards",
    "Route",
    "Record-Route",
    "Content-Length",
    "Content-Type",
    "Require",
    "Supported",
    "Allow",
    "User-Agent",
    "Authorization",
    "Proxy-Authorization",
    "v",
    "f",
    "t",
    "i",
    "m",
    "l",
    "c",
];

// === impl Check ===

impl<'c> Check<'c> {
    pub(super) fn trunk_names(&self) -> Vec<&'c str> {
        self.config.trunks.iter().map(|trunk| trunk.name.as_str()).collect()
    }

    pub(super) fn target_names(&self) -> Vec<&'c str> {
        self.config.targets.iter().map(|target| target.name.as_str()).collect()
    }

    pub(super) fn trunks(&mut self) {
        let config = self.config;
        if config.trunks.is_empty() {
            let remedy = "add a [[trunk]] with `name` and the `peers` that your PBX sends from";
            self.wrong(&self.top(), "there is no [[trunk]]", remedy);
        }
        self.names("trunk", &self.trunk_names());
        for (position, trunk) in config.trunks.iter().enumerate() {
            let place = self.top().key("trunk").index(position);
            self.trunk(&place, trunk);
            self.trunk_auth(&place, position, trunk);
            self.same_peers(&place, position, trunk);
        }
    }

    fn trunk(&mut self, place: &Place<'_>, trunk: &'c Trunk) {
        let name = &trunk.name;
        if trunk.peers.is_empty() && trunk.address.is_none() && trunk.auth.is_none() {
            let message = format!("no call can come from or go to trunk `{name}`");
            let remedy = "add `peers` (where its calls come from), `auth` (who its calls come from) or `address` (where calls to it go)";
            self.wrong(place, message, remedy);
        }
        for (position, peer) in trunk.peers.iter().enumerate() {
            if let Peer::Net(net) = peer
                && net.prefix_len() < 8
            {
                let message = format!("peer {net} of trunk `{name}` lets almost anyone call");
                let place = place.key("peers").index(position);
                self.doubtful(&place, message, "name the addresses of the PBX");
            }
        }
        if let Some(address) = &trunk.address
            && let Err(problem) = TrunkAddress::parse(address)
        {
            let message = format!("`address` of trunk `{name}`: {problem}");
            self.wrong(&place.key("address"), message, "write a SIP URI, for example \"sip:192.0.2.10:5060\"");
        }
        self.causes(&place.key("causes"), &trunk.causes);
        if let Some(advertise) = &trunk.advertise {
            self.advertise(&place.key("advertise"), &format!("trunk `{name}`"), advertise);
        }
        if let Some(country) = &trunk.country {
            self.country(&place.key("country"), country);
        }
        if trunk.identity.is_empty() {
            let remedy = "name at least \"from\", or remove the key for the usual order";
            self.wrong(&place.key("identity"), "`identity` is empty", remedy);
        } else if !trunk.trust && !trunk.identity.contains(&CallerSource::From) {
            let message = format!("trunk `{name}` is not trusted, so that none of its `identity` sources is believed");
            self.doubtful(&place.key("identity"), message, "add \"from\" to `identity`, or set `trust = true`");
        }
        if trunk.called.is_empty() {
            let remedy = "name at least \"request-uri\", or remove the key for the usual order";
            self.wrong(&place.key("called"), "`called` is empty", remedy);
        } else if !trunk.trust && !trunk.called.iter().any(|s| matches!(s, CalledSource::RequestUri | CalledSource::To))
        {
            let message = format!("trunk `{name}` is not trusted, so that none of its `called` sources is believed");
            self.doubtful(&place.key("called"), message, "add \"request-uri\" to `called`, or set `trust = true`");
        }
        for (extension, number) in &trunk.extensions {
            if number.trim().is_empty() || extension.trim().is_empty() {
                let remedy = "write { 7100 = \"+12025550110\" }: what is dialled, and the number it stands for";
                let place = place.key("extensions").key(extension);
                self.wrong(&place, format!("`extensions` of trunk `{name}` has an empty entry"), remedy);
            }
        }
        self.passed(&place.key("pass_headers"), &trunk.pass_headers);
        for (position, rule) in trunk.translate.iter().enumerate() {
            self.translate(&place.key("translate").index(position), rule);
        }
        self.codecs(&place.key("codecs"), trunk.codecs.as_deref());
        self.limits(place, trunk.max_calls, trunk.max_rate);
        self.keepalive(&place.key("keepalive"), trunk.keepalive.as_ref());
        if trunk.keepalive.is_some() && trunk.address.is_none() {
            let message = format!("trunk `{name}` has `keepalive` but no `address` to ask");
            self.wrong(&place.key("keepalive"), message, "add `address = \"sip:HOST\"`, or remove `keepalive`");
        }
    }

    /// Two trunks with the same peer: the second would never see a call from it.
    fn same_peers(&mut self, place: &Place<'_>, position: usize, trunk: &Trunk) {
        let earlier: Vec<&Trunk> = self.config.trunks.iter().take(position).collect();
        for (at, peer) in trunk.peers.iter().enumerate() {
            if let Some(other) = earlier.iter().find(|other| other.peers.contains(peer)) {
                let message = format!("{peer} is a peer of both `{}` and `{}`", other.name, trunk.name);
                let place = place.key("peers").index(at);
                self.wrong(&place, message, "remove it from one of them; a call belongs to one trunk");
            }
        }
    }

    fn causes(&mut self, place: &Place<'_>, causes: &Causes) {
        let known: Vec<&str> = Cause::ALL.iter().map(|cause| cause.entry().code).collect();
        for (code, told) in causes {
            let place = place.key(code);
            if !known.contains(&code.as_str()) {
                let remedy = match nearest(code, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "write a code as `termination` of a call's record has it".to_owned(),
                };
                self.wrong(&place, format!("`{code}` is no end that a call can have"), remedy);
            }
            if told.status.is_some_and(|status| !(400..=699).contains(&status)) {
                self.wrong(
                    &place.key("status"),
                    "`status` is no status of a refusal",
                    "write a status from 400 to 699",
                );
            }
            if told.q850.is_some_and(|cause| !(1..=127).contains(&cause)) {
                self.wrong(&place.key("q850"), "`q850` is no cause of Q.850", "write a cause from 1 to 127");
            }
        }
    }

    fn translate(&mut self, place: &Place<'_>, rule: &Translate) {
        for name in groups_named(&rule.replace) {
            let exists = match name.parse::<usize>() {
                Ok(number) => number < rule.pattern.regex().captures_len(),
                Err(_) => rule.pattern.regex().capture_names().flatten().any(|group| group == name),
            };
            if !exists {
                let digits = name.bytes().take_while(u8::is_ascii_digit).count();
                let remedy = if digits > 0 && digits < name.len() {
                    format!("write ${{{}}} with braces before what follows", name.get(..digits).unwrap_or_default())
                } else {
                    "name a group of `match`: $1 is its first pair of parentheses".to_owned()
                };
                self.wrong(
                    &place.key("replace"),
                    format!("`replace` names group `{name}`, which `match` has not"),
                    remedy,
                );
            }
        }
    }

    pub(super) fn targets(&mut self) {
        let config = self.config;
        if config.targets.is_empty() {
            let remedy = "add a [[target]] with `name`, `kind` and `uri`";
            self.wrong(&self.top(), "there is no [[target]]", remedy);
        }
        self.names("target", &self.target_names());
        for (position, target) in config.targets.iter().enumerate() {
            let place = self.top().key("target").index(position);
            self.target_kind(&place.key("kind"), target);
            self.target_auth(&place, target);
            self.target(&place, target);
            if !config.routes.iter().any(|route| route.targets.contains(&target.name)) {
                let message = format!("no [[route]] uses target `{}`", target.name);
                self.doubtful(&place, message, "name it in the `targets` of a route, or remove it");
            }
        }
    }

    fn target_kind(&mut self, place: &Place<'_>, target: &Target) {
        match target.kind {
            TargetKind::Sip => {}
            TargetKind::DailyTrunk | TargetKind::Signalwire => {
                let kind = if target.kind == TargetKind::Signalwire { "signalwire" } else { "daily-trunk" };
                self.wrong(place, format!("kind `{kind}` is not in this version"), "use \"daily\" or \"sip\"");
            }
            TargetKind::Daily => {
                let name = &target.name;
                if self.config.daily.is_none() {
                    let remedy = "add [daily] with `api_key` and `hmac`, or use kind \"sip\" if another server answers Daily's webhook";
                    self.wrong(place, format!("target `{name}` is of kind daily, but there is no [daily]"), remedy);
                }
                if self.config.rooms.is_empty() {
                    let remedy = "add a [[room]]; one without conditions takes all calls";
                    self.wrong(place, format!("target `{name}` is of kind daily, but there is no [[room]]"), remedy);
                }
            }
        }
    }

    fn target(&mut self, place: &Place<'_>, target: &'c Target) {
        let name = &target.name;
        match TargetAddress::parse(&target.uri, target.outbound_proxy.as_deref()) {
            Ok(address) => {
                for (header, _) in &address.uri_headers {
                    self.header_name(&place.key("uri"), header);
                }
            }
            Err(problem) => {
                let key = if problem.in_proxy { "outbound_proxy" } else { "uri" };
                let message = format!("`{key}` of target `{name}`: {}", problem.message);
                self.wrong(&place.key(key), message, "write a SIP URI, for example \"sip:user@sip.example.com\"");
            }
        }
        if let Some(advertise) = &target.advertise {
            self.advertise(&place.key("advertise"), &format!("target `{name}`"), advertise);
        }
        for (header, template) in target.headers.iter().flatten() {
            let place = place.key("headers").key(header);
            self.header_name(&place, header);
            if let Err(problem) = Template::parse(template) {
                self.wrong(&place, format!("template of `{header}`: {problem}"), problem.remedy());
            }
        }
        self.passed(&place.key("pass_headers"), &target.pass_headers);
        if target.header_limit.is_some_and(|limit| limit < SMALLEST_LIMIT) {
            let message =
                format!("`header_limit` of target `{name}` has no room for caller, called number and call id");
            self.wrong(&place.key("header_limit"), message, format!("write at least {SMALLEST_LIMIT}, or remove it"));
        }
        self.codecs(&place.key("codecs"), target.codecs.as_deref());
        self.limits(place, target.max_calls, target.max_rate);
        self.keepalive(&place.key("keepalive"), target.keepalive.as_ref());
    }

    /// Names of the PBX's headers that may go on.
    fn passed(&mut self, place: &Place<'_>, names: &[String]) {
        for (position, name) in names.iter().enumerate() {
            let place = place.index(position);
            let start = name.strip_suffix('*').unwrap_or(name);
            if name == "*" {
                let message = "`pass_headers` lets every header of the PBX out that is not of hop or dialog";
                self.doubtful(&place, message, "name those that the target needs, for example \"X-Genesys-*\"");
            } else if !is_token(start) || start.contains('*') {
                let remedy = "write a header name, with * at its end for all that start so";
                self.wrong(&place, format!("`{name}` is no header name"), remedy);
            } else if name == start && never(HeaderName::parse(name.as_bytes()).spelt(name)) {
                let remedy = "remove it; `{header:Name}` in `headers` copies its value under another name";
                self.wrong(&place, format!("header `{name}` belongs to one hop or dialog and cannot pass"), remedy);
            }
        }
    }

    fn header_name(&mut self, place: &Place<'_>, name: &str) {
        if !is_token(name) {
            self.wrong(place, format!("`{name}` is no header name"), "use letters, digits and -");
        } else if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            self.wrong(place, format!("header `{name}` is written by the gateway itself"), "choose another name");
        }
    }
}

/// The group names that a replacement of the regex crate refers to: `$name`, where a name takes all letters, digits
/// and `_` that follow, and `${name}`.
fn groups_named(replace: &str) -> Vec<&str> {
    let mut names = vec![];
    let mut rest = replace;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(literal) = after.strip_prefix('$') {
            rest = literal;
            continue;
        }
        let (name, behind) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(braced) => braced,
            None => {
                let end = after.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
                after.split_at_checked(end).unwrap_or_default()
            }
        };
        if !name.is_empty() {
            names.push(name);
        }
        rest = behind;
    }
    names
}
