//! Initial values: the expressions after `init(`, and those that wait for the first use of a parameter.

use super::legs::LegRef;
use super::{Elab, Res};
use crate::ast::*;
use crate::diag::{Code, Diagnostic, did_you_mean};
use tn_ir::program::*;

/// An initialisation that waits for the first use of its leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PendingInit {
    /// std = √(2 / fan-in)
    He,
    /// std = √(2 / (fan-in + fan-out))
    Xavier,
}
impl Elab<'_> {
    pub fn init_expr(&mut self, e: &Expr, legs: &[IndexId]) -> Res<(Option<Init>, Option<PendingInit>)> {
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
    pub fn deviation(&mut self, e: &Expr) -> Res<f64> {
        let std = self.number(e)?;
        if std < 0.0 {
            let d = Diagnostic::error(Code::BadInit, e.span, format!("a standard deviation of {std}"));
            return Err(self.report(d.with_help("standard deviations are 0 or more")));
        }
        Ok(std)
    }

    pub fn number(&mut self, e: &Expr) -> Res<f64> {
        let v = self.eval(e)?;
        match v.as_f64() {
            Some(x) if x.is_finite() => Ok(x),
            _ => {
                Err(self.error(Code::TypeMismatch, e.span, format!("expected a number, found {}", v.show())))
            }
        }
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
}

fn normal_of(pending: PendingInit, fan_in: f64, fan_out: f64) -> Init {
    let std = match pending {
        PendingInit::He => (2.0 / fan_in).sqrt(),
        PendingInit::Xavier => (2.0 / (fan_in + fan_out)).sqrt(),
    };
    Init::Normal { mean: 0.0, std }
}
