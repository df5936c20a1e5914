//! The tokio side of the companion: one task that owns the state machine, an inbox in front of it, and its HTTP requests
//! as tasks beside it. It decides nothing, so that everything worth testing is tested without it.

use super::companion::{Action, Census, Companion, FlightId, ReadyVerdict};
use super::daily::client::{Client, ClientError};
use super::daily::webhook::{DialIn, Event};
use super::request::Reply;
use super::{Meter, Report, Settings, Sink};
use crate::clock::{self, Entropy};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

/// Talks to the companion's task. Cheap to clone; nothing here blocks or fails, and after the shutdown nothing happens.
#[derive(Debug, Clone)]
pub struct CompanionHandle {
    inbox: mpsc::UnboundedSender<Message>,
    held: watch::Receiver<Census>,
}

/// The inbox has no bound because a bound would have to refuse a report or a webhook, and each of them is a few hundred
/// bytes that the task takes in microseconds: it never waits for anything but its inbox.
#[derive(Debug)]
enum Message {
    Report(Report),
    DialIn(DialIn),
    Event(Event),
    Ready { room: String, token: String, endpoint: Option<String>, verdict: oneshot::Sender<ReadyVerdict> },
    Connected { room: String, token: String, verdict: oneshot::Sender<ReadyVerdict> },
    Census(oneshot::Sender<Census>),
    Shutdown,
}

struct Driver {
    companion: Companion,
    client: Client,
    sink: Sink,
    requests: JoinSet<(FlightId, Reply)>,
    aborts: HashMap<FlightId, AbortHandle>,
    held: watch::Sender<Census>,
}

/// Starts the companion on the current tokio runtime. The task ends at [`CompanionHandle::shutdown`], or when the last
/// handle is gone. `sink` is called on it.
///
/// # Errors
/// The HTTP client cannot be built.
pub fn spawn(
    settings: Settings,
    sink: Sink,
    meter: Arc<dyn Meter>,
    entropy: Entropy,
) -> Result<(CompanionHandle, JoinHandle<()>), ClientError> {
    let client = Client::new(&settings)?;
    let companion = Companion::new(settings, meter, entropy);
    let (sender, inbox) = mpsc::unbounded_channel();
    let (census, held) = watch::channel(Census::default());
    let driver = Driver { companion, client, sink, requests: JoinSet::new(), aborts: HashMap::new(), held: census };
    Ok((CompanionHandle { inbox: sender, held }, tokio::spawn(driver.run(inbox))))
}

// === impl CompanionHandle ===

impl CompanionHandle {
    /// Reports; never blocks, from any thread.
    pub fn report(&self, report: Report) {
        self.post(Message::Report(report));
    }

    /// Hands over a webhook whose signature was checked.
    pub fn dial_in(&self, dial_in: DialIn) {
        self.post(Message::DialIn(dial_in));
    }

    /// Hands over an event whose signature was checked.
    pub fn event(&self, event: Event) {
        self.post(Message::Event(event));
    }

    /// Hands over a ready signal; `endpoint` is an address with scheme.
    pub async fn ready(&self, room: String, token: String, endpoint: Option<String>) -> ReadyVerdict {
        let (verdict, answer) = oneshot::channel();
        self.post(Message::Ready { room, token, endpoint, verdict });
        answer.await.unwrap_or(ReadyVerdict::UnknownRoom)
    }

    /// Hands over a bot's word that it connected the caller.
    pub async fn bot_connected(&self, room: String, token: String) -> ReadyVerdict {
        let (verdict, answer) = oneshot::channel();
        self.post(Message::Connected { room, token, verdict });
        answer.await.unwrap_or(ReadyVerdict::UnknownRoom)
    }

    /// What the companion holds.
    pub async fn census(&self) -> Census {
        let (census, answer) = oneshot::channel();
        self.post(Message::Census(census));
        answer.await.unwrap_or_default()
    }

    /// The same, to wait on; it may lag behind what was reported a moment ago.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Census> {
        self.held.clone()
    }

    /// Ends the task, its requests and its memory of calls, without a word to the SIP side.
    pub fn shutdown(&self) {
        self.post(Message::Shutdown);
    }

    fn post(&self, message: Message) {
        // An error means that the task has ended, after which there is nothing left to tell.
        let _ = self.inbox.send(message);
    }
}

// === impl Driver ===

impl Driver {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        loop {
            let due = self.companion.next_timeout();
            tokio::select! {
                message = inbox.recv() => match message {
                    None | Some(Message::Shutdown) => break,
                    Some(message) => self.take(message),
                },
                Some(joined) = self.requests.join_next() => {
                    // A request that was aborted has no result, and nobody waits for one.
                    if let Ok((flight, reply)) = joined {
                        self.aborts.remove(&flight);
                        self.companion.landed(clock::now(), flight, reply);
                    }
                }
                () = wait(due) => {}
            }
            self.companion.expire(clock::now());
            self.act();
            self.publish();
        }
        self.companion.stop(clock::now());
        self.requests.shutdown().await;
    }

    fn take(&mut self, message: Message) {
        let now = clock::now();
        match message {
            Message::Report(report) => self.companion.report(now, report),
            Message::DialIn(dial_in) => self.companion.dial_in(now, dial_in),
            Message::Event(event) => self.companion.event(now, event),
            Message::Ready { room, token, endpoint, verdict } => {
                // The asker may have hung up meanwhile; the signal counts all the same.
                let _ = verdict.send(self.companion.ready(now, &room, &token, endpoint));
            }
            Message::Connected { room, token, verdict } => {
                let _ = verdict.send(self.companion.bot_connected(now, &room, &token));
            }
            Message::Census(census) => {
                let _ = census.send(self.companion.census());
            }
            Message::Shutdown => {}
        }
    }

    /// Shows the census to those who wait for it.
    fn publish(&self) {
        let census = self.companion.census();
        self.held.send_if_modified(|shown| std::mem::replace(shown, census) != census);
    }

    fn act(&mut self) {
        while let Some(action) = self.companion.poll_action() {
            match action {
                Action::Perform(flight, request) => {
                    let client = self.client.clone();
                    let task = async move { (flight, client.perform(request).await) };
                    self.aborts.insert(flight, self.requests.spawn(task));
                }
                Action::Abort(flight) => {
                    if let Some(task) = self.aborts.remove(&flight) {
                        task.abort();
                    }
                }
                Action::Instruct(call, instruction) => (self.sink)(call, instruction),
            }
        }
    }
}

async fn wait(due: Option<std::time::Instant>) {
    match due {
        Some(at) => clock::sleep(at.saturating_duration_since(clock::now())).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
