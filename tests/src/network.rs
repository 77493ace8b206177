//! Networks in a test: compiled by the whole road, given values, run by the executor.

use num_complex::Complex64;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tn_driver::{Compiled, Options, Source};
use tn_exec::{Element, Executor, Given};
use tn_ir::dag::ArrayRole;
use tn_ir::dtype::DType;
use tn_ir::size::{SymbolId, numel};
use tn_plan::cost::hint;
use tn_plan::ir::{Class, Entry, EntryKind, Plan};
use tn_runtime::random::Stream;

/// Values by entry and owner.
pub type Values = BTreeMap<(EntryKind, Class), Vec<Complex64>>;

/// A file of the tests' corpus.
pub fn corpus(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus/run").join(name)
}

/// An example of the repository.
pub fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name).join(format!("{name}.tn"))
}

/// Options with gradients and tangents.
pub fn all_entries() -> Options {
    Options { grad: true, jvp: true, threads: 2, ..Options::default() }
}

/// Compiles a text; a failure is the rendered error.
pub fn compile_text(text: &str, options: &Options) -> Result<Compiled, String> {
    let source = Source::Text { name: "test.tn".into(), text: text.into() };
    tn_driver::compile(&source, options).map_err(|e| e.render(false))
}

/// Compiles a file; a failure is the rendered error.
pub fn compile_file(path: PathBuf, options: &Options) -> Result<Compiled, String> {
    tn_driver::compile(&Source::of_path(&path), options).map_err(|e| e.render(false))
}

/// A plan with everything that its entries take.
#[derive(Clone, Debug)]
pub struct Job {
    /// The plan; its name is that of the emitted module.
    pub plan: Plan,
    /// Run-time sizes by symbol.
    pub sizes: Vec<u64>,
    /// Leaves, cotangents, tangents.
    pub given: BTreeMap<Class, Vec<Complex64>>,
}

impl Job {
    /// A job named `name` with values drawn from `seed`: normal inputs, cotangents and tangents, initial parameters by their rules. All
    /// run-time sizes are `dynamic`.
    ///
    /// # Errors
    /// A parameter's rule does not fit it.
    pub fn drawn(plan: &Plan, name: &str, dynamic: Option<u64>, seed: u64) -> Result<Job, String> {
        let mut plan = plan.clone();
        plan.name = name.to_owned();
        let sizes: Vec<u64> =
            plan.symbols.ids().map(|s| dynamic.unwrap_or_else(|| hint(&plan, s).max(0) as u64)).collect();
        let mut job = Job { plan, sizes, given: BTreeMap::new() };
        let draw = |stream: u64, n: usize, complex: bool| -> Vec<Complex64> {
            let s = Stream::new(seed, stream);
            let one = |i| {
                let (re, im) = s.normal_pair(i);
                Complex64::new(re, if complex { im } else { 0.0 })
            };
            (0..n as u64).map(one).collect()
        };
        let complex = job.plan.dtype.is_complex();
        let mut given = BTreeMap::new();
        for (i, leaf) in job.plan.leaves.iter().enumerate() {
            let (at, n) = (i as u32, job.len(&leaf.dims));
            match leaf.role {
                ArrayRole::Param => {
                    let values = tn_driver::init::initial_values(leaf, i, job.plan.dtype, seed)
                        .map_err(|e| e.render(false))?;
                    given.insert(Class::Leaf(at), values);
                }
                ArrayRole::Const => continue,
                _ => {
                    given.insert(Class::Leaf(at), draw(10_000 + u64::from(at), n, complex));
                }
            }
            if leaf.needs_grad {
                given.insert(Class::Tangent(at), draw(20_000 + u64::from(at), n, complex));
            }
        }
        for (i, o) in job.plan.outputs.iter().enumerate() {
            given.insert(Class::Cotangent(i as u32), draw(30_000 + i as u64, job.len(&o.dims), complex));
        }
        job.given = given;
        Ok(job)
    }
    /// The value of a run-time size.
    pub fn size(&self, s: SymbolId) -> u64 {
        self.sizes.get(s.0 as usize).copied().unwrap_or(0)
    }
    /// The entries of the schedule for the sizes.
    pub fn entries(&self) -> &[Entry] {
        self.plan.entries_at(|s| self.size(s))
    }
    /// Elements of an array with these legs.
    pub fn len(&self, dims: &[tn_ir::size::Dim]) -> usize {
        numel(dims).eval(|s| self.size(s) as i64) as usize
    }
    /// The position of a leaf.
    pub fn leaf(&self, name: &str) -> Option<u32> {
        self.plan.leaves.iter().position(|l| l.name == name).map(|i| i as u32)
    }
    /// Everything that the plan's entries compute, by the executor.
    ///
    /// # Errors
    /// Those of the executor.
    pub fn execute(&self, threads: usize) -> Result<Values, String> {
        match self.plan.dtype {
            DType::F32 => self.typed::<f32>(threads),
            DType::F64 => self.typed::<f64>(threads),
            DType::C64 => self.typed::<num_complex::Complex32>(threads),
            DType::C128 => self.typed::<Complex64>(threads),
        }
    }
    fn typed<T: Element>(&self, threads: usize) -> Result<Values, String> {
        let given = Given {
            arrays: self
                .given
                .iter()
                .map(|(c, v)| (c.clone(), v.iter().map(|&z| T::from_complex(z)).collect()))
                .collect(),
        };
        let size = |s: SymbolId| self.size(s);
        let executor = Executor::<T>::new(&self.plan, &size, threads).map_err(|e| e.to_string())?;
        let (mut out, mut saved) = (Values::new(), Vec::new());
        for entry in &self.plan.entries {
            let results = executor.run(entry.kind, &given, &mut saved).map_err(|e| e.to_string())?;
            for (class, values) in results.arrays {
                out.insert((entry.kind, class), values.iter().map(|x| x.to_complex()).collect());
            }
        }
        Ok(out)
    }
}

/// Whether two arrays agree: the difference relative to the largest modulus wanted.
///
/// # Errors
/// Says where they differ.
pub fn agree(what: &str, got: &[Complex64], want: &[Complex64], tolerance: f64) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{what} has {} entries, not {}", got.len(), want.len()));
    }
    let scale = want.iter().map(|z| z.norm()).fold(f64::MIN_POSITIVE, f64::max);
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let difference = (g - w).norm();
        if difference.is_nan() || difference > tolerance * scale {
            return Err(format!("{what}[{i}] is {g}, not {w} (of {scale:e})"));
        }
    }
    Ok(())
}

/// Whether all of `want` is in `got`.
///
/// # Errors
/// Says where they differ.
pub fn all_agree(what: &str, got: &Values, want: &Values, tolerance: f64) -> Result<(), String> {
    for (key, want) in want {
        let Some(got) = got.get(key) else { return Err(format!("{what} lacks {key:?}")) };
        agree(&format!("{what} {key:?}"), got, want, tolerance)?;
    }
    Ok(())
}

/// The files of a corpus folder by stem, in order.
///
/// # Errors
/// The folder cannot be read.
pub fn corpus_files(folder: &str) -> Result<Vec<(String, PathBuf)>, String> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(folder);
    let mut out = Vec::new();
    for entry in std::fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.extension().is_some_and(|e| e == "tn") {
            out.push((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path));
        }
    }
    out.sort();
    Ok(out)
}
