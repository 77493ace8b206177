//! Compile-time expressions and functions.

use super::scope::{Entity, Scope};
use super::value::{MAX_LIST, Value, poly_of};
use super::{Elab, Failed, Frame, MAX_RECURSION, Res};
use crate::ast::*;
use crate::diag::{Code, Diagnostic, but_given, counted, did_you_mean};
use crate::load::{Global, GlobalRef};
use std::rc::Rc;
use std::sync::Arc;
use tn_ir::Complex64;
use tn_ir::size::Poly;
use tn_ir::span::Span;

/// Among more names than this none is looked for that was meant.
pub const MAX_CANDIDATES: usize = 10_000;

/// How a function's statements ended.
enum Flow {
    Next,
    Return(Value),
}

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
        self.report(d.with_help(import.or(near).unwrap_or_else(|| declare(&name.name))))
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

    fn call_value(&mut self, callee: &Ident, args: &[Arg], span: Span) -> Res<Value> {
        if let Some(g) = self.global(&callee.name) {
            return match &g.global {
                Global::Fn(f) => self.call_fn(&f.clone(), g.module, args, span),
                Global::Topology(_) => {
                    let d = Diagnostic::error(
                        Code::BadCall,
                        span,
                        format!("topology `{}` is called inside an expression", callee.name),
                    );
                    Err(self.report(d.with_help(format!(
                        "a call is the whole right side: `let t = {}(…)`, then use `t[…]`",
                        callee.name
                    ))))
                }
                Global::Map(_) => {
                    let m = self.user_map(&callee.name, &g)?;
                    self.map_of_number(&m, args, span)
                }
                _ => {
                    Err(self.error(Code::BadCall, callee.span, format!("`{}` cannot be called", callee.name)))
                }
            };
        }
        if super::builtins::NAMES.contains(&callee.name.as_str()) {
            let mut values = vec![];
            for a in args {
                if let Some(n) = &a.name {
                    return Err(self.error(
                        Code::BadCall,
                        n.span,
                        format!("`{}` takes no named arguments", callee.name),
                    ));
                }
                values.push(self.eval(&a.value)?);
            }
            return self.builtin(&callee.name, values, span);
        }
        if let Some(m) = self.builtin_map(&callee.name) {
            return self.map_of_number(&m, args, span);
        }
        if let Some(Entity::Value(Value::Map(m))) =
            self.frames.last().and_then(|f| f.scope.get(&callee.name)).cloned()
        {
            return self.map_of_number(&m, args, span);
        }
        Err(self.unknown_as(callee, |n| {
            format!("define it: `fn {n}(…) -> … {{ return … }}`, or `map {n}(x) = …`")
        }))
    }

    /// A map applied to a compile-time number.
    fn map_of_number(&mut self, m: &super::value::MapRef, args: &[Arg], span: Span) -> Res<Value> {
        let def = self.program.maps[m.id].clone();
        let [arg] = args else {
            let d = Diagnostic::error(Code::BadCall, span, format!("map `{}` takes one argument", def.name));
            return Err(self.report(d.with_help(format!("write `{}(x)`", def.name))));
        };
        let v = self.eval(&arg.value)?;
        let Some(x) = v.as_complex() else {
            return Err(self.error(
                Code::TypeMismatch,
                arg.value.span,
                format!("expected a number, found {}", v.type_name()),
            ));
        };
        if !def.params.is_empty() {
            return Err(self.error(
                Code::NotCompileTime,
                span,
                format!("map `{}` has trainable scalars", def.name),
            ));
        }
        let y = def.body.eval(&[x]);
        Ok(if y.im == 0.0 { Value::Float(y.re) } else { Value::Complex(y) })
    }

    fn call_fn(&mut self, f: &Arc<Callable>, module: usize, args: &[Arg], span: Span) -> Res<Value> {
        let values = self.arguments(&f.name.name, &f.params, args, module, span)?;
        self.enter(span)?;
        self.spend(1, span)?;
        self.frames.push(Frame::values(module, values));
        self.scope().push();
        let flow = self.run_fn(&f.body);
        self.frames.pop();
        self.depth -= 1;
        match flow? {
            Flow::Return(v) => match &f.result {
                Some(ty) => self.check_type(v, &ty.kind, span, &format!("{}(…)", f.name.name)),
                None => Ok(v),
            },
            Flow::Next => Err(self.error(
                Code::BadCall,
                span,
                format!("function `{}` ends without `return`", f.name.name),
            )),
        }
    }

    /// Binds arguments to parameters: positional, then named, then defaults (evaluated where they are declared).
    pub fn arguments(
        &mut self,
        name: &str,
        params: &[Param],
        args: &[Arg],
        module: usize,
        span: Span,
    ) -> Res<Scope> {
        let mut given: Vec<Option<Value>> = vec![None; params.len()];
        let mut failed = false;
        let mut named = false;
        for (k, a) in args.iter().enumerate() {
            let place = match &a.name {
                Some(n) => {
                    named = true;
                    match params.iter().position(|p| p.name.name == n.name) {
                        Some(p) => p,
                        None => {
                            let d = Diagnostic::error(
                                Code::BadCall,
                                n.span,
                                format!("`{name}` has no parameter `{}`", n.name),
                            );
                            let near = did_you_mean(&n.name, params.iter().map(|p| p.name.name.as_str()));
                            let all: Vec<String> = params.iter().map(|p| p.name.name.clone()).collect();
                            let help = near.map_or_else(
                                || format!("its parameters are {}", crate::load::list(&all)),
                                |n| format!("did you mean `{n}`?"),
                            );
                            self.report(d.with_help(help));
                            failed = true;
                            continue;
                        }
                    }
                }
                None if named => {
                    self.error(Code::BadCall, a.value.span, "a positional argument after a named one");
                    failed = true;
                    continue;
                }
                None if k >= params.len() => {
                    let message = format!(
                        "`{name}` takes {}, {}",
                        counted(params.len(), "argument"),
                        but_given(args.len())
                    );
                    let d = Diagnostic::error(Code::BadCall, a.value.span, message);
                    let all: Vec<String> = params.iter().map(|p| p.name.name.clone()).collect();
                    let help = if all.is_empty() {
                        format!("write `{name}()`")
                    } else {
                        format!("its parameters are {}", crate::load::list(&all))
                    };
                    return Err(self.report(d.with_help(help)));
                }
                None => k,
            };
            if given[place].is_some() {
                self.error(
                    Code::BadCall,
                    a.value.span,
                    format!("`{}` is given twice", params[place].name.name),
                );
                failed = true;
                continue;
            }
            let value = self.eval(&a.value).and_then(|v| {
                let p = &params[place];
                self.check_type(v, &p.ty.kind, a.value.span, &p.name.name)
            });
            match value {
                Ok(v) => given[place] = Some(v),
                Err(Failed) => failed = true,
            }
        }
        if failed {
            return Err(Failed);
        }
        let mut scope = Scope::default();
        scope.push();
        for (p, value) in params.iter().zip(given) {
            let value = match (value, &p.default) {
                (Some(v), _) => v,
                (None, Some(d)) => {
                    self.frames.push(Frame::values(module, std::mem::take(&mut scope)));
                    let v = self.eval(d);
                    if let Some(f) = self.frames.pop() {
                        scope = f.scope;
                    }
                    self.check_type(v?, &p.ty.kind, d.span, &p.name.name)?
                }
                (None, None) => {
                    let d = Diagnostic::error(
                        Code::BadCall,
                        span,
                        format!("`{name}` needs an argument for `{}`", p.name.name),
                    );
                    return Err(self.report(d.with_help(format!("add `{} = …`", p.name.name))));
                }
            };
            let _ = scope.declare(&p.name, Entity::Value(value));
        }
        Ok(scope)
    }

    fn run_fn(&mut self, block: &Block) -> Res<Flow> {
        for s in &block.statements {
            match &s.kind {
                StmtKind::Let { name, family: None, value } => {
                    let v = self.eval(value)?;
                    self.declare(name, Entity::Value(v))?;
                }
                StmtKind::Return { legs: None, value } => return Ok(Flow::Return(self.eval(value)?)),
                StmtKind::Assert { cond, message } => self.assert(cond, message.as_ref())?,
                StmtKind::If { cond, then, otherwise } => {
                    let branch = if self.truth(cond)? { Some(then) } else { otherwise.as_ref() };
                    if let Some(b) = branch {
                        self.scope().push();
                        let flow = self.run_fn(b);
                        self.scope().pop();
                        if let Flow::Return(v) = flow? {
                            return Ok(Flow::Return(v));
                        }
                    }
                }
                StmtKind::For { binders, body } => {
                    let mut result = None;
                    self.for_each(binders, &mut |e: &mut Self| {
                        if result.is_none() {
                            e.scope().push();
                            let flow = e.run_fn(body);
                            e.scope().pop();
                            if let Flow::Return(v) = flow? {
                                result = Some(v);
                            }
                        }
                        Ok(())
                    })?;
                    if let Some(v) = result {
                        return Ok(Flow::Return(v));
                    }
                }
                _ => {
                    let d = Diagnostic::error(Code::WrongPlace, s.span, "a function computes values only");
                    return Err(self.report(
                        d.with_help("its statements are `let`, `if`, `for`, `assert` and `return`"),
                    ));
                }
            }
        }
        Ok(Flow::Next)
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

    /// The ends of a range.
    pub fn range(&mut self, lo: &Expr, hi: &Expr) -> Res<(i64, i64)> {
        let (a, b) = (self.structural_int(lo)?, self.structural_int(hi)?);
        if b < a {
            let span = lo.span.to(hi.span);
            let d = Diagnostic::error(
                Code::BadRange,
                span,
                format!("the range `{a}..{b}` ends before it begins"),
            );
            return Err(self.report(d.with_help("`a..b` is half-open: from a to b − 1, and b = a is empty")));
        }
        Ok((a, b))
    }

    /// Runs `f` for every combination of the binders' values, last fastest.
    pub fn for_each(&mut self, binders: &[Binder], f: &mut dyn FnMut(&mut Self) -> Res<()>) -> Res<()> {
        let ranges: Vec<_> = binders.iter().map(|b| (b.name.clone(), &b.lo, &b.hi)).collect();
        self.rounds(&ranges)?;
        self.each(binders, f)
    }

    /// Whether there is room for all rounds of some nested ranges, before the first one runs.
    pub fn rounds(&mut self, ranges: &[(Ident, &Expr, &Expr)]) -> Res<()> {
        let items = self.items;
        let fits = self.count_rounds(ranges);
        if fits.is_ok() {
            // counting has evaluated what the loop will evaluate again
            self.items = items;
        }
        fits
    }

    fn count_rounds(&mut self, ranges: &[(Ident, &Expr, &Expr)]) -> Res<()> {
        let Some(((name, lo, hi), rest)) = ranges.split_first() else { return Ok(()) };
        let (a, z) = self.range(lo, hi)?;
        let rounds = z.abs_diff(a);
        self.room(rounds, lo.span.to(hi.span))?;
        if rest.is_empty() {
            return self.spend(rounds, lo.span.to(hi.span));
        }
        for k in a..z {
            self.spend(1, name.span)?;
            self.scope().bind(name, Value::int(k));
            let done = self.count_rounds(rest);
            self.scope().pop();
            done?;
        }
        Ok(())
    }

    fn each(&mut self, binders: &[Binder], f: &mut dyn FnMut(&mut Self) -> Res<()>) -> Res<()> {
        let Some((first, rest)) = binders.split_first() else { return f(self) };
        let (lo, hi) = self.range(&first.lo, &first.hi)?;
        for k in lo..hi {
            self.spend(1, first.span)?;
            self.scope().bind(&first.name, Value::int(k));
            let done = self.each(rest, f);
            self.scope().pop();
            done?;
        }
        Ok(())
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
                Ok(Value::List(Rc::new(l[a as usize..z as usize].to_vec())))
            }
            _ => Err(self.error(Code::BadSubscript, item.span, "expected a subscript or a range")),
        }
    }

    pub fn overflow(&mut self, span: Span) -> Failed {
        let d = Diagnostic::error(Code::Overflow, span, "the result does not fit 64 bits");
        self.report(d.with_help("use a float, or smaller numbers"))
    }

    /// An infix operation on values.
    pub fn binary(&mut self, op: BinaryOp, l: Value, r: Value, span: Span) -> Res<Value> {
        use BinaryOp::*;
        if matches!(op, Eq | Ne) {
            let same = match (&l, &r) {
                (Value::Bool(a), Value::Bool(b)) => Some(a == b),
                (Value::Str(a), Value::Str(b)) => Some(a == b),
                (Value::List(_), Value::List(_)) => Some(self.same(&l, &r, span)?),
                (Value::Map(a), Value::Map(b)) => Some(a == b),
                _ => l.as_complex().zip(r.as_complex()).map(|(a, b)| a == b),
            };
            let Some(same) = same else { return Err(self.operands(op, &l, &r, span)) };
            return Ok(Value::Bool(same == (op == Eq)));
        }
        if let (Value::Int(a, pa), Value::Int(b, pb)) = (&l, &r) {
            return self.int_binary(op, (*a, pa.clone()), (*b, pb.clone()), span);
        }
        if let (Value::Str(a), Value::Str(b), Add) = (&l, &r, op) {
            self.spend((a.len() + b.len()) as u64, span)?;
            return Ok(Value::Str(format!("{a}{b}").into()));
        }
        if let (Some(a), Some(b)) = (l.as_f64(), r.as_f64()) {
            return Ok(match op {
                Add => Value::Float(a + b),
                Sub => Value::Float(a - b),
                Mul => Value::Float(a * b),
                Div => Value::Float(a / b),
                Rem => Value::Float(a.rem_euclid(b)),
                Pow => Value::Float(a.powf(b)),
                Lt => Value::Bool(a < b),
                Le => Value::Bool(a <= b),
                Gt => Value::Bool(a > b),
                Ge => Value::Bool(a >= b),
                Eq | Ne | And | Or => return Err(self.operands(op, &l, &r, span)),
            });
        }
        if let (Some(a), Some(b)) = (l.as_complex(), r.as_complex()) {
            return Ok(Value::Complex(match op {
                Add => a + b,
                Sub => a - b,
                Mul => a * b,
                Div => a / b,
                Pow => a.powc(b),
                _ => return Err(self.operands(op, &l, &r, span)),
            }));
        }
        Err(self.operands(op, &l, &r, span))
    }

    /// Whether two values are equal. Lists may share their entries, so that looking at all of them counts as work.
    fn same(&mut self, l: &Value, r: &Value, span: Span) -> Res<bool> {
        if let (Value::List(a), Value::List(b)) = (l, r) {
            if Rc::ptr_eq(a, b) {
                return Ok(true);
            }
            if a.len() != b.len() {
                return Ok(false);
            }
            self.spend(a.len() as u64, span)?;
            for (x, y) in a.iter().zip(b.iter()) {
                if !self.same(x, y, span)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        Ok(match (l, r) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            _ => l.as_complex().zip(r.as_complex()).is_some_and(|(a, b)| a == b),
        })
    }

    fn operands(&mut self, op: BinaryOp, l: &Value, r: &Value, span: Span) -> Failed {
        let message = format!("`{}` of {} and {}", symbol(op), l.type_name(), r.type_name());
        self.error(Code::TypeMismatch, span, message)
    }

    fn int_binary(
        &mut self,
        op: BinaryOp,
        l: (i64, Option<Rc<Poly>>),
        r: (i64, Option<Rc<Poly>>),
        span: Span,
    ) -> Res<Value> {
        use BinaryOp::*;
        let (a, b) = (l.0, r.0);
        let value = match op {
            Lt => return Ok(Value::Bool(a < b)),
            Le => return Ok(Value::Bool(a <= b)),
            Gt => return Ok(Value::Bool(a > b)),
            Ge => return Ok(Value::Bool(a >= b)),
            Add => a.checked_add(b),
            Sub => a.checked_sub(b),
            Mul => a.checked_mul(b),
            Div | Rem if b == 0 => return Err(self.error(Code::Overflow, span, "division by zero")),
            Div => {
                a.checked_div_euclid(b).map(|_| a.div_euclid(b) - i64::from(b < 0 && a.rem_euclid(b) != 0))
            }
            Rem => a.checked_rem_euclid(b),
            Pow if b < 0 => return Ok(Value::Float((a as f64).powf(b as f64))),
            Pow => u32::try_from(b).ok().and_then(|e| a.checked_pow(e)),
            Eq | Ne | And | Or => None,
        };
        let Some(value) = value else { return Err(self.overflow(span)) };
        if l.1.is_none() && r.1.is_none() {
            return Ok(Value::int(value));
        }
        let (p, q) = (poly_of(a, &l.1), poly_of(b, &r.1));
        let poly = match op {
            Add => &p + &q,
            Sub => &p - &q,
            Mul => &p * &q,
            Pow if r.1.is_none() && b <= 64 => (0..b).fold(Poly::one(), |acc, _| &acc * &p),
            _ => {
                // no polynomial follows: the parameter counts as one that decides structure
                self.structural.extend(p.symbols().into_iter().chain(q.symbols()));
                return Ok(Value::int(value));
            }
        };
        Ok(Value::Int(value, poly.as_constant().is_none().then(|| Rc::new(poly))))
    }
}

fn symbol(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Rem => "%",
        BinaryOp::Pow => "^",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
        BinaryOp::Eq => "==",
        BinaryOp::Ne => "!=",
        BinaryOp::And => "&&",
        BinaryOp::Or => "||",
    }
}
