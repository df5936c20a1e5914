//! What the caller wishes to keep from others, and what that means for a target. It stands apart from the choice of the
//! caller because the two must not be mixed: the number is known and routes by, and still does not leave.

use super::choose::{look, rpid_param};
use super::elements::{List, of_line};
use super::extract::{Party, Standing};
use crate::config::trunk::PrivacyPolicy;
use crate::record::Step;
use crate::record::step::Number;
use crate::sip::header::decode;
use crate::sip::{HeaderName, Message};

/// What a caller asked for. A wish is honoured whoever sends it, trusted or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// That the number is not shown.
    pub number: bool,
    /// That the name is not shown.
    pub name: bool,
    /// That nobody learns whom else the call was for (RFC 7044 §10.1).
    pub history: bool,
    /// That the party who redirected the call is not shown, which it asked for itself.
    pub redirecting: bool,
    /// That no policy may weaken it (`critical`, RFC 3323 §4.2).
    pub critical: bool,
    /// Which header said so, and how.
    pub asked: Vec<String>,
}

/// What one target does not see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Withheld {
    /// The number.
    pub number: bool,
    /// The name.
    pub name: bool,
    /// Whom else the call was for.
    pub history: bool,
    /// A redirecting party that asked for it itself.
    pub redirecting: bool,
}

// === impl Wish ===

impl Wish {
    /// Reads `Privacy`, the privacy of Remote-Party-ID, and an anonymous From.
    pub fn read(request: &Message, steps: &mut Vec<Step>) -> Self {
        let mut wish = Self::default();
        for value in request.values(HeaderName::Privacy) {
            wish.header(value, steps);
        }
        for value in request.values(HeaderName::RemotePartyId) {
            for element in of_line(value, List::Commas) {
                wish.remote_party(element.raw, steps);
            }
        }
        // RFC 3323 §4.1.1.3: a caller may write an anonymous From and nothing else.
        if let Some(value) = request.value(HeaderName::From)
            && Party::from_value(value).is_ok_and(|from| from.standing == Standing::Anonymous)
        {
            (wish.number, wish.name) = (true, true);
            wish.heard(HeaderName::From, value, "anonymous", steps);
        }
        wish
    }

    /// Adds what a party that redirected the call asked for itself (`privacy` of RFC 5806, RFC 7044 §10.1.2).
    pub fn redirecting(&mut self, header: HeaderName) {
        self.redirecting = true;
        self.asked.push(format!("{}: privacy of the redirecting party", header.as_str()));
    }

    /// RFC 3323 §4.2: values between semicolons; some write commas.
    fn header(&mut self, value: &[u8], steps: &mut Vec<Step>) {
        let text = decode(value).to_ascii_lowercase();
        let mut hides = false;
        for token in text.split([';', ',']).map(str::trim) {
            match token {
                "id" | "user" | "full" => (self.number, self.name, hides) = (true, true, true),
                // RFC 7044 §10.1.1: `header` covers History-Info, too.
                "header" => (self.number, self.name, self.history, hides) = (true, true, true, true),
                "history" => (self.history, hides) = (true, true),
                "critical" => self.critical = true,
                // `session` asks for what a B2BUA with its own media does anyway; `none` asks for nothing.
                _ => {}
            }
        }
        if hides {
            self.heard(HeaderName::Privacy, value, text.trim(), steps);
        } else {
            let verdict = "asks for nothing that would hide the caller".to_owned();
            look(steps, Number::Caller, HeaderName::Privacy.as_str(), value, verdict);
        }
    }

    /// draft-ietf-sip-privacy-04 §5: `privacy=full | name | uri | off`, `-network` behind the first three.
    fn remote_party(&mut self, element: &[u8], steps: &mut Vec<Step>) {
        let ours = rpid_param(element, "party").is_none_or(|party| party.eq_ignore_ascii_case("calling"));
        let wish = rpid_param(element, "privacy").unwrap_or_default().to_ascii_lowercase();
        let (number, name) = match wish.split('-').next() {
            Some("full") => (true, true),
            Some("uri") => (true, true), // a name tells as much as a number
            Some("name") => (false, true),
            _ => (false, false),
        };
        if ours && name {
            self.number |= number;
            self.name = true;
            self.heard(HeaderName::RemotePartyId, element, &format!("privacy={wish}"), steps);
        }
    }

    fn heard(&mut self, header: HeaderName, value: &[u8], words: &str, steps: &mut Vec<Step>) {
        self.asked.push(format!("{}: {words}", header.as_str()));
        let what = match (self.number, self.name) {
            (true, _) => "caller and name are withheld from the target",
            (false, true) => "the name is withheld from the target",
            (false, false) => "the history is withheld from the target",
        };
        look(steps, Number::Caller, header.as_str(), value, format!("asked for: {what}"));
    }

    /// What a target does not see, by the policies of trunk and target. A step tells it if the caller wished anything.
    pub fn withheld(
        &self,
        target: &str,
        trunk: Option<PrivacyPolicy>,
        own: Option<PrivacyPolicy>,
        steps: &mut Vec<Step>,
    ) -> Withheld {
        let wished =
            Withheld { number: self.number, name: self.name, history: self.history, redirecting: self.redirecting };
        if wished == Withheld::default() {
            return wished;
        }
        let (withheld, verdict) = match (trunk, own) {
            (Some(PrivacyPolicy::Withhold), _) => (wished, "`privacy` of the trunk"),
            (_, Some(PrivacyPolicy::Withhold)) => (wished, "`privacy` of the target"),
            (None, None) => (wished, "withheld unless a `privacy` reveals it"),
            _ if self.critical => (wished, "the caller calls it critical, which no policy weakens"),
            (Some(PrivacyPolicy::Reveal), _) => (Withheld::default(), "`privacy` of the trunk reveals it"),
            (_, Some(PrivacyPolicy::Reveal)) => (Withheld::default(), "`privacy` of the target reveals it"),
        };
        steps.push(Step::Privacy {
            target: target.to_owned(),
            asked: self.asked.clone(),
            withheld: withheld.words(),
            verdict: verdict.to_owned(),
        });
        withheld
    }
}

// === impl Withheld ===

impl Withheld {
    /// Whether something of the caller is.
    #[must_use]
    pub fn hides_caller(self) -> bool {
        self.number || self.name
    }

    fn words(self) -> Vec<String> {
        let all = [
            (self.number, "number"),
            (self.name, "name"),
            (self.history, "history"),
            (self.redirecting, "redirecting"),
        ];
        all.into_iter().filter(|(is, _)| *is).map(|(_, word)| word.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn wish(headers: &[&str]) -> Wish {
        let text = format!("INVITE sip:1@192.0.2.1 SIP/2.0\r\n{}\r\nContent-Length: 0\r\n\r\n", headers.join("\r\n"));
        Wish::read(&Message::parse(Bytes::from(text)).unwrap(), &mut vec![])
    }

    #[test]
    fn every_form_of_the_wish_is_understood() {
        for (header, number, name, history, critical) in [
            ("Privacy: id", true, true, false, false),
            ("Privacy: user; id;critical", true, true, false, true),
            ("Privacy: header", true, true, true, false),
            ("Privacy: history", false, false, true, false),
            ("Privacy: none", false, false, false, false),
            ("Privacy: session", false, false, false, false),
            ("Remote-Party-ID: <sip:1@x>;privacy=full", true, true, false, false),
            ("Remote-Party-ID: <sip:1@x>;party=calling;privacy=\"uri-network\"", true, true, false, false),
            ("Remote-Party-ID: <sip:1@x>;privacy=name", false, true, false, false),
            ("Remote-Party-ID: <sip:1@x>;party=called;privacy=full", false, false, false, false),
            ("Remote-Party-ID: <sip:1@x>;privacy=off", false, false, false, false),
            ("From: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1", true, true, false, false),
            ("From: <sip:Restricted@192.0.2.1>;tag=1", true, true, false, false),
            ("From: \"Anonymous\" <sip:1001@192.0.2.1>;tag=1", false, false, false, false),
            ("From: <sip:unavailable@unknown.invalid>;tag=1", false, false, false, false),
        ] {
            let wish = wish(&[header]);
            assert_eq!(
                (wish.number, wish.name, wish.history, wish.critical),
                (number, name, history, critical),
                "{header}"
            );
        }
    }

    #[test]
    fn a_policy_reveals_only_what_nobody_holds_back() {
        use PrivacyPolicy::{Reveal, Withhold};
        let asks = wish(&["Privacy: id"]);
        for (trunk, target, hidden) in [
            (None, None, true),
            (Some(Reveal), None, false),
            (None, Some(Reveal), false),
            (Some(Withhold), Some(Reveal), true),
            (Some(Reveal), Some(Withhold), true),
        ] {
            let mut steps = vec![];
            assert_eq!(asks.withheld("cloud", trunk, target, &mut steps).number, hidden, "{trunk:?} {target:?}");
            assert_eq!(steps.len(), 1);
        }
        let critical = wish(&["Privacy: id;critical"]);
        assert!(critical.withheld("cloud", Some(Reveal), None, &mut vec![]).number);
        let mut steps = vec![];
        assert!(!wish(&["Privacy: none"]).withheld("cloud", None, None, &mut steps).number);
        assert!(steps.is_empty());
    }
}
