//! Identifiers of the PBX's own systems: what a call centre's report, an SBC's trace and a recorder call this call. They
//! stand apart because nothing is decided by them; they are kept so that a call can be found on both sides.

use super::clean;
use super::user_to_user::UserToUser;
use crate::record::Step;
use crate::sip::header::{NameAddr, Params, decode};
use crate::sip::{HeaderName, Message};

/// An identifier that is known by name; also its word in templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id {
    /// Avaya's universal call id, 20 digits, from User-to-User.
    Ucid,
    /// Avaya Session Manager's id of the session.
    AvGlobalSessionId,
    /// Cisco's id of the call in CUCM, CUBE and its gateways.
    CiscoGuid,
    /// Cisco CVP's.
    CiscoGucid,
    /// RFC 7989: the half that the caller's side made.
    SessionId,
    /// The charging id of the network (RFC 7315 §5.6), for which Avaya writes its session id.
    Icid,
    /// Genesys SIP Server's.
    GenesysCallUuid,
    /// Genesys Cloud's.
    GenesysConversation,
    /// Nortel's and Avaya CS1000's.
    NortelCorrelation,
}

/// All of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Correlation {
    found: Vec<(Id, String)>,
}

/// Every identifier with its template word.
pub(super) const IDS: [(&str, Id); 9] = [
    ("ucid", Id::Ucid),
    ("av_global_session_id", Id::AvGlobalSessionId),
    ("cisco_guid", Id::CiscoGuid),
    ("cisco_gucid", Id::CiscoGucid),
    ("session_id", Id::SessionId),
    ("icid", Id::Icid),
    ("genesys_call_uuid", Id::GenesysCallUuid),
    ("genesys_conversation", Id::GenesysConversation),
    ("nortel_correlation", Id::NortelCorrelation),
];

/// Headers that hold nothing but an identifier.
const PLAIN: [(&str, Id); 6] = [
    ("Av-Global-Session-ID", Id::AvGlobalSessionId),
    ("Cisco-Guid", Id::CiscoGuid),
    ("Cisco-Gucid", Id::CiscoGucid),
    ("X-Genesys-CallUUID", Id::GenesysCallUuid),
    ("x-inin-cnv", Id::GenesysConversation),
    ("X-nt-corr-id", Id::NortelCorrelation),
];

// === impl Correlation ===

impl Correlation {
    /// Finds them; each is a step.
    pub fn read(request: &Message, uui: &UserToUser, steps: &mut Vec<Step>) -> Self {
        let mut ids = Self::default();
        let mut keep = |id: Id, source: &str, value: String| {
            if value.is_empty() || ids.get(id).is_some() {
                return;
            }
            let word = id.word().to_owned();
            steps.push(Step::Correlation { id: word, source: source.to_owned(), value: value.clone() });
            ids.found.push((id, value));
        };
        if let Some(ucid) = uui.ucid() {
            keep(Id::Ucid, "User-to-User", ucid);
        }
        for (name, known, value) in request.headers() {
            match known {
                HeaderName::SessionId => keep(Id::SessionId, known.as_str(), session_id(value).unwrap_or_default()),
                HeaderName::PChargingVector => keep(Id::Icid, known.as_str(), icid(value).unwrap_or_default()),
                HeaderName::Other => {
                    if let Some((name, id)) =
                        PLAIN.iter().find(|(plain, _)| plain.as_bytes().eq_ignore_ascii_case(name))
                    {
                        keep(*id, name, clean(&decode(value)));
                    }
                }
                _ => {}
            }
        }
        // Session Manager has it in its Contact, too, where an adaptation took the header away.
        if let Some(value) = request.value(HeaderName::Contact).and_then(gsid) {
            keep(Id::AvGlobalSessionId, "Contact;gsid", value);
        }
        ids
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: Id) -> Option<&str> {
        self.found.iter().find(|(known, _)| *known == id).map(|(_, value)| value.as_str())
    }

    /// All of them by their words.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.found.iter().map(|(id, value)| (id.word(), value.as_str()))
    }
}

// === impl Id ===

impl Id {
    /// Its word in templates and records.
    #[must_use]
    pub fn word(self) -> &'static str {
        IDS.iter().find(|(_, id)| *id == self).map_or("", |(word, _)| word)
    }
}

/// RFC 7989 §5: 32 lower-case hexadecimal digits, of which all zeros mean that there is none; `remote` behind it is the
/// other side's, and not known yet in an INVITE.
fn session_id(value: &[u8]) -> Option<String> {
    let local = value.split(|byte| *byte == b';').next()?.trim_ascii();
    let good = local.len() == 32 && local.iter().all(u8::is_ascii_hexdigit) && local.iter().any(|digit| *digit != b'0');
    good.then(|| decode(local).to_ascii_lowercase())
}

/// `icid-value`, in quotes or not.
fn icid(value: &[u8]) -> Option<String> {
    Some(clean(&decode(&Params::new(value).unquoted("icid-value")?)))
}

fn gsid(contact: &[u8]) -> Option<String> {
    let uri = NameAddr::parse(contact).ok()?.uri().ok()?;
    Some(clean(&decode(uri.params.get("gsid")?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn of(headers: &[&str]) -> Vec<(&'static str, String)> {
        let text = format!("INVITE sip:1@192.0.2.1 SIP/2.0\r\n{}\r\nContent-Length: 0\r\n\r\n", headers.join("\r\n"));
        let request = Message::parse(Bytes::from(text)).unwrap();
        let uui = UserToUser::read(&request, &mut vec![]);
        let ids = Correlation::read(&request, &uui, &mut vec![]);
        ids.iter().map(|(word, value)| (word, value.to_owned())).collect()
    }

    #[test]
    fn each_family_has_its_identifiers() {
        for (headers, expected) in [
            (
                vec!["User-to-User: 00FA080001247C5E46F6E6;encoding=hex", "AV-GLOBAL-SESSION-ID: 64bf44a0-0001"],
                vec![("ucid", "00001093401581709030"), ("av_global_session_id", "64bf44a0-0001")],
            ),
            (
                vec!["Contact: <sip:1@192.0.2.1;gsid=64bf44a0-0002;transport=tls>"],
                vec![("av_global_session_id", "64bf44a0-0002")],
            ),
            (
                vec![
                    "Session-ID: AB30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000",
                    "Cisco-Guid: 0717996032-0000065536-0000000002-0503423168",
                ],
                vec![
                    ("session_id", "ab30317f1a784dc48ff824d0d3715d86"),
                    ("cisco_guid", "0717996032-0000065536-0000000002-0503423168"),
                ],
            ),
            (vec!["P-Charging-Vector: icid-value=\"a;b\";orig-ioi=example.com"], vec![("icid", "a;b")]),
            (vec!["P-Charging-Vector: orig-ioi=example.com; icid-value=ab"], vec![("icid", "ab")]),
            (vec!["Session-ID: 00000000000000000000000000000000", "Session-ID: short"], vec![]),
            (
                vec!["x-genesys-calluuid: 01ABC", "X-Inin-Cnv: 6b1c"],
                vec![("genesys_call_uuid", "01ABC"), ("genesys_conversation", "6b1c")],
            ),
        ] {
            let expected: Vec<(&str, String)> =
                expected.into_iter().map(|(word, value)| (word, value.to_owned())).collect();
            assert_eq!(of(&headers), expected, "{headers:?}");
        }
    }
}
