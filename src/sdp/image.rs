//! The fax stream of a description: T.38 over UDPTL (RFC 7345 §4, ITU-T T.38 annex D). Apart from audio, because nothing in
//! it is negotiated by us: what one terminal says of itself is told to the other as it is.

use super::line::{Line, Lines, text, words};
use super::media::{Media, connection_host, is_single_host};
use std::net::IpAddr;

/// A fax stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Position of its `m=` line, from 0.
    pub index: usize,
    /// Where it wants its datagrams; `None` as for audio.
    pub address: Option<IpAddr>,
    /// The port, never 0.
    pub port: u16,
    /// Its `T38...` attributes as written: `T38FaxVersion:0`, `T38FaxFillBitRemoval`.
    pub attributes: Vec<String>,
}

/// More attributes than T.38 has are not kept.
const MOST_ATTRIBUTES: usize = 16;

// === impl Image ===

impl Image {
    /// The first fax stream that is switched on.
    pub(super) fn find(body: &[u8], media: &[Media]) -> Option<Self> {
        let is_fax = |stream: &&Media| {
            stream.kind.eq_ignore_ascii_case("image")
                && stream.port > 0
                && stream.protocol.eq_ignore_ascii_case("udptl")
                && stream.formats.iter().any(|format| format.eq_ignore_ascii_case("t38"))
        };
        let stream = media.iter().find(is_fax)?;
        let connection = |line: &Line<'_>| line.kind() == Some(b'c');
        let own = || Lines::of(body).skip(stream.line).take_while(|line| line.kind() != Some(b'm'));
        let session = || Lines::of(body).take_while(|line| line.kind() != Some(b'm'));
        let told = own().find(connection).or_else(|| session().find(connection))?;
        let host = words(told.value()).nth(2).map(connection_host).unwrap_or_default();
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical()).filter(is_single_host);
        let attributes = own().filter_map(|line| {
            let (name, _) = line.attribute()?;
            let known = name.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(b"T38"));
            known.then(|| text(line.value()))
        });
        Some(Self {
            index: stream.index,
            address,
            port: stream.port,
            attributes: attributes.take(MOST_ATTRIBUTES).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::sdp::Description;

    const FAX: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n\
        m=image 4900 udptl t38\r\nc=IN IP4 192.0.2.3\r\na=T38FaxVersion:0\r\na=t38MaxBitRate:14400\r\na=sendrecv\r\n\
        a=T38FaxFillBitRemoval\r\nm=video 5000 RTP/AVP 96\r\na=T38FaxVersion:9\r\n";

    fn parse(text: &str) -> Description {
        Description::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_fax_stream_is_read_with_its_own_address_and_attributes() {
        let description = parse(FAX);
        let image = description.image().unwrap();
        assert_eq!((image.index, image.port, image.address), (1, 4900, "192.0.2.3".parse().ok()));
        assert_eq!(image.attributes, ["T38FaxVersion:0", "t38MaxBitRate:14400", "T38FaxFillBitRemoval"]);
        assert!(description.is_fax());
    }

    #[test]
    fn the_session_address_stands_in_for_a_missing_one_and_a_group_is_never_sent_to() {
        assert_eq!(
            parse(&FAX.replace("c=IN IP4 192.0.2.3\r\n", "")).image().unwrap().address,
            "192.0.2.2".parse().ok()
        );
        assert_eq!(parse(&FAX.replace("192.0.2.3", "239.1.1.1")).image().unwrap().address, None);
    }

    #[test]
    fn audio_beside_it_keeps_the_call_a_conversation_and_other_images_are_none() {
        assert!(!parse(&FAX.replace("audio 0", "audio 4000")).is_fax());
        for other in ["image 0 udptl t38", "image 4900 TCPTL t38", "image 4900 udptl jpeg"] {
            assert_eq!(parse(&FAX.replace("image 4900 udptl t38", other)).image(), None, "{other}");
        }
    }
}
