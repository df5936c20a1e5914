//! baresip as a phone that calls the gateway: another SIP stack, another TLS library, and a caller whose Contact is not
//! where its connection comes from.

use crate::certificates::Certificates;
use crate::process::free_port;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use trunkline::sip::Protocol;

/// A running baresip.
pub struct Phone {
    child: Child,
    log: PathBuf,
}

// === impl Phone ===

impl Phone {
    /// Starts it, and lets it call the gateway.
    pub fn call(folder: &Path, certificates: &Certificates, protocol: Protocol, gateway: SocketAddr) -> Self {
        let folder = folder.join("baresip");
        fs::create_dir_all(&folder).unwrap();
        let (certificate, key, ca) = certificates.files();
        // baresip wants both in one file.
        let both = fs::read_to_string(certificate).unwrap() + &fs::read_to_string(key).unwrap();
        fs::write(folder.join("both.pem"), both).unwrap();
        fs::write(folder.join("said.wav"), silence()).unwrap();
        let media = free_port();
        let modules = "/usr/lib/baresip/modules";
        let config = format!(
            "sip_listen 127.0.0.1:0\nsip_certificate {}\nsip_cafile {}\naudio_source aufile,{}\naudio_player aufile,{}\n\
             net_interface 127.0.0.1\n\
             rtp_ports {media}-{}\nmodule_path {modules}\nmodule g711.so\nmodule aufile.so\n\
             module_tmp account.so\nmodule_app menu.so\n",
            folder.join("both.pem").display(),
            ca.display(),
            folder.join("said.wav").display(),
            folder.join("heard.wav").display(),
            media + 7
        );
        fs::write(folder.join("config"), config).unwrap();
        let by = protocol.as_str();
        fs::write(folder.join("accounts"), format!("<sip:+15550100123@127.0.0.1;transport={by}>;regint=0\n")).unwrap();
        fs::write(folder.join("contacts"), "").unwrap();
        let log = folder.join("log");
        let output = fs::File::create(&log).unwrap();
        let child = Command::new("baresip")
            .arg("-f")
            .arg(&folder)
            .args(["-v", "-t", "30", "-e", &format!("/dial sip:+15550100999@{gateway}")])
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// What it said.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

/// A WAVE file of ten seconds of nothing, 8000 samples of 16 bits a second.
fn silence() -> Vec<u8> {
    const SAMPLES: u32 = 80_000;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + SAMPLES * 2).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0, 1, 0]); // PCM, one channel
    file.extend(8_000_u32.to_le_bytes());
    file.extend(16_000_u32.to_le_bytes());
    file.extend([2, 0, 16, 0]); // bytes and bits of a sample
    file.extend(b"data");
    file.extend((SAMPLES * 2).to_le_bytes());
    file.resize(file.len() + SAMPLES as usize * 2, 0);
    file
}

impl Drop for Phone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
