//! Which route a call takes. The first one all of whose conditions hold; each one that was looked at becomes a step with
//! the first condition that failed.

use super::target::{Target, TargetError};
use crate::config::value::{HeaderMatch, Pattern};
use crate::config::{self, Config};
use crate::record::Step;
use crate::sip::Message;
use crate::sip::header::decode;
use std::sync::Arc;
use std::time::Duration;

/// What a route may look at.
#[derive(Debug, Clone, Copy)]
pub struct Query<'q> {
    /// The trunk the call came from.
    pub trunk: &'q str,
    /// The normalised calling number.
    pub caller: &'q str,
    /// The normalised called number.
    pub called: &'q str,
    /// The PBX's INVITE.
    pub request: &'q Message,
}

/// One route.
#[derive(Debug)]
pub struct Route {
    /// Its position in the file, from 0.
    pub index: usize,
    /// The targets to try, in order.
    pub targets: Vec<Arc<Target>>,
    /// After which final statuses the next target is tried.
    pub retry_on: RetryOn,
    /// How long a target may ring.
    pub ring_timeout: Duration,
    /// Where the caller goes when the bot cannot be reached.
    pub fallback: Option<config::route::Fallback>,
    conditions: Conditions,
}

/// The statuses of a target after which the next one is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryOn {
    /// Failures of the target itself: 408, 430, 500 to 599 (RFC 3263 §4.3 has 503 and silence; the others mean the same
    /// to a caller).
    Usual,
    /// These.
    These(Vec<u16>),
}

#[derive(Debug)]
struct Conditions {
    trunk: Option<String>,
    called: Option<Pattern>,
    caller: Option<Pattern>,
    header: Option<HeaderMatch>,
}

/// All routes and targets.
#[derive(Debug, Default)]
pub struct Table {
    routes: Vec<Arc<Route>>,
    targets: Vec<Arc<Target>>,
}

// === impl Table ===

impl Table {
    /// From a checked configuration.
    ///
    /// # Errors
    /// A target that cannot be made ready.
    pub fn new(config: &Config) -> Result<Self, TargetError> {
        Self::after(&Self::default(), config)
    }

    /// The same, after a reload: a target that keeps its name keeps its open calls.
    ///
    /// # Errors
    /// A target that cannot be made ready.
    pub fn after(previous: &Self, config: &Config) -> Result<Self, TargetError> {
        let targets = config
            .targets
            .iter()
            .map(|target| {
                let known = previous.target(&target.name);
                Target::new(target, known.map(Arc::as_ref)).map(Arc::new)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let of_name = |name: &String| targets.iter().find(|target| target.name == *name).cloned();
        let route = |(index, route): (usize, &config::route::Route)| {
            Arc::new(Route {
                index,
                targets: route.targets.iter().filter_map(of_name).collect(),
                retry_on: route.retry_on.clone().map_or(RetryOn::Usual, RetryOn::These),
                ring_timeout: route.ring_timeout.get(),
                fallback: route.fallback.clone(),
                conditions: Conditions {
                    trunk: route.trunk.clone(),
                    called: route.called.clone(),
                    caller: route.caller.clone(),
                    header: route.header.clone(),
                },
            })
        };
        Ok(Self { routes: config.routes.iter().enumerate().map(route).collect(), targets })
    }

    /// The first route that fits.
    pub fn pick(&self, query: &Query<'_>, steps: &mut Vec<Step>) -> Option<Arc<Route>> {
        self.routes
            .iter()
            .find(|route| {
                let failed = route.conditions.failed(query);
                let fits = failed.is_none();
                let targets = route.targets.iter().map(|target| target.name.clone()).collect();
                steps.push(Step::Route { route: route.index, targets, failed });
                fits
            })
            .cloned()
    }

    /// The routes behind the one that takes a call, each as a step that says whether it would have fitted. Apart from
    /// [`Table::pick`]: a live call does not look at them.
    #[must_use]
    pub fn passed_over(&self, taken: &Route, query: &Query<'_>) -> Vec<Step> {
        let behind = self.routes.iter().filter(|route| route.index > taken.index);
        behind
            .map(|route| {
                let fits = || format!("would fit, but route {} stands before it", taken.index + 1);
                let failed = Some(route.conditions.failed(query).unwrap_or_else(fits));
                let targets = route.targets.iter().map(|target| target.name.clone()).collect();
                Step::Route { route: route.index, targets, failed }
            })
            .collect()
    }

    /// A route by its position in the file, from 0.
    #[must_use]
    pub fn route(&self, index: usize) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.index == index)
    }

    /// The targets that a call of this trunk may be sent to, whatever its numbers.
    pub fn reachable<'t>(&'t self, trunk: &'t str) -> impl Iterator<Item = &'t Arc<Target>> {
        let open = move |route: &&Arc<Route>| route.conditions.trunk.as_deref().is_none_or(|wanted| wanted == trunk);
        self.routes.iter().filter(open).flat_map(|route| &route.targets)
    }

    /// A target by its name.
    #[must_use]
    pub fn target(&self, name: &str) -> Option<&Arc<Target>> {
        self.targets.iter().find(|target| target.name == name)
    }

    /// All targets, in the order of the file.
    #[must_use]
    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }
}

// === impl Conditions ===

impl Conditions {
    /// The first condition that does not hold.
    fn failed(&self, query: &Query<'_>) -> Option<String> {
        if let Some(trunk) = &self.trunk
            && trunk != query.trunk
        {
            return Some(format!("trunk is `{}`, not `{trunk}`", query.trunk));
        }
        for (name, pattern, number) in [("called", &self.called, query.called), ("caller", &self.caller, query.caller)]
        {
            if let Some(pattern) = pattern
                && !pattern.regex().is_match(number)
            {
                return Some(format!("{name} `{number}` does not match `{pattern}`"));
            }
        }
        let header = self.header.as_ref()?;
        let mut values = query.request.named(&header.name).map(decode).peekable();
        if values.peek().is_none() {
            return Some(format!("header {} is absent", header.name));
        }
        if values.any(|value| header.pattern.regex().is_match(&value)) {
            return None;
        }
        Some(format!("header {} does not match `{}`", header.name, header.pattern))
    }
}

// === impl RetryOn ===

impl RetryOn {
    /// Whether the next target is tried after this final status.
    #[must_use]
    pub fn includes(&self, status: u16) -> bool {
        match self {
            Self::Usual => matches!(status, 408 | 430 | 500..=599),
            Self::These(statuses) => statuses.contains(&status),
        }
    }
}

#[cfg(test)]
mod tests;
