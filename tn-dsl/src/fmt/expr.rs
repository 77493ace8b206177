//! Expressions and brackets.

use super::item::Writer;
use super::layout::{Doc, concat, group, group_broken, indent, text};
use crate::ast::*;

/// Operators of one class are laid out as one chain.
fn class(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And => 2,
        BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge | BinaryOp::Eq | BinaryOp::Ne => 3,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem => 5,
        BinaryOp::Pow => 6,
    }
}

/// How a bracketed sequence is laid out where it does not fit on a line.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Style {
    /// One entry to a line, brackets on lines of their own.
    Rows,
    /// As many entries on a line as fit, brackets on lines of their own.
    Fill,
    /// As many entries on a line as fit, brackets beside them.
    Hang,
}

/// An entry of a bracketed sequence.
pub(super) struct Entry<'a, T> {
    /// What is written.
    pub node: &'a T,
    /// Its first byte.
    pub start: u32,
    /// What stands after it: `,`, `;` or nothing.
    pub after: &'static str,
}

/// Entries with commas between them.
pub(super) fn entries<'a, T>(nodes: &'a [T], start: impl Fn(&T) -> u32) -> Vec<Entry<'a, T>> {
    let last = nodes.len().wrapping_sub(1);
    let entry = |(i, node)| Entry { node, start: start(node), after: if i == last { "" } else { "," } };
    nodes.iter().enumerate().map(entry).collect()
}

impl Writer<'_> {
    /// An expression; `tight` in subscripts.
    pub(super) fn expr(&mut self, e: &Expr, tight: bool) -> Doc {
        let before = self.suffixes(e.span.start);
        let doc = self.bare_expr(e, tight);
        if before.is_empty() { doc } else { concat(before.into_iter().chain([doc]).collect()) }
    }

    fn bare_expr(&mut self, e: &Expr, tight: bool) -> Doc {
        match &e.kind {
            ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Imag(_)
            | ExprKind::Str(_)
            | ExprKind::Error => text(self.source(e.span)),
            ExprKind::Bool(b) => text(if *b { "true" } else { "false" }),
            ExprKind::Name(n) => text(&n.name),
            ExprKind::Call { callee, args, scalars } => self.call(e, callee, args, scalars.as_deref(), tight),
            ExprKind::Index { base, brackets } => {
                let mut docs = vec![self.expr(base, tight)];
                docs.extend(brackets.iter().map(|b| self.bracket(b)));
                concat(docs)
            }
            ExprKind::List(list) => {
                let plain = |e: &Expr| match &e.kind {
                    ExprKind::Unary { arg, .. } => !matches!(arg.kind, ExprKind::List(_)),
                    ExprKind::List(_) | ExprKind::Call { .. } | ExprKind::Comprehension { .. } => false,
                    _ => true,
                };
                let style = if list.iter().all(plain) { Style::Fill } else { Style::Rows };
                let list = entries(list, |e| e.span.start);
                self.sequence("[", &list, "]", e.span, style, |w, e| w.expr(e, tight))
            }
            ExprKind::Fill { value, count } => {
                let value = self.expr(value, tight);
                concat(vec![text("["), value, text("; "), self.expr(count, tight), text("]")])
            }
            ExprKind::Comprehension { body, binders } => {
                let body = self.expr(body, tight);
                let binders = self.binders(binders);
                let inner = concat(vec![Doc::Soft, body, Doc::Line, text("for "), binders]);
                group(concat(vec![text("["), indent(inner), Doc::Soft, text("]")]))
            }
            ExprKind::If { .. } => self.if_expr(e, tight),
            ExprKind::Unary { op, arg } => {
                let sign = if *op == UnaryOp::Neg { "-" } else { "!" };
                concat(vec![text(sign), self.expr(arg, tight)])
            }
            ExprKind::Binary { .. } => self.chain(e, tight),
            ExprKind::Paren(inner) => {
                let broken = self.line_ends_between(e.span.start + 1, inner.span.start);
                let inner = self.expr(inner, tight);
                let end = self.suffixes(e.span.end);
                let body = indent(concat(vec![Doc::Soft, inner, concat(end)]));
                group_broken(concat(vec![text("("), body, Doc::Soft, text(")")]), broken)
            }
            ExprKind::Big { op, binders, body } => {
                let word = match op {
                    BigOp::Prod => "prod ",
                    BigOp::Sum => "sum ",
                    BigOp::Stack => "stack ",
                };
                let head = self.binders(binders);
                let body = self.expr(body, false);
                let end = self.suffixes(e.span.end);
                let inner = indent(concat(vec![Doc::Line, body, concat(end)]));
                group(concat(vec![text(word), head, text(" {"), inner, Doc::Line, text("}")]))
            }
        }
    }

    fn call(&mut self, e: &Expr, callee: &Ident, args: &[Arg], scalars: Option<&[Arg]>, tight: bool) -> Doc {
        let start = |a: &Arg| a.name.as_ref().map_or(a.value.span.start, |n| n.span.start);
        let mut all = entries(args, start);
        let open = match (all.last_mut(), scalars) {
            (Some(last), Some(_)) => {
                last.after = ";";
                "("
            }
            (None, Some(_)) => "(;",
            _ => "(",
        };
        all.extend(entries(scalars.unwrap_or(&[]), start));
        let args = self.sequence(open, &all, ")", e.span, Style::Rows, |w, a| match &a.name {
            Some(n) => {
                let value = w.expr(&a.value, tight);
                concat(vec![text(format!("{} = ", n.name)), value])
            }
            None => w.expr(&a.value, tight),
        });
        concat(vec![text(&callee.name), args])
    }

    /// `if a { … } else if b { … } else { … }`, broken all at once.
    fn if_expr(&mut self, e: &Expr, tight: bool) -> Doc {
        let mut docs = vec![];
        let mut at = e;
        loop {
            let ExprKind::If { cond, then, otherwise } = &at.kind else {
                docs.push(indent(concat(vec![Doc::Line, self.expr(at, tight)])));
                break;
            };
            docs.extend([text("if "), self.expr(cond, tight), text(" {")]);
            docs.push(indent(concat(vec![Doc::Line, self.expr(then, tight)])));
            docs.extend([Doc::Line, text("} else ")]);
            if !self.braced_before(then, otherwise) {
                at = otherwise;
                continue;
            }
            docs.extend([text("{"), indent(concat(vec![Doc::Line, self.expr(otherwise, tight)]))]);
            break;
        }
        docs.extend([Doc::Line, text("}")]);
        group(concat(docs))
    }

    /// Whether the `else` value stands in braces (`else { if … }` and `else if …` have the same tree).
    fn braced_before(&self, then: &Expr, otherwise: &Expr) -> bool {
        !matches!(otherwise.kind, ExprKind::If { .. })
            || self.last_sign_before(then.span.end, otherwise.span.start) == Some('{')
    }

    /// A chain of operators of one class, without recursion along the chain.
    fn chain(&mut self, e: &Expr, tight: bool) -> Doc {
        let ExprKind::Binary { op: top, .. } = &e.kind else { return self.bare_expr(e, tight) };
        let mut links = vec![];
        let mut at = e;
        while let ExprKind::Binary { op, lhs, rhs } = &at.kind {
            // `^` and comparisons are no chains
            if class(*op) != class(*top) || (!links.is_empty() && matches!(class(*op), 3 | 6)) {
                break;
            }
            links.push((*op, rhs.as_ref(), lhs.span.end));
            at = lhs;
        }
        links.reverse();
        let first = self.expr(at, tight);
        if class(*top) == 6 || (tight && class(*top) >= 4) {
            let mut docs = vec![first];
            for (op, rhs, _) in links {
                docs.push(text(op.symbol()));
                docs.push(self.expr(rhs, tight));
            }
            return concat(docs);
        }
        let mut broken = false;
        let mut rest = vec![];
        for (op, rhs, left_end) in links {
            broken |= self.line_ends_between(left_end, rhs.span.start);
            for note in self.take_before(rhs.span.start) {
                if note.own_line {
                    rest.extend([Doc::Hard, text(note.plain)]);
                } else {
                    rest.push(Doc::Suffix(note.plain));
                }
                broken = true;
            }
            rest.extend([Doc::Line, text(format!("{} ", op.symbol())), self.expr(rhs, tight)]);
        }
        group_broken(concat(vec![first, indent(concat(rest))]), broken)
    }

    /// `k in a..b, j in c..d`
    pub(super) fn binders(&mut self, binders: &[Binder]) -> Doc {
        let mut docs = vec![];
        for (i, b) in binders.iter().enumerate() {
            if i > 0 {
                docs.push(text(", "));
            }
            docs.push(self.binder(b));
        }
        concat(docs)
    }

    fn binder(&mut self, b: &Binder) -> Doc {
        let lo = self.expr(&b.lo, true);
        concat(vec![text(format!("{} in ", b.name.name)), lo, text(".."), self.expr(&b.hi, true)])
    }

    /// `[ … ]` of legs or subscripts.
    pub(super) fn bracket(&mut self, b: &Bracket) -> Doc {
        let items = entries(&b.items, |i| i.span.start);
        self.sequence("[", &items, "]", b.span, Style::Hang, |w, i| w.leg(i))
    }

    fn leg(&mut self, item: &LegItem) -> Doc {
        match &item.kind {
            LegKind::Expr(e) => self.expr(e, true),
            LegKind::Range { lo, hi } => {
                let lo = lo.as_ref().map_or(concat(vec![]), |e| self.expr(e, true));
                let hi = hi.as_ref().map_or(concat(vec![]), |e| self.expr(e, true));
                concat(vec![lo, text(".."), hi])
            }
            LegKind::Binder(b) => self.binder(b),
            LegKind::Optional(e) => concat(vec![self.expr(e, true), text("?")]),
            LegKind::For { binders, items } => {
                let head = self.binders(binders);
                let mut inner = vec![];
                for (i, leg) in items.iter().enumerate() {
                    inner.push(Doc::Line);
                    inner.push(self.leg(leg));
                    inner.push(text(if i + 1 == items.len() { "" } else { "," }));
                }
                let body = indent(concat(inner));
                group(concat(vec![text("for "), head, text(" {"), body, Doc::Line, text("}")]))
            }
            LegKind::Fold { items, label } => {
                let items = entries(items, |i| i.span.start);
                let end = label.span.start;
                let span = tn_ir::span::Span { end, ..item.span };
                let legs = self.sequence("(", &items, ")", span, Style::Hang, |w, i| w.leg(i));
                concat(vec![legs, text(format!(" as {}", label.name))])
            }
        }
    }

    /// A bracketed sequence. Comments on lines of their own stay before the entry they stood before; others stay at the end of the line.
    pub(super) fn sequence<T>(
        &mut self,
        open: &'static str,
        items: &[Entry<'_, T>],
        close: &'static str,
        span: tn_ir::span::Span,
        style: Style,
        mut each: impl FnMut(&mut Self, &T) -> Doc,
    ) -> Doc {
        let mut broken = items.first().is_some_and(|i| self.bracket_is_open(i.start));
        let mut rows: Vec<Doc> = vec![];
        let mut noted = false;
        for item in items {
            let mut row = vec![];
            for note in self.take_before(item.start) {
                noted = true;
                match rows.last_mut() {
                    Some(Doc::Concat(last)) if !note.own_line => last.push(Doc::Suffix(note.plain)),
                    _ if !note.own_line => row.push(Doc::Suffix(note.plain)),
                    _ => row.extend([text(note.plain), Doc::Hard]),
                }
            }
            row.push(each(self, item.node));
            row.push(text(item.after));
            rows.push(concat(row));
        }
        for note in self.take_before(span.end.saturating_sub(1)) {
            noted = true;
            match rows.last_mut() {
                Some(Doc::Concat(last)) if !note.own_line => last.push(Doc::Suffix(note.plain)),
                _ => rows.push(concat(vec![text(note.plain), Doc::Hard])),
            }
        }
        if rows.is_empty() {
            return text(format!("{open}{close}"));
        }
        // a comment that ends the sequence brings its own new line
        let last_is_note = rows.len() > items.len();
        if last_is_note && let Some(Doc::Concat(last)) = rows.last_mut() {
            last.pop();
        }
        broken |= noted;
        let hang = style == Style::Hang && !broken;
        let mut docs = vec![match open.len() {
            _ if hang => concat(vec![]),
            1 => Doc::Soft,
            _ => Doc::Line,
        }];
        if style == Style::Rows || noted {
            for (i, row) in rows.into_iter().enumerate() {
                if i > 0 {
                    docs.push(Doc::Line);
                }
                docs.push(row);
            }
        } else {
            docs.push(Doc::Fill(rows));
        }
        let end = if hang { concat(vec![]) } else { Doc::Soft };
        group_broken(concat(vec![text(open), indent(concat(docs)), end, text(close)]), broken)
    }
}
