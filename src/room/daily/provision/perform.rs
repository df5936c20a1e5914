//! Sends what was planned. It looks again right before each request that writes and refuses if anything is not as it was
//! when the operator was shown the difference; it looks again afterwards and says if anything but ours has changed.

use super::Refusal;
use super::domain::{self, DomainHook, DomainPlan, DomainWanted};
use super::entry::{self, Current, Entry};
use super::explain::Trouble;
use super::plan::{self, Api, Plan, Verb, Wanted, Write};
use crate::clock::{self, Entropy};
use crate::config::provision::ProvisionApi;
use crate::room::daily::client::{Client, Method};
use crate::room::daily::rest::path_segment;
use crate::room::request::{Failure, FailureKind};
use crate::room::retry;
use std::time::Duration;

/// How often a request is sent at most.
const TRIES: u32 = 5;
/// Entries of one page of the list.
const PAGE: usize = 100;
/// A list longer than this is not read on: something answers the same page for ever.
const PAGES: usize = 100;
/// A `Retry-After` beyond this is not waited for; a person is watching.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Reads and writes one account.
#[derive(Debug)]
pub struct Provisioner {
    client: Client,
    entropy: Entropy,
}

/// One of the two things that are provisioned: how it is seen, and what is wanted of it.
#[derive(Debug)]
enum Aim<'w> {
    Dialin(Api, &'w Wanted),
    Hook(&'w DomainWanted),
}

/// What was seen.
#[derive(Debug, Clone)]
enum Seen {
    Dialin(Current),
    Hooks(Vec<DomainHook>),
}

/// What a failed write allows.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// It had no effect, or a second one changes nothing.
    Again,
    /// It may have worked, and a second one would do it twice.
    Look,
    /// No try will help.
    Stop,
}

// === impl Provisioner ===

impl Provisioner {
    /// For this account.
    #[must_use]
    pub fn new(client: Client, entropy: Entropy) -> Self {
        Self { client, entropy }
    }

    /// What the account holds, as far as it has to be known.
    ///
    /// # Errors
    /// A request failed for good.
    pub async fn current(&mut self, asked: ProvisionApi, wanted: &Wanted) -> Result<Current, Trouble> {
        let entries = self.entries().await?;
        let ours = entries.as_ref().is_some_and(|entries| wanted.has_own(entries));
        let array = match asked {
            ProvisionApi::Entries => None,
            ProvisionApi::Auto if ours => None,
            ProvisionApi::Auto | ProvisionApi::Array => Some(self.array().await?),
        };
        Ok(Current { entries, array })
    }

    /// The steps, and through which interface.
    ///
    /// # Errors
    /// It is not certain what is right.
    pub fn plan(asked: ProvisionApi, current: &Current, wanted: &Wanted) -> Result<Plan, Trouble> {
        let api = plan::choose(asked, current, wanted)?;
        Ok(plan::plan(api, current, wanted)?)
    }

    /// Does the steps; what the account holds afterwards.
    ///
    /// # Errors
    /// Something changed in the meantime, or a request failed for good.
    pub async fn apply(&mut self, plan: &Plan, current: Current, wanted: &Wanted) -> Result<Current, Trouble> {
        match self.settle(&Aim::Dialin(plan.api, wanted), Seen::Dialin(current)).await? {
            Seen::Dialin(current) => Ok(current),
            Seen::Hooks(_) => Ok(Current::default()),
        }
    }

    /// The webhooks of the domain.
    ///
    /// # Errors
    /// The request failed for good.
    pub async fn hooks(&mut self) -> Result<Vec<DomainHook>, Trouble> {
        let body = self.read("/webhooks").await.map_err(|failure| Trouble::reading("/webhooks", &failure))?;
        domain::read(&body).map_err(|text| unreadable("/webhooks", text))
    }

    /// What has to be done for the domain webhook.
    ///
    /// # Errors
    /// It cannot be changed without harm.
    pub fn plan_hook(hooks: &[DomainHook], wanted: &DomainWanted) -> Result<DomainPlan, Trouble> {
        Ok(DomainPlan::new(hooks, wanted)?)
    }

    /// Creates or changes the domain webhook; all of them afterwards.
    ///
    /// # Errors
    /// Something changed in the meantime, or a request failed for good.
    pub async fn apply_hook(
        &mut self,
        hooks: Vec<DomainHook>,
        wanted: &DomainWanted,
    ) -> Result<Vec<DomainHook>, Trouble> {
        match self.settle(&Aim::Hook(wanted), Seen::Hooks(hooks)).await? {
            Seen::Hooks(hooks) => Ok(hooks),
            Seen::Dialin(_) => Ok(vec![]),
        }
    }

    /// Writes until nothing is left to write. Each round must leave less to do, so it ends.
    async fn settle(&mut self, aim: &Aim<'_>, mut known: Seen) -> Result<Seen, Trouble> {
        while let Some(write) = aim.next(&known)? {
            self.write(aim, &known, &write).await?;
            known = self.confirm(aim, &known, &write).await?;
        }
        Ok(known)
    }

    /// Sends one request that writes, as often as it is safe.
    async fn write(&mut self, aim: &Aim<'_>, known: &Seen, write: &Write) -> Result<(), Trouble> {
        let mut tries = 0;
        loop {
            tries += 1;
            let fresh = self.again(known).await?;
            if !same(&fresh, known) {
                let done = tries > 1 && aim.left(&fresh)? < aim.left(known)?;
                return if done { Ok(()) } else { Err(Trouble::Changed) };
            }
            let method = if write.verb == Verb::Put { Method::Put } else { Method::Post };
            let Err(failure) = self.client.exchange(method, &write.path, Some(write.body.clone())).await else {
                return Ok(());
            };
            match next(write.verb, failure.kind) {
                Next::Again if tries < TRIES && self.waited(tries, &failure).await => {}
                Next::Again | Next::Stop => return Err(Trouble::writing(write, &failure)),
                Next::Look => {
                    self.waited(tries, &failure).await;
                    let fresh = self.again(known).await?;
                    if aim.left(&fresh)? < aim.left(known)? {
                        return Ok(());
                    }
                    return Err(Trouble::InDoubt { request: write.request(), text: failure.text });
                }
            }
        }
    }

    /// Looks whether it took effect, and on nothing else; a list may lag behind for a moment.
    async fn confirm(&mut self, aim: &Aim<'_>, known: &Seen, write: &Write) -> Result<Seen, Trouble> {
        let mut tries = 0;
        loop {
            tries += 1;
            let fresh = self.again(known).await?;
            if let Some(harm) = aim.harm(known, &fresh) {
                return Err(Trouble::NotAsWanted(harm));
            }
            if aim.left(&fresh)? < aim.left(known)? {
                return Ok(fresh);
            }
            let failure = Failure { kind: FailureKind::Lost, text: String::new(), retry_after: None };
            if tries == TRIES || !self.waited(tries, &failure).await {
                let request = write.request();
                return Err(Trouble::NotAsWanted(format!(
                    "{request} was accepted, but the account does not show it; run again in a minute, and ask Daily if it stays so"
                )));
            }
        }
    }

    async fn again(&mut self, known: &Seen) -> Result<Seen, Trouble> {
        Ok(match known {
            Seen::Hooks(_) => Seen::Hooks(self.hooks().await?),
            Seen::Dialin(current) => {
                let entries = if current.entries.is_some() { self.entries().await? } else { None };
                let array = if current.array.is_some() { Some(self.array().await?) } else { None };
                Seen::Dialin(Current { entries, array })
            }
        })
    }

    /// `None` if the account has no such interface.
    async fn entries(&mut self) -> Result<Option<Vec<Entry>>, Trouble> {
        const PATH: &str = "/domain-dialin-config";
        let mut all: Vec<Entry> = vec![];
        for _ in 0..PAGES {
            let last = all.last().and_then(|entry| entry.id.as_deref()).map(path_segment);
            let after = last.map_or_else(String::new, |id| format!("&starting_after={id}"));
            let body = match self.read(&format!("{PATH}?limit={PAGE}{after}")).await {
                Ok(body) => body,
                Err(Failure { kind: FailureKind::Refused(404 | 405 | 501), .. }) if all.is_empty() => return Ok(None),
                Err(failure) => return Err(Trouble::reading(PATH, &failure)),
            };
            let page = entry::read_page(&body).map_err(|text| unreadable(PATH, text))?;
            let count = page.entries.len();
            let known = |entry: &Entry| all.iter().any(|known| known.id == entry.id);
            if page.entries.iter().any(known) {
                return Err(unreadable(PATH, "the second page repeats the first".to_owned()));
            }
            all.extend(page.entries);
            if count == 0 || page.total.map_or(count < PAGE, |total| all.len() >= total) {
                return Ok(Some(all));
            }
        }
        Err(unreadable(PATH, "the list does not end".to_owned()))
    }

    async fn array(&mut self) -> Result<Vec<Entry>, Trouble> {
        let body = self.read("/").await.map_err(|failure| Trouble::reading("/", &failure))?;
        entry::read_domain(&body).map_err(|text| unreadable("/", text))
    }

    async fn read(&mut self, path: &str) -> Result<Vec<u8>, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let failure = match self.client.exchange(Method::Get, path, None).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            let passing = match failure.kind {
                FailureKind::NotSent | FailureKind::Lost | FailureKind::Refused(408 | 429 | 500 | 502..=599) => true,
                FailureKind::Refused(_) | FailureKind::Unreadable | FailureKind::Impossible => false,
            };
            if !passing || tries == TRIES || !self.waited(tries, &failure).await {
                return Err(failure);
            }
        }
    }

    /// Waits before the next try; `false` if that would take too long.
    async fn waited(&mut self, tries: u32, failure: &Failure) -> bool {
        let wait = retry::wait(tries, failure, &mut self.entropy);
        if wait > LONGEST_WAIT {
            return false;
        }
        clock::sleep(wait).await;
        true
    }
}

fn unreadable(path: &str, text: String) -> Trouble {
    let failure = Failure { kind: FailureKind::Unreadable, text, retry_after: None };
    Trouble::reading(path, &failure)
}

fn next(verb: Verb, kind: FailureKind) -> Next {
    match (kind, verb) {
        // Refused before it was worked on, or never sent.
        (FailureKind::NotSent | FailureKind::Refused(429), _) => Next::Again,
        (FailureKind::Lost | FailureKind::Refused(408 | 500..=599), Verb::Create) => Next::Look,
        (FailureKind::Lost | FailureKind::Refused(408 | 500..=599), Verb::Put | Verb::Set) => Next::Again,
        (FailureKind::Refused(_) | FailureKind::Unreadable | FailureKind::Impossible, _) => Next::Stop,
    }
}

fn same(one: &Seen, other: &Seen) -> bool {
    match (one, other) {
        (Seen::Dialin(one), Seen::Dialin(other)) => one == other,
        (Seen::Hooks(one), Seen::Hooks(other)) => {
            one.iter().map(DomainHook::settings).eq(other.iter().map(DomainHook::settings))
        }
        _ => false,
    }
}

// === impl Aim ===

impl Aim<'_> {
    fn next(&self, seen: &Seen) -> Result<Option<Write>, Refusal> {
        match (self, seen) {
            (Self::Dialin(api, wanted), Seen::Dialin(current)) => plan::plan(*api, current, wanted)?.next(current),
            (Self::Hook(wanted), Seen::Hooks(hooks)) => Ok(DomainPlan::new(hooks, wanted)?.next()),
            _ => Ok(None),
        }
    }

    /// How much is left to do.
    fn left(&self, seen: &Seen) -> Result<usize, Refusal> {
        match (self, seen) {
            (Self::Dialin(api, wanted), Seen::Dialin(current)) => {
                let plan = plan::plan(*api, current, wanted)?;
                Ok(plan.steps.iter().filter(|step| !step.differences.is_empty()).count())
            }
            (Self::Hook(wanted), Seen::Hooks(hooks)) => {
                Ok(usize::from(!DomainPlan::new(hooks, wanted)?.differences.is_empty()))
            }
            _ => Ok(0),
        }
    }

    /// What is not ours and is no longer as it was.
    fn harm(&self, known: &Seen, fresh: &Seen) -> Option<String> {
        let (Self::Dialin(api, wanted), Seen::Dialin(known), Seen::Dialin(fresh)) = (self, known, fresh) else {
            return None;
        };
        let plan = plan::plan(*api, known, wanted).ok()?;
        let ours = |entry: &Entry| plan.steps.iter().any(|step| step.before.as_ref() == Some(entry));
        let fresh = api.list(fresh);
        let lost = api.list(known).iter().filter(|entry| !ours(entry)).find(|entry| !fresh.contains(entry))?;
        Some(format!(
            "the entry {} is not as it was before we wrote, though it was sent back as it came (or left alone): look at it in \
             Daily's dashboard, whoever changed it; its users may need its new secret",
            lost.title()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_nothing_the_second_time_is_sent_twice() {
        use FailureKind::{Lost, NotSent, Refused, Unreadable};
        for (kind, create, other) in [
            (NotSent, Next::Again, Next::Again),
            (Refused(429), Next::Again, Next::Again),
            (Lost, Next::Look, Next::Again),
            (Refused(500), Next::Look, Next::Again),
            (Refused(400), Next::Stop, Next::Stop),
            (Refused(401), Next::Stop, Next::Stop),
            (Unreadable, Next::Stop, Next::Stop),
        ] {
            assert_eq!(next(Verb::Create, kind), create, "{kind:?}");
            assert_eq!(next(Verb::Put, kind), other, "{kind:?}");
            assert_eq!(next(Verb::Set, kind), other, "{kind:?}");
        }
    }
}
