//! Kernels as Rust functions over slices.
//!
//! Views become subslices, so that the compiler sees the length of what a loop walks and drops its bounds checks.

use super::Names;
use super::support::Wanted;
use crate::expr;
use crate::printer::{Printer, mentions};
use tn_ir::scalar::ScalarOp;
use tn_ir::size::SymbolId;
use tn_kernel::Module;
use tn_kernel::ir::*;
use tn_kernel::module::KernelId;

/// The function's name.
pub(super) fn name(id: KernelId, k: &Kernel) -> String {
    format!("{}_{}", k.what, id.0)
}

/// Prints one kernel.
pub(super) fn print(
    p: &mut Printer,
    m: &Module,
    id: KernelId,
    k: &Kernel,
    names: &Names,
    wanted: &mut Wanted,
) {
    let (text, count) = &m.uses[id.0 as usize];
    let more = if *count > 1 { format!(" and {} more", count - 1) } else { String::new() };
    p.line(format!("#[doc = {:?}]", format!(" `{}`{more}.", text.replace(['\n', '`'], " "))));
    p.line("#[allow(non_snake_case, clippy::all)]");
    let mut args: Vec<String> = k.symbols.iter().map(|s| format!("{}: usize", size(names, *s))).collect();
    let last = k.operands.len() - 1;
    let read = read_operands(k);
    for o in 0..last {
        let unused = if read.contains(&(o as u32)) { "" } else { "_" };
        args.push(format!("{unused}x{o}: &[{}]", names.elem));
    }
    args.push(format!("y: &mut [{}]", names.elem));
    p.open(format!("fn {}({})", name(id, k), args.join(", ")));
    let mut b = Body { k, names, wanted, views: Default::default() };
    b.block(p, &k.body);
    p.close("");
}

fn size(names: &Names, s: SymbolId) -> &str {
    names.sizes.get(&s).map_or("unknown_size", |n| n.as_str())
}

fn read_operands(k: &Kernel) -> Vec<u32> {
    let mut out = Vec::new();
    let mut stack: Vec<&Stmt> = k.body.iter().collect();
    while let Some(s) = stack.pop() {
        match s {
            Stmt::Loop { body, .. } | Stmt::First { body } => stack.extend(body),
            Stmt::View { operand, .. } => out.push(*operand),
            Stmt::Load { from: Place::Operand(o, _), .. } => out.push(*o),
            _ => {}
        }
    }
    out
}

struct Body<'a> {
    k: &'a Kernel,
    names: &'a Names,
    wanted: &'a mut Wanted,
    views: std::collections::BTreeMap<View, u32>,
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

    fn block(&mut self, p: &mut Printer, body: &[Stmt]) {
        for s in body {
            self.stmt(p, s);
        }
    }

    fn stmt(&mut self, p: &mut Printer, s: &Stmt) {
        let sizes = &self.names.sizes;
        match s {
            Stmt::Loop { var, from, to, step, body, .. } => {
                let (v, from, to) = (expr::var(*var), expr::bound(from, sizes), expr::bound(to, sizes));
                if *step == 1 {
                    let mut inside = Printer::default();
                    self.block(&mut inside, body);
                    let inside = inside.finish();
                    // A fold may repeat a value without reading its variable.
                    p.open(format!("for {} in {from}..{to}", if mentions(&inside, &v) { &v } else { "_" }));
                    p.lines(&inside);
                    p.close("");
                } else {
                    p.line(format!("let mut {v} = {from};"));
                    p.open(format!("while {v} < {to}"));
                    self.block(p, body);
                    p.line(format!("{v} += {step};"));
                    p.close("");
                }
            }
            Stmt::Decode { flat, parts } => {
                let mut rest = expr::var(*flat);
                for (n, (v, extent)) in parts.iter().enumerate().rev() {
                    let extent = expr::atom(extent, sizes);
                    if n == 0 {
                        p.line(format!("let {} = {rest};", expr::var(*v)));
                    } else {
                        p.line(format!("let {} = ({rest}) % {extent};", expr::var(*v)));
                        rest = format!("({rest}) / {extent}");
                    }
                }
            }
            Stmt::View { view, operand, base, len } => {
                self.views.insert(*view, *operand);
                let borrow = if *operand as usize + 1 == self.k.operands.len() { "&mut " } else { "&" };
                let from = if expr::is_zero(base) {
                    String::new()
                } else {
                    format!("[{}..]", expr::index(base, sizes))
                };
                let len = expr::poly(len, sizes);
                p.line(format!("let v{} = {borrow}{}{from}[..{len}];", view.0, self.operand(*operand)));
            }
            Stmt::Array(a) => {
                let len = self.k.arrays.get(a.0 as usize).copied().unwrap_or(0);
                p.line(format!(
                    "let mut acc{} = [{}; {len}];",
                    a.0,
                    self.wanted.constant(self.names, 0.0, 0.0)
                ));
            }
            Stmt::Load { dst, from } => p.line(format!("let r{} = {};", dst.0, self.place(from))),
            Stmt::Op { dst, op } => {
                let text = self.op(*op);
                p.line(format!("let r{} = {text};", dst.0));
            }
            Stmt::Store { to, value, put } => {
                let sign = if *put == Put::Add { "+=" } else { "=" };
                p.line(format!("{} {sign} r{};", self.place(to), value.0));
            }
            // Only in kernels for grids of threads; a single thread has nothing to join and is the first.
            Stmt::Join { .. } => {}
            Stmt::First { body } => self.block(p, body),
        }
    }

    fn op(&mut self, op: ScalarOp) -> String {
        use ScalarOp::*;
        let complex = self.names.elem != self.names.real;
        let r = |a: u32| format!("r{a}");
        let re = |a: u32| if complex { format!("r{a}.re") } else { format!("r{a}") };
        let call = |s: &mut Self, f: &'static str, args: &[String]| {
            s.wanted.function(f);
            format!("{f}({})", args.join(", "))
        };
        // Real functions look at the real part.
        let real_call = |s: &mut Self, f: &'static str, a: u32| {
            let text = call(s, f, &[re(a)]);
            if complex { s.wanted.lifted(s.names, &text) } else { text }
        };
        let complex_call = |s: &mut Self, f: &'static str, c: &'static str, args: &[u32]| {
            let args: Vec<String> = args.iter().map(|&a| r(a)).collect();
            call(s, if complex { c } else { f }, &args)
        };
        match op {
            Arg(_) => "0".into(),
            Const(re, im) => self.wanted.constant(self.names, f64::from_bits(re), f64::from_bits(im)),
            Neg(a) => format!("-{}", r(a)),
            Add(a, b) => format!("{} + {}", r(a), r(b)),
            Sub(a, b) => format!("{} - {}", r(a), r(b)),
            Mul(a, b) => format!("{} * {}", r(a), r(b)),
            Div(a, b) => format!("{} / {}", r(a), r(b)),
            Pow(a, b) => complex_call(self, "pow", "c_pow", &[a, b]),
            Exp(a) => complex_call(self, "exp", "c_exp", &[a]),
            Log(a) => complex_call(self, "ln", "c_ln", &[a]),
            Sin(a) => complex_call(self, "sin", "c_sin", &[a]),
            Cos(a) => complex_call(self, "cos", "c_cos", &[a]),
            Sqrt(a) => complex_call(self, "sqrt", "c_sqrt", &[a]),
            Tanh(a) => real_call(self, "tanh", a),
            Erf(a) => real_call(self, "erf", a),
            Abs(a) if complex => {
                let size = call(self, "c_abs", &[r(a)]);
                self.wanted.lifted(self.names, &size)
            }
            Abs(a) => format!("if {0} < 0.0 {{ -{0} }} else {{ {0} }}", r(a)),
            Min(a, b) => format!("if {} < {} {{ {} }} else {{ {} }}", re(b), re(a), r(b), r(a)),
            Max(a, b) => format!("if {} > {} {{ {} }} else {{ {} }}", re(b), re(a), r(b), r(a)),
            Select { cmp, lhs, rhs, yes, no } => {
                format!("if {} {} {} {{ {} }} else {{ {} }}", re(lhs), cmp.symbol(), re(rhs), r(yes), r(no))
            }
            Conj(a) if complex => format!("{}.conj()", r(a)),
            Conj(a) => r(a),
        }
    }
}
