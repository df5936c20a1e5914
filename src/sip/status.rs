//! Response status codes and their standard phrases. They stand apart so that a code outside 100-699 cannot be built,
//! let alone sent, and so that the class questions are asked in one way.

use std::fmt;

/// A SIP response status code, 100 to 699.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatusCode(u16);

// === impl StatusCode ===

impl StatusCode {
    /// 100.
    pub const TRYING: StatusCode = StatusCode(100);
    /// 180.
    pub const RINGING: StatusCode = StatusCode(180);
    /// 183.
    pub const SESSION_PROGRESS: StatusCode = StatusCode(183);
    /// 200.
    pub const OK: StatusCode = StatusCode(200);
    /// 202 (RFC 3515).
    pub const ACCEPTED: StatusCode = StatusCode(202);
    /// 400.
    pub const BAD_REQUEST: StatusCode = StatusCode(400);
    /// 489 (RFC 6665).
    pub const BAD_EVENT: StatusCode = StatusCode(489);
    /// 401.
    pub const UNAUTHORIZED: StatusCode = StatusCode(401);
    /// 403.
    pub const FORBIDDEN: StatusCode = StatusCode(403);
    /// 404.
    pub const NOT_FOUND: StatusCode = StatusCode(404);
    /// 405.
    pub const METHOD_NOT_ALLOWED: StatusCode = StatusCode(405);
    /// 407.
    pub const PROXY_AUTHENTICATION_REQUIRED: StatusCode = StatusCode(407);
    /// 408.
    pub const REQUEST_TIMEOUT: StatusCode = StatusCode(408);
    /// 415.
    pub const UNSUPPORTED_MEDIA_TYPE: StatusCode = StatusCode(415);
    /// 416.
    pub const UNSUPPORTED_URI_SCHEME: StatusCode = StatusCode(416);
    /// 420.
    pub const BAD_EXTENSION: StatusCode = StatusCode(420);
    /// 422 (RFC 4028).
    pub const EXTENSION_REQUIRED: StatusCode = StatusCode(421);
    /// 422, RFC 4028.
    pub const SESSION_INTERVAL_TOO_SMALL: StatusCode = StatusCode(422);
    /// 480.
    pub const TEMPORARILY_UNAVAILABLE: StatusCode = StatusCode(480);
    /// 481.
    pub const NO_SUCH_TRANSACTION: StatusCode = StatusCode(481);
    /// 482.
    pub const LOOP_DETECTED: StatusCode = StatusCode(482);
    /// 483.
    pub const TOO_MANY_HOPS: StatusCode = StatusCode(483);
    /// 486.
    pub const BUSY_HERE: StatusCode = StatusCode(486);
    /// 487.
    pub const REQUEST_TERMINATED: StatusCode = StatusCode(487);
    /// 488.
    pub const NOT_ACCEPTABLE_HERE: StatusCode = StatusCode(488);
    /// 491.
    pub const REQUEST_PENDING: StatusCode = StatusCode(491);
    /// 500.
    pub const SERVER_INTERNAL_ERROR: StatusCode = StatusCode(500);
    /// 501.
    pub const NOT_IMPLEMENTED: StatusCode = StatusCode(501);
    /// 503.
    pub const SERVICE_UNAVAILABLE: StatusCode = StatusCode(503);
    /// 504.
    pub const SERVER_TIMEOUT: StatusCode = StatusCode(504);
    /// 505.
    pub const VERSION_NOT_SUPPORTED: StatusCode = StatusCode(505);
    /// 603.
    pub const DECLINE: StatusCode = StatusCode(603);

    /// A code, if it lies in 100-699.
    pub const fn new(code: u16) -> Option<StatusCode> {
        if code >= 100 && code <= 699 { Some(StatusCode(code)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// 1xx: more responses follow.
    pub const fn is_provisional(self) -> bool {
        self.0 < 200
    }

    /// 2xx.
    pub const fn is_success(self) -> bool {
        self.0 >= 200 && self.0 < 300
    }

    /// 3xx.
    pub const fn is_redirection(self) -> bool {
        self.0 >= 300 && self.0 < 400
    }

    /// 400 and above.
    pub const fn is_failure(self) -> bool {
        self.0 >= 400
    }

    /// Anything but 1xx.
    pub const fn is_final(self) -> bool {
        !self.is_provisional()
    }

    /// The standard phrase; for a code without one, the meaning of its class (RFC 3261 §8.1.3.2: treat it as x00).
    pub const fn reason(self) -> &'static str {
        match phrase(self.0) {
            Some(text) => text,
            None => match self.0 / 100 {
                1 => "Session Progress",
                2 => "OK",
                3 => "Multiple Choices",
                4 => "Bad Request",
                5 => "Server Internal Error",
                _ => "Busy Everywhere",
            },
        }
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The registered reason phrases (RFC 3261 §21 and the IANA registry).
const fn phrase(code: u16) -> Option<&'static str> {
    Some(match code {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        _ => return failure_phrase(code),
    })
}

const fn failure_phrase(code: u16) -> Option<&'static str> {
    Some(match code {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        428 => "Use Identity Header",
        429 => "Provide Referrer Identity",
        430 => "Flow Failed",
        433 => "Anonymity Disallowed",
        436 => "Bad Identity Info",
        437 => "Unsupported Credential",
        438 => "Invalid Identity Header",
        440 => "Max-Breadth Exceeded",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        494 => "Security Agreement Required",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        580 => "Precondition Failure",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => "Unwanted",
        608 => "Rejected",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_of_six_classes_exist() {
        assert_eq!(StatusCode::new(99), None);
        assert_eq!(StatusCode::new(700), None);
        assert_eq!(StatusCode::new(100).map(StatusCode::get), Some(100));
        assert_eq!(StatusCode::new(699).map(StatusCode::get), Some(699));
    }

    #[test]
    fn an_unregistered_code_takes_the_phrase_of_its_class() {
        assert_eq!(StatusCode::new(486).unwrap().reason(), "Busy Here");
        assert_eq!(StatusCode::new(499).unwrap().reason(), "Bad Request");
        assert_eq!(StatusCode::new(699).unwrap().reason(), "Busy Everywhere");
    }

    #[test]
    fn the_classes_do_not_overlap() {
        for code in 100..700 {
            let status = StatusCode::new(code).unwrap();
            let classes = [status.is_provisional(), status.is_success(), status.is_redirection(), status.is_failure()];
            assert_eq!(classes.iter().filter(|held| **held).count(), 1, "{code}");
            assert_eq!(status.is_final(), !status.is_provisional());
        }
    }
}
