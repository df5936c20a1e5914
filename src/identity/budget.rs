//! How many bytes the headers of one INVITE may take, and what goes first when they take more. It stands apart because
//! the order is a promise (docs/numbers.md), and a header that vanished without a word is the hardest fault to find.

use super::template::Weight;
use crate::record::Step;

/// The longest line that is sent, its end included: several vendors cut or refuse longer ones.
pub const LONGEST_LINE: usize = 1024;

/// The shortest value that is worth keeping of a text that has to be cut.
const SHORTEST_TEXT: usize = 16;

/// A header that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where it comes from: `template`, `uri`, `passed`.
    pub from: &'static str,
    /// How much it matters.
    pub weight: Weight,
}

// === impl Line ===

impl Line {
    /// Its bytes on the wire, the end of the line included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.overhead() + self.value.len()
    }

    /// All of them but the value: `Name: ` and CR LF.
    fn overhead(&self) -> usize {
        self.name.len() + 4
    }

    /// Cuts the value so that the line has at most this many bytes. Only text can be cut: half a number is a wrong one.
    /// Whether enough of it is left.
    fn cut_to(&mut self, most: usize) -> bool {
        let Some(room) = most.checked_sub(self.overhead()).filter(|room| *room >= SHORTEST_TEXT) else { return false };
        if self.weight != Weight::Text {
            return false;
        }
        let end = (0..=room.min(self.value.len())).rev().find(|end| self.value.is_char_boundary(*end)).unwrap_or(0);
        self.value.truncate(end);
        self.value.truncate(self.value.trim_end().len());
        true
    }
}

/// What is sent of these headers: no line above [`LONGEST_LINE`], all of them together within `limit`. The order in
/// which they give way is that of [`Weight`]; among equals the longest goes first, then the later one.
#[must_use]
pub fn fit(mut lines: Vec<Line>, limit: Option<usize>, steps: &mut Vec<Step>) -> Vec<Line> {
    let too_long: Vec<usize> = positions(&lines, |line| line.bytes() > LONGEST_LINE);
    for position in too_long.into_iter().rev() {
        give(&mut lines, position, LONGEST_LINE, LONGEST_LINE, "longer than a line may be", steps);
    }
    let Some(limit) = limit else { return lines };
    loop {
        let total: usize = lines.iter().map(Line::bytes).sum();
        let Some(excess) = total.checked_sub(limit).filter(|excess| *excess > 0) else { return lines };
        let least = lines.iter().enumerate().min_by_key(|(position, line)| {
            let later = std::cmp::Reverse((line.bytes(), *position));
            // Headers that are passed on go in their order, the last one first, whatever their length.
            match line.weight {
                Weight::Passed => (line.weight, std::cmp::Reverse((0, *position))),
                weight => (weight, later),
            }
        });
        let Some((position, bytes)) = least.map(|(position, line)| (position, line.bytes())) else { return lines };
        let why = reason(&lines, position);
        give(&mut lines, position, bytes.saturating_sub(excess), limit, why, steps);
    }
}

/// Cuts a line to `most` bytes, or takes it out if that cannot be.
fn give(lines: &mut Vec<Line>, position: usize, most: usize, limit: usize, why: &str, steps: &mut Vec<Step>) {
    let Some(line) = lines.get_mut(position) else { return };
    let (name, before) = (line.name.clone(), line.bytes());
    let is_cut = line.cut_to(most);
    let after = if is_cut { line.bytes() } else { 0 };
    if !is_cut {
        lines.remove(position);
    }
    steps.push(Step::Budget { name, before, after, limit, why: why.to_owned() });
}

fn reason(lines: &[Line], position: usize) -> &'static str {
    match lines.get(position).map(|line| line.weight) {
        Some(Weight::Passed) => "passed headers give way first, the last one first",
        Some(Weight::Text) => "then texts, the longest first",
        Some(Weight::UserToUser) => "then User-to-User",
        Some(Weight::Fact) => "then other facts of the call, the longest first",
        Some(Weight::Fixed) => "then headers of the target's `uri`",
        Some(Weight::Number) => "then the numbers of the call",
        Some(Weight::Call) | None => "not even our name for the call fits",
    }
}

fn positions(lines: &[Line], is: impl Fn(&Line) -> bool) -> Vec<usize> {
    lines.iter().enumerate().filter(|(_, line)| is(line)).map(|(position, _)| position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, value: &str, weight: Weight) -> Line {
        Line { name: name.to_owned(), value: value.to_owned(), from: "template", weight }
    }

    fn names(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.name.as_str()).collect()
    }

    fn all() -> Vec<Line> {
        vec![
            line("x-call", "tl00-1", Weight::Call),
            line("x-caller", "+12025550123", Weight::Number),
            line("x-name", &"n".repeat(60), Weight::Text),
            line("x-uui", &"0".repeat(40), Weight::UserToUser),
            line("x-ucid", "00001093401581709030", Weight::Fact),
            line("x-tenant", "north", Weight::Fixed),
            line("X-One", "1", Weight::Passed),
            line("X-Two", "2", Weight::Passed),
        ]
    }

    #[test]
    fn headers_give_way_in_the_promised_order() {
        let order = ["X-Two", "X-One", "x-name", "x-uui", "x-ucid", "x-tenant", "x-caller", "x-call"];
        let mut left: Vec<&str> =
            names(&all()).into_iter().map(|name| *order.iter().find(|o| **o == name).unwrap()).collect();
        for (position, gone) in order.iter().enumerate() {
            left.retain(|name| name != gone);
            // What stays takes exactly the limit: the next one has to go, and nothing of it fits.
            let limit: usize = all().iter().filter(|line| left.contains(&line.name.as_str())).map(Line::bytes).sum();
            let mut steps = vec![];
            assert_eq!(names(&fit(all(), Some(limit), &mut steps)), left, "{limit}");
            assert_eq!(steps.len(), position + 1, "{steps:#?}");
        }
    }

    #[test]
    fn only_text_is_cut_and_never_inside_of_a_character() {
        let text = line("x-name", &"é".repeat(40), Weight::Text);
        let mut steps = vec![];
        let cut = fit(vec![text.clone()], Some(51), &mut steps);
        assert_eq!(cut[0].value, "é".repeat(20));
        assert_eq!(
            steps,
            [Step::Budget {
                name: "x-name".to_owned(),
                before: 90,
                after: 50,
                limit: 51,
                why: "then texts, the longest first".to_owned()
            }]
        );
        assert!(fit(vec![text], Some(20), &mut vec![]).is_empty(), "too little of it would be left");
        assert!(fit(vec![line("x-ucid", &"1".repeat(40), Weight::Fact)], Some(40), &mut vec![]).is_empty());
    }

    #[test]
    fn no_line_is_longer_than_peers_take() {
        let long =
            [line("x-note", &"n".repeat(3000), Weight::Text), line("x-uui", &"0".repeat(3000), Weight::UserToUser)];
        let mut steps = vec![];
        let sent = fit(long.to_vec(), None, &mut steps);
        assert_eq!(sent.iter().map(Line::bytes).collect::<Vec<_>>(), [LONGEST_LINE]);
        assert_eq!(steps.len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_sent_fits(lengths in proptest::collection::vec((0usize..2000, 0usize..7), 0..12), limit in 0usize..3000) {
            let weights = [
                Weight::Passed, Weight::Text, Weight::UserToUser, Weight::Fact, Weight::Fixed, Weight::Number, Weight::Call,
            ];
            let lines = lengths.iter().map(|(length, weight)| line("x-h", &"a".repeat(*length), weights[*weight])).collect();
            let sent = fit(lines, Some(limit), &mut vec![]);
            proptest::prop_assert!(sent.iter().map(Line::bytes).sum::<usize>() <= limit);
            proptest::prop_assert!(sent.iter().all(|line| line.bytes() <= LONGEST_LINE));
        }
    }
}
