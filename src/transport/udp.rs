//! UDP sockets for SIP. Every shard has its own on the same address (`SO_REUSEPORT`), so that shards share no socket
//! and the kernel spreads the load. What the network says about a datagram that reached nobody (ICMP) is read back, so
//! that a dead peer does not cost the patience of its transaction.

use bytes::Bytes;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

/// Kernel buffer asked for in each direction: a second of messages at the highest rate we promise.
const BUFFER: usize = 4 << 20;

/// The largest datagram that UDP can carry.
pub const LARGEST_DATAGRAM: usize = 65_535;

/// As much of a datagram as ICMP gives back, and more than our first lines need.
const QUOTED: usize = 576;

/// A datagram that reached nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undeliverable {
    /// Where it was sent to.
    pub to: SocketAddr,
    /// How it began.
    pub quoted: Bytes,
}

/// Binds a non-blocking socket that other shards may bind too.
///
/// # Errors
/// The address is not ours, in use by another program, or not permitted.
pub fn bind(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?; // an IPv4 listener is a line of its own in the configuration
    }
    // A port that the system is to choose must be free: among sockets that may share, Linux would choose a shared one,
    // and another gateway on port 0 would get half of our calls.
    let chosen = address.port() != 0;
    if chosen {
        socket.set_reuse_port(true)?;
    }
    // The kernel caps these silently; what it gives is enough to run.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.set_nonblocking(true)?;
    // Without these, a dead peer is found out by Timer B alone.
    if address.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
    }
    socket.bind(&address.into())?;
    if !chosen {
        socket.set_reuse_port(true)?;
    }
    Ok(socket.into())
}

/// Takes one message of the network about a datagram of ours; `None` if it does not mean that it is lost.
///
/// # Errors
/// `WouldBlock` when there is none left.
pub fn undeliverable(socket: &impl AsRawFd) -> io::Result<Option<Undeliverable>> {
    let mut buffer = [0; QUOTED];
    let mut control = nix::cmsg_space!([u8; 128]);
    let mut pieces = [IoSliceMut::new(&mut buffer)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let received = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut pieces, Some(&mut control), flags)?;
    let (length, to) = (received.bytes, received.address.as_ref().and_then(socket_of));
    let mut fatal = false;
    for message in received.cmsgs()? {
        if let ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) = message {
            // Too large for the way: the kernel knows now, and cuts the next one up.
            fatal = i32::try_from(error.ee_errno) != Ok(nix::errno::Errno::EMSGSIZE as i32);
        }
    }
    let quoted = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
    Ok(to.filter(|_| fatal).map(|to| Undeliverable { to, quoted }))
}

fn socket_of(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4(SocketAddrV4::from(*address)));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6(SocketAddrV6::from(*address))))
}

/// Sends one datagram. An error that is kept for an earlier one is taken first: it says nothing about this one.
///
/// # Errors
/// The system's, for this datagram.
pub fn send(
    socket: &std::net::UdpSocket,
    payload: &[u8],
    to: SocketAddr,
    lost: &mut Vec<Undeliverable>,
) -> io::Result<()> {
    const TRIES: usize = 4;
    let mut outcome = Ok(());
    for _ in 0..TRIES {
        outcome = socket.send_to(payload, to).map(|_| ());
        if outcome.is_ok() || outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            break;
        }
        while let Ok(found) = undeliverable(socket) {
            lost.extend(found);
        }
    }
    outcome
}

/// Is another program listening here? `SO_REUSEPORT` alone would share the port with it and lose half of the calls.
///
/// # Errors
/// The address cannot be bound exclusively.
pub fn probe(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())
}

#[cfg(test)]
mod tests {
    use super::{bind, probe, send, undeliverable};
    use std::collections::HashSet;

    #[test]
    fn two_shards_can_share_an_address_and_a_stranger_is_noticed() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let second = bind(address).unwrap();
        assert_eq!(second.local_addr().unwrap(), address);
        assert!(probe(address).is_err());
        drop((first, second));
        assert!(probe(address).is_ok());
    }

    #[test]
    fn a_datagram_to_nobody_comes_back_with_its_address_and_its_beginning() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let socket = bind(local.parse().unwrap()).unwrap();
            let nobody = std::net::UdpSocket::bind(local).unwrap().local_addr().unwrap();
            let somebody = std::net::UdpSocket::bind(local).unwrap();
            let mut lost = vec![];
            send(&socket, b"to nobody", nobody, &mut lost).unwrap();
            // The next datagram is for somebody else, and gets there whatever became of the first.
            send(&socket, b"to somebody", somebody.local_addr().unwrap(), &mut lost).unwrap();
            let mut buffer = [0; 64];
            assert_eq!(somebody.recv(&mut buffer).unwrap(), 11);
            lost.extend(std::iter::from_fn(|| undeliverable(&socket).ok()).flatten());
            assert_eq!(lost.len(), 1, "{local}");
            assert_eq!((lost[0].to, lost[0].quoted.as_ref()), (nobody, &b"to nobody"[..]));
        }
    }

    #[test]
    fn a_port_that_the_system_chooses_is_nobody_elses() {
        // More than enough for several collisions if the system may choose a port that is shared already.
        let sockets: Vec<_> = (0..800).map(|_| bind("127.0.0.1:0".parse().unwrap()).unwrap()).collect();
        let ports: HashSet<u16> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), sockets.len());
    }
}
