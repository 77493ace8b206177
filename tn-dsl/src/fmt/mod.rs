//! The formatter: syntax tree and comments to text.
//!
//! Lines are at most 110 columns where that can be had, blocks are indented by four, subscripts are tight (`a[k-1]`), other operators have
//! blanks around them. Comments, documentation and blank lines between statements are kept (several blank lines become one); a list or a
//! chain of operators whose author began a new line after the bracket or before an operator stays broken. `format(format(x)) = format(x)`.

mod expr;
mod item;
mod layout;
mod trivia;

use crate::lex::{Tok, lex};
use crate::parse::parse;
use tn_ir::span::SourceId;

/// How often a text is laid out until it stays as it is.
const ROUNDS: usize = 6;

/// The canonical form of a text. A text with syntax errors comes back unchanged.
pub fn format(text: &str) -> String {
    let mut current = text.to_string();
    for _ in 0..ROUNDS {
        let Some(next) = once(&current) else { return text.to_string() };
        if next == current {
            // a formatter must never change what a program says
            return if same_words(text, &current) { current } else { text.to_string() };
        }
        current = next;
    }
    text.to_string()
}

/// One layout; `None` if the text has errors.
fn once(text: &str) -> Option<String> {
    let source = SourceId(0);
    let (file, diagnostics) = parse(source, text);
    if diagnostics.iter().any(|d| d.is_error()) {
        return None;
    }
    let mut writer = item::Writer::new(text, trivia::collect(source, text, &file));
    Some(layout::print(&writer.file(&file)))
}

/// Whether two texts have the same words and comments, up to brackets and commas that change nothing.
fn same_words(a: &str, b: &str) -> bool {
    let words = |text: &str| {
        let (tokens, comments, _) = lex(SourceId(0), text);
        let mut notes = comments.into_iter().map(|c| bare(&c.text)).collect::<Vec<_>>();
        let mut words = vec![];
        for t in tokens {
            match t.kind {
                Tok::Punct("," | "{" | "}") => {}
                Tok::Doc(line) => notes.push(bare(&line)),
                kind => words.push(kind),
            }
        }
        notes.sort();
        (words, notes)
    };
    words(a) == words(b)
}

/// The text of a comment without slashes and blanks at its ends.
fn bare(comment: &str) -> String {
    comment.trim().trim_start_matches('/').trim().to_string()
}

#[cfg(test)]
mod tests;
