//! The packets of a pcap or pcapng file with link type and time. Apart from what is in them, because only here two file
//! formats differ.

use super::CaptureError;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};
use std::time::{Duration, SystemTime};

/// The longest block that is read; packets are far shorter.
const LONGEST_BLOCK: usize = 1 << 20;

/// One packet.
pub(super) struct Packet<'p> {
    pub link: Linktype,
    pub data: &'p [u8],
    pub at: Option<SystemTime>,
}

/// An interface of a pcapng section.
struct Interface {
    link: Linktype,
    offset: i64,
    /// Units of its clock in a second.
    resolution: u64,
}

#[derive(Default)]
struct State {
    /// Of a pcap: link type, and the units of its clock in a second.
    legacy: Option<(Linktype, u32)>,
    interfaces: Vec<Interface>,
}

/// Gives each packet out. What is said of the rest of a file that ends early comes back.
pub(super) fn packets(input: &[u8], mut give: impl FnMut(Packet<'_>)) -> Result<Option<String>, CaptureError> {
    let capacity = LONGEST_BLOCK.min(input.len().max(4096));
    let mut reader = create_reader(capacity, input).map_err(|error| CaptureError::File(words(&error)))?;
    let mut state = State::default();
    let mut asked = false;
    loop {
        match reader.next() {
            Ok((length, block)) => {
                if let Some(packet) = state.packet(&block) {
                    give(packet);
                }
                reader.consume(length);
                asked = false;
            }
            Err(PcapError::Eof) => return Ok(None),
            Err(PcapError::Incomplete(_)) if !asked => {
                asked = true; // once for each block: a file that ends within one has no more
                if reader.refill().is_err() {
                    return Ok(Some("the capture ends within a packet".to_owned()));
                }
            }
            Err(PcapError::Incomplete(_) | PcapError::UnexpectedEof) => {
                return Ok(Some("the capture ends within a packet".to_owned()));
            }
            Err(error) => return Ok(Some(format!("the rest of the capture cannot be read: {}", words(&error)))),
        }
    }
}

fn words<I>(error: &PcapError<I>) -> String {
    match error {
        PcapError::Eof | PcapError::UnexpectedEof | PcapError::Incomplete(_) => "it ends too early",
        PcapError::BufferTooSmall => "a block is too long",
        PcapError::ReadError => "it cannot be read",
        PcapError::HeaderNotRecognized => "it is neither pcap nor pcapng",
        PcapError::NomError(..) | PcapError::OwnedNomError(..) => "a block is damaged",
    }
    .to_owned()
}

fn time(seconds: i64, fraction: u64, resolution: u64) -> Option<SystemTime> {
    let nanoseconds = u128::from(fraction) * 1_000_000_000 / u128::from(resolution.max(1));
    let since =
        Duration::from_secs(u64::try_from(seconds).ok()?) + Duration::from_nanos(u64::try_from(nanoseconds).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

// === impl State ===

impl State {
    fn packet<'b>(&mut self, block: &'b PcapBlockOwned<'_>) -> Option<Packet<'b>> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let units = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
                self.legacy = Some((header.network, units));
                None
            }
            PcapBlockOwned::Legacy(packet) => {
                let (link, units) = self.legacy?;
                let at = time(i64::from(packet.ts_sec), u64::from(packet.ts_usec), u64::from(units));
                Some(Packet { link, data: packet.data, at })
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                self.interfaces.clear();
                None
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                let resolution = interface.ts_resolution().unwrap_or(1_000_000);
                self.interfaces.push(Interface { link: interface.linktype, offset: interface.ts_offset(), resolution });
                None
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let interface = self.interfaces.get(usize::try_from(packet.if_id).ok()?)?;
                let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                let resolution = interface.resolution.max(1);
                let seconds = i64::try_from(units / resolution).ok()?.checked_add(interface.offset)?;
                let data = packet.data.get(..usize::try_from(packet.caplen).ok()?).unwrap_or(packet.data);
                Some(Packet { link: interface.link, data, at: time(seconds, units % resolution, resolution) })
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                let interface = self.interfaces.first()?;
                let data = packet.data.get(..usize::try_from(packet.origlen).ok()?).unwrap_or(packet.data);
                Some(Packet { link: interface.link, data, at: None })
            }
            PcapBlockOwned::NG(_) => None,
        }
    }
}
