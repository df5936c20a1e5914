//! One problem of the file with its place and its remedy. Apart, because everything that reads the file may find one.

/// One problem of the file, or one warning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line, from 1; 0 if the file itself is the problem.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

// === impl Problem ===

impl Problem {
    /// `FILE:LINE:COLUMN: message; remedy`.
    #[must_use]
    pub fn of(&self, file: &str) -> String {
        if self.line == 0 {
            return format!("{file}: {}; {}", self.message, self.remedy);
        }
        format!("{file}:{}:{}: {}; {}", self.line, self.column, self.message, self.remedy)
    }
}
