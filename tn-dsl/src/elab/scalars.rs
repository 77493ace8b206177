//! The scalars of maps: declared at their first application, or given after `;`.

use super::body::subscripts;
use super::leaf::{NewLeaf, fill};
use super::value::{MAX_LIST, MapRef};
use super::{Elab, Res};
use crate::ast::*;
use crate::diag::{Code, Diagnostic, but_given, counted};
use tn_ir::Complex64;
use tn_ir::program::*;
use tn_ir::span::Span;

impl Elab<'_> {
    /// The scalars of a map applied to a tensor: declared here, or given after `;`.
    pub fn map_params(&mut self, map: &MapRef, scalars: Option<&[Arg]>, span: Span) -> Res<Vec<NodeId>> {
        let def = self.program.maps[map.id].clone();
        let Some(given) = scalars else {
            let subs = self.scope().binders.clone();
            let mut nodes = vec![];
            for p in &def.params {
                let local = format!("{}{}", p.name, subscripts(&subs));
                let full = format!("{}{local}", self.frame().path);
                if self.leaf_names.contains_key(&full) {
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

    pub fn vector_index(&mut self, name: &str, n: u32) -> IndexId {
        let size = tn_ir::size::Size::fixed(n as u64);
        self.program.indices.push(IndexDef { name: name.to_string(), size })
    }

    pub fn fixed_vector(&mut self, name: &str, n: u32, entries: Vec<Complex64>, span: Span) -> Res<NodeId> {
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

    pub fn scalar_leaf(
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
