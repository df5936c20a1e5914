//! Session descriptions (RFC 8866) and offer/answer (RFC 3264): read as leniently as real PBXs demand, built new from
//! negotiated state, never edited. Apart because it is pure text and rules: it knows neither SIP nor sockets nor us.

pub mod body;
pub mod build;
pub mod description;
pub mod direction;
pub mod format;
pub mod image;
pub mod line;
pub mod media;
pub mod negotiate;

pub use build::{LocalAudio, LocalImage, Origin};
pub use description::{Description, SdpError};
pub use direction::Direction;
pub use format::Format;
pub use image::Image;
pub use media::{Audio, Media, Unusable};
