//! The decision record: each decision as a typed value. Logs, `explain`, the API and tests read the same steps.

use serde::Serialize;

/// One decision, in the order they fell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// A trunk was looked at; the first condition that failed, or none for the one that matched.
    Trunk {
        /// Its name.
        trunk: String,
        /// The peer's address.
        source: String,
        /// Why it did not match; `None` means it did.
        #[serde(skip_serializing_if = "Option::is_none")]
        failed: Option<String>,
    },
    /// An identity source was looked at.
    Identity {
        /// Whose number it may hold.
        number: Number,
        /// The header, for example `P-Asserted-Identity`.
        source: String,
        /// What it held, as received.
        value: String,
        /// Whether it was taken, and if not, why.
        verdict: String,
    },
    /// A number was rewritten.
    Rewrite {
        /// Which number.
        number: Number,
        /// By what: `translate[0]`, `extensions`, `normalise`, `format`.
        rule: String,
        /// Before.
        before: String,
        /// After.
        after: String,
        /// Why it stayed as it was, if it did.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// A route was looked at.
    Route {
        /// Its position in the configuration, from 0.
        route: usize,
        /// The targets it names.
        targets: Vec<String>,
        /// Why it did not match; `None` means it did.
        #[serde(skip_serializing_if = "Option::is_none")]
        failed: Option<String>,
    },
    /// Where the INVITE goes: what a name came to, why a stream is taken, why the next address is tried.
    Hop {
        /// In words.
        note: String,
    },
    /// A header was put on the INVITE to the target.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// Where it came from: `template`, `uri`, `passed` (the PBX's own, by `pass_headers`).
        from: String,
    },
    /// A header was not put on the INVITE to the target.
    HeaderLeftOut {
        /// Its name.
        name: String,
        /// Where it would have come from, as in `header`.
        from: String,
        /// Why not.
        why: String,
    },
    /// A header did not fit into the target's `header_limit`.
    Budget {
        /// Its name.
        name: String,
        /// Bytes of its line before.
        before: usize,
        /// Bytes of its line after; 0 if it was left out.
        after: usize,
        /// Bytes that were allowed: for all headers, or for one line.
        limit: usize,
        /// Which rule took it.
        why: String,
    },
    /// What the caller's wish for privacy means for one target.
    Privacy {
        /// The target.
        target: String,
        /// What was asked for, and where: `Privacy: id`, `From: anonymous`.
        asked: Vec<String>,
        /// What the target does not see: `number`, `name`, `history`.
        withheld: Vec<String>,
        /// The policy that decided, in words.
        verdict: String,
    },
    /// The call was redirected before it reached us.
    Redirection {
        /// `original`: whom the caller dialled. `last`: who sent the call to us. `only`: both.
        role: String,
        /// The header.
        source: String,
        /// The number that was redirected, normalised.
        number: String,
        /// Why, in the words of RFC 5806.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// How often the call was redirected in all.
        count: u32,
    },
    /// A User-to-User value (RFC 7433) was read.
    UserToUser {
        /// As received.
        value: String,
        /// `purpose`, `content` and `encoding`, as far as they were given.
        parameters: Vec<String>,
        /// What it says: text, or tags with their values.
        #[serde(skip_serializing_if = "Option::is_none")]
        decoded: Option<String>,
    },
    /// An identifier of the PBX, kept to find the call in its systems.
    Correlation {
        /// Its template word: `ucid`, `cisco_guid`.
        id: String,
        /// The header it came from.
        source: String,
        /// The identifier.
        value: String,
    },
    /// Leg B's INVITE was written.
    Invite {
        /// Where it goes: transport and address, or the name that is resolved when it is sent.
        to: String,
        /// Its Request-URI.
        request_uri: String,
        /// Its From, without tag.
        from: String,
        /// Bytes that the configured headers take in it, line ends included.
        header_bytes: usize,
        /// The codecs offered, by payload type and name.
        offer: Vec<String>,
    },
    /// Media was negotiated on a leg.
    Media {
        /// `a` or `b`.
        leg: String,
        /// The codecs, by name and payload type, as negotiated.
        codecs: Vec<String>,
        /// Anything worth knowing.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// A change of the session was asked for while the call was up, or told to a leg that had missed it.
    Change {
        /// Who asked, or who missed it: `a` or `b`.
        leg: String,
        /// What became of it.
        outcome: String,
    },
    /// Admission refused or granted with a remark.
    Admission {
        /// What was asked: `max_calls`, `max_rate`, `drain`, `ports`.
        gate: String,
        /// The answer in words.
        verdict: String,
    },
    /// A room plan was looked at.
    Room {
        /// Its position in the configuration, from 0.
        plan: usize,
        /// Why it did not match; `None` means it did.
        #[serde(skip_serializing_if = "Option::is_none")]
        failed: Option<String>,
        /// The room, once known.
        #[serde(skip_serializing_if = "Option::is_none")]
        room: Option<String>,
    },
    /// The companion did something that decides the call's fate.
    Companion {
        /// The stage: `webhook`, `room`, `token`, `bot`, `ready`, `update`, `fallback`.
        stage: String,
        /// What came of it.
        outcome: String,
    },
    /// A party asked for somebody else in its place, or took a place.
    Transfer {
        /// Who asked: `a`, `b`, `operator`, or `replaces` for a new call that takes over.
        by: String,
        /// Whom it named.
        to: String,
        /// What came of it.
        outcome: String,
    },
    /// The call was refused or ended for a reason of the catalogue.
    Termination {
        /// The catalogue code.
        code: String,
        /// Which party failed.
        fault: String,
        /// The remedy in words.
        remedy: String,
        /// The particulars of this case.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
}

/// Which number a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Number {
    /// Who called.
    Caller,
    /// Who was called.
    Called,
    /// Who was called before the call was redirected.
    OriginalCalled,
    /// Who transferred the call.
    ReferredBy,
}
