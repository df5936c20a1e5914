//! Questions put to name servers by hickory, in tokio: the system's, with its hosts file, or those that are configured.
//! Apart, so that everything else here is tested without a network.

use super::cache::{Answer, Lookup, Question, Record, Source};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup as Found;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use std::net::SocketAddr;
use std::time::Duration;

/// How long a name server may take for one try, and how often it is tried.
const TRY: Duration = Duration::from_millis(1500);
const TRIES: usize = 2;
/// What a "no" without SOA holds.
const UNSAID: Duration = Duration::from_secs(30);

/// A name server and how it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameServer {
    /// By datagrams, and by a stream when the answer is cut off.
    Udp(SocketAddr),
    /// By a stream.
    Tcp(SocketAddr),
}

/// Asks the name servers of this machine, or `servers` if there are any.
///
/// # Errors
/// Neither can be used, in words.
pub fn source(servers: &[NameServer]) -> Result<Source, String> {
    let words = |error: NetError| error.to_string();
    let mut builder = match servers {
        [] => TokioResolver::builder_tokio().map_err(words)?,
        servers => {
            let config = ResolverConfig::from_name_servers(servers.iter().map(name_server).collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    adjust(builder.options_mut());
    let resolver = builder.build().map_err(words)?;
    Ok(Box::new(move |question| -> Lookup {
        let resolver = resolver.clone();
        Box::pin(async move { ask(&resolver, question).await })
    }))
}

fn adjust(options: &mut ResolverOpts) {
    options.timeout = TRY;
    options.attempts = TRIES;
    // The cache of this program has the clock that tests turn.
    options.cache_size = 0;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Always;
}

fn name_server(server: &NameServer) -> NameServerConfig {
    let (address, connections) = match server {
        NameServer::Udp(address) => (address, vec![ConnectionConfig::udp(), ConnectionConfig::tcp()]),
        NameServer::Tcp(address) => (address, vec![ConnectionConfig::tcp()]),
    };
    let mut config = NameServerConfig::new(address.ip(), true, connections);
    for connection in &mut config.connections {
        connection.port = address.port();
    }
    config
}

async fn ask(resolver: &TokioResolver, question: Question) -> Result<Answer, String> {
    let found = match question {
        Question::Addresses(host) => resolver.lookup_ip(host).await.map(|found| answer(found.as_lookup())),
        Question::Services(name) => of_type(resolver, name, RecordType::SRV).await,
        Question::Pointers(name) => of_type(resolver, name, RecordType::NAPTR).await,
    };
    match found {
        Ok(answer) => Ok(answer),
        Err(NetError::Dns(DnsError::NoRecordsFound(no))) => {
            let ttl = no.negative_ttl.map_or(UNSAID, |seconds| Duration::from_secs(u64::from(seconds)));
            Ok(Answer { records: Vec::new(), ttl })
        }
        Err(error) => Err(error.to_string()),
    }
}

async fn of_type(resolver: &TokioResolver, name: String, kind: RecordType) -> Result<Answer, NetError> {
    // With its dot at the end: no search domain is meant.
    resolver.lookup(name + ".", kind).await.map(|found| answer(&found))
}

fn answer(found: &Found) -> Answer {
    let (mut records, mut ttl) = (Vec::new(), u32::MAX);
    for record in found.answers() {
        if let Some(known) = record_of(&record.data) {
            ttl = ttl.min(record.ttl);
            records.push(known);
        }
    }
    let ttl = if records.is_empty() { UNSAID } else { Duration::from_secs(u64::from(ttl)) };
    Answer { records, ttl }
}

fn record_of(data: &RData) -> Option<Record> {
    match data {
        RData::A(address) => Some(Record::Address(address.0.into())),
        RData::AAAA(address) => Some(Record::Address(address.0.into())),
        RData::SRV(srv) => Some(Record::Service {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: text_of(&srv.target),
        }),
        // RFC 3263 §4.1: only the flag `s` is used, and no regular expression.
        RData::NAPTR(naptr) if naptr.flags.eq_ignore_ascii_case(b"s") => Some(Record::Pointer {
            order: naptr.order,
            preference: naptr.preference,
            service: String::from_utf8_lossy(&naptr.services).into_owned(),
            replacement: text_of(&naptr.replacement),
        }),
        _ => None,
    }
}

/// Without the dot at its end; empty for the root.
fn text_of(name: &Name) -> String {
    name.to_utf8().trim_end_matches('.').to_ascii_lowercase()
}
