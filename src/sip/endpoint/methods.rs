//! Which methods and extensions are taken, and where: the one table that `Allow`, 405 and 420 are answers from. Apart
//! from the requests themselves, so that a method is switched on in one line.

use super::super::Method;

/// The methods that are understood (RFC 3261 §20.5).
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, REGISTER";

/// May a request of this method begin something outside of a dialog?
pub(super) const fn begins(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Options | Method::Register)
}

/// Does a request of this method belong into a dialog? Outside of one it gets 481.
pub(super) const fn continues(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Bye | Method::Options | Method::Info)
}

/// Is a request of ours of this method to carry our Contact, because it may move the target (RFC 3261 §12.2), or
/// because its own RFC wants one?
pub(super) const fn shows_contact(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Update | Method::Refer | Method::Notify | Method::Subscribe)
}
