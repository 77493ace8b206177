//! Where parsing goes on after a mistake.
//!
//! Words such as `let` or `topology` occur nowhere but at the start of a statement or item, so they are trusted more than brackets: a
//! bracket that was forgotten must not swallow the rest of the file.

use super::Parser;
use super::item::ITEM_WORDS;
use super::stmt::STATEMENT_WORDS;
use crate::ast::{Stmt, StmtKind};
use crate::lex::{Tok, Token};

/// For each opening bracket the position of the token that closes it, paired by nesting alone; `u32::MAX` elsewhere.
pub(super) fn closing_tokens(tokens: &[Token]) -> Vec<u32> {
    let mut closes = vec![u32::MAX; tokens.len()];
    let mut open = vec![];
    for (i, token) in tokens.iter().enumerate() {
        match token.kind {
            Tok::Punct("(" | "[" | "{") => open.push(i),
            Tok::Punct(")" | "]" | "}") => {
                if let Some(o) = open.pop() {
                    closes[o] = i as u32;
                }
            }
            _ => {}
        }
    }
    closes
}

/// A word that begins items and nothing else (`const` and `map` stand elsewhere too).
fn only_begins_items(word: &str) -> bool {
    matches!(word, "use" | "fn" | "topology" | "network")
}

/// A word that begins statements and nothing else (`if` and `for` stand in expressions too).
fn only_begins_statements(word: &str) -> bool {
    STATEMENT_WORDS.contains(&word) && word != "if" && word != "for"
}

impl Parser {
    /// On to the next item.
    pub(super) fn recover_item(&mut self) {
        let mut depth = 0i32;
        loop {
            match self.peek() {
                Tok::End => return,
                Tok::Punct("{") => depth += 1,
                Tok::Punct("}") => depth = (depth - 1).max(0),
                Tok::Word(w) if only_begins_items(w) => return,
                Tok::Word(w) if depth == 0 && ITEM_WORDS.contains(&w.as_str()) => {
                    // `act: map` is a type
                    if matches!(self.peek_at(1), Tok::Word(_)) {
                        return;
                    }
                }
                _ => {}
            }
            self.skip();
        }
    }

    /// On to the next statement of this block, or the block's end, from a statement that began at token `before`. At least one token is
    /// taken. Where a `for` or `if` is broken before its block, the block's own statements are parsed for their mistakes.
    pub(super) fn recover_statement(&mut self, before: usize, out: &mut Vec<Stmt>) {
        let (mut depth, mut inner) = (0usize, 0usize);
        for token in &self.tokens[before..self.at.max(before)] {
            match token.kind {
                Tok::Punct("{") => depth += 1,
                Tok::Punct("}") => depth = depth.saturating_sub(1),
                Tok::Punct("(" | "[") => inner += 1,
                Tok::Punct(")" | "]") => inner = inner.saturating_sub(1),
                _ => {}
            }
        }
        let first = self.tokens[before..].iter().find(|t| !matches!(t.kind, Tok::Doc(_)));
        let has_block = matches!(first.map(|t| &t.kind), Some(Tok::Word(w)) if w == "for" || w == "if");
        if self.at == before {
            self.skip();
        }
        loop {
            match self.peek() {
                Tok::End => return,
                Tok::Punct("{") if has_block && depth == 0 => {
                    if self.begins_statement(1) {
                        if let Ok(block) = self.block() {
                            self.keep_declarations(block.statements, out);
                        }
                        return;
                    }
                    depth += 1;
                }
                Tok::Punct("{") => depth += 1,
                Tok::Punct("}") if depth == 0 => return,
                Tok::Punct("}") => depth -= 1,
                Tok::Word(w) if only_begins_items(w) || only_begins_statements(w) => return,
                // `x[…] =` after a mistake in the line before
                Tok::Word(_) if depth == 0 && self.begins_assignment() => return,
                Tok::Word(w) if depth + inner == 0 && w == "for" => return,
                Tok::Punct("(" | "[") => inner += 1,
                Tok::Punct(")" | "]") => inner = inner.saturating_sub(1),
                _ => {}
            }
            self.skip();
        }
    }

    /// What a broken `if` or `for` holds is kept as statements of the outer block: names used later are then known.
    fn keep_declarations(&self, statements: Vec<Stmt>, out: &mut Vec<Stmt>) {
        out.extend(statements.into_iter().filter(|s| !matches!(s.kind, StmtKind::Return { .. })));
    }

    fn begins_statement(&self, ahead: usize) -> bool {
        match self.peek_at(ahead) {
            Tok::Word(w) => STATEMENT_WORDS.contains(&w.as_str()) || self.is_at(ahead + 1, "["),
            _ => false,
        }
    }

    /// Whether `name[…] =` stands here.
    fn begins_assignment(&self) -> bool {
        let open = self.index_of(1);
        if !matches!(self.tokens[open].kind, Tok::Punct("[")) {
            return false;
        }
        let close = self.closes[open] as usize;
        matches!(self.tokens.get(close.saturating_add(1)).map(|t| &t.kind), Some(Tok::Punct("=")))
    }

    /// Takes a token that nothing is said about.
    fn skip(&mut self) {
        let said = self.diagnostics.len();
        self.bump();
        self.diagnostics.truncate(said);
    }
}
