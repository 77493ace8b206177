//! Diagnostics: what is wrong, where, and the edit that mends it.
//!
//! Messages are lower case, one sentence, names in backticks; `help:` has the edit. Codes are stable; [`Code::page`] is what
//! `tnc explain CODE` shows.

mod codes;
mod render;

pub use codes::Code;
pub use render::{render, render_all, to_json};

use tn_ir::span::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing can be built.
    Error,
    /// Worth a look.
    Warning,
}

/// A message about a place in a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Stable code.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// The place.
    pub span: Span,
    /// What to say under the place (may be empty).
    pub label: String,
    /// Other places that matter.
    pub related: Vec<(Span, String)>,
    /// The edit.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: shortened(&message.into()),
            span,
            label: String::new(),
            related: vec![],
            help: None,
        }
    }
    /// A warning.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }
    /// With a text under the span.
    pub fn with_label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = shortened(&label.into());
        self
    }
    /// With the edit that mends it.
    pub fn with_help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(shortened(&help.into()));
        self
    }
    /// With another place.
    pub fn with_related(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.related.push((span, shortened(&text.into())));
        self
    }
    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The candidate nearest to `name`, if it is near enough to be a slip (Levenshtein distance with transpositions).
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 4 * LONGEST_NAME {
        return None;
    }
    let limit = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|c| *c != name)
        // a slip of the shift key is the likeliest
        .map(|c| (if c.to_lowercase() == name.to_lowercase() { 0 } else { distance(name, c) }, c))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// Candidates in the order of their likeness to `name`.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all: Vec<_> = candidates.into_iter().map(|c| (distance(name, c), c)).collect();
    all.sort();
    all.into_iter().map(|(_, c)| c).collect()
}

/// Names longer than this are shortened in messages, in characters.
const LONGEST_NAME: usize = 80;
/// What is left of them.
const SHOWN: usize = 60;
/// The longest message, in characters.
const LONGEST_MESSAGE: usize = 4000;

/// A message in which every word is short enough to be read.
fn shortened(text: &str) -> String {
    if text.len() <= LONGEST_NAME {
        return text.to_string();
    }
    let mut out = String::new();
    for (k, word) in text.split(' ').enumerate() {
        if out.chars().count() > LONGEST_MESSAGE {
            out.push('…');
            break;
        }
        if k > 0 {
            out.push(' ');
        }
        let mut chars = word.chars();
        if chars.by_ref().nth(LONGEST_NAME).is_none() {
            out.push_str(word);
            continue;
        }
        out.extend(word.chars().take(SHOWN));
        out.push('…');
        // a backtick that was open is closed
        if word.chars().take(SHOWN).filter(|c| *c == '`').count() % 2 == 1 {
            out.push('`');
        }
        // what stands after a name belongs to the sentence
        let end: Vec<char> = word.chars().rev().take(4).take_while(|c| ",;:.?)]".contains(*c)).collect();
        out.extend(end.iter().rev());
    }
    out
}

/// `1 leg`, `2 legs`
pub(crate) fn counted(n: usize, what: &str) -> String {
    match (n, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{n} {stem}ies"),
        _ => format!("{n} {what}s"),
    }
}

/// `but 1 is given`, `but 2 are given`
pub(crate) fn but_given(n: usize) -> String {
    match n {
        0 => "but none is given".into(),
        1 => "but 1 is given".into(),
        n => format!("but {n} are given"),
    }
}

fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_id_of_its_own() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.id()), Some(*code));
        }
    }

    #[test]
    fn long_names_are_shortened() {
        let long = "x".repeat(1 << 20);
        let d = Diagnostic::error(Code::UnknownName, Span::default(), format!("unknown name `{long}`, a"))
            .with_help(format!("write `{long}[…]`"));
        assert_eq!(d.message, format!("unknown name `{}…`, a", "x".repeat(59)));
        assert_eq!(d.help, Some(format!("write `{}…`", "x".repeat(59))));
        let words = Diagnostic::error(Code::Assertion, Span::default(), "ab ".repeat(1 << 20));
        assert!(words.message.chars().count() < 4100);
        assert_eq!(did_you_mean(&long, ["chain"]), None);
    }

    #[test]
    fn numbers_agree_with_their_nouns() {
        assert_eq!(counted(1, "leg"), "1 leg");
        assert_eq!(counted(0, "leg"), "0 legs");
        assert_eq!(counted(2, "entry"), "2 entries");
        assert_eq!((but_given(1), but_given(3)), ("but 1 is given".into(), "but 3 are given".into()));
    }

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        assert_eq!(did_you_mean("chian", ["ring", "chain"]), Some("chain"));
        assert_eq!(did_you_mean("lenght", ["length", "len"]), Some("length"));
        assert_eq!(did_you_mean("W", ["v", "w"]), Some("w"));
        assert_eq!(did_you_mean("foo", ["quux", "chain"]), None);
    }
}
