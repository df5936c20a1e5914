//! The answer for people: one page of text within a hundred columns. Apart from the answer itself, which machines read.

use super::{Case, Explanation, Given, Otherwise, Outcome, Report, Sent, Story};
use crate::record::Step;
use crate::record::step::Number;
use std::fmt::Write as _;

/// The widest a line may be.
const WIDTH: usize = 100;
/// Columns before what a line says.
const INDENT: usize = 4;

/// Whether there are eyes for colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Escape sequences of terminals.
    Colour,
    /// Text alone.
    Plain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Good,
    Bad,
    Faint,
    Title,
}

/// The page being written.
struct Page {
    text: String,
    paint: Paint,
}

/// The whole answer.
#[must_use]
pub fn page(report: &Report, paint: Paint) -> String {
    let mut page = Page { text: String::new(), paint };
    let total = report.invites.len();
    for (nth, case) in report.invites.iter().enumerate() {
        if nth > 0 {
            page.text.push('\n');
        }
        let count = if total > 1 { format!(" {} of {total}", nth + 1) } else { String::new() };
        match case {
            Case::Explained(explanation) => page.explanation(explanation, &count),
            Case::Unreadable(unreadable) => {
                page.title(&format!("INVITE{count} cannot be read"));
                page.line(Tone::Bad, "✗", &unreadable.to_string());
            }
        }
    }
    for remark in &report.remarks {
        page.text.push('\n');
        page.line(Tone::Faint, "·", &format!("left out: {remark}"));
    }
    page.text
}

// === impl Page ===

impl Page {
    fn explanation(&mut self, explanation: &Explanation, count: &str) {
        self.given(&explanation.given, count);
        self.story(&explanation.story);
        self.outcome(&explanation.story.outcome);
        if let Some(Otherwise { supposing, story }) = &explanation.otherwise {
            self.text.push('\n');
            self.title(&format!("If {supposing}, a call would have:"));
            self.story(story);
            self.outcome(&story.outcome);
        }
    }

    fn given(&mut self, given: &Given, count: &str) {
        self.title(&format!("INVITE{count} {}", given.request_uri));
        self.plain(&format!("Call-ID {}", given.call_id));
        let mut way = format!("from {}:{}, known by {}", given.transport, given.source, given.source_known_by);
        if let Some(destination) = given.destination {
            let _ = write!(way, "; to {destination}");
        }
        if let Some(captured) = &given.captured {
            let _ = write!(way, " at {captured}");
        }
        self.plain(&way);
        for mended in &given.mended {
            self.line(Tone::Faint, "·", &format!("mended: {mended}"));
        }
    }

    fn story(&mut self, story: &Story) {
        let of = |wanted: fn(&Step) -> bool| story.decisions.iter().filter(move |step| wanted(step));
        self.section("Trunk", of(|step| matches!(step, Step::Trunk { .. })));
        for (title, number) in [
            ("Caller", Number::Caller),
            ("Called", Number::Called),
            ("Called first", Number::OriginalCalled),
            ("Transferred by", Number::ReferredBy),
        ] {
            let about = |step: &&Step| match step {
                Step::Identity { number: of, .. } | Step::Rewrite { number: of, .. } => *of == number,
                _ => false,
            };
            self.section(title, story.decisions.iter().filter(about));
        }
        self.section("Privacy", of(|step| matches!(step, Step::Privacy { .. })));
        let routes = of(|step| matches!(step, Step::Route { .. })).chain(&story.passed_over);
        self.section("Route", routes);
        self.headers(story);
        self.section("Room", story.room.iter());
        if let Some(plan) = &story.plan {
            for line in listed(plan, "") {
                self.plain(&line);
            }
        }
        let known = |step: &&Step| {
            matches!(
                step,
                Step::Trunk { .. }
                    | Step::Identity { .. }
                    | Step::Rewrite { .. }
                    | Step::Route { .. }
                    | Step::Header { .. }
                    | Step::HeaderLeftOut { .. }
                    | Step::Budget { .. }
                    | Step::Privacy { .. }
                    | Step::Room { .. }
            )
        };
        self.section("Further", story.decisions.iter().filter(|step| !known(step)));
        if let Some(sent) = &story.sent {
            self.sent(sent);
            for then in &story.afterwards {
                self.line(Tone::Faint, "·", then);
            }
        }
        if let Some(response) = &story.response {
            self.title("Response that would go back");
            self.message(response);
        }
    }

    fn section<'s>(&mut self, title: &str, steps: impl Iterator<Item = &'s Step>) {
        let mut steps = steps.peekable();
        if steps.peek().is_none() {
            return;
        }
        self.title(title);
        for step in steps {
            let (tone, mark, text) = told(step);
            self.line(tone, mark, &text);
        }
    }

    fn headers(&mut self, story: &Story) {
        let of_headers =
            |step: &&Step| matches!(step, Step::Header { .. } | Step::HeaderLeftOut { .. } | Step::Budget { .. });
        let headers = || story.decisions.iter().filter(of_headers);
        let count = headers().filter(|step| matches!(step, Step::Header { .. })).count();
        if headers().next().is_none() {
            return;
        }
        let bytes = story.decisions.iter().find_map(|step| match step {
            Step::Invite { header_bytes, .. } => Some(*header_bytes),
            _ => None,
        });
        let limit = story.header_limit.map_or("no limit".to_owned(), |limit| format!("limit {limit}"));
        self.title(&format!("Headers: {count}, {} bytes, {limit}", bytes.unwrap_or_default()));
        for step in headers() {
            let (tone, mark, text) = told(step);
            self.line(tone, mark, &text);
        }
    }

    fn sent(&mut self, sent: &Sent) {
        self.title(&format!("INVITE that would leave: {} bytes to {}", sent.bytes, sent.to));
        self.message(&sent.message);
    }

    fn message(&mut self, message: &str) {
        for line in message.trim_end().lines() {
            self.wrapped(Tone::Faint, "|", line, WIDTH);
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        self.title("Outcome");
        match outcome {
            Outcome::Called { trunk, target, caller, called } => {
                let text = format!("trunk `{trunk}` calls target `{target}`: {caller} to {called}");
                self.line(Tone::Good, "✓", &text);
            }
            Outcome::Refused { status, phrase, code, remedy } => {
                let code = code.as_deref().map_or(String::new(), |code| format!(" ({code})"));
                self.line(Tone::Bad, "✗", &format!("refused with {status} {phrase}{code}"));
                if let Some(remedy) = remedy {
                    self.plain(&format!("remedy: {remedy}"));
                }
            }
            Outcome::Ignored => self.line(Tone::Bad, "✗", "nothing would be answered"),
        }
    }

    fn title(&mut self, text: &str) {
        for (nth, line) in wrap(text, WIDTH).iter().enumerate() {
            let line = if nth == 0 { line.clone() } else { format!("  {line}") };
            let painted = self.painted(Tone::Title, &line);
            self.text.push_str(&painted);
            self.text.push('\n');
        }
    }

    fn plain(&mut self, text: &str) {
        self.wrapped(Tone::Faint, " ", text, WIDTH);
    }

    fn line(&mut self, tone: Tone, mark: &str, text: &str) {
        self.wrapped(tone, mark, text, WIDTH);
    }

    fn wrapped(&mut self, tone: Tone, mark: &str, text: &str, width: usize) {
        let room = width.saturating_sub(INDENT);
        for (nth, line) in wrap(text, room).iter().enumerate() {
            let mark = if nth == 0 || mark == "|" { mark } else { " " };
            let mark = self.painted(tone, mark);
            let _ = writeln!(self.text, "  {mark} {line}");
        }
    }

    fn painted(&self, tone: Tone, text: &str) -> String {
        if self.paint == Paint::Plain || text.trim().is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Faint => "2",
            Tone::Title => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// One step in a line: how it went, its mark, its words.
fn told(step: &Step) -> (Tone, &'static str, String) {
    let fits = |failed: &Option<String>, what: String, good: &str| match failed {
        None => (Tone::Good, "✓", format!("{what}: {good}")),
        Some(why) => (Tone::Bad, "✗", format!("{what}: {why}")),
    };
    match step {
        Step::Trunk { trunk, source, failed } => fits(failed, trunk.clone(), &format!("{source} is one of its peers")),
        Step::Identity { source, value, verdict, .. } => {
            let taken = verdict.starts_with("taken");
            let (tone, mark) = if taken { (Tone::Good, "✓") } else { (Tone::Faint, "·") };
            let value = if value.is_empty() { String::new() } else { format!(" {value}") };
            (tone, mark, format!("{source}{value}: {verdict}"))
        }
        Step::Rewrite { rule, before, after, note, .. } => {
            let note = note.as_ref().map_or(String::new(), |note| format!(" ({note})"));
            (Tone::Faint, "→", format!("{rule}: {before} → {after}{note}"))
        }
        Step::Route { route, targets, failed } => {
            fits(failed, format!("{} to {}", route + 1, targets.join(", ")), "all its conditions hold")
        }
        Step::Invite { to, request_uri, from, offer, .. } => {
            let offer = if offer.is_empty() { "no offer".to_owned() } else { format!("offering {}", offer.join(", ")) };
            (Tone::Faint, "·", format!("INVITE {request_uri} to {to} from {from}, {offer}"))
        }
        Step::Header { name, value, from } => (Tone::Faint, "·", format!("{name}: {value} ({from})")),
        Step::HeaderLeftOut { name, from, why } => (Tone::Bad, "✗", format!("{name} ({from}) left out: {why}")),
        Step::Budget { name, before, after, limit, why } => {
            (Tone::Bad, "✗", format!("{name}: {before} bytes cut to {after}, {limit} are allowed: {why}"))
        }
        Step::Privacy { target, asked, withheld, verdict } => {
            let asked = if asked.is_empty() { "nothing".to_owned() } else { asked.join(", ") };
            let withheld = if withheld.is_empty() { "nothing".to_owned() } else { withheld.join(", ") };
            (Tone::Faint, "·", format!("{target}: asked for {asked}; withheld {withheld}: {verdict}"))
        }
        Step::Room { plan, failed, room } => {
            let room = room.as_ref().map_or("a new room".to_owned(), |room| format!("room `{room}`"));
            fits(failed, format!("plan {}", plan + 1), &room)
        }
        Step::Termination { code, fault, remedy, detail } => {
            let detail = detail.as_ref().map_or(String::new(), |detail| format!(": {detail}"));
            (Tone::Bad, "✗", format!("{code} ({fault}){detail}; {remedy}"))
        }
        other => (Tone::Faint, "·", fields(other)),
    }
}

/// A step without words of its own: its fields, as the record has them.
fn fields(step: &Step) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(step) else { return String::new() };
    let shown = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(list) => list
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    };
    let name = fields.get("step").map(shown).unwrap_or_default();
    let rest = fields.iter().filter(|(key, _)| *key != "step");
    let rest: Vec<String> = rest.map(|(key, value)| format!("{} {}", key.replace('_', " "), shown(value))).collect();
    format!("{name}: {}", rest.join("; "))
}

/// The leaves of a value with the way to them; what is not set says nothing.
fn listed(value: &serde_json::Value, way: &str) -> Vec<String> {
    match value {
        serde_json::Value::Null => vec![],
        serde_json::Value::Object(map) => {
            let nested = map.iter().map(|(key, value)| listed(value, &format!("{way} {key}")));
            nested.flatten().collect()
        }
        serde_json::Value::String(text) => vec![format!("{}: {text}", way.trim())],
        other => vec![format!("{}: {other}", way.trim())],
    }
}

/// Lines of at most `width` columns, broken at blanks where there are some. Control characters do not reach a terminal.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut rest: Vec<char> = text.chars().map(plain).collect();
    let mut lines = vec![];
    while rest.len() > width {
        let head = rest.get(..width).unwrap_or_default();
        let blank = head.iter().rposition(|c| *c == ' ').filter(|at| *at > width / 2);
        let at = blank.unwrap_or(width);
        let behind = rest.split_off(at);
        lines.push(rest.iter().collect::<String>().trim_end().to_owned());
        let skip = usize::from(blank.is_some());
        rest = behind.into_iter().skip(skip).collect();
    }
    lines.push(rest.iter().collect());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_broken_at_blanks_and_where_there_are_none_at_the_edge() {
        assert_eq!(wrap("aaaa bbbb cccc", 10), ["aaaa bbbb", "cccc"]);
        assert_eq!(wrap("aaaaaaaaaaaaaaa", 10), ["aaaaaaaaaa", "aaaaa"]);
        assert_eq!(wrap("", 10), [""]);
    }

    #[test]
    fn escape_sequences_of_a_message_do_not_reach_the_terminal() {
        assert_eq!(wrap("a\x1b[31mb\u{9b}c", 20), ["a [31mb c"]);
    }

    #[test]
    fn a_step_without_words_of_its_own_shows_its_fields() {
        let step = Step::Media { leg: "a".to_owned(), codecs: vec!["0 PCMU/8000".to_owned()], note: None };
        assert_eq!(told(&step).2, "media: leg a; codecs 0 PCMU/8000");
    }
}
