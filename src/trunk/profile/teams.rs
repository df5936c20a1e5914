//! Microsoft Teams Direct Routing, behind its SBC. Fixtures in `sip-fixtures/messages/teams`.

use super::{Family, Preset};

pub(super) const FAMILY: Family = Family {
    name: "teams",
    presets: &[
        Preset {
            key: "identity",
            value: r#"["p-asserted-identity", "from"]"#,
            why: "P-Asserted-Identity comes with ForwardPai, with a tel and a sip URI; without it From is the caller",
            with: None,
        },
        Preset {
            key: "called",
            value: r#"["request-uri", "to"]"#,
            why: "the Request-URI is the number in E.164, with user=phone",
            with: None,
        },
        Preset {
            key: "causes",
            value: r#"{ no_route = { status = 503, q850 = 38 }, no_room_plan = { status = 503, q850 = 38 }, target_not_found = { status = 503, q850 = 38 }, target_failed = { status = 503, q850 = 38 }, target_bad_answer = { status = 503, q850 = 38 }, room_failed = { status = 503, q850 = 38 }, token_failed = { status = 503, q850 = 38 }, bot_failed = { status = 503, q850 = 38 }, update_failed = { status = 503, q850 = 38 } }"#,
            why: "the next SBC or route is tried after 408, 503 and 504 only (FailoverResponseCodes)",
            with: None,
        },
        Preset {
            key: "keepalive",
            value: r#""60s""#,
            why: "the SBC is asked once a minute from its other side, too",
            with: Some("address"),
        },
        Preset {
            key: "session_timer",
            value: r#"{ expires = "30m" }"#,
            why: "Teams refreshes sessions at its own side of the SBC; a call that hangs on the SBC is found from this side",
            with: None,
        },
    ],
};
