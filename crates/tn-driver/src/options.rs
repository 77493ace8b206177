//! What to compile and how.

use std::path::{Path, PathBuf};
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
    /// Look for the plan in the user's cache first, and leave it there.
    pub cache: bool,
}

impl Options {
    /// The number of threads to search with.
    pub fn thread_count(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
    /// Everything that decides the plan, as text: a part of its hash and of the cache's key.
    pub fn fingerprint(&self) -> String {
        let Options {
            network,
            set,
            dtype,
            memory,
            max_size,
            max_time,
            trials,
            seed,
            minimize,
            machine,
            grad,
            jvp,
            wrt,
            threads: _,
            cache: _,
        } = self;
        format!(
            "{network:?} {set:?} {dtype:?} {memory:?} {max_size:?} {max_time:?} {trials:?} {seed} {minimize:?} {machine:?} {grad} {jvp} {wrt:?}"
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
    }
}
