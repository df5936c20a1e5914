//! Avaya Aura: Communication Manager behind Session Manager. Fixtures in `sip-fixtures/messages/avaya-aura`.

use super::{Family, Preset};

pub(super) const FAMILY: Family = Family {
    name: "avaya-aura",
    presets: &[
        Preset {
            key: "identity",
            value: r#"["p-asserted-identity", "from"]"#,
            why: "Session Manager asserts the caller in P-Asserted-Identity and never sends Remote-Party-ID",
            with: None,
        },
        Preset {
            key: "called",
            value: r#"["request-uri", "to"]"#,
            why: "the Request-URI is what routing policies made of the number; To keeps what was dialled",
            with: None,
        },
        Preset {
            key: "causes",
            value: r#"{ no_route = { status = 503, q850 = 38 }, no_room_plan = { status = 503, q850 = 38 }, target_not_found = { status = 503, q850 = 38 } }"#,
            why: "Session Manager tries the next entity and Communication Manager the next route pattern after a failure of the server, which a 404 is not",
            with: None,
        },
        Preset {
            key: "keepalive",
            value: r#""60s""#,
            why: "every Session Manager asks once a minute, and expects to be asked",
            with: Some("address"),
        },
        Preset {
            key: "session_timer",
            value: r#"{ expires = "20m" }"#,
            why: "Communication Manager asks for 1200 seconds and takes no less: the same at once saves a 422",
            with: None,
        },
        Preset {
            key: "reliable",
            value: r#""supported""#,
            why: "Communication Manager acknowledges provisional responses, also those of calls to it",
            with: None,
        },
    ],
};
