//! The edge of the gateway that touches sockets for SIP: streams and names here, so that the stack stays sans-IO.
//! Everything received is handed on with the address the socket saw; everything sent comes as a whole message.

pub mod resolve;
pub mod tcp;
