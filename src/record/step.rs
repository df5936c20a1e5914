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
        /// `caller` or `called`.
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
        /// By what: `normalise`, `translate[0]`, `format`.
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
    /// A header was put on the INVITE to the target.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// Where it came from: `template`, `uri`.
        from: String,
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
}
