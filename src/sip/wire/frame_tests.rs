//! Tests of stream framing: any cut gives the same frames, keep-alives in between, limits and lost frames.

use super::*;
use proptest::prelude::*;

const FIRST: &[u8] = b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h\r\nContent-Length: 5\r\n\r\nhello";
const SECOND: &[u8] = b"SIP/2.0 200 OK\r\nl : \r\n 2\r\nX: y\r\n\r\n\r\n";
const BARE: &[u8] = b"OPTIONS sip:a SIP/2.0\nl:0\n\n";

fn frames(framer: &mut Framer) -> Result<Vec<Frame>, FrameError> {
    let mut out = Vec::new();
    while let Some(frame) = framer.next()? {
        out.push(frame);
    }
    Ok(out)
}

fn error_of(bytes: &[u8]) -> Option<FrameError> {
    let mut framer = Framer::new(Limits { head: 100, body: 10 });
    framer.feed(bytes);
    frames(&mut framer).err()
}

#[test]
fn messages_and_keep_alives_come_out_in_order() {
    let mut framer = Framer::default();
    framer.feed(&[FIRST, b"\r\n\r\n", SECOND, b"\r\n", BARE].concat());
    let message = |bytes: &'static [u8]| Frame::Message(Bytes::from_static(bytes));
    let wanted = [message(FIRST), Frame::Ping, message(SECOND), Frame::Pong, message(BARE)];
    assert_eq!(frames(&mut framer).unwrap(), wanted);
    assert_eq!(framer.buffered(), 0);
}

#[test]
fn a_pong_does_not_wait_and_a_cut_ping_is_still_a_ping() {
    let mut framer = Framer::default();
    framer.feed(b"\r\n");
    assert_eq!(framer.next(), Ok(Some(Frame::Pong)));
    framer.feed(b"\r");
    assert_eq!(framer.next(), Ok(None));
    framer.feed(b"\n");
    assert_eq!(framer.next(), Ok(Some(Frame::Ping)));
    framer.feed(b"\r\n");
    assert_eq!(framer.next(), Ok(Some(Frame::Pong)));
    framer.feed(BARE);
    assert!(matches!(framer.next(), Ok(Some(Frame::Message(_)))));
    framer.feed(b"\r\n");
    assert_eq!(framer.next(), Ok(Some(Frame::Pong)));
}

#[test]
fn a_stream_without_a_usable_length_is_lost() {
    for head in
        ["X: y", "Content-Length: -1", "Content-Length:", "l: 1\r\nl: 2", "Content-Length: 99999999999999999999"]
    {
        let bytes = format!("OPTIONS sip:a SIP/2.0\r\n{head}\r\n\r\n");
        assert_eq!(error_of(bytes.as_bytes()), Some(FrameError::Length), "{head}");
    }
}

#[test]
fn another_protocol_is_noticed_before_the_buffer_fills() {
    assert_eq!(error_of(b"GET / HTTP/1.1\r\n"), Some(FrameError::NotSip));
    assert_eq!(error_of(b"\x16\x03\x01\x02\x00"), Some(FrameError::NotSip));
    assert_eq!(error_of(b"\xff\xff"), Some(FrameError::NotSip));
    assert_eq!(error_of(b"OPTIONS sip:a SI"), None);
}

#[test]
fn the_limits_hold() {
    let long = "x".repeat(101);
    assert_eq!(error_of(long.as_bytes()), Some(FrameError::Head));
    assert_eq!(
        error_of(format!("OPTIONS sip:a SIP/2.0\r\nX: {long}\r\nl: 0\r\n\r\n").as_bytes()),
        Some(FrameError::Head)
    );
    assert_eq!(error_of(b"OPTIONS sip:a SIP/2.0\r\nl: 11\r\n\r\n"), Some(FrameError::Body));
    assert_eq!(error_of(b"OPTIONS sip:a SIP/2.0\r\nl: 10\r\n\r\n"), None);
}

proptest! {
    #[test]
    fn however_the_stream_is_cut_the_messages_are_the_same(cuts in proptest::collection::vec(1usize..40, 1..60)) {
        let stream = [FIRST, SECOND, BARE, FIRST].concat();
        let mut framer = Framer::default();
        let mut messages = Vec::new();
        let (mut rest, mut sizes) = (&stream[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            framer.feed(piece);
            messages.extend(frames(&mut framer).unwrap());
            rest = later;
        }
        let wanted: Vec<_> = [FIRST, SECOND, BARE, FIRST].map(|bytes| Frame::Message(Bytes::from_static(bytes))).into();
        prop_assert_eq!(messages, wanted);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_hang(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..10)) {
        let mut framer = Framer::new(Limits { head: 200, body: 50 });
        for piece in pieces {
            framer.feed(&piece);
            if frames(&mut framer).is_err() { break; }
        }
        prop_assert!(framer.buffered() <= 550);
    }
}
