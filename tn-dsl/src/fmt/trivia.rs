//! Comments and documentation lines in the order of their places.

use crate::ast::File;
use crate::lex::{Tok, lex};
use tn_ir::span::SourceId;

/// A comment or a line of documentation.
#[derive(Clone, Debug)]
pub(super) struct Trivia {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// With its slashes.
    pub text: String,
    /// As a plain comment (documentation that documents nothing becomes one).
    pub plain: String,
    /// Only blanks before it on its line.
    pub own_line: bool,
    /// It is documentation.
    pub doc: bool,
}

/// All of a file's.
pub(super) fn collect(source: SourceId, text: &str, file: &File) -> Vec<Trivia> {
    let comment = |c: &crate::ast::Comment| Trivia {
        start: c.span.start as usize,
        end: c.span.end as usize,
        text: c.text.clone(),
        plain: c.text.clone(),
        own_line: c.own_line,
        doc: false,
    };
    let mut all: Vec<Trivia> = file.comments.iter().map(comment).collect();
    for token in lex(source, text).0 {
        let Tok::Doc(line) = token.kind else { continue };
        let start = token.span.start as usize;
        let begin = text[..start].rfind('\n').map_or(0, |n| n + 1);
        let blank = if line.is_empty() { "" } else { " " };
        all.push(Trivia {
            start,
            end: token.span.end as usize,
            text: format!("///{blank}{line}"),
            plain: format!("//{blank}{line}"),
            own_line: text[begin..start].trim().is_empty(),
            doc: true,
        });
    }
    all.sort_by_key(|t| t.start);
    all
}
