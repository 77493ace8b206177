//! Lines with indentation: all that both targets need.

/// Collects lines.
#[derive(Debug, Default)]
pub(crate) struct Printer {
    text: String,
    indent: usize,
}

impl Printer {
    /// One line; an empty one has no indentation.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) {
        let line = line.as_ref();
        if !line.is_empty() {
            self.text.extend(std::iter::repeat_n(' ', self.indent * 4));
            self.text.push_str(line);
        }
        self.text.push('\n');
    }
    /// A line that opens a block.
    pub(crate) fn open(&mut self, line: impl AsRef<str>) {
        self.line(format!("{} {{", line.as_ref()));
        self.indent += 1;
    }
    /// Closes the innermost block; `after` follows the brace.
    pub(crate) fn close(&mut self, after: &str) {
        self.indent = self.indent.saturating_sub(1);
        self.line(format!("}}{after}"));
    }
    /// The text so far.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}
