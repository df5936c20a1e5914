//! Genesys Engage (SIP Server) and Genesys Cloud (BYOC). Fixtures in `sip-fixtures/messages/genesys`.

use super::{Family, Preset};

pub(super) const FAMILY: Family = Family {
    name: "genesys",
    presets: &[
        Preset {
            key: "identity",
            value: r#"["p-asserted-identity", "from"]"#,
            why: "SIP Server sends the caller in From; Genesys Cloud adds P-Asserted-Identity",
            with: None,
        },
        Preset {
            key: "called",
            value: r#"["request-uri", "to"]"#,
            why: "the Request-URI is the target of the strategy or of the external number",
            with: None,
        },
        Preset {
            key: "keepalive",
            value: r#""30s""#,
            why: "oos-check asks more often than other PBXs do",
            with: Some("address"),
        },
    ],
};
