//! Statements of networks and topologies.

use super::legs::LegRef;
use super::scope::{Entity, Family};
use super::value::Value;
use super::{BodyKind, Elab, Failed, LeafMode, Res};
use crate::ast::*;
use crate::diag::{Code, Diagnostic, counted};
use std::collections::HashSet;
use std::rc::Rc;
use tn_ir::Complex64;
use tn_ir::dtype::DType;
use tn_ir::program::{IndexDef, IndexId, Node, NodeId, Operand, Output};
use tn_ir::size::{Poly, Size, Symbol, SymbolKind};
use tn_ir::span::Span;

impl Elab<'_> {
    /// A network's body.
    pub fn statements(&mut self, block: &Block) {
        self.statements_with_header(block, None);
    }

    /// A body; `header` are the legs a topology promises.
    pub fn statements_with_header(&mut self, block: &Block, header: Option<&Bracket>) {
        let mut before: Option<&StmtKind> = None;
        for s in &block.statements {
            if self.items > super::MAX_ITEMS {
                return;
            }
            if self.frame().result.is_some() {
                // behind an `if` that returned, it is for other arguments
                if matches!(before, Some(StmtKind::Return { .. })) {
                    self.report(Diagnostic::warning(
                        Code::Unused,
                        s.span,
                        "this stands after `return` and does nothing",
                    ));
                }
                return;
            }
            // a failed statement has been reported, and has poisoned what it declares
            if self.statement(s, header).is_err() {
                self.frame().failed = true;
                if matches!(s.kind, StmtKind::Assert { .. }) {
                    // what follows relies on it
                    return;
                }
            }
            before = Some(&s.kind);
        }
    }

    /// Declares a name; a clash is reported.
    pub fn declare(&mut self, name: &Ident, entity: Entity) -> Res<()> {
        match self.scope().declare(name, entity) {
            Ok(()) => Ok(()),
            Err(first) => {
                let d = Diagnostic::error(
                    Code::DuplicateName,
                    name.span,
                    format!("`{}` is declared twice", name.name),
                );
                Err(self.report(d.with_related(first, "first here").with_help("rename one of them")))
            }
        }
    }

    /// Declares a name as what `made` gives, or as poison.
    pub fn declare_or_poison(&mut self, name: &Ident, made: Res<Entity>) -> Res<()> {
        match made {
            Ok(e) => self.declare(name, e),
            Err(Failed) => {
                let _ = self.scope().declare(name, Entity::Poison);
                Err(Failed)
            }
        }
    }

    fn not_in_loop(&mut self, what: &str, span: Span) -> Res<()> {
        if self.frame().scope.in_for > 0 {
            let d = Diagnostic::error(Code::WrongPlace, span, format!("{what} cannot stand in a `for`"));
            return Err(
                self.report(d.with_help("declare a family outside the loop: `param core[k in 0..n][…]`"))
            );
        }
        Ok(())
    }

    fn statement(&mut self, s: &Stmt, header: Option<&Bracket>) -> Res<()> {
        self.spend(1, s.span)?;
        match &s.kind {
            StmtKind::DType(word) => self.dtype_statement(word),
            StmtKind::Index(decls) => {
                self.not_in_loop("`index`", s.span)?;
                let mut failed = false;
                for d in decls {
                    let made = self.index_decl(d);
                    failed |= self.declare_or_poison(&d.name, made).is_err();
                }
                if failed { Err(Failed) } else { Ok(()) }
            }
            StmtKind::Leaf(decl) => {
                let made = self
                    .not_in_loop("a tensor's declaration", s.span)
                    .and_then(|()| self.leaf_decl(decl, s.span));
                self.declare_or_poison(&decl.name, made)
            }
            StmtKind::Bind(bind) => {
                let made = self.bind(bind, s.span);
                self.declare_or_poison(&bind.name, made)
            }
            StmtKind::Let { name, family, value } => {
                let made = self.let_value(name, family.as_ref(), value, None, s.span);
                self.declare_or_poison(name, made)
            }
            StmtKind::Define { kind, name, legs, value } => {
                let made = self.definition(legs, value, &name.name, s.span).and_then(|mut node| {
                    if *kind == DefineKind::Materialize {
                        self.storable(node, "a materialised definition", s.span)?;
                        let legs = self.fresh_like(node);
                        let name = self.full_name(&name.name);
                        node = self.node(Node::Pin { arg: node }, legs, &name, s.span);
                    }
                    Ok(Entity::Tensor { node, var: *kind == DefineKind::Var })
                });
                self.declare_or_poison(name, made)
            }
            StmtKind::Assign { name, legs, value } => {
                match self.frame().scope.get(&name.name).cloned() {
                    Some(Entity::Tensor { var: true, .. }) => {}
                    Some(Entity::Poison) => return Err(Failed),
                    Some(e) => {
                        let d = Diagnostic::error(
                            Code::BadLeftSide,
                            name.span,
                            format!("`{}` is {}, not a `var`", name.name, e.describe()),
                        );
                        return Err(
                            self.report(d.with_help(format!("declare it with `var {}[…] = …`", name.name)))
                        );
                    }
                    None => {
                        let name = name.clone();
                        return Err(self.unknown(&name));
                    }
                }
                let node = self.definition(legs, value, &name.name, s.span)?;
                self.scope().assign(&name.name, node);
                Ok(())
            }
            StmtKind::For { binders, body } => {
                self.scope().in_for += 1;
                let done = self.for_each(binders, &mut |e: &mut Self| {
                    let before = std::mem::replace(&mut e.frame().failed, false);
                    e.scope().push();
                    e.statements_with_header(body, header);
                    e.scope().pop();
                    // the next round would only repeat the same mistakes
                    let failed = e.frame().failed;
                    e.frame().failed |= before;
                    if failed { Err(Failed) } else { Ok(()) }
                });
                self.scope().in_for -= 1;
                done
            }
            StmtKind::If { cond, then, otherwise } => {
                let branch = if self.truth(cond)? { Some(then) } else { otherwise.as_ref() };
                if let Some(b) = branch {
                    self.scope().push();
                    self.statements_with_header(b, header);
                    self.scope().pop();
                }
                Ok(())
            }
            StmtKind::Assert { cond, message } => self.assert(cond, message.as_ref()),
            StmtKind::Return { legs, value } => self.return_statement(legs.as_ref(), value, header, s.span),
            StmtKind::Output { name, legs, mode, value } => {
                self.output(name, legs.as_ref(), mode.as_ref(), value.as_ref(), s.span)
            }
        }
    }

    fn dtype_statement(&mut self, word: &Ident) -> Res<()> {
        if self.frame().kind != BodyKind::Network {
            return Err(self.error(Code::WrongPlace, word.span, "`dtype` stands in a network"));
        }
        if DType::parse(&word.name).is_none() {
            let d =
                Diagnostic::error(Code::TypeMismatch, word.span, format!("unknown dtype `{}`", word.name));
            return Err(self.report(d.with_help("`f32`, `f64`, `c64` or `c128`")));
        }
        if std::mem::replace(&mut self.dtype_set, true) {
            return Err(self.error(
                Code::DuplicateName,
                word.span,
                "`dtype` stands at most once in a network",
            ));
        }
        Ok(())
    }

    fn index_decl(&mut self, d: &IndexDecl) -> Res<Entity> {
        let Some(family) = &d.family else {
            let size = self.size(&d.size, Some(&d.name.name))?;
            return Ok(Entity::Index(
                self.program.indices.push(IndexDef { name: d.name.name.clone(), size }),
            ));
        };
        let mut items: Family<IndexId> = Family::new();
        self.for_family(family, &mut |e: &mut Self, subs| {
            let size = e.size(&d.size, None)?;
            let name = format!("{}{}", d.name.name, subscripts(&subs));
            items.insert(subs, e.program.indices.push(IndexDef { name, size }));
            Ok(())
        })?;
        Ok(Entity::IndexFamily(Rc::new(items)))
    }

    /// The size of an index; `dynamic` is its name where `dyn` may stand.
    fn size(&mut self, e: &Expr, dynamic: Option<&str>) -> Res<Size> {
        if let ExprKind::Call { callee, args, scalars: None } = &e.kind
            && callee.name == "dyn"
        {
            return self.dyn_size(args, dynamic, e.span);
        }
        let (v, p) = self.int_poly(e)?;
        if v <= 0 {
            let d = Diagnostic::error(Code::BadSize, e.span, format!("an index of size {v}"));
            return Err(self.report(d.with_help("sizes are 1 or more")));
        }
        let poly = super::value::poly_of(v, &p);
        Ok(Size { value: v as u64, poly, dynamic: None })
    }

    fn dyn_size(&mut self, args: &[Arg], name: Option<&str>, span: Span) -> Res<Size> {
        let Some(name) = name else {
            return Err(self.error(Code::BadDyn, span, "a family of indices cannot be `dyn`"));
        };
        if self.frame().kind != BodyKind::Network {
            return Err(self.error(Code::BadDyn, span, "`dyn` stands in a network, not in a topology"));
        }
        let (mut hint, mut max) = (None, None);
        for (k, a) in args.iter().enumerate() {
            let v = self.int(&a.value)?;
            if v <= 0 {
                return Err(self.error(Code::BadSize, a.value.span, format!("a size of {v}")));
            }
            match a.name.as_ref().map(|n| n.name.as_str()) {
                None if k == 0 => hint = Some(v as u64),
                Some("max") => max = Some(v as u64),
                _ => {
                    let d = Diagnostic::error(Code::BadDyn, a.value.span, "unexpected argument of `dyn`");
                    return Err(self.report(d.with_help("write `dyn(32)` or `dyn(32, max = 4096)`")));
                }
            }
        }
        let Some(hint) = hint else {
            let d = Diagnostic::error(Code::BadDyn, span, "`dyn` needs the planner's hint");
            return Err(self.report(d.with_help("write `dyn(32)`")));
        };
        if max.is_some_and(|m| m < hint) {
            return Err(self.error(Code::BadDyn, span, "the hint is larger than `max`"));
        }
        let kind = SymbolKind::Dyn { hint, max };
        let s = self.program.symbols.push(Symbol { name: name.to_string(), kind });
        Ok(Size { value: hint, poly: Poly::symbol(s), dynamic: Some(s) })
    }

    /// `let name = …`: a topology, another name for a tensor, or a value.
    pub fn let_value(
        &mut self,
        name: &Ident,
        family: Option<&Bracket>,
        value: &Expr,
        mode: Option<LeafMode>,
        span: Span,
    ) -> Res<Entity> {
        if let Some(call) = self.topology_call(value) {
            self.not_in_loop("a call of a topology", span)?;
            let Some(family) = family else {
                let node = self.call_topology(call, &name.name, mode, value.span)?;
                return Ok(Entity::Tensor { node, var: false });
            };
            let mut items: Family<NodeId> = Family::new();
            self.for_family(family, &mut |e: &mut Self, subs| {
                let component = format!("{}{}", name.name, subscripts(&subs));
                let mode = mode.clone().map(|m| match m {
                    LeafMode::Const { file, span, .. } => {
                        LeafMode::Const { file, prefix: e.frame().path.len() + component.len() + 1, span }
                    }
                    other => other,
                });
                let Some(call) = e.topology_call(value) else { return Err(Failed) };
                let node = e.call_topology(call, &component, mode, value.span)?;
                items.insert(subs, node);
                Ok(())
            })?;
            return Ok(Entity::TensorFamily(Rc::new(items)));
        }
        if let Some(b) = family {
            let d = Diagnostic::error(
                Code::WrongPlace,
                b.span,
                "a family of definitions is made by calls of a topology",
            );
            return Err(self.report(d.with_help("write `let g[r in 0..8] = topology(…)`")));
        }
        if let ExprKind::Name(n) = &value.kind
            && let Some(e @ (Entity::Tensor { .. } | Entity::TensorFamily(_))) =
                self.frame().scope.get(&n.name).cloned()
        {
            return Ok(match e {
                Entity::Tensor { node, .. } => Entity::Tensor { node, var: false },
                other => other,
            });
        }
        if self.is_tensor(value) {
            let d = Diagnostic::error(
                Code::BadLeftSide,
                span,
                format!("`{}` is a tensor: its legs stand on the left", name.name),
            );
            return Err(self.report(d.with_help(format!(
                "write `let {}[i, j] = …`, or `let {}[] = …` without legs",
                name.name, name.name
            ))));
        }
        Ok(Entity::Value(self.eval(value)?))
    }

    fn bind(&mut self, b: &Bind, span: Span) -> Res<Entity> {
        if self.topology_call(&b.value).is_none() {
            if b.kind == LeafKind::Const && b.from.is_none() && b.family.is_none() {
                return Ok(Entity::Value(self.eval(&b.value)?));
            }
            let d = Diagnostic::error(Code::BadCall, b.value.span, "expected a call of a topology");
            return Err(self
                .report(d.with_help("as in `input H = mpo(…)` or `const H = mpo(…) from npz(\"h.npz\")`")));
        }
        let mode = match (b.kind, &b.from) {
            (LeafKind::Input, None) => LeafMode::Input,
            (LeafKind::Const, Some(from)) => {
                let file = self.file_call(from, "npz")?;
                LeafMode::Const {
                    file,
                    prefix: self.frame().path.len() + b.name.name.len() + 1,
                    span: from.span,
                }
            }
            (LeafKind::Const, None) => {
                let d = Diagnostic::error(
                    Code::BadCall,
                    span,
                    "the values of a constant topology are read from a file",
                );
                return Err(self.report(d.with_help("add `from npz(\"file.npz\")`")));
            }
            _ => return Err(self.error(Code::WrongPlace, span, "`from` stands after a `const`")),
        };
        self.let_value(&b.name, b.family.as_ref(), &b.value, Some(mode), span)
    }

    /// The right side of `name[legs] = …`.
    fn definition(&mut self, legs: &Bracket, value: &Expr, name: &str, span: Span) -> Res<NodeId> {
        let (left, _) = self.left_legs(legs, false)?;
        let name = self.full_name(name);
        self.right_side(&left, value, &name, span)
    }

    /// What a definition is called in reports: its path, and the round of the loop that it stands in.
    fn full_name(&mut self, name: &str) -> String {
        let frame = self.frame();
        format!("{}{name}{}", frame.path, subscripts(&frame.scope.binders))
    }

    fn right_side(&mut self, left: &[IndexId], value: &Expr, name: &str, span: Span) -> Res<NodeId> {
        if let ExprKind::Call { callee, args, scalars: None } = &value.kind
            && callee.name == "unpad"
            && self.global("unpad").is_none()
        {
            return self.unpad(left, args, name, value.span);
        }
        let te = self.tensor(value)?;
        self.define(left, te, name, span)
    }

    /// `unpad(t[legs], shape)`
    fn unpad(&mut self, left: &[IndexId], args: &[Arg], name: &str, span: Span) -> Res<NodeId> {
        let [t, shape] = args else {
            let d = Diagnostic::error(Code::BadCall, span, "`unpad` takes a tensor and a shape");
            return Err(self.report(d.with_help("write `unpad(g[s[..]], [512, 512, 3, 3])`")));
        };
        let ExprKind::Index { .. } = &t.value.kind else {
            return Err(self.error(
                Code::NotATensor,
                t.value.span,
                "`unpad` takes a tensor with its legs, as in `g[s[..]]`",
            ));
        };
        let te = self.tensor(&t.value)?;
        let super::tensor::Te::Use { indices, .. } = &te else {
            return Err(self.error(Code::NotATensor, t.value.span, "`unpad` takes a tensor with its legs"));
        };
        // a repeated index is the diagonal, which has that leg once
        let mut seen = HashSet::new();
        let order: Vec<IndexId> = indices.iter().copied().filter(|i| seen.insert(*i)).collect();
        let arg = self.define(&order, te, name, span)?;
        self.storable(arg, "the argument of `unpad`", span)?;
        let Value::List(list) = self.eval(&shape.value)? else {
            return Err(self.error(Code::TypeMismatch, shape.value.span, "the shape is a list of ints"));
        };
        if list.len() != left.len() {
            let axes = if list.len() == 1 { "1 axis".into() } else { format!("{} axes", list.len()) };
            let message =
                format!("the shape has {}, but the left side has {}", axes, counted(left.len(), "leg"));
            let d = Diagnostic::error(Code::WrongLegs, shape.value.span, message);
            return Err(self.report(d.with_help("write one size for each leg of the left side")));
        }
        let mut wanted: u128 = 1;
        for (v, &i) in list.iter().zip(left) {
            let size = self.program.indices[i].clone();
            let Value::Int(n, _) = v else {
                return Err(self.error(Code::TypeMismatch, shape.value.span, "the shape is a list of ints"));
            };
            if size.size.dynamic.is_some() || *n != size.size.value as i64 {
                let message = format!(
                    "index `{}` has size {}, but the shape says {n}",
                    size.name,
                    self.size_text(&size.size)
                );
                return Err(self.error(Code::SizeMismatch, shape.value.span, message));
            }
            wanted = wanted.saturating_mul(size.size.value as u128);
        }
        if order.iter().any(|&i| self.is_dyn(LegRef::Index(i))) {
            return Err(self.error(
                Code::BadDyn,
                t.value.span,
                "`unpad` of a tensor whose size is only known at run time",
            ));
        }
        let has =
            order.iter().fold(1u128, |p, &i| p.saturating_mul(self.program.indices[i].size.value as u128));
        if wanted > has {
            return Err(self.error(
                Code::SizeMismatch,
                shape.value.span,
                format!("the shape has {wanted} entries, but the tensor only {has}"),
            ));
        }
        Ok(self.node(Node::Unpad { arg }, left.to_vec(), name, span))
    }

    fn return_statement(
        &mut self,
        legs: Option<&Bracket>,
        value: &Expr,
        header: Option<&Bracket>,
        span: Span,
    ) -> Res<()> {
        let Some(header) = header else {
            return Err(self.error(Code::WrongPlace, span, "`return` stands in a topology or a function"));
        };
        let node = match legs {
            None => {
                let Some(call) = self.topology_call(value) else {
                    let d = Diagnostic::error(
                        Code::WrongPlace,
                        span,
                        "`return` without legs returns a call of a topology",
                    );
                    return Err(self.report(d.with_help("write `return [s[..]] …`")));
                };
                self.call_topology(call, "", None, value.span)?
            }
            Some(legs) => {
                let (left, _) = self.left_legs(legs, false)?;
                let promised = self.header_legs(header)?;
                if promised != left {
                    let d = Diagnostic::error(
                        Code::WrongLegs,
                        legs.span,
                        "`return` writes other legs than the topology's header",
                    );
                    return Err(self.report(
                        d.with_related(header.span, "the header")
                            .with_help("write the same legs in the same order"),
                    ));
                }
                let path = self.frame().path.trim_end_matches('.').to_string();
                self.right_side(&left, value, &path, span)?
            }
        };
        self.frame().result = Some(node);
        Ok(())
    }

    fn output(
        &mut self,
        name: &Ident,
        legs: Option<&Bracket>,
        mode: Option<&Ident>,
        value: Option<&Expr>,
        span: Span,
    ) -> Res<()> {
        if self.frame().kind != BodyKind::Network {
            return Err(self.error(Code::WrongPlace, span, "`output` stands in a network"));
        }
        if self.frame().scope.in_for > 0 {
            return Err(self.error(Code::WrongPlace, span, "`output` cannot stand in a `for`"));
        }
        let log = match mode {
            Some(m) if m.name == "log" => true,
            Some(m) => {
                let d = Diagnostic::error(
                    Code::WrongPlace,
                    m.span,
                    format!("unknown mode `{}` of an output", m.name),
                );
                return Err(self.report(d.with_help("write `: log`, or nothing")));
            }
            None => false,
        };
        let (node, axes) = match (legs, value) {
            (Some(legs), Some(value)) => {
                let (left, axes) = self.left_legs(legs, true)?;
                let node = self.right_side(&left, value, &name.name, span)?;
                let node = self.under_own_legs(node, &left, &name.name, span);
                let made = self.declare(name, Entity::Tensor { node, var: false });
                made?;
                (node, axes)
            }
            _ => match self.frame().scope.get(&name.name).cloned() {
                Some(Entity::Tensor { node, .. }) => (node, self.plain_axes(node)),
                Some(Entity::Poison) => return Err(Failed),
                _ => {
                    let d = Diagnostic::error(
                        Code::UnknownName,
                        name.span,
                        format!("`{}` is no tensor", name.name),
                    );
                    return Err(self.report(d.with_help(format!("write `output {}[…] = …`", name.name))));
                }
            },
        };
        if self.program.outputs.iter().any(|o| o.name == name.name) {
            return Err(self.error(
                Code::DuplicateName,
                name.span,
                format!("two outputs are called `{}`", name.name),
            ));
        }
        self.storable(node, "an output", span)?;
        if log && !self.program.nodes[node].legs.is_empty() {
            let d = Diagnostic::error(Code::WrongLegs, span, "a `log` output has no legs");
            return Err(self.report(d.with_help("write `output z[]: log = …`")));
        }
        self.program.outputs.push(Output { name: name.name.clone(), node, axes, log, span });
        Ok(())
    }

    /// A product that a topology made has the topology's own indices: a network's output shows those that it was written with.
    fn under_own_legs(&mut self, node: NodeId, left: &[IndexId], name: &str, span: Span) -> NodeId {
        let product =
            matches!(&self.program.nodes[node].node, Node::Contract { operands, .. } if !operands.is_empty());
        if !product || self.program.nodes[node].legs == left {
            return node;
        }
        let operands = vec![Operand { node, indices: left.to_vec(), conj: false }];
        self.node(Node::Contract { scale: Complex64::new(1.0, 0.0), operands }, left.to_vec(), name, span)
    }

    /// New indices with the names and sizes of a node's legs.
    pub fn fresh_like(&mut self, node: NodeId) -> Vec<IndexId> {
        let legs = self.program.nodes[node].legs.clone();
        legs.iter().map(|&i| self.program.indices.push(self.program.indices[i].clone())).collect()
    }
}

/// `[3]`, `[2,5]`, and nothing for none.
pub fn subscripts(subs: &[i64]) -> String {
    if subs.is_empty() {
        return String::new();
    }
    format!("[{}]", subs.iter().map(i64::to_string).collect::<Vec<_>>().join(","))
}
