//! Elementwise maps: the built-in ones, and the bodies of the user's.

use super::scope::Scope;
use super::value::{MapRef, Value};
use super::{Elab, Frame, Res};
use crate::ast::*;
use crate::diag::{Code, Diagnostic, but_given, counted, did_you_mean};
use crate::load::{Global, GlobalRef};
use std::collections::HashMap;
use tn_ir::program::{MapDef, MapParam};
use tn_ir::scalar::{Cmp, Ref, ScalarBuilder, ScalarFn, ScalarOp};
use tn_ir::span::Span;

/// The built-in maps.
pub const NAMES: [&str; 19] = [
    "elu", "relu", "gelu", "silu", "tanh", "sigmoid", "softplus", "sin", "cos", "exp", "log", "sqrt", "abs",
    "square", "recip", "identity", "prelu", "siren", "rational",
];

/// Maps that take complex arguments.
pub const COMPLEX: [&str; 6] = ["identity", "square", "recip", "exp", "sin", "cos"];

/// The most operations of a map's body.
const MAX_OPERATIONS: usize = 10_000;

/// The module number under which built-in maps are kept.
const BUILTIN: usize = usize::MAX;

fn unary(build: impl Fn(&mut ScalarBuilder, Ref) -> Ref) -> ScalarFn {
    let mut b = ScalarBuilder::new();
    let x = b.push(ScalarOp::Arg(0));
    let r = build(&mut b, x);
    b.finish(1, r)
}

/// 1/(1 + e^(−x)) without overflow on either side.
fn sigmoid(b: &mut ScalarBuilder, x: Ref) -> Ref {
    let (half, one) = (b.real(0.5), b.real(1.0));
    let h = b.push(ScalarOp::Mul(half, x));
    let t = b.push(ScalarOp::Tanh(h));
    let s = b.push(ScalarOp::Add(one, t));
    b.push(ScalarOp::Mul(half, s))
}

fn builtin(name: &str) -> Option<MapDef> {
    use ScalarOp::*;
    let no_params = |body| Some(MapDef { name: name.into(), params: vec![], body });
    match name {
        "identity" => no_params(ScalarFn::identity()),
        "sin" => no_params(unary(|b, x| b.push(Sin(x)))),
        "cos" => no_params(unary(|b, x| b.push(Cos(x)))),
        "exp" => no_params(unary(|b, x| b.push(Exp(x)))),
        "log" => no_params(unary(|b, x| b.push(Log(x)))),
        "sqrt" => no_params(unary(|b, x| b.push(Sqrt(x)))),
        "abs" => no_params(unary(|b, x| b.push(Abs(x)))),
        "tanh" => no_params(unary(|b, x| b.push(Tanh(x)))),
        "square" => no_params(unary(|b, x| b.push(Mul(x, x)))),
        "recip" => no_params(unary(|b, x| {
            let one = b.real(1.0);
            b.push(Div(one, x))
        })),
        "relu" => no_params(unary(|b, x| {
            let zero = b.real(0.0);
            b.push(Select { cmp: Cmp::Gt, lhs: x, rhs: zero, yes: x, no: zero })
        })),
        "elu" => no_params(unary(|b, x| {
            let (zero, one) = (b.real(0.0), b.real(1.0));
            // min keeps the exponential finite on the side that is not taken
            let low = b.push(Min(x, zero));
            let e = b.push(Exp(low));
            let m = b.push(Sub(e, one));
            b.push(Select { cmp: Cmp::Gt, lhs: x, rhs: zero, yes: x, no: m })
        })),
        "sigmoid" => no_params(unary(sigmoid)),
        "silu" => no_params(unary(|b, x| {
            let s = sigmoid(b, x);
            b.push(Mul(x, s))
        })),
        "softplus" => no_params(unary(|b, x| {
            // max(x, 0) + log(1 + e^(−|x|)), smooth at 0 as written: log(e^x + 1) with the larger exponent taken out
            let (zero, one) = (b.real(0.0), b.real(1.0));
            let n = b.push(Neg(x));
            let (en, ep) = {
                let low_n = b.push(Min(n, zero));
                let low_p = b.push(Min(x, zero));
                (b.push(Exp(low_n)), b.push(Exp(low_p)))
            };
            let (sn, sp) = (b.push(Add(one, en)), b.push(Add(one, ep)));
            let (ln, lp) = (b.push(Log(sn)), b.push(Log(sp)));
            let high = b.push(Add(x, ln));
            b.push(Select { cmp: Cmp::Gt, lhs: x, rhs: zero, yes: high, no: lp })
        })),
        "gelu" => no_params(unary(|b, x| {
            let (half, one, r) = (b.real(0.5), b.real(1.0), b.real(std::f64::consts::FRAC_1_SQRT_2));
            let z = b.push(Mul(r, x));
            let e = b.push(Erf(z));
            let s = b.push(Add(one, e));
            let h = b.push(Mul(half, x));
            b.push(Mul(h, s))
        })),
        "prelu" => {
            let mut b = ScalarBuilder::new();
            let (x, slope, zero) = (b.push(Arg(0)), b.push(Arg(1)), b.real(0.0));
            let low = b.push(Mul(slope, x));
            let r = b.push(Select { cmp: Cmp::Gt, lhs: x, rhs: zero, yes: x, no: low });
            let params = vec![MapParam { name: "slope".into(), len: None, init: vec![0.25] }];
            Some(MapDef { name: name.into(), params, body: b.finish(2, r) })
        }
        "siren" => {
            let mut b = ScalarBuilder::new();
            let (x, w0) = (b.push(Arg(0)), b.push(Arg(1)));
            let p = b.push(Mul(w0, x));
            let r = b.push(Sin(p));
            let params = vec![MapParam { name: "w0".into(), len: None, init: vec![30.0] }];
            Some(MapDef { name: name.into(), params, body: b.finish(2, r) })
        }
        "rational" => {
            let mut b = ScalarBuilder::new();
            let x = b.push(Arg(0));
            let c: Vec<Ref> = (1..8).map(|k| b.push(Arg(k))).collect();
            let horner = |b: &mut ScalarBuilder, c: &[Ref]| {
                c.iter().rev().copied().reduce(|acc, k| {
                    let t = b.push(Mul(acc, x));
                    b.push(Add(t, k))
                })
            };
            let (num, den) = (horner(&mut b, &c[..4])?, horner(&mut b, &c[4..])?);
            let r = b.push(Div(num, den));
            let params = vec![
                MapParam { name: "num".into(), len: Some(4), init: vec![0.0, 1.0, 0.0, 0.0] },
                MapParam { name: "den".into(), len: Some(3), init: vec![1.0, 0.0, 0.0] },
            ];
            Some(MapDef { name: name.into(), params, body: b.finish(8, r) })
        }
        _ => None,
    }
}

impl Elab<'_> {
    /// The built-in map of that name.
    pub fn builtin_map(&mut self, name: &str) -> Option<MapRef> {
        let key = (BUILTIN, name.to_string());
        if let Some(&id) = self.compiled.get(&key) {
            return Some(MapRef { id });
        }
        let def = builtin(name)?;
        let id = self.program.maps.push(def);
        self.compiled.insert(key, id);
        Some(MapRef { id })
    }

    /// A map of the source, compiled once.
    pub fn user_map(&mut self, name: &str, g: &GlobalRef) -> Res<MapRef> {
        let Global::Map(item) = &g.global else { return Err(super::Failed) };
        let key = (g.module, item.name.name.clone());
        if let Some(&id) = self.compiled.get(&key) {
            return Ok(MapRef { id });
        }
        self.enter(g.span)?;
        let mut scope = Scope::default();
        scope.push();
        self.frames.push(Frame::values(g.module, scope));
        let def = self.map_def(item);
        self.frames.pop();
        self.depth -= 1;
        let def = def?;
        let id = self.program.maps.push(MapDef { name: name.to_string(), ..def });
        self.compiled.insert(key, id);
        Ok(MapRef { id })
    }

    fn map_def(&mut self, item: &MapItem) -> Res<MapDef> {
        let mut params = vec![];
        let mut vars: HashMap<String, Vec<u32>> = HashMap::from([(item.arg.name.clone(), vec![0])]);
        let mut next = 1;
        for s in &item.scalars {
            let len = match &s.len {
                None => None,
                Some(e) => match self.int(e)? {
                    n @ 1..=1024 => Some(n as u32),
                    n => return Err(self.error(Code::BadRange, e.span, format!("a vector of {n} scalars"))),
                },
            };
            let n = len.unwrap_or(1) as usize;
            let init = match &s.init {
                None => vec![1.0; n],
                Some(e) => {
                    let v = self.eval(e)?;
                    let numbers: Option<Vec<f64>> = match &v {
                        Value::List(l) => l.iter().map(Value::as_f64).collect(),
                        v => v.as_f64().map(|x| vec![x; n]),
                    };
                    match numbers {
                        Some(x) if x.len() == n => x,
                        _ => {
                            return Err(self.error(
                                Code::TypeMismatch,
                                e.span,
                                format!("expected {n} initial values"),
                            ));
                        }
                    }
                }
            };
            if vars.insert(s.name.name.clone(), (next..next + n as u32).collect()).is_some() {
                return Err(self.error(
                    Code::DuplicateName,
                    s.name.span,
                    format!("`{}` is declared twice", s.name.name),
                ));
            }
            next += n as u32;
            params.push(MapParam { name: s.name.name.clone(), len, init });
        }
        let mut builder = ScalarBuilder::new();
        let mut body = MapBody { vars, builder: &mut builder };
        let r = body.expr(self, &item.body)?;
        Ok(MapDef { name: item.name.name.clone(), params, body: builder.finish(next, r) })
    }
}

struct MapBody<'b> {
    vars: HashMap<String, Vec<u32>>,
    builder: &'b mut ScalarBuilder,
}

impl MapBody<'_> {
    fn expr(&mut self, e: &mut Elab, x: &Expr) -> Res<Ref> {
        use ScalarOp::*;
        Ok(match &x.kind {
            ExprKind::Int(v) => self.builder.real(*v as f64),
            ExprKind::Float(v) => self.builder.real(*v),
            ExprKind::Imag(_) => {
                let v = e.eval(x)?.as_complex().unwrap_or_default();
                self.builder.complex(v)
            }
            ExprKind::Paren(inner) => self.expr(e, inner)?,
            ExprKind::Name(name) => match self.vars.get(&name.name) {
                Some(places) if places.len() == 1 => self.builder.push(Arg(places[0])),
                Some(_) => {
                    let d = Diagnostic::error(
                        Code::TypeMismatch,
                        name.span,
                        format!("`{}` is a vector", name.name),
                    );
                    return Err(e.report(d.with_help(format!("write `{}[0]`", name.name))));
                }
                None => {
                    if e.global(&name.name).is_none() && name.name != "pi" {
                        let d = Diagnostic::error(
                            Code::UnknownName,
                            name.span,
                            format!("unknown name `{}`", name.name),
                        );
                        let near = did_you_mean(&name.name, self.vars.keys().map(String::as_str));
                        return Err(e.report(match near {
                            Some(n) => d.with_help(format!("did you mean `{n}`?")),
                            None => d.with_help("a map's body sees its argument, its scalars and constants"),
                        }));
                    }
                    let v = e.eval(x)?;
                    self.number(e, &v, x.span)?
                }
            },
            ExprKind::Index { base, brackets } => {
                if let (ExprKind::Name(n), [b]) = (&base.kind, brackets.as_slice())
                    && let Some(places) = self.vars.get(&n.name).cloned()
                    && let [LegItem { kind: LegKind::Expr(k), .. }] = b.items.as_slice()
                {
                    let k = e.int(k)?;
                    let Some(&p) = usize::try_from(k).ok().and_then(|k| places.get(k)) else {
                        let message = format!("entry {k} of `{}`, which has {}", n.name, places.len());
                        return Err(e.error(Code::BadSubscript, b.span, message));
                    };
                    return Ok(self.builder.push(Arg(p)));
                }
                let v = e.eval(x)?;
                self.number(e, &v, x.span)?
            }
            ExprKind::Unary { op: UnaryOp::Neg, arg } => {
                let a = self.expr(e, arg)?;
                self.builder.push(Neg(a))
            }
            ExprKind::Binary { op, lhs, rhs } => {
                let (a, b) = (self.expr(e, lhs)?, self.expr(e, rhs)?);
                let op = match op {
                    BinaryOp::Add => Add(a, b),
                    BinaryOp::Sub => Sub(a, b),
                    BinaryOp::Mul => Mul(a, b),
                    BinaryOp::Div => Div(a, b),
                    BinaryOp::Pow => Pow(a, b),
                    _ => {
                        let d = Diagnostic::error(Code::TypeMismatch, x.span, "a map's body is a number");
                        return Err(e.report(d.with_help("comparisons stand in `if x > 0 { … } else { … }`")));
                    }
                };
                self.builder.push(op)
            }
            ExprKind::If { cond, then, otherwise } => {
                let mut c = &**cond;
                while let ExprKind::Paren(inner) = &c.kind {
                    c = inner;
                }
                let ExprKind::Binary { op, lhs, rhs } = &c.kind else {
                    return Err(e.error(
                        Code::TypeMismatch,
                        cond.span,
                        "expected a comparison, as in `x > 0`",
                    ));
                };
                let cmp = match op {
                    BinaryOp::Lt => Cmp::Lt,
                    BinaryOp::Le => Cmp::Le,
                    BinaryOp::Gt => Cmp::Gt,
                    BinaryOp::Ge => Cmp::Ge,
                    BinaryOp::Eq => Cmp::Eq,
                    BinaryOp::Ne => Cmp::Ne,
                    _ => {
                        return Err(e.error(
                            Code::TypeMismatch,
                            cond.span,
                            "expected a comparison, as in `x > 0`",
                        ));
                    }
                };
                let (lhs, rhs) = (self.expr(e, lhs)?, self.expr(e, rhs)?);
                let (yes, no) = (self.expr(e, then)?, self.expr(e, otherwise)?);
                self.builder.push(Select { cmp, lhs, rhs, yes, no })
            }
            ExprKind::Call { callee, args, scalars } => {
                self.call(e, callee, args, scalars.as_deref(), x.span)?
            }
            _ => return Err(e.error(Code::WrongPlace, x.span, "this cannot stand in a map's body")),
        })
    }

    fn number(&mut self, e: &mut Elab, v: &Value, span: Span) -> Res<Ref> {
        match v.as_complex() {
            Some(c) => Ok(self.builder.complex(c)),
            None => {
                Err(e.error(Code::TypeMismatch, span, format!("expected a number, found {}", v.type_name())))
            }
        }
    }

    fn call(
        &mut self,
        e: &mut Elab,
        callee: &Ident,
        args: &[Arg],
        scalars: Option<&[Arg]>,
        span: Span,
    ) -> Res<Ref> {
        let values: Res<Vec<Ref>> = args.iter().map(|a| self.expr(e, &a.value)).collect();
        let values = values?;
        if matches!(callee.name.as_str(), "min" | "max")
            && e.global(&callee.name).is_none()
            && values.len() >= 2
        {
            let op = |a, b| if callee.name == "min" { ScalarOp::Min(a, b) } else { ScalarOp::Max(a, b) };
            return Ok(values[1..].iter().fold(values[0], |acc, &v| self.builder.push(op(acc, v))));
        }
        let map = match e.global(&callee.name) {
            Some(g) if matches!(g.global, Global::Map(_)) => e.user_map(&callee.name, &g)?,
            Some(_) => {
                return Err(e.error(Code::BadCall, callee.span, format!("`{}` is no map", callee.name)));
            }
            None => match e.builtin_map(&callee.name) {
                Some(m) => m,
                None => return Err(e.unknown_as(callee, |n| format!("define it: `map {n}(x) = …`"))),
            },
        };
        let ops = e.program.maps[map.id].body.ops.len();
        if self.builder.len() + ops > MAX_OPERATIONS {
            let message = format!("a map of more than {MAX_OPERATIONS} operations");
            let d = Diagnostic::error(Code::TooManyItems, span, message);
            return Err(e.report(d.with_help("maps that apply maps twice grow with every level; apply them one after the other, each in a definition of its own")));
        }
        e.spend(ops as u64, span)?;
        let def = e.program.maps[map.id].clone();
        let [x] = values.as_slice() else {
            return Err(e.error(Code::BadCall, span, format!("map `{}` takes one argument", def.name)));
        };
        let mut all = vec![*x];
        let scalars = scalars.unwrap_or(&[]);
        if scalars.len() != def.params.len() {
            let message = format!(
                "map `{}` takes {} after `;`, {}",
                def.name,
                counted(def.params.len(), "scalar"),
                but_given(scalars.len())
            );
            let d = Diagnostic::error(Code::BadCall, span, message);
            return Err(e.report(d.with_help(super::scalars::scalars_help(&def))));
        }
        for (a, p) in scalars.iter().zip(&def.params) {
            match p.len {
                None => all.push(self.expr(e, &a.value)?),
                Some(n) => {
                    let own = match &a.value.kind {
                        ExprKind::Name(name) => self.vars.get(&name.name).cloned(),
                        _ => None,
                    };
                    if let Some(places) = own.filter(|v| v.len() == n as usize) {
                        all.extend(places.iter().map(|&p| self.builder.push(ScalarOp::Arg(p))));
                        continue;
                    }
                    let ExprKind::List(entries) = &a.value.kind else {
                        return Err(e.error(
                            Code::TypeMismatch,
                            a.value.span,
                            format!("expected a list of {n}"),
                        ));
                    };
                    if entries.len() != n as usize {
                        return Err(e.error(
                            Code::TypeMismatch,
                            a.value.span,
                            format!("expected a list of {n}"),
                        ));
                    }
                    for x in entries {
                        all.push(self.expr(e, x)?);
                    }
                }
            }
        }
        Ok(self.builder.call(&def.body, &all))
    }
}
