//! The order in which records are tried: NAPTR by order and preference (RFC 3263 §4.1), SRV by priority and weight
//! (RFC 2782). Apart because it is arithmetic: records and randomness in, an order out.

use super::cache::Record;
use crate::clock::Entropy;
use crate::sip::Protocol;

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) target: String,
}

/// The SRV records in the order to try them, a new one each time. A target of `.` says that the service is not offered.
pub(super) fn services(records: &[Record], entropy: &mut Entropy) -> Vec<Service> {
    let mut left: Vec<Service> = records.iter().filter_map(service).collect();
    // RFC 2782: those of weight 0 stand first within their priority, so that they are rarely chosen.
    left.sort_by_key(|service| (service.priority, service.weight));
    let mut order = Vec::with_capacity(left.len());
    while let Some(priority) = left.first().map(|service| service.priority) {
        let equals = left.iter().take_while(|service| service.priority == priority);
        let total: u64 = equals.clone().map(|service| u64::from(service.weight)).sum();
        let mut point = entropy.below(total + 1);
        let mut chosen = 0;
        for (position, service) in equals.enumerate() {
            chosen = position;
            let weight = u64::from(service.weight);
            if point <= weight {
                break;
            }
            point -= weight;
        }
        order.push(left.remove(chosen));
    }
    order
}

fn service(record: &Record) -> Option<Service> {
    match record {
        Record::Service { priority, weight, port, target } if !target.is_empty() => {
            Some(Service { priority: *priority, weight: *weight, port: *port, target: target.clone() })
        }
        _ => None,
    }
}

/// The protocols that a domain takes, best first, each with the name of its SRV records; only those in `ours`.
pub(super) fn pointers(records: &[Record], ours: &[Protocol]) -> Vec<(Protocol, String)> {
    let mut known: Vec<(u16, u16, Protocol, &String)> = records
        .iter()
        .filter_map(|record| match record {
            Record::Pointer { order, preference, service, replacement } => {
                let protocol = match service.to_ascii_uppercase().as_str() {
                    "SIP+D2U" => Protocol::Udp,
                    "SIP+D2T" => Protocol::Tcp,
                    "SIPS+D2T" => Protocol::Tls,
                    _ => return None,
                };
                ours.contains(&protocol).then_some((*order, *preference, protocol, replacement))
            }
            _ => None,
        })
        .collect();
    known.sort_by_key(|(order, preference, ..)| (*order, *preference));
    known.into_iter().map(|(_, _, protocol, replacement)| (protocol, replacement.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srv(priority: u16, weight: u16, target: &str) -> Record {
        Record::Service { priority, weight, port: 5060, target: target.to_owned() }
    }

    fn names(services: &[Service]) -> Vec<&str> {
        services.iter().map(|service| service.target.as_str()).collect()
    }

    #[test]
    fn a_lower_priority_comes_first_and_a_dot_is_no_service() {
        let records = [srv(20, 0, "c"), srv(10, 0, "a"), srv(15, 65_535, "b"), srv(0, 0, "")];
        assert_eq!(names(&services(&records, &mut Entropy::seeded(1))), ["a", "b", "c"]);
    }

    #[test]
    fn equals_share_by_weight_and_each_is_tried_once() {
        let records = [srv(10, 75, "big"), srv(10, 25, "small"), srv(10, 0, "rare")];
        let mut entropy = Entropy::seeded(7);
        let mut first = [0; 3];
        for _ in 0..10_000 {
            let order = services(&records, &mut entropy);
            let mut all = names(&order);
            let position = ["big", "small", "rare"].iter().position(|name| *name == all[0]).unwrap();
            first[position] += 1;
            all.sort_unstable();
            assert_eq!(all, ["big", "rare", "small"]);
        }
        assert!((7_000..8_000).contains(&first[0]), "{first:?}");
        assert!((2_000..3_000).contains(&first[1]), "{first:?}");
        assert!(first[2] > 0 && first[2] < 300, "weight 0 has a very small chance: {first:?}");
    }

    #[test]
    fn the_domain_ranks_the_protocols_and_those_we_do_not_speak_are_passed_over() {
        let naptr = |order, preference, service: &str| Record::Pointer {
            order,
            preference,
            service: service.to_owned(),
            replacement: format!("{service}.example"),
        };
        let records =
            [naptr(90, 50, "sip+d2u"), naptr(50, 60, "SIP+D2T"), naptr(50, 50, "SIPS+D2T"), naptr(10, 1, "SIP+D2S")];
        let found = pointers(&records, &[Protocol::Udp, Protocol::Tcp, Protocol::Tls]);
        let protocols: Vec<Protocol> = found.iter().map(|(protocol, _)| *protocol).collect();
        assert_eq!(protocols, [Protocol::Tls, Protocol::Tcp, Protocol::Udp]);
        assert_eq!(pointers(&records, &[Protocol::Udp]), [(Protocol::Udp, "sip+d2u.example".to_owned())]);
    }
}
