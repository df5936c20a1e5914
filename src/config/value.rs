//! The kinds of value the configuration file knows, each with an error that says what it wants.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize, de};
use sha2::Sha256;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub use crate::record::step::Number;

/// A duration written as `"500ms"`, `"30s"`, `"5m"` or `"1h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

/// A secret: never shown by `Debug` or `check --print`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A regular expression.
#[derive(Debug, Clone)]
pub struct Pattern(regex::Regex);

/// One value or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

/// `udp|tcp|tls:ADDR:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The transport.
    pub protocol: ListenProtocol,
    /// Where.
    pub address: SocketAddr,
}

/// The transport of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenProtocol {
    /// Datagrams.
    Udp,
    /// A stream in the clear.
    Tcp,
    /// A stream over TLS.
    Tls,
}

/// A name server: `udp|tcp:ADDR:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameServer {
    /// Datagrams, with a stream for answers that are cut off; or streams alone.
    pub protocol: ListenProtocol,
    /// Where it is.
    pub address: SocketAddr,
}

/// `"FIRST-LAST"`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

/// An address, a network or a DNS name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Addresses.
    Net(ipnet::IpNet),
    /// A name, resolved at start and at reload.
    Name(String),
}

/// An address or a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub ipnet::IpNet);

/// `{ name, match }`: a header of the PBX's INVITE and what it must match.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderMatch {
    /// Header name, any case.
    pub name: String,
    /// Regular expression on its value.
    #[serde(rename = "match")]
    pub pattern: Pattern,
}

/// A key of the contract that this version refuses instead of ignoring it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Later;

// === impl Span ===

impl Span {
    /// From whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// From milliseconds.
    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// The duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            0 => f.write_str("0s"),
            whole if whole % 3_600_000 == 0 => write!(f, "{}h", whole / 3_600_000),
            whole if whole % 60_000 == 0 => write!(f, "{}m", whole / 60_000),
            whole if whole % 1_000 == 0 => write!(f, "{}s", whole / 1_000),
            whole => write!(f, "{whole}ms"),
        }
    }
}

// === impl Secret ===

impl Secret {
    /// Wraps it.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, where it is used.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Is this the same? The time that it takes does not tell where the two differ: their MACs under one key are
    /// compared, and these in constant time.
    #[must_use]
    pub fn is(&self, presented: &str) -> bool {
        let mac = |text: &str| Hmac::<Sha256>::new_from_slice(b"trunkline").map(|mac| mac.chain_update(text)).ok();
        match (mac(&self.0), mac(presented)) {
            (Some(own), Some(presented)) => own.verify(&presented.finalize().into_bytes()).is_ok(),
            _ => false,
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

// === impl Pattern ===

impl Pattern {
    /// The compiled expression.
    #[must_use]
    pub fn regex(&self) -> &regex::Regex {
        &self.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

// === impl Listen, PortRange, Peer ===

impl PortRange {
    /// How many calls it has room for: each takes two pairs of an even port and the next.
    #[must_use]
    pub fn calls(self) -> usize {
        let first = usize::from(self.first).next_multiple_of(2);
        (usize::from(self.last) + 1).saturating_sub(first) / 4
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            ListenProtocol::Udp => "udp",
            ListenProtocol::Tcp => "tcp",
            ListenProtocol::Tls => "tls",
        };
        write!(f, "{protocol}:{}", self.address)
    }
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Listen { protocol: self.protocol, address: self.address }.fmt(f)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => write!(f, "{}", net.addr()),
            Self::Net(net) => write!(f, "{net}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Peer::Net(self.0).fmt(f)
    }
}

impl fmt::Display for Secret {
    /// Always the same: a secret has no other face.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

// === impl Later ===

impl Later {
    /// What its refusal says; the loader adds the name of the key.
    pub(super) const REFUSAL: &'static str = "this key is not in this version";
}

/// Reads a value from a string, writes it back, and shows the schema how it looks. Errors are `problem; remedy`.
macro_rules! from_text {
    ($type:ident, $name:literal, $pattern:literal, $parse:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // Inside the visitor, so that an error has the place of the string and not of the list around it.
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string")
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        let parse: fn(&str) -> Result<$type, String> = $parse;
                        parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

pub(super) use from_text;

from_text!(Span, "Duration", r"^[0-9]+(ms|s|m|h)$", parse_span);
from_text!(Secret, "Secret", r"^.+$", |text| Ok(Secret(text.to_owned())));
from_text!(Pattern, "Pattern", r"^.*$", parse_pattern);
from_text!(Listen, "Listen", r"^(udp|tcp|tls):.+:[0-9]+$", parse_listen);
from_text!(NameServer, "NameServer", r"^(udp|tcp):.+:[0-9]+$", parse_name_server);
from_text!(PortRange, "PortRange", r"^[0-9]+-[0-9]+$", parse_ports);
from_text!(Peer, "Peer", r"^.+$", parse_peer);
from_text!(Network, "Network", r"^[0-9a-fA-F.:]+(/[0-9]+)?$", parse_network);

fn parse_pattern(text: &str) -> Result<Pattern, String> {
    regex::Regex::new(text).map(Pattern).map_err(|error| {
        // The crate draws the expression over several lines; the last one says what is wrong.
        let drawn = error.to_string();
        let why = drawn.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("`{text}` is no regular expression: {why}; correct it (a literal special character needs a backslash)")
    })
}

fn parse_span(text: &str) -> Result<Span, String> {
    let wants = || format!("`{text}` is no duration; write a whole number and ms, s, m or h, for example \"30s\"");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wants)?;
    let number: u64 = number.parse().map_err(|_| wants())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    milliseconds.map(Span::from_millis).ok_or_else(wants)
}

fn parse_listen(text: &str) -> Result<Listen, String> {
    let wants = || {
        format!(
            "`{text}` is no listener; write udp:ADDR:PORT, tcp:ADDR:PORT or tls:ADDR:PORT, for example \"udp:0.0.0.0:5060\""
        )
    };
    let (protocol, address) = text.split_once(':').ok_or_else(wants)?;
    let protocol = match protocol {
        "udp" => ListenProtocol::Udp,
        "tcp" => ListenProtocol::Tcp,
        "tls" => ListenProtocol::Tls,
        _ => return Err(wants()),
    };
    Ok(Listen { protocol, address: address.parse().map_err(|_| wants())? })
}

fn parse_name_server(text: &str) -> Result<NameServer, String> {
    match parse_listen(text) {
        Ok(Listen { protocol, address }) if protocol != ListenProtocol::Tls => Ok(NameServer { protocol, address }),
        _ => Err(format!(
            "`{text}` is no name server; write udp:ADDR:PORT or tcp:ADDR:PORT, for example \"udp:192.0.2.53:53\""
        )),
    }
}

fn parse_ports(text: &str) -> Result<PortRange, String> {
    let wants = || format!("`{text}` is no port range; write FIRST-LAST, for example \"20000-29999\"");
    let (first, last) = text.split_once('-').ok_or_else(wants)?;
    let range = PortRange {
        first: first.trim().parse().map_err(|_| wants())?,
        last: last.trim().parse().map_err(|_| wants())?,
    };
    if range.first == 0 || range.calls() == 0 {
        return Err(format!("`{text}` has no room for a call; a call takes four ports, so name at least four"));
    }
    Ok(range)
}

fn parse_peer(text: &str) -> Result<Peer, String> {
    if let Ok(net) = text.parse::<ipnet::IpNet>() {
        return Ok(Peer::Net(net.trunc()));
    }
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Ok(Peer::Net(address.into()));
    }
    let plausible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if plausible {
        Ok(Peer::Name(text.to_owned()))
    } else {
        Err(format!(
            "`{text}` is no address, network or DNS name; write for example \"192.0.2.10\", \"192.0.2.0/24\" or \"pbx.example.com\""
        ))
    }
}

fn parse_network(text: &str) -> Result<Network, String> {
    match parse_peer(text) {
        Ok(Peer::Net(net)) => Ok(Network(net)),
        _ => Err(format!("`{text}` is no address or network; write for example \"192.0.2.10\" or \"192.0.2.0/24\"")),
    }
}

impl<'de> Deserialize<'de> for Later {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(de::Error::custom(Self::REFUSAL))
    }
}

impl Serialize for Later {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl schemars::JsonSchema for Later {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NotInThisVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "not": {}, "description": "not in this version" })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not an untagged enum: that would lose the place and the words of an error inside.
        struct Either<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Either<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
                T::deserialize(de::value::StrDeserializer::new(text)).map(|one| vec![one])
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
                let mut many = vec![];
                while let Some(one) = list.next_element()? {
                    many.push(one);
                }
                if many.is_empty() {
                    return Err(de::Error::custom("the list is empty; write at least one value"));
                }
                Ok(many)
            }
        }
        deserializer.deserialize_any(Either(std::marker::PhantomData)).map(Self)
    }
}

impl<T: Serialize> Serialize for OneOrMany<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for OneOrMany<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn secrets_are_the_same_only_when_they_are() {
        let secret = Secret::new("abc");
        assert!(secret.is("abc"));
        for other in ["", "ab", "abcd", "abd", "ABC"] {
            assert!(!secret.is(other), "{other}");
        }
    }
}
