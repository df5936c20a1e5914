//! Cisco Unified Communications Manager, also behind CUBE. Fixtures in `sip-fixtures/messages/cisco-cucm`.

use super::{Family, Preset};

pub(super) const FAMILY: Family = Family {
    name: "cisco-cucm",
    presets: &[
        Preset {
            key: "identity",
            value: r#"["p-asserted-identity", "remote-party-id", "from"]"#,
            why: "both are sent when the trunk asserts identity; the host of From is the trunk, and its user may be changed by caller transformations",
            with: None,
        },
        Preset {
            key: "called",
            value: r#"["request-uri", "to"]"#,
            why: "both hold the number after called party transformations",
            with: None,
        },
        Preset {
            key: "causes",
            value: r#"{ no_route = { status = 503, q850 = 38 }, no_room_plan = { status = 503, q850 = 38 }, target_not_found = { status = 503, q850 = 38 } }"#,
            why: "a route list stops at an unallocated number (cause 1), and goes on after 503",
            with: None,
        },
        Preset {
            key: "keepalive",
            value: r#""60s""#,
            why: "CUCM asks once a minute while the trunk is in service (OPTIONS Ping)",
            with: Some("address"),
        },
        Preset {
            key: "session_timer",
            value: r#"{ expires = "30m" }"#,
            why: "the SIP profile has 1800 seconds for Session Expires and for Min-SE",
            with: None,
        },
    ],
};
