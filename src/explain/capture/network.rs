//! From a packet to what a socket would have been given: link layer, VLAN tags, IP fragments, UDP or TCP. Apart from the
//! messages, because none of it is SIP.

use super::LeftOut;
use super::file::Packet;
use crate::sip::Protocol;
use bytes::Bytes;
use etherparse::defrag::IpDefragPool;
use etherparse::{EtherType, NetSlice, SlicedPacket, TcpSlice, TransportSlice, UdpSlice, ip_number};
use pcap_parser::Linktype;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

/// Fragments after which a datagram that is not complete is given up: each may take 64 KiB.
const FRAGMENT_PATIENCE: u64 = 512;

/// A datagram, or a part of a stream.
pub(super) struct Segment {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub protocol: Protocol,
    pub at: Option<SystemTime>,
    pub payload: Bytes,
    /// Of a stream: number of its first byte.
    pub sequence: u32,
    /// Of a stream: it begins here.
    pub opens: bool,
}

/// What is between packets and segments: datagrams in fragments.
#[derive(Default)]
pub(super) struct Network {
    fragments: IpDefragPool<u64, ()>,
    /// Fragments that came.
    count: u64,
    /// Datagrams that were begun and not completed.
    open: usize,
}

type Ends = (IpAddr, IpAddr);

// === impl Network ===

impl Network {
    /// What the packet gives; `None` if that is nothing for us, or nothing yet.
    pub fn segment(&mut self, packet: &Packet<'_>) -> Result<Option<Segment>, LeftOut> {
        let sliced = slice(packet)?;
        let Some(ends) = ends(&sliced) else { return Ok(None) };
        if sliced.is_ip_payload_fragmented() {
            return self.fragment(&sliced, ends, packet.at);
        }
        Ok(match &sliced.transport {
            Some(TransportSlice::Udp(udp)) => Some(datagram(udp, ends, packet.at)),
            Some(TransportSlice::Tcp(tcp)) => Some(part(tcp, ends, packet.at)),
            _ => None,
        })
    }

    /// Datagrams whose fragments did not all come.
    pub fn unfinished(&self) -> usize {
        self.open
    }

    fn fragment(
        &mut self,
        sliced: &SlicedPacket<'_>,
        ends: Ends,
        at: Option<SystemTime>,
    ) -> Result<Option<Segment>, LeftOut> {
        self.count += 1;
        if self.count.is_multiple_of(FRAGMENT_PATIENCE / 2) {
            let oldest = self.count.saturating_sub(FRAGMENT_PATIENCE);
            self.fragments.retain(|last| *last > oldest);
        }
        let whole = self.fragments.process_sliced_packet(sliced, self.count, ()).map_err(|_| LeftOut::Damaged)?;
        let Some(whole) = whole else {
            if is_first(sliced) {
                self.open += 1;
            }
            return Ok(None);
        };
        self.open = self.open.saturating_sub(1);
        let segment = match whole.ip_number {
            ip_number::UDP => UdpSlice::from_slice(&whole.payload).ok().map(|udp| datagram(&udp, ends, at)),
            ip_number::TCP => TcpSlice::from_slice(&whole.payload).ok().map(|tcp| part(&tcp, ends, at)),
            _ => None,
        };
        self.fragments.return_buf(whole);
        Ok(segment)
    }
}

/// The link layers that captures of SIP have.
fn slice<'p>(packet: &Packet<'p>) -> Result<SlicedPacket<'p>, LeftOut> {
    let data = packet.data;
    let behind = |length: usize| data.get(length..).ok_or(LeftOut::Damaged);
    let ether_type = |at: usize| {
        let bytes = data.get(at..at + 2).and_then(|bytes| bytes.first_chunk::<2>());
        bytes.map(|bytes| EtherType(u16::from_be_bytes(*bytes))).ok_or(LeftOut::Damaged)
    };
    let sliced = match packet.link {
        Linktype::ETHERNET => SlicedPacket::from_ethernet(data),
        // The address family before the packet says nothing that the packet does not.
        Linktype::NULL | Linktype::LOOP => SlicedPacket::from_ip(behind(4)?),
        Linktype(12 | 14 | 101 | 228 | 229) => SlicedPacket::from_ip(data),
        Linktype(113) => SlicedPacket::from_ether_type(ether_type(14)?, behind(16)?),
        Linktype(276) => SlicedPacket::from_ether_type(ether_type(0)?, behind(20)?),
        _ => return Err(LeftOut::OtherLink),
    };
    sliced.map_err(|_| LeftOut::Damaged)
}

fn ends(sliced: &SlicedPacket<'_>) -> Option<Ends> {
    match sliced.net.as_ref()? {
        NetSlice::Ipv4(ip) => Some((ip.header().source_addr().into(), ip.header().destination_addr().into())),
        NetSlice::Ipv6(ip) => Some((ip.header().source_addr().into(), ip.header().destination_addr().into())),
        NetSlice::Arp(_) => None,
    }
}

/// Is it a datagram's first fragment? Then its UDP header is in it.
fn is_first(sliced: &SlicedPacket<'_>) -> bool {
    match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => ip.header().fragments_offset().value() == 0,
        Some(NetSlice::Ipv6(ip)) => ip.extensions().clone().into_iter().any(|extension| match extension {
            etherparse::Ipv6ExtensionSlice::Fragment(fragment) => fragment.fragment_offset().value() == 0,
            _ => false,
        }),
        _ => false,
    }
}

fn datagram(udp: &UdpSlice<'_>, (source, destination): Ends, at: Option<SystemTime>) -> Segment {
    Segment {
        source: SocketAddr::new(source, udp.source_port()),
        destination: SocketAddr::new(destination, udp.destination_port()),
        protocol: Protocol::Udp,
        at,
        payload: Bytes::copy_from_slice(udp.payload()),
        sequence: 0,
        opens: false,
    }
}

fn part(tcp: &TcpSlice<'_>, (source, destination): Ends, at: Option<SystemTime>) -> Segment {
    Segment {
        source: SocketAddr::new(source, tcp.source_port()),
        destination: SocketAddr::new(destination, tcp.destination_port()),
        protocol: Protocol::Tcp,
        at,
        payload: Bytes::copy_from_slice(tcp.payload()),
        sequence: tcp.sequence_number(),
        opens: tcp.syn(),
    }
}
