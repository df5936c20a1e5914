//! A simulated PBX: places calls as a real one would (its own addresses in From and To, the true caller in an identity
//! header), speaks and listens, and answers its own numbers, where a caller may be sent when the bot cannot be reached.

mod dialect;
mod incoming;
mod outgoing;

pub use dialect::{Dialect, Identity};

use super::audio::{Law, Voice};
use super::leg::Timing;
use super::line::{Line, Reporting};
use super::observation::{Observer, Violations};
use super::rtp::Heard;
use super::task::Task;
use crate::clock::Entropy;
use crate::record::moment::Lane;
use serde::Serialize;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How a simulated PBX is set up.
#[derive(Debug, Clone)]
pub struct PbxOptions {
    /// SIP socket; port 0 picks one.
    pub sip: SocketAddr,
    /// What it does with calls to its own numbers.
    pub answer: AnswerPlan,
    /// SIP timers.
    pub timing: Timing,
    /// Who is told.
    pub observer: Observer,
    /// Where tags and Call-IDs come from.
    pub entropy: Entropy,
}

/// One call to place.
#[derive(Debug, Clone)]
pub struct CallPlan {
    /// Where the INVITE goes.
    pub hop: SocketAddr,
    /// User part of the Request-URI, if not the called number.
    pub request_user: Option<String>,
    /// The true caller.
    pub caller: String,
    /// Its display name.
    pub caller_name: Option<String>,
    /// The number that was dialled.
    pub called: String,
    /// Where the true caller stands.
    pub identity: Identity,
    /// Which PBX family is imitated.
    pub dialect: Dialect,
    /// Further header fields of the INVITE.
    pub extra: Vec<(String, String)>,
    /// Codecs in order.
    pub laws: Vec<Law>,
    /// When the caller hangs up.
    pub hang_up: HangUp,
    /// Hangs up when this is notified, or cancels if it was not answered yet.
    pub hang_up_on: Option<Arc<Notify>>,
    /// Give up this long after the INVITE if unanswered.
    pub cancel_after: Option<Duration>,
    /// Put on hold and take back.
    pub hold: Option<Hold>,
    /// What is wrong with the call.
    pub faults: CallFaults,
    /// The longest the whole call may take; then the caller hangs up whatever happens.
    pub patience: Duration,
}

/// When a caller hangs up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUp {
    /// This long after the answer.
    After(Duration),
    /// When this many packets of the bot's speech were heard.
    AfterBot(u64),
    /// When this many packets of the person's voice at the fallback number were heard.
    AfterHuman(u64),
    /// Not at all: the far side does.
    Never,
}

/// A hold by re-INVITE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// After the answer.
    pub after: Duration,
    /// How long.
    pub lasts: Duration,
}

/// What is wrong with a placed call. The default is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallFaults {
    /// Sends no audio.
    pub no_rtp: bool,
    /// The INVITE has no offer; the ACK has the answer.
    pub late_offer: bool,
    /// Never acknowledges the answer.
    pub no_ack: bool,
    /// Does not answer BYE.
    pub ignore_bye: bool,
    /// Vanishes instead of hanging up.
    pub vanish: bool,
}

/// What the PBX does with calls to its own numbers.
#[derive(Debug, Clone)]
pub struct AnswerPlan {
    /// Rings for so long.
    pub ring: Duration,
    /// Then answers with this: 200 speaks, anything else refuses, `None` rings for ever.
    pub status: Option<u16>,
    /// Who speaks.
    pub voice: Voice,
    /// Hangs up this long after the answer.
    pub hang_up_after: Option<Duration>,
}

/// How a placed call went.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CallOutcome {
    /// Its `Call-ID`.
    pub call_id: String,
    /// The true caller.
    pub caller: String,
    /// The number that was dialled.
    pub called: String,
    /// Our `From` and `To`, as sent: the PBX's own addresses.
    pub from: String,
    /// See `from`.
    pub to: String,
    /// Final status of the INVITE.
    pub status: Option<u16>,
    /// Its reason phrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phrase: Option<String>,
    /// The far side's `Reason`, of its failure or its BYE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Milliseconds from the INVITE to the first 18x.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ringing_ms: Option<u64>,
    /// Milliseconds from the INVITE to the 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_ms: Option<u64>,
    /// Milliseconds from the INVITE to the bot's first word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot_ms: Option<u64>,
    /// Milliseconds from the INVITE to the end.
    pub duration_ms: u64,
    /// Who ended it: `caller`, `far`, `cancel`, `refused`, `silence`.
    pub ended_by: &'static str,
    /// Packets.
    pub heard: Heard,
}

/// A call to one of the PBX's own numbers.
#[derive(Debug, Clone, Serialize)]
pub struct TakenCall {
    /// Its `Call-ID`.
    pub call_id: String,
    /// The number that was dialled.
    pub called: String,
    /// `From`.
    pub from: String,
    /// `P-Asserted-Identity`, if any.
    pub asserted: Option<String>,
    /// What was answered.
    pub status: Option<u16>,
    /// Packets.
    pub heard: Heard,
    /// Who ended it, once it is over: `pbx` or `far`.
    pub ended_by: Option<&'static str>,
    /// The far side's `Reason`.
    pub reason: Option<String>,
}

/// A running simulated PBX. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Pbx {
    shared: Arc<Shared>,
    _answering: Task,
}

#[derive(Debug)]
struct Shared {
    options: PbxOptions,
    line: Line,
    violations: Violations,
    entropy: Mutex<Entropy>,
    taken: watch::Sender<Vec<TakenCall>>,
}

// === impl PbxOptions ===

impl Default for PbxOptions {
    fn default() -> Self {
        Self {
            sip: SocketAddr::from(([127, 0, 0, 1], 0)),
            answer: AnswerPlan::default(),
            timing: Timing::default(),
            observer: Observer::silent(),
            entropy: Entropy::from_system(),
        }
    }
}

// === impl AnswerPlan ===

impl Default for AnswerPlan {
    fn default() -> Self {
        Self { ring: Duration::from_millis(20), status: Some(200), voice: Voice::Human, hang_up_after: None }
    }
}

// === impl CallPlan ===

impl CallPlan {
    /// A plain call to `hop` that hears half a second of the bot and hangs up.
    #[must_use]
    pub fn new(hop: SocketAddr, caller: impl Into<String>, called: impl Into<String>) -> Self {
        Self {
            hop,
            request_user: None,
            caller: caller.into(),
            caller_name: None,
            called: called.into(),
            identity: Identity::Asserted,
            dialect: Dialect::Plain,
            extra: vec![],
            laws: vec![Law::Mu, Law::A],
            hang_up: HangUp::AfterBot(25),
            hang_up_on: None,
            cancel_after: None,
            hold: None,
            faults: CallFaults::default(),
            patience: Duration::from_secs(60),
        }
    }
}

// === impl Pbx ===

impl Pbx {
    /// Opens its socket and answers its numbers.
    ///
    /// # Errors
    /// When the socket cannot be opened.
    pub async fn start(mut options: PbxOptions) -> io::Result<Self> {
        let violations = Violations::default();
        let reporting =
            Reporting { observer: options.observer.clone(), violations: violations.clone(), own: Lane::Pbx };
        let (line, mut calls) = Line::open(options.sip, reporting).await?;
        let entropy = Mutex::new(options.entropy.fork());
        let shared = Arc::new(Shared { options, line, violations, entropy, taken: watch::Sender::default() });
        let answering = Arc::clone(&shared);
        let accept = async move {
            let mut live: Vec<Task> = vec![];
            while let Some((invite, inbox)) = calls.recv().await {
                live.retain(|task| !task.is_finished());
                live.push(Task::spawn(incoming::serve(Arc::clone(&answering), invite, inbox)));
            }
        };
        Ok(Self { shared, _answering: Task::spawn(accept) })
    }

    /// Its SIP address.
    #[must_use]
    pub fn sip_address(&self) -> SocketAddr {
        self.shared.line.address()
    }

    /// Places a call and waits for its end.
    ///
    /// # Errors
    /// When no media port is free.
    pub async fn call(&self, plan: CallPlan) -> io::Result<CallOutcome> {
        outgoing::place(Arc::clone(&self.shared), plan).await
    }

    /// Calls that came to its own numbers, in order.
    #[must_use]
    pub fn taken(&self) -> Vec<TakenCall> {
        self.shared.taken.borrow().clone()
    }

    /// The same, to wait on.
    #[must_use]
    pub fn watch_taken(&self) -> watch::Receiver<Vec<TakenCall>> {
        self.shared.taken.subscribe()
    }

    /// What the far side did wrong.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.shared.violations.list()
    }
}
