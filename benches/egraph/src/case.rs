//! What is measured: cases, their variants, and the settings of a run.

use std::path::{Path, PathBuf};
use tn_driver::{Options, Rules, Source};
use tn_plan::cost::summary_at;
use tn_plan::ir::{Plan, Summary};

/// The sections, in the order of the page.
pub const SECTIONS: [&str; 5] = ["groups", "joint", "corpus", "model", "optimising"];

/// Plans for the same values, to be compared.
pub struct Case {
    /// Shown in tables.
    pub name: String,
    /// The first is what the others' values are compared with.
    pub variants: Vec<Variant>,
}

/// A plan.
pub struct Variant {
    /// Shown in tables.
    pub label: String,
    /// The plan itself.
    pub plan: Plan,
    /// What stands for a `dyn` size when it runs; the hint if there is none.
    pub at: Option<u64>,
    /// Totals at that size.
    pub summary: Summary,
}

impl Variant {
    /// At the hints.
    pub fn new(label: String, plan: &Plan) -> Variant {
        Variant { label, plan: plan.clone(), at: None, summary: plan.summary.clone() }
    }
    /// Modelled seconds of `forward_saving` and `vjp` together, or of `forward` if there is no gradient.
    pub fn modelled(&self) -> f64 {
        self.summary.modelled_seconds
    }
}

/// How a run is done.
pub struct Settings {
    /// Fewer rounds and plans.
    pub quick: bool,
    /// The machine file.
    pub machine: Option<String>,
    /// Only cases that contain this.
    pub filter: String,
    /// Print kernels.
    pub profile: bool,
    /// Write into the docs.
    pub update_docs: bool,
    /// Where to build.
    pub work: PathBuf,
    /// What to run.
    pub sections: Vec<String>,
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// An example of the repository.
pub fn example(name: &str) -> Source {
    Source::File(root().join("examples").join(name).join(format!("{name}.tn")))
}

/// A network of this benchmark.
pub fn own(name: &str) -> Source {
    Source::File(Path::new(env!("CARGO_MANIFEST_DIR")).join("networks").join(format!("{name}.tn")))
}

impl Settings {
    /// Reads the command line; none where help is asked for.
    pub fn of(mut args: impl Iterator<Item = String>) -> Result<Option<Settings>, String> {
        let mut out = Settings {
            quick: false,
            machine: None,
            filter: String::new(),
            profile: false,
            update_docs: false,
            work: root().join("target/bench-egraph"),
            sections: vec![],
        };
        while let Some(a) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("`{a}` needs a value"));
            match a.as_str() {
                "--quick" => out.quick = true,
                "--profile" => out.profile = true,
                "--update-docs" => out.update_docs = true,
                "--machine" => out.machine = Some(value()?),
                "--filter" => out.filter = value()?,
                "--work" => out.work = value()?.into(),
                "-h" | "--help" => return Ok(None),
                s if SECTIONS.contains(&s) => out.sections.push(s.to_owned()),
                other => return Err(format!("`{other}` is no option and no section")),
            }
        }
        if out.sections.is_empty() {
            out.sections = SECTIONS.map(str::to_owned).to_vec();
        }
        Ok(Some(out))
    }

    /// Makes the folder.
    pub fn prepare(&mut self) -> Result<(), String> {
        let work = self.work.clone();
        let io = |e: std::io::Error| format!("{}: {e}", work.display());
        std::fs::create_dir_all(&self.work).map_err(io)?;
        self.work = self.work.canonicalize().map_err(io)?;
        Ok(())
    }

    /// The options that all plans begin with.
    pub fn options(&self) -> Options {
        // one schedule a plan: buffers are made for it
        let rules = Rules { regimes: false, ..Rules::default() };
        Options { machine: self.machine.clone(), threads: 1, rules, ..Options::default() }
    }
    /// Whether a case is asked for.
    pub fn wants(&self, name: &str) -> bool {
        name.contains(&self.filter)
    }
}

/// Compiles a source to a variant; an error names the variant.
pub fn variant(label: &str, source: &Source, options: &Options) -> Result<Variant, String> {
    variant_at(label, source, options, None)
}

/// The same at a `dyn` size, with the schedule whose range holds it.
pub fn variant_at(
    label: &str,
    source: &Source,
    options: &Options,
    at: Option<u64>,
) -> Result<Variant, String> {
    let failed = |e: tn_driver::Error| format!("{label}: {}", e.render(false));
    let compiled = tn_driver::compile(source, options).map_err(failed)?;
    let plan: &Plan = compiled.plan().map_err(failed)?;
    let label = label.to_owned();
    let Some(size) = at else { return Ok(Variant::new(label, plan)) };
    let schedule = plan.ranges().iter().position(|r| r.contains(size)).unwrap_or(0);
    let plan = plan.schedules().swap_remove(schedule).into_owned();
    let summary = summary_at(&plan, &compiled.machine, options.seed, |_| size as i64);
    Ok(Variant { label, plan, at, summary })
}
