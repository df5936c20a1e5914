//! The identity headers of an INVITE that the choice did not come to. They stand apart from the choice because they decide
//! nothing: they are told so that whoever asks why a number was not taken finds it in the record.

use super::choose::TAKEN;
use crate::record::Step;
use crate::record::step::Number;
use crate::sip::header::decode;
use crate::sip::{HeaderName, Message};

/// Where parties stand, and whom they name.
const SOURCES: [(HeaderName, Number); 9] = [
    (HeaderName::PAssertedIdentity, Number::Caller),
    (HeaderName::RemotePartyId, Number::Caller),
    (HeaderName::PPreferredIdentity, Number::Caller),
    (HeaderName::From, Number::Caller),
    (HeaderName::ReferredBy, Number::Caller),
    (HeaderName::To, Number::Called),
    (HeaderName::PCalledPartyId, Number::Called),
    (HeaderName::Diversion, Number::Called),
    (HeaderName::HistoryInfo, Number::Called),
];

/// Most elements of one header that are told: a peer may send a hundred.
const MOST: usize = 8;

/// Pushes a step for each element that is there and has none.
pub fn unread(request: &Message, steps: &mut Vec<Step>) {
    let known = steps.len();
    for (header, number) in SOURCES {
        if request.value(header).is_none() || told(steps.get(..known).unwrap_or_default(), header) {
            continue;
        }
        let verdict = verdict(steps.get(..known).unwrap_or_default(), number);
        let mut tell = |value: &[u8]| {
            let value = super::clean(&decode(value));
            let source = header.as_str().to_owned();
            steps.push(Step::Identity { number, source, value, verdict: verdict.clone() });
        };
        match header {
            HeaderName::From | HeaderName::To => request.value(header).into_iter().for_each(&mut tell),
            _ => request.elements(header).take(MOST).for_each(&mut tell),
        }
    }
}

fn told(steps: &[Step], header: HeaderName) -> bool {
    steps.iter().any(|step| matches!(step, Step::Identity { source, .. } if source == header.as_str()))
}

/// `taken`, with or without remarks behind it.
fn is_taken(verdict: &str) -> bool {
    verdict.split(';').next() == Some(TAKEN)
}

fn verdict(steps: &[Step], wanted: Number) -> String {
    let taken = steps.iter().find_map(|step| match step {
        Step::Identity { number, source, verdict, .. } if *number == wanted && is_taken(verdict) => Some(source),
        _ => None,
    });
    match taken {
        Some(source) => format!("not asked: {source} was taken"),
        None => "not asked: the trunk's configuration does not name this header".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn message(headers: &str) -> Message {
        let text = format!(
            "INVITE sip:1@192.0.2.9 SIP/2.0\r\nFrom: <sip:2@192.0.2.1>;tag=1\r\nTo: <sip:1@192.0.2.9>\r\n{headers}\r\n"
        );
        Message::parse(Bytes::from(text)).unwrap()
    }

    fn taken(number: Number, source: &str) -> Step {
        let (source, value) = (source.to_owned(), String::new());
        Step::Identity { number, source, value, verdict: "taken".to_owned() }
    }

    fn told_of(headers: &str, mut steps: Vec<Step>) -> Vec<(String, String, String)> {
        let known = steps.len();
        unread(&message(headers), &mut steps);
        let told = steps.split_off(known).into_iter();
        told.map(|step| match step {
            Step::Identity { source, value, verdict, .. } => (source, value, verdict),
            step => panic!("{step:?}"),
        })
        .collect()
    }

    #[test]
    fn what_the_choice_did_not_come_to_is_told_with_what_was_taken_instead() {
        let steps = vec![taken(Number::Caller, "From"), taken(Number::Called, "Request-URI")];
        let told = told_of(
            "P-Asserted-Identity: <sip:3@a.example>, <tel:+15550100>\r\nReferred-By: <sip:4@b.example>\r\n",
            steps,
        );
        let row = |source: &str, value: &str, verdict: &str| (source.to_owned(), value.to_owned(), verdict.to_owned());
        let expected = [
            row("P-Asserted-Identity", "<sip:3@a.example>", "not asked: From was taken"),
            row("P-Asserted-Identity", "<tel:+15550100>", "not asked: From was taken"),
            row("Referred-By", "<sip:4@b.example>", "not asked: From was taken"),
            row("To", "<sip:1@192.0.2.9>", "not asked: Request-URI was taken"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_header_that_has_a_step_already_gets_no_second_one_and_floods_are_cut() {
        let many = "P-Asserted-Identity: <sip:3@a.example>\r\n".repeat(50);
        let told = told_of(&many, vec![taken(Number::Caller, "From"), taken(Number::Called, "To")]);
        assert_eq!(told.len(), MOST);
        assert!(told.iter().all(|(source, ..)| source == "P-Asserted-Identity"));
    }

    #[test]
    fn without_a_choice_the_configuration_is_named() {
        let told = told_of("", vec![]);
        assert!(told.iter().all(|(_, _, verdict)| verdict.contains("does not name")), "{told:?}");
    }
}
