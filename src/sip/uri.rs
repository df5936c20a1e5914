//! URIs of SIP messages: `sip:`, `sips:`, `tel:` and whatever else stands there, kept as written. They stand apart
//! because addresses, routes, the request line and the configuration all hold them, and none may rewrite them.

use super::header::{HeaderError, Params, number};
use super::{Hop, HopAddress, Protocol};

use memchr::{memchr, memchr2, memrchr};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Why text is not a usable URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// No `scheme:` in front.
    #[error("the URI has no scheme")]
    Scheme,
    /// Blanks, control characters or angle brackets.
    #[error("the URI holds a blank, a control character or an angle bracket")]
    Character,
    /// No host, or one that cannot be one; also an IPv6 address without brackets.
    #[error("the URI {0}")]
    Host(HeaderError),
    /// Nothing behind the scheme.
    #[error("the URI is empty")]
    Empty,
}

/// The scheme of a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:` (RFC 3966)
    Tel,
    /// Any other; only [`Uri::rest`] is filled.
    Other,
}

/// One URI, borrowed from where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    /// The scheme, in any case.
    pub scheme: Scheme,
    /// The user part as written, escapes and user parameters (`;phone-context=`) included; the number of a `tel:`.
    pub user: Option<&'a [u8]>,
    /// The password as written.
    pub password: Option<&'a [u8]>,
    /// The host without the brackets of an IPv6 address; empty for `tel:` and other schemes.
    pub host: &'a [u8],
    /// The port.
    pub port: Option<u16>,
    /// The URI parameters.
    pub params: Params<'a>,
    /// The header part behind `?`, as written.
    pub headers: &'a [u8],
    /// Everything behind the scheme's colon, as written.
    pub rest: &'a [u8],
}

// === impl Uri ===

impl<'a> Uri<'a> {
    /// Reads a URI. `#` and other characters that RFC 3261 wants escaped are taken in the user part: feature codes such
    /// as `*67#` come unescaped from Asterisk and Avaya.
    pub fn parse(text: &'a [u8]) -> Result<Uri<'a>, UriError> {
        if text.iter().any(|byte| *byte <= b' ' || matches!(byte, b'<' | b'>' | 0x7f)) {
            return Err(UriError::Character);
        }
        let (scheme, rest) = memchr(b':', text).and_then(|at| text.split_at_checked(at)).ok_or(UriError::Scheme)?;
        let rest = rest.get(1..).unwrap_or_default();
        if !is_scheme(scheme) {
            return Err(UriError::Scheme);
        }
        if rest.is_empty() {
            return Err(UriError::Empty);
        }
        if scheme.eq_ignore_ascii_case(b"sip") {
            sip(Scheme::Sip, rest)
        } else if scheme.eq_ignore_ascii_case(b"sips") {
            sip(Scheme::Sips, rest)
        } else if scheme.eq_ignore_ascii_case(b"tel") {
            Ok(tel(rest))
        } else {
            Ok(Uri { rest, ..Uri::empty(Scheme::Other) })
        }
    }

    /// Name and value of each field of the header part, escapes undone.
    pub fn header_pairs(&self) -> impl Iterator<Item = (Cow<'a, [u8]>, Cow<'a, [u8]>)> + use<'a> {
        let pairs = self.headers.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| match memchr(b'=', pair).and_then(|at| pair.split_at_checked(at)) {
            Some((name, value)) => (unescape(name), unescape(value.get(1..).unwrap_or_default())),
            None => (unescape(pair), Cow::Borrowed(&b""[..])),
        })
    }

    /// The user part without its own parameters, escapes undone: `+15551234` of `+15551234;phone-context=x@host`.
    pub fn subscriber(&self) -> Option<Cow<'a, [u8]>> {
        let user = self.user?;
        let end = memchr(b';', user).unwrap_or(user.len());
        Some(unescape(user.get(..end)?))
    }

    /// The host as an address, if it is one and not a name.
    pub fn ip(&self) -> Option<IpAddr> {
        ip(self.host)
    }

    fn empty(scheme: Scheme) -> Uri<'a> {
        Uri {
            scheme,
            user: None,
            password: None,
            host: b"",
            port: None,
            params: Params::default(),
            headers: b"",
            rest: b"",
        }
    }
}

fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

fn sip(scheme: Scheme, rest: &[u8]) -> Result<Uri<'_>, UriError> {
    let (userinfo, tail) = split_user(rest);
    let end = memchr2(b';', b'?', tail).unwrap_or(tail.len());
    let (host, behind) = tail.split_at_checked(end).unwrap_or((tail, b""));
    let question = memchr(b'?', behind).unwrap_or(behind.len());
    let (params, headers) = behind.split_at_checked(question).unwrap_or((behind, b""));
    let (host, port) = host_port(host).map_err(UriError::Host)?;
    let (user, password) = match userinfo {
        None => (None, None),
        Some(info) => match memchr(b':', info).and_then(|at| info.split_at_checked(at)) {
            Some((user, password)) => (Some(user), password.get(1..)),
            None => (Some(info), None),
        },
    };
    let headers = headers.get(1..).unwrap_or_default();
    Ok(Uri { scheme, user, password, host, port, params: Params::new(params), headers, rest })
}

/// Splits at the `@` that ends the user part. The grammar allows `;` and `?` in the user part and only one `@`; peers
/// that put an e-mail address there send two, and then the last one in front of the parameters counts.
fn split_user(rest: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let Some(first) = memchr(b'@', rest) else { return (None, rest) };
    let behind = rest.get(first + 1..).unwrap_or_default();
    let host_end = memchr2(b';', b'?', behind).unwrap_or(behind.len());
    let last = memrchr(b'@', behind.get(..host_end).unwrap_or_default()).map_or(first, |at| first + 1 + at);
    (rest.get(..last), rest.get(last + 1..).unwrap_or_default())
}

fn tel(rest: &[u8]) -> Uri<'_> {
    let end = memchr(b';', rest).unwrap_or(rest.len());
    let (user, params) = rest.split_at_checked(end).unwrap_or((rest, b""));
    Uri { user: Some(user), params: Params::new(params), rest, ..Uri::empty(Scheme::Tel) }
}

/// Host without brackets, and port. Blanks around the colon are allowed in Via (RFC 3261 §25.1, `COLON`).
pub(crate) fn host_port(text: &[u8]) -> Result<(&[u8], Option<u16>), HeaderError> {
    let (host, rest) = match text.strip_prefix(b"[") {
        Some(inside) => {
            let end = memchr(b']', inside).ok_or(HeaderError::Bad("IPv6 address"))?;
            let (host, rest) = inside.split_at_checked(end).ok_or(HeaderError::Bad("IPv6 address"))?;
            if !matches!(ip(host), Some(IpAddr::V6(_))) {
                return Err(HeaderError::Bad("IPv6 address"));
            }
            (host, rest.get(1..).unwrap_or_default())
        }
        None => {
            let colon = memchr(b':', text).unwrap_or(text.len());
            text.split_at_checked(colon).ok_or(HeaderError::Missing("host"))?
        }
    };
    let host = host.trim_ascii();
    let impossible = |byte: &u8| {
        *byte <= b' ' || matches!(byte, b'<' | b'>' | b'"' | b'@' | b',' | b';' | b'?' | b'/' | b'[' | b']')
    };
    if host.is_empty() || host.iter().any(impossible) {
        return Err(HeaderError::Missing("host"));
    }
    let Some(digits) = rest.trim_ascii().strip_prefix(b":") else {
        return if rest.trim_ascii().is_empty() { Ok((host, None)) } else { Err(HeaderError::Bad("port")) };
    };
    match digits.trim_ascii() {
        b"" => Ok((host, None)),
        digits => {
            let port = number(digits, 65_535).and_then(|port| u16::try_from(port).ok());
            Ok((host, Some(port.ok_or(HeaderError::Bad("port"))?)))
        }
    }
}

/// The address that a host is, if it is one, brackets or not. RFC 5118 §4.10: `:::` came out of a mistake in RFC 3261's
/// grammar and is to be tolerated.
pub fn ip(host: &[u8]) -> Option<IpAddr> {
    let host = host.strip_prefix(b"[").and_then(|inside| inside.strip_suffix(b"]")).unwrap_or(host);
    let text = std::str::from_utf8(host).ok()?;
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) if text.contains(":::") => text.replacen(":::", "::", 1).parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        Err(_) => None,
    }
}

/// Undoes `%41`; a percent sign without two hexadecimal digits stays.
pub fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first == b'%'
            && let Some((digits, tail)) = behind.split_at_checked(2)
            && let [Some(high), Some(low)] = [digits.first(), digits.get(1)].map(|digit| digit.and_then(hex))
        {
            out.push(high << 4 | low);
            rest = tail;
            continue;
        }
        out.push(*first);
    }
    Cow::Owned(out)
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Escapes text for the user part of a `sip:` URI: what is neither unreserved nor user-unreserved (RFC 3261 §25.1)
/// becomes `%41`. `;` is escaped too, so that a number cannot smuggle in a parameter.
pub fn escape_user(text: &str) -> String {
    escape(text, b"-_.!~*'()&=+$,?/")
}

/// Escapes text for a name or value of the header part (`hname`, `hvalue`).
pub fn escape_header(text: &str) -> String {
    escape(text, b"-_.!~*'()[]/?:+$")
}

fn escape(text: &str, plain: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(
                [byte >> 4, byte & 15]
                    .iter()
                    .filter_map(|half| DIGITS.get(usize::from(*half)).copied())
                    .map(char::from),
            );
        }
    }
    out
}

/// Where a request to this URI goes before DNS is asked (RFC 3263 §4): scheme, `transport`, `maddr`, host and port.
/// `None` for schemes and transports that the gateway does not speak.
pub fn hop(uri: &Uri<'_>) -> Option<Hop> {
    if !matches!(uri.scheme, Scheme::Sip | Scheme::Sips) {
        return None;
    }
    let said = uri.params.get("transport");
    let transport = said.unwrap_or(b"udp");
    let protocol = if uri.scheme == Scheme::Sips || transport.eq_ignore_ascii_case(b"tls") {
        Protocol::Tls
    } else if transport.eq_ignore_ascii_case(b"tcp") {
        Protocol::Tcp
    } else if transport.eq_ignore_ascii_case(b"udp") {
        Protocol::Udp
    } else {
        return None;
    };
    let host = uri.params.get("maddr").filter(|maddr| !maddr.is_empty()).unwrap_or(uri.host);
    let address = match ip(host) {
        Some(ip) => {
            let port = uri.port.unwrap_or(protocol.port());
            HopAddress::Socket(SocketAddr::new(ip, port))
        }
        None => {
            let host = std::str::from_utf8(host).ok()?.trim_end_matches('.').to_ascii_lowercase();
            // RFC 3263 §4.1: what the URI leaves open is the domain's to say. A `sips:` URI leaves only the port open.
            if said.is_none() && uri.port.is_none() && uri.scheme == Scheme::Sip {
                HopAddress::Domain { host }
            } else {
                HopAddress::Name { host, port: uri.port }
            }
        }
    };
    Some(Hop { protocol, address, connection: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Uri<'_> {
        Uri::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn all_parts_are_found() {
        let uri =
            parse("sip:+15550100;phone-context=x.example:s%40cret@example.com.:5070;transport=tcp;lr?x-caller=%2B1&b");
        assert_eq!(uri.user, Some(&b"+15550100;phone-context=x.example"[..]));
        assert_eq!(uri.subscriber().unwrap().as_ref(), b"+15550100");
        assert_eq!(uri.password, Some(&b"s%40cret"[..]));
        assert_eq!((uri.host, uri.port), (&b"example.com."[..], Some(5070)));
        assert!(uri.params.has("lr"));
        let pairs: Vec<_> = uri.header_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        assert_eq!(pairs, [(b"x-caller".to_vec(), b"+1".to_vec()), (b"b".to_vec(), Vec::new())]);
    }

    #[test]
    fn feature_codes_need_no_escape() {
        let uri = parse("sip:*67#31%23@example.com");
        assert_eq!(uri.user, Some(&b"*67#31%23"[..]));
        assert_eq!(uri.subscriber().unwrap().as_ref(), b"*67#31#");
    }

    #[test]
    fn other_schemes_are_kept() {
        let tel = parse("TEL:+1-555-0100;phone-context=example.com");
        assert_eq!((tel.scheme, tel.user), (Scheme::Tel, Some(&b"+1-555-0100"[..])));
        assert_eq!(tel.params.get("phone-context"), Some(&b"example.com"[..]));
        let urn = parse("urn:service:sos");
        assert_eq!((urn.scheme, urn.rest), (Scheme::Other, &b"service:sos"[..]));
        assert_eq!(parse("soap.beep://192.0.2.103:3002").scheme, Scheme::Other);
    }

    #[test]
    fn an_ipv6_host_stands_in_brackets_and_is_given_without() {
        let uri = parse("sips:bob@[2001:db8::1]:5070");
        assert_eq!((uri.host, uri.port), (&b"2001:db8::1"[..], Some(5070)));
        assert_eq!(parse("sip:[2001:db8:::192.0.2.1]").ip(), Some("2001:db8::192.0.2.1".parse().unwrap()));
        for bad in ["sip:2001:db8::10", "sip:a@[192.0.2.1]", "sip:[::1", "sip:[x]", "sip:[::1]5060"] {
            assert!(Uri::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        for bad in
            ["", "bob", "bob@example.com", ":x", "sip:", "sip:@", "sip:a b@c", "<sip:a@b>", "sip:a@b:70000", "1:2"]
        {
            assert!(Uri::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_user_part_ends_at_the_right_sign() {
        assert_eq!(parse("sip:user;par=u%40example.net@example.com").user, Some(&b"user;par=u%40example.net"[..]));
        let mail = parse("sip:anna@example.com@192.0.2.1;user=phone?a=x@y");
        assert_eq!((mail.user, mail.host), (Some(&b"anna@example.com"[..]), &b"192.0.2.1"[..]));
        assert_eq!(mail.headers, b"a=x@y");
    }

    #[test]
    fn escaping_is_undone_by_unescaping() {
        let text = "a;b@c d#%日+*";
        assert_eq!(escape_user("*67#"), "*67%23");
        assert_eq!(escape_user("+1;x"), "+1%3Bx");
        assert_eq!(unescape(escape_user(text).as_bytes()).as_ref(), text.as_bytes());
        assert_eq!(unescape(escape_header(text).as_bytes()).as_ref(), text.as_bytes());
        assert_eq!(unescape(b"100%zz%4").as_ref(), b"100%zz%4");
    }

    #[test]
    fn the_hop_follows_scheme_transport_and_port() {
        let hop_of = |text: &str| hop(&parse(text)).map(|hop| (hop.protocol, hop.address));
        let socket = |text: &str| HopAddress::Socket(text.parse().unwrap());
        assert_eq!(hop_of("sip:a@192.0.2.1"), Some((Protocol::Udp, socket("192.0.2.1:5060"))));
        assert_eq!(
            hop_of("sip:a@[2001:db8::1]:5070;transport=TCP"),
            Some((Protocol::Tcp, socket("[2001:db8::1]:5070")))
        );
        assert_eq!(hop_of("sip:a@192.0.2.1;transport=tls"), Some((Protocol::Tls, socket("192.0.2.1:5061"))));
        assert_eq!(hop_of("sip:a@x.example;maddr=192.0.2.2"), Some((Protocol::Udp, socket("192.0.2.2:5060"))));
        let name = HopAddress::Name { host: "example.com".into(), port: None };
        assert_eq!(hop_of("sips:a@Example.COM."), Some((Protocol::Tls, name.clone())));
        assert_eq!(hop_of("sip:a@example.com;transport=tls"), Some((Protocol::Tls, name)));
        let domain = HopAddress::Domain { host: "example.com".into() };
        assert_eq!(hop_of("sip:a@Example.COM."), Some((Protocol::Udp, domain)));
        let name = HopAddress::Name { host: "example.com".into(), port: Some(5060) };
        assert_eq!(hop_of("sip:a@example.com:5060"), Some((Protocol::Udp, name)));
        assert_eq!(hop_of("sip:a@example.com;transport=ws"), None);
        assert_eq!(hop_of("tel:+15550100"), None);
    }
}
