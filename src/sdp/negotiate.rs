//! Which formats and which direction both legs end up with (RFC 3264 §5, §6), given what each peer said. Apart from
//! building, because these are rules over values: no text, no addresses, every one a property that a test can state.

use super::direction::Direction;
use super::format::{Format, Role};

/// Dynamic payload types (RFC 3551 §6).
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;
/// Unassigned ones to fall back to when those run out; 64..=95 would look like RTCP (RFC 5761 §4).
const SPARE: std::ops::RangeInclusive<u8> = 35..=63;

/// What to offer the called side, given what the caller offered and what the target takes: ready for a new leg.
///
/// Codecs stand in the target's order where it states one, else in the caller's. Empty if no speech codec is shared.
#[must_use]
pub fn for_target(offered: &[Format], takes: Option<&[String]>) -> Vec<Format> {
    for_target_within(offered, takes, &[])
}

/// As [`for_target`], for a leg on which the formats `bound` were in use before: a codec keeps its payload type, and a
/// payload type never changes its codec within a session (RFC 3264 §8.3.2).
#[must_use]
pub fn for_target_within(offered: &[Format], takes: Option<&[String]>, bound: &[Format]) -> Vec<Format> {
    renumber(restrict(offered, takes), bound)
}

/// The formats of `offered` that may be used by someone who takes only the codecs named (in any case; `None` takes
/// all), with their numbers. Key presses and comfort noise stay if a codec of their clock stays.
#[must_use]
pub fn restrict(offered: &[Format], takes: Option<&[String]>) -> Vec<Format> {
    let voices = offered.iter().filter(|format| format.role() == Role::Voice);
    let kept: Vec<Format> = match takes {
        None => voices.cloned().collect(),
        Some(names) => {
            let mut kept: Vec<Format> = Vec::new();
            for name in names {
                for voice in voices.clone().filter(|voice| is_named(voice, name)) {
                    if !kept.contains(voice) {
                        kept.push(voice.clone());
                    }
                }
            }
            kept
        }
    };
    with_companions(kept, offered)
}

/// What to answer the caller, given its offer and the called side's answer: the caller's payload types and spelling,
/// the called side's choice, order and parameters. Empty if no speech codec is shared.
#[must_use]
pub fn for_caller(offered_by_a: &[Format], answered_by_b: &[Format]) -> Vec<Format> {
    let mut agreed: Vec<Format> = Vec::new();
    for theirs in answered_by_b.iter().filter(|format| format.role() != Role::Wrapper) {
        let free: Vec<&Format> = offered_by_a
            .iter()
            .filter(|ours| agreed.iter().all(|taken| taken.payload_type != ours.payload_type))
            .collect();
        let Some(ours) = counterpart(theirs, free.iter().copied()) else { continue };
        // Parameters say what their writer can receive, so the answerer's count; where it says nothing, or would
        // contradict the packing that was offered, the offer's stay (annexb=no must, RFC 7261).
        let fmtp =
            if ours.same_shape(theirs) { theirs.fmtp.as_ref().or(ours.fmtp.as_ref()) } else { ours.fmtp.as_ref() };
        agreed.push(Format { fmtp: fmtp.cloned(), ..ours.clone() });
    }
    let voices = agreed.iter().filter(|format| format.role() == Role::Voice).cloned().collect();
    let kept = with_companions(voices, &agreed);
    agreed.retain(|format| kept.contains(format));
    agreed
}

/// Payload types as they arrive on one leg → as they leave on the other; `None` has nowhere to go.
///
/// `received` is what we told that peer (it sends with our numbers), `sent` what the other peer told us.
#[must_use]
pub fn payload_map(received: &[Format], sent: &[Format]) -> Box<[Option<u8>; 128]> {
    let mut map = Box::new([None; 128]);
    for format in received.iter().filter(|format| format.role() != Role::Wrapper) {
        if let Some(slot) = map.get_mut(usize::from(format.payload_type)) {
            *slot = counterpart(format, sent.iter()).map(|format| format.payload_type);
        }
    }
    map
}

/// An offer of our own, for a caller that made none (RFC 3261 §13.2.1): PCMU and PCMA, or those of `takes` that need no
/// knowledge of the other side, and key presses.
#[must_use]
pub fn generic_offer(takes: Option<&[String]>) -> Vec<Format> {
    let wide = Format { channels: 2, ..Format::new(111, "opus", 48000).with_fmtp("useinbandfec=1") };
    let plain: Vec<Format> = [0, 8].into_iter().filter_map(Format::of_static).collect();
    let Some(names) = takes else { return with_companions(plain, &[event(101, 8000)]) };
    let others = [9, 18, 3].into_iter().filter_map(Format::of_static).map(|format| {
        // Silence descriptors of Annex B surprise many decoders; RFC 4856 has them on unless refused.
        if format.is("G729") { format.with_fmtp("annexb=no") } else { format }
    });
    let known: Vec<Format> =
        plain.into_iter().chain(others).chain([wide, event(101, 8000), event(110, 48000)]).collect();
    restrict(&known, Some(names))
}

/// The direction to answer, given the offer's and what the far side of the call does (RFC 3264 §6.1): we send if the
/// offerer receives and the far side sends, and receive if the offerer sends and the far side receives.
#[must_use]
pub fn answer_direction(offered: Direction, far: Direction) -> Direction {
    Direction::from_parts(offered.receives() && far.sends(), offered.sends() && far.receives())
}

fn event(payload_type: u8, clock: u32) -> Format {
    Format::new(payload_type, "telephone-event", clock).with_fmtp("0-16")
}

/// `PCMU`, `pcmu/8000` and the `PCMU@8000H@20I` of FreeSWITCH and its kin all name PCMU.
fn is_named(format: &Format, name: &str) -> bool {
    let mut parts = name.split(['/', '@']);
    let encoding = parts.next().unwrap_or_default().trim();
    let clock = parts.next().and_then(|part| part.trim().trim_end_matches(['h', 'H']).parse::<u32>().ok());
    format.is(encoding) && clock.is_none_or(|clock| clock == format.clock || clock == format.effective_clock())
}

/// The voices, followed by the key presses and comfort noise that run on the clock of one of them. Key presses at 8000
/// stay with a codec of another clock if there are no better ones: many peers pair them with opus. Without any voice
/// there is nothing to talk with, so nothing.
fn with_companions(voices: Vec<Format>, offered: &[Format]) -> Vec<Format> {
    if voices.is_empty() {
        return voices;
    }
    let timed = |format: &Format| voices.iter().any(|voice| voice.effective_clock() == format.clock);
    let any_timed_event = offered.iter().any(|format| format.role() == Role::Event && timed(format));
    let companions: Vec<Format> = offered
        .iter()
        .filter(|format| match format.role() {
            Role::Event => timed(format) || (!any_timed_event && format.clock == 8000),
            Role::Noise => timed(format),
            Role::Voice | Role::Wrapper => false,
        })
        .cloned()
        .collect();
    voices.into_iter().chain(companions).collect()
}

/// The format of `among` that is the same codec: the same on the wire if there is one, else any.
fn counterpart<'a>(format: &Format, among: impl Iterator<Item = &'a Format> + Clone) -> Option<&'a Format> {
    let mut same = among.filter(|other| other.same_codec(format));
    same.clone().find(|other| other.same_shape(format)).or_else(|| same.next())
}

/// Gives every format a payload type that is valid on a leg where `bound` was in use, each codec once.
fn renumber(formats: Vec<Format>, bound: &[Format]) -> Vec<Format> {
    let mut distinct: Vec<Format> = Vec::new();
    for format in formats {
        if !distinct.iter().any(|other| other.same_codec(&format) && other.same_shape(&format)) {
            distinct.push(format);
        }
    }
    let mut taken: Vec<u8> = Vec::new();
    // Those that have a number of their own choose first, so that nobody is given it before.
    let own: Vec<Option<u8>> = distinct
        .iter()
        .map(|format| {
            let number = preferred(format, bound).find(|number| !taken.contains(number))?;
            taken.push(number);
            Some(number)
        })
        .collect();
    let mut numbered = Vec::with_capacity(distinct.len());
    for (format, own) in distinct.into_iter().zip(own) {
        let free = |number: &u8| !taken.contains(number) && bound.iter().all(|other| other.payload_type != *number);
        let Some(payload_type) = own.or_else(|| DYNAMIC.chain(SPARE).find(free)) else { continue };
        taken.push(payload_type);
        let clock = format.effective_clock();
        numbered.push(Format { payload_type, clock, ..format });
    }
    numbered
}

/// The numbers a format would like, best first: the one it had on this leg, its static one, its dynamic one.
fn preferred<'a>(format: &'a Format, bound: &'a [Format]) -> impl Iterator<Item = u8> {
    let before = bound.iter().filter(|other| other.same_codec(format) && other.same_shape(format));
    let fixed = format.static_number();
    let dynamic = Some(format.payload_type).filter(|number| DYNAMIC.contains(number));
    let unbound = |number: &u8| bound.iter().all(|other| other.payload_type != *number);
    before.map(|other| other.payload_type).chain([fixed, dynamic].into_iter().flatten().filter(unbound))
}

#[cfg(test)]
#[path = "negotiate_tests.rs"]
mod tests;
