//! What a failed request means to the operator, in words and with a remedy. Apart from the sending, so that every status
//! has its row.

use super::Refusal;
use super::plan::Write;
use crate::room::request::{Failure, FailureKind};

/// Why provisioning stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nothing was sent: it is not certain what is right.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// A request failed.
    #[error("{request}: {text}; {remedy}")]
    Request {
        /// Which.
        request: String,
        /// What happened.
        text: String,
        /// What to do.
        remedy: String,
    },
    /// Somebody else changed the account between our reading and our writing.
    #[error(
        "the account was changed by somebody else in the meantime, so nothing was sent; run again to see the difference as it is now"
    )]
    Changed,
    /// A request that creates was sent, and nothing tells whether it worked.
    #[error(
        "{request}: {text}; it may still take effect: wait a minute and run again, which creates nothing that is there"
    )]
    InDoubt {
        /// Which.
        request: String,
        /// What happened.
        text: String,
    },
    /// Daily said yes, and shows something else.
    #[error("{0}")]
    NotAsWanted(String),
}

// === impl Trouble ===

impl Trouble {
    /// A read that failed.
    pub(super) fn reading(path: &str, failure: &Failure) -> Self {
        let remedy = remedy(failure.kind, path);
        Self::Request { request: format!("GET {path}"), text: failure.text.clone(), remedy }
    }

    /// A write that failed and had no effect.
    pub(super) fn writing(write: &Write, failure: &Failure) -> Self {
        Self::Request {
            request: write.request(),
            text: failure.text.clone(),
            remedy: remedy_of_write(failure.kind, &write.path),
        }
    }
}

fn remedy_of_write(kind: FailureKind, path: &str) -> String {
    match kind {
        FailureKind::Refused(400) if path.starts_with("/webhooks") => {
            "Daily tries the address before it takes it: start the gateway with `events_hmac`, see that `public_url` of [http] reaches it from outside, and run again".to_owned()
        }
        FailureKind::Refused(400) => {
            "if it names a number: it must be bought in this account and be in no other entry; else run with --api and the other interface".to_owned()
        }
        FailureKind::Refused(404) => "it was there a moment ago: run again".to_owned(),
        kind => remedy(kind, path),
    }
}

/// What to do, by what happened.
fn remedy(kind: FailureKind, path: &str) -> String {
    let text = match kind {
        FailureKind::Refused(400) => "see that `api_key` of [daily] is one line, as Daily shows it",
        FailureKind::Refused(401) => {
            "Daily does not know the key: set `api_key` of [daily] to the key of this domain (dashboard, Developers)"
        }
        FailureKind::Refused(403) if path.starts_with("/webhooks") => {
            "webhooks need a credit card on the account and a key that may change the domain; `events = false` in [daily.provision] does without"
        }
        FailureKind::Refused(403) => {
            "the key may not do this: use one of the domain's owner, and see that dial-in is enabled for the account"
        }
        FailureKind::Refused(404) => "see that `api_url` of [daily] ends in /v1, and that the account has this feature",
        FailureKind::Refused(429) => "too many requests from this account for a long time: wait a minute and run again",
        FailureKind::Refused(500..=599) => {
            "Daily has trouble (https://status.daily.co): run again later, which repeats nothing that is done"
        }
        FailureKind::Refused(_) => "see what Daily says",
        FailureKind::NotSent => "see that this machine reaches `api_url` of [daily] (name, route, firewall, proxy)",
        FailureKind::Lost => "the network lost the answer: run again, or raise `rest_timeout` of [daily]",
        FailureKind::Unreadable => "see that `api_url` of [daily] is Daily's",
        FailureKind::Impossible => "correct `api_url` and `api_key` of [daily]",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::daily::provision::plan::Verb;

    #[test]
    fn every_failure_has_a_remedy_that_names_what_to_look_at() {
        for (status, word) in
            [(401, "api_key"), (403, "may not"), (404, "api_url"), (429, "wait"), (500, "status"), (503, "status")]
        {
            assert!(remedy(FailureKind::Refused(status), "/").contains(word), "{status}");
        }
        assert!(remedy(FailureKind::Refused(403), "/webhooks").contains("credit card"));
        assert!(remedy(FailureKind::NotSent, "/").contains("firewall"));
    }

    #[test]
    fn a_webhook_that_daily_could_not_reach_says_to_start_the_gateway() {
        let write = Write { verb: Verb::Create, path: "/webhooks".to_owned(), body: String::new() };
        let failure = Failure { kind: FailureKind::Refused(400), text: "400 bad".to_owned(), retry_after: None };
        let text = Trouble::writing(&write, &failure).to_string();
        assert!(text.starts_with("POST /webhooks: 400 bad; ") && text.contains("start the gateway"), "{text}");
    }
}
