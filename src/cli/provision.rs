//! `trunkline provision daily`: what the configuration needs of the Daily account is made, and what Daily hands out in
//! return is put where the configuration reads it. Nothing else in the account is touched.

mod places;
mod report;

use super::Outcome;
use super::args::ProvisionDaily;
use crate::clock::Entropy;
use crate::config::draft::{Draft, Origin, Place, draft};
use crate::config::provision::{Provision, ProvisionApi};
use crate::config::target::TargetKind;
use crate::config::value::Secret;
use crate::room::Settings;
use crate::room::daily::client::Client;
use crate::room::daily::provision::{
    Adopt, Api, Current, DomainWanted, Entry, Line, MASKED, Plan, Provisioner, Trouble, Wanted,
};
use base64::Engine as _;
use places::{Errand, ToSet, Written};
use report::Report;
use std::net::{Ipv4Addr, SocketAddr};

/// Bytes of a secret that we make; Daily takes any.
const SECRET: usize = 32;

/// Everything between the file and the requests.
struct Job {
    asked: ProvisionApi,
    wanted: Wanted,
    hook: Option<DomainWanted>,
    hmac: Vec<Place>,
    events_hmac: Vec<Place>,
    uri: Vec<Place>,
    entropy: Entropy,
    differs: bool,
    report: Report,
}

/// Provisions the account.
#[must_use]
pub fn daily(args: &ProvisionDaily) -> Outcome {
    let file = args.file.config.display().to_string();
    let draft = match draft(&args.file.config) {
        Ok(draft) => draft,
        Err(error) => {
            eprintln!("{error}");
            return Outcome::Wrong;
        }
    };
    let (job, client) = match Job::new(&draft, args).and_then(|job| Ok((job, client(&draft)?))) {
        Ok(ready) => ready,
        Err(problem) => {
            eprintln!("{file}: {problem}");
            return Outcome::Wrong;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start the runtime: {error}");
            return Outcome::Failed;
        }
    };
    let report = runtime.block_on(job.run(client));
    let printed = report.print();
    if report.error.is_none() && printed { Outcome::Done } else { Outcome::Failed }
}

fn client(draft: &Draft) -> Result<Client, String> {
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let settings =
        Settings::new(&draft.config, nowhere).ok_or("there is no [daily]; add it with `api_key` and `hmac`")?;
    Client::new(&settings).map_err(|error| error.to_string())
}

// === impl Job ===

impl Job {
    fn new(draft: &Draft, args: &ProvisionDaily) -> Result<Self, String> {
        let config = &draft.config;
        let daily = config.daily.as_ref().ok_or("there is no [daily]; add it with `api_key` and `hmac`")?;
        let settings = &daily.provision;
        if config.http.public_url.is_none() {
            return Err("`public_url` of [http] is missing, and Daily has to be told where its webhook goes; \
                        write the https:// address at which the outside reaches this gateway"
                .to_owned());
        }
        let public_url = config.public_url();
        if !public_url.starts_with("https://") {
            eprintln!("warning: `public_url` is no https:// address; Daily may refuse it");
        }
        let numbers = settings.numbers.iter().map(|number| Line::Number(number.clone()));
        let mut entropy = Entropy::from_system();
        let events = settings.events && !draft.events_hmac.is_empty();
        let hook = events.then(|| DomainWanted {
            url: format!("{public_url}/daily/events"),
            hmac: configured(&draft.events_hmac).unwrap_or_else(|| fresh(&mut entropy)),
        });
        if settings.events && !events {
            eprintln!("note: no domain webhook, because `events_hmac` of [daily] is not configured");
        }
        let wanted = Wanted {
            name: settings.name.clone().unwrap_or_else(|| standard_name(&public_url)),
            webhook: format!("{public_url}/daily/dialin"),
            lines: settings.interconnect.then_some(Line::Interconnect).into_iter().chain(numbers).collect(),
            hold_music: settings.hold_music.clone(),
            timeout_message: settings.timeout_message.clone(),
            hmac: configured(&draft.hmac).unwrap_or_else(|| fresh(&mut entropy)),
            adopt: if args.adopt { Adopt::Yes } else { Adopt::No },
        };
        let mut job = Self {
            asked: args.api.unwrap_or(settings.api),
            wanted,
            hook,
            hmac: draft.hmac.clone(),
            events_hmac: draft.events_hmac.clone(),
            uri: uri_place(draft, settings)?,
            entropy,
            differs: false,
            report: Report { dry_run: args.dry_run, ..Report::default() },
        };
        job.try_folders()?;
        Ok(job)
    }

    /// A secret that Daily hands out must find its place, so the places are tried before Daily is asked.
    fn try_folders(&mut self) -> Result<(), String> {
        let events = self.hook.is_some().then_some(&self.events_hmac).into_iter().flatten();
        for place in self.hmac.iter().chain(events).chain(&self.uri) {
            let Origin::File(path) = &place.origin else { continue };
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let usable = if self.report.dry_run {
                folder.is_none_or(std::path::Path::is_dir).then_some(()).ok_or_else(|| "no such folder".to_owned())
            } else {
                places::try_folder(path, &mut self.entropy).map_err(|error| error.to_string())
            };
            usable.map_err(|error| {
                let (key, path) = (&place.key, path.display());
                format!("`{key}` is read from {path}, which cannot be written: {error}; make the folder, writable for whoever runs this")
            })?;
        }
        Ok(())
    }

    async fn run(mut self, client: Client) -> Report {
        let mut provisioner = Provisioner::new(client, self.entropy.fork());
        if let Err(error) = self.entries(&mut provisioner).await {
            self.report.error = Some(error);
        } else if let Some(wanted) = self.hook.take()
            && let Err(error) = self.events(&mut provisioner, &wanted).await
        {
            self.report.error = Some(error);
        }
        self.report.changed = self.report.error.is_none().then_some(self.differs);
        self.report
    }

    async fn entries(&mut self, provisioner: &mut Provisioner) -> Result<(), String> {
        let trouble = |trouble: Trouble| trouble.to_string();
        let current = provisioner.current(self.asked, &self.wanted).await.map_err(trouble)?;
        let plan = Provisioner::plan(self.asked, &current, &self.wanted).map_err(trouble)?;
        self.report.entries(&plan);
        self.differs |= plan.differs();
        let mut current = current;
        if plan.differs() && !self.report.dry_run {
            self.keep_new_secret(&plan)?;
            current = provisioner.apply(&plan, current, &self.wanted).await.map_err(trouble)?;
        }
        self.hand_out(&plan, &current)
    }

    /// A secret that we made is in its file before Daily knows it: if anything ends here, it is not lost.
    fn keep_new_secret(&mut self, plan: &Plan) -> Result<(), String> {
        let creates =
            plan.steps.iter().any(|step| step.before.is_none() && secret_of(step) == Some(self.wanted.hmac.expose()));
        if !creates {
            return Ok(());
        }
        let needed = vec![self.wanted.hmac.expose().to_owned()];
        let places = &mut self.hmac;
        run_files("daily.hmac", places, &needed, &mut self.entropy, &mut self.report)
    }

    /// Address and secrets of our entries go to where the configuration reads them.
    fn hand_out(&mut self, plan: &Plan, current: &Current) -> Result<(), String> {
        let (mut secrets, mut uri) = (vec![], None);
        let now = self.now(plan, current);
        for (step, entry) in plan.steps.iter().zip(&now) {
            // In a dry run a new entry is only planned.
            let secret = entry.as_ref().and_then(Entry::hmac).or_else(|| secret_of(step));
            match secret {
                Some(secret) if !secrets.iter().any(|known| known == secret) => secrets.push(secret.to_owned()),
                Some(_) => {}
                None => {
                    eprintln!("note: Daily does not show the secret of {}; `hmac` cannot be compared", step.line.name())
                }
            }
            if step.line == Line::Interconnect {
                uri = entry.as_ref().and_then(Entry::sip_uri);
            }
        }
        run_all("daily.hmac", &mut self.hmac, &secrets, &mut self.entropy, &mut self.report)?;
        match uri {
            Some(uri) => run_all("target.uri", &mut self.uri, &[uri], &mut self.entropy, &mut self.report),
            None if self.report.dry_run => {
                self.foretell_uri();
                Ok(())
            }
            None if self.wanted.lines.contains(&Line::Interconnect) => {
                Err("Daily shows no `sip_uri` of the new entry; run again in a minute".to_owned())
            }
            None => Ok(()),
        }
    }

    /// The address of an entry that a dry run does not create.
    fn foretell_uri(&mut self) {
        for Place { key, origin, value } in &self.uri {
            if let Origin::File(path) = origin {
                let action = if value.is_some() { "replace" } else { "write" };
                self.report.wrote(Written { key: key.clone(), path: path.clone(), action });
            }
        }
    }

    /// Our entries as they are now, one for each step.
    fn now(&self, plan: &Plan, current: &Current) -> Vec<Option<Entry>> {
        let asked = match plan.api {
            Api::Entries => ProvisionApi::Entries,
            Api::Array => ProvisionApi::Array,
        };
        match Provisioner::plan(asked, current, &self.wanted) {
            Ok(plan) => plan.steps.into_iter().map(|step| step.before).collect(),
            Err(_) => plan.steps.iter().map(|step| step.before.clone()).collect(),
        }
    }

    async fn events(&mut self, provisioner: &mut Provisioner, wanted: &DomainWanted) -> Result<(), String> {
        let trouble = |trouble: Trouble| format!("domain webhook: {trouble}");
        let mut hooks = provisioner.hooks().await.map_err(trouble)?;
        let mut plan = Provisioner::plan_hook(&hooks, wanted).map_err(trouble)?;
        self.report.events(&plan);
        let differs = !plan.differences.is_empty();
        self.differs |= differs;
        let own = [wanted.hmac.expose().to_owned()];
        if differs && !self.report.dry_run {
            if plan.before.is_none() {
                run_files("daily.events_hmac", &mut self.events_hmac, &own, &mut self.entropy, &mut self.report)?;
            }
            hooks = provisioner.apply_hook(hooks, wanted).await.map_err(trouble)?;
            plan = Provisioner::plan_hook(&hooks, wanted).map_err(trouble)?;
        }
        let secret = match &plan.before {
            Some(hook) => hook.hmac().map(str::to_owned),
            None => Some(wanted.hmac.expose().to_owned()),
        };
        let Some(secret) = secret else {
            eprintln!("note: Daily does not show the secret of the domain webhook; `events_hmac` cannot be compared");
            return Ok(());
        };
        run_all("daily.events_hmac", &mut self.events_hmac, &[secret], &mut self.entropy, &mut self.report)
    }
}

fn secret_of(step: &crate::room::daily::provision::Step) -> Option<&str> {
    step.after.get("hmac").and_then(serde_json::Value::as_str)
}

/// Writes the files among the errands.
fn run_files(
    key: &str,
    places: &mut [Place],
    needed: &[String],
    entropy: &mut Entropy,
    report: &mut Report,
) -> Result<(), String> {
    for errand in places::errands(key, places, needed) {
        let Errand::Write { at, path, content } = errand else { continue };
        let Some(place) = places.get_mut(at) else { continue };
        if !report.dry_run {
            places::write_private(&path, content.expose(), entropy).map_err(|error| {
                format!("{} cannot be written: {error}; make it writable and run again", path.display())
            })?;
        }
        let action = if place.value.is_some() { "replace" } else { "write" };
        place.value = Some(content);
        report.wrote(Written { key: place.key.clone(), path, action });
    }
    Ok(())
}

/// Writes the files and tells the rest.
fn run_all(
    key: &str,
    places: &mut [Place],
    needed: &[String],
    entropy: &mut Entropy,
    report: &mut Report,
) -> Result<(), String> {
    let errands = places::errands(key, places, needed);
    run_files(key, places, needed, entropy, report)?;
    for errand in errands {
        if let Errand::Set(set) = errand {
            let value = if report.dry_run { MASKED.to_owned() } else { set.value };
            report.ask_to_set(ToSet { value, ..set });
        }
    }
    Ok(())
}

/// Where the address of the interconnect belongs.
fn uri_place(draft: &Draft, settings: &Provision) -> Result<Vec<Place>, String> {
    let targets = draft.config.targets.iter().zip(&draft.uris);
    let fits = |name: &str, kind: TargetKind| match &settings.target {
        Some(wanted) => name == wanted,
        None => kind == TargetKind::Daily,
    };
    let places: Vec<Place> =
        targets.filter(|(target, _)| fits(&target.name, target.kind)).map(|(_, place)| place.clone()).collect();
    if places.len() > 1 && settings.interconnect {
        return Err("several targets are of kind daily; name the one whose `uri` is this entry's in `target` of [daily.provision]"
            .to_owned());
    }
    Ok(places)
}

fn configured(places: &[Place]) -> Option<Secret> {
    places.iter().find_map(|place| place.value.clone())
}

fn fresh(entropy: &mut Entropy) -> Secret {
    let bytes: Vec<u8> = (0..SECRET / 8).flat_map(|_| entropy.next_u64().to_be_bytes()).collect();
    Secret::new(base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// `trunkline-` and the host, so that two gateways of one account do not take each other's entry for theirs.
fn standard_name(public_url: &str) -> String {
    let host =
        reqwest::Url::parse(public_url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    format!("trunkline-{}", host.trim_matches(['[', ']']).chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_name_follows_the_host() {
        assert_eq!(standard_name("https://GW.example.com:8443/base"), "trunkline-gw-example-com");
        assert_eq!(standard_name("http://[2001:db8::1]:8080"), "trunkline-2001-db8--1");
    }

    #[test]
    fn a_fresh_secret_is_base64_of_the_full_length_and_never_the_same() {
        let mut entropy = Entropy::seeded(1);
        let (one, two) = (fresh(&mut entropy), fresh(&mut entropy));
        assert_eq!(base64::engine::general_purpose::STANDARD.decode(one.expose()).unwrap().len(), SECRET);
        assert_ne!(one, two);
    }
}
