//! Avaya IP Office. Fixtures in `sip-fixtures/messages/avaya-ipo`.

use super::{Family, Preset};

pub(super) const FAMILY: Family = Family {
    name: "avaya-ipo",
    presets: &[
        Preset {
            key: "identity",
            value: r#"["p-asserted-identity", "remote-party-id", "from"]"#,
            why: "which of them is sent is set by Send Caller ID of the line; with None only From is",
            with: None,
        },
        Preset {
            key: "called",
            value: r#"["request-uri", "to"]"#,
            why: "Call Routing Method of the line is Request URI unless changed",
            with: None,
        },
        Preset {
            key: "keepalive",
            value: r#""60s""#,
            why: "the line asks once a minute (Check OOS)",
            with: Some("address"),
        },
    ],
};
