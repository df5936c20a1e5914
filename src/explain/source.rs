//! Where an INVITE came from. It stands apart because the address decides the trunk, and because a text only tells it: a
//! live call takes it from the socket, which nobody can write.

use super::capture::Captured;
use super::{Question, protocol};
use crate::sip::header::decode;
use crate::sip::{Message, Protocol, Source};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What the input says of an INVITE's way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Origin {
    pub peer: Option<SocketAddr>,
    /// Who says so.
    pub said_by: &'static str,
    pub destination: Option<SocketAddr>,
    pub protocol: Option<Protocol>,
    pub captured: Option<String>,
}

/// The port of a peer that names none.
const SIP_PORT: u16 = 5060;

// === impl Origin ===

impl Origin {
    pub fn captured(invite: &Captured) -> Self {
        Self {
            peer: Some(invite.source),
            said_by: "the capture",
            destination: Some(invite.destination),
            protocol: Some(invite.protocol),
            captured: invite.at.map(crate::record::moment::rfc3339),
        }
    }

    /// What a line of a log says before a message: `192.0.2.1:5060 -> 192.0.2.9:5060`, `from UDP:192.0.2.1:5060`.
    pub fn of_log_line(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let next = words.peek().copied().unwrap_or_default();
            let arrow = next == "->" || next == "-->" || next == "=>";
            let (peer, towards) = if arrow {
                (address(word), words.clone().nth(1).and_then(address))
            } else if word.eq_ignore_ascii_case("from") {
                (address(next), None)
            } else {
                continue;
            };
            if let Some((protocol, peer)) = peer {
                let destination = towards.map(|(_, destination)| destination);
                let origin =
                    Self { peer: Some(peer), said_by: "the line of the log before it", destination, ..Self::default() };
                return Some(Self { protocol, ..origin });
            }
        }
        None
    }

    /// The source as a socket would tell it, and how it is known. `None` if nothing tells it.
    pub fn settle(&self, question: &Question, message: &Message) -> Option<(Source, String)> {
        let via = message.top_via();
        let port = via.and_then(|via| via.rport.flatten().or(via.port)).unwrap_or(SIP_PORT);
        let text = |bytes: &[u8]| decode(bytes).parse::<IpAddr>().ok();
        let received = via.and_then(|via| text(via.received?));
        let sent_by = via.and_then(|via| text(via.host));
        let (peer, known_by) = match (question.source, self.peer, received, sent_by) {
            (Some(source), peer, ..) => {
                let port = peer.filter(|peer| peer.ip() == source).map_or(port, |peer| peer.port());
                (SocketAddr::new(source, port), "--source".to_owned())
            }
            (None, Some(peer), ..) => (peer, self.said_by.to_owned()),
            (None, None, Some(received), _) => {
                (SocketAddr::new(received, port), "`received` of the topmost Via".to_owned())
            }
            (None, None, None, Some(sent_by)) => {
                (SocketAddr::new(sent_by, port), "the topmost Via; a live call takes it from the socket".to_owned())
            }
            (None, None, None, None) => {
                question.trunk.as_ref()?;
                (SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), "nothing: it is not known".to_owned())
            }
        };
        let told = via.map(|via| protocol(via.transport));
        let protocol = self.protocol.or(told).unwrap_or(Protocol::Udp);
        let any: IpAddr = match peer {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let local = self.destination.unwrap_or(SocketAddr::new(any, SIP_PORT));
        Some((Source { protocol, peer, local, connection: None }, known_by))
    }
}

/// `192.0.2.1:5060`, `[2001:db8::1]:5060`, `UDP:192.0.2.1:5060`, `udp/[192.0.2.1]:5060`, or without port.
fn address(word: &str) -> Option<(Option<Protocol>, SocketAddr)> {
    let word = word.trim_matches(['(', ')', ',', '<', '>']).trim_end_matches(':');
    let (named, rest) = match word.split_once([':', '/']) {
        Some((name, rest)) if matches!(name.to_ascii_lowercase().as_str(), "udp" | "tcp" | "tls") => {
            (Some(protocol(name.as_bytes())), rest)
        }
        _ => (None, word),
    };
    let bare = rest.replace(['[', ']'], "");
    let socket = rest.parse::<SocketAddr>().ok();
    // FreeSWITCH puts IPv4 addresses in brackets, too.
    let socket = socket.or_else(|| bare.parse::<SocketAddr>().ok());
    let socket = socket.or_else(|| Some(SocketAddr::new(bare.parse().ok()?, SIP_PORT)))?;
    Some((named, socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn invite(via: &str) -> Message {
        Message::parse(Bytes::from(format!("INVITE sip:1@192.0.2.9 SIP/2.0\r\nVia: {via}\r\n\r\n"))).unwrap()
    }

    fn settled(origin: &Origin, question: &Question, via: &str) -> (String, String) {
        let (source, known_by) = origin.settle(question, &invite(via)).unwrap();
        (format!("{}:{}", source.protocol, source.peer), known_by)
    }

    #[test]
    fn a_log_line_tells_both_ends() {
        for (line, protocol, peer, destination) in [
            (
                "2026/11/21 10:00:00.123456 192.0.2.1:5062 -> 192.0.2.9:5060",
                None,
                "192.0.2.1:5062",
                Some("192.0.2.9:5060"),
            ),
            (
                "U 2026/11/21 10:00:00.1 192.0.2.1:5062 -> 192.0.2.9:5060 #3",
                None,
                "192.0.2.1:5062",
                Some("192.0.2.9:5060"),
            ),
            (
                "<--- Received SIP request (913 bytes) from UDP:192.0.2.1:5062 --->",
                Some(Protocol::Udp),
                "192.0.2.1:5062",
                None,
            ),
            (
                "recv 913 bytes from tcp/[192.0.2.1]:5062 at 10:00:00.123456:",
                Some(Protocol::Tcp),
                "192.0.2.1:5062",
                None,
            ),
            ("recv 913 bytes from tls/[2001:db8::1]:5062 at 10:00", Some(Protocol::Tls), "[2001:db8::1]:5062", None),
        ] {
            let origin = Origin::of_log_line(line).unwrap();
            assert_eq!(origin.protocol, protocol, "{line}");
            assert_eq!(origin.peer, Some(peer.parse().unwrap()), "{line}");
            assert_eq!(origin.destination, destination.map(|to| to.parse().unwrap()), "{line}");
        }
        for line in ["", "-> from", "From: <sip:1@192.0.2.1>", "12 -> 13", "SIP from nobody"] {
            assert_eq!(Origin::of_log_line(line), None, "{line}");
        }
    }

    #[test]
    fn the_surest_word_counts() {
        let plain = Question::default();
        let told = Question { source: Some("192.0.2.7".parse().unwrap()), ..Question::default() };
        let log = Origin::of_log_line("192.0.2.5:5070 -> 192.0.2.9:5060").unwrap();
        let via = "SIP/2.0/TCP 192.0.2.3:5061;received=192.0.2.4;rport=40000;branch=z9hG4bK1";
        assert_eq!(settled(&log, &told, via).0, "tcp:192.0.2.7:40000");
        assert_eq!(settled(&log, &plain, via).0, "tcp:192.0.2.5:5070");
        assert_eq!(settled(&Origin::default(), &plain, via).0, "tcp:192.0.2.4:40000");
        let plain_via = settled(&Origin::default(), &plain, "SIP/2.0/UDP 192.0.2.3;branch=z9hG4bK1");
        assert_eq!(plain_via.0, "udp:192.0.2.3:5060");
        assert!(plain_via.1.contains("socket"), "{}", plain_via.1);
    }

    #[test]
    fn a_name_in_via_is_no_address_but_a_named_trunk_is_enough() {
        let via = invite("SIP/2.0/TLS pbx.example.com:5061;branch=z9hG4bK1");
        assert!(Origin::default().settle(&Question::default(), &via).is_none());
        let named = Question { trunk: Some("pbx".to_owned()), ..Question::default() };
        let (source, known_by) = Origin::default().settle(&named, &via).unwrap();
        assert!(source.peer.ip().is_unspecified());
        assert!(known_by.contains("not known"), "{known_by}");
    }
}
