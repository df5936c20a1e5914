//! Which methods and extensions are taken, and where: the one table that `Allow`, 405 and 420 are answers from. Apart
//! from the requests themselves, so that a method is switched on in one line.

use super::super::Method;

/// The methods that are understood (RFC 3261 §20.5).
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, PRACK, UPDATE, REFER, NOTIFY, REGISTER";

/// The extensions that are understood, as `Supported` lists them (RFC 3261 §20.37): RFC 3891 and RFC 4488.
pub const SUPPORTED: &str = "replaces, norefersub";

/// The extensions that are understood where a leg's terms switch them on: RFC 3262 and RFC 4028.
pub const BY_TERMS: &str = "100rel, timer";

/// Is this option tag one of [`SUPPORTED`] or [`BY_TERMS`]? Whether one of the latter is on is a matter of each leg.
pub(super) fn supports(option: &[u8]) -> bool {
    SUPPORTED.split(", ").chain(BY_TERMS.split(", ")).any(|known| option.eq_ignore_ascii_case(known.as_bytes()))
}

/// May a request of this method begin something outside of a dialog?
pub(super) const fn begins(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Options | Method::Register)
}

/// Does a request of this method belong into a dialog? Outside of one it gets 481.
pub(super) const fn continues(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Bye | Method::Options | Method::Info | Method::Prack | Method::Update)
        || matches!(method, Method::Refer | Method::Notify)
}

/// Is a request of ours of this method to carry our Contact, because it may move the target (RFC 3261 §12.2), or
/// because its own RFC wants one?
pub(super) const fn shows_contact(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Update | Method::Refer | Method::Notify | Method::Subscribe)
}
