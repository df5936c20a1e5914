//! Asterisk and FreePBX, chan_pjsip and chan_sip. Fixtures in `sip-fixtures/messages/asterisk`.

use super::{Family, Preset};

pub(super) const FAMILY: Family = Family {
    name: "asterisk",
    presets: &[
        Preset {
            key: "identity",
            value: r#"["p-asserted-identity", "remote-party-id", "from"]"#,
            why: "send_pai and send_rpid are off unless set, then From is all there is",
            with: None,
        },
        Preset {
            key: "called",
            value: r#"["request-uri", "to"]"#,
            why: "a trunk that dials no number sends s, which is passed over",
            with: None,
        },
        Preset {
            key: "keepalive",
            value: r#""60s""#,
            why: "qualify_frequency is 60 where it is set",
            with: Some("address"),
        },
        Preset {
            key: "session_timer",
            value: r#"{ expires = "30m" }"#,
            why: "timers_sess_expires is 1800 and timers_min_se 90",
            with: None,
        },
        Preset {
            key: "reliable",
            value: r#""supported""#,
            why: "100rel is yes unless set, so calls to it may use it, too",
            with: None,
        },
    ],
};
