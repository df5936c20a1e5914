//! UDP sockets for SIP. Every shard has its own on the same address (`SO_REUSEPORT`), so that shards share no socket
//! and the kernel spreads the load.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;

/// Kernel buffer asked for in each direction: a second of messages at the highest rate we promise.
const BUFFER: usize = 4 << 20;

/// The largest datagram that UDP can carry.
pub const LARGEST_DATAGRAM: usize = 65_535;

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
    socket.bind(&address.into())?;
    if !chosen {
        socket.set_reuse_port(true)?;
    }
    Ok(socket.into())
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
    use super::{bind, probe};
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
    fn a_port_that_the_system_chooses_is_nobody_elses() {
        // More than enough for several collisions if the system may choose a port that is shared already.
        let sockets: Vec<_> = (0..800).map(|_| bind("127.0.0.1:0".parse().unwrap()).unwrap()).collect();
        let ports: HashSet<u16> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), sockets.len());
    }
}
