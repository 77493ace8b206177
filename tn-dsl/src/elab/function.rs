//! Calls of compile-time functions: arguments bound to parameters, statements run.

use super::scope::{Entity, Scope};
use super::value::Value;
use super::{Elab, Failed, Frame, Res};
use crate::ast::*;
use crate::diag::{Code, Diagnostic, but_given, counted, did_you_mean};
use crate::load::Global;
use std::sync::Arc;
use tn_ir::span::Span;

/// A call counts as so many items of work.
const CALL_ITEMS: u64 = 4;

/// How a function's statements ended.
enum Flow {
    Next,
    Return(Value),
}
impl Elab<'_> {
    pub fn call_value(&mut self, callee: &Ident, args: &[Arg], span: Span) -> Res<Value> {
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
    pub fn map_of_number(&mut self, m: &super::value::MapRef, args: &[Arg], span: Span) -> Res<Value> {
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
        self.spend(def.body.ops.len() as u64, span)?;
        let y = def.body.eval(&[x]);
        Ok(if y.im == 0.0 { Value::Float(y.re) } else { Value::Complex(y) })
    }

    pub fn call_fn(&mut self, f: &Arc<Callable>, module: usize, args: &[Arg], span: Span) -> Res<Value> {
        let values = self.arguments(&f.name.name, &f.params, args, module, span)?;
        self.enter(span)?;
        self.spend(CALL_ITEMS, span)?;
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
}
