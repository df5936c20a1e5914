//! Header field names: the known ones as one byte, found by a table that the compiler fills. They stand apart because
//! every line of every received message asks here, in any case and in the compact forms.

macro_rules! header_names {
    ($( $(#[$doc:meta])* $variant:ident = $text:literal $(, $compact:literal)?; )*) => {
        /// The header fields that the gateway or its simulators know by name.
        #[repr(u8)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum HeaderName {
            $( #[doc = concat!("`", $text, "`")] $(#[$doc])* $variant, )*
            /// Any other name; the message keeps its spelling.
            Other,
        }

        /// Every spelling with its name, compact forms included.
        const SPELLINGS: &[(&str, HeaderName)] = &[
            $( ($text, HeaderName::$variant), $( ($compact, HeaderName::$variant), )? )*
        ];

        impl HeaderName {
            /// The canonical spelling; empty for [`HeaderName::Other`].
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( HeaderName::$variant => $text, )*
                    HeaderName::Other => "",
                }
            }
        }
    };
}

header_names! {
    Via = "Via", "v";
    From = "From", "f";
    To = "To", "t";
    CallId = "Call-ID", "i";
    CSeq = "CSeq";
    Contact = "Contact", "m";
    MaxForwards = "Max-Forwards";
    Route = "Route";
    RecordRoute = "Record-Route";
    ContentLength = "Content-Length", "l";
    ContentType = "Content-Type", "c";
    ContentEncoding = "Content-Encoding", "e";
    ContentDisposition = "Content-Disposition";
    MimeVersion = "MIME-Version";
    Require = "Require";
    ProxyRequire = "Proxy-Require";
    Supported = "Supported", "k";
    Unsupported = "Unsupported";
    Allow = "Allow";
    AllowEvents = "Allow-Events", "u";
    Accept = "Accept";
    AcceptEncoding = "Accept-Encoding";
    AcceptLanguage = "Accept-Language";
    AcceptContact = "Accept-Contact", "a";
    PAssertedIdentity = "P-Asserted-Identity";
    PPreferredIdentity = "P-Preferred-Identity";
    PCalledPartyId = "P-Called-Party-ID";
    PChargingVector = "P-Charging-Vector";
    RemotePartyId = "Remote-Party-ID";
    Diversion = "Diversion";
    HistoryInfo = "History-Info";
    Privacy = "Privacy";
    Identity = "Identity", "y";
    Reason = "Reason";
    RetryAfter = "Retry-After";
    UserAgent = "User-Agent";
    Server = "Server";
    Expires = "Expires";
    MinExpires = "Min-Expires";
    SessionExpires = "Session-Expires", "x";
    MinSe = "Min-SE";
    RAck = "RAck";
    RSeq = "RSeq";
    ReferTo = "Refer-To", "r";
    ReferredBy = "Referred-By", "b";
    Replaces = "Replaces";
    Join = "Join";
    UserToUser = "User-to-User";
    Authorization = "Authorization";
    ProxyAuthorization = "Proxy-Authorization";
    WwwAuthenticate = "WWW-Authenticate";
    ProxyAuthenticate = "Proxy-Authenticate";
    AuthenticationInfo = "Authentication-Info";
    Warning = "Warning";
    Date = "Date";
    Timestamp = "Timestamp";
    Event = "Event", "o";
    SubscriptionState = "Subscription-State";
    Subject = "Subject", "s";
    Organization = "Organization";
    AlertInfo = "Alert-Info";
    CallInfo = "Call-Info";
    ErrorInfo = "Error-Info";
    InReplyTo = "In-Reply-To";
    Priority = "Priority";
    ReplyTo = "Reply-To";
    RequestDisposition = "Request-Disposition", "d";
    RejectContact = "Reject-Contact", "j";
    Path = "Path";
    ServiceRoute = "Service-Route";
    SessionId = "Session-ID";
    SipIfMatch = "SIP-If-Match";
    SipETag = "SIP-ETag";
}

const SLOTS: usize = 512;
const FREE: u8 = u8::MAX;

/// Open-addressed table over [`SPELLINGS`]; a free slot ends the probing.
static TABLE: [u8; SLOTS] = fill();

/// Length and three letters tell the names well apart; the case bit is set so that case does not count.
const fn slot(length: usize, first: u8, middle: u8, last: u8) -> usize {
    let letters = (first | 0x20) as usize + ((middle | 0x20) as usize) * 7 + ((last | 0x20) as usize) * 31;
    (letters + length * 59) % SLOTS
}

#[expect(clippy::indexing_slicing, reason = "runs in the compiler, where a bad index is a build error")]
const fn fill() -> [u8; SLOTS] {
    let mut table = [FREE; SLOTS];
    let mut entry = 0;
    while entry < SPELLINGS.len() {
        let name = SPELLINGS[entry].0.as_bytes();
        let mut at = slot(name.len(), name[0], name[name.len() / 2], name[name.len() - 1]);
        while table[at] != FREE {
            at = (at + 1) % SLOTS;
        }
        table[at] = entry as u8;
        entry += 1;
    }
    table
}

// === impl HeaderName ===

impl HeaderName {
    /// Finds a name in any case, long or compact (RFC 3261 §7.3.1 and §7.3.3).
    pub fn parse(name: &[u8]) -> HeaderName {
        let (Some(first), Some(middle), Some(last)) = (name.first(), name.get(name.len() / 2), name.last()) else {
            return HeaderName::Other;
        };
        let mut at = slot(name.len(), *first, *middle, *last);
        while let Some((text, found)) = TABLE.get(at).and_then(|entry| SPELLINGS.get(usize::from(*entry))) {
            if text.as_bytes().eq_ignore_ascii_case(name) {
                return *found;
            }
            at = (at + 1) % SLOTS;
        }
        HeaderName::Other
    }

    /// The canonical spelling; of a name that is not known here, the one it had.
    pub fn spelt(self, spelling: &str) -> &str {
        if self == HeaderName::Other { spelling } else { self.as_str() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_found_in_any_case() {
        for (text, name) in SPELLINGS {
            assert_eq!(HeaderName::parse(text.as_bytes()), *name, "{text}");
            assert_eq!(HeaderName::parse(text.to_ascii_uppercase().as_bytes()), *name, "{text}");
            assert_eq!(HeaderName::parse(text.to_ascii_lowercase().as_bytes()), *name, "{text}");
        }
    }

    #[test]
    fn the_canonical_spelling_names_itself() {
        for (_, name) in SPELLINGS {
            assert_eq!(HeaderName::parse(name.as_str().as_bytes()), *name);
        }
    }

    #[test]
    fn strange_names_are_other_names() {
        for name in ["", "X-Avaya-UCID", "Vi", "Viaa", "z", "\0", "Call_ID"] {
            assert_eq!(HeaderName::parse(name.as_bytes()), HeaderName::Other, "{name}");
        }
    }
}
