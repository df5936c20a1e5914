//! Who registers where, with Digest, between programs that are not ours: the gateway at Kamailio, which wants the password
//! for every call too, and baresip and Kamailio at the gateway.

use super::process::{Sipp, free_port, listens, media_ports, until};
use super::{PATIENCE, ended, installed, listener};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use trunkline::gateway::Gateway;
use trunkline::sip::Protocol;

/// A program that runs until its test is over, and what it said.
struct Peer {
    child: Child,
    log: PathBuf,
}

// === impl Peer ===

impl Peer {
    fn start(mut command: Command, log: PathBuf) -> Self {
        let output = fs::File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        Self { child: command.spawn().unwrap(), log }
    }

    fn kamailio(folder: &Path, port: u16, text: &str) -> Self {
        let file = folder.join("registrar.cfg");
        fs::write(&file, text).unwrap();
        let program = ["/usr/sbin/kamailio", "/usr/bin/kamailio"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(program.unwrap_or("kamailio"));
        command.args(["-DD", "-E", "-m", "32", "-M", "4", "-f"]).arg(&file).arg("-Y").arg(folder);
        let peer = Self::start(command, folder.join("registrar.log"));
        assert!(listens(Protocol::Udp, port, Duration::from_secs(15)), "kamailio does not listen\n{}", peer.said());
        peer
    }

    fn baresip(folder: &Path, account: &str, commands: &[&str]) -> Self {
        let (folder, media, modules) = (folder.join("baresip"), free_port(), "/usr/lib/baresip/modules");
        fs::create_dir_all(&folder).unwrap();
        let config = format!(
            "sip_listen 127.0.0.1:0\naudio_source ausine,440\naudio_player aufile,{}\nrtp_ports {media}-{}\n\
             module_path {modules}\nmodule g711.so\nmodule ausine.so\nmodule aufile.so\nmodule_tmp account.so\nmodule_app menu.so\n",
            folder.join("heard.wav").display(),
            media + 7
        );
        fs::write(folder.join("config"), config).unwrap();
        fs::write(folder.join("accounts"), format!("{account}\n")).unwrap();
        fs::write(folder.join("contacts"), "").unwrap();
        let mut command = Command::new("baresip");
        command.arg("-f").arg(&folder).args(["-v", "-t", "30"]);
        for text in commands {
            command.args(["-e", text]);
        }
        Self::start(command, folder.join("log"))
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn says(&self, text: &str) -> bool {
        until(PATIENCE, || self.said().contains(text))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Kamailio's first process ends the others when it is asked to; killed, it would leave them behind.
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

async fn gateway(trunk: &str, uri: &str, target: &str) -> Gateway {
    let ports = media_ports();
    let text = format!(
        "[sip]\nlisten = [\"udp:127.0.0.1:0\", \"tcp:127.0.0.1:0\"]\nshards = 2\n[media]\nbind = \"127.0.0.1\"\nports = \"{ports}\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[[trunk]]\nname = \"pbx\"\n{trunk}\n\
         [[target]]\nname = \"cloud\"\nkind = \"sip\"\nuri = \"{uri}\"\n{target}\n[[route]]\ntargets = [\"cloud\"]\n"
    );
    let config = trunkline::config::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Gateway::start(config).await.unwrap()
}

/// Waits for a line of the metrics that another program's doing makes true.
fn shows(gateway: &Gateway, line: &str, peer: &Peer) {
    let page = || gateway.metrics().encode();
    let shown = tokio::task::block_in_place(|| until(PATIENCE, || page().contains(line)));
    assert!(shown, "no `{line}` in\n{}\n{}", page(), peer.said());
}

/// Kamailio as registrar and proxy that wants the password for REGISTER, INVITE and BYE.
async fn registers_at_kamailio(algorithm: &str) {
    if !installed("kamailio", "kamailio") || !installed("sipp", "sip-tester") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut callee = Sipp::answers("cloud-answers", folder.path());
    let port = free_port();
    let kamailio = Peer::kamailio(folder.path(), port, &proxy_that_asks(port, callee.port(), algorithm));
    let target = "auth = { username = \"gw\", password = \"of-the-cloud\", realm = \"cloud.test\" }\nregister = { expires = \"60s\" }";
    let mut gateway = gateway("peers = [\"127.0.0.1\"]", &format!("sip:bot@127.0.0.1:{port}"), target).await;
    shows(&gateway, "trunkline_registered{target=\"cloud\"} 1", &kamailio);
    assert!(kamailio.says("PROVEN REGISTER"), "{}", kamailio.said());
    let mut pbx = Sipp::calls("pbx-calls", listener(&gateway, Protocol::Udp), folder.path());
    let record = ended(&gateway).await;
    let verdict = tokio::task::spawn_blocking(move || pbx.finish(PATIENCE)).await.unwrap();
    assert!(verdict.is_ok(), "{}\n{}\n{record:#?}", verdict.unwrap_err(), kamailio.said());
    let end = record.termination.as_ref().map(|end| end.cause.entry().code);
    assert_eq!(end, Some("caller_hung_up"), "{}\n{record:#?}", kamailio.said());
    assert!(kamailio.says("PROVEN INVITE") && kamailio.says("PROVEN BYE"), "{}", kamailio.said());
    assert!(callee.finish(PATIENCE).is_ok());
    gateway.stop().await;
    assert!(kamailio.says("TAKEN BACK"), "{}", kamailio.said());
    assert!(gateway.metrics().encode().contains("trunkline_registered{target=\"cloud\"} 0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kamailio_takes_our_registration_and_calls_with_md5() {
    registers_at_kamailio("MD5").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kamailio_takes_our_registration_and_calls_with_sha_256() {
    registers_at_kamailio("SHA-256").await;
}

/// baresip registers, calls in, and unregisters when it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_softphone_registers_and_calls_with_its_password() {
    if !installed("baresip", "baresip-core") || !installed("sipp", "sip-tester") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut callee = Sipp::answers("cloud-answers", folder.path());
    // baresip 1.0 gives up at the first challenge whose algorithm it does not know.
    let trunk = "auth = { username = \"pbx\", password = \"secret\", algorithms = [\"MD5\"] }\nregister = true";
    let mut gateway = gateway(trunk, &format!("sip:bot@127.0.0.1:{}", callee.port()), "").await;
    let to = listener(&gateway, Protocol::Udp);
    let account = format!("<sip:pbx@{to}>;auth_user=pbx;auth_pass=secret;regint=60");
    let phone = Peer::baresip(folder.path(), &account, &[&format!("/dial sip:+15550100999@{to}")]);
    shows(&gateway, "trunkline_trunk_contacts{trunk=\"pbx\"} 1", &phone);
    let record = ended(&gateway).await;
    let end = record.termination.as_ref().map(|end| end.cause.entry().code);
    // It has no sound card, and so hangs up once it is answered.
    assert_eq!(end, Some("caller_hung_up"), "{}\n{record:#?}", phone.said());
    assert!(record.answered_ms.is_some());
    assert_eq!(record.trunk.as_deref(), Some("pbx"));
    assert!(callee.finish(PATIENCE).is_ok());
    let page = gateway.metrics().encode();
    assert!(page.contains("trunkline_auth_attempts_total{trunk=\"pbx\",result=\"accepted\"}"), "{page}");
    gateway.stop().await;
}

/// Kamailio registers for a PBX behind it, and proves that PBX's calls, under the number of the INVITE that was challenged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kamailio_registers_and_calls_with_its_password() {
    if !installed("kamailio", "kamailio") || !installed("sipp", "sip-tester") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut callee = Sipp::answers("cloud-answers", folder.path());
    let trunk = "auth = { username = \"pbx\", password = \"secret\", algorithms = [\"MD5\"] }\nregister = true";
    let mut gateway = gateway(trunk, &format!("sip:bot@127.0.0.1:{}", callee.port()), "").await;
    let (to, port) = (listener(&gateway, Protocol::Udp), free_port());
    let kamailio = Peer::kamailio(folder.path(), port, &client_that_registers(port, to, folder.path()));
    shows(&gateway, "trunkline_trunk_contacts{trunk=\"pbx\"} 1", &kamailio);
    let mut pbx = Sipp::calls("pbx-calls", SocketAddr::from(([127, 0, 0, 1], port)), folder.path());
    let record = ended(&gateway).await;
    let verdict = tokio::task::spawn_blocking(move || pbx.finish(PATIENCE)).await.unwrap();
    assert!(verdict.is_ok(), "{}\n{}\n{record:#?}", verdict.unwrap_err(), kamailio.said());
    let end = record.termination.as_ref().map(|end| end.cause.entry().code);
    assert_eq!((end, record.trunk.as_deref()), (Some("caller_hung_up"), Some("pbx")), "{record:#?}");
    assert!(kamailio.says("PROVES"), "{}", kamailio.said());
    assert!(callee.finish(PATIENCE).is_ok());
    gateway.stop().await;
}

fn modules() -> &'static str {
    let paths = ["/usr/lib/x86_64-linux-gnu/kamailio/modules", "/usr/lib/aarch64-linux-gnu/kamailio/modules"];
    paths.into_iter().find(|path| Path::new(path).exists()).unwrap_or("/usr/lib/kamailio/modules")
}

fn head(port: u16) -> String {
    format!(
        "#!KAMAILIO\ndebug=1\nlog_stderror=yes\nfork=yes\nchildren=1\nauto_aliases=no\ndns=no\nrev_dns=no\ndisable_tcp=yes\n\
         mpath=\"{}\"\nlisten=udp:127.0.0.1:{port}\nloadmodule \"tm.so\"\nloadmodule \"sl.so\"\nloadmodule \"pv.so\"\n\
         loadmodule \"textops.so\"\nloadmodule \"siputils.so\"\nloadmodule \"xlog.so\"\n",
        modules()
    )
}

fn proxy_that_asks(port: u16, callee: u16, algorithm: &str) -> String {
    let head = head(port);
    format!(
        r#"{head}
loadmodule "rr.so"
loadmodule "auth.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
modparam("usrloc", "db_mode", 0)
modparam("registrar", "min_expires", 30)

request_route {{
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("cloud.test", "of-the-cloud", "0")) {{ www_challenge("cloud.test", "1"); exit; }}
        xlog("L_ALERT", "PROVEN $rm\n");
        if ($hdr(Expires) == "0") {{ xlog("L_ALERT", "TAKEN BACK\n"); }}
        save("location");
        exit;
    }}
    if (is_method("ACK")) {{
        if (has_totag()) {{ if (loose_route()) {{ t_relay(); }} else if (t_check_trans()) {{ t_relay(); }} }}
        exit;
    }}
    if (is_method("INVITE|BYE") && $si == "127.0.0.1" && $sp != {callee}) {{
        if (!pv_proxy_authenticate("cloud.test", "of-the-cloud", "0")) {{ proxy_challenge("cloud.test", "1"); exit; }}
        xlog("L_ALERT", "PROVEN $rm\n");
        consume_credentials();
    }}
    if (has_totag()) {{ loose_route(); t_relay(); exit; }}
    record_route();
    $du = "sip:127.0.0.1:{callee}";
    t_relay();
}}
"#
    )
}

/// Kamailio's module uac: it registers by itself, its account in a table of text.
fn client_that_registers(port: u16, registrar: SocketAddr, folder: &Path) -> String {
    let (head, tables) = (head(port), folder.join("tables"));
    fs::create_dir_all(&tables).unwrap();
    fs::write(tables.join("version"), "table_name(string) table_version(int)\nuacreg:5\n").unwrap();
    let columns = "id(int,auto) l_uuid(string) l_username(string) l_domain(string) r_username(string) r_domain(string) \
                   realm(string,null) auth_username(string) auth_password(string) auth_ha1(string,null) \
                   auth_proxy(string) expires(int) flags(int) reg_delay(int) contact_addr(string,null) socket(string,null)";
    // A colon within a value is written with a backslash.
    let proxy = format!("sip:{registrar}").replace(':', "\\:");
    let account = format!("1:line-7:pbx:127.0.0.1:pbx:127.0.0.1::pbx:secret::{proxy}:60:0:0::");
    fs::write(tables.join("uacreg"), format!("{columns}\n{account}\n")).unwrap();
    let tables = tables.display();
    format!(
        r#"{head}
loadmodule "rr.so"
loadmodule "db_text.so"
loadmodule "uac.so"
modparam("uac", "reg_db_url", "text://{tables}")
modparam("uac", "reg_contact_addr", "127.0.0.1:{port}")
modparam("uac", "reg_timer_interval", 1)
modparam("uac", "restore_mode", "none")
modparam("uac", "auth_realm_avp", "$avp(realm)")
modparam("uac", "auth_username_avp", "$avp(user)")
modparam("uac", "auth_password_avp", "$avp(password)")

request_route {{
    if (has_totag()) {{ loose_route(); t_relay(); exit; }}
    if (!is_method("INVITE")) {{ exit; }}
    record_route();
    t_on_failure("PROVE");
    $du = "sip:{registrar}";
    t_relay();
}}

failure_route[PROVE] {{
    if (t_check_status("401|407")) {{
        $avp(realm) = "";
        $avp(user) = "pbx";
        $avp(password) = "secret";
        if (uac_auth()) {{ xlog("L_ALERT", "PROVES\n"); t_relay(); }}
    }}
}}
"#
    )
}
