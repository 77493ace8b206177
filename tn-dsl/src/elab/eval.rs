//! Compile-time expressions and functions.

use super::scope::{Entity, Scope};
use super::value::{MAX_LIST, Value};
use super::{Elab, Failed, Frame, MAX_RECURSION, Res};
use crate::ast::*;
use crate::diag::{Code, Diagnostic, did_you_mean};
use crate::load::{Global, GlobalRef};
use std::rc::Rc;
use std::sync::Arc;
use tn_ir::Complex64;
use tn_ir::size::Poly;
use tn_ir::span::Span;

/// Among more names than this none is looked for that was meant.
pub const MAX_CANDIDATES: usize = 10_000;

impl Elab<'_> {
    /// The value of a compile-time expression.
    pub fn eval(&mut self, e: &Expr) -> Res<Value> {
        match &e.kind {
            ExprKind::Int(v) => Ok(Value::int(*v)),
            ExprKind::Float(v) => Ok(Value::Float(*v)),
            ExprKind::Imag(v) => {
                if !self.program.dtype.is_complex() {
                    let d =
                        Diagnostic::error(Code::ComplexInReal, e.span, "a complex literal in a real network");
                    return Err(self.report(d.with_help("add `dtype c64` or `dtype c128` to the network")));
                }
                Ok(Value::Complex(Complex64::new(0.0, *v)))
            }
            ExprKind::Str(s) => Ok(Value::Str(s.as_str().into())),
            ExprKind::Bool(b) => Ok(Value::Bool(*b)),
            ExprKind::Paren(inner) => self.eval(inner),
            ExprKind::Name(name) => self.name_value(name),
            ExprKind::Call { callee, args, scalars } => {
                if scalars.is_some() {
                    return Err(self.error(
                        Code::NotCompileTime,
                        e.span,
                        "a map applied to a tensor is no compile-time value",
                    ));
                }
                self.call_value(callee, args, e.span)
            }
            ExprKind::Index { base, brackets } => {
                if let ExprKind::Name(n) = &base.kind
                    && !self.is_known(n)
                {
                    return Err(self.unknown_tensor(n));
                }
                let mut v = self.eval(base)?;
                for b in brackets {
                    v = self.list_index(v, b)?;
                }
                Ok(v)
            }
            ExprKind::List(entries) => {
                self.spend(entries.len() as u64, e.span)?;
                let values: Res<Vec<Value>> = entries.iter().map(|x| self.eval(x)).collect();
                Ok(Value::List(Rc::new(values?)))
            }
            ExprKind::Fill { value, count } => {
                let v = self.eval(value)?;
                let n = self.count(count)?;
                self.spend(n as u64, e.span)?;
                Ok(Value::List(Rc::new(vec![v; n])))
            }
            ExprKind::Comprehension { body, binders } => {
                let mut out = vec![];
                self.for_each(binders, &mut |s: &mut Self| {
                    out.push(s.eval(body)?);
                    Ok(())
                })?;
                Ok(Value::List(Rc::new(out)))
            }
            ExprKind::If { cond, then, otherwise } => {
                if self.truth(cond)? {
                    self.eval(then)
                } else {
                    self.eval(otherwise)
                }
            }
            ExprKind::Unary { op, arg } => {
                let v = self.eval(arg)?;
                match (op, v) {
                    (UnaryOp::Not, Value::Bool(b)) => Ok(Value::Bool(!b)),
                    (UnaryOp::Neg, Value::Int(v, p)) => {
                        let r = v.checked_neg().ok_or(Failed).map_err(|_| self.overflow(e.span))?;
                        Ok(Value::Int(r, p.map(|p| Rc::new(&Poly::zero() - &p))))
                    }
                    (UnaryOp::Neg, Value::Float(v)) => Ok(Value::Float(-v)),
                    (UnaryOp::Neg, Value::Complex(c)) => Ok(Value::Complex(-c)),
                    (_, v) => {
                        let message = format!(
                            "expected {}, found {}",
                            if *op == UnaryOp::Not { "a bool" } else { "a number" },
                            v.type_name()
                        );
                        Err(self.error(Code::TypeMismatch, arg.span, message))
                    }
                }
            }
            ExprKind::Binary { op, lhs, rhs } => {
                if matches!(op, BinaryOp::And | BinaryOp::Or) {
                    let left = self.truth(lhs)?;
                    return Ok(Value::Bool(match op {
                        BinaryOp::And => left && self.truth(rhs)?,
                        _ => left || self.truth(rhs)?,
                    }));
                }
                let (l, r) = (self.eval(lhs)?, self.eval(rhs)?);
                self.binary(*op, l, r, e.span)
            }
            ExprKind::Big { .. } => Err(self.error(
                Code::NotCompileTime,
                e.span,
                "`prod`, `sum` and `stack` build tensors, not compile-time values",
            )),
            ExprKind::Error => Err(Failed),
        }
    }

    fn name_value(&mut self, name: &Ident) -> Res<Value> {
        if let Some(found) = self.frames.last().and_then(|f| f.scope.get(&name.name)) {
            return match found {
                Entity::Value(v) => Ok(v.clone()),
                Entity::Poison => Err(Failed),
                other => {
                    let what = other.describe();
                    Err(self.error(
                        Code::NotCompileTime,
                        name.span,
                        format!("`{}` is {what}, not a compile-time value", name.name),
                    ))
                }
            };
        }
        if let Some(g) = self.global(&name.name) {
            return match &g.global {
                Global::Const(e) => self.const_value(e, &g),
                Global::Map(_) => Ok(Value::Map(self.user_map(&name.name, &g)?)),
                Global::Fn(_) | Global::Topology(_) | Global::Network(_) => {
                    let d = Diagnostic::error(
                        Code::NotCompileTime,
                        name.span,
                        format!("`{}` is called with arguments", name.name),
                    );
                    Err(self.report(d.with_help(format!("write `{}(…)`", name.name))))
                }
            };
        }
        if name.name == "pi" {
            return Ok(Value::Float(std::f64::consts::PI));
        }
        if let Some(m) = self.builtin_map(&name.name) {
            return Ok(Value::Map(m));
        }
        Err(self.unknown(name))
    }

    /// The help where a name is declared later than it is used.
    pub fn declared_later(&self, name: &Ident) -> Option<String> {
        let body = &self.frames.last()?.body.as_ref()?.body;
        let is_it = |n: &Ident| n.name == name.name && n.span.start > name.span.start;
        let declares = |s: &Stmt| match &s.kind {
            StmtKind::Index(list) => list.iter().any(|d| is_it(&d.name)),
            StmtKind::Leaf(d) => is_it(&d.name),
            StmtKind::Bind(b) => is_it(&b.name),
            StmtKind::Let { name, .. } | StmtKind::Define { name, .. } => is_it(name),
            _ => false,
        };
        let later = body.statements.iter().any(declares);
        later.then(|| format!("`{}` is declared further down: move that before its first use", name.name))
    }

    /// Reports a name that means nothing here.
    pub fn unknown(&mut self, name: &Ident) -> Failed {
        self.unknown_as(name, |n| format!("declare `{n}` before it is used, or import it"))
    }

    /// Reports a name that should be a tensor's.
    pub fn unknown_tensor(&mut self, name: &Ident) -> Failed {
        self.unknown_as(name, |n| format!("declare it: `param {n}[…]`, `input {n}[…]` or `let {n}[…] = …`"))
    }

    /// Whether a name means anything here.
    fn is_known(&mut self, name: &Ident) -> bool {
        self.frames.last().is_some_and(|f| f.scope.get(&name.name).is_some())
            || self.global(&name.name).is_some()
            || name.name == "pi"
            || self.builtin_map(&name.name).is_some()
    }

    /// The same where the use says what kind of thing the name should be; `declare` shows how it would be declared.
    pub fn unknown_as(&mut self, name: &Ident, declare: impl Fn(&str) -> String) -> Failed {
        if self.full() {
            return Failed;
        }
        let d = Diagnostic::error(Code::UnknownName, name.span, format!("unknown name `{}`", name.name));
        let scope = self.frames.last().map(|f| &f.scope);
        let globals = self.loaded.modules[self.module()].names.keys().map(String::as_str);
        let mut all: Vec<&str> = scope.into_iter().flat_map(Scope::names).chain(globals).collect();
        all.extend(super::builtins::NAMES);
        all.extend(super::maps::NAMES);
        if all.len() > MAX_CANDIDATES {
            all.clear();
        }
        all.sort();
        let near = did_you_mean(&name.name, all.iter().copied()).map(|n| format!("did you mean `{n}`?"));
        let std = ["chain", "ring", "mpo", "mpo_ring", "tucker", "cp", "tree", "mera", "brick_wall", "peps"];
        let import = std.contains(&name.name.as_str()).then(|| format!("add `use std::{}`", name.name));
        let later = self.declared_later(name);
        self.report(d.with_help(later.or(import).or(near).unwrap_or_else(|| declare(&name.name))))
    }

    /// A top-level item visible in the current module.
    pub fn global(&self, name: &str) -> Option<GlobalRef> {
        self.loaded.modules.get(self.module()).and_then(|m| m.names.get(name)).cloned()
    }

    /// The value of a constant item, evaluated once.
    pub fn const_value(&mut self, e: &Arc<Expr>, g: &GlobalRef) -> Res<Value> {
        if let Some(v) = self.consts.get(&g.span) {
            return Ok(v.clone());
        }
        self.enter(g.span)?;
        let mut scope = Scope::default();
        scope.push();
        self.frames.push(Frame::values(g.module, scope));
        let v = self.eval(e);
        self.frames.pop();
        self.depth -= 1;
        let v = v?;
        self.consts.insert(g.span, v.clone());
        Ok(v)
    }

    /// One level deeper; undo by `depth -= 1`.
    pub fn enter(&mut self, span: Span) -> Res<()> {
        if self.depth >= MAX_RECURSION {
            let d = Diagnostic::error(Code::TooDeep, span, format!("recursion deeper than {MAX_RECURSION}"));
            return Err(self.report(d.with_help("the recursion must end: check its condition")));
        }
        self.depth += 1;
        Ok(())
    }

    /// `assert cond, "message"`
    pub fn assert(&mut self, cond: &Expr, message: Option<&Expr>) -> Res<()> {
        if self.truth(cond)? {
            return Ok(());
        }
        let text = match message {
            Some(m) => match self.eval(m)? {
                Value::Str(s) => s.to_string(),
                v => v.show(),
            },
            None => "an assertion does not hold".to_string(),
        };
        Err(self.error(Code::Assertion, cond.span, text))
    }

    /// A condition.
    pub fn truth(&mut self, e: &Expr) -> Res<bool> {
        match self.eval(e)? {
            Value::Bool(b) => Ok(b),
            v => Err(self.error(
                Code::TypeMismatch,
                e.span,
                format!("expected a bool, found {}", v.type_name()),
            )),
        }
    }

    /// An int.
    pub fn int(&mut self, e: &Expr) -> Res<i64> {
        Ok(self.int_poly(e)?.0)
    }

    /// An int with its polynomial.
    pub fn int_poly(&mut self, e: &Expr) -> Res<(i64, Option<Rc<Poly>>)> {
        match self.eval(e)? {
            Value::Int(v, p) => Ok((v, p)),
            v => Err(self.error(
                Code::TypeMismatch,
                e.span,
                format!("expected an int, found {}", v.type_name()),
            )),
        }
    }

    /// An int that decides how many things there are.
    pub fn structural_int(&mut self, e: &Expr) -> Res<i64> {
        let (v, p) = self.int_poly(e)?;
        if let Some(p) = p {
            self.structural.extend(p.symbols());
        }
        Ok(v)
    }

    fn count(&mut self, e: &Expr) -> Res<usize> {
        let n = self.structural_int(e)?;
        match usize::try_from(n) {
            Ok(n) if n <= MAX_LIST => Ok(n),
            Ok(_) => Err(self.too_long(n as u64, e.span)),
            Err(_) => {
                let d = Diagnostic::error(Code::BadRange, e.span, format!("a count of {n}"));
                Err(self.report(d.with_help("counts are 0 or more")))
            }
        }
    }

    /// A list that may not be made.
    pub fn too_long(&mut self, entries: u64, span: Span) -> Failed {
        let message = format!("a list of {entries} entries is longer than {MAX_LIST}");
        let d = Diagnostic::error(Code::TooManyItems, span, message);
        self.report(d.with_help("use a smaller count"))
    }

    fn list_index(&mut self, v: Value, b: &Bracket) -> Res<Value> {
        let Value::List(l) = v else {
            return Err(self.error(
                Code::TypeMismatch,
                b.span,
                format!("{} cannot be indexed", v.type_name()),
            ));
        };
        let n = l.len() as i64;
        let [item] = b.items.as_slice() else {
            return Err(self.error(Code::BadSubscript, b.span, "a list takes one subscript, or a range"));
        };
        match &item.kind {
            LegKind::Expr(e) => {
                let k = self.structural_int(e)?;
                if k < 0 || k >= n {
                    let d =
                        Diagnostic::error(Code::BadSubscript, e.span, format!("entry {k} of a list of {n}"));
                    return Err(self.report(d.with_help("entries are counted from 0")));
                }
                Ok(l[k as usize].clone())
            }
            LegKind::Range { lo, hi } => {
                let a = lo.as_ref().map_or(Ok(0), |e| self.structural_int(e))?;
                let z = hi.as_ref().map_or(Ok(n), |e| self.structural_int(e))?;
                if a < 0 || z < a || z > n {
                    return Err(self.error(
                        Code::BadSubscript,
                        item.span,
                        format!("the part `{a}..{z}` of a list of {n}"),
                    ));
                }
                self.spend(a.abs_diff(z), item.span)?;
                Ok(Value::List(Rc::new(l[a as usize..z as usize].to_vec())))
            }
            _ => Err(self.error(Code::BadSubscript, item.span, "expected a subscript or a range")),
        }
    }
}
