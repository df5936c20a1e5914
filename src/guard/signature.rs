//! The names that scanners give themselves, looked for in the raw bytes: a scanner is not worth a parse.

/// In small letters.
#[derive(Debug)]
pub(super) struct Signatures(Vec<Vec<u8>>);

/// Further than this no `User-Agent` is looked for: the body is not read.
const LOOKED_AT: usize = 4_096;

// === impl Signatures ===

impl Signatures {
    pub(super) fn new(signatures: &[String]) -> Self {
        let usable = signatures.iter().filter(|signature| !signature.trim().is_empty());
        Self(usable.map(|signature| signature.trim().to_ascii_lowercase().into_bytes()).collect())
    }

    /// Does the `User-Agent` of this message have one of them in it?
    pub(super) fn match_in(&self, message: &[u8]) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let message = message.get(..LOOKED_AT).unwrap_or(message);
        let mut rest = message;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            rest = rest.get(end + 1..).unwrap_or_default();
            match rest.first() {
                Some(b'\r' | b'\n') | None => return false, // the body begins
                Some(b'u' | b'U') => {
                    if let Some(value) = user_agent(rest) {
                        return self.fits(value);
                    }
                }
                Some(_) => {}
            }
        }
        false
    }

    fn fits(&self, value: &[u8]) -> bool {
        self.0
            .iter()
            .any(|signature| value.windows(signature.len()).any(|window| window.eq_ignore_ascii_case(signature)))
    }
}

/// The value of the `User-Agent` line that `rest` starts with, if it does.
fn user_agent(rest: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"user-agent";
    let (name, after) = rest.split_at_checked(NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let line = after.get(..memchr::memchr(b'\n', after).unwrap_or(after.len()))?;
    line.trim_ascii_start().strip_prefix(b":")
}

#[cfg(test)]
mod tests {
    use super::Signatures;

    fn fits(agent_line: &str) -> bool {
        let signatures = Signatures::new(&["Friendly-Scanner".to_owned(), "sipcli".to_owned(), " ".to_owned()]);
        let message = format!(
            "OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2\r\n{agent_line}\r\nUser-to-User: 00\r\n\r\nUser-Agent: sipcli\r\n"
        );
        signatures.match_in(message.as_bytes())
    }

    #[test]
    fn a_scanner_is_known_by_a_part_of_its_name_in_any_case() {
        assert!(fits("User-Agent: friendly-scanner"));
        assert!(fits("user-agent :\tFRIENDLY-SCANNER/1.0"));
        assert!(fits("USER-AGENT:sipcli/v1.8"));
    }

    #[test]
    fn a_pbx_that_only_mentions_one_elsewhere_is_not_a_scanner() {
        assert!(!fits("User-Agent: Asterisk PBX 20"));
        assert!(!fits("Subject: friendly-scanner"));
        assert!(!fits("X-User-Agent: sipcli"));
        assert!(!fits("User-Agent"));
    }

    #[test]
    fn without_signatures_nobody_is_a_scanner() {
        assert!(!Signatures::new(&[]).match_in(b"OPTIONS x SIP/2.0\r\nUser-Agent: sipcli\r\n\r\n"));
    }
}
