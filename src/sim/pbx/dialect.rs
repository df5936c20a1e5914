//! How PBX families dress an INVITE: where the true caller stands, and what else comes along.
//! Only what a gateway might stumble over is imitated; numbers and hosts are examples.

use super::CallPlan;
use crate::sim::message::other;
use rsip::Header;
use std::net::SocketAddr;

/// Where the true caller stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Identity {
    /// `P-Asserted-Identity` with a SIP URI.
    #[default]
    Asserted,
    /// `P-Asserted-Identity` with a tel URI.
    AssertedTel,
    /// `Remote-Party-ID`.
    RemoteParty,
    /// `From`, as a phone would.
    From,
}

/// Which PBX family is imitated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Dialect {
    /// The bare necessities.
    #[default]
    Plain,
    /// Avaya Aura: Communication Manager behind Session Manager, with its proxies' Via and Record-Route.
    Avaya,
}

/// The dressed INVITE.
#[derive(Debug, Clone)]
pub(super) struct Dress {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) headers: Vec<Header>,
    pub(super) vias: Vec<String>,
    pub(super) record_routes: Vec<String>,
}

// === impl Dress ===

impl Dress {
    pub(super) fn of(plan: &CallPlan, address: SocketAddr) -> Self {
        let name = plan.caller_name.as_ref().map(|name| format!("\"{name}\" ")).unwrap_or_default();
        let caller = format!("{name}<sip:{}@pbx.example.com>", plan.caller);
        let mut dress = Self {
            from: match plan.identity {
                Identity::From => caller.clone(),
                _ => "<sip:trunk-out@pbx.example.com>".to_owned(),
            },
            to: "<sip:trunk-in@pbx.example.com>".to_owned(),
            headers: vec![],
            vias: vec![],
            record_routes: vec![],
        };
        dress.headers.extend(match plan.identity {
            Identity::Asserted => Some(other("P-Asserted-Identity", &caller)),
            Identity::AssertedTel => Some(other("P-Asserted-Identity", format!("{name}<tel:{}>", plan.caller))),
            Identity::RemoteParty => {
                Some(other("Remote-Party-ID", format!("{caller};party=calling;screen=yes;privacy=off")))
            }
            Identity::From => None,
        });
        if plan.dialect == Dialect::Avaya {
            dress.avaya(plan, address);
        }
        dress.headers.extend(plan.extra.iter().map(|(name, value)| other(name, value)));
        dress
    }

    fn avaya(&mut self, plan: &CallPlan, address: SocketAddr) {
        self.vias = vec![
            "SIP/2.0/TLS 192.0.2.21:5061;rport=37290;ibmsid=local.1353929312213_3019;branch=z9hG4bK-AP-0a".to_owned(),
            "SIP/2.0/TLS 192.0.2.20;branch=z9hG4bK-CM-80;psrrposn=1;received=192.0.2.20".to_owned(),
        ];
        self.record_routes = vec![
            format!("sip:{address};lr;sap=-1.1.2"),
            format!("sip:{address};lr;av-asset-uid=rw-2a"),
            format!("sip:{address};lr;hop=cm"),
        ];
        let long = "avaya-cm-data=".to_owned() + &"4F".repeat(90);
        self.headers.extend([
            Header::UserAgent("Avaya CM/R018x.01.0.890.0 AVAYA-SM-8.1.3.0.813014".into()),
            Header::Supported("100rel, histinfo, join, replaces, sdp-anat, timer".into()),
            other("Alert-Info", "<cid:internal@pbx.example.com>;avaya-cm-alert-type=internal"),
            other("Min-SE", "1200"),
            other("Session-Expires", "1200;refresher=uac"),
            other("History-Info", format!("<sip:{}@pbx.example.com>;index=1", plan.called)),
            other("History-Info", "<sip:trunk-in@pbx.example.com>;index=1.1"),
            other("P-Charging-Vector", "icid-value=\"AAS:4821-cd51e9a01bd411ea8\""),
            other("P-Location", "SM;origloc=\"Example\";termloc=\"Example\";smaccounting=\"true\""),
            other("Av-Global-Session-ID", "cd51e9a0-1bd4-11ea-8a6f-000c29d3a0ee"),
            other("P-AV-Message-Id", "1_1"),
            other("User-to-User", "00FA080004001F5DE0A1B2;encoding=hex"),
            other("Endpoint-View", long),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(identity: Identity, dialect: Dialect) -> (Dress, String) {
        let address = "127.0.0.1:5070".parse().unwrap();
        let mut plan = CallPlan::new(address, "+15550101", "+15550100");
        plan.caller_name = Some("Doe, Jo".into());
        plan.identity = identity;
        plan.dialect = dialect;
        let dress = Dress::of(&plan, address);
        let text = dress.headers.iter().map(|header| format!("{header}\n")).collect();
        (dress, text)
    }

    #[test]
    fn the_true_caller_stands_where_the_plan_says_and_nowhere_else() {
        for (identity, expected) in [
            (Identity::Asserted, "P-Asserted-Identity: \"Doe, Jo\" <sip:+15550101@pbx.example.com>\n"),
            (Identity::AssertedTel, "P-Asserted-Identity: \"Doe, Jo\" <tel:+15550101>\n"),
            (
                Identity::RemoteParty,
                "Remote-Party-ID: \"Doe, Jo\" <sip:+15550101@pbx.example.com>;party=calling;screen=yes;privacy=off\n",
            ),
        ] {
            let (dress, text) = lines(identity, Dialect::Plain);
            assert_eq!(text, expected);
            assert_eq!(dress.from, "<sip:trunk-out@pbx.example.com>");
        }
        assert!(lines(Identity::From, Dialect::Plain).0.from.contains("+15550101"));
    }

    #[test]
    fn the_avaya_dress_comes_through_proxies_of_the_pbx() {
        let (dress, text) = lines(Identity::Asserted, Dialect::Avaya);
        assert_eq!((dress.vias.len(), dress.record_routes.len()), (2, 3));
        assert!(dress.record_routes.iter().all(|route| route.contains("127.0.0.1:5070")));
        assert!(text.contains("User-to-User: "));
    }
}
