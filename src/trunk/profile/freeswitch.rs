//! FreeSWITCH and FusionPBX. Fixtures in `sip-fixtures/messages/freeswitch`.

use super::{Family, Preset};

pub(super) const FAMILY: Family = Family {
    name: "freeswitch",
    presets: &[
        Preset {
            key: "identity",
            value: r#"["remote-party-id", "p-asserted-identity", "from"]"#,
            why: "a gateway sends Remote-Party-ID unless caller-id-type says pid; the user of From may be the account",
            with: None,
        },
        Preset {
            key: "called",
            value: r#"["request-uri", "to"]"#,
            why: "the Request-URI holds the destination of the bridge",
            with: None,
        },
        Preset { key: "keepalive", value: r#""30s""#, why: "ping of a gateway is usually 30", with: Some("address") },
        Preset { key: "reliable", value: r#""off""#, why: "enable-100rel is off unless set", with: None },
    ],
};
