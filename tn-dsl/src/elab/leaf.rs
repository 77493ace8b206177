//! Parameters, inputs and constants; the scalars of maps; initial values.

use super::body::subscripts;
use super::legs::{LegRef, Legs};
use super::scope::{Entity, Family};
use super::value::{MAX_LIST, MapRef, Value};
use super::{BodyKind, Elab, Failed, LeafMode, MAX_ITEMS, Res};
use crate::ast::*;
use crate::diag::{Code, Diagnostic, but_given, counted, did_you_mean};
use std::collections::HashSet;
use std::path::PathBuf;
use std::rc::Rc;
use tn_ir::Complex64;
use tn_ir::program::*;
use tn_ir::span::Span;

/// An initialisation that waits for the first use of its leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PendingInit {
    /// std = √(2 / fan-in)
    He,
    /// std = √(2 / (fan-in + fan-out))
    Xavier,
}

impl Elab<'_> {
    /// `param`, `input` or `const` with legs.
    pub fn leaf_decl(&mut self, d: &LeafDecl, span: Span) -> Res<Entity> {
        if d.kind == LeafKind::Const && d.value.is_none() {
            let e = Diagnostic::error(
                Code::BadConst,
                d.name.span,
                format!("constant `{}` has no value", d.name.name),
            );
            return Err(self.report(
                e.with_help("add `= delta`, `= identity`, `= ones`, a list, or `= npy(\"file.npy\")`"),
            ));
        }
        if d.kind != LeafKind::Const
            && let Some(v) = &d.value
        {
            let e = Diagnostic::error(Code::WrongPlace, v.span, "only a constant has a value");
            return Err(
                self.report(e.with_help("write `const`, or `: init(…)` for a parameter's initial values"))
            );
        }
        if d.kind == LeafKind::Input
            && self.frame().kind == BodyKind::Topology
            && matches!(self.frame().mode, LeafMode::Const { .. })
        {
            return Err(self.error(Code::WrongPlace, span, "an `input` inside a constant topology"));
        }
        let Some(family) = &d.family else {
            let node = self.one_leaf(d, &[])?;
            return Ok(Entity::Tensor { node, var: false });
        };
        let mut items: Family<NodeId> = Family::new();
        self.for_family(family, &mut |e: &mut Self, subs| {
            let node = e.one_leaf(d, &subs)?;
            items.insert(subs, node);
            Ok(())
        })?;
        Ok(Entity::TensorFamily(Rc::new(items)))
    }

    fn one_leaf(&mut self, d: &LeafDecl, subs: &[i64]) -> Res<NodeId> {
        let legs = self.legs(&d.legs, true)?;
        let mut indices = vec![];
        for &(r, span) in &legs.refs {
            match r {
                LegRef::Index(i) => {
                    if self.is_dyn(r) && d.kind != LeafKind::Input {
                        let e =
                            Diagnostic::error(Code::BadDyn, span, "a `dyn` index on a parameter or constant");
                        return Err(
                            self.report(e.with_help("`dyn` stands on inputs, definitions and outputs"))
                        );
                    }
                    indices.push(i);
                }
                LegRef::Entry(_) => {
                    return Err(self.error(Code::NotAnIndex, span, "a declaration names indices"));
                }
            }
        }
        let name = format!("{}{}", d.name.name, subscripts(subs));
        let (mut init, mut structure, mut pending) = (None, None, None);
        for a in &d.attributes {
            if d.kind != LeafKind::Param {
                return Err(self.error(Code::WrongPlace, a.span, "only parameters have attributes"));
            }
            match &a.kind {
                AttributeKind::Init(e) => (init, pending) = self.init_expr(e, &indices)?,
                AttributeKind::Structure { unitary, from, to } => {
                    structure = Some(self.structure(&indices, *unitary, from, to, a.span)?);
                }
            }
        }
        let role = match d.kind {
            LeafKind::Param => Role::Param,
            LeafKind::Input => Role::Input,
            LeafKind::Const => Role::Const(self.const_value_of(d, &legs, &indices)?),
        };
        if matches!(role, Role::Param) && init.is_none() && pending.is_none() {
            if structure.is_some() {
                init = Some(Init::Isometry);
            } else {
                pending = Some(PendingInit::He);
            }
        }
        self.add_leaf(NewLeaf {
            name,
            role,
            indices,
            axes: legs.axes,
            init,
            pending,
            structure,
            span: d.name.span,
        })
    }

    fn structure(
        &mut self,
        legs: &[IndexId],
        unitary: bool,
        from: &Bracket,
        to: &Bracket,
        span: Span,
    ) -> Res<Structure> {
        let mut sides = vec![];
        for b in [from, to] {
            let mut places: Vec<u32> = vec![];
            for (r, at) in self.legs(b, false)?.refs {
                let place = match r {
                    LegRef::Index(i) => {
                        (0..legs.len()).find(|&k| legs[k] == i && !places.contains(&(k as u32)))
                    }
                    LegRef::Entry(_) => None,
                };
                let Some(k) = place else {
                    return Err(self.error(Code::BadStructure, at, "this is no leg of the parameter"));
                };
                places.push(k as u32);
            }
            sides.push(places);
        }
        let (to, from) = (sides.pop().unwrap_or_default(), sides.pop().unwrap_or_default());
        let all: HashSet<u32> = from.iter().chain(&to).copied().collect();
        if all.len() != legs.len() || from.len() + to.len() != legs.len() {
            let d = Diagnostic::error(
                Code::BadStructure,
                span,
                "the two sides do not name every leg exactly once",
            );
            return Err(self.report(d.with_help("as in `param w[c1, c2, p]: isometry([p] -> [c1, c2])`")));
        }
        let size = |places: &[u32]| {
            let sizes = places.iter().map(|&k| self.program.indices[legs[k as usize]].size.value as u128);
            sizes.fold(1u128, |p, s| p.saturating_mul(s))
        };
        let (domain, codomain) = (size(&from), size(&to));
        if domain > codomain || (unitary && domain != codomain) {
            let relation = if unitary { "equal to" } else { "at most" };
            let message = format!(
                "the domain has dimension {domain}, which is not {relation} the codomain's {codomain}"
            );
            return Err(self.error(Code::BadStructure, span, message));
        }
        Ok(Structure { from, to, unitary })
    }

    fn init_expr(&mut self, e: &Expr, legs: &[IndexId]) -> Res<(Option<Init>, Option<PendingInit>)> {
        match &e.kind {
            ExprKind::Paren(x) => self.init_expr(x, legs),
            ExprKind::If { cond, then, otherwise } => {
                if self.truth(cond)? {
                    self.init_expr(then, legs)
                } else {
                    self.init_expr(otherwise, legs)
                }
            }
            ExprKind::Name(n) => Ok(match n.name.as_str() {
                "he" => (None, Some(PendingInit::He)),
                "xavier" => (None, Some(PendingInit::Xavier)),
                "zeros" => (Some(Init::Zeros), None),
                "ones" => (Some(Init::Ones), None),
                "identity" => (Some(Init::Identity { noise: 0.0 }), None),
                other => {
                    let d =
                        Diagnostic::error(Code::BadInit, n.span, format!("unknown initialisation `{other}`"));
                    let all = ["he", "xavier", "zeros", "ones", "identity", "normal", "uniform", "noise"];
                    let help = match did_you_mean(other, all) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "`he`, `xavier`, `normal(mean, std)`, `uniform(a, b)`, `zeros`, `ones`, `identity + noise(std)`".into(),
                    };
                    return Err(self.report(d.with_help(help)));
                }
            }),
            ExprKind::Binary { op: BinaryOp::Add, lhs, rhs } => {
                let noise = match (&lhs.kind, &rhs.kind) {
                    (ExprKind::Name(n), ExprKind::Call { callee, args, .. })
                        if n.name == "identity" && callee.name == "noise" =>
                    {
                        match args.as_slice() {
                            [a] => self.deviation(&a.value)?,
                            _ => {
                                return Err(self.error(
                                    Code::BadInit,
                                    rhs.span,
                                    "`noise` takes a standard deviation",
                                ));
                            }
                        }
                    }
                    _ => return Err(self.error(Code::BadInit, e.span, "expected `identity + noise(std)`")),
                };
                Ok((Some(Init::Identity { noise }), None))
            }
            ExprKind::Call { callee, args, .. } => match (callee.name.as_str(), args.as_slice()) {
                ("normal", [m, s]) => {
                    let (mean, std) = (self.number(&m.value)?, self.deviation(&s.value)?);
                    Ok((Some(Init::Normal { mean, std }), None))
                }
                ("uniform", [a, b]) => {
                    let (low, high) = (self.number(&a.value)?, self.number(&b.value)?);
                    if low > high {
                        let d = Diagnostic::error(
                            Code::BadInit,
                            e.span,
                            format!("`uniform` from {low} to {high} ends before it begins"),
                        );
                        return Err(self.report(d.with_help(format!("write `uniform({high}, {low})`"))));
                    }
                    Ok((Some(Init::Uniform { low, high }), None))
                }
                ("he" | "xavier", [Arg { value: Expr { kind: ExprKind::List(entries), span }, .. }]) => {
                    let items = entries
                        .iter()
                        .map(|e| LegItem { span: e.span, kind: LegKind::Expr(e.clone()) })
                        .collect();
                    let stated = self.legs(&Bracket { items, span: *span }, false)?;
                    let mut fan_in = 1.0;
                    for (r, at) in stated.refs {
                        match r {
                            LegRef::Index(i) if legs.contains(&i) => {
                                fan_in *= self.program.indices[i].size.value as f64
                            }
                            _ => {
                                return Err(self.error(Code::BadInit, at, "this is no leg of the parameter"));
                            }
                        }
                    }
                    let all: f64 = legs.iter().map(|&i| self.program.indices[i].size.value as f64).product();
                    let std = if callee.name == "he" {
                        (2.0 / fan_in).sqrt()
                    } else {
                        (2.0 / (fan_in + all / fan_in)).sqrt()
                    };
                    Ok((Some(Init::Normal { mean: 0.0, std }), None))
                }
                _ => Err(self.error(Code::BadInit, e.span, "unknown initialisation, or wrong arguments")),
            },
            _ => Err(self.error(Code::BadInit, e.span, "expected an initialisation")),
        }
    }

    /// A standard deviation.
    fn deviation(&mut self, e: &Expr) -> Res<f64> {
        let std = self.number(e)?;
        if std < 0.0 {
            let d = Diagnostic::error(Code::BadInit, e.span, format!("a standard deviation of {std}"));
            return Err(self.report(d.with_help("standard deviations are 0 or more")));
        }
        Ok(std)
    }

    fn number(&mut self, e: &Expr) -> Res<f64> {
        let v = self.eval(e)?;
        match v.as_f64() {
            Some(x) if x.is_finite() => Ok(x),
            _ => {
                Err(self.error(Code::TypeMismatch, e.span, format!("expected a number, found {}", v.show())))
            }
        }
    }

    fn const_value_of(&mut self, d: &LeafDecl, legs: &Legs, indices: &[IndexId]) -> Res<ConstValue> {
        let Some(value) = &d.value else { return Err(Failed) };
        let sizes: Vec<u64> = indices.iter().map(|&i| self.program.indices[i].size.value).collect();
        if let ExprKind::Name(n) = &value.kind {
            match n.name.as_str() {
                "zeros" => return Ok(ConstValue::Zeros),
                "ones" => return Ok(ConstValue::Ones),
                "delta" => {
                    if sizes.windows(2).any(|w| w[0] != w[1]) {
                        return Err(self.error(
                            Code::SizeMismatch,
                            value.span,
                            "the legs of `delta` have different sizes",
                        ));
                    }
                    return Ok(ConstValue::Delta);
                }
                "identity" => {
                    let half = sizes.len() / 2;
                    if !sizes.len().is_multiple_of(2) || sizes[..half] != sizes[half..] {
                        let message = "`identity` needs as many legs in its first half as in its second, of the same sizes";
                        return Err(self.error(Code::SizeMismatch, value.span, message));
                    }
                    return Ok(ConstValue::Identity);
                }
                _ => {}
            }
        }
        if let ExprKind::Call { callee, args, .. } = &value.kind {
            match callee.name.as_str() {
                "window" => return self.window(args, sizes.len(), value.span),
                "npy" => {
                    let file = self.file_call(value, "npy")?;
                    return self.file_data(&file, None, &outer_shape(&sizes, &legs.axes), value.span);
                }
                _ => {}
            }
        }
        let v = self.eval(value)?;
        let outer = outer_shape(&sizes, &legs.axes);
        let mut entries = vec![];
        let room = MAX_ITEMS.saturating_sub(self.items);
        let filled = fill(&v, &outer, &mut entries, room as usize);
        self.spend(entries.len() as u64, value.span)?;
        if !filled {
            let shape = outer.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ");
            let d = Diagnostic::error(
                Code::BadConst,
                value.span,
                format!("the value has not the shape {shape} of the legs"),
            );
            return Err(self.report(d.with_help("write nested lists, outermost axis first")));
        }
        Ok(ConstValue::Dense(entries))
    }

    fn window(&mut self, args: &[Arg], legs: usize, span: Span) -> Res<ConstValue> {
        if legs != 3 {
            return Err(self.error(
                Code::WrongLegs,
                span,
                format!("a window has three legs (p, u, x), not {legs}"),
            ));
        }
        let mut values = [1, 0, 1];
        for (k, a) in args.iter().enumerate() {
            let names = ["stride", "pad", "dilation"];
            let place = match &a.name {
                None => Some(k).filter(|k| *k < 3),
                Some(n) => names.iter().position(|x| *x == n.name),
            };
            let Some(p) = place else {
                let d = Diagnostic::error(Code::BadCall, a.value.span, "unknown argument of `window`");
                return Err(self.report(d.with_help("`window(stride = 1, pad = 0, dilation = 1)`")));
            };
            values[p] = self.int(&a.value)?;
        }
        if values[0] < 1 || values[2] < 1 {
            return Err(self.error(Code::BadConst, span, "stride and dilation are 1 or more"));
        }
        Ok(ConstValue::Window { stride: values[0], pad: values[1], dilation: values[2] })
    }

    /// The file of `npy("f.npy")` or `npz("f.npz")`.
    pub fn file_call(&mut self, e: &Expr, what: &str) -> Res<Rc<str>> {
        if let ExprKind::Call { callee, args, .. } = &e.kind
            && callee.name == what
            && let [a] = args.as_slice()
            && let Value::Str(s) = self.eval(&a.value)?
        {
            return Ok(s);
        }
        let d = Diagnostic::error(Code::BadConst, e.span, format!("expected `{what}(\"file.{what}\")`"));
        Err(self.report(d.with_help("the path is relative to the main file")))
    }

    fn file_data(&mut self, file: &str, name: Option<&str>, shape: &[u64], span: Span) -> Res<ConstValue> {
        let path: PathBuf = self.loaded.folder.join(file);
        let Some(read) = self.options.read_data else {
            return Err(self.error(Code::BadConst, span, "this use of the compiler cannot read data files"));
        };
        let (found, data) = match read(&path, name) {
            Ok(d) => d,
            Err(why) => return Err(self.error(Code::BadConst, span, format!("`{file}`: {why}"))),
        };
        if !self.data_files.contains(&path) {
            self.data_files.push(path);
        }
        if found != shape {
            let what = name.map_or(String::new(), |n| format!(" `{n}`"));
            let message = format!("`{file}`:{what} has shape {found:?}, but the legs need {shape:?}");
            return Err(self.error(Code::SizeMismatch, span, message));
        }
        if !self.program.dtype.is_complex() && data.iter().any(|c| c.im != 0.0) {
            return Err(self.error(
                Code::ComplexInReal,
                span,
                format!("`{file}` has complex entries, but the network is real"),
            ));
        }
        Ok(ConstValue::Dense(data))
    }

    /// The scalars of a map applied to a tensor: declared here, or given after `;`.
    pub fn map_params(&mut self, map: &MapRef, scalars: Option<&[Arg]>, span: Span) -> Res<Vec<NodeId>> {
        let def = self.program.maps[map.id].clone();
        let Some(given) = scalars else {
            let subs = self.scope().binders.clone();
            let mut nodes = vec![];
            for p in &def.params {
                let local = format!("{}{}", p.name, subscripts(&subs));
                let full = format!("{}{local}", self.frame().path);
                if self.leaf_names.contains(&full) {
                    let d = Diagnostic::error(
                        Code::DuplicateName,
                        span,
                        format!("map `{}` declares `{full}` a second time", def.name),
                    );
                    let help = format!(
                        "give its scalars names of their own: `{}(…; {}2[])`, or a number",
                        def.name, p.name
                    );
                    return Err(self.report(d.with_help(help)));
                }
                let indices = p.len.map(|n| self.vector_index(&p.name, n)).into_iter().collect();
                nodes.push(self.scalar_leaf(local, indices, p.init.clone(), span)?);
            }
            return Ok(nodes);
        };
        if given.len() != def.params.len() {
            let message = format!(
                "map `{}` takes {} after `;`, {}",
                def.name,
                counted(def.params.len(), "scalar"),
                but_given(given.len())
            );
            let d = Diagnostic::error(Code::BadCall, span, message);
            return Err(self.report(d.with_help(scalars_help(&def))));
        }
        let mut nodes = vec![];
        for (a, p) in given.iter().zip(&def.params) {
            if !self.is_tensor(&a.value) {
                let v = self.eval(&a.value)?;
                let mut entries = vec![];
                let shape: Vec<u64> = p.len.map(u64::from).into_iter().collect();
                if !fill(&v, &shape, &mut entries, MAX_LIST) {
                    let want = p.len.map_or("a number".to_string(), |n| format!("a list of {n} numbers"));
                    return Err(self.error(
                        Code::TypeMismatch,
                        a.value.span,
                        format!("expected {want} for `{}`", p.name),
                    ));
                }
                nodes.push(match p.len {
                    None => self.node(
                        Node::Contract { scale: entries[0], operands: vec![] },
                        vec![],
                        &p.name,
                        a.value.span,
                    ),
                    Some(n) => self.fixed_vector(&p.name, n, entries, a.value.span)?,
                });
                continue;
            }
            let te = self.tensor(&a.value)?;
            let super::tensor::Te::Use { node, indices, conj: false, .. } = te else {
                let d = Diagnostic::error(
                    Code::BadCall,
                    a.value.span,
                    "a map's scalar is a tensor, a number or a list",
                );
                return Err(self.report(d.with_help("give the expression its own `let`")));
            };
            let shape: Vec<u64> = indices.iter().map(|&i| self.program.indices[i].size.value).collect();
            let want: Vec<u64> = p.len.map(u64::from).into_iter().collect();
            if shape != want {
                let what = p.len.map_or("a tensor without legs".to_string(), |n| {
                    format!("a tensor with one leg of size {n}")
                });
                return Err(self.error(Code::WrongLegs, a.value.span, format!("`{}` is {what}", p.name)));
            }
            nodes.push(node);
        }
        Ok(nodes)
    }

    fn vector_index(&mut self, name: &str, n: u32) -> IndexId {
        let size = tn_ir::size::Size::fixed(n as u64);
        self.program.indices.push(IndexDef { name: name.to_string(), size })
    }

    fn fixed_vector(&mut self, name: &str, n: u32, entries: Vec<Complex64>, span: Span) -> Res<NodeId> {
        let leg = self.vector_index(name, n);
        let name = format!("{name}.fixed[{}]", self.program.leaves.len());
        self.add_leaf(NewLeaf {
            name,
            role: Role::Const(ConstValue::Dense(entries)),
            indices: vec![leg],
            axes: vec![FoldAxis { label: "entry".into(), legs: 1 }],
            init: None,
            pending: None,
            structure: None,
            span,
        })
    }

    fn scalar_leaf(
        &mut self,
        name: String,
        indices: Vec<IndexId>,
        init: Vec<f64>,
        span: Span,
    ) -> Res<NodeId> {
        let axes = indices.iter().map(|_| FoldAxis { label: "entry".into(), legs: 1 }).collect();
        let init = Some(Init::Values(init));
        self.add_leaf(NewLeaf {
            name,
            role: Role::Param,
            indices,
            axes,
            init,
            pending: None,
            structure: None,
            span,
        })
    }

    fn add_leaf(&mut self, new: NewLeaf) -> Res<NodeId> {
        self.spend(1, new.span)?;
        let name = format!("{}{}", self.frame().path, new.name);
        if !self.leaf_names.insert(name.clone()) {
            return Err(self.error(
                Code::DuplicateName,
                new.span,
                format!("two tensors have the full name `{name}`"),
            ));
        }
        self.storable_legs(&new.indices, &format!("`{name}`"), new.span)?;
        let mut role = new.role;
        if role == Role::Param {
            role = match self.frame().mode.clone() {
                LeafMode::Param => Role::Param,
                LeafMode::Input => Role::Input,
                LeafMode::Const { file, prefix, span } => {
                    let sizes: Vec<u64> =
                        new.indices.iter().map(|&i| self.program.indices[i].size.value).collect();
                    let inner = name.get(prefix..).unwrap_or(&name).to_string();
                    Role::Const(self.file_data(&file, Some(&inner), &outer_shape(&sizes, &new.axes), span)?)
                }
            };
        }
        let param = role == Role::Param;
        let leaf = self.program.leaves.push(Leaf {
            name: name.clone(),
            role,
            legs: new.indices.clone(),
            axes: new.axes,
            init: if param { new.init } else { None },
            structure: new.structure,
            span: new.span,
        });
        if param && let Some(p) = new.pending {
            self.pending_init.insert(leaf, p);
        }
        // a node's legs are pairwise different indices
        let mut seen = HashSet::new();
        let legs = new.indices.iter().map(|&i| {
            if seen.insert(i) { i } else { self.program.indices.push(self.program.indices[i].clone()) }
        });
        let legs = legs.collect();
        Ok(self.node(Node::Leaf(leaf), legs, &name, new.span))
    }

    /// Fixes `he` and `xavier` of parameters that a contraction uses first: fan-in are the legs that it sums.
    pub fn settle_init(&mut self, operands: &[Operand], legs: &[IndexId]) {
        if self.pending_init.is_empty() {
            return;
        }
        for o in operands {
            let Node::Leaf(leaf) = self.program.nodes[o.node].node else { continue };
            let Some(pending) = self.pending_init.remove(&leaf) else { continue };
            let (mut fan_in, mut fan_out) = (1.0, 1.0);
            for i in &o.indices {
                let n = self.program.indices[*i].size.value as f64;
                if legs.contains(i) {
                    fan_out *= n;
                } else {
                    fan_in *= n;
                }
            }
            self.program.leaves[leaf].init = Some(normal_of(pending, fan_in, fan_out));
        }
    }

    /// Parameters that no contraction uses have no summed legs.
    pub fn resolve_pending(&mut self) {
        let mut left: Vec<_> = std::mem::take(&mut self.pending_init).into_iter().collect();
        left.sort_by_key(|(l, _)| *l);
        for (leaf, pending) in left {
            let legs = self.program.leaves[leaf].legs.clone();
            let all = legs.iter().map(|&i| self.program.indices[i].size.value as f64).product();
            self.program.leaves[leaf].init = Some(normal_of(pending, 1.0, all));
        }
    }

    /// One outside axis a leg.
    pub fn plain_axes(&self, node: NodeId) -> Vec<FoldAxis> {
        let legs = &self.program.nodes[node].legs;
        legs.iter().map(|&i| FoldAxis { label: self.program.indices[i].name.clone(), legs: 1 }).collect()
    }
}

/// How a map is applied with its scalars.
pub fn scalars_help(def: &MapDef) -> String {
    let names: Vec<&str> = def.params.iter().map(|p| p.name.as_str()).collect();
    if names.is_empty() {
        format!("write `{}(A[i, j])`", def.name)
    } else {
        format!("write `{}(…; {})`", def.name, names.join(", "))
    }
}

struct NewLeaf {
    name: String,
    role: Role,
    indices: Vec<IndexId>,
    axes: Vec<FoldAxis>,
    init: Option<Init>,
    pending: Option<PendingInit>,
    structure: Option<Structure>,
    span: Span,
}

fn normal_of(pending: PendingInit, fan_in: f64, fan_out: f64) -> Init {
    let std = match pending {
        PendingInit::He => (2.0 / fan_in).sqrt(),
        PendingInit::Xavier => (2.0 / (fan_in + fan_out)).sqrt(),
    };
    Init::Normal { mean: 0.0, std }
}

/// The outside shape of legs under folds.
fn outer_shape(sizes: &[u64], axes: &[FoldAxis]) -> Vec<u64> {
    let mut rest = sizes.iter();
    axes.iter().map(|a| rest.by_ref().take(a.legs as usize).fold(1u64, |p, &n| p.saturating_mul(n))).collect()
}

/// Appends nested lists row-major; whether the shape is right. It ends once there are more than `most` entries: lists may share their parts, and so
/// stand for far more entries than were ever made.
fn fill(v: &Value, shape: &[u64], into: &mut Vec<Complex64>, most: usize) -> bool {
    match (v, shape.split_first()) {
        (Value::List(l), Some((&n, rest))) => {
            l.len() as u64 == n && l.iter().all(|x| fill(x, rest, into, most))
        }
        (v, None) => v.as_complex().is_some_and(|c| {
            into.push(c);
            into.len() <= most
        }),
        _ => false,
    }
}
