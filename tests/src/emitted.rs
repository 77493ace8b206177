//! Emitted code run in a test: all modules of a test in one Rust crate, or in one simulated CUDA program.
//!
//! The program reads arrays from files of doubles and writes what it computed to files; comparing is the test's work.

use crate::network::{Job, Values};
use num_complex::Complex64;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tn_codegen::{CudaOptions, Runtime, RustOptions, cuda::CUSIM_HPP, emit_cuda, emit_rust};
use tn_ir::dag::ArrayRole;
use tn_ir::dtype::DType;
use tn_kernel::module::Family;
use tn_kernel::{Module, Target, lower_plan};
use tn_plan::ir::{Class, Entry, EntryKind, Plan};

/// A fresh folder below the build's.
///
/// # Errors
/// It cannot be made.
pub fn folder(target_tmp: &str, name: &str) -> Result<PathBuf, String> {
    let dir = Path::new(target_tmp).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
    Ok(dir)
}

/// Runs a command; a failure is everything that it printed.
///
/// # Errors
/// It cannot be started or fails.
pub fn run(c: &mut Command) -> Result<String, String> {
    let out = c.output().map_err(|e| format!("{c:?}: {e}"))?;
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    if !out.status.success() {
        return Err(format!("{c:?}\n{}\n{}", text(&out.stdout), text(&out.stderr)));
    }
    Ok(text(&out.stdout))
}

fn io(e: std::io::Error) -> String {
    e.to_string()
}

fn write_values(path: &Path, values: &[Complex64], complex: bool) -> Result<(), String> {
    let mut bytes = Vec::with_capacity(values.len() * 16);
    for v in values {
        bytes.extend(v.re.to_le_bytes());
        if complex {
            bytes.extend(v.im.to_le_bytes());
        }
    }
    std::fs::write(path, bytes).map_err(io)
}

fn read_values(path: &Path, complex: bool) -> Result<Vec<Complex64>, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let doubles: Vec<f64> =
        bytes.chunks_exact(8).map(|c| f64::from_le_bytes(std::array::from_fn(|i| c[i]))).collect();
    Ok(if complex {
        doubles.chunks_exact(2).map(|c| Complex64::new(c[0], c[1])).collect()
    } else {
        doubles.into_iter().map(|x| Complex64::new(x, 0.0)).collect()
    })
}

/// The file of an array.
fn file(plan: &Plan, class: &Class) -> String {
    let name = match class {
        Class::Leaf(i) => format!("leaf{i}"),
        Class::Cotangent(i) => format!("ct{i}"),
        Class::Tangent(i) => format!("tan{i}"),
        Class::Output(i) => format!("out{i}"),
        Class::Grad(i) => format!("grad{i}"),
        Class::Jvp(i) => format!("jvp{i}"),
        Class::Saved | Class::Workspace => "arena".into(),
    };
    format!("{}.{name}", plan.name)
}

/// Writes what a job gives; arrays that are absent (tangents of leaves that need none) are zeros.
fn write_given(job: &Job, dir: &Path) -> Result<(), String> {
    let complex = job.plan.dtype.is_complex();
    let mut all: Vec<(Class, usize)> = Vec::new();
    for (i, l) in job.plan.leaves.iter().enumerate().filter(|(_, l)| l.role != ArrayRole::Const) {
        let n = job.len(&l.dims);
        all.extend([(Class::Leaf(i as u32), n), (Class::Tangent(i as u32), n)]);
    }
    for (i, o) in job.plan.outputs.iter().enumerate() {
        all.push((Class::Cotangent(i as u32), job.len(&o.dims)));
    }
    for (class, n) in all {
        let zeros = vec![Complex64::default(); n];
        let values = job.given.get(&class).unwrap_or(&zeros);
        write_values(&dir.join(file(&job.plan, &class)), values, complex)?;
    }
    Ok(())
}

/// What the program wrote.
fn read_results(job: &Job, m: &Module, dir: &Path) -> Result<Values, String> {
    let plan = &job.plan;
    let complex = plan.dtype.is_complex();
    let mut out = Values::new();
    for entry in &plan.entries {
        let name = function(entry.kind);
        let mut read = |class: Class| -> Result<(), String> {
            let path = dir.join(format!("{}.{name}", file(plan, &class)));
            out.insert((entry.kind, class), read_values(&path, complex)?);
            Ok(())
        };
        let outputs = 0..plan.outputs.len() as u32;
        match entry.kind {
            EntryKind::Forward | EntryKind::ForwardSaving => outputs.map(Class::Output).try_for_each(read)?,
            EntryKind::Jvp => {
                outputs.flat_map(|i| [Class::Output(i), Class::Jvp(i)]).try_for_each(read)?;
            }
            EntryKind::Vjp => {
                m.grads.iter().flat_map(|f| &f.leaves).map(|&l| Class::Grad(l)).try_for_each(&mut read)?;
                let flat = read_values(&dir.join(format!("{}.params.{name}", plan.name)), complex)?;
                for (i, l) in plan.leaves.iter().enumerate() {
                    if let (Some(at), true) = (m.flat_offsets[i], l.needs_grad) {
                        let (at, n) = (at as usize, job.len(&l.dims));
                        let part = flat.get(at..at + n).ok_or("flat gradients are too short")?;
                        out.insert((entry.kind, Class::Grad(i as u32)), part.to_vec());
                    }
                }
            }
        }
    }
    Ok(out)
}

fn function(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Forward => "forward",
        EntryKind::ForwardSaving => "forward_saving",
        EntryKind::Vjp => "vjp",
        EntryKind::Jvp => "jvp",
    }
}

const RUST_MAIN: &str = r#"
/// Counts what is allocated, to see that kernels allocate nothing.
struct Counting;
static NOW: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
static PEAK: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
use std::sync::atomic::Ordering::Relaxed;
unsafe impl std::alloc::GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        unsafe { std::alloc::System.alloc(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: std::alloc::Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { std::alloc::System.dealloc(p, layout) }
    }
}
#[global_allocator]
static ALLOCATOR: Counting = Counting;
#[allow(dead_code)]
fn bytes<T>(array: &[T]) -> usize { std::mem::size_of_val(array) }
fn at(name: &str) -> std::path::PathBuf { std::path::Path::new(&std::env::args().nth(1).unwrap()).join(name) }
#[allow(dead_code)]
fn read(name: &str) -> Vec<f64> {
    std::fs::read(at(name)).unwrap().chunks(8).map(|c| f64::from_le_bytes(c.try_into().unwrap())).collect()
}
fn write(name: &str, values: Vec<f64>) {
    std::fs::write(at(name), values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).unwrap()
}
"#;

struct RustCall<'a> {
    job: &'a Job,
    m: &'a Module,
    s: String,
}

impl RustCall<'_> {
    fn plan(&self) -> &Plan {
        &self.job.plan
    }
    fn elem(&self) -> String {
        match self.plan().dtype {
            DType::F32 => "f32".into(),
            DType::F64 => "f64".into(),
            DType::C64 => format!("{}::C64", self.plan().name),
            DType::C128 => format!("{}::C128", self.plan().name),
        }
    }
    fn real(&self) -> &'static str {
        if self.plan().dtype.real() == DType::F32 { "f32" } else { "f64" }
    }
    fn read(&self, name: &str) -> String {
        let real = self.real();
        if self.plan().dtype.is_complex() {
            let elem = self.elem();
            format!(
                "read({name:?}).chunks(2).map(|c| {elem}::new(c[0] as {real}, c[1] as {real})).collect::<Vec<_>>()"
            )
        } else {
            format!("read({name:?}).into_iter().map(|x| x as {real}).collect::<Vec<_>>()")
        }
    }
    fn zeros(&self, n: usize) -> String {
        // Not zeros: what a kernel must overwrite should show if it does not.
        if self.plan().dtype.is_complex() {
            format!("vec![{}::new(7.25, -3.5); {n}]", self.elem())
        } else {
            format!("vec![7.25 as {}; {n}]", self.real())
        }
    }
    fn write(&mut self, name: &str, variable: &str) {
        let flat = if self.plan().dtype.is_complex() {
            format!("{variable}.iter().flat_map(|v| [v.re as f64, v.im as f64]).collect()")
        } else {
            format!("{variable}.iter().map(|v| *v as f64).collect()")
        };
        let _ = writeln!(self.s, "write({name:?}, {flat});");
    }
    /// Writes what `init` fills the parameters with.
    fn initial_values(&mut self) {
        let name = self.plan().name.clone();
        let zeros = self.zeros(self.m.param_count as usize);
        let _ = writeln!(self.s, "let mut drawn = {zeros};\n{name}::init({SEED}, &mut drawn).unwrap();");
        self.write(&format!("{name}.init"), "drawn");
    }
    fn families(&self, ty: &str, prefix: &str, families: &[Family], borrow: &str) -> String {
        let mut out = format!("{}::{ty} {{", self.plan().name);
        for f in families {
            let parts: Vec<String> = f.leaves.iter().map(|l| format!("{borrow}{prefix}{l}[..]")).collect();
            let value = if f.subscripted { format!("[{}]", parts.join(", ")) } else { parts[0].clone() };
            let _ = write!(out, "{}: {value},", f.name.replace('.', "_"));
        }
        out + "}"
    }
    fn outputs(&self, ty: &str, prefix: &str, borrow: &str) -> String {
        let mut out = format!("{}::{ty} {{", self.plan().name);
        for (i, o) in self.plan().outputs.iter().enumerate() {
            let _ = write!(out, "{}: {borrow}{prefix}{i}[..],", o.name.replace('.', "_"));
        }
        out + "}"
    }
    fn flat(&mut self, variable: &str, class: impl Fn(u32) -> Class) {
        let reads: Vec<String> = self
            .plan()
            .leaves
            .iter()
            .enumerate()
            .filter(|(_, l)| l.role == ArrayRole::Param)
            .map(|(i, _)| format!("{variable}.extend({});", self.read(&file(self.plan(), &class(i as u32)))))
            .collect();
        let _ = writeln!(self.s, "let mut {variable}: Vec<{}> = vec![];\n{}", self.elem(), reads.join("\n"));
    }
    fn arrays(&mut self, families: &[Family], prefix: &str, class: impl Fn(u32) -> Class) {
        for l in families.iter().flat_map(|f| f.leaves.clone()) {
            let read = self.read(&file(self.plan(), &class(l)));
            let _ = writeln!(self.s, "let {prefix}{l} = {read};");
        }
    }
    fn results(&mut self, prefix: &str, args: &mut Vec<String>) {
        for i in 0..self.plan().outputs.len() {
            let n = self.job.len(&self.plan().outputs[i].dims);
            let _ = writeln!(self.s, "let mut {prefix}{i} = {};", self.zeros(n));
        }
        args.push(format!("&mut {}", self.outputs("Outputs", prefix, "&mut ")));
    }

    /// The variables that a call borrows.
    fn arrays_of(&self, kind: EntryKind) -> Vec<String> {
        let inputs: Vec<u32> = self.m.inputs.iter().flat_map(|f| f.leaves.clone()).collect();
        let outputs = 0..self.plan().outputs.len();
        let mut out = vec!["params".to_owned(), "workspace".to_owned()];
        out.extend(inputs.iter().map(|l| format!("in{l}")));
        match kind {
            EntryKind::Forward => out.extend(outputs.map(|i| format!("out{i}"))),
            EntryKind::ForwardSaving => {
                out.push("saved".into());
                out.extend(outputs.map(|i| format!("out{i}")));
            }
            EntryKind::Vjp => {
                out.extend(["saved".into(), "grad_params".into()]);
                out.extend(outputs.map(|i| format!("ct{i}")));
                out.extend(self.m.grads.iter().flat_map(|f| &f.leaves).map(|l| format!("grad{l}")));
            }
            EntryKind::Jvp => {
                out.push("tan_params".into());
                out.extend(inputs.iter().map(|l| format!("tan{l}")));
                out.extend(outputs.flat_map(|i| [format!("out{i}"), format!("jvp{i}")]));
            }
        }
        out
    }

    fn call(&mut self, entry: &Entry) {
        let (m, plan) = (self.m, self.plan().clone());
        let mut args = Vec::new();
        let eval = |p: &tn_ir::size::Poly| p.eval(|s| self.job.size(s) as i64) as usize;
        let (saved, workspace) = (eval(&entry.saved_len), eval(&entry.workspace_len));
        if !m.sizes.is_empty() {
            let parts: Vec<String> =
                m.sizes.iter().map(|z| format!("{}: {}", m.symbols[*z].name, self.job.size(*z))).collect();
            let sizes = format!("{}::Sizes {{ {} }}", plan.name, parts.join(", "));
            let said = format!("{}::workspace_len({sizes})", plan.name);
            let _ = writeln!(self.s, "assert_eq!({said}.max({workspace}), {said});");
            if entry.kind == EntryKind::ForwardSaving {
                let _ = writeln!(self.s, "assert_eq!({}::saved_len({sizes}), {saved});", plan.name);
            }
            args.push(sizes);
        }
        self.flat("params", Class::Leaf);
        self.arrays(&m.inputs, "in", Class::Leaf);
        args.push("&params".into());
        if !m.inputs.is_empty() {
            args.push(format!("&{}", self.families("Inputs", "in", &m.inputs, "&")));
        }
        match entry.kind {
            EntryKind::Forward => self.results("out", &mut args),
            EntryKind::ForwardSaving => {
                self.results("out", &mut args);
                let _ = writeln!(self.s, "let mut saved = {};", self.zeros(saved));
                args.push("&mut saved".into());
            }
            EntryKind::Vjp => {
                // What `forward_saving` left is the variable of the block around.
                args.push("&saved".into());
                for i in 0..plan.outputs.len() as u32 {
                    let read = self.read(&file(&plan, &Class::Cotangent(i)));
                    let _ = writeln!(self.s, "let ct{i} = {read};");
                }
                args.push(format!("&{}", self.outputs("Cotangents", "ct", "&")));
                let _ = writeln!(self.s, "let mut grad_params = {};", self.zeros(m.param_count as usize));
                args.push("&mut grad_params".into());
                for l in m.grads.iter().flat_map(|f| f.leaves.clone()) {
                    let n = self.job.len(&plan.leaves[l as usize].dims);
                    let _ = writeln!(self.s, "let mut grad{l} = {};", self.zeros(n));
                }
                if !m.grads.is_empty() {
                    args.push(format!("&mut {}", self.families("InputGrads", "grad", &m.grads, "&mut ")));
                }
            }
            EntryKind::Jvp => {
                self.flat("tan_params", Class::Tangent);
                self.arrays(&m.inputs, "tan", Class::Tangent);
                args.push("&tan_params".into());
                if !m.inputs.is_empty() {
                    args.push(format!("&{}", self.families("Inputs", "tan", &m.inputs, "&")));
                }
                self.results("out", &mut args);
                self.results("jvp", &mut args);
            }
        }
        let name = function(entry.kind);
        let _ = writeln!(self.s, "let mut workspace = {};", self.zeros(workspace));
        args.push("&mut workspace".into());
        let arrays: Vec<String> = self.arrays_of(entry.kind).iter().map(|a| format!("bytes(&{a})")).collect();
        let _ = writeln!(
            self.s,
            "let (held, before) = ({}, NOW.load(Relaxed));\nPEAK.store(before, Relaxed);\n{}::{name}({}).unwrap();\n\
             let own = PEAK.load(Relaxed) - before;\nwrite(\"{}.measured.{name}\", vec![held as f64, own as f64]);",
            arrays.join(" + "),
            plan.name,
            args.join(", "),
            plan.name
        );
        let ends = |class: &Class| format!("{}.{name}", file(&plan, class));
        let outputs = plan.outputs.len() as u32;
        match entry.kind {
            EntryKind::Forward | EntryKind::ForwardSaving => {
                (0..outputs).for_each(|i| self.write(&ends(&Class::Output(i)), &format!("out{i}")));
            }
            EntryKind::Jvp => (0..outputs).for_each(|i| {
                self.write(&ends(&Class::Output(i)), &format!("out{i}"));
                self.write(&ends(&Class::Jvp(i)), &format!("jvp{i}"));
            }),
            EntryKind::Vjp => {
                for l in m.grads.iter().flat_map(|f| f.leaves.clone()) {
                    self.write(&ends(&Class::Grad(l)), &format!("grad{l}"));
                }
                self.write(&format!("{}.params.{name}", plan.name), "grad_params");
            }
        }
    }
}

/// Emits the jobs' plans as Rust, compiles them as one crate with warnings denied, and runs every entry.
///
/// # Errors
/// What any step of that printed.
pub fn run_rust(jobs: &[Job], dir: &Path) -> Result<Vec<Values>, String> {
    write_rust(jobs, dir, Runtime::Embedded)?;
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let exe = dir.join("main");
    let flags = ["--edition", "2024", "-Copt-level=1", "-Ccodegen-units=8", "-o"];
    run(Command::new(rustc).args(flags).arg(&exe).arg(dir.join("main.rs")))?;
    let results = results_of(jobs, &exe, dir)?;
    jobs.iter().try_for_each(|job| same_initial_values(job, dir))?;
    Ok(results)
}

/// The same by a crate that depends on `tn-runtime`: with versions of the kernels for several instruction sets.
///
/// # Errors
/// As for [`run_rust`].
pub fn run_rust_with_the_crate(jobs: &[Job], dir: &Path) -> Result<Vec<Values>, String> {
    write_rust(jobs, dir, Runtime::Crate)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifest = format!(
        "[package]\nname = \"emitted\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
         [[bin]]\nname = \"emitted\"\npath = \"main.rs\"\n[profile.dev]\nopt-level = 1\ndebug = false\n\
         [dependencies]\ntn-runtime = {{ path = {:?}, features = [\"std\"] }}\n",
        root.join("crates").join("tn-runtime")
    );
    std::fs::write(dir.join("Cargo.toml"), manifest).map_err(io)?;
    // the versions of the workspace, whose own tests may do without some of them
    std::fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).map_err(io)?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let target = dir.join("target");
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet"]).current_dir(dir).env("CARGO_TARGET_DIR", &target);
    run(&mut build)?;
    let results = results_of(jobs, &target.join("debug").join("emitted"), dir)?;
    jobs.iter().try_for_each(|job| same_initial_values(job, dir))?;
    Ok(results)
}

fn results_of(jobs: &[Job], exe: &Path, dir: &Path) -> Result<Vec<Values>, String> {
    run(Command::new(exe).arg(dir))?;
    jobs.iter()
        .map(|job| {
            let m = lower_plan(&job.plan, Target::Cpu).map_err(|e| e.to_string())?;
            read_results(job, &m, dir)
        })
        .collect()
}

/// What initial values are drawn with.
const SEED: u64 = 7;

/// `init` of a module fills the parameters with the bytes that the command line writes.
fn same_initial_values(job: &Job, dir: &Path) -> Result<(), String> {
    let (plan, file) = (&job.plan, dir.join(format!("{}.init", job.plan.name)));
    let isometry = |l: &tn_plan::ir::LeafInfo| {
        l.role == ArrayRole::Param
            && matches!(l.init, Some(tn_ir::program::Init::Isometry))
            && job.len(&l.dims) > 4096
    };
    if !plan.leaves.iter().any(|l| l.role == ArrayRole::Param) || plan.leaves.iter().any(isometry) {
        return if file.exists() { Err(format!("{}: what does `init` fill?", plan.name)) } else { Ok(()) };
    }
    let drawn = read_values(&file, plan.dtype.is_complex())?;
    let wanted =
        tn_driver::init::initial_parameters(&plan.leaves, plan.dtype, SEED).map_err(|e| e.to_string())?;
    let wanted = wanted.iter().flat_map(|(_, a)| a.elements.to_complex());
    match wanted.eq(drawn) {
        true => Ok(()),
        false => Err(format!("{}: `init` differs from the command line", plan.name)),
    }
}

/// Writes the modules of the jobs, a main file that runs every entry, and the arrays that it reads.
fn write_rust(jobs: &[Job], dir: &Path, runtime: Runtime) -> Result<(), String> {
    let (mut mods, mut functions, mut body) = (String::new(), String::new(), String::new());
    for job in jobs {
        let m = lower_plan(&job.plan, Target::Cpu).map_err(|e| e.to_string())?;
        let name = &job.plan.name;
        let options = RustOptions { file_stem: name.clone(), runtime };
        let f = emit_rust(&job.plan, &options).map_err(|e| format!("{name}: {e}"))?;
        std::fs::write(dir.join(&f.name), &f.text).map_err(io)?;
        let _ = writeln!(mods, "mod {name};");
        write_given(job, dir)?;
        let mut call = RustCall { job, m: &m, s: String::new() };
        if f.text.contains("pub fn init(") {
            call.initial_values();
        }
        job.entries().iter().for_each(|e| call.call(e));
        let _ = write!(functions, "#[allow(non_snake_case)]\nfn run_{name}() {{\n{}}}\n", call.s);
        let _ = writeln!(body, "run_{name}();");
    }
    let main = format!(
        "#![deny(warnings)]\n#![allow(unused_mut, unused_variables)]\n{mods}\n{RUST_MAIN}\n{functions}\nfn main() {{\n{body}}}\n"
    );
    std::fs::write(dir.join("main.rs"), main).map_err(io)
}

/// What a run of [`run_rust`] measured for an entry: the bytes of the arrays that it was given, and the most bytes that it allocated itself.
///
/// # Errors
/// The entry did not run.
pub fn measured(job: &Job, kind: EntryKind, dir: &Path) -> Result<(u128, u128), String> {
    let path = dir.join(format!("{}.measured.{}", job.plan.name, function(kind)));
    let values = read_values(&path, false)?;
    match values.as_slice() {
        [held, own] => Ok((held.re as u128, own.re as u128)),
        _ => Err(format!("{} is malformed", path.display())),
    }
}

const CUDA_MAIN: &str = r#"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>
static std::string folder;
static FILE *open_file(const char *name, const char *mode) {
    FILE *f = fopen((folder + "/" + name).c_str(), mode);
    if (!f) { fprintf(stderr, "no file %s\n", name); exit(1); }
    return f;
}
template <class R> void read(const char *name, std::vector<R> &to) {
    FILE *f = open_file(name, "rb"); double x;
    while (fread(&x, 8, 1, f) == 1) to.push_back(R(x));
    fclose(f);
}
template <class R> void write(const char *name, const std::vector<R> &from) {
    FILE *f = open_file(name, "wb");
    for (double x : from) if (fwrite(&x, 8, 1, f) != 1) exit(1);
    fclose(f);
}
static void expect_zero(int code, const char *what) { if (code != 0) { fprintf(stderr, "%s: code %d\n", what, code); exit(1); } }
"#;

struct CudaCall<'a> {
    job: &'a Job,
    m: &'a Module,
    s: String,
}

impl CudaCall<'_> {
    fn real(&self) -> &'static str {
        if self.job.plan.dtype.real() == DType::F32 { "float" } else { "double" }
    }
    fn fresh(&mut self, name: &str, n: usize) {
        let n = if self.job.plan.dtype.is_complex() { 2 * n } else { n };
        let _ = writeln!(self.s, "std::vector<{}> {name}({n}, 7.25);", self.real());
    }
    fn read(&mut self, name: &str, files: &[String]) {
        let _ = writeln!(self.s, "std::vector<{}> {name};", self.real());
        for f in files {
            let _ = writeln!(self.s, "read({f:?}, {name});");
        }
    }
    fn flat(&mut self, name: &str, class: impl Fn(u32) -> Class) {
        let plan = &self.job.plan;
        let files: Vec<String> = plan
            .leaves
            .iter()
            .enumerate()
            .filter(|(_, l)| l.role == ArrayRole::Param)
            .map(|(i, _)| file(plan, &class(i as u32)))
            .collect();
        self.read(name, &files);
    }
    fn pointers(&mut self, families: &[Family], prefix: &str, constness: &str, args: &mut Vec<String>) {
        for (k, f) in families.iter().enumerate() {
            if f.subscripted {
                let parts: Vec<String> = f.leaves.iter().map(|l| format!("{prefix}{l}.data()")).collect();
                let real = self.real();
                let _ = writeln!(self.s, "{constness} {real} *{prefix}s{k}[] = {{{}}};", parts.join(", "));
                args.push(format!("{prefix}s{k}"));
            } else {
                args.push(format!("{prefix}{}.data()", f.leaves[0]));
            }
        }
    }
    fn call(&mut self, entry: &Entry, open: &mut bool) {
        let (m, job) = (self.m, self.job);
        let plan = &job.plan;
        // `vjp` reads what `forward_saving` of the same block left; every other entry has a block of its own.
        if entry.kind != EntryKind::Vjp {
            if *open {
                self.s.push_str("}\n");
            }
            self.s.push_str("{\n");
            *open = true;
        }
        let name = function(entry.kind);
        let v = |x: &str| format!("{x}_{name}");
        let eval = |p: &tn_ir::size::Poly| p.eval(|s| job.size(s) as i64) as usize;
        let mut args: Vec<String> = m.sizes.iter().map(|z| job.size(*z).to_string()).collect();
        self.flat(&v("params"), Class::Leaf);
        args.push(format!("{}.data()", v("params")));
        for l in m.inputs.iter().flat_map(|f| f.leaves.clone()) {
            self.read(&format!("in_{name}_{l}"), &[file(plan, &Class::Leaf(l))]);
        }
        self.pointers(&m.inputs, &format!("in_{name}_"), "const", &mut args);
        let mut results: Vec<(Class, String)> = Vec::new();
        let mut outputs =
            |c: &mut Self, prefix: &str, args: &mut Vec<String>, class: &dyn Fn(u32) -> Class| {
                for (i, o) in plan.outputs.iter().enumerate() {
                    let variable = format!("{prefix}_{name}_{i}");
                    c.fresh(&variable, job.len(&o.dims));
                    args.push(format!("{variable}.data()"));
                    results.push((class(i as u32), variable));
                }
            };
        match entry.kind {
            EntryKind::Forward => outputs(self, "out", &mut args, &Class::Output),
            EntryKind::ForwardSaving => {
                outputs(self, "out", &mut args, &Class::Output);
                self.fresh("saved", eval(&entry.saved_len));
                args.push("saved.data()".into());
            }
            EntryKind::Vjp => {
                args.push("saved.data()".into());
                for i in 0..plan.outputs.len() as u32 {
                    self.read(&format!("ct_{i}"), &[file(plan, &Class::Cotangent(i))]);
                    args.push(format!("ct_{i}.data()"));
                }
                self.fresh("grad_params", m.param_count as usize);
                args.push("grad_params.data()".into());
                for l in m.grads.iter().flat_map(|f| f.leaves.clone()) {
                    self.fresh(&format!("grad_{l}"), job.len(&plan.leaves[l as usize].dims));
                    results.push((Class::Grad(l), format!("grad_{l}")));
                }
                self.pointers(&m.grads, "grad_", "", &mut args);
            }
            EntryKind::Jvp => {
                self.flat("tan_params", Class::Tangent);
                args.push("tan_params.data()".into());
                for l in m.inputs.iter().flat_map(|f| f.leaves.clone()) {
                    self.read(&format!("tan_{l}"), &[file(plan, &Class::Tangent(l))]);
                }
                self.pointers(&m.inputs, "tan_", "const", &mut args);
                outputs(self, "out", &mut args, &Class::Output);
                outputs(self, "jvp", &mut args, &Class::Jvp);
            }
        }
        self.fresh(&v("workspace"), eval(&entry.workspace_len));
        args.extend([format!("{}.data()", v("workspace")), "nullptr".into()]);
        let _ = writeln!(self.s, "expect_zero({0}_{name}({1}), \"{0}_{name}\");", plan.name, args.join(", "));
        for (class, variable) in results {
            let _ = writeln!(self.s, "write(\"{}.{name}\", {variable});", file(plan, &class));
        }
        if entry.kind == EntryKind::Vjp {
            let _ = writeln!(self.s, "write(\"{}.params.{name}\", grad_params);", plan.name);
        }
    }
}

/// Writes the jobs' plans as CUDA into `dir`, gathered in `all.cu`; returns the text of the headers.
///
/// # Errors
/// The plan has no kernels; a file cannot be written.
pub fn write_cuda(jobs: &[Job], dir: &Path) -> Result<String, String> {
    let (mut all, mut headers) = (String::new(), String::new());
    for job in jobs {
        let files =
            emit_cuda(&job.plan, &CudaOptions::default()).map_err(|e| format!("{}: {e}", job.plan.name))?;
        for f in &files {
            std::fs::write(dir.join(&f.name), &f.text).map_err(io)?;
        }
        let _ = writeln!(all, "#include {:?}", files[0].name);
        let _ = writeln!(headers, "#include {:?}", files[1].name);
    }
    std::fs::write(dir.join("all.cu"), all).map_err(io)?;
    Ok(headers)
}

/// Emits the jobs' plans as CUDA, compiles them for the simulation on the CPU, and runs every entry.
///
/// # Errors
/// What any step of that printed.
pub fn run_cuda(jobs: &[Job], dir: &Path) -> Result<Vec<Values>, String> {
    let headers = write_cuda(jobs, dir)?;
    let (mut functions, mut body) = (String::new(), String::new());
    for job in jobs {
        write_given(job, dir)?;
        let m = lower_plan(&job.plan, Target::Gpu).map_err(|e| e.to_string())?;
        let (mut call, mut open) = (CudaCall { job, m: &m, s: String::new() }, false);
        job.entries().iter().for_each(|e| call.call(e, &mut open));
        let close = if open { "}" } else { "" };
        let _ = write!(functions, "static void run_{}() {{\n{}{close}\n}}\n", job.plan.name, call.s);
        let _ = writeln!(body, "run_{}();", job.plan.name);
    }
    std::fs::write(dir.join("cusim.hpp"), CUSIM_HPP).map_err(io)?;
    let main = format!(
        "{headers}{CUDA_MAIN}{functions}int main(int, char **argv) {{\nfolder = argv[1];\n{body}}}\n"
    );
    std::fs::write(dir.join("main.cpp"), main).map_err(io)?;
    let cxx = std::env::var("CXX").unwrap_or_else(|_| "g++".into());
    let exe = dir.join("main");
    let flags = ["-std=c++17", "-O1", "-Wall", "-Werror", "-o"];
    let mut c = Command::new(cxx);
    c.args(flags).arg(&exe).args(["-x", "c++"]).arg(dir.join("all.cu")).arg(dir.join("main.cpp"));
    run(&mut c)?;
    run(Command::new(exe).arg(dir))?;
    jobs.iter()
        .map(|job| {
            let m = lower_plan(&job.plan, Target::Gpu).map_err(|e| e.to_string())?;
            read_results(job, &m, dir)
        })
        .collect()
}
