//! No assumption about the PBX: what the file leaves out has the defaults of the documentation.

use super::Family;

pub(super) const FAMILY: Family = Family { name: "generic", presets: &[] };
