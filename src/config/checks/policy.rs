//! What decides: `[[route]]`, `[daily]` and `[[room]]`.

use super::Check;
use crate::config::document::Place;
use crate::config::provision::Provision;
use crate::config::room::{Bot, BotKind, Connect, OnFailure, RoomPlan};
use crate::config::route::{Fallback, Route};
use crate::config::target::TargetKind;
use crate::config::value::{OneOrMany, Secret};
use base64::Engine as _;

/// Codecs that a room's SIP endpoint knows.
const ROOM_CODECS: [&str; 4] = ["OPUS", "PCMU", "PCMA", "G722"];

// === impl Check ===

impl<'c> Check<'c> {
    pub(super) fn routes(&mut self) {
        let config = self.config;
        if config.routes.is_empty() {
            let remedy = "add a [[route]] with `targets`; one without conditions takes all calls";
            self.wrong(&self.top(), "there is no [[route]]", remedy);
        }
        let mut open = false;
        for (position, route) in config.routes.iter().enumerate() {
            let place = self.top().key("route").index(position);
            if open {
                let message = "this [[route]] is never reached: an earlier one without conditions takes every call";
                self.doubtful(&place, message, "move the one without conditions to the end");
            }
            open |= route.trunk.is_none() && route.called.is_none() && route.caller.is_none() && route.header.is_none();
            self.route(&place, route);
        }
    }

    fn route(&mut self, place: &Place<'_>, route: &'c Route) {
        if let Some(trunk) = &route.trunk {
            self.refers(&place.key("trunk"), "trunk", trunk, &self.trunk_names());
        }
        if route.targets.is_empty() {
            self.wrong(&place.key("targets"), "`targets` of [[route]] is empty", "name at least one [[target]]");
        }
        for (position, target) in route.targets.iter().enumerate() {
            let place = place.key("targets").index(position);
            self.refers(&place, "target", target, &self.target_names());
            if route.targets.iter().take(position).any(|other| other == target) {
                self.wrong(&place, format!("target `{target}` stands twice in this route"), "remove one of them");
            }
        }
        for (position, status) in route.retry_on.iter().flatten().enumerate() {
            if !(300..=699).contains(status) {
                let message = format!("{status} in `retry_on` is no final status of a failure");
                self.wrong(&place.key("retry_on").index(position), message, "write statuses from 300 to 699");
            }
        }
        self.positive(&place.key("ring_timeout"), "ring_timeout", route.ring_timeout);
        self.pattern_header(&place.key("header"), route.header.as_ref());
        match &route.fallback {
            Some(Fallback::Trunk(fallback)) => {
                let place = place.key("fallback");
                if self.refers(&place.key("trunk"), "trunk", &fallback.trunk, &self.trunk_names()) {
                    let known = self.config.trunks.iter().find(|trunk| trunk.name == fallback.trunk);
                    if known.is_some_and(|trunk| trunk.address.is_none() && !trunk.register) {
                        let message = format!("the fallback calls trunk `{}`, which has no `address`", fallback.trunk);
                        let remedy = "add `address = \"sip:HOST\"` or `register = true` to that [[trunk]]";
                        self.wrong(&place.key("trunk"), message, remedy);
                    }
                }
                self.positive(&place.key("ring_timeout"), "ring_timeout", fallback.ring_timeout);
                if fallback.number.trim().is_empty() {
                    self.wrong(&place.key("number"), "the fallback has no number", "write it as the PBX dials it");
                }
            }
            Some(Fallback::Status(fallback)) if !(400..=699).contains(&fallback.status) => {
                let message = format!("{} is no SIP status of a refusal", fallback.status);
                self.wrong(&place.key("fallback").key("status"), message, "write a status from 400 to 699");
            }
            _ => {}
        }
    }

    pub(super) fn daily(&mut self) {
        let Some(daily) = &self.config.daily else { return };
        let place = self.top().key("daily");
        if daily.api_key.expose().trim().is_empty() {
            self.wrong(
                &place.key("api_key"),
                "`api_key` of [daily] is empty",
                "write the REST key of the Daily domain",
            );
        }
        self.url(&place.key("api_url"), "api_url", &daily.api_url);
        self.keys(&place.key("hmac"), "hmac", &daily.hmac);
        if let Some(keys) = &daily.events_hmac {
            self.keys(&place.key("events_hmac"), "events_hmac", keys);
        }
        for (key, span) in [
            ("max_skew", daily.max_skew),
            ("webhook_timeout", daily.webhook_timeout),
            ("rest_timeout", daily.rest_timeout),
        ] {
            self.positive(&place.key(key), key, span);
        }
        for (key, limit) in [("budget", Some(daily.budget)), ("update_budget", daily.update_budget)] {
            if limit == Some(0) {
                let message = format!("`{key}` of [daily] is 0: no caller would ever be connected");
                self.wrong(&place.key(key), message, "write how many requests a second Daily takes: 20 of most kinds");
            }
        }
        self.provision(&place.key("provision"), &daily.provision);
    }

    fn provision(&mut self, place: &Place<'_>, provision: &Provision) {
        for (position, number) in provision.numbers.iter().enumerate() {
            let digits = number.strip_prefix('+').unwrap_or_default();
            let is_e164 = (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            let here = place.key("numbers").index(position);
            if !is_e164 {
                let message = format!("`{number}` is no number in E.164");
                self.wrong(&here, message, "write it as bought from Daily, for example \"+15550100\"");
            } else if provision.numbers.iter().take(position).any(|other| other == number) {
                self.wrong(&here, format!("`{number}` stands twice in `numbers`"), "remove one of them");
            }
        }
        if !provision.interconnect && provision.numbers.is_empty() {
            let remedy = "write `interconnect = true`, or name at least one number";
            self.wrong(&place.key("interconnect"), "[daily.provision] wants no entry at all", remedy);
        }
        if let Some(url) = &provision.hold_music {
            self.url(&place.key("hold_music"), "hold_music", url);
        }
        for (key, text) in [("name", &provision.name), ("timeout_message", &provision.timeout_message)] {
            if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
                self.wrong(
                    &place.key(key),
                    format!("`{key}` of [daily.provision] is empty"),
                    "write it, or remove the key",
                );
            }
        }
        if let Some(target) = &provision.target {
            let known: Vec<&str> = self.config.targets.iter().map(|target| target.name.as_str()).collect();
            self.refers(&place.key("target"), "target", target, &known);
        }
    }

    fn keys(&mut self, place: &Place<'_>, key: &str, secrets: &OneOrMany<Secret>) {
        for (position, secret) in secrets.0.iter().enumerate() {
            let decoded = base64::engine::general_purpose::STANDARD.decode(secret.expose());
            if !decoded.is_ok_and(|bytes| !bytes.is_empty()) {
                let message = format!("`{key}` of [daily] is not base64");
                self.wrong(
                    &place.index(position),
                    message,
                    "copy the secret as Daily shows it, with its `=` at the end",
                );
            }
        }
    }

    pub(super) fn rooms(&mut self) {
        let config = self.config;
        let first = self.top().key("room").index(0);
        if !config.rooms.is_empty() {
            if config.daily.is_none() {
                self.wrong(&first, "there is a [[room]] but no [daily]", "add [daily] with `api_key` and `hmac`");
            }
            if !config.targets.iter().any(|target| target.kind == TargetKind::Daily) {
                let message = "there is a [[room]] but no [[target]] of kind daily";
                self.doubtful(&first, message, "add such a target, or remove the room plan");
            }
        }
        let mut open = false;
        for (position, plan) in config.rooms.iter().enumerate() {
            let place = self.top().key("room").index(position);
            if open {
                let message = "this [[room]] is never reached: an earlier one without conditions takes every call";
                self.doubtful(&place, message, "move the one without conditions to the end");
            }
            open |= plan.share.is_none_or(|share| share >= 100)
                && plan.trunk.is_none()
                && plan.called.is_none()
                && plan.caller.is_none()
                && plan.header.is_none();
            self.room(&place, plan);
        }
    }

    fn bot(&mut self, place: &Place<'_>, bot: &'c Bot) {
        let plain = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        match (bot.kind, &bot.agent) {
            (BotKind::Own, Some(_)) => {
                let message = "`agent` names an agent of Pipecat Cloud, but the bot is of another kind";
                self.wrong(&place.key("agent"), message, "add kind = \"pipecat-cloud\", or remove it");
            }
            (BotKind::PipecatCloud, Some(agent)) if !plain(agent) => {
                let message = format!("`agent` is `{agent}`, which is no name of an agent");
                self.wrong(&place.key("agent"), message, "write letters, digits and hyphens, as in its start URL");
            }
            (BotKind::PipecatCloud, Some(_)) if !bot.start_url.is_empty() => {
                let message = "`agent` and `start_url` exclude each other: either says where the bot is started";
                self.wrong(&place.key("agent"), message, "remove one of them");
            }
            _ => {}
        }
        if bot.kind == BotKind::PipecatCloud && bot.token.is_none() {
            let remedy = "write a public key of the organisation (pk_...) to `token`";
            self.wrong(place, "a bot at Pipecat Cloud needs a `token`", remedy);
        }
        if bot.url().is_empty() {
            let remedy = "add `start_url`, or `agent` of Pipecat Cloud";
            self.wrong(place, "`bot` does not say where it is started", remedy);
        } else {
            self.url(&place.key("start_url"), "start_url", &bot.url());
        }
        self.positive(&place.key("timeout"), "timeout", bot.timeout);
    }

    fn room(&mut self, place: &Place<'_>, plan: &'c RoomPlan) {
        if let Some(trunk) = &plan.trunk {
            self.refers(&place.key("trunk"), "trunk", trunk, &self.trunk_names());
        }
        self.pattern_header(&place.key("header"), plan.header.as_ref());
        if plan.use_room.is_some() && plan.create.is_some() {
            let message = "`use` and `create` exclude each other: a call has one room";
            self.wrong(&place.key("use"), message, "remove one of them");
        }
        if plan.use_room.as_ref().is_some_and(|name| name.trim().is_empty()) {
            self.wrong(&place.key("use"), "`use` is empty", "write the name of a room, or remove it to create one");
        }
        if let Some(create) = &plan.create {
            let place = place.key("create");
            self.positive(&place.key("expires"), "expires", create.expires);
            for (position, codec) in create.codecs.iter().flatten().enumerate() {
                if !ROOM_CODECS.iter().any(|known| known.eq_ignore_ascii_case(codec)) {
                    let message = format!("a room knows no codec `{codec}`");
                    let remedy = format!("choose from {}", ROOM_CODECS.join(", "));
                    self.wrong(&place.key("codecs").index(position), message, remedy);
                }
            }
        }
        if let Some(bot) = &plan.bot {
            self.bot(&place.key("bot"), bot);
        }
        if plan.share.is_some_and(|share| !(1..=100).contains(&share)) {
            self.wrong(&place.key("share"), "`share` is no percentage from 1 to 100", "write 30 for 30% of the calls");
        }
        self.positive(&place.key("ready_timeout"), "ready_timeout", plan.ready_timeout);
        let has_events = self.config.daily.as_ref().is_some_and(|daily| daily.events_hmac.is_some());
        if plan.connect == Connect::Bot && !has_events {
            let message = "`connect = \"bot\"` without `events_hmac` of [daily]: nothing would show that the bot connected the caller";
            let remedy =
                "set up Daily's domain webhook and write its secret to `events_hmac`, or let the gateway connect";
            self.wrong(&place.key("connect"), message, remedy);
        }
        if plan.on_failure == OnFailure::Announce {
            let remedy = "use \"fallback\" or \"hangup\"";
            self.wrong(&place.key("on_failure"), "`on_failure = \"announce\"` is not in this version", remedy);
        }
    }
}
