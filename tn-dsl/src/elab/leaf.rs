//! Parameters, inputs and constants; the scalars of maps; initial values.

use super::body::subscripts;
use super::init::PendingInit;
use super::legs::{LegRef, Legs};
use super::scope::{Entity, Family};
use super::value::Value;
use super::{BodyKind, Elab, Failed, LeafMode, MAX_ITEMS, Res};
use crate::ast::*;
use crate::diag::{Code, Diagnostic};
use std::collections::HashSet;
use std::path::PathBuf;
use std::rc::Rc;
use tn_ir::Complex64;
use tn_ir::program::*;
use tn_ir::span::Span;

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
            LeafKind::Const => {
                let sizes = indices.iter().map(|&i| self.program.indices[i].size.value);
                let entries = sizes.fold(1u64, u64::saturating_mul);
                if entries > super::MAX_CONST {
                    let message = format!(
                        "a constant of {entries} entries, where at most {} are kept",
                        super::MAX_CONST
                    );
                    let d = Diagnostic::error(Code::BadConst, d.name.span, message);
                    return Err(self.report(
                        d.with_help("split it into factors with fewer legs, or make it an `input`"),
                    ));
                }
                Role::Const(self.const_value_of(d, &legs, &indices)?)
            }
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
            let d = Diagnostic::error(Code::BadStructure, span, message);
            let help = if unitary {
                "a unitary maps equal dimensions; for a larger codomain write `isometry(…)`"
            } else {
                Code::BadStructure.fix()
            };
            return Err(self.report(d.with_help(help)));
        }
        Ok(Structure { from, to, unitary })
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

    pub fn add_leaf(&mut self, new: NewLeaf) -> Res<NodeId> {
        self.spend(1, new.span)?;
        let name = format!("{}{}", self.frame().path, new.name);
        if let Some(first) = self.leaf_names.insert(name.clone(), new.span) {
            let message = format!("two tensors have the full name `{name}`");
            let d = Diagnostic::error(Code::DuplicateName, new.span, message);
            return Err(self.report(d.with_related(first, "first here").with_help("rename one of them")));
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

    /// One outside axis a leg.
    pub fn plain_axes(&self, node: NodeId) -> Vec<FoldAxis> {
        let legs = &self.program.nodes[node].legs;
        legs.iter().map(|&i| FoldAxis { label: self.program.indices[i].name.clone(), legs: 1 }).collect()
    }
}

/// A leaf about to be declared.
pub struct NewLeaf {
    pub name: String,
    pub role: Role,
    pub indices: Vec<IndexId>,
    pub axes: Vec<FoldAxis>,
    pub init: Option<Init>,
    pub pending: Option<PendingInit>,
    pub structure: Option<Structure>,
    pub span: Span,
}

/// The outside shape of legs under folds.
fn outer_shape(sizes: &[u64], axes: &[FoldAxis]) -> Vec<u64> {
    let mut rest = sizes.iter();
    axes.iter().map(|a| rest.by_ref().take(a.legs as usize).fold(1u64, |p, &n| p.saturating_mul(n))).collect()
}

/// Appends nested lists row-major; whether the shape is right. It ends once there are more than `most` entries: lists may share their parts, and so
/// stand for far more entries than were ever made.
pub fn fill(v: &Value, shape: &[u64], into: &mut Vec<Complex64>, most: usize) -> bool {
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
