//! `init`: the initial parameters of a network, the same bytes that `tnc init` writes.

use super::Names;
use super::support::Wanted;
use crate::printer::Printer;
use tn_ir::dag::ArrayRole;
use tn_ir::program::{Init, Structure};
use tn_kernel::Module;
use tn_plan::ir::LeafInfo;

const ALLOW: &str = "#[allow(dead_code, non_snake_case, clippy::all)]";

/// Bytes of the largest isometry, in double precision, that is made on the stack.
const STACK_BYTES: u64 = 64 << 10;

/// A parameter's rule.
struct Row<'a> {
    /// Its place among all leaves, which is the number of its stream.
    stream: usize,
    leaf: &'a LeafInfo,
    legs: Vec<u64>,
}

impl Row<'_> {
    fn len(&self) -> u64 {
        self.legs.iter().product()
    }
    /// Bytes that it is made in, beside the parameters.
    fn scratch(&self) -> u64 {
        match self.leaf.init {
            Some(Init::Isometry) => self.len() * 16,
            _ => 0,
        }
    }
    /// The rule as an expression; an isometry without a structure cannot be.
    fn text(&self) -> Option<String> {
        Some(match self.leaf.init.as_ref().unwrap_or(&Init::Zeros) {
            Init::Normal { mean, std } => format!("Rule::Normal {{ mean: {mean:?}, std: {std:?} }}"),
            Init::Uniform { low, high } => format!("Rule::Uniform {{ low: {low:?}, high: {high:?} }}"),
            Init::Zeros => "Rule::Fill(0.0)".into(),
            Init::Ones => "Rule::Fill(1.0)".into(),
            Init::Values(values) => format!("Rule::Values(&{values:?})"),
            Init::Identity { noise } => {
                let columns: u64 = self.legs[self.legs.len() / 2..].iter().product();
                format!("Rule::Identity {{ columns: {columns}, noise: {noise:?} }}")
            }
            Init::Isometry => {
                let Structure { from, to, .. } = self.leaf.structure.as_ref()?;
                let axes = |which: &[u32]| {
                    let step = |leg: usize| self.legs[leg + 1..].iter().product::<u64>();
                    let one = |&leg: &u32| format!("({}, {})", self.legs[leg as usize], step(leg as usize));
                    which.iter().map(one).collect::<Vec<_>>().join(", ")
                };
                format!("Rule::Isometry {{ columns: &[{}], rows: &[{}] }}", axes(from), axes(to))
            }
        })
    }
}

/// The variants of `Rule`, each with what it does to the `values` of a parameter; `set(i, re, im)` writes entry `i`.
const RULES: [(&str, &str, &str); 6] = [
    ("Fill", "Fill(f64)", "Rule::Fill(x) => for i in 0..p.len { set(&mut values[i], x, 0.0); },"),
    (
        "Normal",
        "Normal { mean: f64, std: f64 }",
        "Rule::Normal { mean, std } => for i in 0..p.len { let (re, im) = normal(stream, i, std); set(&mut values[i], mean + re, im); },",
    ),
    (
        "Uniform",
        "Uniform { low: f64, high: f64 }",
        "Rule::Uniform { low, high } => for i in 0..p.len { set(&mut values[i], low + (high - low) * drawn_uniform(seed, stream, i as u64), 0.0); },",
    ),
    (
        "Values",
        "Values(&'static [f64])",
        "Rule::Values(all) => for i in 0..p.len { set(&mut values[i], all[i], 0.0); },",
    ),
    (
        "Identity",
        "Identity { columns: usize, noise: f64 }",
        "Rule::Identity { columns, noise } => for i in 0..p.len { let (re, im) = if noise == 0.0 { (0.0, 0.0) } else { normal(stream, i, noise) }; let one = i / columns == i % columns; set(&mut values[i], if one { re + 1.0 } else { re }, im); },",
    ),
    (
        "Isometry",
        "Isometry { columns: &'static [(usize, usize)], rows: &'static [(usize, usize)] }",
        "Rule::Isometry { columns, rows } => { for i in 0..p.len { let (re, im) = normal(stream, i, 1.0); scratch[2 * i] = re; scratch[2 * i + 1] = im; } orthonormalise(&mut scratch[..2 * p.len], columns, rows); for i in 0..p.len { set(&mut values[i], scratch[2 * i], scratch[2 * i + 1]); } },",
    ),
];

/// The parameters with their rules as expressions. None where there are no parameters, or where one has no rule that fits in a function without
/// an allocator.
fn rules(m: &Module) -> Option<Vec<(Row<'_>, String)>> {
    let params = m.leaves.iter().enumerate().filter(|(_, l)| l.role == ArrayRole::Param);
    let rows = params.map(|(stream, leaf)| {
        let row = Row { stream, leaf, legs: leaf.dims.iter().map(|d| d.eval(|_| 0)).collect() };
        let text = row.text().filter(|_| row.scratch() <= STACK_BYTES)?;
        Some((row, text))
    });
    rows.collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
}

/// Whether a module has `init`.
pub(super) fn is_possible(m: &Module) -> bool {
    rules(m).is_some()
}

/// Prints `init`, if it is possible.
pub(super) fn print(p: &mut Printer, m: &Module, names: &Names, wanted: &mut Wanted) {
    let Some(all) = rules(m) else { return };
    let scratch = all.iter().map(|(row, _)| row.scratch()).max().unwrap_or(0);
    let used = |name: &str| all.iter().any(|(_, r)| r.starts_with(&format!("Rule::{name}")));
    let kinds: Vec<_> = RULES.iter().filter(|(name, ..)| used(name)).collect();
    p.line("#[doc = \" How a parameter begins.\"]");
    p.line(ALLOW);
    p.line("#[derive(Clone, Copy)]");
    p.open("enum Rule");
    kinds.iter().for_each(|(_, variant, _)| p.line(format!("{variant},")));
    p.close("");
    p.line("#[doc = \" The stream of random numbers and the rule of each parameter, in the order of `PARAMS`.\"]");
    p.line(ALLOW);
    let table: Vec<String> = all.iter().map(|(row, rule)| format!("({}, {rule})", row.stream)).collect();
    p.line(format!("static RULES: [(u64, Rule); {}] = [{}];", table.len(), table.join(", ")));
    p.line("#[doc = \" Fills the flat parameters with initial values by the network's rules: the bytes that `tnc init --seed` writes.\"]");
    p.line("#[doc = \"\"]");
    p.line("#[doc = \" # Errors\"]");
    p.line("#[doc = \" If the length does not fit. Nothing is written then.\"]");
    p.line(ALLOW);
    p.open(format!("pub fn init(seed: u64, params: &mut [{}]) -> Result<(), Error>", names.elem));
    p.line("check(\"params\", params.len(), PARAM_COUNT)?;");
    let complex = names.elem != names.real;
    let cast = if names.real == "f32" { " as f32" } else { "" };
    let value = match complex {
        true => format!("{}::new(re{cast}, im{cast})", names.elem),
        false => format!("re{cast}"),
    };
    let im = if complex { "im" } else { "_im" };
    p.line(format!("let set = |to: &mut {}, re: f64, {im}: f64| *to = {value};", names.elem));
    if used("Normal") || used("Identity") || used("Isometry") {
        wanted.function(if complex { "drawn_normals" } else { "drawn_normal" });
        p.line(match complex {
            true => {
                "let normal = |stream: u64, i: usize, std: f64| { let (re, im) = drawn_normals(seed, stream, i as u64); let half = std / core::f64::consts::SQRT_2; (half * re, half * im) };"
            }
            false => "let normal = |stream: u64, i: usize, std: f64| (std * drawn_normal(seed, stream, i as u64), 0.0);",
        });
    }
    if used("Uniform") {
        wanted.function("drawn_uniform");
    }
    if used("Isometry") {
        wanted.function("orthonormalise");
        p.line(format!("let mut scratch = [0.0f64; {}];", scratch / 8));
    }
    p.open("for (p, &(stream, rule)) in PARAMS.iter().zip(&RULES)");
    if !used("Normal") && !used("Uniform") && !used("Identity") && !used("Isometry") {
        p.line("let _ = (seed, stream);");
    }
    p.line("let values = &mut params[p.offset..][..p.len];");
    p.open("match rule");
    kinds.iter().for_each(|(.., arm)| p.line(arm));
    p.close("");
    p.close("");
    p.line("Ok(())");
    p.close("");
}
