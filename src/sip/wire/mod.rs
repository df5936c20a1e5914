//! Messages on the wire: one received message as one buffer with an index of its header fields, and the writer of
//! outgoing ones. Parsing splits and indexes; a header is understood only when someone asks for it.

pub mod check;
pub mod frame;
pub mod index;
pub mod message;
pub mod name;
pub mod writer;

pub use check::Fault;
pub use frame::{Frame, FrameError, Framer};
pub use message::{Message, ParseError};
pub use name::HeaderName;
pub use writer::Writer;
