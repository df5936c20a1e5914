//! Rules of negotiation as examples from real peers and as properties over all lists of formats.

use super::*;
use proptest::prelude::*;

fn pcmu() -> Format {
    Format::new(0, "PCMU", 8000)
}
fn pcma() -> Format {
    Format::new(8, "PCMA", 8000)
}
fn g722() -> Format {
    Format::new(9, "G722", 8000)
}
fn g729() -> Format {
    Format::new(18, "G729", 8000).with_fmtp("annexb=no")
}
fn opus(number: u8) -> Format {
    Format { channels: 2, ..Format::new(number, "opus", 48000).with_fmtp("useinbandfec=1") }
}
fn keys(number: u8) -> Format {
    event(number, 8000)
}
fn noise() -> Format {
    Format::new(13, "CN", 8000)
}
fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}
fn listed(formats: &[Format]) -> Vec<(u8, String)> {
    formats.iter().map(|format| (format.payload_type, format.encoding.clone())).collect()
}

#[test]
fn the_target_gets_what_it_takes_in_its_own_order_and_any_case() {
    let offered = [g729(), pcma(), pcmu(), keys(120), noise()];
    let takes = names(&["opus", "pcmu", "PCMA"]);
    assert_eq!(for_target(&offered, Some(&takes)), [pcmu(), pcma(), keys(120), noise()]);
    assert_eq!(for_target(&offered, None), offered);
}

#[test]
fn codec_names_of_other_products_are_understood() {
    let offered = [opus(111), g722(), pcmu()];
    let takes = names(&["OPUS@48000H@20I", "G722/8000", "PCMU/16000"]);
    assert_eq!(for_target(&offered, Some(&takes)), [opus(111), g722()]);
}

#[test]
fn key_presses_and_noise_alone_are_nothing_shared() {
    let offered = [g729(), keys(101), noise()];
    assert_eq!(for_target(&offered, Some(&names(&["PCMU", "telephone-event", "CN"]))), []);
    assert_eq!(for_caller(&[pcmu(), keys(101)], &[pcma(), keys(101), noise()]), []);
}

#[test]
fn companions_follow_the_clock_of_a_kept_codec() {
    let offered = [opus(102), g722(), event(103, 48000), keys(101), noise()];
    assert_eq!(for_target(&offered, Some(&names(&["opus"]))), [opus(102), event(103, 48000)]);
    assert_eq!(for_target(&offered, Some(&names(&["g722"]))), [g722(), keys(101), noise()]);
}

#[test]
fn each_clock_has_its_own_key_presses_and_noise() {
    let wideband = Format::new(97, "AMR-WB", 16000);
    let wide_noise = Format::new(98, "CN", 16000);
    let offered = [
        pcmu(),
        wideband.clone(),
        opus(102),
        keys(101),
        event(110, 16000),
        event(103, 48000),
        noise(),
        wide_noise.clone(),
    ];
    assert_eq!(for_target(&offered, None), offered);
    assert_eq!(
        for_target(&offered, Some(&names(&["AMR-WB"]))),
        [wideband.clone(), event(110, 16000), wide_noise.clone()]
    );
    // The far side takes two of three, at numbers of its own.
    let answered = [Format::new(120, "opus", 48000), pcmu(), event(121, 48000), event(96, 8000)];
    let agreed = for_caller(&offered, &answered);
    assert_eq!(listed(&agreed).iter().map(|entry| entry.0).collect::<Vec<_>>(), [102, 0, 103, 101]);
    let map = payload_map(&agreed, &answered);
    assert_eq!((map[103], map[101], map[110]), (Some(121), Some(96), None));
}

#[test]
fn the_only_key_presses_stay_with_opus_even_at_8000() {
    assert_eq!(for_target(&[opus(111), keys(101), noise()], None), [opus(111), keys(101)]);
}

#[test]
fn wrappers_are_never_negotiated() {
    let red = Format::new(63, "red", 48000).with_fmtp("111/111");
    assert_eq!(for_target(&[red.clone(), opus(111)], None), [opus(111)]);
    assert_eq!(for_caller(&[red.clone(), opus(111)], &[red, opus(111)]), [opus(111)]);
}

#[test]
fn a_new_leg_gets_proper_numbers() {
    // PCMU at a dynamic number, opus at a static one, the same number twice, and G722 with its famous clock.
    let offered = [Format::new(96, "PCMU", 8000), opus(3), keys(96), Format::new(97, "G722", 16000)];
    assert_eq!(
        listed(&for_target(&offered, None)),
        [(0, "PCMU".to_owned()), (97, "opus".to_owned()), (9, "G722".to_owned()), (96, "telephone-event".to_owned()),]
    );
    assert_eq!(for_target(&offered, None)[2].clock, 8000);
}

#[test]
fn a_codec_keeps_its_number_within_a_session_and_no_number_changes_its_codec() {
    // The caller comes back with 101 for opus, which was 111, while 101 was its key presses.
    let bound = [opus(111), pcmu(), keys(101)];
    let again = for_target_within(&[opus(101), keys(100)], None, &bound);
    assert_eq!(listed(&again), [(111, "opus".to_owned()), (101, "telephone-event".to_owned())]);
    let other = for_target_within(&[Format::new(101, "iLBC", 8000)], None, &bound);
    assert_eq!(listed(&other), [(96, "iLBC".to_owned())]);
}

#[test]
fn the_caller_hears_its_own_numbers_and_the_choice_of_the_called() {
    let offered = [Format::new(0, "pcmu", 8000), g729(), opus(102), keys(120)];
    let answered = [Format { fmtp: None, ..g729() }, opus(111).with_fmtp("maxplaybackrate=8000"), keys(101)];
    assert_eq!(for_caller(&offered, &answered), [g729(), opus(102).with_fmtp("maxplaybackrate=8000"), keys(120)]);
}

#[test]
fn amr_is_answered_in_the_packing_that_was_chosen() {
    let aligned = Format::new(96, "AMR", 8000).with_fmtp("octet-align=1");
    let efficient = Format::new(97, "AMR", 8000);
    let answered = [Format::new(104, "amr", 8000).with_fmtp("octet-align=0")];
    let agreed = for_caller(&[aligned.clone(), efficient], &answered);
    assert_eq!(listed(&agreed), [(97, "AMR".to_owned())]);
    // Forgetting the parameter does not change what was offered.
    assert_eq!(for_caller(std::slice::from_ref(&aligned), &[Format::new(96, "AMR", 8000)]), [aligned]);
}

#[test]
fn payload_types_are_mapped_by_codec_and_strangers_go_nowhere() {
    let map = payload_map(&[pcmu(), opus(102), keys(120), g729()], &[opus(111), keys(101), pcmu()]);
    assert_eq!((map[0], map[102], map[120], map[18], map[8]), (Some(0), Some(111), Some(101), None, None));
    // Key presses of another clock would arrive with the wrong length.
    assert_eq!(payload_map(&[keys(101)], &[event(101, 48000)])[101], None);
}

#[test]
fn an_offer_of_our_own_is_plain_or_what_the_target_takes() {
    assert_eq!(
        listed(&generic_offer(None)),
        [(0, "PCMU".to_owned()), (8, "PCMA".to_owned()), (101, "telephone-event".to_owned())]
    );
    let daily = generic_offer(Some(&names(&["opus", "PCMU", "AMR"])));
    assert_eq!(
        daily.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["opus/48000/2", "PCMU/8000", "telephone-event/8000", "telephone-event/48000"]
    );
    assert_eq!(generic_offer(Some(&names(&["AMR"]))), []);
}

#[test]
fn all_sixteen_pairs_of_directions_answer_as_rfc_3264_has_it() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let table = [
        (SendRecv, [SendRecv, SendOnly, RecvOnly, Inactive]),
        (SendOnly, [RecvOnly, Inactive, RecvOnly, Inactive]),
        (RecvOnly, [SendOnly, SendOnly, Inactive, Inactive]),
        (Inactive, [Inactive; 4]),
    ];
    for (offered, row) in table {
        for (far, expected) in Direction::ALL.into_iter().zip(row) {
            let answer = answer_direction(offered, far);
            assert_eq!(answer, expected, "offered {offered:?}, far {far:?}");
            // RFC 3264 §6.1: never more than the offer leaves room for.
            assert!(!answer.sends() || offered.receives());
            assert!(!answer.receives() || offered.sends());
        }
        assert_eq!(answer_direction(offered, SendRecv), offered.reversed());
    }
}

/// Any format, mostly of codecs that exist, at any number.
fn format() -> impl Strategy<Value = Format> {
    let codec = prop_oneof![
        Just(pcmu()),
        Just(pcma()),
        Just(g722()),
        Just(g729()),
        Just(opus(111)),
        Just(Format::new(97, "AMR", 8000)),
        Just(Format::new(96, "AMR", 8000).with_fmtp("octet-align=1")),
        Just(keys(101)),
        Just(event(103, 48000)),
        Just(noise()),
        Just(Format::new(63, "red", 8000)),
        ("[a-zA-Z0-9-]{1,8}", 1u32..200_000).prop_map(|(name, clock)| Format::new(99, &name, clock)),
    ];
    (codec, 0u8..128, any::<[bool; 2]>()).prop_map(|(format, number, [moved, shouted])| Format {
        payload_type: if moved { number } else { format.payload_type },
        encoding: if shouted { format.encoding.to_uppercase() } else { format.encoding.clone() },
        ..format
    })
}

/// As a description lists them: each payload type once.
fn formats() -> impl Strategy<Value = Vec<Format>> {
    proptest::collection::vec(format(), 0..14).prop_map(|mut formats| {
        let mut seen = Vec::new();
        formats.retain(|format| {
            !seen.contains(&format.payload_type) && {
                seen.push(format.payload_type);
                true
            }
        });
        formats
    })
}

fn takes() -> impl Strategy<Value = Option<Vec<String>>> {
    let name = prop_oneof![Just("pcmu"), Just("PCMA"), Just("Opus"), Just("G729"), Just("amr"), Just("")];
    proptest::option::of(proptest::collection::vec(name.prop_map(str::to_owned), 0..4))
}

fn has_voice(formats: &[Format]) -> bool {
    formats.iter().any(|format| format.role() == Role::Voice)
}

proptest! {
    #[test]
    fn every_format_offered_on_was_offered_and_stands_at_a_number_of_its_own(
        offered in proptest::collection::vec(format(), 0..14), takes in takes(), bound in formats()
    ) {
        let onward = for_target_within(&offered, takes.as_deref(), &bound);
        prop_assert!(onward.is_empty() || has_voice(&onward));
        let mut numbers: Vec<u8> = onward.iter().map(|format| format.payload_type).collect();
        numbers.sort_unstable();
        numbers.dedup();
        prop_assert_eq!(numbers.len(), onward.len());
        for format in &onward {
            prop_assert!(offered.iter().any(|other| other.same_codec(format) && other.fmtp == format.fmtp));
            prop_assert!(format.role() != Role::Wrapper);
            let before = bound.iter().find(|other| other.payload_type == format.payload_type);
            prop_assert!(before.is_none_or(|other| other.same_codec(format) && other.same_shape(format)));
            let proper = DYNAMIC.contains(&format.payload_type)
                || SPARE.contains(&format.payload_type)
                || format.static_number() == Some(format.payload_type);
            prop_assert!(proper || before.is_some(), "{:?}", format);
        }
    }

    #[test]
    fn every_answered_format_was_offered_under_that_number(offered in formats(), answered in formats()) {
        let agreed = for_caller(&offered, &answered);
        prop_assert!(agreed.is_empty() || has_voice(&agreed));
        for (position, format) in agreed.iter().enumerate() {
            let listed = |other: &Format| (other.payload_type, other.encoding.clone(), other.clock);
            prop_assert!(offered.iter().any(|other| listed(other) == listed(format)));
            prop_assert!(answered.iter().any(|other| other.same_codec(format)));
            prop_assert!(agreed.iter().skip(position + 1).all(|other| other.payload_type != format.payload_type));
        }
    }

    #[test]
    fn what_the_target_takes_whole_comes_back_whole(offered in formats()) {
        let onward = for_target(&offered, None);
        let agreed = for_caller(&offered, &onward);
        prop_assert_eq!(agreed.len(), onward.len());
        let map = payload_map(&agreed, &onward);
        let back = payload_map(&onward, &agreed);
        for (ours, theirs) in agreed.iter().zip(&onward) {
            prop_assert_eq!(map[usize::from(ours.payload_type)], Some(theirs.payload_type));
            prop_assert_eq!(back[usize::from(theirs.payload_type)], Some(ours.payload_type));
        }
    }

    #[test]
    fn a_payload_map_only_leads_to_the_same_codec(received in formats(), sent in formats()) {
        let map = payload_map(&received, &sent);
        for (number, mapped) in map.iter().enumerate() {
            let Some(mapped) = mapped else { continue };
            let from = received.iter().find(|format| usize::from(format.payload_type) == number).unwrap();
            let to = sent.iter().find(|format| format.payload_type == *mapped).unwrap();
            prop_assert!(from.same_codec(to));
        }
    }
}
