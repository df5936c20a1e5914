//! `causes` of a trunk: what its PBX is told instead of what the catalogue says, because PBXs choose their next route by
//! it. Apart from the catalogue, which is the same for everybody.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// By the code of the catalogue.
pub type Causes = BTreeMap<String, Told>;

/// What a PBX is told of one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// SIP status of the refusal, 400 to 699.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Q.850 cause of the `Reason` header, 1 to 127.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q850: Option<u8>,
}
