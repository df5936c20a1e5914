//! Programs that play a part: started on ports that were free, ended when the test is.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use trunkline::sip::Protocol;

/// A running SIPp.
pub struct Sipp {
    child: Child,
    port: u16,
    folder: PathBuf,
}

/// A port that nobody has, for UDP and TCP, below the ephemeral ones; each call of a run gives another one.
pub fn free_port() -> u16 {
    const EACH: u16 = 8;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let run = 6_000 + u16::try_from(std::process::id() % 4).unwrap() * 800;
    loop {
        let port = run + NEXT.fetch_add(1, Ordering::Relaxed) % (800 / EACH) * EACH;
        let free =
            |port| UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (port..port + EACH).all(free) {
            return port;
        }
    }
}

/// Media ports for one gateway.
pub fn media_ports() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let run = u16::try_from(std::process::id() % 8).unwrap() * 256;
    let first = 18_000 + run + NEXT.fetch_add(1, Ordering::Relaxed) % 16 * 16;
    format!("{first}-{}", first + 15)
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

/// Waits until a port is listened on: the kernel's table shows it without disturbing it.
pub fn listens(protocol: Protocol, port: u16, patience: Duration) -> bool {
    let table = if protocol == Protocol::Udp { "udp" } else { "tcp" };
    let local = format!("0100007F:{port:04X} ");
    until(patience, || fs::read_to_string(format!("/proc/net/{table}")).unwrap().contains(&local))
}

// === impl Sipp ===

impl Sipp {
    /// The side that calls, by UDP.
    pub fn calls(scenario: &str, gateway: SocketAddr, folder: &Path) -> Self {
        Self::start(scenario, Protocol::Udp, &["-s", "+15550100999", &gateway.to_string()], folder)
    }

    /// The side that is called, by UDP.
    pub fn answers(scenario: &str, folder: &Path) -> Self {
        Self::answers_by(scenario, Protocol::Udp, folder)
    }

    /// The side that is called.
    pub fn answers_by(scenario: &str, protocol: Protocol, folder: &Path) -> Self {
        let sipp = Self::start(scenario, protocol, &[], folder);
        assert!(listens(protocol, sipp.port, Duration::from_secs(10)), "sipp does not listen");
        sipp
    }

    fn start(scenario: &str, protocol: Protocol, more: &[&str], folder: &Path) -> Self {
        let port = free_port();
        let folder = folder.join(scenario);
        fs::create_dir_all(&folder).unwrap();
        let screen = fs::File::create(folder.join("screen")).unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sip-fixtures/scenarios/{scenario}.xml"));
        let mut command = Command::new("sipp");
        command.current_dir(&folder).stdin(Stdio::null()).stderr(screen.try_clone().unwrap()).stdout(screen);
        command.arg("-sf").arg(file).args(["-i", "127.0.0.1", "-p", &port.to_string(), "-mp", &(port + 2).to_string()]);
        command.args(["-m", "1", "-nostdin", "-timeout", "40", "-recv_timeout", "20000"]);
        command.args(["-trace_err", "-error_file", "errors", "-trace_msg", "-message_file", "messages"]);
        command.args(["-t", if protocol == Protocol::Tcp { "t1" } else { "u1" }]).args(more);
        Self { child: command.spawn().unwrap(), port, folder }
    }

    /// Its SIP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for its end: one call, as its scenario has it.
    pub fn finish(&mut self, patience: Duration) -> Result<(), String> {
        let mut status = None;
        until(patience, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        if status.is_some_and(|status| status.success()) {
            return Ok(());
        }
        let read = |file| fs::read(self.folder.join(file)).unwrap_or_default();
        let text = [read("errors"), read("messages")].concat();
        Err(format!("{} ended with {status:?}\n{}", self.folder.display(), String::from_utf8_lossy(&text)))
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
