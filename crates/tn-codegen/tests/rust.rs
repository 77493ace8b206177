//! Emitted Rust, compiled and run, against the meaning of the plan.

#[path = "common/cases.rs"]
mod cases;
mod common;
#[path = "common/tools.rs"]
mod tools;

use cases::Case;
use common::*;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use tn_codegen::{RustOptions, emit_rust};
use tn_ir::Complex64;
use tn_ir::dtype::DType;
use tn_ir::size::{Poly, SymbolId};
use tn_kernel::module::{Family, family_name};
use tn_kernel::{Module, Target, lower_plan};
use tn_plan::ir::*;
use tools::*;

/// What the generated main needs around the modules.
const MAIN: &str = r#"
fn raw(seed: u64, n: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n).map(|_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 54) as f64) / 512.0 - 1.0
    }).collect()
}
fn want(name: &str) -> Vec<f64> {
    let bytes = std::fs::read(std::path::Path::new(&std::env::args().nth(1).unwrap()).join(name)).unwrap();
    bytes.chunks(8).map(|c| f64::from_le_bytes(c.try_into().unwrap())).collect()
}
fn compare(name: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{name}");
    let scale = want.iter().filter(|x| x.is_finite()).fold(1.0f64, |m, x| m.max(x.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * scale || !w.is_finite() && !g.is_finite(), "{name}[{i}]: {g} for {w}");
    }
}
"#;

/// Rust expressions for one case's arrays.
struct Caller<'a> {
    m: Module,
    plan: &'a Plan,
    sizes: &'a [u64],
    module: String,
}

impl Caller<'_> {
    fn eval(&self, p: &Poly) -> usize {
        p.eval(|s: SymbolId| self.sizes[s.0 as usize] as i64) as usize
    }
    fn elem(&self) -> String {
        match self.plan.dtype {
            DType::F32 => "f32".into(),
            DType::F64 => "f64".into(),
            DType::C64 => format!("{}::C64", self.module),
            DType::C128 => format!("{}::C128", self.module),
        }
    }
    fn make(&self, seed: u64, n: usize) -> String {
        let real = if self.plan.dtype.real() == DType::F32 { "f32" } else { "f64" };
        if self.plan.dtype.is_complex() {
            format!(
                "raw({seed}, {}).chunks(2).map(|c| {}::new(c[0] as {real}, c[1] as {real})).collect::<Vec<_>>()",
                2 * n,
                self.elem()
            )
        } else {
            format!("raw({seed}, {n}).into_iter().map(|x| x as {real}).collect::<Vec<_>>()")
        }
    }
    fn flat(&self, name: &str) -> String {
        if self.plan.dtype.is_complex() {
            format!("{name}.iter().flat_map(|v| [v.re as f64, v.im as f64]).collect::<Vec<f64>>()")
        } else {
            format!("{name}.iter().map(|v| *v as f64).collect::<Vec<f64>>()")
        }
    }
    fn field(&self, f: &Family) -> String {
        f.name.replace('.', "_")
    }
    /// `Inputs { x: &x_0, … }` of vectors `{prefix}_{leaf}`.
    fn families(&self, ty: &str, prefix: &str, families: &[Family], borrow: &str) -> String {
        let mut out = format!("{}::{ty} {{", self.module);
        for f in families {
            let parts: Vec<String> = f.leaves.iter().map(|l| format!("{borrow}{prefix}_{l}[..]")).collect();
            let value = if f.subscripted { format!("[{}]", parts.join(", ")) } else { parts[0].clone() };
            write!(out, "{}: {value},", self.field(f)).unwrap();
        }
        out + "}"
    }
    fn outputs(&self, ty: &str, prefix: &str, borrow: &str) -> String {
        let mut out = format!("{}::{ty} {{", self.module);
        for (i, o) in self.plan.outputs.iter().enumerate() {
            write!(out, "{}: {borrow}{prefix}_{i}[..],", o.name).unwrap();
        }
        out + "}"
    }
}

/// The Rust block that runs one entry and compares everything that it wrote.
fn call(c: &Caller<'_>, kind: EntryKind, tag: &str, want: &Arrays, dir: &Path) -> String {
    let (m, plan) = (&c.m, c.plan);
    let entry = plan.entries.iter().find(|e| e.kind == kind).unwrap();
    let tolerance = if plan.dtype.real() == DType::F32 { "2e-5" } else { "1e-12" };
    let mut s = String::new();
    let fresh = |name: &str, n: usize| format!("let mut {name} = {};\n", c.make(99, n));
    let params = |first: u64| -> String {
        let parts: Vec<String> = plan
            .leaves
            .iter()
            .enumerate()
            .filter(|(_, l)| l.role == tn_ir::dag::ArrayRole::Param)
            .map(|(i, l)| c.make(first + i as u64, c.eval(&tn_ir::size::numel(&l.dims))))
            .collect();
        let list = parts.iter().map(|p| format!("v.extend({p});")).collect::<String>();
        format!("{{ let mut v: Vec<{}> = vec![]; {list} v }}", c.elem())
    };
    let leaves: Vec<u32> = m.inputs.iter().flat_map(|f| f.leaves.clone()).collect();
    let mut inputs = |prefix: &str, first: u64| {
        for l in &leaves {
            let n = c.eval(&m.leaf_len(*l));
            writeln!(s, "let {prefix}_{l} = {};", c.make(first + u64::from(*l), n)).unwrap();
        }
    };
    inputs("in", 100);
    if kind == EntryKind::Jvp {
        inputs("tan", 300);
    }
    writeln!(s, "let params = {};", params(100)).unwrap();
    let mut args = Vec::new();
    if !m.sizes.is_empty() {
        let parts: Vec<String> =
            m.sizes.iter().map(|z| format!("{}: {}", m.symbols[*z].name, c.sizes[z.0 as usize])).collect();
        args.push(format!("{}::Sizes {{ {} }}", c.module, parts.join(", ")));
    }
    args.push("&params".into());
    let inputs = |ty: &str, prefix: &str| format!("&{}", c.families(ty, prefix, &m.inputs, "&"));
    if !leaves.is_empty() {
        args.push(inputs("Inputs", "in"));
    }
    let mut results: Vec<(String, Vec<Complex64>)> = Vec::new();
    let mut outputs = |s: &mut String, args: &mut Vec<String>, prefix: &str, class: &dyn Fn(u32) -> Class| {
        for i in 0..plan.outputs.len() as u32 {
            s.push_str(&fresh(&format!("{prefix}_{i}"), c.eval(&m.output_len(i))));
            results.push((format!("{prefix}_{i}"), want[&class(i)].clone()));
        }
        args.push(format!("&mut {}", c.outputs("Outputs", prefix, "&mut ")));
    };
    let saved_len = c.eval(&entry.saved_len);
    match kind {
        EntryKind::Forward => outputs(&mut s, &mut args, "out", &Class::Output),
        EntryKind::ForwardSaving => {
            outputs(&mut s, &mut args, "out", &Class::Output);
            s.push_str(&fresh("kept", saved_len));
            args.push("&mut kept".into());
            results.push(("kept".into(), want[&Class::Saved].clone()));
        }
        EntryKind::Vjp => {
            let file = format!("{tag}_saved");
            write_numbers(dir, &file, &want[&Class::Saved], plan.dtype);
            let real = if plan.dtype.real() == DType::F32 { "f32" } else { "f64" };
            let elem = c.elem();
            let read = if plan.dtype.is_complex() {
                format!("want({file:?}).chunks(2).map(|c| {elem}::new(c[0] as {real}, c[1] as {real}))")
            } else {
                format!("want({file:?}).into_iter().map(|x| x as {real})")
            };
            writeln!(s, "let kept: Vec<{elem}> = {read}.collect();").unwrap();
            args.push("&kept".into());
            for i in 0..plan.outputs.len() as u32 {
                let n = c.eval(&m.output_len(i));
                writeln!(s, "let ct_{i} = {};", c.make(500 + u64::from(i), n)).unwrap();
            }
            args.push(format!("&{}", c.outputs("Cotangents", "ct", "&")));
            s.push_str(&fresh("grad_params", m.param_count as usize));
            args.push("&mut grad_params".into());
            let mut flat = Vec::new();
            for (i, l) in plan.leaves.iter().enumerate() {
                let n = c.eval(&tn_ir::size::numel(&l.dims));
                let zeros = vec![Complex64::default(); n];
                if l.role == tn_ir::dag::ArrayRole::Param {
                    flat.extend(want.get(&Class::Grad(i as u32)).cloned().unwrap_or(zeros));
                }
            }
            results.push(("grad_params".into(), flat));
            for f in &m.grads {
                assert_eq!(family_name(&plan.leaves[f.leaves[0] as usize].name).0, f.name);
                for l in &f.leaves {
                    s.push_str(&fresh(&format!("grad_{l}"), c.eval(&m.leaf_len(*l))));
                    results.push((format!("grad_{l}"), want[&Class::Grad(*l)].clone()));
                }
            }
            if !m.grads.is_empty() {
                args.push(format!("&mut {}", c.families("InputGrads", "grad", &m.grads, "&mut ")));
            }
        }
        EntryKind::Jvp => {
            writeln!(s, "let tan_params = {};", params(300)).unwrap();
            args.push("&tan_params".into());
            args.push(inputs("Inputs", "tan"));
            outputs(&mut s, &mut args, "out", &Class::Output);
            outputs(&mut s, &mut args, "jvp", &Class::Jvp);
        }
    }
    s.push_str(&fresh("workspace", c.eval(&entry.workspace_len)));
    args.push("&mut workspace".into());
    let function = match kind {
        EntryKind::Forward => "forward",
        EntryKind::ForwardSaving => "forward_saving",
        EntryKind::Vjp => "vjp",
        EntryKind::Jvp => "jvp",
    };
    writeln!(s, "{}::{function}({}).unwrap();", c.module, args.join(", ")).unwrap();
    if let Some(short) = args.last_mut().filter(|_| c.eval(&entry.workspace_len) > 0) {
        *short = "&mut []".into();
        writeln!(s, "assert!({}::{function}({}).is_err());", c.module, args.join(", ")).unwrap();
    }
    for (name, values) in results {
        let file = format!("{tag}_{name}");
        write_numbers(dir, &file, &values, plan.dtype);
        writeln!(s, "compare({file:?}, &{}, &want({file:?}), {tolerance});", c.flat(&name)).unwrap();
    }
    format!("{{\n{s}}}\n")
}

fn drive(cases: &[Case], dir: &Path) -> String {
    let (mut mods, mut functions, mut body) = (String::new(), String::new(), String::new());
    for case in cases {
        let plan = &case.plan;
        let file = emit_rust(plan, &RustOptions::default()).unwrap_or_else(|e| panic!("{}: {e}", plan.name));
        std::fs::write(dir.join(&file.name), &file.text).unwrap();
        writeln!(mods, "mod {};", plan.name).unwrap();
        for (n, sizes) in case.sizes.iter().enumerate() {
            let m = lower_plan(plan, Target::Cpu).unwrap();
            let c = Caller { m, plan, sizes, module: plan.name.clone() };
            let mut saved = Vec::new();
            for entry in &plan.entries {
                let want = interpret(plan, entry, sizes, &mut saved);
                let tag = format!("{}_{n}_{:?}", plan.name, entry.kind);
                let block = call(&c, entry.kind, &tag, &want, dir);
                write!(functions, "#[allow(non_snake_case)]\nfn run_{tag}() {block}").unwrap();
                writeln!(body, "run_{tag}();").unwrap();
            }
        }
    }
    format!(
        "#![deny(warnings)]\n#![allow(unused_mut)]\n{mods}\n{MAIN}\n{functions}\nfn main() {{\n{body}\nprintln!(\"ran {} cases\");\n}}\n",
        cases.len()
    )
}

#[test]
fn emitted_rust_computes_what_the_plan_means() {
    let dir = folder("rust");
    let cases = cases::all();
    std::fs::write(dir.join("main.rs"), drive(&cases, &dir)).unwrap();
    let mut c = rustc();
    c.args(["--edition", "2024", "-Copt-level=1", "-Ccodegen-units=4", "-o"])
        .arg(dir.join("main"))
        .arg(dir.join("main.rs"));
    run(c);
    let mut c = Command::new(dir.join("main"));
    c.arg(&dir);
    assert_eq!(run(c), format!("ran {} cases\n", cases.len()));
}

#[test]
fn blocked_cases_are_packed() {
    for case in cases::all_blocked() {
        let m = lower_plan(&case.plan, Target::Cpu).unwrap();
        for (id, k) in m.kernels.enumerate() {
            let text = tn_kernel::dump::kernel("k", k, |s| m.symbols[s].name.clone());
            let bytes: u64 = k.arrays.iter().map(|&n| u64::from(n) * k.dtype.bytes()).sum();
            assert!(bytes <= 256 << 10, "{}, kernel {}: {bytes} bytes on the stack", case.plan.name, id.0);
            assert!(k.arrays.iter().sum::<u32>() > 72, "{}, kernel {}:\n{text}", case.plan.name, id.0);
        }
    }
}

#[test]
fn emitted_files_stand_alone() {
    let dir = folder("alone");
    for case in cases::all().iter().filter(|c| c.plan.name.ends_with("_c64") || c.plan.name.ends_with("_f64"))
    {
        let file = emit_rust(&case.plan, &RustOptions::default()).unwrap();
        let path = dir.join(&file.name);
        std::fs::write(&path, &file.text).unwrap();
        let mut c = rustc();
        c.args([
            "--edition",
            "2021",
            "--crate-type",
            "lib",
            "-D",
            "warnings",
            "-F",
            "unsafe_code",
            "--emit",
            "metadata",
            "--out-dir",
        ]);
        c.arg(&dir).arg(&path);
        run(c);
        // The same text in a crate without `std`, through `include!`.
        let around = format!("#![no_std]\n#![deny(warnings)]\npub mod net {{ include!({:?}); }}\n", path);
        let root = dir.join(format!("no_std_{}", file.name));
        std::fs::write(&root, around).unwrap();
        let mut c = rustc();
        c.args(["--edition", "2024", "--crate-type", "lib", "--emit", "metadata", "--out-dir"])
            .arg(&dir)
            .arg(&root);
        run(c);
    }
}
