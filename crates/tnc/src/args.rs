//! The command line as types. Options that most commands take stand in [`Common`].

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tn_driver::paths::{self, PathFile};
use tn_driver::values;
use tn_driver::{Error, Minimize, Options, Source};
use tn_ir::dtype::DType;

/// A compiler and planner for tensor networks.
///
/// Exit status: 0 done; 1 the input is wrong; 2 usage; 3 no plan within the limits; 4 input or output failed.
#[derive(Debug, Parser)]
#[command(name = "tnc", version, max_term_width = 100)]
pub struct Cli {
    /// Say nothing but the result and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// When to colour diagnostics
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check files and say what they build: leaves, parameters, open legs, regions
    Check(Check),
    /// Format `.tn` files in place
    Fmt(Fmt),
    /// Plan a contraction and report its cost, or write a plan file
    Plan(Plan),
    /// Write Rust or CUDA kernels
    Emit(Emit),
    /// Run a network on arrays from files
    Run(Run),
    /// Compare gradients with central differences in f64
    GradCheck(GradCheck),
    /// Write initial parameters by the language's rules
    Init(Init),
    /// Explain a plan, a network or an error code
    Explain(Explain),
    /// Draw a network, or the tree of a plan
    Draw(Draw),
    /// Measure this machine's rates and write a machine file
    Calibrate(Calibrate),
}

/// What to compile.
#[derive(Clone, Debug, Args)]
pub struct What {
    /// A `.tn` file, a `.json` einsum instance, or a `.ron` plan
    #[arg(value_name = "FILE", required_unless_present = "einsum", conflicts_with = "einsum")]
    pub file: Option<PathBuf>,
    /// An einsum expression instead of a file: `ab,bc->ac`
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub einsum: Option<String>,
    /// Sizes of its indices: `a=2,b=3`
    #[arg(long, value_name = "SIZES", requires = "einsum", conflicts_with = "file", value_parser = parse_sizes)]
    pub sizes: Option<Sizes>,
    /// Element type of an einsum or instance: f32, f64, c64, c128
    #[arg(long, value_parser = parse_dtype)]
    pub dtype: Option<DType>,
    /// Which network of the file
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// A parameter of the network; may be repeated
    #[arg(long, value_name = "K=V", value_parser = values::pair)]
    pub set: Vec<(String, String)>,
}

/// Sizes of einsum indices.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizes(pub Vec<(String, u64)>);

fn parse_sizes(text: &str) -> Result<Sizes, String> {
    values::sizes(text).map(Sizes)
}

fn parse_dtype(text: &str) -> Result<DType, String> {
    DType::parse(text).ok_or_else(|| format!("`{text}` is no element type, help: use f32, f64, c64 or c128"))
}

/// How to search.
#[derive(Clone, Debug, Args)]
pub struct Search {
    /// Limit on the peak of live bytes: `64MiB`
    #[arg(long, value_name = "BYTES", value_parser = values::bytes)]
    pub memory: Option<u64>,
    /// Limit on the elements of the largest result: `2^27`
    #[arg(long, value_name = "N", value_parser = values::positive)]
    pub max_size: Option<u64>,
    /// Limit on the time of the search: `10s`
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub max_time: Option<Duration>,
    /// Trials of the search
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub trials: Option<u32>,
    /// How long to search, counted: fast, auto or best; `--trials` and `--max-time` go before it
    #[arg(long, value_enum, default_value_t = Preset::Auto, value_name = "PRESET")]
    pub preset: Preset,
    /// Seed of all random choices
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Threads (0: all cores); the plan does not depend on it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// The objective
    #[arg(long, value_enum, default_value_t = Objective::Time)]
    pub minimize: Objective,
    /// A built-in machine's name, or a file that `tnc calibrate` wrote
    #[arg(long, value_name = "NAME|FILE")]
    pub machine: Option<String>,
    /// Which leaves need a gradient: `w.*,bias`
    #[arg(long, value_name = "PATTERNS")]
    pub wrt: Option<String>,
    /// Switch groups of rewrites off: `structure,sums`, or `all`
    #[arg(long, value_name = "GROUPS", default_value = "", hide_default_value = true)]
    pub without: tn_driver::Rules,
    /// Nodes that the joint optimiser's graph may have
    #[arg(long, value_name = "N")]
    pub egraph_nodes: Option<usize>,
    /// Rounds of the joint optimiser
    #[arg(long, value_name = "N")]
    pub egraph_steps: Option<usize>,
    /// Take contraction paths from a file instead of a search: opt_einsum's, or what `plan` wrote
    #[arg(long, value_name = "FILE")]
    pub path: Option<PathBuf>,
    /// How `--path` names tensors: linear (positions), ssa, or auto
    #[arg(long, value_enum, default_value_t = PathFormat::Auto, value_name = "FORMAT", requires = "path")]
    pub path_format: PathFormat,
    /// Search on from the given paths; the plan is never worse
    #[arg(long, requires = "path")]
    pub refine: bool,
    /// Search on from the best plan that is kept; the plan is never worse
    #[arg(long, conflicts_with_all = ["no_cache", "path"])]
    pub resume: bool,
    /// Neither read nor write the cache of plans
    #[arg(long)]
    pub no_cache: bool,
    /// Print an intermediate form instead of the result
    #[arg(long, value_enum, value_name = "FORM")]
    pub print: Option<Form>,
}

/// Objectives by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Objective {
    Time,
    Macs,
    Size,
    Peak,
    Bytes,
}

/// Budgets by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Preset {
    Fast,
    Auto,
    Best,
}

/// Formats of contraction paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum PathFormat {
    Auto,
    Linear,
    Ssa,
}

/// Formats of contraction paths that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum WrittenPath {
    Linear,
    Ssa,
}

/// Intermediate forms that `--print` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Form {
    Ast,
    Program,
    Network,
    Plan,
    Kernels,
}

impl From<Form> for tn_driver::print::Form {
    fn from(form: Form) -> Self {
        use tn_driver::print::Form as F;
        match form {
            Form::Ast => F::Ast,
            Form::Program => F::Program,
            Form::Network => F::Network,
            Form::Plan => F::Plan,
            Form::Kernels => F::Kernels,
        }
    }
}

/// Forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Format {
    Text,
    Json,
    Ron,
}

/// `tnc check`
#[derive(Debug, Args)]
pub struct Check {
    /// `.tn` files, `.json` einsum instances
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Which network (the report is on all of them otherwise)
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// A parameter of the network; may be repeated
    #[arg(long, value_name = "K=V", value_parser = values::pair)]
    pub set: Vec<(String, String)>,
    /// text, or json for the array of diagnostics
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Print an intermediate form instead of the report
    #[arg(long, value_enum, value_name = "FORM")]
    pub print: Option<Form>,
    /// Write the result to a file
    #[arg(short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `tnc fmt`
#[derive(Debug, Args)]
pub struct Fmt {
    /// `.tn` files
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Change nothing; exit 1 and name the files that are not formatted
    #[arg(long)]
    pub check: bool,
}

/// `tnc plan`
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub search: Search,
    /// Plan the gradient too
    #[arg(long)]
    pub grad: bool,
    /// Plan forward mode too
    #[arg(long)]
    pub jvp: bool,
    /// text, json, or ron (a plan file)
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Tabulate costs against a parameter: `chi=4..64` or `chi=4..64:4`
    #[arg(long, value_name = "K=A..B[:S]", value_parser = values::sweep)]
    pub sweep: Option<values::Sweep>,
    /// Print the exact leading power of the cost in a parameter
    #[arg(long, value_name = "PARAM", conflicts_with = "sweep")]
    pub scaling: Option<String>,
    /// Print what less memory costs in time: plans that no other beats in both
    #[arg(long, conflicts_with_all = ["sweep", "scaling"])]
    pub pareto: bool,
    /// Write the contraction paths too, as opt_einsum reads them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sweep", "scaling"])]
    pub write_path: Option<PathBuf>,
    /// How `--write-path` names tensors: linear (positions) or ssa
    #[arg(long, value_enum, default_value_t = WrittenPath::Linear, value_name = "FORMAT", requires = "write_path")]
    pub write_path_format: WrittenPath,
    /// Draw the contraction tree and the memory over time too, as SVG
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sweep", "scaling"])]
    pub plot: Option<PathBuf>,
    /// Write the result to a file; a name that ends in `.ron` writes the plan
    #[arg(short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Targets of `emit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Target {
    Rust,
    Cuda,
}

/// Where generated Rust finds its runtime functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Runtime {
    /// Written into the module
    Inline,
    /// In the crate `tn-runtime`
    Crate,
}

/// Who calls generated Rust, beside Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Abi {
    /// C, and what calls C: a header, and a crate that makes a shared and a static library
    C,
}

/// `tnc emit`
#[derive(Debug, Args)]
pub struct Emit {
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub search: Search,
    /// rust or cuda
    #[arg(long, value_enum)]
    pub target: Target,
    /// Where generated Rust finds its runtime functions
    #[arg(long, value_enum, default_value_t = Runtime::Inline)]
    pub runtime: Runtime,
    /// Write a header too, and a crate that exports the entries
    #[arg(long, value_enum)]
    pub abi: Option<Abi>,
    /// Emit `forward_saving` and `vjp` too
    #[arg(long)]
    pub grad: bool,
    /// Emit `jvp` too
    #[arg(long)]
    pub jvp: bool,
    /// The folder to write into
    #[arg(short, value_name = "DIR", required = true)]
    pub output: PathBuf,
}

/// `tnc run`
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub search: Search,
    /// A `.npz` or `.safetensors` file, or `NAME=FILE.npy`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub data: Vec<String>,
    /// Compute gradients: cotangents are `ct.<output>`, results `grad.<leaf>`
    #[arg(long)]
    pub grad: bool,
    /// Compute tangents: `tan.<leaf>` in, `jvp.<output>` out
    #[arg(long)]
    pub jvp: bool,
    /// Round entries to the network's type where they do not fit exactly
    #[arg(long)]
    pub cast: bool,
    /// Report modelled beside measured time, step by step
    #[arg(long)]
    pub timings: bool,
    /// Form of the report on stdout
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Where the results go: `.npz`, `.safetensors`, or `.npy` for a single one
    #[arg(short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `tnc grad-check`
#[derive(Debug, Args)]
pub struct GradCheck {
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub search: Search,
    /// A `.npz` or `.safetensors` file, or `NAME=FILE.npy`; arrays that are not given are random
    #[arg(long, value_name = "FILE")]
    pub data: Vec<String>,
    /// text or json
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The largest relative error that passes
    #[arg(long, default_value_t = 1e-6)]
    pub tolerance: f64,
    /// Write the report to a file
    #[arg(short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `tnc init`
#[derive(Debug, Args)]
pub struct Init {
    #[command(flatten)]
    pub what: What,
    /// Seed of the random entries
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// `.safetensors` or `.npz`
    #[arg(short, value_name = "FILE", required = true)]
    pub output: PathBuf,
}

/// `tnc explain`
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub search: Search,
    /// Explain the gradient too
    #[arg(long)]
    pub grad: bool,
    /// text, or json: a record that `--check` replays
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Replay a record: every rule is applied again and must end at the same plan
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    pub check: Option<PathBuf>,
    /// Write the result to a file
    #[arg(short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Forms of a drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Drawing {
    Dot,
    Svg,
}

/// `tnc draw`
#[derive(Debug, Args)]
pub struct Draw {
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub search: Search,
    /// dot or svg (by the ending of the output's name if absent, else svg)
    #[arg(long, value_enum)]
    pub format: Option<Drawing>,
    /// Draw the contraction tree instead of the network
    #[arg(long)]
    pub tree: bool,
    /// Write the drawing to a file
    #[arg(short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `tnc calibrate`
#[derive(Debug, Args)]
pub struct Calibrate {
    /// Threads (0: all cores)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// The machine's name in reports
    #[arg(long, value_name = "NAME", default_value = "calibrated")]
    pub name: String,
    /// Write the machine file here instead of stdout
    #[arg(short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl What {
    /// The source that these options name.
    pub fn source(&self) -> Source {
        match (&self.file, &self.einsum) {
            (Some(file), _) => Source::of_path(file),
            (None, expression) => Source::Einsum {
                expression: expression.clone().unwrap_or_default(),
                sizes: self.sizes.clone().map(|s| s.0).unwrap_or_default(),
            },
        }
    }
    /// Options of the driver that say what, with the search's defaults.
    pub fn options(&self) -> Options {
        Options {
            network: self.network.clone(),
            set: self.set.clone(),
            dtype: self.dtype,
            ..Options::default()
        }
    }
}

impl Search {
    /// Adds these options to the driver's. Plans are neither kept nor looked up: that is for commands to ask for.
    ///
    /// # Errors
    /// The file of `--path` cannot be read or holds no paths.
    pub fn apply(&self, options: Options) -> Result<Options, Error> {
        let format = match self.path_format {
            PathFormat::Auto => paths::PathFormat::Auto,
            PathFormat::Linear => paths::PathFormat::Linear,
            PathFormat::Ssa => paths::PathFormat::Ssa,
        };
        let path = self.path.as_ref().map(|p| PathFile::read(p, format)).transpose()?;
        Ok(Options {
            preset: match self.preset {
                Preset::Fast => tn_driver::Preset::Fast,
                Preset::Auto => tn_driver::Preset::Auto,
                Preset::Best => tn_driver::Preset::Best,
            },
            path: path.map(Arc::new),
            refine: self.refine,
            resume: self.resume,
            memory: self.memory,
            max_size: self.max_size,
            max_time: self.max_time,
            trials: self.trials,
            seed: self.seed,
            threads: self.threads,
            minimize: match self.minimize {
                Objective::Time => Minimize::Time,
                Objective::Macs => Minimize::Macs,
                Objective::Size => Minimize::Size,
                Objective::Peak => Minimize::Peak,
                Objective::Bytes => Minimize::Bytes,
            },
            machine: self.machine.clone(),
            wrt: self.wrt.clone(),
            rules: self.without,
            egraph_nodes: self.egraph_nodes,
            egraph_steps: self.egraph_steps,
            ..options
        })
    }
    /// The user's folder of kept plans, unless it was forbidden.
    pub fn cache(&self) -> Option<PathBuf> {
        tn_driver::cache::folder().filter(|_| !self.no_cache)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_einsum_needs_no_file_and_excludes_one() {
        let cli = parse("tnc plan --einsum ab,bc->ac --sizes a=2,b=3,c=4 --memory 64MiB --seed 7").unwrap();
        let Command::Plan(plan) = cli.command else { panic!("another command") };
        let Source::Einsum { expression, sizes } = plan.what.source() else { panic!("another source") };
        assert_eq!((expression.as_str(), sizes.len()), ("ab,bc->ac", 3));
        let options = plan.search.apply(plan.what.options()).unwrap();
        assert_eq!((options.memory, options.seed), (Some(64 << 20), 7));
        assert!(parse("tnc plan").is_err());
        assert!(parse("tnc plan a.tn --einsum ab->b").is_err());
        assert!(parse("tnc plan a.tn --sizes a=2").is_err());
    }

    #[test]
    fn repeated_options_and_global_ones() {
        let cli =
            parse("tnc run a.tn --data x.npz --data w=w.npy --set chi=3 --set n=4 --grad --quiet").unwrap();
        assert!(cli.quiet);
        let Command::Run(run) = cli.command else { panic!("another command") };
        assert_eq!((run.data.len(), run.what.set.len(), run.grad), (2, 2, true));
    }

    #[test]
    fn bad_values_are_usage_errors() {
        for line in [
            "tnc plan a.tn --memory lots",
            "tnc plan a.tn --max-time -1s",
            "tnc plan a.tn --dtype f16",
            "tnc plan a.tn --minimize luck",
            "tnc plan a.tn --trials 0",
            "tnc plan a.tn --sweep chi",
            "tnc plan a.tn --preset eternal",
            "tnc plan a.tn --refine",
            "tnc plan a.tn --resume --no-cache",
            "tnc plan a.tn --resume --path p.json",
            "tnc plan a.tn --sweep n=1..2 --plot p.svg",
            "tnc emit a.tn -o out",
            "tnc emit a.tn --target fortran -o out",
            "tnc nothing",
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
