//! The network as the caller states it, and the checks on it.

use std::fmt;

/// A multilinear region as the planner sees it: terms over indices `0..sizes.len()`.
///
/// A term may repeat an index (a diagonal), may have no index (a scalar), and an index may be on any
/// number of terms (a hyperedge) and at the same time in the output (a batch index). An index that is
/// not in the output is summed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Network {
    /// The indices of every term, in order; repeats are diagonals.
    pub inputs: Vec<Vec<u32>>,
    /// The indices of the result.
    pub output: Vec<u32>,
    /// The extent of every index; at least 1.
    pub sizes: Vec<u64>,
    /// Which inputs need a gradient, one flag an input; empty means none. A contraction then costs
    /// its multiply-adds times one plus the number of its operands that hold such a leaf.
    pub needs_grad: Vec<bool>,
}

/// Why a network is malformed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkError {
    /// A term or the output names an index that has no size.
    UnknownIndex {
        /// The index id.
        index: u32,
    },
    /// An output index is on no input.
    OutputIndexUnused {
        /// The index id.
        index: u32,
    },
    /// An index has the size zero.
    ZeroSize {
        /// The index id.
        index: u32,
    },
    /// `needs_grad` is neither empty nor as long as `inputs`.
    GradFlags {
        /// The number of inputs.
        expected: usize,
        /// The number of flags given.
        found: usize,
    },
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownIndex { index } => write!(f, "index `{index}` has no size"),
            Self::OutputIndexUnused { index } => {
                write!(f, "output index `{index}` is on no input")
            }
            Self::ZeroSize { index } => write!(f, "index `{index}` has the size `0`"),
            Self::GradFlags { expected, found } => write!(
                f,
                "`needs_grad` has `{found}` flags for `{expected}` inputs, help: give one flag an input or none"
            ),
        }
    }
}

impl std::error::Error for NetworkError {}

impl Network {
    /// Checks that every index has a positive size and every output index is on an input.
    ///
    /// # Errors
    /// The first fault found, in the order of the inputs, then of the output.
    pub fn check(&self) -> Result<(), NetworkError> {
        let n = self.sizes.len();
        let mut used = vec![false; n];
        for &index in self.inputs.iter().flatten() {
            match used.get_mut(index as usize) {
                Some(u) => *u = true,
                None => return Err(NetworkError::UnknownIndex { index }),
            }
        }
        for &index in &self.output {
            match used.get(index as usize) {
                None => return Err(NetworkError::UnknownIndex { index }),
                Some(false) => return Err(NetworkError::OutputIndexUnused { index }),
                Some(true) => {}
            }
        }
        if let Some(index) = (0..n).find(|&i| used[i] && self.sizes[i] == 0) {
            return Err(NetworkError::ZeroSize { index: index as u32 });
        }
        if !self.needs_grad.is_empty() && self.needs_grad.len() != self.inputs.len() {
            return Err(NetworkError::GradFlags {
                expected: self.inputs.len(),
                found: self.needs_grad.len(),
            });
        }
        Ok(())
    }

    /// Whether input `k` needs a gradient.
    pub fn grad(&self, k: usize) -> bool {
        self.needs_grad.get(k).copied().unwrap_or(false)
    }
}
