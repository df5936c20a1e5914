//! The joined ladder: what all simulators saw of one call, on one page with a column for each party.
//! Joining (which names mean the same call) and drawing are here; who prints it where is not.

use super::observation::Observation;
use crate::record::moment::{Lane, Moment};
use std::fmt::Write as _;

/// Columns of a terminal that a drawing fits in.
pub const WIDTH: usize = 100;

/// The parties in the order of their columns.
const LANES: [(Lane, &str); 6] = [
    (Lane::Pbx, "PBX"),
    (Lane::Trunkline, "Trunkline"),
    (Lane::CloudSip, "Daily SIP"),
    (Lane::Webhook, "webhook"),
    (Lane::Rest, "REST"),
    (Lane::Bot, "bot"),
];

/// Width of the column of times, and between two parties.
const MARGIN: usize = 11;
const STEP: usize = 16;

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Text only.
    Plain,
    /// With terminal colours.
    Colour,
}

/// The observations of the call that is known as `name`, as a timeline from its first message.
///
/// `same` are pairs of names that mean the same call, beyond those that the observations themselves reveal.
#[must_use]
pub fn join(seen: &[Observation], same: &[(String, String)], name: &str) -> Vec<Moment> {
    let mut names = vec![name.to_owned()];
    let revealed = seen.iter().filter_map(|one| one.also.as_ref().map(|also| (&one.call, also)));
    let pairs: Vec<(&String, &String)> = revealed.chain(same.iter().map(|(one, other)| (one, other))).collect();
    loop {
        let known = |name: &String| names.contains(name);
        let fresh: Vec<String> = pairs
            .iter()
            .filter(|(one, other)| known(one) != known(other))
            .map(|(one, other)| if known(one) { (*other).clone() } else { (*one).clone() })
            .collect();
        if fresh.is_empty() {
            break;
        }
        names.extend(fresh);
    }
    let mut mine: Vec<&Observation> = seen.iter().filter(|one| names.contains(&one.call)).collect();
    mine.sort_by_key(|one| one.at);
    let first = mine.first().map(|one| one.at).unwrap_or_default();
    mine.into_iter()
        .map(|one| Moment {
            at_us: one.at.saturating_sub(first).as_micros() as u64,
            from: one.from,
            to: one.to,
            what: one.what.clone(),
            detail: one.detail.clone(),
        })
        .collect()
}

/// Draws a timeline, at most [`WIDTH`] columns wide.
#[must_use]
pub fn draw(moments: &[Moment], paint: Paint) -> String {
    let mut out = heading(paint);
    for moment in moments {
        let time = format!("{:>8.1}", moment.at_us as f64 / 1_000.0);
        let _ = writeln!(out, "{}  {}", dim(&time, paint), row(moment, paint));
    }
    out
}

fn heading(paint: Paint) -> String {
    let mut line: Vec<char> = vec![' '; WIDTH];
    for (place, (_, name)) in LANES.iter().enumerate() {
        // Centred over its line, as far as the edges allow.
        let centre = MARGIN + place * STEP;
        let start = centre.saturating_sub(name.len() / 2).min(WIDTH - name.len());
        put(&mut line, start, name);
    }
    put(&mut line, 6, "ms");
    let text: String = line.into_iter().collect();
    let text = text.trim_end();
    match paint {
        Paint::Plain => format!("{text}\n"),
        Paint::Colour => format!("\x1b[1m{text}\x1b[0m\n"),
    }
}

fn position(lane: Lane) -> usize {
    LANES.iter().position(|(known, _)| *known == lane).unwrap_or(0) * STEP
}

/// One line without its time: positions count from the first party's column, one column to its left.
fn row(moment: &Moment, paint: Paint) -> String {
    let mut line: Vec<char> = vec![' '; WIDTH - MARGIN + 1];
    for place in 0..LANES.len() {
        put(&mut line, place * STEP + 1, "│");
    }
    let (from, to) = (position(moment.from) + 1, position(moment.to) + 1);
    let (left, right) = (from.min(to), from.max(to));
    if left == right {
        let room = WIDTH - MARGIN - left - 1;
        put(&mut line, left, &shorten(&format!("* {}", moment.what), room));
        return finish(line, &moment.what, paint);
    }
    for at in left + 1..right {
        put(&mut line, at, "─");
    }
    put(&mut line, if to > from { right - 1 } else { left + 1 }, if to > from { "▶" } else { "◀" });
    let room = right - left - 5;
    let mut label = label(moment, room);
    if label.chars().count() + 2 <= room {
        label = format!(" {label} ");
    }
    let start = left + (right - left - label.chars().count()).div_ceil(2);
    put(&mut line, start, &label);
    finish(line, &moment.what, paint)
}

/// The detail comes along when there is room for all of it.
fn label(moment: &Moment, room: usize) -> String {
    let whole = moment.detail.as_ref().map(|detail| format!("{} {detail}", moment.what));
    match whole.filter(|whole| whole.chars().count() <= room) {
        Some(whole) => whole,
        None => shorten(&moment.what, room),
    }
}

fn shorten(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

fn finish(line: Vec<char>, what: &str, paint: Paint) -> String {
    let text: String = line.into_iter().collect();
    let text = text.trim_end().to_owned();
    let status = what.get(..3).and_then(|digits| digits.parse::<u16>().ok());
    match (paint, status) {
        (Paint::Plain, _) => text,
        (Paint::Colour, Some(400..)) => format!("\x1b[31m{text}\x1b[0m"),
        (Paint::Colour, Some(200..300)) => format!("\x1b[32m{text}\x1b[0m"),
        (Paint::Colour, _) => text,
    }
}

fn dim(text: &str, paint: Paint) -> String {
    match paint {
        Paint::Plain => text.to_owned(),
        Paint::Colour => format!("\x1b[2m{text}\x1b[0m"),
    }
}

fn put(line: &mut [char], at: usize, text: &str) {
    for (slot, character) in line.iter_mut().skip(at).zip(text.chars()) {
        *slot = character;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn moment(at_us: u64, from: Lane, to: Lane, what: &str, detail: Option<&str>) -> Moment {
        Moment { at_us, from, to, what: what.into(), detail: detail.map(str::to_owned) }
    }

    fn call() -> Vec<Moment> {
        use Lane::*;
        vec![
            moment(0, Pbx, Trunkline, "INVITE", Some("to +15550100 caller +15550101")),
            moment(400, Trunkline, CloudSip, "INVITE", None),
            moment(2_140, CloudSip, Trunkline, "200 OK", None),
            moment(9_900, Webhook, Trunkline, "POST dialin", Some("callId 1")),
            moment(12_000, Trunkline, Rest, "POST /rooms", Some("call-0123456789")),
            moment(13_000, Rest, Trunkline, "429", None),
            moment(20_000, Trunkline, Bot, "POST start", Some("caller +15550101 called +15550100")),
            moment(1_000_000, Bot, Rest, "joins", None),
            moment(1_000_100, Trunkline, Pbx, "400 Missing Call-ID header field", None),
            moment(1_000_200, Trunkline, Trunkline, "drains", None),
        ]
    }

    #[test]
    fn a_fixed_timeline_is_drawn_as_expected() {
        let drawn = draw(&call(), Paint::Plain);
        println!("{drawn}");
        assert_eq!(drawn.trim_end(), EXPECTED.trim_matches('\n'));
    }

    #[test]
    fn every_line_fits_the_terminal() {
        for line in draw(&call(), Paint::Plain).lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }

    #[test]
    fn colour_changes_no_column() {
        let mut plain = draw(&call(), Paint::Colour);
        for code in ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m"] {
            plain = plain.replace(code, "");
        }
        assert_eq!(plain, draw(&call(), Paint::Plain));
    }

    #[test]
    fn names_that_mean_one_call_are_joined_and_others_are_left_out() {
        let seen = |at: u64, call: &str, what: &str| Observation {
            at: Duration::from_millis(at),
            ..Observation::new(call, Lane::Pbx, Lane::Trunkline, what)
        };
        let all = [
            seen(30, "room-1", "POST /rooms"),
            seen(10, "a", "INVITE"),
            seen(11, "x", "INVITE"),
            seen(20, "b", "INVITE").also("tl-1"),
            seen(40, "tl-1", "POST start").also("room-1"),
        ];
        let joined = join(&all, &[("a".into(), "tl-1".into())], "a");
        let told: Vec<(u64, &str)> = joined.iter().map(|moment| (moment.at_us, moment.what.as_str())).collect();
        assert_eq!(told, [(0, "INVITE"), (10_000, "INVITE"), (20_000, "POST /rooms"), (30_000, "POST start")]);
    }

    const EXPECTED: &str = "
      ms  PBX          Trunkline       Daily SIP        webhook          REST             bot
     0.0   │─── INVITE ───▶│               │               │               │               │
     0.4   │               │─── INVITE ───▶│               │               │               │
     2.1   │               │◀── 200 OK ────│               │               │               │
     9.9   │               │◀─── POST dialin callId 1 ─────│               │               │
    12.0   │               │───────── POST /rooms call-0123456789 ────────▶│               │
    13.0   │               │◀──────────────────── 429 ─────────────────────│               │
    20.0   │               │──────── POST start caller +15550101 called +15550100 ────────▶│
  1000.0   │               │               │               │               │◀─── joins ────│
  1000.1   │◀─400 Missin…──│               │               │               │               │
  1000.2   │               * drains        │               │               │               │
";
}
