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
    /// Lines that were printed elsewhere, indented as here.
    pub(crate) fn lines(&mut self, text: &str) {
        for line in text.lines() {
            self.line(line);
        }
    }
    /// The text so far.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// Whether a word occurs in a text.
pub(crate) fn mentions(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|w| w == word)
}
