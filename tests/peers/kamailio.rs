//! Kamailio as the proxy in front of a callee: it puts itself into the route of each dialog, by whatever transport the
//! call comes in, and goes on by UDP.

use crate::certificates::Certificates;
use crate::process::{free_port, listens, until};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use trunkline::sip::Protocol;

/// A running Kamailio.
pub struct Proxy {
    child: Child,
    port: u16,
    tls_port: u16,
    log: PathBuf,
}

// === impl Proxy ===

impl Proxy {
    /// Starts it in front of the callee at this port.
    pub fn start(folder: &Path, certificates: &Certificates, callee: u16) -> Self {
        let (port, tls_port) = (free_port(), free_port());
        let (file, log) = (folder.join("kamailio.cfg"), folder.join("kamailio.log"));
        fs::write(&file, configuration(certificates, port, tls_port, callee)).unwrap();
        let program = ["/usr/sbin/kamailio", "/usr/bin/kamailio"].into_iter().find(|path| Path::new(path).exists());
        let child = Command::new(program.unwrap_or("kamailio"))
            .args(["-DD", "-E", "-m", "32", "-M", "4", "-f"])
            .arg(&file)
            .arg("-Y")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let proxy = Self { child, port, tls_port, log };
        for (protocol, port) in [(Protocol::Udp, port), (Protocol::Tcp, port), (Protocol::Tls, tls_port)] {
            assert!(listens(protocol, port, Duration::from_secs(15)), "kamailio does not listen\n{}", proxy.log());
        }
        proxy
    }

    /// Where it takes calls.
    pub fn port(&self, protocol: Protocol) -> u16 {
        if protocol == Protocol::Tls { self.tls_port } else { self.port }
    }

    /// The requests that it led on, in order, each once, as soon as there are three.
    pub fn passed(&mut self) -> Vec<String> {
        let read = || {
            let log = self.log();
            let mut methods: Vec<String> =
                log.lines().filter_map(|line| Some(line.split_once("PASSED ")?.1.trim().to_owned())).collect();
            methods.dedup();
            methods
        };
        until(Duration::from_secs(5), || read().len() >= 3);
        read()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its first process ends the others when it is asked to; killed, it would leave them behind.
        if let Some(id) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let mut ended = false;
        until(Duration::from_secs(10), || {
            ended = self.child.try_wait().is_ok_and(|status| status.is_some());
            ended
        });
        if !ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn configuration(certificates: &Certificates, port: u16, tls_port: u16, callee: u16) -> String {
    let (certificate, key, _) = certificates.files();
    let modules = ["/usr/lib/x86_64-linux-gnu/kamailio/modules", "/usr/lib/aarch64-linux-gnu/kamailio/modules"];
    let modules = modules.into_iter().find(|path| Path::new(path).exists()).unwrap_or("/usr/lib/kamailio/modules");
    format!(
        r#"#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=1
tcp_children=1
auto_aliases=no
dns=no
rev_dns=no
enable_tls=yes
mpath="{modules}"
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
listen=tls:127.0.0.1:{tls_port}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "tls.so"
modparam("tls", "certificate", "{}")
modparam("tls", "private_key", "{}")
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "verify_certificate", 0)
modparam("tls", "require_certificate", 0)
modparam("rr", "enable_double_rr", 1)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ xlog("L_ALERT", "PASSED $rm\n"); t_relay(); exit; }}
        if (is_method("ACK") && t_check_trans()) {{ t_relay(); exit; }}
        xlog("L_ALERT", "LOST $rm\n");
        sl_send_reply("404", "No Route");
        exit;
    }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    xlog("L_ALERT", "PASSED $rm\n");
    record_route();
    $du = "sip:127.0.0.1:{callee}";
    t_relay();
}}
"#,
        certificate.display(),
        key.display()
    )
}
