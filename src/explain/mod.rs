//! `explain`: what would become of an INVITE, told by the code that handles live calls. It stands apart from that code
//! because it only asks: the call is rehearsed in a shard of its own that has no sockets, and nothing is sent.

pub mod capture;
pub mod page;
mod paper;
mod paste;
mod rehearsal;
mod source;
mod tree;

use crate::call::ShardSettings;
use crate::config::Config;
use crate::record::{CallId, Step};
use crate::sip::endpoint::Settings;
use crate::sip::wire::Fault;
use crate::sip::{Message, Protocol};
use bytes::Bytes;
use capture::{Capture, CaptureError};
use serde::Serialize;
use source::Origin;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// What the rehearsal is played on: a gateway as it is configured, without its sockets.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The configuration, checked.
    pub config: Config,
    /// The addresses of trunk peers that are given by name.
    pub resolved: HashMap<String, Vec<IpAddr>>,
    /// What a shard of this gateway knows of itself.
    pub shard: ShardSettings,
    /// What its endpoint knows of itself.
    pub sip: Settings,
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Text with INVITEs, or a capture.
    pub input: Bytes,
    /// Take the calls for this trunk's where their source does not make them so.
    pub trunk: Option<String>,
    /// Where the INVITEs of a text came from.
    pub source: Option<IpAddr>,
    /// Only the INVITE with this Call-ID.
    pub call_id: Option<String>,
}

/// Why nothing can be explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The question names something that is not configured.
    #[error("there is no [[trunk]] `{0}`; known names: {1}")]
    NoSuchTrunk(String, String),
    /// The input cannot be read.
    #[error("{0}")]
    Unreadable(Unreadable),
    /// The capture cannot be read.
    #[error("{0}")]
    Capture(#[from] CaptureError),
    /// There is no INVITE with this Call-ID.
    #[error("no INVITE has the Call-ID `{0}`; there are: {1}")]
    NoSuchCall(String, String),
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// One for each INVITE, in the order of the input.
    pub invites: Vec<Case>,
    /// What of the input was left out, and why.
    pub remarks: Vec<String>,
}

/// What is said of one INVITE.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Case {
    /// What becomes of it.
    Explained(Box<Explanation>),
    /// Why nothing becomes of it.
    Unreadable(Unreadable),
}

/// A message that no call can come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The line of the input, from 1; of a capture, the line of the message.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
    /// What the gateway would answer, if it would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
}

/// What becomes of one INVITE.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// What was explained.
    pub given: Given,
    /// What a live call would come to.
    #[serde(flatten)]
    pub story: Story,
    /// What would come behind the point where that ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Otherwise>,
}

/// The INVITE that was explained.
#[derive(Debug, Clone, Serialize)]
pub struct Given {
    /// Its Request-URI.
    pub request_uri: String,
    /// Its Call-ID.
    pub call_id: String,
    /// Where it came from.
    pub source: SocketAddr,
    /// How that is known.
    pub source_known_by: String,
    /// Where it went to, if a capture told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<SocketAddr>,
    /// By which transport.
    pub transport: String,
    /// When it was captured, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<String>,
    /// What had to be mended before it could be read.
    pub mended: Vec<String>,
}

/// What a call comes to.
#[derive(Debug, Clone, Serialize)]
pub struct Story {
    /// How it ends, for now.
    pub outcome: Outcome,
    /// The trunk that it was taken for, if any.
    pub trunk: Option<String>,
    /// Why: the same steps as on a live call's record.
    pub decisions: Vec<Step>,
    /// The routes behind the one that was taken, which a live call does not look at.
    pub passed_over: Vec<Step>,
    /// The room plans that would be looked at when the target's webhook comes, if it is one with a companion.
    pub room: Vec<Step>,
    /// The configuration of the plan that fits, secrets masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<serde_json::Value>,
    /// The bytes that the target's headers may take, if they are limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_limit: Option<u32>,
    /// The INVITE that would leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
    /// The final response that would go back, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// What follows when the target fails.
    pub afterwards: Vec<String>,
}

/// How the INVITE fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Outcome {
    /// The target would be called.
    Called {
        /// The trunk.
        trunk: String,
        /// The target.
        target: String,
        /// Caller as the target sees it.
        caller: String,
        /// Called as the target sees it.
        called: String,
    },
    /// The PBX would be refused.
    Refused {
        /// The status.
        status: u16,
        /// Its phrase.
        phrase: String,
        /// The catalogue's code; none where the SIP stack refuses before a call exists.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// What to do about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        remedy: Option<String>,
    },
    /// Nothing would be answered.
    Ignored,
}

/// The INVITE that would leave. Tags, branches, Call-IDs and media ports are examples of their kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Where to: transport and address, or the name that would be resolved.
    pub to: String,
    /// Its size.
    pub bytes: usize,
    /// The message.
    pub message: String,
}

/// What would come if one condition were another.
#[derive(Debug, Clone, Serialize)]
pub struct Otherwise {
    /// The condition.
    pub supposing: String,
    /// What a call comes to then.
    #[serde(flatten)]
    pub story: Story,
}

/// One INVITE of the input.
#[derive(Debug, Clone)]
struct Candidate {
    message: Bytes,
    origin: Origin,
    /// The line of the input on which each line of the message stood.
    lines: Vec<usize>,
    mended: Vec<String>,
}

/// Explains every INVITE of the input.
///
/// # Errors
/// A trunk or Call-ID that does not exist, or an input without any INVITE.
pub fn explain(stage: &Stage, question: &Question, now: Instant) -> Result<Report, AskError> {
    if let Some(name) = &question.trunk {
        let known: Vec<&str> = stage.config.trunks.iter().map(|trunk| trunk.name.as_str()).collect();
        if !known.contains(&name.as_str()) {
            return Err(AskError::NoSuchTrunk(name.clone(), known.join(", ")));
        }
    }
    let (candidates, mut remarks) = candidates(question)?;
    let candidates = wanted(question, candidates, &mut remarks)?;
    let invites = candidates.into_iter().map(|candidate| case(stage, question, now, candidate)).collect();
    Ok(Report { invites, remarks })
}

fn candidates(question: &Question) -> Result<(Vec<Candidate>, Vec<String>), AskError> {
    if !capture::is_capture(&question.input) {
        let found = paste::invites(&question.input).map_err(AskError::Unreadable)?;
        return Ok((found, vec![]));
    }
    let Capture { invites, remarks } = capture::read(&question.input)?;
    let candidate = |invite: capture::Captured| {
        let lines = (1..=invite.message.iter().filter(|byte| **byte == b'\n').count() + 1).collect();
        let origin = Origin::captured(&invite);
        Candidate { message: invite.message, origin, lines, mended: vec![] }
    };
    Ok((invites.into_iter().map(candidate).collect(), remarks))
}

/// The candidates that were asked for, without what this gateway itself sent.
fn wanted(
    question: &Question,
    candidates: Vec<Candidate>,
    remarks: &mut Vec<String>,
) -> Result<Vec<Candidate>, AskError> {
    let call_id = |candidate: &Candidate| {
        let message = Message::parse(candidate.message.clone()).ok();
        message.map_or_else(String::new, |message| String::from_utf8_lossy(message.call_id()).into_owned())
    };
    if let Some(wanted) = &question.call_id {
        let known: Vec<String> = candidates.iter().map(call_id).collect();
        let found: Vec<Candidate> = candidates.into_iter().filter(|candidate| call_id(candidate) == *wanted).collect();
        if found.is_empty() {
            return Err(AskError::NoSuchCall(wanted.clone(), known.join(", ")));
        }
        return Ok(found);
    }
    let total = candidates.len();
    let foreign: Vec<Candidate> =
        candidates.iter().filter(|candidate| CallId::parse(&call_id(candidate)).is_none()).cloned().collect();
    if foreign.is_empty() {
        return Ok(candidates); // somebody wants to know about ours
    }
    if foreign.len() < total {
        let ours = total - foreign.len();
        remarks.push(format!("{ours} INVITE(s) that a gateway like this one sent; ask for one with its Call-ID"));
    }
    Ok(foreign)
}

fn case(stage: &Stage, question: &Question, now: Instant, candidate: Candidate) -> Case {
    match explained(stage, question, now, candidate) {
        Ok(explanation) => Case::Explained(Box::new(explanation)),
        Err(unreadable) => Case::Unreadable(unreadable),
    }
}

fn explained(
    stage: &Stage,
    question: &Question,
    now: Instant,
    candidate: Candidate,
) -> Result<Explanation, Unreadable> {
    let message = Message::parse(candidate.message.clone()).map_err(|error| Unreadable {
        line: candidate.line(0),
        problem: error.to_string(),
        remedy: "begin with the line `INVITE sip:... SIP/2.0`".to_owned(),
        response: None,
    })?;
    message.check().map_err(|fault| candidate.faulty(&message, &fault))?;
    let (origin, known_by) = candidate.origin.settle(question, &message).ok_or_else(|| Unreadable {
        line: candidate.line_of("Via"),
        problem: "the topmost Via names no address, so nobody knows where the INVITE came from".to_owned(),
        remedy: "say it with --source ADDRESS, or name the trunk with --trunk NAME".to_owned(),
        response: None,
    })?;
    let given = Given {
        request_uri: String::from_utf8_lossy(message.request_uri().unwrap_or_default()).into_owned(),
        call_id: String::from_utf8_lossy(message.call_id()).into_owned(),
        source: origin.peer,
        source_known_by: known_by,
        destination: candidate.origin.destination,
        transport: origin.protocol.to_string(),
        captured: candidate.origin.captured.clone(),
        mended: candidate.mended.clone(),
    };
    let (story, otherwise) = rehearsal::play(stage, question.trunk.as_deref(), &message, origin, now);
    Ok(Explanation { given, story, otherwise })
}

// === impl Candidate ===

impl Candidate {
    /// The line of the input of a line of the message, from 0.
    fn line(&self, at: usize) -> usize {
        self.lines.get(at).or(self.lines.last()).copied().unwrap_or(1)
    }

    /// The line of the input where a header stands; where the message begins, if it has none.
    fn line_of(&self, header: &str) -> usize {
        let text = String::from_utf8_lossy(&self.message);
        let compact = crate::sip::HeaderName::parse(header.as_bytes());
        let head = text.lines().take_while(|line| !line.trim().is_empty());
        let at = head.enumerate().skip(1).find_map(|(at, line)| {
            let (name, _) = line.split_once(':')?;
            let same = crate::sip::HeaderName::parse(name.trim().as_bytes()) == compact;
            (same && compact != crate::sip::HeaderName::Other).then_some(at)
        });
        self.line(at.unwrap_or(0))
    }

    fn faulty(&self, message: &Message, fault: &Fault) -> Unreadable {
        let part_of_start_line = matches!(fault.header, "Request-URI" | "SIP-Version");
        let line = if part_of_start_line { self.line(0) } else { self.line_of(fault.header) };
        let remedy = match (fault.problem.as_str(), fault.header) {
            ("is missing", header) => format!("paste the message with its {header}, or have the PBX send one"),
            (_, "CSeq") => "the method in CSeq is that of the first line".to_owned(),
            (_, "Content-Length") => "paste the whole message, or remove the Content-Length".to_owned(),
            (_, header) => format!("compare the {header} of this line with what the PBX sends"),
        };
        let answered = message.top_via().is_some();
        Unreadable {
            line,
            problem: fault.to_string(),
            remedy,
            response: answered.then(|| format!("{} {}", fault.status.get(), fault.reason())),
        }
    }
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}; {}", self.line, self.problem, self.remedy)?;
        match &self.response {
            Some(response) => write!(f, " (the gateway would answer {response})"),
            None => Ok(()),
        }
    }
}

// === impl Report ===

impl Report {
    /// Was every INVITE explained?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.invites.iter().all(|case| matches!(case, Case::Explained(_)))
    }
}

/// The protocol that a Via names.
fn protocol(transport: &[u8]) -> Protocol {
    match transport {
        name if name.eq_ignore_ascii_case(b"TCP") => Protocol::Tcp,
        name if name.eq_ignore_ascii_case(b"TLS") => Protocol::Tls,
        _ => Protocol::Udp,
    }
}

#[cfg(test)]
mod tests;
