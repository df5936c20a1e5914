//! Session descriptions as peers write them: the usual ones, the odd ones, those that hold, and those that must be refused.

use std::net::IpAddr;
use trunkline::clock::Entropy;
use trunkline::sip::endpoint::Body;

/// Ports that the gateway's plane gives out in this world.
pub const OURS: std::ops::Range<u16> = 20_000..60_000;

/// What a description is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    Plain,
    AlawWithPtime,
    AddressInTheMedia,
    WithVideo,
    WithOpus,
    InParts,
    SendOnly,
    Inactive,
    ZeroAddress,
    /// The sender has none: the other side offers.
    None,
    NoCommonCodec,
    Broken,
    SwitchedOff,
    /// It names a media port of the gateway.
    Looping,
}

impl Shape {
    /// For an offer: mostly sound.
    pub fn drawn(entropy: &mut Entropy) -> Self {
        use Shape::*;
        const SOUND: [Shape; 7] = [Plain, AlawWithPtime, AddressInTheMedia, WithVideo, WithOpus, InParts, None];
        const BAD: [Shape; 4] = [NoCommonCodec, Broken, SwitchedOff, Looping];
        match entropy.below(100) {
            0..88 => SOUND[entropy.below(SOUND.len() as u64) as usize],
            88..92 => Self::holding(entropy),
            _ => BAD[entropy.below(BAD.len() as u64) as usize],
        }
    }

    /// For an answer: has what was offered, whatever that was, or cannot be used at all.
    pub fn of_answer(entropy: &mut Entropy) -> Self {
        use Shape::*;
        match entropy.below(100) {
            0..80 => WithOpus,
            80..90 => Self::holding(entropy),
            90..95 => Looping,
            95..97 => Broken,
            _ => None,
        }
    }

    /// One of the three ways to hold.
    pub fn holding(entropy: &mut Entropy) -> Self {
        [Shape::SendOnly, Shape::Inactive, Shape::ZeroAddress][entropy.below(3) as usize]
    }

    /// The description of a peer at this address.
    pub fn write(self, ip: IpAddr, gateway: IpAddr, entropy: &mut Entropy) -> Option<Body> {
        let (mut host, mut port, mut formats, mut more) = (ip, 4_000, "0 8 101", String::new());
        more.push_str("a=rtpmap:101 telephone-event/8000\r\n");
        match self {
            Self::Plain => {}
            Self::AlawWithPtime => {
                formats = "8 96";
                more = "a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-15\r\na=ptime:30\r\n".to_owned();
            }
            Self::AddressInTheMedia => more.push_str("b=AS:64\r\na=rtcp:4001\r\na=unheard-of:x\r\n"),
            Self::WithVideo => more.push_str("m=video 4002 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n"),
            Self::WithOpus => {
                formats = "0 8 111 101";
                more.push_str("a=rtpmap:111 opus/48000/2\r\n");
            }
            Self::SendOnly => more.push_str("a=sendonly\r\n"),
            Self::Inactive => more.push_str("a=inactive\r\n"),
            Self::ZeroAddress => host = IpAddr::from([0, 0, 0, 0]),
            Self::NoCommonCodec => {
                formats = "98";
                more = "a=rtpmap:98 x-nobody/8000\r\n".to_owned();
            }
            Self::SwitchedOff => port = 0,
            Self::Looping => (host, port) = (gateway, OURS.start + 2 * entropy.below(600) as u16),
            Self::InParts | Self::Broken | Self::None => {}
        }
        let place = format!("c=IN IP4 {host}\r\n");
        let (above, below) = if self == Self::AddressInTheMedia { ("", place.as_str()) } else { (place.as_str(), "") };
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\n{above}t=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n{below}{more}"
        );
        let sdp = |bytes: String| Some(Body { content_type: "application/sdp", bytes: bytes.into() });
        match self {
            Self::None => None,
            Self::Broken => sdp("v=0\r\nm=audio\r\n\u{0}".to_owned()),
            Self::InParts => Some(Body {
                content_type: "multipart/mixed;boundary=part",
                bytes: format!(
                    "--part\r\nContent-Type: application/sdp\r\n\r\n{text}\r\n--part\r\nContent-Type: text/plain\r\n\r\nx\r\n--part--\r\n"
                )
                .into(),
            }),
            _ => sdp(text),
        }
    }
}
