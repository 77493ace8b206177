//! Text to tokens. Never fails: an unknown character becomes a diagnostic and is skipped.

use crate::ast::Comment;
use crate::diag::{Code, Diagnostic};
use tn_ir::span::{SourceId, Span};

/// A token with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Which.
    pub kind: Tok,
    /// Where.
    pub span: Span,
}

/// Tokens. Keywords are words: which words are special depends on the place.
#[derive(Clone, Debug, PartialEq)]
pub enum Tok {
    /// A name or keyword.
    Word(String),
    /// An integer.
    Int(i64),
    /// A number with a fraction or exponent.
    Float(f64),
    /// `2i`
    Imag(f64),
    /// A string.
    Str(String),
    /// Punctuation.
    Punct(&'static str),
    /// A line of documentation, without its slashes.
    Doc(String),
    /// The end of the text.
    End,
}

/// The most tokens of one text: 16 MiB of nothing but brackets must not take gigabytes.
pub const MAX_TOKENS: usize = 6_000_000;

const PUNCTUATION: [&str; 33] = [
    "::", "..", "->", "==", "!=", "<=", ">=", "&&", "||", "+", "-", "*", "/", "%", "^", "<", ">", "=", "!",
    "(", ")", "[", "]", "{", "}", ",", ";", ":", "?", ".", "&", "|", "@",
];

/// All tokens of a text (the last is [`Tok::End`]), its comments, and what was wrong with it.
pub fn lex(source: SourceId, text: &str) -> (Vec<Token>, Vec<Comment>, Vec<Diagnostic>) {
    let mut lexer = Lexer { source, text, at: 0, tokens: vec![], comments: vec![], diagnostics: vec![] };
    lexer.run();
    (lexer.tokens, lexer.comments, lexer.diagnostics)
}

struct Lexer<'a> {
    source: SourceId,
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    comments: Vec<Comment>,
    diagnostics: Vec<Diagnostic>,
}

impl Lexer<'_> {
    fn span(&self, start: usize) -> Span {
        Span { source: self.source, start: start as u32, end: self.at as u32 }
    }
    fn push(&mut self, start: usize, kind: Tok) {
        let span = self.span(start);
        self.tokens.push(Token { kind, span });
    }
    fn error(&mut self, code: Code, start: usize, message: impl Into<String>, help: Option<&str>) {
        // One broken file must not give a million messages.
        if self.diagnostics.len() < 100 {
            let mut d = Diagnostic::error(code, self.span(start), message);
            if let Some(h) = help {
                d = d.with_help(h);
            }
            self.diagnostics.push(d);
        }
    }
    fn take_while(&mut self, mut keep: impl FnMut(char) -> bool) {
        let rest = &self.text[self.at..];
        self.at += rest.find(|c| !keep(c)).unwrap_or(rest.len());
    }

    fn run(&mut self) {
        while let Some(c) = self.text[self.at..].chars().next() {
            let start = self.at;
            let rest = &self.text[self.at..];
            if self.tokens.len() >= MAX_TOKENS {
                let message = format!("more than {MAX_TOKENS} words and signs in one file");
                self.error(
                    Code::SourceTooLong,
                    start,
                    message,
                    Some("use families in place of single definitions"),
                );
                break;
            }
            if c.is_whitespace() || (c == '\u{feff}' && start == 0) {
                self.at += c.len_utf8();
            } else if rest.starts_with("//") {
                self.comment();
            } else if c.is_ascii_digit() {
                self.number();
            } else if c.is_alphabetic() || c == '_' {
                self.take_while(|c| c.is_alphanumeric() || c == '_' || c == '\'');
                let word = self.text[start..self.at].to_string();
                self.push(start, Tok::Word(word));
            } else if c == '"' {
                self.string();
            } else if let Some(p) = PUNCTUATION.iter().find(|p| rest.starts_with(**p)) {
                self.at += p.len();
                self.push(start, Tok::Punct(p));
            } else {
                self.at += c.len_utf8();
                self.error(
                    Code::UnexpectedCharacter,
                    start,
                    format!("unexpected character `{}`", c.escape_debug()),
                    None,
                );
            }
        }
        let start = self.at;
        self.push(start, Tok::End);
    }

    fn comment(&mut self) {
        let start = self.at;
        self.take_while(|c| c != '\n');
        let text = self.text[start..self.at].trim_end();
        match text.strip_prefix("///") {
            Some(doc) if !doc.starts_with('/') => {
                let doc = doc.strip_prefix(' ').unwrap_or(doc).to_string();
                self.push(start, Tok::Doc(doc));
            }
            _ => {
                let line = self.text[..start].rfind('\n').map_or(0, |n| n + 1);
                let own_line = self.text[line..start].trim().is_empty();
                let span = self.span(start);
                self.comments.push(Comment { text: text.to_string(), span, own_line });
            }
        }
    }

    fn number(&mut self) {
        let start = self.at;
        let digits = |c: char| c.is_ascii_digit() || c == '_';
        self.take_while(digits);
        let mut float = false;
        let after = &self.text[self.at..];
        // `0..n` is a range; `1.` needs a digit after the point
        if after.starts_with('.') && after[1..].starts_with(|c: char| c.is_ascii_digit()) {
            float = true;
            self.at += 1;
            self.take_while(digits);
        }
        let after = &self.text[self.at..];
        if after.starts_with(['e', 'E']) {
            let exponent = after[1..].trim_start_matches(['+', '-']);
            let signs = after.len() - 1 - exponent.len();
            if signs <= 1 && exponent.starts_with(|c: char| c.is_ascii_digit()) {
                float = true;
                self.at += 1 + signs;
                self.take_while(digits);
            }
        }
        let text: String = self.text[start..self.at].chars().filter(|c| *c != '_').collect();
        let after = &self.text[self.at..];
        let imaginary =
            after.starts_with('i') && !after[1..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if imaginary {
            self.at += 1;
        } else if after.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            self.take_while(|c| c.is_alphanumeric() || c == '_');
            let help = "names begin with a letter; put a blank or an operator between a number and a name";
            self.error(Code::BadNumber, start, "a number runs into a name", Some(help));
        }
        if imaginary || float {
            match text.parse::<f64>() {
                Ok(v) if v.is_finite() => {
                    self.push(start, if imaginary { Tok::Imag(v) } else { Tok::Float(v) })
                }
                _ => {
                    self.error(Code::BadNumber, start, "number out of range", None);
                    self.push(start, Tok::Float(0.0));
                }
            }
        } else {
            match text.parse::<i64>() {
                Ok(v) => self.push(start, Tok::Int(v)),
                Err(_) => {
                    self.error(
                        Code::BadNumber,
                        start,
                        "integer does not fit 64 bits",
                        Some("write it as a float, such as `1e30`"),
                    );
                    self.push(start, Tok::Int(1));
                }
            }
        }
    }

    fn string(&mut self) {
        let start = self.at;
        self.at += 1;
        let mut value = String::new();
        let mut closed = false;
        while let Some(c) = self.text[self.at..].chars().next() {
            if c == '\n' {
                break;
            }
            self.at += c.len_utf8();
            match c {
                '"' => {
                    closed = true;
                    break;
                }
                '\\' => {
                    let escape = self.text[self.at..].chars().next().unwrap_or(' ');
                    self.at +=
                        if escape == '\n' { 0 } else { escape.len_utf8().min(self.text.len() - self.at) };
                    match escape {
                        'n' => value.push('\n'),
                        't' => value.push('\t'),
                        '"' | '\\' => value.push(escape),
                        other => {
                            let from = self.at.saturating_sub(1 + other.len_utf8()).max(start);
                            let message = format!("unknown escape `\\{}`", other.escape_debug());
                            self.error(
                                Code::BadString,
                                from,
                                message,
                                Some("the escapes are `\\n`, `\\t`, `\\\"` and `\\\\`"),
                            );
                        }
                    }
                }
                other => value.push(other),
            }
        }
        if !closed {
            self.error(Code::BadString, start, "a string is not closed on its line", Some("add `\"`"));
        }
        self.push(start, Tok::Str(value));
    }
}
