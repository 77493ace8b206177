//! Items, blocks and statements, and where comments go between them.

use super::expr::{Style, entries};
use super::layout::{Doc, concat, group, group_broken, indent, text};
use super::trivia::Trivia;
use crate::ast::*;
use tn_ir::span::Span;

/// Writes a tree, taking comments as it passes their places.
pub(super) struct Writer<'a> {
    source: &'a str,
    trivia: Vec<Trivia>,
    next: usize,
}

/// Where a run of statements or items has got to.
struct Run {
    docs: Vec<Doc>,
    /// End of what was written last.
    end: usize,
    /// Nothing has been written yet.
    first: bool,
}

impl Run {
    fn new(end: usize) -> Run {
        Run { docs: vec![], end, first: true }
    }
}

/// The place of a block's first byte inside the braces.
fn inside(block: &Block) -> usize {
    block.span.start as usize + 1
}

impl<'a> Writer<'a> {
    pub(super) fn new(source: &'a str, trivia: Vec<Trivia>) -> Writer<'a> {
        Writer { source, trivia, next: 0 }
    }

    // ---- the text and its comments ----

    fn between(&self, from: usize, to: usize) -> &'a str {
        self.source.get(from..to).unwrap_or("")
    }
    /// The text of a span.
    pub(super) fn source(&self, span: Span) -> &'a str {
        self.between(span.start as usize, span.end as usize)
    }
    /// Comments before a place that were not taken yet.
    pub(super) fn take_before(&mut self, place: u32) -> Vec<Trivia> {
        let count = self.trivia[self.next..].iter().take_while(|t| t.start < place as usize).count();
        self.next += count;
        self.trivia[self.next - count..self.next].to_vec()
    }
    /// The same, to be put at the end of the line.
    pub(super) fn suffixes(&mut self, place: u32) -> Vec<Doc> {
        self.take_before(place).into_iter().map(|t| Doc::Suffix(t.plain)).collect()
    }
    fn has_trivia_before(&self, place: u32) -> bool {
        self.trivia.get(self.next).is_some_and(|t| t.start < place as usize)
    }
    /// Whether a line ends between two places.
    pub(super) fn line_ends_between(&self, from: u32, to: u32) -> bool {
        self.between(from as usize, to as usize).contains('\n')
    }
    /// Whether a bracket's first entry stands on a new line.
    pub(super) fn bracket_is_open(&self, first: u32) -> bool {
        let before = self.between(0, first as usize);
        before[before.trim_end().len()..].contains('\n')
    }
    /// The last sign between two places, comments left out.
    pub(super) fn last_sign_before(&self, from: u32, to: u32) -> Option<char> {
        let code = self.between(from as usize, to as usize).lines();
        let code = code.map(|l| l.split("//").next().unwrap_or("")).collect::<String>();
        code.trim_end().chars().next_back()
    }

    // ---- runs of items and statements ----

    /// Begins a new line for what stands at `start`; an empty line if there was one, or if `apart`.
    fn line_for(&self, run: &mut Run, start: usize, apart: bool) {
        let blank = self.between(run.end, start).matches('\n').count() > 1;
        if !run.first {
            run.docs.push(Doc::Hard);
            if blank || apart {
                run.docs.push(Doc::Hard);
            }
        }
        run.first = false;
    }

    /// Comments before `place`; documentation stays documentation if something follows that it documents.
    fn lead(&mut self, run: &mut Run, place: usize, documented: bool, mut apart: bool) {
        for note in self.take_before(place as u32) {
            let keep = note.doc && documented;
            if !note.own_line && !keep && !self.between(run.end, note.start).contains('\n') {
                run.docs.push(Doc::Suffix(note.plain));
            } else {
                self.line_for(run, note.start, apart);
                apart = false;
                run.docs.push(text(if keep { note.text } else { note.plain }));
            }
            run.end = note.end;
        }
        if documented {
            self.line_for(run, place, apart);
        }
    }

    /// The whole file.
    pub(super) fn file(&mut self, file: &File) -> Doc {
        let mut run = Run::new(0);
        let mut before: Option<&ItemKind> = None;
        for item in &file.items {
            // imports, constants and maps may stand close together
            let close = |k: &ItemKind| std::mem::discriminant(k);
            let apart = before.is_some_and(|b| {
                close(b) != close(&item.kind)
                    || !matches!(item.kind, ItemKind::Use(_) | ItemKind::Const { .. } | ItemKind::Map(_))
            });
            self.lead(&mut run, item.span.start as usize, true, apart);
            let doc = self.item(item);
            run.docs.push(doc);
            let rest = self.suffixes(item.span.end);
            run.docs.extend(rest);
            run.end = item.span.end as usize;
            before = Some(&item.kind);
        }
        self.lead(&mut run, self.source.len(), false, false);
        run.docs.push(Doc::Hard);
        concat(run.docs)
    }

    fn statements(&mut self, block: &Block) -> Doc {
        let mut run = Run::new(inside(block));
        // the first statement begins a line, but no empty one
        let mut begun = false;
        for stmt in &block.statements {
            let mut part = Run { docs: vec![], end: run.end, first: !begun };
            self.lead(&mut part, stmt.span.start as usize, true, false);
            begun = true;
            run.docs.append(&mut part.docs);
            let doc = self.stmt(stmt);
            run.docs.push(doc);
            let rest = self.suffixes(stmt.span.end);
            run.docs.extend(rest);
            run.end = stmt.span.end as usize;
        }
        let mut part = Run { docs: vec![], end: run.end, first: !begun };
        self.lead(&mut part, block.span.end as usize - 1, false, false);
        run.docs.append(&mut part.docs);
        concat(run.docs)
    }

    /// Whether a block may stay on one line: it was written so, and has one statement and no comment.
    fn is_short(&self, block: &Block) -> bool {
        block.statements.len() == 1
            && !self.line_ends_between(block.span.start, block.span.end)
            && !self.has_trivia_before(block.span.end)
    }

    /// The inside of a block, after `{` and before `}`; short ones belong to the group around them.
    fn block_body(&mut self, block: &Block, short: bool) -> Doc {
        if block.statements.is_empty() && !self.has_trivia_before(block.span.end) {
            return concat(vec![]);
        }
        let line = || if short { Doc::Line } else { Doc::Hard };
        // a comment right behind `{` stays there
        let opening = match self.trivia.get(self.next) {
            Some(t)
                if !t.doc
                    && t.start < block.span.end as usize
                    && t.start >= inside(block)
                    && !self.between(inside(block), t.start).contains('\n') =>
            {
                self.next += 1;
                vec![Doc::Suffix(t.plain.clone())]
            }
            _ => vec![],
        };
        if block.statements.is_empty() && !self.has_trivia_before(block.span.end) {
            return concat(opening.into_iter().chain([Doc::Hard]).collect());
        }
        let inner = self.statements(block);
        concat(vec![concat(opening), indent(concat(vec![line(), inner])), line()])
    }

    fn braced(&mut self, block: &Block) -> Doc {
        let short = self.is_short(block);
        let before = self.suffixes(block.span.start);
        let body = self.block_body(block, short);
        concat(vec![concat(before), text("{"), group(body), text("}")])
    }

    // ---- items ----

    fn item(&mut self, item: &Item) -> Doc {
        match &item.kind {
            ItemKind::Use(u) => use_item(u, self.source(item.span)),
            ItemKind::Const { name, value } => {
                let value = self.expr(value, false);
                concat(vec![text(format!("const {} = ", name.name)), value])
            }
            ItemKind::Fn(c) => self.callable("fn", c, item.span),
            ItemKind::Topology(c) => self.callable("topology", c, item.span),
            ItemKind::Network(c) => self.callable("network", c, item.span),
            ItemKind::Map(m) => self.map(m),
        }
    }

    fn map(&mut self, m: &MapItem) -> Doc {
        let mut docs = vec![text(format!("map {}({}", m.name.name, m.arg.name))];
        for (i, s) in m.scalars.iter().enumerate() {
            docs.push(text(format!("{} {}", if i == 0 { ";" } else { "," }, s.name.name)));
            if let Some(len) = &s.len {
                docs.extend([text("["), self.expr(len, true), text("]")]);
            }
            if let Some(init) = &s.init {
                docs.extend([text(" = "), self.expr(init, false)]);
            }
        }
        docs.push(text(") = "));
        docs.push(self.expr(&m.body, false));
        concat(docs)
    }

    fn callable(&mut self, word: &str, c: &Callable, span: Span) -> Doc {
        let mut docs = vec![text(format!("{word} {}", c.name.name))];
        // `network n()` and `network n` have one tree
        let head = self.between(c.name.span.end as usize, span.end as usize).trim_start();
        if head.starts_with('(') {
            let params = entries(&c.params, |p| p.name.span.start);
            let last = c.params.last().map(|p| p.default.as_ref().map_or(p.ty.span.end, |d| d.span.end));
            // one past the closing parenthesis, or before: comments there go to the end of the line
            let close = Span { end: last.unwrap_or(c.name.span.end) + 1, ..span };
            docs.push(self.sequence("(", &params, ")", close, Style::Rows, |w, p| {
                let mut docs = vec![text(format!("{}: {}", p.name.name, type_text(&p.ty.kind)))];
                if let Some(d) = &p.default {
                    docs.extend([text(" = "), w.expr(d, false)]);
                }
                concat(docs)
            }));
        }
        if let Some(ty) = &c.result {
            docs.push(text(format!(" -> {}", type_text(&ty.kind))));
        }
        if let Some(legs) = &c.legs {
            docs.extend([text(" -> "), self.bracket(legs)]);
        }
        docs.push(text(" "));
        docs.push(self.braced(&c.body));
        concat(docs)
    }

    // ---- statements ----

    fn stmt(&mut self, stmt: &Stmt) -> Doc {
        match &stmt.kind {
            StmtKind::DType(t) => text(format!("dtype {}", t.name)),
            StmtKind::Index(decls) => self.index(decls),
            StmtKind::Leaf(leaf) => self.leaf(leaf),
            StmtKind::Bind(b) => {
                let mut docs = vec![text(format!("{} {}", leaf_word(b.kind), b.name.name))];
                docs.extend(b.family.iter().map(|f| self.bracket(f)));
                docs.extend([text(" = "), self.expr(&b.value, false)]);
                if let Some(from) = &b.from {
                    docs.extend([text(" from "), self.expr(from, false)]);
                }
                concat(docs)
            }
            StmtKind::Let { name, family, value } => {
                let mut docs = vec![text(format!("let {}", name.name))];
                docs.extend(family.iter().map(|f| self.bracket(f)));
                docs.extend([text(" = "), self.expr(value, false)]);
                concat(docs)
            }
            StmtKind::Define { kind, name, legs, value } => {
                let word = match kind {
                    DefineKind::Let => "let",
                    DefineKind::Materialize => "let materialize",
                    DefineKind::Var => "var",
                };
                self.definition(format!("{word} {}", name.name), legs, value)
            }
            StmtKind::Assign { name, legs, value } => self.definition(name.name.clone(), legs, value),
            StmtKind::For { binders, body } => {
                let head = self.binders(binders);
                concat(vec![text("for "), head, text(" "), self.braced(body)])
            }
            StmtKind::If { .. } => self.if_stmt(stmt),
            StmtKind::Assert { cond, message } => {
                let mut docs = vec![text("assert "), self.expr(cond, false)];
                if let Some(m) = message {
                    docs.extend([text(", "), self.expr(m, false)]);
                }
                concat(docs)
            }
            StmtKind::Return { legs, value } => {
                let mut docs = vec![text("return ")];
                if let Some(legs) = legs {
                    docs.extend([self.bracket(legs), text(" ")]);
                }
                docs.push(self.expr(value, false));
                concat(docs)
            }
            StmtKind::Output { name, legs, mode, value } => {
                let mut docs = vec![text(format!("output {}", name.name))];
                docs.extend(legs.iter().map(|l| self.bracket(l)));
                docs.extend(mode.iter().map(|m| text(format!(": {}", m.name))));
                if let Some(value) = value {
                    docs.extend([text(" = "), self.expr(value, false)]);
                }
                concat(docs)
            }
        }
    }

    fn definition(&mut self, head: String, legs: &Bracket, value: &Expr) -> Doc {
        let legs = self.bracket(legs);
        concat(vec![text(head), legs, text(" = "), self.expr(value, false)])
    }

    fn index(&mut self, decls: &[IndexDecl]) -> Doc {
        let decls = entries(decls, |d| d.name.span.start);
        let end = Span { end: 0, ..Span::default() };
        let list = self.sequence("", &decls, "", end, Style::Hang, |w, d| {
            let mut docs = vec![text(&d.name.name)];
            docs.extend(d.family.iter().map(|f| w.bracket(f)));
            if d.own_size {
                docs.extend([text(": "), w.expr(&d.size, false)]);
            }
            concat(docs)
        });
        concat(vec![text("index "), list])
    }

    fn leaf(&mut self, leaf: &LeafDecl) -> Doc {
        let mut docs = vec![text(format!("{} {}", leaf_word(leaf.kind), leaf.name.name))];
        if let Some(family) = &leaf.family {
            docs.push(self.bracket(family));
            docs.push(group(concat(vec![Doc::Soft, self.bracket(&leaf.legs)])));
        } else {
            docs.push(self.bracket(&leaf.legs));
        }
        if !leaf.attributes.is_empty() {
            let mut list = vec![];
            for (i, a) in leaf.attributes.iter().enumerate() {
                list.push(text(if i == 0 { ": " } else { ", " }));
                list.push(self.attribute(a));
            }
            let first = leaf.attributes[0].span.start;
            let own_line = self.line_ends_between(leaf.legs.span.end, first);
            docs.push(group_broken(concat(vec![Doc::Soft, concat(list)]), own_line));
        }
        let head = indent(concat(docs));
        match &leaf.value {
            Some(value) => concat(vec![head, text(" = "), self.expr(value, false)]),
            None => head,
        }
    }

    fn attribute(&mut self, a: &Attribute) -> Doc {
        match &a.kind {
            AttributeKind::Init(e) => concat(vec![text("init("), self.expr(e, false), text(")")]),
            AttributeKind::Structure { unitary, from, to } => {
                let word = if *unitary { "unitary(" } else { "isometry(" };
                let from = self.bracket(from);
                concat(vec![text(word), from, text(" -> "), self.bracket(to), text(")")])
            }
        }
    }

    /// An `if` with its `else if`s: all blocks stay on the line, or none.
    fn if_stmt(&mut self, stmt: &Stmt) -> Doc {
        let mut blocks = vec![];
        let mut at = stmt;
        let mut docs = vec![];
        let short = short_chain(self, stmt);
        while let StmtKind::If { cond, then, otherwise } = &at.kind {
            docs.extend([text("if "), self.expr(cond, false), text(" ")]);
            let before = self.suffixes(then.span.start);
            docs.extend([concat(before), text("{"), self.block_body(then, short), text("}")]);
            blocks.push(then);
            let Some(otherwise) = otherwise else { break };
            docs.push(text(" else "));
            let before = self.suffixes(otherwise.span.start);
            docs.push(concat(before));
            match is_else_if(self.source(otherwise.span), otherwise) {
                Some(next) => at = next,
                None => {
                    docs.extend([text("{"), self.block_body(otherwise, short), text("}")]);
                    break;
                }
            }
        }
        group(concat(docs))
    }
}

/// `else if`: a block of one statement that has no braces of its own.
fn is_else_if<'b>(source: &str, block: &'b Block) -> Option<&'b Stmt> {
    match block.statements.as_slice() {
        [one] if !source.starts_with('{') && matches!(one.kind, StmtKind::If { .. }) => Some(one),
        _ => None,
    }
}

fn short_chain(writer: &Writer<'_>, stmt: &Stmt) -> bool {
    let mut at = stmt;
    loop {
        let StmtKind::If { then, otherwise, .. } = &at.kind else { return true };
        if !writer.is_short(then) {
            return false;
        }
        let Some(otherwise) = otherwise else { return true };
        match is_else_if(writer.source(otherwise.span), otherwise) {
            Some(next) => at = next,
            None => return writer.is_short(otherwise),
        }
    }
}

fn leaf_word(kind: LeafKind) -> &'static str {
    match kind {
        LeafKind::Param => "param",
        LeafKind::Input => "input",
        LeafKind::Const => "const",
    }
}

fn type_text(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Int => "int".into(),
        TypeKind::Float => "float".into(),
        TypeKind::Bool => "bool".into(),
        TypeKind::String => "string".into(),
        TypeKind::Map => "map".into(),
        TypeKind::List(inner) => format!("[{}]", type_text(inner)),
        TypeKind::PerPlace => "int*".into(),
    }
}

fn use_item(u: &Use, source: &str) -> Doc {
    match u {
        Use::File { .. } => {
            let quoted = source.find('"').map_or(source, |q| &source[q..]);
            text(format!("use {quoted}"))
        }
        Use::Path { prefix, names } => {
            let path: String = prefix.iter().map(|p| format!("{}::", p.name)).collect();
            let one = |(name, rename): &(Ident, Option<Ident>)| match rename {
                Some(r) => format!("{} as {}", name.name, r.name),
                None => name.name.clone(),
            };
            if let [only] = names.as_slice() {
                return text(format!("use {path}{}", one(only)));
            }
            let last = names.len().wrapping_sub(1);
            let row = |(i, n)| text(format!("{}{}", one(n), if i == last { "" } else { "," }));
            let rows = names.iter().enumerate().map(row).collect();
            let inner = indent(concat(vec![Doc::Soft, Doc::Fill(rows)]));
            group(concat(vec![text(format!("use {path}{{")), inner, Doc::Soft, text("}")]))
        }
    }
}
