//! A name server on loopback that knows a handful of names.

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record};
use hickory_resolver::proto::serialize::binary::{BinDecodable as _, BinEncodable as _};
use std::net::{SocketAddr, UdpSocket};
use std::str::FromStr as _;

/// A thread that answers until its socket is asked for nothing more: it ends with the process.
pub struct NameServer {
    address: SocketAddr,
}

/// A service of this priority.
pub fn srv(priority: u16, port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(priority, 10, port, name(target)))
}

/// A transport of a domain.
pub fn naptr(order: u16, service: &str, replacement: &str) -> RData {
    RData::NAPTR(NAPTR::new(
        order,
        10,
        b"s".as_slice().into(),
        service.as_bytes().into(),
        Box::default(),
        name(replacement),
    ))
}

/// An address.
pub fn a(address: &str) -> RData {
    RData::A(A(address.parse().unwrap()))
}

fn name(text: &str) -> Name {
    Name::from_str(&format!("{text}.")).unwrap()
}

// === impl NameServer ===

impl NameServer {
    /// Serves these records with a TTL of a minute.
    pub fn start(records: &[(&str, RData)]) -> Self {
        let records: Vec<Record> =
            records.iter().map(|(owner, data)| Record::from_rdata(name(owner), 60, data.clone())).collect();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                if let Ok(question) = Message::from_bytes(&buffer[..length]) {
                    let _ = socket.send_to(&answer(&question, &records), peer);
                }
            }
        });
        Self { address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn answer(question: &Message, records: &[Record]) -> Vec<u8> {
    let mut response = question.clone();
    response.metadata.message_type = MessageType::Response;
    response.metadata.authoritative = true;
    response.metadata.recursion_available = true;
    let mut known = false;
    for query in &question.queries {
        for record in records {
            // hickory writes names in random case, and wants them back so.
            if record.name.to_lowercase() == query.name().to_lowercase() {
                known = true;
                if record.record_type() == query.query_type() {
                    let mut found = record.clone();
                    found.name = query.name().clone();
                    response.answers.push(found);
                }
            }
        }
    }
    response.metadata.response_code = if known { ResponseCode::NoError } else { ResponseCode::NXDomain };
    response.to_bytes().unwrap()
}
