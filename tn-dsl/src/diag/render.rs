//! Diagnostics as text for people and as JSON for programs.

use super::{Diagnostic, Severity};
use crate::source::SourceMap;
use serde_json::{Value, json};
use tn_ir::span::Span;

/// The longest part of a source line that is shown, in characters.
const MAX_LINE: usize = 160;

struct Paint(bool);

impl Paint {
    fn wrap(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// One diagnostic: message, file:line:column, the line with the span underlined, help.
pub fn render(d: &Diagnostic, sources: &SourceMap, color: bool) -> String {
    let paint = Paint(color);
    let (word, tint) = match d.severity {
        Severity::Error => ("error", "1;31"),
        Severity::Warning => ("warning", "1;33"),
    };
    let mut out = format!("{}: {}\n", paint.wrap(tint, &format!("{word}[{}]", d.code.id())), d.message);
    snippet(&mut out, d.span, &d.label, sources, &paint, tint, "-->");
    for (span, text) in &d.related {
        snippet(&mut out, *span, text, sources, &paint, "1;34", ":::");
    }
    if let Some(help) = &d.help {
        let mut lines = help.lines();
        out += &format!("  {} {}\n", paint.wrap("1;36", "help:"), lines.next().unwrap_or(""));
        for line in lines {
            out += &format!("        {line}\n");
        }
    }
    out
}

fn snippet(
    out: &mut String,
    span: Span,
    label: &str,
    sources: &SourceMap,
    paint: &Paint,
    tint: &str,
    arrow: &str,
) {
    let at = sources.position(span.source, span.start);
    let end = sources.position(span.source, span.end.max(span.start));
    let number = at.line.to_string();
    let margin = " ".repeat(number.len());
    out.push_str(&format!("{margin}{} {}\n", paint.wrap("1;34", arrow), sources.cite(span)));
    let line = sources.line(span.source, at.line);
    let length = line.chars().count();
    let first = at.column - 1;
    let width = if end.line == at.line {
        (end.column - at.column).max(1)
    } else {
        length.saturating_sub(first).max(1)
    };
    // very long lines are cut to a window around the span
    let from = if length > MAX_LINE { first.saturating_sub(40).min(length) } else { 0 };
    let window = line.chars().skip(from).take(MAX_LINE);
    let shown: String = window.map(|c| if c == '\t' { ' ' } else { c }).collect();
    let width = width.min(MAX_LINE.saturating_sub(first - from).max(1));
    let bar = paint.wrap("1;34", "|");
    out.push_str(&format!("{margin} {bar}\n{} {bar} {}\n", paint.wrap("1;34", &number), shown.trim_end()));
    let marks = format!("{}{}", " ".repeat(first - from), paint.wrap(tint, &"^".repeat(width)));
    let label = if label.is_empty() { String::new() } else { format!(" {}", paint.wrap(tint, label)) };
    out.push_str(&format!("{margin} {bar} {marks}{label}\n"));
}

/// All diagnostics, in the order given, with an empty line between.
pub fn render_all(diagnostics: &[Diagnostic], sources: &SourceMap, color: bool) -> String {
    diagnostics.iter().map(|d| render(d, sources, color)).collect::<Vec<_>>().join("\n")
}

fn place(span: Span, sources: &SourceMap) -> Value {
    let (from, to) = (sources.position(span.source, span.start), sources.position(span.source, span.end));
    json!({
        "file": sources.get(span.source).map_or("?", |s| s.name.as_str()),
        "line": from.line, "column": from.column, "end_line": to.line, "end_column": to.column,
    })
}

/// All diagnostics as one JSON array.
pub fn to_json(diagnostics: &[Diagnostic], sources: &SourceMap) -> Value {
    let one = |d: &Diagnostic| {
        let mut v = place(d.span, sources);
        v["code"] = json!(d.code.id());
        v["severity"] = json!(if d.is_error() { "error" } else { "warning" });
        v["message"] = json!(d.message);
        v["label"] = json!(d.label);
        v["help"] = json!(d.help);
        let related = d.related.iter().map(|(span, text)| {
            let mut r = place(*span, sources);
            r["message"] = json!(text);
            r
        });
        v["related"] = related.collect();
        v
    };
    Value::Array(diagnostics.iter().map(one).collect())
}
