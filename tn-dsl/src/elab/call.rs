//! Topologies: calls, composition and paths.

use super::scope::Entity;
use super::{BodyKind, Elab, Failed, Frame, LeafMode, Res};
use crate::ast::*;
use crate::diag::{Code, Diagnostic};
use crate::load::{Global, GlobalRef};
use std::sync::Arc;
use tn_ir::program::{IndexId, NodeId, Topology};
use tn_ir::span::Span;

impl Elab<'_> {
    /// The topology that an expression calls, if it is a call of one.
    pub fn topology_call<'e>(&self, e: &'e Expr) -> Option<(GlobalRef, Arc<Callable>, &'e [Arg])> {
        let ExprKind::Call { callee, args, scalars: None } = &e.kind else { return None };
        if self.frames.last().is_some_and(|f| f.scope.get(&callee.name).is_some()) {
            return None;
        }
        let g = self.global(&callee.name)?;
        match &g.global {
            Global::Topology(c) => {
                let c = c.clone();
                Some((g, c, args))
            }
            _ => None,
        }
    }

    /// Elaborates a topology. `component` is what it adds to the path: `g`, `g[3]`, or nothing.
    pub fn call_topology(
        &mut self,
        (g, callee, args): (GlobalRef, Arc<Callable>, &[Arg]),
        component: &str,
        mode: Option<LeafMode>,
        span: Span,
    ) -> Res<NodeId> {
        let scope = self.arguments(&callee.name.name, &callee.params, args, g.module, span)?;
        self.enter(span)?;
        let outer = self.frame();
        let path =
            if component.is_empty() { outer.path.clone() } else { format!("{}{component}.", outer.path) };
        let mode = mode.unwrap_or_else(|| outer.mode.clone());
        let binders = if component.is_empty() { outer.scope.binders.clone() } else { vec![] };
        let mut frame = Frame {
            scope,
            module: g.module,
            path,
            mode,
            kind: BodyKind::Topology,
            result: None,
            failed: false,
            body: Some(callee.clone()),
        };
        frame.scope.binders = binders;
        frame.scope.push();
        self.frames.push(frame);
        let before = self.diagnostics.len();
        self.topology_body(&callee);
        let (result, failed) = self.frames.pop().map_or((None, true), |f| (f.result, f.failed));
        self.depth -= 1;
        // what went wrong inside is shown with the call that led there
        for d in &mut self.diagnostics[before..] {
            if d.span.source != span.source && d.related.len() < 4 {
                d.related.push((span, format!("in this call of `{}`", callee.name.name)));
            }
        }
        // the same mistake in a second call is not reported again, but it is one all the same
        if failed
            || self.items > super::MAX_ITEMS
            || self.diagnostics[before..].iter().any(Diagnostic::is_error)
        {
            return Err(Failed);
        }
        match result {
            Some(node) => {
                if !component.is_empty() && self.frame().path.is_empty() {
                    let legs = self.program.nodes[node].legs.clone();
                    self.program.topologies.push(Topology { path: component.to_string(), legs });
                }
                Ok(node)
            }
            None => {
                let d = Diagnostic::error(
                    Code::NoReturn,
                    callee.name.span,
                    format!("topology `{}` returns nothing", callee.name.name),
                );
                Err(self.report(d.with_help("end it with `return [legs] …`")))
            }
        }
    }

    fn topology_body(&mut self, callee: &Callable) {
        self.statements_with_header(&callee.body, callee.legs.as_ref());
    }

    /// The legs a topology's header promises, as indices of its body; `s` is short for `s[..]`.
    pub fn header_legs(&mut self, header: &Bracket) -> Res<Vec<IndexId>> {
        let mut out = vec![];
        for item in &header.items {
            if let LegKind::Expr(Expr { kind: ExprKind::Name(n), .. }) = &item.kind {
                match self.frame().scope.get(&n.name).cloned() {
                    Some(Entity::IndexFamily(f)) => {
                        out.extend(f.values().copied());
                        continue;
                    }
                    Some(Entity::Index(i)) => {
                        out.push(i);
                        continue;
                    }
                    Some(Entity::Poison) => return Err(Failed),
                    _ => {
                        let d = Diagnostic::error(
                            Code::UnknownName,
                            n.span,
                            format!("the header names `{}`, which is no index of the body", n.name),
                        );
                        return Err(self.report(d.with_help("declare it with `index`")));
                    }
                }
            }
            let one = Bracket { items: vec![item.clone()], span: item.span };
            out.extend(self.left_legs(&one, false)?.0);
        }
        Ok(out)
    }
}
