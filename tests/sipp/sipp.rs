//! One SIPp process: started on a port that was free, ended when the test is, judged by its own count of calls.

use crate::table::{self, Scenario, Transport};
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// What a SIPp is to play.
pub struct Part {
    file: String,
    /// Where it leaves what it saw.
    folder: String,
    transport: Transport,
    options: Vec<String>,
    /// The gateway, for the side that calls.
    calls: Option<SocketAddr>,
    /// Where it listens; `None` for a port that is free.
    port: Option<u16>,
}

/// A running SIPp.
pub struct Sipp {
    child: Child,
    name: String,
    port: u16,
    transport: Transport,
    folder: PathBuf,
    /// It would go on taking calls.
    many: bool,
}

/// Is there a SIPp at all?
pub fn installed() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| Command::new("sipp").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_ok())
}

/// The first of eight ports that nobody has, for UDP and TCP. They lie below the ephemeral range, so that nobody is given
/// one between this look and SIPp's bind, and each call of a run looks at other ones: SIPp takes its SIP port here, and
/// four more from its media port on.
pub fn free_ports() -> u16 {
    const EACH: u16 = 8;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let run = 10_000 + u16::try_from(std::process::id() % 5).unwrap() * 2_000;
    loop {
        let first = run + NEXT.fetch_add(1, Ordering::Relaxed) % (2_000 / EACH) * EACH;
        let free =
            |port| UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (first..first + EACH).all(free) {
            return first;
        }
    }
}

/// Waits until `done` says so. The other side is a process that cannot wake us, so this looks again and again.
pub fn until(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = trunkline::clock::now() + patience;
    while !done() {
        if trunkline::clock::now() >= deadline {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    true
}

// === impl Part ===

impl Part {
    /// The side that calls the gateway.
    pub fn pbx(scenario: &Scenario, gateway: SocketAddr) -> Self {
        let mut options = vec!["-s".to_owned(), "+15550100999".to_owned()];
        options.extend(scenario.pbx_options.iter().cloned());
        let file = format!("pbx-{}", scenario.pbx);
        Self {
            folder: file.clone(),
            file,
            transport: scenario.pbx_transport,
            options,
            calls: Some(gateway),
            port: None,
        }
    }

    /// The side that the gateway calls.
    pub fn cloud(scenario: &Scenario, name: &str, human_port: Option<u16>) -> Self {
        let known = human_port.map(|port| ["-key".to_owned(), "human_port".to_owned(), port.to_string()]);
        let options = scenario.cloud_options.iter().cloned().chain(known.into_iter().flatten()).collect();
        let file = format!("cloud-{name}");
        Self { folder: file.clone(), file, transport: scenario.cloud_transport, options, calls: None, port: None }
    }

    /// The same on this port.
    pub fn on(self, port: Option<u16>) -> Self {
        Self { port, ..self }
    }

    /// The second act of the side that calls.
    pub fn again(scenario: &Scenario, name: &str, gateway: SocketAddr) -> Self {
        Self::pbx(&Scenario { pbx: name.to_owned(), ..scenario.clone() }, gateway)
    }

    /// Somebody at the PBX, whom the gateway calls too.
    pub fn human(name: &str) -> Self {
        let file = format!("cloud-{name}");
        Self { folder: "human".to_owned(), file, transport: Transport::Udp, options: vec![], calls: None, port: None }
    }
}

// === impl Sipp ===

impl Sipp {
    /// Starts it.
    pub fn start(part: &Part, folder: &Path) -> Self {
        let port = part.port.unwrap_or_else(free_ports);
        let folder = folder.join(&part.folder);
        fs::create_dir_all(&folder).unwrap();
        let screen = fs::File::create(folder.join("screen")).unwrap();
        let mut command = Command::new("sipp");
        command.current_dir(&folder).stdin(Stdio::null()).stderr(screen.try_clone().unwrap()).stdout(screen);
        command.arg("-sf").arg(table::folder().join(format!("{}.xml", part.file)));
        command.args(["-i", "127.0.0.1", "-p", &port.to_string(), "-mp", &(port + 2).to_string()]);
        command.args(["-m", "1", "-nostdin", "-timeout", "40", "-recv_timeout", "20000"]);
        command.args(["-trace_err", "-error_file", "errors", "-trace_msg", "-message_file", "messages"]);
        command.args(["-trace_stat", "-stf", "statistics", "-fd", "1"]);
        command.args(["-t", if part.transport == Transport::Tcp { "t1" } else { "u1" }]);
        command.args(&part.options);
        command.args(part.calls.map(|gateway| gateway.to_string()));
        let child = command.spawn().unwrap();
        let many = part.options.iter().any(|option| option == "-m");
        Self { many, child, name: part.file.clone(), port, transport: part.transport, folder }
    }

    /// Its SIP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until its socket is open: the kernel's table shows it without disturbing it.
    pub fn listens(&mut self, patience: Duration) {
        let (table, port) = (if self.transport == Transport::Tcp { "tcp" } else { "udp" }, self.port);
        let local = format!("0100007F:{port:04X} ");
        let open = || fs::read_to_string(format!("/proc/net/{table}")).unwrap().contains(&local);
        assert!(until(patience, open), "{} does not listen on {port}\n{}", self.name, self.tail("screen"));
    }

    /// Waits for its end and reads its verdict: one successful call, no failed one.
    pub fn finish(&mut self, patience: Duration) -> Result<(), String> {
        if self.many {
            self.dismiss();
        }
        let mut status = None;
        until(patience, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let Some(status) = status else {
            return Err(self.complaint("did not come to an end"));
        };
        if !status.success() && !self.many {
            return Err(self.complaint(&format!("{status}")));
        }
        match (self.counted("SuccessfulCall(C)"), self.counted("FailedCall(C)")) {
            (Some(1), Some(0)) => Ok(()),
            (Some(1..), Some(0)) if self.many => Ok(()),
            (good, bad) => Err(self.complaint(&format!("counts {good:?} successful calls and {bad:?} failed ones"))),
        }
    }

    /// Tells one that goes on to end what it has begun.
    fn dismiss(&self) {
        let id = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        let _ = rustix::process::kill_process(id, rustix::process::Signal::USR1);
    }

    /// A column of the last line of its statistics.
    fn counted(&self, column: &str) -> Option<u64> {
        let text = fs::read_to_string(self.folder.join("statistics")).ok()?;
        let mut lines = text.lines();
        let at = lines.next()?.split(';').position(|name| name == column)?;
        lines.next_back()?.split(';').nth(at)?.parse().ok()
    }

    fn complaint(&self, what: &str) -> String {
        let (errors, messages) = (self.tail("errors"), self.tail("messages"));
        let errors = if errors.is_empty() { self.tail("screen") } else { errors };
        format!("--- {}: {what}\n{errors}\n--- {}: messages\n{messages}", self.name, self.name)
    }

    fn tail(&self, file: &str) -> String {
        let text = fs::read(self.folder.join(file)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.unwrap_or_default();
        let start = text.char_indices().rev().nth(8_000).map_or(0, |(at, _)| at);
        text[start..].to_owned()
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        // Already over in a test that passed; a test that failed must not leave it behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
