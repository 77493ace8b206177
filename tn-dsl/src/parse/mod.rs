//! Tokens to syntax tree. Never fails and never panics: what cannot be parsed becomes a diagnostic, and parsing goes on at the next
//! statement or item, so that independent mistakes are reported in one run.

mod expr;
mod item;
mod legs;
mod recover;
mod stmt;

use crate::ast::{File, Ident, ItemKind};
use crate::diag::{Code, Diagnostic};
use crate::lex::{Tok, Token, lex};
use crate::source::MAX_SOURCE_BYTES;
use tn_ir::span::{SourceId, Span};

/// The deepest nesting of expressions, brackets and blocks.
pub const MAX_DEPTH: u32 = 256;
/// The longest chain of infix operators in one expression.
pub const MAX_CHAIN: u32 = 1000;

/// The highest tree of one expression: nesting and chains together. Whoever walks a tree may recurse on it.
pub const MAX_HEIGHT: u32 = MAX_CHAIN + MAX_DEPTH;
/// Diagnostics that one text can give.
const MAX_DIAGNOSTICS: usize = 100;

/// Parses a text. The tree holds whatever could be understood; the diagnostics stand in the order of their places.
pub fn parse(source: SourceId, text: &str) -> (File, Vec<Diagnostic>) {
    if text.len() > MAX_SOURCE_BYTES {
        let start = Span { source, start: 0, end: 0 };
        let d = Diagnostic::error(Code::SourceTooLong, start, "the source is longer than 16 MiB");
        return (File::default(), vec![d.with_help("use families in place of single definitions")]);
    }
    let (tokens, comments, diagnostics) = lex(source, text);
    let mut parser = Parser::new(tokens, diagnostics);
    let mut items = parser.items();
    document_first_network(&mut items);
    (File { items, comments }, parser.finish())
}

/// A `///` block before `use` speaks of the file's first network.
fn document_first_network(items: &mut [crate::ast::Item]) {
    let Some(u) = items.iter().position(|i| matches!(i.kind, ItemKind::Use(_)) && !i.doc.is_empty()) else {
        return;
    };
    let Some(n) = items.iter().position(|i| matches!(i.kind, ItemKind::Network(_))) else { return };
    if items[n].doc.is_empty() {
        items[n].doc = items[u].doc.clone();
    }
}

/// The parse of a part was given up; a diagnostic has been pushed.
pub(crate) struct Failed;
pub(crate) type Parsed<T> = Result<T, Failed>;

pub(crate) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
    in_topology: bool,
    last_end: u32,
    diagnostics: Vec<Diagnostic>,
    /// For each opening bracket the token that closes it, whatever its kind; `u32::MAX` if none does.
    closes: Vec<u32>,
    /// The highest tree completed since the caller last took this.
    height: u32,
    /// The rest of the text was skipped: what that leads to is no fault of its own.
    gave_up: bool,
}

impl Parser {
    fn new(tokens: Vec<Token>, diagnostics: Vec<Diagnostic>) -> Parser {
        let closes = recover::closing_tokens(&tokens);
        Parser {
            tokens,
            at: 0,
            depth: 0,
            in_topology: false,
            last_end: 0,
            diagnostics,
            closes,
            height: 0,
            gave_up: false,
        }
    }
    fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|d| (d.span.start, d.span.end));
        self.diagnostics
    }
    /// The next token that is no documentation.
    fn index_of(&self, mut ahead: usize) -> usize {
        let mut i = self.at;
        loop {
            match self.tokens.get(i).map(|t| &t.kind) {
                Some(Tok::Doc(_)) => i += 1,
                None => return self.tokens.len() - 1,
                Some(_) if ahead == 0 => return i,
                Some(_) => {
                    ahead -= 1;
                    i += 1;
                }
            }
        }
    }
    fn peek(&self) -> &Tok {
        &self.tokens[self.index_of(0)].kind
    }
    fn peek_at(&self, ahead: usize) -> &Tok {
        &self.tokens[self.index_of(ahead)].kind
    }
    fn here(&self) -> Span {
        self.tokens[self.index_of(0)].span
    }
    fn bump(&mut self) -> Token {
        let i = self.index_of(0);
        let token = self.tokens[i].clone();
        self.misplaced_docs(i);
        if token.kind != Tok::End {
            self.at = i + 1;
            self.last_end = token.span.end;
        }
        token
    }
    /// Documentation from here up to token `end` has nothing that it could document.
    fn misplaced_docs(&mut self, end: usize) {
        if self.at < end {
            let span = self.tokens[self.at].span.to(self.tokens[end - 1].span);
            let d = Diagnostic::warning(
                Code::UnusedDoc,
                span,
                "this documentation stands before nothing that it could document",
            );
            self.push(d.with_help("put it before an item or a statement, or write `//`"));
        }
    }
    /// From `start` to the end of the last token taken.
    fn since(&self, start: Span) -> Span {
        Span { end: self.last_end.max(start.start), ..start }
    }
    fn is(&self, p: &str) -> bool {
        matches!(self.peek(), Tok::Punct(q) if *q == p)
    }
    fn is_at(&self, ahead: usize, p: &str) -> bool {
        matches!(self.peek_at(ahead), Tok::Punct(q) if *q == p)
    }
    fn is_word(&self, w: &str) -> bool {
        matches!(self.peek(), Tok::Word(x) if x == w)
    }
    fn word_at(&self, ahead: usize) -> Option<&str> {
        match self.peek_at(ahead) {
            Tok::Word(w) => Some(w),
            _ => None,
        }
    }
    fn eat(&mut self, p: &str) -> bool {
        let yes = self.is(p);
        if yes {
            self.bump();
        }
        yes
    }
    fn eat_word(&mut self, w: &str) -> bool {
        let yes = self.is_word(w);
        if yes {
            self.bump();
        }
        yes
    }
    fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> Failed {
        self.push(Diagnostic::error(code, span, message));
        Failed
    }
    fn push(&mut self, d: Diagnostic) {
        // where the text ends, every open bracket would say the same
        let same = self.diagnostics.last().is_some_and(|o| o.span == d.span && o.code == d.code);
        if self.diagnostics.len() < MAX_DIAGNOSTICS && !self.gave_up && !same {
            self.diagnostics.push(d);
        }
    }
    fn describe(&self) -> String {
        match self.peek() {
            Tok::Word(w) if w.chars().count() > 40 => {
                format!("`{}…`", w.chars().take(40).collect::<String>())
            }
            Tok::Word(w) => format!("`{w}`"),
            Tok::Int(v) => format!("`{v}`"),
            Tok::Float(v) => format!("`{v:?}`"),
            Tok::Imag(v) => format!("`{v:?}i`"),
            Tok::Str(_) => "a string".into(),
            Tok::Punct(p) => format!("`{p}`"),
            Tok::Doc(_) => "documentation".into(),
            Tok::End => "the end of the file".into(),
        }
    }
    fn unexpected(&mut self, expected: &str) -> Failed {
        let message = format!("expected {expected}, found {}", self.describe());
        let span = self.here();
        self.error(Code::Syntax, span, message)
    }
    fn expect(&mut self, p: &'static str, context: &str) -> Parsed<Span> {
        if self.is(p) { Ok(self.bump().span) } else { Err(self.unexpected(&format!("`{p}` {context}"))) }
    }
    /// A closing bracket; the message points back at the opening one.
    fn close(&mut self, p: &'static str, open: Span) -> Parsed<Span> {
        if self.is(p) {
            return Ok(self.bump().span);
        }
        let message = format!("expected `{p}`, found {}", self.describe());
        let span = self.here();
        self.push(Diagnostic::error(Code::Unclosed, span, message).with_related(open, "opened here"));
        Err(Failed)
    }
    fn expect_word(&mut self, w: &str, context: &str) -> Parsed<()> {
        if self.eat_word(w) { Ok(()) } else { Err(self.unexpected(&format!("`{w}` {context}"))) }
    }
    fn ident(&mut self, what: &str) -> Parsed<Ident> {
        match self.peek() {
            Tok::Word(w) if !is_reserved(w) => {
                let name = w.clone();
                Ok(Ident { name, span: self.bump().span })
            }
            Tok::Word(w) => {
                let message = format!("expected {what}, found the keyword `{w}`");
                let span = self.here();
                Err(self.error(Code::Syntax, span, message))
            }
            _ => Err(self.unexpected(what)),
        }
    }
    /// Runs `f` one level deeper.
    fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            let span = self.here();
            let d = Diagnostic::error(Code::TooDeep, span, format!("nesting deeper than {MAX_DEPTH} levels"));
            self.push(d.with_help("give inner parts a `let` of their own"));
            self.at = self.tokens.len() - 1;
            self.gave_up = true;
            return Err(Failed);
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }
    /// Runs `f` and says how high the trees are that it made.
    fn measured<T>(&mut self, f: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<(T, u32)> {
        let outer = std::mem::take(&mut self.height);
        let result = f(self);
        let inner = std::mem::replace(&mut self.height, outer);
        Ok((result?, inner))
    }
    /// Records a tree of that height.
    fn grown(&mut self, height: u32) -> Parsed<()> {
        if height > MAX_HEIGHT {
            let span = self.here();
            let d = Diagnostic::error(
                Code::TooDeep,
                span,
                format!("an expression is more than {MAX_HEIGHT} operators deep"),
            );
            self.push(d.with_help("give inner parts a `let` of their own"));
            return Err(Failed);
        }
        self.height = self.height.max(height);
        Ok(())
    }
    /// Documentation lines that stand here.
    fn docs(&mut self) -> Vec<String> {
        let mut lines = vec![];
        let next = self.index_of(0);
        if matches!(self.tokens[next].kind, Tok::End | Tok::Punct("}")) {
            self.misplaced_docs(next);
        }
        while let Some(Tok::Doc(line)) = self.tokens.get(self.at).map(|t| &t.kind) {
            lines.push(line.clone());
            self.at += 1;
        }
        lines
    }
}

/// Words that cannot be names.
pub fn is_reserved(word: &str) -> bool {
    matches!(
        word,
        "use"
            | "const"
            | "fn"
            | "map"
            | "topology"
            | "network"
            | "index"
            | "param"
            | "input"
            | "output"
            | "let"
            | "var"
            | "for"
            | "in"
            | "if"
            | "else"
            | "assert"
            | "return"
            | "prod"
            | "sum"
            | "stack"
            | "true"
            | "false"
            | "dtype"
            | "as"
    )
}

/// Parses one expression that is all of a text (`--set chi=32`).
pub fn parse_expr(source: SourceId, text: &str) -> (Option<crate::ast::Expr>, Vec<Diagnostic>) {
    let (tokens, _, diagnostics) = lex(source, text);
    let mut parser = Parser::new(tokens, diagnostics);
    let e = parser.expr();
    if e.is_ok() && *parser.peek() != Tok::End {
        parser.unexpected("the end of the value");
    }
    (e.ok().filter(|_| parser.diagnostics.is_empty()), parser.diagnostics)
}
