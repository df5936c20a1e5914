//! The UDP sockets of a port pair: bound, non-blocking, IPv4 or IPv6. Apart from the worker so that address families
//! are dealt with once, at the edge: everything inside compares and stores canonical addresses.

use super::latch::canonical;
use super::relay::Channel;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

/// Requested receive buffer of an RTP socket in bytes; the kernel doubles it, and caps it at `net.core.rmem_max`. Room
/// for some 600 G.711 packets: a worker would have to stall for 12 s before it lost one.
const RECEIVE_BUFFER: usize = 256 * 1024;

/// An RTP socket and the RTCP socket on the next port.
#[derive(Debug)]
pub struct PortPair {
    /// The even port.
    pub rtp: UdpSocket,
    /// The next one.
    pub rtcp: UdpSocket,
    /// The RTP port.
    pub port: u16,
}

// === impl PortPair ===

impl PortPair {
    /// Binds `port` and the next one.
    ///
    /// # Errors
    /// What the system says; `AddrInUse` when somebody else has one of the two.
    pub fn bind(address: IpAddr, port: u16) -> io::Result<Self> {
        let next = port.checked_add(1).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let rtp = bound(address, port)?;
        let rtcp = bound(address, next)?;
        rtp.set_recv_buffer_size(RECEIVE_BUFFER)?;
        Ok(Self { rtp: rtp.into(), rtcp: rtcp.into(), port })
    }

    /// One of the two.
    #[must_use]
    pub fn socket(&self, channel: Channel) -> &UdpSocket {
        match channel {
            Channel::Rtp => &self.rtp,
            Channel::Rtcp => &self.rtcp,
        }
    }
}

fn bound(address: IpAddr, port: u16) -> io::Result<Socket> {
    let at = SocketAddr::new(address, port);
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        // `[::]` means both families, whatever net.ipv6.bindv6only says.
        socket.set_only_v6(false)?;
    }
    socket.bind(&at.into())?;
    Ok(socket)
}

/// Takes one datagram: its length and canonical source. `None` when there is none, or it is not to be had; what is
/// behind a socket error (ICMP) concerns a packet that was sent, and reading it clears it.
#[inline]
pub fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    let (length, _, source) = recvfrom(socket, buffer, RecvFlags::empty()).ok()?;
    let source = SocketAddr::try_from(source?).ok()?;
    Some((length, canonical(source)))
}

/// Sends one datagram to a canonical address.
///
/// # Errors
/// `WouldBlock` when the kernel has no room now, or what it says of this destination. A relay counts it and goes on.
#[inline]
pub fn send(socket: &UdpSocket, family: Family, packet: &[u8], to: SocketAddr) -> io::Result<()> {
    let sent = match (family, to) {
        (Family::V4, SocketAddr::V4(to)) => sendto(socket, packet, SendFlags::empty(), &to),
        (Family::V6, SocketAddr::V6(to)) => sendto(socket, packet, SendFlags::empty(), &to),
        (Family::V6, SocketAddr::V4(to)) => {
            let mapped = std::net::SocketAddrV6::new(to.ip().to_ipv6_mapped(), to.port(), 0, 0);
            sendto(socket, packet, SendFlags::empty(), &mapped)
        }
        (Family::V4, SocketAddr::V6(_)) => Err(Errno::AFNOSUPPORT),
    };
    sent.map(|_| ()).map_err(io::Error::from)
}

/// The address family of the sockets of a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 only.
    V4,
    /// IPv6, and IPv4 too when bound to `[::]`.
    V6,
}

impl From<IpAddr> for Family {
    fn from(bind: IpAddr) -> Self {
        if bind.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    /// A pair on any free even port.
    pub(crate) fn any_pair(address: IpAddr) -> PortPair {
        for _ in 0..200 {
            let port = UdpSocket::bind((address, 0)).unwrap().local_addr().unwrap().port();
            if let Ok(pair) = PortPair::bind(address, port & !1) {
                return pair;
            }
        }
        panic!("no free pair of ports");
    }

    #[test]
    fn a_pair_has_two_neighbouring_ports_that_do_not_block() {
        let pair = any_pair(IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(pair.rtp.local_addr().unwrap().port(), pair.port);
        assert_eq!(pair.rtcp.local_addr().unwrap().port(), pair.port + 1);
        assert_eq!(receive(&pair.rtp, &mut [0; 64]), None);
        assert_eq!(receive(&pair.rtcp, &mut [0; 64]), None);
    }

    #[test]
    fn a_pair_that_somebody_has_half_of_is_not_ours() {
        let pair = any_pair(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let port = pair.port;
        drop(pair.rtp);
        let error = PortPair::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), port).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(PortPair::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 65_535).is_err());
    }

    #[test]
    fn a_dual_stack_pair_speaks_ipv4_with_canonical_addresses() {
        let pair = any_pair(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let peer_address = peer.local_addr().unwrap();
        send(&pair.rtp, Family::V6, b"there", peer_address).unwrap();
        let mut buffer = [0; 64];
        let (length, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"there");
        peer.send_to(b"back", from).unwrap();
        rustix::event::poll(&mut [rustix::event::PollFd::new(&pair.rtp, rustix::event::PollFlags::IN)], None).unwrap();
        assert_eq!(receive(&pair.rtp, &mut buffer), Some((4, peer_address)));
    }

    #[test]
    fn an_ipv6_destination_on_an_ipv4_socket_is_an_error_and_nothing_more() {
        let pair = any_pair(IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert!(send(&pair.rtp, Family::V4, b"x", "[2001:db8::1]:4000".parse().unwrap()).is_err());
    }
}
