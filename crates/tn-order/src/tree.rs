//! Contraction trees in SSA form, and opt_einsum's linear paths.

use crate::Network;
use std::fmt;

/// A binary contraction order and the sliced indices.
///
/// Inputs are `0..n`; step `i` contracts two live tensors into tensor `n + i`. With fewer than two
/// inputs the path is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tree {
    /// The steps.
    pub ssa_path: Vec<(u32, u32)>,
    /// The sliced indices, outermost loop first.
    pub sliced: Vec<u32>,
}

/// Why a path is not a contraction order of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathError {
    /// A step names a tensor that does not exist (yet) or is already used.
    NotLive {
        /// The step.
        step: usize,
        /// The tensor or position named.
        operand: usize,
    },
    /// A step names an operand twice.
    Repeated {
        /// The step.
        step: usize,
        /// The tensor or position named.
        operand: usize,
    },
    /// A step has no operand.
    Empty {
        /// The step.
        step: usize,
    },
    /// More or less than one tensor is left in the end.
    Remaining {
        /// How many are left.
        tensors: usize,
    },
    /// A sliced index is not in the network or is listed twice.
    Sliced {
        /// The index id.
        index: u32,
    },
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLive { step, operand } => {
                write!(f, "step `{step}` uses tensor `{operand}`, which is not live there")
            }
            Self::Repeated { step, operand } => {
                write!(f, "step `{step}` names operand `{operand}` twice")
            }
            Self::Empty { step } => write!(f, "step `{step}` has no operand"),
            Self::Remaining { tensors } => {
                write!(f, "the path leaves `{tensors}` tensors in place of one")
            }
            Self::Sliced { index } => {
                write!(f, "sliced index `{index}` is not in the network or is listed twice")
            }
        }
    }
}

impl std::error::Error for PathError {}

impl Tree {
    /// Checks that the tree contracts exactly the inputs of `net`, each once, and slices indices of it.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(&self, net: &Network) -> Result<(), PathError> {
        let n = net.inputs.len();
        let mut live = vec![true; n];
        for (step, &(a, b)) in self.ssa_path.iter().enumerate() {
            if a == b {
                return Err(PathError::Repeated { step, operand: a as usize });
            }
            for x in [a as usize, b as usize] {
                if !std::mem::replace(live.get_mut(x).unwrap_or(&mut false), false) {
                    return Err(PathError::NotLive { step, operand: x });
                }
            }
            live.push(true);
        }
        let tensors = live.iter().filter(|&&l| l).count();
        if tensors != 1 && n > 0 {
            return Err(PathError::Remaining { tensors });
        }
        let mut seen = vec![false; net.sizes.len()];
        for &index in &self.sliced {
            match seen.get_mut(index as usize) {
                Some(s) if !*s => *s = true,
                _ => return Err(PathError::Sliced { index }),
            }
        }
        Ok(())
    }
}

/// A Fenwick tree of counts: ranks among live tensors in `O(log n)`.
struct Ranks {
    sums: Vec<usize>,
}

impl Ranks {
    fn new(n: usize) -> Self {
        Self { sums: vec![0; n + 1] }
    }

    fn add(&mut self, i: usize, up: bool) {
        let mut i = i + 1;
        while i < self.sums.len() {
            self.sums[i] = if up { self.sums[i] + 1 } else { self.sums[i] - 1 };
            i += i & i.wrapping_neg();
        }
    }

    /// How many live entries are before `i`.
    fn rank(&self, i: usize) -> usize {
        let (mut i, mut s) = (i, 0);
        while i > 0 {
            s += self.sums[i];
            i -= i & i.wrapping_neg();
        }
        s
    }

    /// The entry with `rank` live entries before it; the caller knows that it exists.
    fn select(&self, rank: usize) -> usize {
        let (mut at, mut left) = (0, rank);
        let mut step = self.sums.len().next_power_of_two();
        while step > 0 {
            let next = at + step;
            if next < self.sums.len() && self.sums[next] <= left {
                left -= self.sums[next];
                at = next;
            }
            step >>= 1;
        }
        at
    }
}

/// The path in opt_einsum's linear format over `n` inputs: positions in the current list; the operands
/// are removed and the result is appended. The tree must be valid ([`Tree::check`]); steps that are
/// not are left out.
pub fn linear_path(tree: &Tree, n: usize) -> Vec<(usize, usize)> {
    let total = n + tree.ssa_path.len();
    let mut ranks = Ranks::new(total);
    for i in 0..n {
        ranks.add(i, true);
    }
    let mut live = vec![false; total];
    live[..n].fill(true);
    let mut out = Vec::with_capacity(tree.ssa_path.len());
    for (k, &(a, b)) in tree.ssa_path.iter().enumerate() {
        let (a, b) = (a as usize, b as usize);
        if a != b && a < n + k && b < n + k && live[a] && live[b] {
            out.push((ranks.rank(a), ranks.rank(b)));
            for x in [a, b] {
                ranks.add(x, false);
                live[x] = false;
            }
        }
        ranks.add(n + k, true);
        live[n + k] = true;
    }
    out
}

/// Reads a path in opt_einsum's linear format over `n` inputs. Steps of one operand cost nothing and are dropped;
/// steps of three or more are done pairwise, left to right. Nothing is sliced.
///
/// # Errors
/// A position out of range or repeated, an empty step, or more than one tensor left in the end.
pub fn from_linear_path(path: &[Vec<usize>], n: usize) -> Result<Tree, PathError> {
    let mut ranks = Ranks::new(n + path.len());
    for i in 0..n {
        ranks.add(i, true);
    }
    let mut count = n;
    let mut ssa = Vec::with_capacity(path.len());
    for (step, positions) in path.iter().enumerate() {
        if let Some(&operand) = positions.iter().find(|&&p| p >= count) {
            return Err(PathError::NotLive { step, operand });
        }
        let mut sorted = positions.clone();
        sorted.sort_unstable();
        if let Some(w) = sorted.windows(2).find(|w| w[0] == w[1]) {
            return Err(PathError::Repeated { step, operand: w[0] });
        }
        let ids: Vec<usize> = positions.iter().map(|&p| ranks.select(p)).collect();
        for &x in &ids {
            ranks.add(x, false);
        }
        ranks.add(n + step, true);
        count = count + 1 - ids.len();
        ssa.push(ids);
    }
    from_ssa_path(&ssa, n)
}

/// Reads an SSA path over `n` inputs with steps of any length: step `k` makes tensor `n + k`. Steps of one operand
/// are dropped; steps of three or more are done pairwise, left to right. Nothing is sliced.
///
/// # Errors
/// An operand that is not live or repeated, an empty step, or more than one tensor left in the end.
pub fn from_ssa_path(path: &[Vec<usize>], n: usize) -> Result<Tree, PathError> {
    let mut name: Vec<Option<u32>> = (0..n as u32).map(Some).collect();
    let mut out = Vec::with_capacity(path.len());
    for (step, operands) in path.iter().enumerate() {
        let mut acc: Option<u32> = None;
        for &operand in operands {
            let taken = name.get_mut(operand).and_then(Option::take);
            let Some(id) = taken else {
                return Err(if operands.iter().filter(|&&o| o == operand).count() > 1 {
                    PathError::Repeated { step, operand }
                } else {
                    PathError::NotLive { step, operand }
                });
            };
            acc = Some(match acc {
                None => id,
                Some(left) => {
                    out.push((left, id));
                    (n + out.len() - 1) as u32
                }
            });
        }
        match acc {
            None => return Err(PathError::Empty { step }),
            id => name.push(id),
        }
    }
    let tensors = name.iter().flatten().count();
    if tensors != 1 && n > 0 {
        return Err(PathError::Remaining { tensors });
    }
    Ok(Tree { ssa_path: out, sliced: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn linear_path_of_a_known_order() {
        let tree = Tree { ssa_path: vec![(1, 2), (0, 3), (4, 5)], sliced: vec![] };
        let linear = linear_path(&tree, 4);
        assert_eq!(linear, vec![(1, 2), (0, 1), (0, 1)]);
    }

    #[test]
    fn bad_paths_are_errors() {
        assert!(matches!(
            from_linear_path(&[vec![0, 5]], 3),
            Err(PathError::NotLive { step: 0, operand: 5 })
        ));
        assert!(matches!(from_linear_path(&[vec![1, 1]], 3), Err(PathError::Repeated { .. })));
        assert!(matches!(from_linear_path(&[vec![]], 3), Err(PathError::Empty { step: 0 })));
        assert!(matches!(from_linear_path(&[vec![0, 1]], 3), Err(PathError::Remaining { tensors: 2 })));
        assert!(matches!(
            from_ssa_path(&[vec![0, 1], vec![0, 2]], 3),
            Err(PathError::NotLive { step: 1, operand: 0 })
        ));
    }

    #[test]
    fn long_steps_are_done_pairwise() {
        let tree = from_linear_path(&[vec![3, 1, 0], vec![0], vec![0, 1]], 4).unwrap();
        assert_eq!(tree.ssa_path, vec![(3, 1), (4, 0), (5, 2)]);
    }

    proptest! {
        #[test]
        fn linear_round_trip(n in 1usize..40, picks in prop::collection::vec(any::<(u16, u16)>(), 40)) {
            let mut live: Vec<u32> = (0..n as u32).collect();
            let mut ssa_path = Vec::new();
            for (x, y) in picks {
                if live.len() < 2 { break; }
                let a = live.remove(x as usize % live.len());
                let b = live.remove(y as usize % live.len());
                live.push((n + ssa_path.len()) as u32);
                ssa_path.push((a, b));
            }
            let tree = Tree { ssa_path, sliced: vec![] };
            let linear: Vec<Vec<usize>> = linear_path(&tree, n).iter().map(|&(a, b)| vec![a, b]).collect();
            prop_assert_eq!(from_linear_path(&linear, n).unwrap(), tree);
        }
    }
}
