//! Tensor expressions: from syntax to a small tree of factors, sums, maps and stacks, in which binders are unrolled and names are resolved.

use super::legs::LegRef;
use super::scope::Entity;
use super::value::{MapRef, Value};
use super::{Elab, Failed, Res};
use crate::ast::*;
use crate::diag::{Code, Diagnostic, but_given, counted};
use crate::load::Global;
use std::collections::HashMap;
use tn_ir::Complex64;
use tn_ir::program::{IndexId, Node, NodeData, NodeId};
use tn_ir::span::Span;

/// A tensor expression.
#[derive(Clone, Debug)]
pub enum Te {
    /// A tensor without legs.
    Number(Complex64),
    /// A tensor applied to indices.
    Use { node: NodeId, indices: Vec<IndexId>, conj: bool, span: Span },
    /// Factors; no factor is a product itself.
    Product(Vec<Te>),
    /// Terms with their coefficients; each is a scope.
    Sum { terms: Vec<(Complex64, Te, Span)>, conj: bool, span: Span },
    /// A map; its argument is a scope.
    Map { map: MapRef, arg: Box<Te>, params: Vec<NodeId>, conj: bool, span: Span },
    /// Parts along a new index; each is a scope.
    Stack { index: IndexId, parts: Vec<Te>, conj: bool, span: Span },
}

const ONE: Complex64 = Complex64::new(1.0, 0.0);

impl Te {
    fn conj(self) -> Te {
        match self {
            Te::Number(c) => Te::Number(c.conj()),
            Te::Use { node, indices, conj, span } => Te::Use { node, indices, conj: !conj, span },
            Te::Product(f) => Te::Product(f.into_iter().map(Te::conj).collect()),
            Te::Sum { terms, conj, span } => Te::Sum { terms, conj: !conj, span },
            Te::Map { map, arg, params, conj, span } => Te::Map { map, arg, params, conj: !conj, span },
            Te::Stack { index, parts, conj, span } => Te::Stack { index, parts, conj: !conj, span },
        }
    }

    /// How often each index occurs in the text of this expression.
    pub fn occurrences(&self, into: &mut HashMap<IndexId, u32>) {
        match self {
            Te::Number(_) => {}
            Te::Use { indices, .. } => indices.iter().for_each(|i| *into.entry(*i).or_default() += 1),
            Te::Product(f) => f.iter().for_each(|t| t.occurrences(into)),
            Te::Sum { terms, .. } => terms.iter().for_each(|(_, t, _)| t.occurrences(into)),
            Te::Map { arg, .. } => arg.occurrences(into),
            Te::Stack { index, parts, .. } => {
                *into.entry(*index).or_default() += 1;
                parts.iter().for_each(|t| t.occurrences(into));
            }
        }
    }
}

/// A product of two, flat.
fn times(a: Te, b: Te) -> Te {
    match (a, b) {
        (Te::Product(mut f), Te::Product(g)) => {
            f.extend(g);
            Te::Product(f)
        }
        (Te::Product(mut f), b) => {
            f.push(b);
            Te::Product(f)
        }
        (a, Te::Product(mut g)) => {
            g.insert(0, a);
            Te::Product(g)
        }
        (a, b) => Te::Product(vec![a, b]),
    }
}

impl Elab<'_> {
    /// Whether any tensor stands in an expression.
    pub fn is_tensor(&self, e: &Expr) -> bool {
        let tensor = |n: &Ident| {
            let found = self.frames.last().and_then(|f| f.scope.get(&n.name));
            matches!(found, Some(Entity::Tensor { .. } | Entity::TensorFamily(_) | Entity::Poison))
        };
        match &e.kind {
            ExprKind::Name(n) => tensor(n),
            ExprKind::Index { base, .. } => self.is_tensor(base),
            ExprKind::Call { args, .. } => args.iter().any(|a| self.is_tensor(&a.value)),
            ExprKind::Paren(x) | ExprKind::Unary { arg: x, .. } => self.is_tensor(x),
            ExprKind::Binary { lhs, rhs, .. } => self.is_tensor(rhs) || self.is_tensor(lhs),
            ExprKind::If { then, otherwise, .. } => self.is_tensor(then) || self.is_tensor(otherwise),
            ExprKind::Big { .. } => true,
            _ => false,
        }
    }

    /// The meaning of a tensor expression.
    pub fn tensor(&mut self, e: &Expr) -> Res<Te> {
        if !self.is_tensor(e) {
            let v = self.eval(e)?;
            return match v.as_complex() {
                Some(c) => Ok(Te::Number(c)),
                None => Err(self.error(
                    Code::NotATensor,
                    e.span,
                    format!("expected a tensor or a number, found {}", v.type_name()),
                )),
            };
        }
        match &e.kind {
            ExprKind::Paren(x) => self.tensor(x),
            ExprKind::Name(n) => {
                if matches!(self.frames.last().and_then(|f| f.scope.get(&n.name)), Some(Entity::Poison)) {
                    return Err(Failed);
                }
                let d = Diagnostic::error(
                    Code::NotATensor,
                    e.span,
                    format!("tensor `{}` is used without its legs", n.name),
                );
                Err(self
                    .report(d.with_help(format!("write `{}[…]`, or `{}[]` if it has none", n.name, n.name))))
            }
            ExprKind::Index { base, brackets } => self.apply(base, brackets, e.span),
            ExprKind::Unary { op: UnaryOp::Neg, arg } => Ok(times(Te::Number(-ONE), self.tensor(arg)?)),
            ExprKind::Unary { .. } => Err(self.error(Code::TypeMismatch, e.span, "`!` of a tensor")),
            ExprKind::If { cond, then, otherwise } => {
                if self.truth(cond)? {
                    self.tensor(then)
                } else {
                    self.tensor(otherwise)
                }
            }
            ExprKind::Binary { op, lhs, rhs } => self.tensor_binary(*op, lhs, rhs, e.span),
            ExprKind::Big { op, binders, body } => self.big(*op, binders, body, e.span),
            ExprKind::Call { callee, args, scalars } => {
                self.apply_map(callee, args, scalars.as_deref(), e.span)
            }
            _ => Err(self.error(Code::NotATensor, e.span, "expected a tensor")),
        }
    }

    fn tensor_binary(&mut self, op: BinaryOp, lhs: &Expr, rhs: &Expr, span: Span) -> Res<Te> {
        match op {
            BinaryOp::Mul => {
                let (a, b) = (self.tensor(lhs), self.tensor(rhs));
                Ok(times(a?, b?))
            }
            BinaryOp::Add | BinaryOp::Sub => {
                let sign = if op == BinaryOp::Sub { -ONE } else { ONE };
                let (a, b) = (self.tensor(lhs), self.tensor(rhs));
                let mut terms = match a? {
                    Te::Sum { terms, conj: false, .. } if !matches!(lhs.kind, ExprKind::Paren(_)) => terms,
                    other => vec![(ONE, other, lhs.span)],
                };
                terms.push((sign, b?, rhs.span));
                Ok(Te::Sum { terms, conj: false, span })
            }
            BinaryOp::Div => {
                let a = self.tensor(lhs)?;
                if !self.is_tensor(rhs) {
                    let v = self.eval(rhs)?;
                    return match v.as_complex() {
                        Some(c) if c != Complex64::new(0.0, 0.0) => Ok(times(Te::Number(ONE / c), a)),
                        Some(_) => Err(self.error(Code::Overflow, rhs.span, "division by zero")),
                        None => Err(self.error(
                            Code::TypeMismatch,
                            rhs.span,
                            format!("division by {}", v.type_name()),
                        )),
                    };
                }
                let arg = Box::new(self.tensor(rhs)?);
                let Some(map) = self.builtin_map("recip") else { return Err(Failed) };
                Ok(times(a, Te::Map { map, arg, params: vec![], conj: false, span: rhs.span }))
            }
            BinaryOp::Pow => {
                let d = Diagnostic::error(Code::TypeMismatch, span, "`^` of a tensor");
                Err(self.report(d.with_help("use a map: `square(A[i])`, or `map cube(x) = x ^ 3`")))
            }
            _ => Err(self.error(Code::TypeMismatch, span, "tensors are not compared")),
        }
    }

    /// The tensor a name (with a family's subscripts) stands for, and the bracket of its legs.
    fn apply(&mut self, base: &Expr, brackets: &[Bracket], span: Span) -> Res<Te> {
        let ExprKind::Name(name) = &base.kind else {
            let d = Diagnostic::error(Code::NotATensor, base.span, "only a named tensor takes legs");
            return Err(self.report(d.with_help("give it a name with `let`")));
        };
        let entity = self.frames.last().and_then(|f| f.scope.get(&name.name)).cloned();
        let (node, legs) = match (entity, brackets) {
            (Some(Entity::Tensor { node, .. }), [legs]) => (node, legs),
            (Some(Entity::Tensor { .. }), _) => {
                let d = Diagnostic::error(Code::BadSubscript, span, format!("`{}` is no family", name.name));
                return Err(self.report(d.with_help("write one bracket with its legs")));
            }
            (Some(Entity::TensorFamily(f)), [subs, legs]) => {
                let picked = self.family_items(&f, subs, false, &name.name, true)?;
                let [node] = picked.as_slice() else {
                    let d = Diagnostic::error(
                        Code::BadSubscript,
                        subs.span,
                        "one tensor of the family is applied at a time",
                    );
                    return Err(self.report(d.with_help("write `prod k in 0..n { … }`")));
                };
                (*node, legs)
            }
            (Some(Entity::TensorFamily(_)), _) => {
                let d = Diagnostic::error(
                    Code::BadSubscript,
                    span,
                    format!("`{}` is a family of tensors", name.name),
                );
                return Err(self.report(
                    d.with_help(format!("write its subscripts, then its legs: `{}[k][…]`", name.name)),
                ));
            }
            (Some(Entity::Poison), _) => return Err(Failed),
            _ => {
                return Err(self.unknown_tensor(name));
            }
        };
        let resolved = self.legs(legs, false)?;
        self.use_of(node, &resolved.refs, &name.name, span)
    }

    /// `node` applied to legs: sizes agree, numbers select entries.
    fn use_of(&mut self, mut node: NodeId, refs: &[(LegRef, Span)], name: &str, span: Span) -> Res<Te> {
        let legs = self.program.nodes[node].legs.clone();
        self.spend(refs.len() as u64 + 1, span)?;
        if legs.len() != refs.len() {
            let message = format!("`{name}` has {}, {}", counted(legs.len(), "leg"), but_given(refs.len()));
            let d = Diagnostic::error(Code::WrongLegs, span, message);
            let shown: Vec<String> =
                legs.iter().take(8).map(|&i| self.program.indices[i].name.clone()).collect();
            let dots = if legs.len() > 8 { ", …" } else { "" };
            return Err(self.report(d.with_help(format!("its legs are [{}{dots}]", shown.join(", ")))));
        }
        let mut indices = vec![];
        let mut selected: Vec<(usize, i64)> = vec![];
        for (k, (&leg, &(r, at))) in legs.iter().zip(refs).enumerate() {
            match r {
                LegRef::Index(i) => {
                    let (mine, size) = (&self.program.indices[i].size, &self.program.indices[leg].size);
                    let agree = mine.value == size.value && mine.dynamic == size.dynamic;
                    if !agree {
                        let own = &self.program.indices[i].name;
                        let message = format!(
                            "index `{own}` has size {}, but leg {k} of `{name}` has size {}",
                            self.size_text(mine),
                            self.size_text(size)
                        );
                        let def = self.program.nodes[node].span;
                        let d = Diagnostic::error(Code::SizeMismatch, at, message)
                            .with_related(def, "declared here");
                        return Err(self.report(d.with_help("make the two sizes equal")));
                    }
                    indices.push(i);
                }
                LegRef::Entry(v) => {
                    let size = &self.program.indices[leg].size;
                    if size.dynamic.is_some() {
                        return Err(self.error(
                            Code::BadSubscript,
                            at,
                            "an entry of a leg whose size is only known at run time",
                        ));
                    }
                    if v < 0 || v as u64 >= size.value {
                        let message = format!("entry {v} of a leg of size {}", size.value);
                        let d = Diagnostic::error(Code::BadSubscript, at, message);
                        let help = match size.value {
                            1 => "its only entry is 0".into(),
                            n => format!("its entries are 0 to {}", n - 1),
                        };
                        return Err(self.report(d.with_help(help)));
                    }
                    selected.push((k, v));
                }
            }
        }
        for &(axis, v) in selected.iter().rev() {
            let mut legs = self.program.nodes[node].legs.clone();
            legs.remove(axis);
            let select = Node::Select { arg: node, axis: axis as u32, at: v as u64 };
            node = self.program.nodes.push(NodeData { node: select, legs, name: name.to_string(), span });
        }
        Ok(Te::Use { node, indices, conj: false, span })
    }

    /// A size for messages.
    pub fn size_text(&self, size: &tn_ir::size::Size) -> String {
        match size.dynamic {
            Some(s) => format!("dyn `{}`", self.program.symbols[s].name),
            None => size.value.to_string(),
        }
    }

    fn big(&mut self, op: BigOp, binders: &[Binder], body: &Expr, span: Span) -> Res<Te> {
        match op {
            BigOp::Prod => {
                let mut factors = vec![];
                self.for_each(binders, &mut |s: &mut Self| {
                    match s.tensor(body)? {
                        Te::Product(f) => factors.extend(f),
                        other => factors.push(other),
                    }
                    Ok(())
                })?;
                Ok(Te::Product(factors))
            }
            BigOp::Sum => {
                let mut terms = vec![];
                self.for_each(binders, &mut |s: &mut Self| {
                    terms.push((ONE, s.tensor(body)?, body.span));
                    Ok(())
                })?;
                if terms.is_empty() {
                    return Err(self.error(Code::EmptySum, span, "an empty `sum` has no legs"));
                }
                Ok(Te::Sum { terms, conj: false, span })
            }
            BigOp::Stack => {
                let [binder] = binders else {
                    return Err(self.error(Code::WrongPlace, span, "`stack` takes one variable"));
                };
                let entity = self.frames.last().and_then(|f| f.scope.get(&binder.name.name)).cloned();
                let Some(Entity::Index(index)) = entity else {
                    let d = Diagnostic::error(
                        Code::NotAnIndex,
                        binder.name.span,
                        format!("`{}` is no declared index", binder.name.name),
                    );
                    return Err(
                        self.report(d.with_help(format!("declare it: `index {}: …`", binder.name.name)))
                    );
                };
                let (lo, hi) = self.range(&binder.lo, &binder.hi)?;
                let size = self.program.indices[index].size.value;
                if lo != 0 || hi as u64 != size {
                    let message = format!("`stack` runs over {lo}..{hi}, but its index has size {size}");
                    return Err(self.error(Code::SizeMismatch, binder.span, message));
                }
                self.room(size, binder.span)?;
                let mut parts = vec![];
                for k in 0..hi {
                    self.spend(1, span)?;
                    self.scope().bind(&binder.name, Value::int(k));
                    let part = self.tensor(body);
                    self.scope().pop();
                    parts.push(part?);
                }
                Ok(Te::Stack { index, parts, conj: false, span })
            }
        }
    }

    fn apply_map(&mut self, callee: &Ident, args: &[Arg], scalars: Option<&[Arg]>, span: Span) -> Res<Te> {
        let local = self.frames.last().and_then(|f| f.scope.get(&callee.name)).cloned();
        let map = match local {
            Some(Entity::Value(Value::Map(m))) => m,
            Some(Entity::Poison) => return Err(Failed),
            Some(other) => {
                let d = Diagnostic::error(
                    Code::BadCall,
                    callee.span,
                    format!("`{}` is {}, not a map", callee.name, other.describe()),
                );
                return Err(self.report(d.with_help("tensors take their legs in brackets: `t[i, j]`")));
            }
            None => match self.global(&callee.name) {
                Some(g) if matches!(g.global, Global::Map(_)) => self.user_map(&callee.name, &g)?,
                Some(g) if matches!(g.global, Global::Topology(_)) => {
                    let d = Diagnostic::error(
                        Code::BadCall,
                        span,
                        format!("topology `{}` is called inside an expression", callee.name),
                    );
                    let help = format!(
                        "a call is the whole right side: `let t = {}(…)`, then use `t[…]`",
                        callee.name
                    );
                    return Err(self.report(d.with_help(help)));
                }
                Some(_) => {
                    return Err(self.error(
                        Code::BadCall,
                        callee.span,
                        format!("`{}` does not take tensors", callee.name),
                    ));
                }
                None if callee.name == "conj" => {
                    let [arg] = args else {
                        let d = Diagnostic::error(Code::BadCall, span, "`conj` takes one tensor");
                        return Err(self.report(d.with_help("write `conj(A[i, j])`")));
                    };
                    let t = self.tensor(&arg.value)?;
                    return Ok(if self.program.dtype.is_complex() { t.conj() } else { t });
                }
                None if callee.name == "unpad" => {
                    let d = Diagnostic::error(
                        Code::WrongPlace,
                        span,
                        "`unpad` is the whole right side of a definition",
                    );
                    return Err(self.report(d.with_help("give it its own `let k[…] = unpad(…)`")));
                }
                None => match self.builtin_map(&callee.name) {
                    Some(m) => m,
                    None => {
                        let given = scalars.is_some();
                        return Err(self.unknown_as(callee, |n| match n {
                            "swish" => "define it: `map swish(x; beta) = x / (1 + exp(-beta * x))`".into(),
                            n if given => format!("define it: `map {n}(x; beta) = …`"),
                            n => format!("define it: `map {n}(x) = …`"),
                        }));
                    }
                },
            },
        };
        let name = self.program.maps[map.id].name.clone();
        let [arg] = args else {
            let d = Diagnostic::error(Code::BadCall, span, format!("map `{name}` takes one tensor"));
            return Err(self.report(d.with_help(super::scalars::scalars_help(&self.program.maps[map.id]))));
        };
        let complex_ok = super::maps::COMPLEX.contains(&name.as_str()) || self.is_holomorphic(&map);
        if self.program.dtype.is_complex() && !complex_ok {
            let d = Diagnostic::error(
                Code::ComplexInReal,
                span,
                format!("map `{name}` does not take complex arguments"),
            );
            return Err(self.report(d.with_help("in a complex network: `identity square recip exp sin cos`")));
        }
        let params = self.map_params(&map, scalars, span)?;
        let arg = Box::new(self.tensor(&arg.value)?);
        Ok(Te::Map { map, arg, params, conj: false, span })
    }

    /// A user's map made of operations that are defined on complex numbers.
    fn is_holomorphic(&self, map: &MapRef) -> bool {
        use tn_ir::scalar::ScalarOp::*;
        let real_only = |op: &tn_ir::scalar::ScalarOp| {
            matches!(op, Tanh(_) | Erf(_) | Abs(_) | Min(..) | Max(..) | Select { .. } | Log(_) | Sqrt(_))
        };
        !self.program.maps[map.id].body.ops.iter().any(real_only)
    }
}
