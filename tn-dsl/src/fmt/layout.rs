//! A small layout engine in the manner of Oppen's and Wadler's pretty printers: a document says where lines may break, the printer breaks
//! as few groups as the width allows.

/// The longest line that the formatter makes where it can.
pub(super) const WIDTH: usize = 110;
/// Columns a level of nesting takes.
const STEP: usize = 4;
/// Trailing comments of neighbouring lines are aligned unless the lines' lengths differ by more than this.
const MAX_PADDING: usize = 40;

/// A document.
#[derive(Debug)]
pub(super) enum Doc {
    /// Text without line ends.
    Text(String),
    /// A blank, or a new line where the group around it is broken.
    Line,
    /// Nothing, or a new line where the group around it is broken.
    Soft,
    /// A new line.
    Hard,
    /// A comment that is put at the end of the line, whatever else comes on it.
    Suffix(String),
    /// One after another.
    Concat(Vec<Doc>),
    /// Lines that begin inside are indented one step more.
    Indent(Box<Doc>),
    /// All on one line if it fits and `broken` is not set; otherwise every `Line` and `Soft` directly inside is a new line.
    Group {
        /// What it holds.
        body: Box<Doc>,
        /// It holds a new line.
        broken: bool,
    },
    /// As many on each line as fit.
    Fill(Vec<Doc>),
}

/// Text.
pub(super) fn text(s: impl Into<String>) -> Doc {
    Doc::Text(s.into())
}
/// Documents one after another.
pub(super) fn concat(docs: Vec<Doc>) -> Doc {
    Doc::Concat(docs)
}
/// An indented document.
pub(super) fn indent(doc: Doc) -> Doc {
    Doc::Indent(Box::new(doc))
}
/// A group; a new line inside breaks it.
pub(super) fn group(body: Doc) -> Doc {
    let broken = has_break(&body);
    Doc::Group { body: Box::new(body), broken }
}
/// A group that is broken whether it fits or not.
pub(super) fn group_broken(body: Doc, broken: bool) -> Doc {
    let broken = broken || has_break(&body);
    Doc::Group { body: Box::new(body), broken }
}

/// Whether a new line is certain inside. Groups know it already, so that this does not look into them.
fn has_break(doc: &Doc) -> bool {
    match doc {
        Doc::Hard => true,
        Doc::Group { broken, .. } => *broken,
        Doc::Concat(docs) | Doc::Fill(docs) => docs.iter().any(has_break),
        Doc::Indent(inner) => has_break(inner),
        Doc::Text(_) | Doc::Line | Doc::Soft | Doc::Suffix(_) => false,
    }
}

#[derive(Default)]
struct OutLine {
    code: String,
    comment: Option<String>,
}

struct Printer<'a> {
    done: Vec<OutLine>,
    line: String,
    column: usize,
    suffixes: Vec<String>,
    stack: Vec<(usize, bool, &'a Doc)>,
}

/// Prints a document.
pub(super) fn print(doc: &Doc) -> String {
    let mut p = Printer {
        done: vec![],
        line: String::new(),
        column: 0,
        suffixes: vec![],
        stack: vec![(0, false, doc)],
    };
    p.run();
    p.new_line(0);
    while p.done.last().is_some_and(|l| l.code.is_empty() && l.comment.is_none()) {
        p.done.pop();
    }
    join(&p.done)
}

impl<'a> Printer<'a> {
    fn run(&mut self) {
        while let Some((at, flat, doc)) = self.stack.pop() {
            match doc {
                Doc::Text(s) => self.write(s),
                Doc::Line if flat => self.write(" "),
                Doc::Soft if flat => {}
                Doc::Line | Doc::Soft | Doc::Hard => self.new_line(at),
                Doc::Suffix(s) => self.suffixes.push(s.clone()),
                Doc::Concat(docs) => self.stack.extend(docs.iter().rev().map(|d| (at, flat, d))),
                Doc::Indent(inner) => self.stack.push((at + STEP, flat, inner)),
                Doc::Group { body, broken } => {
                    let flat = !broken && (flat || self.fits(body, true));
                    self.stack.push((at, flat, body));
                }
                Doc::Fill(docs) => self.fill(at, docs),
            }
        }
    }

    /// Items are put down one by one: whether the next goes on this line depends on where the last ended.
    fn fill(&mut self, at: usize, docs: &'a [Doc]) {
        for (i, doc) in docs.iter().enumerate() {
            let last = i + 1 == docs.len();
            if i > 0 {
                // the blank before it counts
                self.column += 1;
                let fits = self.suffixes.is_empty() && !has_break(doc) && self.fits(doc, last);
                self.column -= 1;
                if fits { self.write(" ") } else { self.new_line(at) }
            }
            let flat = !has_break(doc) && self.fits(doc, last);
            self.now(at, flat, doc);
        }
    }

    /// Prints one document now, before what waits on the stack.
    fn now(&mut self, at: usize, flat: bool, doc: &'a Doc) {
        let waiting = std::mem::replace(&mut self.stack, vec![(at, flat, doc)]);
        self.run();
        self.stack = waiting;
    }

    /// Whether `doc`, and with `rest` what follows it up to the next possible new line, fits on this line.
    fn fits(&self, doc: &Doc, rest: bool) -> bool {
        let mut room = match WIDTH.checked_sub(self.column) {
            Some(room) => room as isize,
            None => return false,
        };
        let mut work: Vec<(bool, &Doc)> = vec![(true, doc)];
        let mut next = self.stack.len();
        loop {
            let Some((flat, doc)) = work.pop() else {
                if !rest || next == 0 {
                    return true;
                }
                next -= 1;
                let (_, flat, doc) = self.stack[next];
                work.push((flat, doc));
                continue;
            };
            match doc {
                Doc::Text(s) => room -= s.chars().count() as isize,
                Doc::Line if flat => room -= 1,
                Doc::Soft if flat => {}
                Doc::Line | Doc::Soft | Doc::Hard => return true,
                Doc::Suffix(_) => {}
                Doc::Concat(docs) => work.extend(docs.iter().rev().map(|d| (flat, d))),
                Doc::Indent(inner) => work.push((flat, inner)),
                Doc::Group { body, broken } => work.push((flat && !broken, body)),
                Doc::Fill(docs) => {
                    for (i, d) in docs.iter().enumerate().rev() {
                        work.push((flat, d));
                        if i > 0 {
                            work.push((flat, &Doc::Line));
                        }
                    }
                }
            }
            if room < 0 {
                return false;
            }
        }
    }

    fn write(&mut self, s: &str) {
        self.line.push_str(s);
        self.column += s.chars().count();
    }

    fn new_line(&mut self, at: usize) {
        let code = std::mem::take(&mut self.line).trim_end().to_string();
        let mut suffixes = std::mem::take(&mut self.suffixes).into_iter();
        self.done.push(OutLine { code, comment: suffixes.next() });
        for more in suffixes {
            self.done.push(OutLine { code: format!("{}{more}", " ".repeat(at)), comment: None });
        }
        self.line = " ".repeat(at);
        self.column = at;
    }
}

/// Lines to text, with the trailing comments of neighbouring lines below each other.
fn join(lines: &[OutLine]) -> String {
    let mut out = String::new();
    let width = |l: &OutLine| l.code.chars().count();
    let mut i = 0;
    while i < lines.len() {
        let commented = |l: &OutLine| l.comment.is_some() && !l.code.trim().is_empty();
        let mut run = lines[i..].iter().take_while(|l| commented(l)).count();
        // a line that opens a block stands alone
        if let Some(open) = lines[i..i + run].iter().position(|l| l.code.ends_with('{')) {
            run = open.max(1);
        }
        if run == 0 {
            out.push_str(&lines[i].code);
            out.push_str(lines[i].comment.as_deref().unwrap_or(""));
            out.push('\n');
            i += 1;
            continue;
        }
        let run = &lines[i..i + run];
        let (least, most) = run.iter().map(width).fold((usize::MAX, 0), |(a, b), w| (a.min(w), b.max(w)));
        let column = if most - least <= MAX_PADDING { most } else { 0 };
        for line in run {
            let pad = column.saturating_sub(width(line)) + 2;
            out.push_str(&line.code);
            out.push_str(&" ".repeat(pad));
            out.push_str(line.comment.as_deref().unwrap_or(""));
            out.push('\n');
        }
        i += run.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_breaks_only_where_it_does_not_fit() {
        let list = |n: usize| {
            let items = (0..n).flat_map(|_| [text("item,"), Doc::Line]).collect();
            group(concat(vec![text("["), indent(concat(vec![Doc::Soft, concat(items)])), text("]")]))
        };
        assert_eq!(print(&list(2)), "[item, item, ]\n");
        assert_eq!(print(&list(30)).lines().count(), 32);
    }

    #[test]
    fn a_fill_uses_the_width() {
        let items = (0..40).map(|_| text("seven77")).collect();
        let out = print(&Doc::Fill(items));
        assert_eq!(out.lines().count(), 4, "13 words of 8 columns to a line:\n{out}");
        assert!(out.lines().all(|l| l.len() <= WIDTH));
    }
}
