//! Requests of ours that make no dialog and end none (RFC 3261 §8.1, §12.2.1): OPTIONS and REGISTER outside of dialogs;
//! UPDATE, PRACK, INFO, REFER and NOTIFY inside. Apart from INVITE and BYE, whose answers change what a leg is.

use super::super::dialog::state::tagged;
use super::super::transaction::client;
use super::super::transaction::key::Kind;
use super::super::uri;
use super::super::{Hop, Message, Method, StatusCode};
use super::caller::{Addressed, Intent};
use super::compose::{ContactScheme, MAX_FORWARDS, Outline, Way, contact_towards};
use super::leg::Bye;
use super::table::Purpose;
use super::{Body, CommandError, Endpoint, Event, Headers, LegId, SentId};

use std::time::Instant;

/// A request of ours outside of any dialog.
#[derive(Debug, Clone)]
pub struct Standalone {
    /// Its method: OPTIONS, REGISTER.
    pub method: Method,
    /// Request-URI, without a header part.
    pub request_uri: String,
    /// Where it goes.
    pub hop: Hop,
    /// The host that its peer knows us by, if not the usual one.
    pub advertised: Option<String>,
    /// `From` name-addr without tag.
    pub from: String,
    /// `To` name-addr.
    pub to: String,
    /// The Call-ID; `None` takes a new one. Registrations keep theirs (RFC 3261 §10.2.4).
    pub call_id: Option<String>,
    /// The sequence number; it counts up under one Call-ID.
    pub number: u32,
    /// Our Contact, if it is to have one.
    pub contact: Option<OwnContact>,
    /// `Max-Forwards` to send; `None` for 70.
    pub max_forwards: Option<u8>,
    /// More header fields.
    pub headers: Headers,
    /// The body, if any.
    pub body: Option<Body>,
}

/// A Contact of ours that is more than an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnContact {
    /// User part; may be empty.
    pub user: String,
    /// What follows the angle brackets, with its semicolon: `;expires=3600`.
    pub parameters: String,
}

// === impl Endpoint ===

impl Endpoint {
    /// Sends a request outside of any dialog. `Replied` follows.
    pub fn send_standalone(&mut self, now: Instant, request: Standalone) -> SentId {
        let call_id = match request.call_id {
            Some(call_id) => call_id,
            None => format!("{}{}", self.settings.call_id_prefix, self.entropy.hex(24)),
        };
        let (tag, branch) = (self.entropy.hex(16), self.branch());
        let from = tagged(request.from.as_bytes(), &tag);
        let way = Way { hop: &request.hop, from: None, advertised: request.advertised.as_deref() };
        let scheme = ContactScheme::of(request.request_uri.as_bytes());
        let contact = request.contact.map(|own| {
            let user = uri::escape_user(&own.user);
            contact_towards(&self.settings, &way, user.as_bytes(), scheme) + &own.parameters
        });
        let outline = Outline {
            method: request.method,
            request_uri: request.request_uri.as_bytes(),
            way,
            branch: &branch,
            routes: &[],
            last_route: None,
            from: &from,
            to: request.to.as_bytes(),
            call_id: call_id.as_bytes(),
            number: request.number,
            max_forwards: request.max_forwards.unwrap_or(MAX_FORWARDS),
            contact: contact.as_deref(),
            headers: &request.headers,
            body: request.body.as_ref(),
        };
        let payload = outline.write(&self.settings);
        let addressed = Addressed { hop: request.hop, from: None, branch, payload };
        SentId(self.start_client(now, Kind::Other, addressed, Purpose::Question(None)))
    }

    /// Sends a request in the dialog of a leg: UPDATE, PRACK, INFO, REFER, NOTIFY. `Replied` follows, unless the leg
    /// closes before.
    ///
    /// # Errors
    /// `WrongState` without a dialog, after [`Endpoint::bye`], and for the methods that have commands of their own.
    pub fn send_inside(
        &mut self,
        now: Instant,
        leg: LegId,
        method: Method,
        headers: &Headers,
        body: Option<&Body>,
    ) -> Result<SentId, CommandError> {
        let state = self.legs.get(leg.0).ok_or(CommandError::NoSuchLeg)?;
        let other = matches!(method, Method::Invite | Method::Ack | Method::Cancel | Method::Bye);
        if other || !matches!(state.bye, Bye::No) {
            return Err(CommandError::WrongState);
        }
        let mut headers = std::borrow::Cow::Borrowed(headers);
        if method == Method::Update {
            headers.to_mut().extend(self.refresh_headers(leg));
        }
        let intent = Intent { method, number: None, headers: &headers, body };
        let request = self.address(leg, &intent).ok_or(CommandError::WrongState)?;
        Ok(SentId(self.start_client(now, Kind::Other, request, Purpose::Question(Some(leg)))))
    }

    /// What came of such a request. Nobody is told for a leg that is closed: `Closed` was the last word about it.
    pub(super) fn replied(&mut self, id: u64, leg: Option<LegId>, report: client::Report, response: Option<Message>) {
        if leg.is_some_and(|leg| self.legs.get(leg.0).is_none()) {
            return;
        }
        if let (Some(leg), Some(response)) = (leg, &response) {
            self.learn_nonce(leg, response);
        }
        let status = match (report, response.as_ref().and_then(Message::status)) {
            (client::Report::Provisional, _) => return,
            (client::Report::Final, Some(status)) => status,
            // §8.1.3.1: silence is 408, a transport error 503.
            (client::Report::Transport, _) => StatusCode::SERVICE_UNAVAILABLE,
            (client::Report::Timeout | client::Report::Final, _) => StatusCode::REQUEST_TIMEOUT,
        };
        // RFC 3311 §5.1: the 2xx to our UPDATE moves the target.
        if let (Some(leg), Some(answer)) = (leg, &response)
            && status.is_success()
            && answer.method() == Method::Update
            && let Some(leg) = self.legs.get_mut(leg.0)
        {
            match (&mut leg.dialog, leg.early.as_mut_slice()) {
                (Some(dialog), _) => dialog.refresh(answer),
                (None, [only]) => only.dialog.refresh(answer),
                (None, _) => {}
            }
        }
        self.events.push_back(Event::Replied { sent: SentId(id), leg, status, response });
    }
}
