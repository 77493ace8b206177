//! Source texts and positions in them.

use tn_ir::span::{SourceId, Span};

/// The largest source that is read, in bytes.
pub const MAX_SOURCE_BYTES: usize = 16 << 20;

/// One text with its name.
#[derive(Clone, Debug)]
pub struct Source {
    /// Shown in diagnostics: the path as the user wrote it, or `<std>/chain.tn`.
    pub name: String,
    /// The text.
    pub text: String,
    line_starts: Vec<u32>,
}

/// All texts of a compilation; a [`SourceId`] is a position in it.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    sources: Vec<Source>,
}

/// A position for people: both count from 1, columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl SourceMap {
    /// Adds a text.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        let text = text.into();
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1);
        let line_starts = std::iter::once(0).chain(starts).collect();
        self.sources.push(Source { name: name.into(), text, line_starts });
        SourceId(self.sources.len() as u32 - 1)
    }
    /// The text of that id, if it is one of this map's.
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.sources.get(id.0 as usize)
    }
    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
    /// All texts in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }
    /// Line and column of a byte.
    pub fn position(&self, id: SourceId, byte: u32) -> Position {
        let Some(source) = self.get(id) else { return Position { line: 1, column: 1 } };
        let line = source.line_starts.partition_point(|&s| s <= byte).max(1);
        let start = source.line_starts[line - 1] as usize;
        let end = floor_boundary(&source.text, (byte as usize).min(source.text.len()));
        let column = source.text.get(start..end).map_or(0, |t| t.chars().count()) + 1;
        Position { line, column }
    }
    /// The text of a line (from 1), without its end.
    pub fn line(&self, id: SourceId, line: usize) -> &str {
        let Some(source) = self.get(id) else { return "" };
        let Some(&start) = source.line_starts.get(line - 1) else { return "" };
        let end = source.line_starts.get(line).map_or(source.text.len(), |&e| e as usize);
        source.text.get(start as usize..end).unwrap_or("").trim_end_matches(['\n', '\r'])
    }
    /// The text of a span.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.source).and_then(|s| s.text.get(span.start as usize..span.end as usize)).unwrap_or("")
    }
    /// `chain.tn:12:3`
    pub fn cite(&self, span: Span) -> String {
        let name = self.get(span.source).map_or("?", |s| s.name.as_str());
        let at = self.position(span.source, span.start);
        format!("{name}:{}:{}", at.line, at.column)
    }
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while at > 0 && !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
