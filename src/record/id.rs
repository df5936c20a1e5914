//! Our name for a call, as `x-trunkline-call` carries it. It names the shard, so that whatever comes back by webhook
//! or API finds its owner without a table.

use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// `tl` + two hexadecimal digits of the shard + `-` + 24 random hexadecimal digits. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct CallId(Arc<str>);

// === impl CallId ===

impl CallId {
    /// A new name in `shard` from 24 random hexadecimal digits.
    #[must_use]
    pub fn new(shard: u8, random: &str) -> Self {
        Self(format!("tl{shard:02x}-{random}").into())
    }

    /// Reads what came from outside; `None` if it has not our form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let rest = text.strip_prefix("tl")?;
        let (shard, random) = rest.split_once('-')?;
        let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
        (shard.len() == 2 && hex(shard) && (8..=64).contains(&random.len()) && hex(random)).then(|| Self(text.into()))
    }

    /// The shard that owns the call.
    #[must_use]
    pub fn shard(&self) -> u8 {
        self.0.get(2..4).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
