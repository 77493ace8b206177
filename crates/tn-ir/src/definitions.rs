//! Which definitions of a program are seen through.
//!
//! A contraction that a contraction uses is seen through, so that the planner orders the whole product at once. Definitions that are built on each other
//! (`h[] = h[] * h[]`, sixty times) stand for a product far longer than the program: there the shared ones that can be stored are kept, as
//! regions of their own. Programs whose products stay in proportion to their length are seen through wholly.

use crate::normalise::STORED_SUM_LIMIT;
use crate::program::*;
use num_complex::Complex64;

/// A product is in proportion if it visits no more than this many definitions and factors, …
const PRODUCT_FLOOR: u64 = 4096;
/// … or so many for each that the program has.
const PRODUCT_RATIO: u64 = 4;
/// The same for all products together: they may repeat what they share (a sum over the sites of a state repeats the state).
const TOTAL_FLOOR: u64 = 1 << 20;
const TOTAL_RATIO: u64 = 16;
/// The most factors and definitions that the products of a program may have together.
pub const MAX_FACTORS: u64 = 10_000_000;

/// How each node of a program is used.
#[derive(Clone, Debug)]
pub struct Definitions {
    /// The value of contractions without tensors below them.
    pub(crate) numbers: Vec<Option<Complex64>>,
    /// Contractions that are stored although contractions use them.
    pub(crate) kept: Vec<bool>,
    /// The largest product, if all of them together are past the limit.
    excess: Option<NodeId>,
}

/// What the outputs need of each node.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Its value.
    pub plain: Vec<bool>,
    /// Its value as a modulus near 1 and a logarithm.
    pub log: Vec<bool>,
}

impl Definitions {
    /// Looks at every node once or twice.
    pub fn of(program: &Program) -> Definitions {
        let numbers = numbers(program);
        let mut out = Definitions { kept: vec![false; numbers.len()], numbers, excess: None };
        let uses = out.uses(program);
        let length: u64 = (0..uses.len())
            .filter(|&k| uses[k] > 0)
            .map(|k| 1 + program.uses(NodeId(k as u32)).len() as u64)
            .fold(0, u64::saturating_add);
        let most = PRODUCT_FLOOR.max(length.saturating_mul(PRODUCT_RATIO));
        let sizes = out.sizes(program);
        let grown = |k: usize| uses[k] > 0 && out.is_product(program, k) && sizes[k] > most;
        let mut blown: Vec<bool> = (0..sizes.len()).map(grown).collect();
        let wanted = out.wanted(program);
        let (total, _) = out.total(program, &wanted, &sizes);
        let all = total > TOTAL_FLOOR.max(length.saturating_mul(TOTAL_RATIO)).min(MAX_FACTORS);
        if !all && !blown.contains(&true) {
            return out;
        }
        if all {
            blown = (0..sizes.len()).map(|k| wanted.plain[k] || wanted.log[k]).collect();
        }
        out.keep_shared(program, &uses, &sizes, blown);
        out.cut(program, most);
        let sizes = out.sizes(program);
        let wanted = out.wanted(program);
        let (total, largest) = out.total(program, &wanted, &sizes);
        out.excess = largest.filter(|_| total > MAX_FACTORS);
        out
    }

    /// The largest product, if the products of the program have more than [`MAX_FACTORS`] factors together.
    pub fn excess(&self) -> Option<NodeId> {
        self.excess
    }

    /// A contraction with tensors below it.
    fn is_product(&self, program: &Program, k: usize) -> bool {
        self.numbers[k].is_none() && matches!(program.nodes[NodeId(k as u32)].node, Node::Contract { .. })
    }

    /// Whether a contraction that uses `node` reads its factors in its place.
    pub(crate) fn seen_through(&self, program: &Program, node: NodeId) -> bool {
        matches!(program.nodes[node].node, Node::Contract { .. }) && !self.kept[node.0 as usize]
    }

    /// How often the outputs need each node, uses by nodes that are not needed left out.
    fn uses(&self, program: &Program) -> Vec<u32> {
        let mut uses = vec![0u32; program.nodes.len()];
        program.outputs.iter().for_each(|o| uses[o.node.0 as usize] += 1);
        for (id, _) in program.nodes.enumerate().rev() {
            if uses[id.0 as usize] > 0 {
                for used in program.uses(id) {
                    uses[used.0 as usize] = uses[used.0 as usize].saturating_add(1);
                }
            }
        }
        uses
    }

    /// How many definitions and factors each contraction visits; everything else is one factor, and a number none.
    fn sizes(&self, program: &Program) -> Vec<u64> {
        let mut sizes = vec![1u64; program.nodes.len()];
        for (id, data) in program.nodes.enumerate() {
            if let Node::Contract { operands, .. } = &data.node {
                sizes[id.0 as usize] = operands
                    .iter()
                    .fold(1, |sum, o| u64::saturating_add(sum, self.share(program, &sizes, o.node)));
            }
        }
        sizes
    }

    /// What an operand adds to a product.
    fn share(&self, program: &Program, sizes: &[u64], node: NodeId) -> u64 {
        let k = node.0 as usize;
        match self.numbers[k] {
            Some(_) => 0,
            None if self.seen_through(program, node) => sizes[k],
            None => 1,
        }
    }

    /// The size of all products that are computed, and the largest of them.
    fn total(&self, program: &Program, wanted: &Wanted, sizes: &[u64]) -> (u64, Option<NodeId>) {
        let own = (0..sizes.len())
            .filter(|&k| (wanted.plain[k] || wanted.log[k]) && self.is_product(program, k))
            .map(|k| (sizes[k], NodeId(k as u32)));
        let mut total = 0u64;
        let mut largest: Option<(u64, NodeId)> = None;
        for (size, node) in own {
            total = total.saturating_add(size);
            if largest.is_none_or(|(s, _)| size > s) {
                largest = Some((size, node));
            }
        }
        (total, largest.map(|l| l.1))
    }

    /// Keeps what is used more than once below products that have grown out of proportion, where storing it takes no more than what it is made of.
    fn keep_shared(&mut self, program: &Program, uses: &[u32], sizes: &[u64], mut below: Vec<bool>) {
        for (id, _) in program.nodes.enumerate().rev() {
            let k = id.0 as usize;
            if below[k] {
                program.uses(id).iter().for_each(|u| below[u.0 as usize] = true);
            }
            if below[k] && uses[k] > 1 && sizes[k] > 2 && self.is_product(program, k) {
                let most = program.uses(id).iter().map(|&u| entries(program, u)).max().unwrap_or(1);
                self.kept[k] = entries(program, id) <= most.min(STORED_SUM_LIMIT);
            }
        }
    }

    /// Keeps operands of products that are still out of proportion, the largest first.
    fn cut(&mut self, program: &Program, most: u64) {
        let mut sizes = vec![1u64; program.nodes.len()];
        for (id, data) in program.nodes.enumerate() {
            let Node::Contract { operands, .. } = &data.node else { continue };
            let size = |d: &Definitions, sizes: &[u64]| {
                operands.iter().fold(1, |sum, o| u64::saturating_add(sum, d.share(program, sizes, o.node)))
            };
            let mut own = size(self, &sizes);
            if own > most {
                let mut parts: Vec<NodeId> = operands.iter().map(|o| o.node).collect();
                parts.retain(|&n| {
                    self.share(program, &sizes, n) > 2 && entries(program, n) <= STORED_SUM_LIMIT
                });
                parts.sort_by_key(|&n| (std::cmp::Reverse(sizes[n.0 as usize]), n));
                parts.dedup();
                for n in parts {
                    if own <= most {
                        break;
                    }
                    self.kept[n.0 as usize] = true;
                    own = size(self, &sizes);
                }
            }
            sizes[id.0 as usize] = own;
        }
    }

    /// What all outputs need.
    pub(crate) fn wanted(&self, program: &Program) -> Wanted {
        let n = program.nodes.len();
        let mut wanted = Wanted { plain: vec![false; n], log: vec![false; n] };
        // reached in one of the two ways, as such or seen through
        let (mut plain, mut log) = (vec![false; n], vec![false; n]);
        for o in &program.outputs {
            let k = o.node.0 as usize;
            if o.log && matches!(program.nodes[o.node].node, Node::Contract { .. }) {
                (wanted.log[k], log[k]) = (true, true);
            } else {
                (wanted.plain[k], plain[k]) = (true, true);
            }
        }
        for (id, data) in program.nodes.enumerate().rev() {
            let k = id.0 as usize;
            let contract = matches!(data.node, Node::Contract { .. });
            for used in program.uses(id) {
                let u = used.0 as usize;
                let through = contract && self.seen_through(program, used);
                if plain[k] {
                    plain[u] = true;
                    wanted.plain[u] |= !through;
                }
                if log[k] {
                    if matches!(program.nodes[used].node, Node::Contract { .. }) {
                        log[u] = true;
                        wanted.log[u] |= !through;
                    } else {
                        (plain[u], wanted.plain[u]) = (true, true);
                    }
                }
            }
        }
        wanted
    }
}

/// The value of every contraction that has no tensors below it.
pub fn numbers(program: &Program) -> Vec<Option<Complex64>> {
    let mut out: Vec<Option<Complex64>> = Vec::with_capacity(program.nodes.len());
    for data in program.nodes.iter() {
        out.push(match &data.node {
            Node::Contract { scale, operands } => operands.iter().try_fold(*scale, |product, o| {
                let value = out[o.node.0 as usize]?;
                Some(product * if o.conj { value.conj() } else { value })
            }),
            _ => None,
        });
    }
    out
}

fn entries(program: &Program, node: NodeId) -> u128 {
    let sizes = program.nodes[node].legs.iter().map(|&i| program.indices[i].size.value as u128);
    sizes.fold(1, u128::saturating_mul)
}
