//! Requests of ours that were challenged (RFC 3261 §22.2, §22.3): sent again with credentials, in a transaction of their
//! own, while for the layer above they remain the one request. Apart from the answers that end a request.

use super::super::auth::client::Subject;
use super::super::auth::{Account, Credentials};
use super::super::transaction::key::Kind;
use super::super::{HeaderName, Message, Method, Writer};
use super::caller::Addressed;
use super::compose::{Way, via_of};
use super::leg::Bye;
use super::retry::Refused;
use super::table::Purpose;
use super::{Endpoint, Headers, LegId, Settings};

use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;

/// What a leg of ours proves itself with.
#[derive(Debug)]
pub(super) struct Proof {
    account: Account,
    /// The credentials of the last INVITE: the ACK to its 2xx repeats them (§22.1), as it can be challenged by nobody.
    of_invite: Headers,
}

// === impl Proof ===

impl Proof {
    /// The header fields for a request in the dialog.
    pub(super) fn of(&mut self, method: &Method, uri: &[u8], body: &[u8]) -> Headers {
        match method {
            Method::Ack => self.of_invite.clone(),
            Method::Cancel => Headers::new(),
            method => {
                let uri = String::from_utf8_lossy(uri);
                let headers = self.account.authorize(&Subject { method: method.as_str(), uri: &uri, body });
                if *method == Method::Invite {
                    self.of_invite.clone_from(&headers);
                }
                headers
            }
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// From now on the challenges to requests of this leg are answered with these credentials, and only those of this leg.
    pub fn answer_challenges(&mut self, leg: LegId, credentials: Arc<Credentials>) {
        if let Some(state) = self.legs.get_mut(leg.0) {
            state.proof = Some(Box::new(Proof { account: Account::new(credentials), of_invite: Headers::new() }));
        }
    }

    /// Takes a request of ours in hand that was challenged.
    pub(super) fn challenged(&mut self, id: u64, response: Option<&Message>) -> Option<Box<Refused>> {
        let status = response.and_then(Message::status)?.get();
        let leg = self.clients.get(id).filter(|_| matches!(status, 401 | 407))?.purpose.leg()?;
        self.legs.get(leg.0).and_then(|state| state.proof.as_ref())?;
        self.refused(id)
    }

    /// Sends it again if that is worth it (§8.1.3.5: same Call-ID, From and To, next number). False if it is refused.
    pub(super) fn send_again(
        &mut self,
        now: Instant,
        purpose: Purpose,
        mut challenged: Box<Refused>,
        response: &Message,
    ) -> bool {
        let Some(request) = self.rewritten(purpose, &mut challenged, response) else { return false };
        let is_invite = challenged.kind == Kind::Invite;
        let client = self.start_again(now, *challenged, request, purpose);
        let dialogs = match purpose {
            Purpose::Invite(leg) | Purpose::Reinvite(leg) | Purpose::Refresh(leg) if is_invite => {
                self.legs.get_mut(leg.0).map(|state| {
                    state.outgoing = Some(client);
                    let before = state.dialogs();
                    // What rang before was of the INVITE that was refused.
                    state.early.clear();
                    before - state.dialogs()
                })
            }
            _ => None,
        };
        self.dialogs -= dialogs.unwrap_or_default();
        true
    }

    fn rewritten(&mut self, purpose: Purpose, challenged: &mut Refused, response: &Message) -> Option<Addressed> {
        let branch = self.branch();
        let state = self.legs.get_mut(purpose.leg()?.0)?;
        // Nothing but the BYE is sent again once we hung up.
        if state.cancelled || !matches!(purpose, Purpose::Bye(_)) && !matches!(state.bye, Bye::No) {
            return None;
        }
        let before = Message::parse(challenged.request.clone()).ok()?;
        let proof = state.proof.as_mut()?;
        if !proof.account.challenged(response, &mut challenged.tries, &mut self.entropy) {
            return None;
        }
        let number = match &mut state.dialog {
            Some(dialog) => dialog.advance(),
            None => before.cseq()?.number.checked_add(1)?,
        };
        let credentials = proof.of(&before.method(), before.request_uri()?, before.body());
        let way = Way { hop: &challenged.hop, from: challenged.from, advertised: state.path.advertised.as_deref() };
        let again = Again { number, way, branch: &branch, credentials: &credentials };
        let payload = again.write(&self.settings, &before)?;
        Some(Addressed { hop: challenged.hop.clone(), from: challenged.from, branch, payload })
    }

    /// Takes the next nonce that a 2xx names.
    pub(super) fn learn_nonce(&mut self, leg: LegId, response: &Message) {
        if let Some(proof) = self.legs.get_mut(leg.0).and_then(|state| state.proof.as_mut()) {
            proof.account.learn(response);
        }
    }
}

/// A request of ours, to be written once more.
struct Again<'a> {
    number: u32,
    way: Way<'a>,
    branch: &'a str,
    credentials: &'a Headers,
}

// === impl Again ===

impl Again<'_> {
    /// As before, but for the branch, the number and the credentials.
    fn write(&self, settings: &Settings, before: &Message) -> Option<Bytes> {
        let method = before.method();
        let mut writer = Writer::request(&method, before.request_uri()?);
        for (spelling, name, value) in before.headers() {
            match name {
                HeaderName::Via => {
                    writer.header("Via", via_of(settings, &self.way, self.branch));
                }
                HeaderName::CSeq => {
                    writer.header("CSeq", format!("{} {}", self.number, method.as_str()));
                }
                HeaderName::Authorization
                | HeaderName::ProxyAuthorization
                | HeaderName::ContentType
                | HeaderName::ContentLength => {}
                _ => {
                    writer.header(spelling, value);
                }
            }
        }
        for (name, value) in self.credentials {
            writer.header(name.as_ref(), value);
        }
        if let Some(kind) = before.text(HeaderName::ContentType) {
            writer.body(&kind, before.body());
        }
        Some(writer.finish())
    }
}
