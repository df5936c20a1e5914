//! The rows of `sip-fixtures/scenarios/scenarios.toml`.

use serde::Deserialize;
use std::path::PathBuf;

/// One pair of scenarios and what is expected of the gateway between them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Of the row and of the test.
    pub name: String,
    /// `pbx-NAME.xml`.
    pub pbx: String,
    /// How the PBX reaches the gateway.
    #[serde(default)]
    pub pbx_transport: Transport,
    /// More arguments for the PBX's SIPp.
    #[serde(default)]
    pub pbx_options: Vec<String>,
    /// `cloud-NAME.xml`; `silent` is a socket that never speaks, `nobody` a port without one; absent: the call must not get that far.
    #[serde(default)]
    pub cloud: Option<String>,
    /// How the gateway reaches the cloud.
    #[serde(default)]
    pub cloud_transport: Transport,
    /// Whether the target's URI says so.
    #[serde(default = "yes")]
    pub says_transport: bool,
    /// More arguments for the cloud's SIPp.
    #[serde(default)]
    pub cloud_options: Vec<String>,
    /// `cloud-NAME.xml` for somebody at the PBX, whom the gateway calls at the trunk's address.
    #[serde(default)]
    pub human: Option<String>,
    /// More lines for `[sip]`.
    #[serde(default)]
    pub sip: String,
    /// More lines for the `[[trunk]]`.
    #[serde(default)]
    pub trunk: String,
    /// More entries for `headers` of the `[[target]]`.
    #[serde(default)]
    pub headers: String,
    /// More lines for the `[[target]]`.
    #[serde(default)]
    pub target: String,
    /// More lines for the `[[route]]`.
    #[serde(default)]
    pub route: String,
    /// `peers` of the trunk.
    #[serde(default = "loopback")]
    pub peers: Vec<String>,
    /// `targets` of the `[[route]]`.
    #[serde(default = "cloud")]
    pub targets: Vec<String>,
    /// More sections; `{silent}` is the port of a socket that never speaks.
    #[serde(default)]
    pub more: String,
    /// A line of `/metrics` that must be there before the PBX begins.
    #[serde(default)]
    pub once: Option<String>,
    /// A line of `/metrics` that must be there before the cloud is started.
    #[serde(default)]
    pub cloud_comes: Option<String>,
    /// Lines of `/metrics` that must be there in the end.
    #[serde(default)]
    pub finally: Vec<String>,
    /// What is done when the PBX is done.
    #[serde(default)]
    pub afterwards: Option<Afterwards>,
    /// The code of the catalogue under which exactly one call must be counted; absent if it never was a call.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A second act.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Afterwards {
    /// The ban of this source is lifted.
    pub lift: String,
    /// `pbx-NAME.xml`, played then.
    pub pbx: String,
}

/// How SIP is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    #[default]
    Udp,
    Tcp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    scenario: Vec<Scenario>,
}

/// Where the scenarios are.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sip-fixtures/scenarios")
}

/// All rows.
pub fn read() -> Vec<Scenario> {
    let text = std::fs::read_to_string(folder().join("scenarios.toml")).unwrap();
    toml::from_str::<Table>(&text).unwrap().scenario
}

/// The row of a test.
pub fn find(name: &str) -> Scenario {
    read().into_iter().find(|row| row.name == name).unwrap_or_else(|| panic!("scenarios.toml has no row `{name}`"))
}

fn yes() -> bool {
    true
}

fn cloud() -> Vec<String> {
    vec!["cloud".to_owned()]
}

fn loopback() -> Vec<String> {
    vec!["127.0.0.1".to_owned()]
}

#[test]
fn every_scenario_file_is_played_and_every_played_file_exists() {
    let rows = read();
    let acts = rows.iter().flat_map(|row| [Some(&row.pbx), row.afterwards.as_ref().map(|act| &act.pbx)]).flatten();
    let pbx = acts.map(|name| format!("pbx-{name}.xml"));
    let clouds = rows
        .iter()
        .flat_map(|row| [row.cloud.as_deref(), row.human.as_deref()])
        .flatten()
        .filter(|name| !matches!(*name, "silent" | "nobody"));
    let mut played: Vec<String> = pbx.chain(clouds.map(|name| format!("cloud-{name}.xml"))).collect();
    played.sort();
    played.dedup();
    let names = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = names.filter(|name| name.ends_with(".xml")).collect();
    files.sort();
    assert_eq!(played, files);
}
