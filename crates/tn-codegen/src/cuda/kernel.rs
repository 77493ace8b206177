//! Kernels as `__global__` functions.

use super::Names;
use crate::expr;
use crate::printer::Printer;
use std::collections::BTreeSet;
use tn_ir::scalar::ScalarOp;
use tn_kernel::Module;
use tn_kernel::ir::*;
use tn_kernel::module::KernelId;

/// The kernel's name, within the network's namespace.
pub(super) fn name(id: KernelId, k: &Kernel) -> String {
    format!("{}_{}", k.what, id.0)
}

/// A literal of a real type.
fn real(ty: &str, x: f64) -> String {
    let x = if ty == "float" { f64::from(x as f32) } else { x };
    let suffix = if ty == "float" { "f" } else { "" };
    if x.is_nan() {
        format!("({ty})NAN")
    } else if x.is_infinite() {
        format!("({ty}){}INFINITY", if x < 0.0 { "-" } else { "" })
    } else if ty == "float" {
        format!("{:?}{suffix}", x as f32)
    } else {
        format!("{x:?}{suffix}")
    }
}

/// A literal of the element type.
pub(super) fn constant(names: &Names, re: f64, im: f64) -> String {
    if names.complex {
        format!("{}{{{}, {}}}", names.elem, real(names.real, re), real(names.real, im))
    } else {
        real(names.real, re)
    }
}

/// Prints one kernel.
pub(super) fn print(p: &mut Printer, m: &Module, id: KernelId, k: &Kernel, names: &Names) {
    let (text, count) = &m.uses[id.0 as usize];
    let more = if *count > 1 { format!(", and {} more", count - 1) } else { String::new() };
    p.line(format!("// {}{more}", text.replace(['\n', '\\'], " ")));
    let mut args: Vec<String> = k.symbols.iter().map(|s| format!("tn_index {}", names.sizes[s])).collect();
    let last = k.operands.len() - 1;
    args.extend((0..last).map(|o| format!("const {} *__restrict__ x{o}", names.elem)));
    args.push(format!("{} *__restrict__ y", names.elem));
    p.open(format!("static __global__ void {}({})", name(id, k), args.join(", ")));
    let mut used = BTreeSet::new();
    used_vars(&k.body, &mut used);
    let body = Body { k, names, used };
    body.block(p, &k.body);
    p.close("");
}

fn used_vars(stmts: &[Stmt], used: &mut BTreeSet<Var>) {
    let mut stack: Vec<&Stmt> = stmts.iter().collect();
    while let Some(s) = stack.pop() {
        let index = match s {
            Stmt::View { base, .. } => base,
            Stmt::Load { from: Place::Operand(_, i) | Place::View(_, i) | Place::Array(_, i), .. }
            | Stmt::Store { to: Place::Operand(_, i) | Place::View(_, i) | Place::Array(_, i), .. } => i,
            Stmt::Loop { body, .. } | Stmt::Piece { body, .. } | Stmt::First { body } => {
                stack.extend(body);
                continue;
            }
            _ => continue,
        };
        used.extend(index.terms.iter().map(|(v, _)| *v));
    }
}

struct Body<'a> {
    k: &'a Kernel,
    names: &'a Names,
    used: BTreeSet<Var>,
}

impl Body<'_> {
    fn operand(&self, o: u32) -> String {
        if o as usize + 1 == self.k.operands.len() { "y".into() } else { format!("x{o}") }
    }
    fn place(&self, place: &Place) -> String {
        let at = |i: &Index| expr::index(i, &self.names.sizes);
        match place {
            Place::Operand(o, i) => format!("{}[{}]", self.operand(*o), at(i)),
            Place::View(v, i) => format!("v{}[{}]", v.0, at(i)),
            Place::Array(a, i) => format!("acc{}[{}]", a.0, at(i)),
        }
    }
    fn block(&self, p: &mut Printer, body: &[Stmt]) {
        for s in body {
            self.stmt(p, s);
        }
    }
    fn stmt(&self, p: &mut Printer, s: &Stmt) {
        let (sizes, elem) = (&self.names.sizes, self.names.elem);
        match s {
            Stmt::Loop { var, from, to, step, walk, body } => {
                let (v, from, to) = (expr::var(*var), expr::bound(from, sizes), expr::bound(to, sizes));
                let (from, step) = match walk {
                    Walk::Serial | Walk::Unrolled => (from, step.to_string()),
                    Walk::Grid => (
                        "(tn_index)blockIdx.x * blockDim.x + threadIdx.x".into(),
                        "(tn_index)gridDim.x * blockDim.x".into(),
                    ),
                    Walk::Blocks => ("blockIdx.x".into(), "gridDim.x".into()),
                    Walk::Threads => ("threadIdx.x".into(), "TN_BLOCK".into()),
                };
                p.open(format!("for (tn_index {v} = {from}; {v} < {to}; {v} += {step})"));
                self.block(p, body);
                p.close("");
            }
            Stmt::Decode { flat, parts } => self.decode(p, *flat, parts),
            Stmt::Piece { var, within, from, width, to, step, body } => {
                let (var, within, from) = (expr::var(*var), expr::var(*within), expr::var(*from));
                let to = expr::factor(to, sizes);
                p.open(format!(
                    "for (tn_index {within} = 0; {within} < {width} && {from} + {within} < {to}; {within} += {step})"
                ));
                p.line(format!("const tn_index {var} = {from} + {within};"));
                self.block(p, body);
                p.close("");
            }
            Stmt::View { view, of, base, .. } => {
                let (constness, whole) = match of {
                    Whole::Operand(o) if *o as usize + 1 == self.k.operands.len() => ("", "y".into()),
                    Whole::Operand(o) => ("const ", self.operand(*o)),
                    Whole::Array(a) => ("const ", format!("acc{}", a.0)),
                    Whole::ArrayMut(a) => ("", format!("acc{}", a.0)),
                };
                let from = if expr::is_zero(base) {
                    String::new()
                } else {
                    format!(" + ({})", expr::index(base, sizes))
                };
                p.line(format!("{constness}{elem} *v{} = {whole}{from};", view.0));
            }
            Stmt::Array(a) => {
                let len = self.k.arrays.get(a.0 as usize).copied().unwrap_or(0);
                p.line(format!("{elem} acc{}[{len}] = {{}};", a.0));
            }
            // a thread's arrays are in registers as they are
            Stmt::Settle(_) => {}
            Stmt::Load { dst, from } => p.line(format!("const {elem} r{} = {};", dst.0, self.place(from))),
            Stmt::Op { dst, op } => p.line(format!("const {elem} r{} = {};", dst.0, self.op(*op))),
            Stmt::Store { to, value, put } => {
                let sign = if *put == Put::Add { "+=" } else { "=" };
                p.line(format!("{} {sign} r{};", self.place(to), value.0));
            }
            Stmt::Join { array, join } => {
                let f = if *join == Join::Sum { "tn_join_sum" } else { "tn_join_max" };
                p.line(format!("acc{0}[0] = {f}(acc{0}[0]);", array.0));
            }
            Stmt::First { body } => {
                p.open("if (threadIdx.x == 0)");
                self.block(p, body);
                p.close("");
            }
        }
    }

    /// Divisions from the fastest variable outwards; 32 bits where all sizes are known and small.
    fn decode(&self, p: &mut Printer, flat: Var, parts: &[(Var, tn_ir::size::Poly)]) {
        let sizes = &self.names.sizes;
        let total = parts.iter().try_fold(1i128, |n, (_, e)| e.as_constant().map(|e| n.saturating_mul(e)));
        let (ty, flat_text) = match total {
            Some(n) if n < i128::from(u32::MAX) => ("unsigned", format!("(unsigned){}", expr::var(flat))),
            _ => ("tn_index", expr::var(flat)),
        };
        if parts.len() == 1 {
            if self.used.contains(&parts[0].0) {
                p.line(format!("const tn_index {} = {};", expr::var(parts[0].0), expr::var(flat)));
            }
            return;
        }
        let mut rest = flat_text;
        for (n, (v, extent)) in parts.iter().enumerate().rev() {
            let (v, used) = (expr::var(*v), self.used.contains(v));
            let extent = if ty == "unsigned" {
                format!("{}u", expr::atom(extent, sizes))
            } else {
                expr::atom(extent, sizes)
            };
            if n == 0 {
                if used {
                    p.line(format!("const tn_index {v} = {rest};"));
                }
                break;
            }
            if used {
                p.line(format!("const tn_index {v} = {rest} % {extent};"));
            }
            if parts[..n].iter().any(|(v, _)| self.used.contains(v)) {
                p.line(format!("const {ty} rest_{v} = {rest} / {extent};"));
            }
            rest = format!("rest_{v}");
        }
    }

    fn op(&self, op: ScalarOp) -> String {
        use ScalarOp::*;
        let r = |a: u32| format!("r{a}");
        let re = |a: u32| if self.names.complex { format!("r{a}.re") } else { format!("r{a}") };
        match op {
            Arg(_) => "{}".into(),
            Const(re, im) => constant(self.names, f64::from_bits(re), f64::from_bits(im)),
            Neg(a) => format!("-{}", r(a)),
            Add(a, b) => format!("{} + {}", r(a), r(b)),
            Sub(a, b) => format!("{} - {}", r(a), r(b)),
            Mul(a, b) => format!("{} * {}", r(a), r(b)),
            Div(a, b) => format!("{} / {}", r(a), r(b)),
            Pow(a, b) => format!("tn_pow({}, {})", r(a), r(b)),
            Exp(a) => format!("tn_exp({})", r(a)),
            Log(a) => format!("tn_log({})", r(a)),
            Sin(a) => format!("tn_sin({})", r(a)),
            Cos(a) => format!("tn_cos({})", r(a)),
            Sqrt(a) => format!("tn_sqrt({})", r(a)),
            Tanh(a) => format!("tn_tanh({})", r(a)),
            Erf(a) => format!("tn_erf({})", r(a)),
            Abs(a) => format!("tn_abs({})", r(a)),
            Min(a, b) => format!("tn_min({}, {})", r(a), r(b)),
            Max(a, b) => format!("tn_max({}, {})", r(a), r(b)),
            Select { cmp, lhs, rhs, yes, no } => {
                format!("{} {} {} ? {} : {}", re(lhs), cmp.symbol(), re(rhs), r(yes), r(no))
            }
            Conj(a) => format!("tn_conj({})", r(a)),
        }
    }
}
