//! What to search for, how long, and what comes back.

use crate::{Cost, NetworkError, Tree};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The objective of the search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Minimize {
    /// Multiply-adds.
    Macs,
    /// The largest result of a contraction, then multiply-adds.
    Size,
    /// The peak of live elements along the best depth-first order, then multiply-adds.
    Peak,
    /// Elements read and written.
    Bytes,
    /// Modelled time: the larger of arithmetic and traffic, plus an overhead a step.
    #[default]
    Time,
}

/// A state of the search, as handed to [`Progress::report`].
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Seconds since the search began.
    pub elapsed: f64,
    /// Seconds left, where the search has a time limit.
    pub left: Option<f64>,
    /// log2 of the objective of the best plan so far, slices included: multiply-adds, or elements; for the time, multiply-adds that would take as long.
    pub log2_value: f64,
    /// Whether it is within the limits.
    pub valid: bool,
}

/// What is told of a state of the search.
pub type Callback = Box<dyn Fn(&Report) + Send + Sync>;

/// A window on a running search: a stop flag and a callback.
#[derive(Default)]
pub struct Progress {
    /// Set it (from any thread or a signal handler) to end the search with the best plan so far.
    pub stop: Arc<AtomicBool>,
    /// Called now and then, by one thread at a time.
    pub report: Option<Callback>,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("stop", &self.stop).field("report", &self.report.is_some()).finish()
    }
}

impl Progress {
    /// Whether the search was asked to stop.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// How long a caller works on a plan once it is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct After {
    /// Seconds for every leg of an operand or result of a step.
    pub seconds_per_leg: f64,
    /// Nothing is done with a plan whose largest result has more elements (log2).
    pub log2_storable: f64,
}

/// Options of [`crate::plan`]. The default searches for time with a counted budget, so that its
/// result is a pure function of network, options and seed.
#[derive(Clone, Debug)]
pub struct Options {
    /// The objective.
    pub minimize: Minimize,
    /// The seed of all random choices; trial `i` draws from `(seed, i)`.
    pub seed: u64,
    /// The number of trials. `None`: a default by size.
    pub trials: Option<u32>,
    /// A limit on wall time. With it the result depends on the machine's speed.
    pub max_time: Option<Duration>,
    /// What the caller will do with the plan within `max_time`; the search ends that much earlier.
    pub after: Option<After>,
    /// The most elements the result of any contraction may have (inputs do not count).
    pub max_size: Option<u64>,
    /// The most that [`Cost::log2_peak`] may be (log2 of elements; inputs do count).
    pub max_peak: Option<f64>,
    /// Threads to search with; the result does not depend on it unless `max_time` is set. 0 counts as 1.
    pub threads: usize,
    /// Indices that must not be sliced.
    pub unsliceable: Vec<u32>,
    /// A plan to start from; the result is never worse than it where it satisfies the limits.
    pub start: Option<Tree>,
    /// A callback and a stop flag.
    pub progress: Option<Arc<Progress>>,
    /// Whether candidate trees meet: the best tree may take parts from several.
    pub meet: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            minimize: Minimize::Time,
            seed: 0,
            trials: None,
            max_time: None,
            after: None,
            max_size: None,
            max_peak: None,
            threads: 1,
            unsliceable: Vec::new(),
            start: None,
            progress: None,
            meet: true,
        }
    }
}

/// A plan, what it costs and how far it is proven.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The order and the sliced indices.
    pub tree: Tree,
    /// What the tree costs, as [`crate::evaluate`] says.
    pub cost: Cost,
    /// Whether no other tree is better under the objective; true only when proven. Better is what is less by more than rounding: a part in
    /// 10^9 of the figure's logarithm.
    pub optimal: bool,
    /// Whether the clock or the stop flag ended the search.
    pub time_limited: bool,
    /// Other good trees that the search went on from last, without slices, best first: where a whole program decides, one of them may be better, or
    /// parts of it.
    pub others: Vec<Tree>,
}

/// Why there is no plan: the network is malformed, or nothing found satisfies the limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Infeasible {
    /// The fault of the network, if that is the reason. The other fields then mean nothing.
    pub network: Option<NetworkError>,
    /// The smallest log2 of the peak found, slices included.
    pub log2_peak: f64,
    /// The smallest log2 of the largest result found, slices included.
    pub log2_max_size: f64,
    /// The inputs below the largest result of the plan with the smallest figure.
    pub tensors: Vec<u32>,
    /// The indices of that result.
    pub indices: Vec<u32>,
    /// An index that may not be sliced and would help the most, if there is one.
    pub suggestion: Option<u32>,
}

impl fmt::Display for Infeasible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(e) = &self.network {
            return e.fmt(f);
        }
        write!(
            f,
            "no plan within the limits, the smallest found has a peak of `2^{:.3}` elements and a largest result of `2^{:.3}`",
            self.log2_peak, self.log2_max_size
        )?;
        if let Some(i) = self.suggestion {
            write!(f, ", help: allow index `{i}` to be sliced")?;
        }
        Ok(())
    }
}

impl std::error::Error for Infeasible {}

impl From<NetworkError> for Infeasible {
    fn from(e: NetworkError) -> Self {
        Self {
            network: Some(e),
            log2_peak: f64::NAN,
            log2_max_size: f64::NAN,
            tensors: Vec::new(),
            indices: Vec::new(),
            suggestion: None,
        }
    }
}
