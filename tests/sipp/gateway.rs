//! The built gateway as a process: configured for one scenario, asked by its admin listener, stopped by a signal.

use crate::sipp::until;
use crate::table::{Scenario, Transport};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// A running gateway.
pub struct Gateway {
    child: Child,
    sip: Vec<(Transport, SocketAddr)>,
    admin: SocketAddr,
    log: PathBuf,
}

/// Where the others are.
pub struct Ports {
    /// The SIPp of the cloud, or the socket that stands for it.
    pub cloud: u16,
    /// Somebody at the PBX.
    pub human: Option<u16>,
    /// A socket that never speaks.
    pub silent: u16,
}

/// What `run` prints when it is ready.
#[derive(Debug, serde::Deserialize)]
struct Ready {
    event: String,
    sip: Vec<String>,
    admin: SocketAddr,
}

/// What must be zero when nobody calls.
const EMPTY: [&str; 3] = ["trunkline_calls_active", "trunkline_media_ports_in_use", "trunkline_sip_dialogs"];

// === impl Gateway ===

impl Gateway {
    /// Starts it with a configuration of its own and waits until it is ready.
    pub fn start(scenario: &Scenario, ports: &Ports, folder: &Path) -> Self {
        let (config, log) = (folder.join("trunkline.toml"), folder.join("gateway.log"));
        fs::write(&config, configuration(scenario, ports)).unwrap();
        // Another build can be put to the same test.
        let binary = std::env::var_os("TRUNKLINE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_trunkline").into());
        let mut child = Command::new(binary)
            .args(["run", "--config"])
            .arg(&config)
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "debug".to_owned()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let line = first_line(child.stdout.take().unwrap());
        let ready = line.as_deref().and_then(|line| serde_json::from_str::<Ready>(line).ok());
        let Some(ready) = ready.filter(|ready| ready.event == "ready") else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the gateway did not get ready: {line:?}\n{}", fs::read_to_string(&log).unwrap());
        };
        let sip = ready.sip.iter().map(|listener| listener_of(listener)).collect();
        Self { child, sip, admin: ready.admin, log }
    }

    /// Where it takes SIP.
    pub fn sip(&self, transport: Transport) -> SocketAddr {
        self.sip.iter().find(|(other, _)| *other == transport).unwrap().1
    }

    /// Waits until no call, no media port and no dialog is left.
    pub fn empties(&self, patience: Duration) -> Result<(), String> {
        let mut left = String::new();
        let empty = until(patience, || {
            let page = self.get("/metrics");
            left.clear();
            for name in EMPTY {
                match sample(&page, name) {
                    Some(0.0) => {}
                    value => left += &format!(" {name}={value:?}"),
                }
            }
            left.is_empty()
        });
        if empty { Ok(()) } else { Err(format!("--- gateway: not empty after the call:{left}")) }
    }

    /// Waits for a line of `/metrics`.
    pub fn shows(&self, line: &str, patience: Duration) -> Result<(), String> {
        let mut page = String::new();
        let shown = until(patience, || {
            page = self.get("/metrics");
            page.lines().any(|other| other == line)
        });
        let about = line.split('{').next().unwrap_or_default();
        let like: Vec<&str> = page.lines().filter(|other| other.starts_with(about)).collect();
        if shown { Ok(()) } else { Err(format!("--- gateway: no `{line}` on /metrics, but {like:#?}")) }
    }

    /// The memory it has in use, in bytes.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// A value of `/metrics`; 0 if it has none.
    pub fn sample(&self, name: &str) -> f64 {
        sample(&self.get("/metrics"), name).unwrap_or(0.0)
    }

    /// Waits until it has read what was sent to it: the count of what it turned away stands still.
    pub fn settles(&self) {
        let count = || {
            let page = self.get("/metrics");
            let lines = page.lines().filter(|line| line.starts_with("trunkline_admission_refused_total"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let mut last = count();
        until(Duration::from_secs(20), || {
            let now = count();
            std::mem::replace(&mut last, now) == last
        });
    }

    /// Lifts the ban of a source, which must be banned.
    pub fn lift(&self, source: &str) -> Result<(), String> {
        let answer = self.ask("DELETE", &format!("/api/bans/{source}"));
        if answer.starts_with("HTTP/1.1 204") { Ok(()) } else { Err(format!("--- gateway: lifting the ban: {answer}")) }
    }

    /// Exactly one call must have been counted, and for this reason.
    pub fn counted_one_call(&self, reason: &str) -> Result<(), String> {
        let page = self.get("/metrics");
        let calls: Vec<&str> = page.lines().filter(|line| line.starts_with("trunkline_calls_total{")).collect();
        let wanted = format!("reason=\"{reason}\"}} 1");
        let fits = calls.len() == 1 && calls.iter().all(|line| line.ends_with(&wanted));
        if fits { Ok(()) } else { Err(format!("--- gateway: wanted one call with {reason}, it counts {calls:#?}")) }
    }

    /// Tells it to stop; without calls it must do so at once, and in good order.
    pub fn stop(&mut self, patience: Duration) -> Result<(), String> {
        let id = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).map_err(|error| error.to_string())?;
        let mut status = None;
        until(patience, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("--- gateway: ended with {status}")),
            None => Err("--- gateway: SIGTERM did not end it".to_owned()),
        }
    }

    /// What it logged last.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let start = text.char_indices().rev().nth(8_000).map_or(0, |(at, _)| at);
        text[start..].to_owned()
    }

    fn get(&self, path: &str) -> String {
        let answer = self.ask("GET", path);
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(scenario: &Scenario, ports: &Ports) -> String {
    let Scenario { sip, trunk, target, route, targets, peers, .. } = scenario;
    let headers = if scenario.headers.is_empty() { String::new() } else { format!(", {}", scenario.headers) };
    let more = scenario.more.replace("{silent}", &ports.silent.to_string());
    let cloud_port = ports.cloud;
    let address = ports.human.map(|port| format!("address = \"sip:127.0.0.1:{port}\"")).unwrap_or_default();
    let transport = match scenario.cloud_transport {
        Transport::Tcp if scenario.says_transport => ";transport=tcp",
        _ => "",
    };
    let (first, last) = media_ports();
    format!(
        r#"
[sip]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]
{sip}

[media]
bind = "127.0.0.1"
ports = "{first}-{last}"

[http]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[[trunk]]
name = "pbx"
peers = {peers:?}
{address}
{trunk}

[[target]]
name = "cloud"
kind = "sip"
uri = "sip:bot@127.0.0.1:{cloud_port}{transport}?x-source=sipp"
headers = {{ x-caller = "{{caller}}", x-called = "{{called}}", x-trunkline-call = "{{call_id}}"{headers} }}
{target}

[[route]]
targets = {targets:?}
{route}
{more}
"#
    )
}

/// A range of its own for each gateway of this run, below the ephemeral ports; another run takes another start.
fn media_ports() -> (u16, u16) {
    const EACH: u16 = 64;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let run = u16::try_from(std::process::id() % 4).unwrap() * 3_000;
    let first = 20_000 + run + NEXT.fetch_add(1, Ordering::Relaxed) % 46 * EACH;
    (first, first + EACH - 1)
}

/// The first line of stdout, if it comes in time; the rest is read and forgotten, so that the gateway never waits.
fn first_line(stdout: ChildStdout) -> Option<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver.recv_timeout(Duration::from_secs(15)).ok()
}

fn listener_of(text: &str) -> (Transport, SocketAddr) {
    let (transport, address) = text.split_once(':').unwrap();
    let transport = if transport == "tcp" { Transport::Tcp } else { Transport::Udp };
    (transport, address.parse().unwrap())
}

fn sample(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}
