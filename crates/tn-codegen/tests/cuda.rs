//! Emitted CUDA: compiled for the simulation on the CPU and run, against the meaning of the plan; compiled by `nvcc` where asked.

#[path = "common/cases.rs"]
mod cases;
mod common;
#[path = "common/tools.rs"]
mod tools;

use cases::Case;
use common::*;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tn_codegen::cuda::CUSIM_HPP;
use tn_codegen::{CudaOptions, emit_cuda};
use tn_ir::Complex64;
use tn_ir::dag::ArrayRole;
use tn_ir::dtype::DType;
use tn_ir::size::{Poly, SymbolId, numel};
use tn_kernel::module::Family;
use tn_kernel::{Module, Target, lower_plan};
use tn_plan::ir::*;
use tools::*;

const MAIN: &str = r#"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cmath>
#include <string>
#include <vector>
static std::string folder;
template <class R> std::vector<R> raw(uint64_t seed, size_t n) {
    uint64_t state = seed * 0x9E3779B97F4A7C15ull | 1;
    std::vector<R> out(n);
    for (auto &x : out) { state = state * 6364136223846793005ull + 1442695040888963407ull; x = R(double(state >> 54) / 512.0 - 1.0); }
    return out;
}
template <class R> void add(std::vector<R> &to, const std::vector<R> &from) { to.insert(to.end(), from.begin(), from.end()); }
static std::vector<double> want(const char *name) {
    FILE *f = fopen((folder + "/" + name).c_str(), "rb");
    if (!f) { fprintf(stderr, "no file %s\n", name); exit(1); }
    std::vector<double> out; double x;
    while (fread(&x, 8, 1, f) == 1) out.push_back(x);
    fclose(f);
    return out;
}
template <class R> void compare(const char *name, const std::vector<R> &got, double tolerance) {
    const auto w = want(name);
    if (got.size() != w.size()) { fprintf(stderr, "%s: %zu elements for %zu\n", name, got.size(), w.size()); exit(1); }
    double scale = 1;
    for (double x : w) if (std::isfinite(x)) scale = std::fmax(scale, std::fabs(x));
    for (size_t i = 0; i < w.size(); ++i)
        if (!(std::fabs(double(got[i]) - w[i]) <= tolerance * scale || (!std::isfinite(w[i]) && !std::isfinite(double(got[i]))))) { fprintf(stderr, "%s[%zu]: %g for %g\n", name, i, double(got[i]), w[i]); exit(1); }
}
static void expect(int code, int wanted, const char *what) { if (code != wanted) { fprintf(stderr, "%s: code %d\n", what, code); exit(1); } }
"#;

struct Caller<'a> {
    m: Module,
    plan: &'a Plan,
    sizes: &'a [u64],
}

impl Caller<'_> {
    fn real(&self) -> &'static str {
        if self.plan.dtype.real() == DType::F32 { "float" } else { "double" }
    }
    /// Reals of an array.
    fn len(&self, p: &Poly) -> usize {
        let n = p.eval(|s: SymbolId| self.sizes[s.0 as usize] as i64) as usize;
        if self.plan.dtype.is_complex() { 2 * n } else { n }
    }
    fn vector(&self, name: &str, seed: u64, n: usize) -> String {
        format!("auto {name} = raw<{}>({seed}, {n});\n", self.real())
    }
    fn flat(&self, name: &str, first: u64) -> String {
        let mut s = format!("std::vector<{}> {name};\n", self.real());
        for (i, l) in self.plan.leaves.iter().enumerate().filter(|(_, l)| l.role == ArrayRole::Param) {
            writeln!(
                s,
                "add({name}, raw<{}>({}, {}));",
                self.real(),
                first + i as u64,
                self.len(&numel(&l.dims))
            )
            .unwrap();
        }
        s
    }
    /// Declares the arrays of families and gives the arguments.
    fn families(
        &self,
        s: &mut String,
        prefix: &str,
        families: &[Family],
        seed: impl Fn(u32) -> u64,
        constness: &str,
    ) -> Vec<String> {
        let mut args = Vec::new();
        for (k, f) in families.iter().enumerate() {
            for &l in &f.leaves {
                s.push_str(&self.vector(&format!("{prefix}_{l}"), seed(l), self.len(&self.m.leaf_len(l))));
            }
            if f.subscripted {
                let parts: Vec<String> = f.leaves.iter().map(|l| format!("{prefix}_{l}.data()")).collect();
                writeln!(s, "{constness} {} *{prefix}s_{k}[] = {{{}}};", self.real(), parts.join(", "))
                    .unwrap();
                args.push(format!("{prefix}s_{k}"));
            } else {
                args.push(format!("{prefix}_{}.data()", f.leaves[0]));
            }
        }
        args
    }
}

fn call(c: &Caller<'_>, kind: EntryKind, tag: &str, want: &Arrays, dir: &Path) -> String {
    let (m, plan) = (&c.m, c.plan);
    let entry = plan.entries.iter().find(|e| e.kind == kind).unwrap();
    let tolerance = if plan.dtype.real() == DType::F32 { "2e-5" } else { "1e-12" };
    let mut s = String::new();
    let mut results: Vec<(String, Vec<Complex64>)> = Vec::new();
    let mut args: Vec<String> = m.sizes.iter().map(|z| c.sizes[z.0 as usize].to_string()).collect();
    s.push_str(&c.flat("params", 100));
    args.push("params.data()".into());
    args.extend(c.families(&mut s, "in", &m.inputs, |l| 100 + u64::from(l), "const"));
    let mut outputs = |s: &mut String, args: &mut Vec<String>, prefix: &str, class: &dyn Fn(u32) -> Class| {
        for i in 0..plan.outputs.len() as u32 {
            let name = format!("{prefix}_{i}");
            s.push_str(&c.vector(&name, 99, c.len(&m.output_len(i))));
            args.push(format!("{name}.data()"));
            results.push((name, want[&class(i)].clone()));
        }
    };
    match kind {
        EntryKind::Forward => outputs(&mut s, &mut args, "out", &Class::Output),
        EntryKind::ForwardSaving => {
            outputs(&mut s, &mut args, "out", &Class::Output);
            s.push_str(&c.vector("kept", 99, c.len(&entry.saved_len)));
            args.push("kept.data()".into());
            results.push(("kept".into(), want[&Class::Saved].clone()));
        }
        EntryKind::Vjp => {
            let file = format!("{tag}_saved");
            write_numbers(dir, &file, &want[&Class::Saved], plan.dtype);
            writeln!(
                s,
                "auto kept_wide = want({file:?});\nstd::vector<{}> kept(kept_wide.begin(), kept_wide.end());",
                c.real()
            )
            .unwrap();
            args.push("kept.data()".into());
            for i in 0..plan.outputs.len() as u32 {
                s.push_str(&c.vector(&format!("ct_{i}"), 500 + u64::from(i), c.len(&m.output_len(i))));
                args.push(format!("ct_{i}.data()"));
            }
            s.push_str(&c.vector("grad_params", 99, c.len(&m.param_count.into())));
            args.push("grad_params.data()".into());
            let mut flat = Vec::new();
            for (i, l) in plan.leaves.iter().enumerate().filter(|(_, l)| l.role == ArrayRole::Param) {
                let zeros = vec![Complex64::default(); numel(&l.dims).as_constant().unwrap() as usize];
                flat.extend(want.get(&Class::Grad(i as u32)).cloned().unwrap_or(zeros));
            }
            results.push(("grad_params".into(), flat));
            args.extend(c.families(&mut s, "grad", &m.grads, |_| 99, ""));
            for l in m.grads.iter().flat_map(|f| &f.leaves) {
                results.push((format!("grad_{l}"), want[&Class::Grad(*l)].clone()));
            }
        }
        EntryKind::Jvp => {
            s.push_str(&c.flat("tan_params", 300));
            args.push("tan_params.data()".into());
            args.extend(c.families(&mut s, "tan", &m.inputs, |l| 300 + u64::from(l), "const"));
            outputs(&mut s, &mut args, "out", &Class::Output);
            outputs(&mut s, &mut args, "jvp", &Class::Jvp);
        }
    }
    s.push_str(&c.vector("workspace", 99, c.len(&entry.workspace_len)));
    args.push("workspace.data()".into());
    args.push("nullptr".into());
    let function = match kind {
        EntryKind::Forward => "forward",
        EntryKind::ForwardSaving => "forward_saving",
        EntryKind::Vjp => "vjp",
        EntryKind::Jvp => "jvp",
    };
    writeln!(s, "expect({}_{function}({}), 0, {tag:?});", plan.name, args.join(", ")).unwrap();
    for (name, values) in results {
        let file = format!("{tag}_{name}");
        write_numbers(dir, &file, &values, plan.dtype);
        writeln!(s, "compare({file:?}, {name}, {tolerance});").unwrap();
    }
    if entry.workspace_len.as_constant() != Some(0) {
        let at = args.len() - 2;
        args[at] = "nullptr".into();
        writeln!(s, "expect({}_{function}({}), 2, {tag:?});", plan.name, args.join(", ")).unwrap();
    }
    format!("{{\n{s}}}\n")
}

/// Writes all files, gathered into `all.cu` and `main.cpp`; returns their folder.
fn drive(cases: &[Case], dir: &Path) {
    let (mut all, mut headers, mut body) = (String::new(), String::new(), String::new());
    for case in cases {
        let plan = &case.plan;
        let files = emit_cuda(plan, &CudaOptions::default()).unwrap_or_else(|e| panic!("{}: {e}", plan.name));
        for f in &files {
            std::fs::write(dir.join(&f.name), &f.text).unwrap();
        }
        writeln!(all, "#include {:?}", files[0].name).unwrap();
        writeln!(headers, "#include {:?}", files[1].name).unwrap();
        for (n, sizes) in case.sizes.iter().enumerate() {
            let c = Caller { m: lower_plan(plan, Target::Gpu).unwrap(), plan, sizes };
            let mut saved = Vec::new();
            for entry in &plan.entries {
                let want = interpret(plan, entry, sizes, &mut saved);
                let tag = format!("{}_{n}_{:?}", plan.name, entry.kind);
                let block = call(&c, entry.kind, &tag, &want, dir);
                writeln!(body, "static void run_{tag}() {block}").unwrap();
                writeln!(headers, "static void run_{tag}();").unwrap();
            }
        }
    }
    let calls: String = body
        .lines()
        .filter_map(|l| l.strip_prefix("static void ")?.split_once("()").map(|(f, _)| format!("{f}();\n")))
        .collect();
    std::fs::write(dir.join("cusim.hpp"), CUSIM_HPP).unwrap();
    std::fs::write(dir.join("all.cu"), all).unwrap();
    let main = format!(
        "{headers}{MAIN}{body}int main(int, char **argv) {{ folder = argv[1];\n{calls}puts(\"ran {} cases\"); }}\n",
        cases.len()
    );
    std::fs::write(dir.join("main.cpp"), main).unwrap();
}

fn simulate(name: &str, flags: &[&str], order: &str) {
    let dir = folder(name);
    let cases = cases::all();
    drive(&cases, &dir);
    let mut c = Command::new(std::env::var("CXX").unwrap_or_else(|_| "g++".into()));
    c.args(["-std=c++17", "-O1", "-Wall", "-Werror"]).args(flags).arg("-o").arg(dir.join("main"));
    c.args(["-x", "c++"]).arg(dir.join("all.cu")).arg(dir.join("main.cpp"));
    run(c);
    let mut c = Command::new(dir.join("main"));
    c.arg(&dir).env("CUSIM_ORDER", order);
    assert_eq!(run(c), format!("ran {} cases\n", cases.len()));
}

#[test]
fn emitted_cuda_computes_what_the_plan_means() {
    simulate("cuda", &[], "0");
}

#[test]
#[ignore = "minutes: the same under sanitizers, with the threads of a block in random order"]
fn emitted_cuda_is_clean_under_sanitizers() {
    simulate("cuda_asan", &["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"], "2");
}

/// `nvcc` from the variable `NVCC`, or from the path.
fn nvcc() -> PathBuf {
    std::env::var_os("NVCC").map_or_else(|| "nvcc".into(), PathBuf::from)
}

#[test]
#[ignore = "needs nvcc: set NVCC to its path"]
fn emitted_cuda_compiles_with_nvcc() {
    let dir = folder("nvcc");
    let cases = cases::all();
    drive(&cases, &dir);
    for arch in ["sm_80", "sm_90"] {
        let mut c = Command::new(nvcc());
        c.args(["-std=c++17", "-cubin", "-Werror", "all-warnings", "-Xptxas", "-v,-warn-spills,-Werror"]);
        c.arg(format!("-arch={arch}")).arg("-o").arg(dir.join("all.cubin")).arg(dir.join("all.cu"));
        let out = c.output();
        assert!(out.is_ok(), "nvcc was not found: set NVCC to its path, as {}", nvcc().display());
        run(c);
    }
}
