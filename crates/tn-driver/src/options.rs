//! What to compile and how.

use crate::paths::PathFile;
use crate::rules::Rules;
use crate::watch::Watch;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tn_ir::dtype::DType;
use tn_order::Minimize;

/// Where a network comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A `.tn` file.
    File(PathBuf),
    /// A text in the language, with the name that errors show.
    Text {
        /// Shown in errors and reports.
        name: String,
        /// The text.
        text: String,
    },
    /// An einsum instance: `{"inputs": [["i","j"],…], "output": […], "sizes": {"i": 2,…}}`.
    Instance(PathBuf),
    /// An einsum expression with sizes.
    Einsum {
        /// `ab,bc->ac`; without an arrow the indices that occur once are the output, sorted.
        expression: String,
        /// Size by index.
        sizes: Vec<(String, u64)>,
    },
    /// A plan file.
    Plan(PathBuf),
}

impl Source {
    /// By the ending of a file's name: `.json` is an instance, `.ron` a plan, everything else a `.tn` file.
    pub fn of_path(path: &Path) -> Source {
        match path.extension().and_then(|e| e.to_str()) {
            Some("json") => Source::Instance(path.into()),
            Some("ron") => Source::Plan(path.into()),
            _ => Source::File(path.into()),
        }
    }
    /// The name that plans and reports carry: the file's name without folders, or `einsum`.
    pub fn name(&self) -> String {
        match self {
            Source::File(p) | Source::Instance(p) | Source::Plan(p) => {
                p.file_name().map_or_else(|| "source".into(), |n| n.to_string_lossy().into_owned())
            }
            Source::Text { name, .. } => name.clone(),
            Source::Einsum { .. } => "einsum".into(),
        }
    }
}

/// How long to search where neither trials nor a time say so. All budgets are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// A first look: a sixth of the usual trials.
    Fast,
    /// Until some rounds bring nothing better.
    #[default]
    Auto,
    /// Eight times the usual trials, all of them.
    Best,
}

impl Preset {
    /// The trials of the search; none leaves it to the search.
    pub fn trials(self) -> Option<u32> {
        match self {
            Preset::Fast => Some(8),
            Preset::Auto => None,
            Preset::Best => Some(384),
        }
    }
}

/// Options of [`crate::compile`]. The default plans `forward` of the only network with a counted budget.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Which network of the file.
    pub network: Option<String>,
    /// Parameters of the network, as written.
    pub set: Vec<(String, String)>,
    /// Element type of einsum instances.
    pub dtype: Option<DType>,
    /// Limit on `peak_bytes`.
    pub memory: Option<u64>,
    /// Limit on the elements of the largest result.
    pub max_size: Option<u64>,
    /// Limit on the time of the search; the plan then depends on the machine.
    pub max_time: Option<Duration>,
    /// Trials of the search.
    pub trials: Option<u32>,
    /// Seed of the search.
    pub seed: u64,
    /// Threads of the search (0: all cores). The plan does not depend on it.
    pub threads: usize,
    /// The objective.
    pub minimize: Minimize,
    /// A built-in machine's name or a file that `tnc calibrate` wrote.
    pub machine: Option<String>,
    /// Also plan `forward_saving` and `vjp`.
    pub grad: bool,
    /// Also plan `jvp`.
    pub jvp: bool,
    /// Which leaves need a gradient or tangent, comma-separated patterns; all params and inputs if absent.
    pub wrt: Option<String>,
    /// How long to search, where neither `trials` nor `max_time` says so.
    pub preset: Preset,
    /// Contraction paths to take instead of a search.
    pub path: Option<Arc<PathFile>>,
    /// Search on from the given paths.
    pub refine: bool,
    /// The folder where plans are kept ([`crate::cache::folder`] is the user's); none: nothing is kept or looked up.
    pub cache: Option<PathBuf>,
    /// Search on from the best plan that is kept.
    pub resume: bool,
    /// A window on the search.
    pub watch: Option<Watch>,
    /// What may be rewritten.
    pub rules: Rules,
    /// Nodes that the joint optimiser's graph may have; a program with more is left as it is.
    pub egraph_nodes: Option<usize>,
    /// Rounds of the joint optimiser.
    pub egraph_steps: Option<usize>,
    /// Measure what each rewrite gains.
    pub explain: bool,
}

impl Options {
    /// The number of threads to search with.
    pub fn thread_count(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
    /// The trials of the search, if anything says how many.
    pub fn budget(&self) -> Option<u32> {
        self.trials.or(if self.max_time.is_some() { None } else { self.preset.trials() })
    }
    /// Everything that decides the plan, as text: a part of its hash.
    pub fn fingerprint(&self) -> String {
        let Options {
            network,
            set,
            dtype,
            memory,
            max_size,
            max_time,
            trials: _,
            seed,
            minimize,
            machine,
            grad,
            jvp,
            wrt,
            path,
            refine,
            preset: _,
            threads: _,
            cache: _,
            resume: _,
            watch: _,
            rules,
            egraph_nodes,
            egraph_steps,
            explain: _,
        } = self;
        let trials = self.budget();
        let path = path.as_ref().map_or_else(String::new, |p| format!(" {} {refine}", p.fingerprint()));
        format!(
            "{network:?} {set:?} {dtype:?} {memory:?} {max_size:?} {max_time:?} {trials:?} {seed} {minimize:?} {machine:?} {grad} {jvp} {wrt:?}{path} {rules} {egraph_nodes:?} {egraph_steps:?}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_by_ending() {
        assert_eq!(Source::of_path(Path::new("a/b.json")), Source::Instance("a/b.json".into()));
        assert_eq!(Source::of_path(Path::new("p.ron")), Source::Plan("p.ron".into()));
        assert_eq!(Source::of_path(Path::new("a/net.tn")).name(), "net.tn");
    }

    #[test]
    fn threads_do_not_change_a_plan_and_the_seed_does() {
        let base = Options::default();
        assert_eq!(base.fingerprint(), Options { threads: 7, ..base.clone() }.fingerprint());
        assert_ne!(base.fingerprint(), Options { seed: 7, ..base.clone() }.fingerprint());
        assert_ne!(base.fingerprint(), Options { preset: Preset::Fast, ..base.clone() }.fingerprint());
    }

    #[test]
    fn trials_and_times_go_before_presets() {
        let fast = Options { preset: Preset::Fast, ..Options::default() };
        assert!(fast.budget().unwrap() < Options { preset: Preset::Best, ..fast.clone() }.budget().unwrap());
        assert_eq!(Options { trials: Some(5), ..fast.clone() }.budget(), Some(5));
        assert_eq!(Options { max_time: Some(Duration::from_secs(1)), ..fast }.budget(), None);
    }
}
