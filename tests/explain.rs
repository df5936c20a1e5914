//! Explaining a call and placing it are the same: what `explain` says would leave is what a running gateway sends, byte for
//! byte but for what is random, and the decisions are those of the live call's record.

use bytes::Bytes;
use std::collections::HashSet;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use trunkline::config::{self, Config};
use trunkline::gateway::Gateway;
use trunkline::http::admin::Ask;

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-fixtures/messages")
}

fn config(target: &UdpSocket) -> Config {
    let port = target.local_addr().unwrap().port();
    config::parse(&format!(
        "[sip]\nlisten = [\"udp:127.0.0.1:0\"]\nshards = 1\n[http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [[trunk]]\nname = \"pbx\"\npeers = [\"127.0.0.0/8\"]\n[[target]]\nname = \"bots\"\nkind = \"sip\"\n\
         uri = \"sip:bots@127.0.0.1:{port}\"\nheaders = {{ x-caller = \"{{caller}}\", x-ucid = \"{{ucid}}\" }}\n\
         [[route]]\ncalled = '^\\+999'\ntargets = [\"bots\"]\n[[route]]\ntargets = [\"bots\"]\n"
    ))
    .unwrap()
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// The next INVITE that is no repetition; it is answered 486, so that the call ends.
fn next_invite(cloud: &UdpSocket, seen: &mut HashSet<String>) -> String {
    let mut buffer = vec![0; 65_536];
    loop {
        let (length, gateway) = cloud.recv_from(&mut buffer).unwrap();
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let line = |name: &str| message.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        if !message.starts_with("INVITE ") || !seen.insert(line("Call-ID:")) {
            continue;
        }
        let copied = ["Via:", "From:", "Call-ID:", "CSeq:"].map(line).join("\r\n");
        let busy =
            format!("SIP/2.0 486 Busy Here\r\n{copied}\r\n{};tag=cloud\r\nContent-Length: 0\r\n\r\n", line("To:"));
        cloud.send_to(busy.as_bytes(), gateway).unwrap();
        return message;
    }
}

/// The message without what differs from call to call: our Call-IDs, tags, branches, versions of SDP, media ports.
fn plain(message: &str) -> String {
    let number = |word: &str| word.len() > 12 && word.bytes().all(|byte| byte.is_ascii_digit());
    let same = |line: &str| {
        let words: Vec<String> =
            line.split(' ').map(|word| if number(word) { "N".to_owned() } else { word.to_owned() }).collect();
        let line = words.join(" ");
        let cut = |line: &str, mark: &str| match line.split_once(mark) {
            Some((before, after)) => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(after.len());
                format!("{before}{mark}X{}", &after[end..])
            }
            None => line.to_owned(),
        };
        ["branch=", ";tag=", "tl00-", "m=audio ", "Content-Length: "].iter().fold(line, |line, mark| cut(&line, mark))
    };
    message.lines().map(same).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_explained_is_what_is_sent() {
    let (pbx, cloud, mut seen) = (socket(), socket(), HashSet::new());
    let mut gateway = Gateway::start(config(&cloud)).await.unwrap();
    let sip = gateway.addresses().sip[0].1;
    for name in [
        "avaya-aura/extension-with-ucid.sip",
        "teams/two-identities.sip",
        "cisco-cucm/delayed-offer.sip",
        "folded-headers.sip",
    ] {
        let invite = std::fs::read(fixtures().join(name)).unwrap();
        let input = Bytes::from(invite.clone());
        let source = Some(pbx.local_addr().unwrap().ip());
        let ask = Ask { input, trunk: None, source, call_id: None };
        let told = gateway.operations().explain(ask).await.unwrap();
        let told = &told["invites"][0];
        assert_eq!(told["outcome"]["result"], "called", "{name}: {told:#}");

        pbx.send_to(&invite, sip).unwrap();
        let sent = next_invite(&cloud, &mut seen);
        assert_eq!(plain(told["sent"]["message"].as_str().unwrap()), plain(&sent), "{name}");

        let wanted = told["given"]["call_id"].as_str().unwrap();
        let listed = gateway.calls().await.into_iter().find(|call| call.pbx_call_id == wanted).unwrap();
        let live = gateway.call(&listed.call_id).await.unwrap();
        let told = told["decisions"].as_array().unwrap();
        assert!(told.len() > 5 && live.decisions.len() >= told.len(), "{name}");
        // Behind them, the live call has its end.
        for (told, live) in told.iter().zip(&live.decisions) {
            assert_eq!(plain(&told.to_string()), plain(&serde_json::to_string(live).unwrap()), "{name}");
        }
    }
    gateway.stop().await;
}

fn run(arguments: &[&str], input: &[u8]) -> Output {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn the_command_ends_as_the_contract_says() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\n[[trunk]]\nname = \"pbx\"\npeers = [\"192.0.2.0/24\"]\n\
        [[target]]\nname = \"bots\"\nkind = \"sip\"\nuri = \"bots@192.0.2.200\"\n[[route]]\ntargets = [\"bots\"]\n";
    std::fs::write(file.path(), text).unwrap();
    let config = file.path().to_str().unwrap();
    let invite = std::fs::read(fixtures().join("avaya-aura/forwarded-pstn-caller.sip")).unwrap();
    let ask = |more: &[&str], input: &[u8]| {
        let arguments = [&["explain", "--config", config], more, &["-"]].concat();
        let output = run(&arguments, input);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };

    let (status, stdout, stderr) = ask(&[], &invite);
    assert_eq!((status, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.contains("INVITE that would leave") && !stdout.contains('\x1b'), "{stdout}");
    let (status, stdout, _) = ask(&["--source", "203.0.113.1", "--json"], &invite);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(status, 0, "a refusal that is explained is explained");
    assert_eq!(report["invites"][0]["outcome"]["code"], "unknown_source");

    let (status, stdout, stderr) = ask(&[], b"REGISTER sip:192.0.2.1 SIP/2.0\r\n\r\n");
    assert_eq!((status, stdout.as_str()), (1, ""));
    assert!(stderr.contains("line 1") && stderr.contains("paste the INVITE"), "{stderr}");
    let (status, _, stderr) = ask(&["--trunk", "other"], &invite);
    assert_eq!(status, 2);
    assert!(stderr.contains("known names: pbx"), "{stderr}");
    assert_eq!(run(&["explain", "--config", config, "/nowhere/invite.sip"], b"").status.code(), Some(2));
    assert_eq!(run(&["explain", "--config", "/nowhere/x.toml", "-"], b"").status.code(), Some(2));
}
