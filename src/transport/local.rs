//! Our own addresses as peers see them: configured, or found out when a listener is bound to every interface.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The address of this machine that faces the default route; the loopback address when there is none.
#[must_use]
pub fn outward(family_of: IpAddr) -> IpAddr {
    // Connecting a datagram socket sends nothing; it only asks the routing table (documentation addresses, RFC 5737).
    let (any, far): (SocketAddr, SocketAddr) = match family_of {
        IpAddr::V4(_) => ((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(192, 0, 2, 1), 9).into()),
        IpAddr::V6(_) => {
            ((Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into())
        }
    };
    let found = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(far)?;
        socket.local_addr()
    });
    match (found, family_of) {
        (Ok(address), _) if !address.ip().is_unspecified() => address.ip(),
        (_, IpAddr::V4(_)) => Ipv4Addr::LOCALHOST.into(),
        (_, IpAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
    }
}

/// `host[:port]` for Via and Contact: what is configured, with the listener's port unless it names one.
#[must_use]
pub fn advertised(bound: SocketAddr, configured: Option<&str>) -> String {
    match configured {
        Some(host) => match host.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, bound.port()).to_string(),
            Err(_) if host.parse::<SocketAddr>().is_ok() => host.to_owned(),
            Err(_) if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => host.to_owned(),
            Err(_) => format!("{host}:{}", bound.port()),
        },
        None if bound.ip().is_unspecified() => SocketAddr::new(outward(bound.ip()), bound.port()).to_string(),
        None => bound.to_string(),
    }
}

/// The host of an advertised address, without port; IPv6 in brackets.
#[must_use]
pub fn host_of(advertised: &str) -> &str {
    match advertised.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => advertised,
    }
}

#[cfg(test)]
mod tests {
    use super::{advertised, host_of, outward};

    #[test]
    fn the_configured_host_is_shown_with_the_listeners_port_unless_it_has_one() {
        let bound = "0.0.0.0:5060".parse().unwrap();
        assert_eq!(advertised(bound, Some("203.0.113.10")), "203.0.113.10:5060");
        assert_eq!(advertised(bound, Some("gw.example.com")), "gw.example.com:5060");
        assert_eq!(advertised(bound, Some("gw.example.com:5070")), "gw.example.com:5070");
        assert_eq!(advertised(bound, Some("2001:db8::1")), "[2001:db8::1]:5060");
        assert_eq!(advertised("127.0.0.1:5062".parse().unwrap(), None), "127.0.0.1:5062");
    }

    #[test]
    fn a_listener_on_every_interface_never_shows_zeros() {
        assert!(!advertised("0.0.0.0:5060".parse().unwrap(), None).starts_with("0.0.0.0"));
        assert!(!outward("::".parse().unwrap()).is_unspecified());
    }

    #[test]
    fn the_host_loses_its_port_and_keeps_its_brackets() {
        assert_eq!(host_of("203.0.113.10:5060"), "203.0.113.10");
        assert_eq!(host_of("[2001:db8::1]:5060"), "[2001:db8::1]");
        assert_eq!(host_of("gw.example.com"), "gw.example.com");
    }
}
