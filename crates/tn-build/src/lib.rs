//! `.tn` networks as Rust modules of the crate that is being built. In `build.rs`:
//!
//! ```no_run
//! fn main() -> Result<(), tn_build::Error> {
//!     tn_build::Builder::new().network("tt_linear").grad(true).compile("layers.tn")
//! }
//! ```
//!
//! and in the crate:
//!
//! ```text
//! mod layers {
//!     include!(concat!(env!("OUT_DIR"), "/layers.rs"));
//! }
//! // layers::tt_linear::forward(…)
//! ```
//!
//! The file has one module a network, with `forward`, and if asked for `forward_saving`, `vjp` and `jvp`; kernels take their workspace from the
//! caller and allocate nothing. The plan comes from a counted search or from a plan file, never from a clock or a cache, so equal
//! sources give equal code on every machine. Cargo is told to run the script again when any file that was read changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tn_driver::emit::{Emission, emit};
use tn_driver::{Options, Source};

/// Why no code was made. Its `Debug` form is the text for people, since that is what Cargo shows of a failing script.
pub struct Error(String);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\n{}", self.0)
    }
}

impl std::error::Error for Error {}

impl From<tn_driver::Error> for Error {
    fn from(e: tn_driver::Error) -> Error {
        Error(e.to_string())
    }
}

/// Where generated code finds the functions that it uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtime {
    /// Written into each module.
    #[default]
    Inline,
    /// The crate `tn-runtime`, which the crate must depend on.
    Crate,
}

/// What to make, and how. See the crate's documentation.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    networks: Vec<String>,
    options: Options,
    runtime: Runtime,
    plan: Option<PathBuf>,
    out_dir: Option<PathBuf>,
    file_name: Option<String>,
}

impl Builder {
    /// All networks of the file, forward only, functions written into the module.
    pub fn new() -> Builder {
        Builder::default()
    }
    /// Only this network (and others named so). Without it every network of the file is compiled.
    pub fn network(mut self, name: impl Into<String>) -> Builder {
        self.networks.push(name.into());
        self
    }
    /// A parameter of the networks: `set("rank", 16)`.
    pub fn set(mut self, name: impl Into<String>, value: impl ToString) -> Builder {
        self.options.set.push((name.into(), value.to_string()));
        self
    }
    /// Also `forward_saving` and `vjp`.
    pub fn grad(mut self, yes: bool) -> Builder {
        self.options.grad = yes;
        self
    }
    /// Also `jvp`.
    pub fn jvp(mut self, yes: bool) -> Builder {
        self.options.jvp = yes;
        self
    }
    /// Which leaves need a gradient: `"w.*,bias"`.
    pub fn wrt(mut self, patterns: impl Into<String>) -> Builder {
        self.options.wrt = Some(patterns.into());
        self
    }
    /// Limit on the bytes that are live at the worst moment.
    pub fn memory(mut self, bytes: u64) -> Builder {
        self.options.memory = Some(bytes);
        self
    }
    /// Limit on the elements of the largest result.
    pub fn max_size(mut self, elements: u64) -> Builder {
        self.options.max_size = Some(elements);
        self
    }
    /// Trials of the search.
    pub fn trials(mut self, n: u32) -> Builder {
        self.options.trials = Some(n);
        self
    }
    /// Seed of the search.
    pub fn seed(mut self, seed: u64) -> Builder {
        self.options.seed = seed;
        self
    }
    /// A built-in machine's name or a machine file.
    pub fn machine(mut self, name: impl Into<String>) -> Builder {
        self.options.machine = Some(name.into());
        self
    }
    /// Where generated code finds the functions that it uses.
    pub fn runtime(mut self, runtime: Runtime) -> Builder {
        self.runtime = runtime;
        self
    }
    /// A plan that `tnc plan -o` wrote: no search at build time. The source given to `compile` is then only watched for changes.
    pub fn plan_file(mut self, path: impl Into<PathBuf>) -> Builder {
        self.plan = Some(path.into());
        self
    }
    /// The folder to write into, instead of `OUT_DIR`.
    pub fn out_dir(mut self, path: impl Into<PathBuf>) -> Builder {
        self.out_dir = Some(path.into());
        self
    }
    /// The file to write, instead of the source's name with the ending `.rs`.
    pub fn file_name(mut self, name: impl Into<String>) -> Builder {
        self.file_name = Some(name.into());
        self
    }

    /// Compiles the networks of a `.tn` file into one Rust file, and prints the lines that tell Cargo which files to watch.
    ///
    /// # Errors
    /// Diagnostics of the source, no plan within the limits, a file that cannot be read or written, or no `OUT_DIR`.
    pub fn compile(&self, source: impl AsRef<Path>) -> Result<(), Error> {
        let made = self.generate(source.as_ref());
        // A source with an error must be watched too, or mending it would go unnoticed.
        let watched = match &made {
            Ok(made) => made.watched.clone(),
            Err(_) => BTreeSet::from([source.as_ref().to_path_buf()]),
        };
        for path in watched {
            println!("cargo:rerun-if-changed={}", path.display());
        }
        let made = made?;
        let dir = match &self.out_dir {
            Some(dir) => dir.clone(),
            None => std::env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| {
                Error("`OUT_DIR` is not set, help: call this from a `build.rs`, or set `out_dir`".into())
            })?,
        };
        let name = match &self.file_name {
            Some(name) => name.clone(),
            None => {
                let stem = source.as_ref().file_stem().unwrap_or_default().to_string_lossy().into_owned();
                format!("{stem}.rs")
            }
        };
        let path = dir.join(name);
        // A file that has not changed is not touched, so that nothing is compiled again.
        if std::fs::read(&path).is_ok_and(|old| old == made.text.as_bytes()) {
            return Ok(());
        }
        tn_driver::data::write_whole(&path, made.text.as_bytes()).map_err(|e| Error(e.to_string()))
    }

    /// The text that [`Builder::compile`] writes, and the files that it was made from.
    ///
    /// # Errors
    /// As for [`Builder::compile`].
    pub fn generate(&self, source: &Path) -> Result<Generated, Error> {
        let mut watched = BTreeSet::from([source.to_path_buf()]);
        let emission = Emission::Rust { runtime_crate: self.runtime == Runtime::Crate, c_abi: false };
        let mut text = String::new();
        if let Some(machine) = self.options.machine.as_ref().map(PathBuf::from).filter(|p| p.is_file()) {
            watched.insert(machine);
        }
        if let Some(path) = &self.plan {
            watched.insert(path.clone());
            let plan = tn_driver::load_plan(path)?;
            tn_driver::has_entries(&plan, &self.options)?;
            module(&mut text, &plan.name, &emit(&plan, emission)?);
            return Ok(Generated { text, watched });
        }
        let names =
            if self.networks.is_empty() { tn_driver::network_names(source)? } else { self.networks.clone() };
        if names.is_empty() {
            return Err(Error(format!("`{}` has no network", source.display())));
        }
        for name in names {
            let options = Options { network: Some(name.clone()), ..self.options.clone() };
            let compiled = tn_driver::compile(&Source::File(source.to_path_buf()), &options)?;
            watched.extend(compiled.prepared.files.iter().cloned());
            module(&mut text, &name, &emit(compiled.plan()?, emission)?);
        }
        Ok(Generated { text, watched })
    }
}

/// Generated code and what it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Rust: one module a network.
    pub text: String,
    /// Files whose change makes it out of date.
    pub watched: BTreeSet<PathBuf>,
}

fn module(out: &mut String, network: &str, files: &[(String, String)]) {
    out.push_str(&format!("/// The network `{network}`.\npub mod {} {{\n", identifier(network)));
    for (_, text) in files {
        out.push_str(text);
    }
    out.push_str("}\n");
}

/// A network's name as a module's: names of the language are identifiers, but may be words of Rust.
fn identifier(name: &str) -> String {
    const WORDS: &str = "as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod move mut pub ref return self static struct super trait true type unsafe use where while yield abstract become box do final gen macro override priv try typeof unsized virtual";
    if WORDS.split(' ').any(|w| w == name) { format!("{name}_") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_rust_are_no_module_names() {
        assert_eq!(identifier("loop"), "loop_");
        assert_eq!(identifier("layer"), "layer");
    }

    #[test]
    fn a_failing_script_shows_the_text() {
        let error = Builder::new().compile("no/such/file.tn").unwrap_err();
        assert!(format!("{error:?}").contains("no/such/file.tn"), "{error:?}");
    }

    #[test]
    fn one_module_a_network_and_every_import_is_watched() {
        let dir = tempfile::tempdir().unwrap();
        let (main, shared) = (dir.path().join("layers.tn"), dir.path().join("shared.tn"));
        std::fs::write(&shared, "fn width() -> int { return 3 }\n").unwrap();
        let text = "use \"shared.tn\"\n\
                    network a { index i: width(), j: 2\n param w[i, j]\n input x[j]\n output y[i] = w[i, j] * x[j] }\n\
                    network b { index i: width()\n param v[i]\n output z[] = v[i] * v[i] }\n";
        std::fs::write(&main, text).unwrap();
        let made = Builder::new().grad(true).generate(&main).unwrap();
        assert!(made.text.contains("pub mod a {") && made.text.contains("pub mod b {"));
        assert!(made.watched.contains(&main), "{:?}", made.watched);
        assert!(made.watched.iter().any(|p| p.ends_with("shared.tn")), "{:?}", made.watched);
        assert_eq!(made, Builder::new().grad(true).generate(&main).unwrap());
        let one = Builder::new().network("b").out_dir(dir.path()).file_name("only.rs");
        one.compile(&main).unwrap();
        assert!(!std::fs::read_to_string(dir.path().join("only.rs")).unwrap().contains("mod a"));
    }
}
