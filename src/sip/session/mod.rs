//! What two user agents agree on about a session beyond the dialog: which provisional responses are acknowledged
//! (RFC 3262) and how long the session lives without a word (RFC 4028). State machines that see neither messages nor
//! sockets, apart from the endpoint so that each rule of the two RFCs is a test.

pub mod reliable;
pub mod session_timer;
