//! Where a configuration reaches outside of its text: environment, files, names. Apart, so that reading and checking
//! stay functions of their arguments.

use std::fmt;
use std::path::Path;

/// Where a configuration reaches outside of its text; tests put their own here.
pub struct Surroundings<'s> {
    /// What relative paths of `${file:PATH}` start from.
    pub directory: &'s Path,
    /// An environment variable.
    pub env: &'s dyn Fn(&str) -> Option<String>,
    /// A file's content.
    pub read: &'s dyn Fn(&Path) -> std::io::Result<String>,
    /// Does this host name have an address?
    pub resolves: &'s dyn Fn(&str) -> bool,
}

// === impl Surroundings ===

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("directory", &self.directory).finish_non_exhaustive()
    }
}
