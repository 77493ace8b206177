//! Kernels as Rust functions over slices.
//!
//! Views become subslices, so that the compiler sees the length of what a loop walks and drops its bounds checks.

use super::Names;
use super::Runtime;
use super::support::Wanted;
use crate::expr;
use crate::printer::{Printer, mentions};
use tn_ir::scalar::ScalarOp;
use tn_ir::size::SymbolId;
use tn_kernel::Module;
use tn_kernel::ir::*;
use tn_kernel::module::KernelId;

/// A kernel with more on its stack is not inlined: an entry would hold the arrays of all its kernels at once.
const INLINE_BYTES: u64 = 4 << 10;

/// The instruction sets for which there is a version of each kernel, beside the one that the crate is compiled for. The first that the machine
/// has is taken at run time.
const VERSIONS: &str =
    "#[multiversion::multiversion(targets(\"x86_64+avx512f+avx512vl+avx512dq+fma\", \"x86_64+avx2+fma\"))]";
/// Whether the version that is compiled has fused multiply-adds.
const FUSED: &str = "const FUSED: bool = multiversion::target::target_cfg_f!(any(target_feature = \"fma\", target_arch = \"aarch64\"));";

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
    runtime: Runtime,
) {
    let (text, count) = &m.uses[id.0 as usize];
    let more = if *count > 1 { format!(" and {} more", count - 1) } else { String::new() };
    p.line(format!("#[doc = {:?}]", format!(" `{}`{more}.", text.replace(['\n', '`'], " "))));
    p.line("#[allow(non_snake_case, clippy::all)]");
    if runtime == Runtime::Crate {
        p.line(VERSIONS);
    }
    let on_stack: u64 = k.arrays.iter().map(|&n| u64::from(n) * k.dtype.bytes()).sum();
    if on_stack > INLINE_BYTES {
        p.line("#[inline(never)]");
    }
    let mut args: Vec<String> = k.symbols.iter().map(|s| format!("{}: usize", size(names, *s))).collect();
    let last = k.operands.len() - 1;
    let read = read_operands(k);
    for o in 0..last {
        let unused = if read.contains(&(o as u32)) { "" } else { "_" };
        args.push(format!("{unused}x{o}: &[{}]", names.elem));
    }
    args.push(format!("y: &mut [{}]", names.elem));
    p.open(format!("fn {}({})", name(id, k), args.join(", ")));
    let has_crate = runtime == Runtime::Crate;
    let mut b =
        Body { k, names, wanted, on_chip: Default::default(), has_crate, fused: false, streams: false };
    let mut body = Printer::default();
    b.block(&mut body, &k.body);
    if b.fused {
        p.line(FUSED);
    }
    if b.streams {
        b.wanted.function("settle");
        body.line("settle();");
    }
    p.lines(&body.finish());
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
            Stmt::Loop { body, .. } | Stmt::Piece { body, .. } | Stmt::First { body } => stack.extend(body),
            Stmt::View { of: Whole::Operand(operand), .. } => out.push(*operand),
            Stmt::Load { from: Place::Operand(o, _), .. } => out.push(*o),
            _ => {}
        }
    }
    out
}

/// Whether a statement, or one inside it, reads a register.
fn reads(s: &Stmt, reg: Reg) -> bool {
    match s {
        Stmt::Loop { body, .. } | Stmt::Piece { body, .. } | Stmt::First { body } => {
            body.iter().any(|s| reads(s, reg))
        }
        Stmt::Op { op, .. } => op.args().contains(&reg.0),
        Stmt::Store { value, .. } => *value == reg,
        Stmt::Decode { .. } | Stmt::View { .. } | Stmt::Array(_) | Stmt::Settle(_) | Stmt::Load { .. } => {
            false
        }
        Stmt::Join { .. } => false,
    }
}

struct Body<'a> {
    k: &'a Kernel,
    names: &'a Names,
    wanted: &'a mut Wanted,
    /// Views of on-chip arrays.
    on_chip: std::collections::BTreeSet<View>,
    /// Whether there is the runtime crate: with it, products that are added are one operation, and results can be written past the caches.
    has_crate: bool,
    /// Whether one was.
    fused: bool,
    /// Whether something is written past the caches.
    streams: bool,
}

impl Body<'_> {
    fn operand(&self, o: u32) -> String {
        if o as usize + 1 == self.k.operands.len() { "y".into() } else { format!("x{o}") }
    }
    /// The array or slice of an access, and the position in it.
    fn parts(&self, place: &Place) -> (String, String) {
        let at = |i: &Index| expr::index(i, &self.names.sizes);
        match place {
            Place::Operand(o, i) => (self.operand(*o), at(i)),
            Place::View(v, i) => (format!("v{}", v.0), at(i)),
            Place::Array(a, i) => (format!("acc{}", a.0), at(i)),
        }
    }
    fn is_complex(&self) -> bool {
        self.names.elem != self.names.real
    }
    /// Whether an access is to two planes: on-chip arrays of complex numbers hold real and imaginary parts apart, so that neighbours of
    /// each are vectors.
    fn has_planes(&self, place: &Place) -> bool {
        self.is_complex()
            && match place {
                Place::Operand(..) => false,
                Place::View(v, _) => self.on_chip.contains(v),
                Place::Array(..) => true,
            }
    }
    fn load(&self, place: &Place) -> String {
        let (array, at) = self.parts(place);
        if self.has_planes(place) {
            format!("{} {{ re: {array}_re[{at}], im: {array}_im[{at}] }}", self.names.elem)
        } else {
            format!("{array}[{at}]")
        }
    }

    fn block(&mut self, p: &mut Printer, body: &[Stmt]) {
        let mut rest = body;
        while let [s, others @ ..] = rest {
            if let Some((next, others)) = others.split_first().filter(|(n, o)| self.is_fused(s, n, o)) {
                self.product_added(p, s, next);
                rest = others;
                continue;
            }
            self.stmt(p, s);
            rest = others;
        }
    }

    /// Whether a product is added to something by the next statement, and to nothing else.
    fn is_fused(&self, product: &Stmt, next: &Stmt, others: &[Stmt]) -> bool {
        let (Stmt::Op { dst, op: ScalarOp::Mul(..) }, Stmt::Store { value, put: Put::Add, .. }) =
            (product, next)
        else {
            return false;
        };
        self.has_crate && dst == value && !others.iter().any(|s| reads(s, *dst))
    }

    fn product_added(&mut self, p: &mut Printer, product: &Stmt, add: &Stmt) {
        let (Stmt::Op { dst, op: ScalarOp::Mul(a, b) }, Stmt::Store { to, .. }) = (product, add) else {
            return;
        };
        self.fused = true;
        self.wanted.function("times_plus");
        let sum = format!("times_plus::<FUSED, _>(r{a}, r{b}, {})", self.load(to));
        let (array, at) = self.parts(to);
        if self.has_planes(to) {
            p.line(format!("let r{} = {sum};", dst.0));
            p.line(format!("{array}_re[{at}] = r{}.re;", dst.0));
            p.line(format!("{array}_im[{at}] = r{}.im;", dst.0));
        } else {
            p.line(format!("{array}[{at}] = {sum};"));
        }
    }

    /// A loop that writes a view past the caches as one call, where there are instructions for that: the runtime crate's.
    fn streamed(&mut self, s: &Stmt) -> Option<String> {
        let Stmt::Loop { var, from, to, step: 1, body, .. } = s else { return None };
        let [
            Stmt::Load { dst, from: Place::Array(array, source) },
            Stmt::Store { to: Place::View(view, at), value, put: Put::Stream },
        ] = body.as_slice()
        else {
            return None;
        };
        let begin = |i: &Index| {
            let (own, terms): (Vec<_>, Vec<_>) = i.terms.iter().cloned().partition(|(v, _)| v == var);
            let neighbours = matches!(own.as_slice(), [(_, step)] if step.as_constant() == Some(1));
            neighbours.then(|| Index { base: i.base.clone(), terms })
        };
        let (source, at) = (begin(source)?, begin(at)?);
        let len = to.poly.as_constant().filter(|_| to.multiple_of == 1 && from.poly.is_zero())?;
        if !self.has_crate || self.is_complex() || dst != value || !expr::is_zero(&at) {
            return None;
        }
        self.streams = true;
        self.wanted.function("stream");
        let source = expr::index(&source, &self.names.sizes);
        Some(format!("stream(&mut v{}[..{len}], &acc{}[{source}..][..{len}]);", view.0, array.0))
    }

    fn stmt(&mut self, p: &mut Printer, s: &Stmt) {
        if let Some(call) = self.streamed(s) {
            p.line(call);
            return;
        }
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
            Stmt::Piece { var, within, from, width, to, step, body } => {
                let (var, within, from) = (expr::var(*var), expr::var(*within), expr::var(*from));
                let mut inside = Printer::default();
                self.block(&mut inside, body);
                let inside = inside.finish();
                let to = expr::factor(to, sizes);
                let count = format!("usize::min({width}, {to} - {from})");
                let position = |p: &mut Printer| {
                    if mentions(&inside, &var) {
                        p.line(format!("let {var} = {from} + {within};"));
                    }
                };
                if *step == 1 {
                    let used = mentions(&inside, &var) || mentions(&inside, &within);
                    p.open(format!("for {} in 0..{count}", if used { &within } else { "_" }));
                    position(p);
                    p.lines(&inside);
                } else {
                    p.line(format!("let mut {within} = 0;"));
                    p.open(format!("while {within} < {count}"));
                    position(p);
                    p.lines(&inside);
                    p.line(format!("{within} += {step};"));
                }
                p.close("");
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
            Stmt::View { view, of, base, len } => {
                let (borrow, whole) = match of {
                    Whole::Operand(o) if *o as usize + 1 == self.k.operands.len() => ("&mut ", "y".into()),
                    Whole::Operand(o) => ("&", self.operand(*o)),
                    Whole::Array(a) => ("&", format!("acc{}", a.0)),
                    Whole::ArrayMut(a) => ("&mut ", format!("acc{}", a.0)),
                };
                let planes: &[&str] = if self.is_complex() && !matches!(of, Whole::Operand(_)) {
                    self.on_chip.insert(*view);
                    &["_re", "_im"]
                } else {
                    &[""]
                };
                let from = if expr::is_zero(base) {
                    String::new()
                } else {
                    format!("[{}..]", expr::index(base, sizes))
                };
                let len = expr::poly(len, sizes);
                for plane in planes {
                    p.line(format!("let v{}{plane} = {borrow}{whole}{plane}{from}[..{len}];", view.0));
                }
            }
            Stmt::Array(a) => {
                let len = self.k.arrays.get(a.0 as usize).copied().unwrap_or(0);
                let planes: &[&str] = if self.is_complex() { &["_re", "_im"] } else { &[""] };
                for plane in planes {
                    p.line(format!("let mut acc{}{plane} = [0.0{}; {len}];", a.0, self.names.real));
                }
            }
            // Without this, a store of the array in an irregular pattern makes the compiler accumulate it in scalars.
            Stmt::Settle(a) => {
                let planes: &[&str] = if self.is_complex() { &["_re", "_im"] } else { &[""] };
                for plane in planes {
                    p.line(format!("core::hint::black_box(&mut acc{}{plane});", a.0));
                }
            }
            Stmt::Load { dst, from } => p.line(format!("let r{} = {};", dst.0, self.load(from))),
            Stmt::Op { dst, op } => {
                let text = self.op(*op);
                p.line(format!("let r{} = {text};", dst.0));
            }
            Stmt::Store { to, value, put } => {
                let sign = if *put == Put::Add { "+=" } else { "=" };
                let (array, at) = self.parts(to);
                if self.has_planes(to) {
                    p.line(format!("{array}_re[{at}] {sign} r{}.re;", value.0));
                    p.line(format!("{array}_im[{at}] {sign} r{}.im;", value.0));
                } else {
                    p.line(format!("{array}[{at}] {sign} r{};", value.0));
                }
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
