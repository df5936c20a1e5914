//! Session descriptions as the simulators build and read them, through `webrtc-sdp`.
//! Like `message`, this is a second opinion: what it cannot read is reported.

use super::audio::Law;
use std::net::{IpAddr, SocketAddr};
use webrtc_sdp::address::{Address, ExplicitlyTypedAddress};
use webrtc_sdp::attribute_type::{SdpAttribute, SdpAttributeType};
use webrtc_sdp::media_type::{SdpFormatList, SdpMedia, SdpMediaLine, SdpMediaValue, SdpProtocolValue};
use webrtc_sdp::{SdpConnection, SdpOrigin, SdpSession, SdpTiming};

/// Payload type of telephone-event in the simulators' offers.
const EVENTS: u8 = 101;

/// A direction attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Both ways.
    Both,
    /// `sendonly`: the other side is on hold.
    Send,
    /// `recvonly`.
    Receive,
    /// Neither.
    None,
}

/// Our side of a session.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Where we listen.
    pub address: SocketAddr,
    /// Codecs in order of preference.
    pub laws: Vec<Law>,
    /// Session id.
    pub session: u64,
    /// Session version: raised with every change.
    pub version: u64,
    /// Direction.
    pub flow: Flow,
}

/// The far side of a session, as far as a simulated phone cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FarSide {
    /// Where its audio goes to.
    pub address: SocketAddr,
    /// The G.711 laws it takes with their payload types, in its order.
    pub laws: Vec<(u8, Law)>,
    /// Payload type of telephone-event.
    pub events: Option<u8>,
    /// Its direction.
    pub flow: Flow,
    /// `o=`: id and version.
    pub origin: (u64, u64),
}

// === impl Offer ===

impl Offer {
    /// The description as an offer.
    ///
    /// # Errors
    /// When `webrtc-sdp` refuses what we ask of it.
    pub fn write(&self) -> Result<Vec<u8>, String> {
        let laws = self.laws.iter().map(|law| (law.payload_type(), *law)).collect::<Vec<_>>();
        self.with(&laws, Some(EVENTS))
    }

    /// The description as an answer: the first law both know, telephone-event if offered (RFC 3264 §6).
    ///
    /// # Errors
    /// When nothing is shared.
    pub fn answer(&self, offered: &FarSide) -> Result<(Vec<u8>, (u8, Law)), String> {
        let chosen = self.agree(offered).ok_or("no codec in common")?;
        Ok((self.with(&[chosen], offered.events)?, chosen))
    }

    /// The law both sides know: theirs first, as an answerer chooses.
    #[must_use]
    pub fn agree(&self, far: &FarSide) -> Option<(u8, Law)> {
        far.laws.iter().find(|(_, law)| self.laws.contains(law)).copied()
    }

    fn with(&self, laws: &[(u8, Law)], events: Option<u8>) -> Result<Vec<u8>, String> {
        let ip = ExplicitlyTypedAddress::Ip(self.address.ip());
        let origin = SdpOrigin {
            username: "-".to_owned(),
            session_id: self.session,
            session_version: self.version,
            unicast_addr: ip.clone(),
        };
        let mut session = SdpSession::new(0, origin, "simulator".to_owned());
        session.set_connection(SdpConnection { address: ip, ttl: None, amount: None });
        session.set_timing(SdpTiming { start: 0, stop: 0 });
        let formats = laws.iter().map(|(number, _)| *number).chain(events);
        let mut media = SdpMedia::new(SdpMediaLine {
            media: SdpMediaValue::Audio,
            port: u32::from(self.address.port()),
            port_count: 0,
            proto: SdpProtocolValue::RtpAvp,
            formats: SdpFormatList::Integers(formats.map(u32::from).collect()),
        });
        let mut lines: Vec<String> =
            laws.iter().map(|(number, law)| format!("rtpmap:{number} {}/8000", law.name())).collect();
        lines.extend(events.map(|number| format!("rtpmap:{number} telephone-event/8000")));
        lines.extend(events.map(|number| format!("fmtp:{number} 0-15")));
        lines.extend(["ptime:20".to_owned(), self.flow.name().to_owned()]);
        for line in lines {
            let attribute = line.parse::<SdpAttribute>().map_err(|error| format!("{line}: {error}"))?;
            media.add_attribute(attribute).map_err(|error| format!("{line}: {error}"))?;
        }
        session.extend_media(vec![media]);
        Ok(session.to_string().into_bytes())
    }
}

// === impl Flow ===

impl Flow {
    /// The attribute.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Both => "sendrecv",
            Self::Send => "sendonly",
            Self::Receive => "recvonly",
            Self::None => "inactive",
        }
    }

    /// What an answerer who would do everything answers (RFC 3264 §6.1).
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Send => Self::Receive,
            Self::Receive => Self::Send,
            same => same,
        }
    }

    /// Whether the side that says this wants to hear.
    #[must_use]
    pub const fn hears(self) -> bool {
        matches!(self, Self::Both | Self::Receive)
    }
}

// === impl FarSide ===

impl FarSide {
    /// Reads a description.
    ///
    /// # Errors
    /// What `webrtc-sdp` cannot read or does not know, and what a phone could not use.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|error| format!("SDP: {error}"))?;
        let session = webrtc_sdp::parse_sdp(text, true).map_err(|error| format!("SDP: {error}"))?;
        let media =
            session.media.iter().find(|media| *media.get_type() == SdpMediaValue::Audio && media.get_port() != 0);
        let media = media.ok_or("SDP: no audio")?;
        let connection =
            media.get_connection().as_ref().or(session.get_connection().as_ref()).ok_or("SDP: no c= line")?;
        let ip = match Address::from(connection.address.clone()) {
            Address::Ip(ip) => ip,
            Address::Fqdn(name) => return Err(format!("SDP: the simulation does not resolve names such as {name}")),
        };
        if *media.get_proto() != SdpProtocolValue::RtpAvp {
            return Err(format!("SDP: {} instead of RTP/AVP", media.get_proto()));
        }
        let SdpFormatList::Integers(formats) = media.get_formats() else {
            return Err("SDP: formats are no numbers".to_owned());
        };
        let port = u16::try_from(media.get_port()).map_err(|error| format!("SDP: port: {error}"))?;
        Ok(Self {
            address: SocketAddr::new(ip, port),
            laws: formats.iter().filter_map(|number| law(media, *number)).collect(),
            events: formats.iter().filter_map(|number| u8::try_from(*number).ok()).find(|number| {
                encoding(media, *number).is_some_and(|name| name.eq_ignore_ascii_case("telephone-event"))
            }),
            flow: flow(media, &session, ip),
            origin: (session.origin.session_id, session.origin.session_version),
        })
    }
}

fn encoding(media: &SdpMedia, number: u8) -> Option<String> {
    media.get_attributes_of_type(SdpAttributeType::Rtpmap).into_iter().find_map(|attribute| match attribute {
        SdpAttribute::Rtpmap(map) if map.payload_type == number && map.frequency == 8_000 => {
            Some(map.codec_name.clone())
        }
        _ => None,
    })
}

fn law(media: &SdpMedia, number: u32) -> Option<(u8, Law)> {
    let number = u8::try_from(number).ok()?;
    match (number, encoding(media, number)) {
        (_, Some(name)) if name.eq_ignore_ascii_case("PCMU") => Some((number, Law::Mu)),
        (_, Some(name)) if name.eq_ignore_ascii_case("PCMA") => Some((number, Law::A)),
        (0, None) => Some((0, Law::Mu)),
        (8, None) => Some((8, Law::A)),
        _ => None,
    }
}

fn flow(media: &SdpMedia, session: &SdpSession, ip: IpAddr) -> Flow {
    if ip.is_unspecified() {
        return Flow::Send; // RFC 3264 §8.4: the old way to put on hold
    }
    let here = |kind: SdpAttributeType| media.get_attribute(kind).is_some();
    let above = |kind: SdpAttributeType| session.get_attribute(kind).is_some();
    let kinds = [
        (SdpAttributeType::Sendrecv, Flow::Both),
        (SdpAttributeType::Sendonly, Flow::Send),
        (SdpAttributeType::Recvonly, Flow::Receive),
        (SdpAttributeType::Inactive, Flow::None),
    ];
    let own = kinds.iter().find(|(kind, _)| here(kind.clone()));
    own.or_else(|| kinds.iter().find(|(kind, _)| above(kind.clone()))).map_or(Flow::Both, |(_, flow)| *flow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(laws: &[Law]) -> Offer {
        let address = "127.0.0.1:40000".parse().unwrap();
        Offer { address, laws: laws.to_vec(), session: 7, version: 1, flow: Flow::Both }
    }

    #[test]
    fn an_offer_reads_back_as_written() {
        let far = FarSide::read(&offer(&[Law::A, Law::Mu]).write().unwrap()).unwrap();
        assert_eq!(far.address, "127.0.0.1:40000".parse().unwrap());
        assert_eq!(far.laws, [(8, Law::A), (0, Law::Mu)]);
        assert_eq!((far.events, far.flow, far.origin), (Some(101), Flow::Both, (7, 1)));
    }

    #[test]
    fn an_answer_takes_one_codec_and_the_offered_numbers() {
        let offered = FarSide::read(&offer(&[Law::A, Law::Mu]).write().unwrap()).unwrap();
        let (body, chosen) = offer(&[Law::Mu, Law::A]).answer(&offered).unwrap();
        assert_eq!(chosen, (8, Law::A));
        assert_eq!(FarSide::read(&body).unwrap().laws, [(8, Law::A)]);
        assert!(offer(&[]).answer(&offered).is_err());
    }

    #[test]
    fn hold_is_seen_in_both_spellings() {
        let held = |text: &str| FarSide::read(text.as_bytes()).unwrap().flow;
        let base =
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
        assert_eq!(held(base), Flow::Both);
        assert_eq!(held(&format!("{base}a=sendonly\r\n")), Flow::Send);
        assert_eq!(held(&base.replace("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0")), Flow::Send);
        assert_eq!(Flow::Send.reversed(), Flow::Receive);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let base =
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
        for text in [
            base.replace("s=-\r\n", ""),
            base.replace("m=audio 4000", "m=audio 0"),
            base.replace("RTP/AVP", "RTP/SAVP"),
            format!("{base}a=no-such-attribute:1\r\n"),
            String::new(),
        ] {
            assert!(FarSide::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
