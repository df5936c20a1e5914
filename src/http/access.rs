//! Who may do what on the admin listener: bearer tokens with roles, or anybody on this machine if there are none. Apart
//! from the router, because a mistake here is worth more than one there.

use super::{Problem, bearer};
use crate::config::admin::{Admin, Role, Token};
use crate::config::value::Secret;
use axum::http::{HeaderMap, Method, StatusCode, header};
use std::net::IpAddr;
use std::sync::Arc;

/// The rule of one admin listener. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access(Rule);

#[derive(Debug, Clone)]
enum Rule {
    /// Loopback without tokens: whoever can open a socket on this machine.
    ThisMachine,
    /// A token is needed, always.
    Tokens(Arc<[Key]>),
}

#[derive(Debug)]
struct Key {
    name: Arc<str>,
    role: Role,
    token: Secret,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's name, for the log; `this machine` without tokens.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
}

// === impl Access ===

impl Access {
    /// The rule that the section asks for. Without tokens only a loopback listener is open; another one lets nobody in
    /// (the configuration check refuses it first).
    #[must_use]
    pub fn new(section: &Admin) -> Self {
        if section.tokens.is_empty() && section.listen.ip().is_loopback() {
            return Self(Rule::ThisMachine);
        }
        Self(Rule::Tokens(section.tokens.iter().map(Key::new).collect()))
    }

    /// Lets a request in if it may do what needs `role`.
    ///
    /// # Errors
    /// 401 without a known token, 403 with one of a lower role or for a request that a web page of another site made.
    pub fn admit(&self, method: &Method, headers: &HeaderMap, role: Role) -> Result<Caller, Problem> {
        let caller = match &self.0 {
            Rule::ThisMachine => {
                from_this_machine(method, headers)?;
                Caller { name: "this machine".into(), role: Role::Admin }
            }
            Rule::Tokens(keys) => bearer::token(headers).and_then(|token| find(keys, token)).ok_or_else(|| {
                Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "send a token: `Authorization: Bearer ...`")
            })?,
        };
        if caller.role < role {
            let detail = format!("this needs the role {}, and the token has {}", name(role), name(caller.role));
            return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
        }
        Ok(caller)
    }
}

// === impl Key ===

impl Key {
    fn new(token: &Token) -> Self {
        Self { name: token.name.as_str().into(), role: token.role, token: token.token.clone() }
    }
}

/// Without tokens the browser of somebody on this machine is the danger: any web page may send it here. A foreign name
/// in `Host` is DNS rebinding, an `Origin` on a request that changes something is a form of another site.
fn from_this_machine(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(|host| !is_local(host)) {
        let detail = "without tokens this listener answers to 127.0.0.1, [::1] and localhost only";
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign_host", detail));
    }
    if !method.is_safe() && headers.contains_key(header::ORIGIN) {
        let detail = "without tokens web pages may not change anything";
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail));
    }
    Ok(())
}

fn is_local(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Compares with every key: the time does not tell which one fits.
fn find(keys: &[Key], token: &str) -> Option<Caller> {
    let mut found = None;
    for key in keys {
        if key.token.is(token) {
            found = Some(Caller { name: Arc::clone(&key.name), role: key.role });
        }
    }
    found
}

const fn name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Secret;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn guarded() -> Access {
        let token = |name: &str, role, token: &str| Token { name: name.to_owned(), role, token: Secret::new(token) };
        let tokens =
            vec![token("dashboard", Role::Viewer, "view-token"), token("night-shift", Role::Operator, "operate-token")];
        Access::new(&Admin { listen: ([0, 0, 0, 0], 8081).into(), tokens })
    }

    fn status(result: Result<Caller, Problem>) -> u16 {
        result.map_or_else(|problem| problem.status().as_u16(), |_| 200)
    }

    #[test]
    fn a_token_opens_what_its_role_covers() {
        let operator = headers(&[(header::AUTHORIZATION, "Bearer operate-token")]);
        assert_eq!(&*guarded().admit(&Method::GET, &operator, Role::Viewer).unwrap().name, "night-shift");
        assert_eq!(status(guarded().admit(&Method::DELETE, &operator, Role::Operator)), 200);
        assert_eq!(status(guarded().admit(&Method::POST, &operator, Role::Admin)), 403);
        let viewer = headers(&[(header::AUTHORIZATION, "bearer view-token")]);
        assert_eq!(status(guarded().admit(&Method::DELETE, &viewer, Role::Operator)), 403);
    }

    #[test]
    fn no_token_or_a_wrong_one_opens_nothing() {
        for value in ["Bearer view-toke", "Bearer view-token2", "Bearer", "Basic view-token", "Bearer "] {
            let sent = headers(&[(header::AUTHORIZATION, value)]);
            assert_eq!(status(guarded().admit(&Method::GET, &sent, Role::Viewer)), 401, "{value}");
        }
        assert_eq!(status(guarded().admit(&Method::GET, &HeaderMap::new(), Role::Viewer)), 401);
    }

    #[test]
    fn an_outside_listener_without_tokens_lets_nobody_in() {
        let access = Access::new(&Admin { listen: ([0, 0, 0, 0], 8081).into(), tokens: vec![] });
        assert_eq!(status(access.admit(&Method::GET, &HeaderMap::new(), Role::Viewer)), 401);
        let empty = headers(&[(header::AUTHORIZATION, "Bearer ")]);
        assert_eq!(status(access.admit(&Method::GET, &empty, Role::Viewer)), 401);
    }

    #[test]
    fn loopback_without_tokens_is_open_to_this_machine_but_not_to_web_pages() {
        let access = Access::new(&Admin::default());
        for host in ["127.0.0.1:8081", "localhost", "[::1]:8081", "LOCALHOST:1"] {
            let sent = headers(&[(header::HOST, host)]);
            assert_eq!(status(access.admit(&Method::POST, &sent, Role::Admin)), 200, "{host}");
        }
        let rebound = headers(&[(header::HOST, "rebound.example.com:8081")]);
        assert_eq!(status(access.admit(&Method::GET, &rebound, Role::Viewer)), 403);
        let form = headers(&[(header::HOST, "127.0.0.1"), (header::ORIGIN, "https://page.example.com")]);
        assert_eq!(status(access.admit(&Method::POST, &form, Role::Admin)), 403);
        assert_eq!(status(access.admit(&Method::GET, &form, Role::Viewer)), 200);
    }

    #[test]
    fn debug_shows_no_token() {
        let shown = format!("{:?}", guarded());
        assert!(!shown.contains("operate-token"), "{shown}");
    }
}
