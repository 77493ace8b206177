//! The table of rules.
//!
//! A rule looks at one node and makes others of the same value. What it needs of the arguments it finds among the members of their classes. No rule
//! decides anything: all that it makes stands beside what was there, and the extraction chooses.

mod maps;
mod placed;
mod sums;
mod window;

use crate::graph::Joint;
use crate::scalar::ScalarRules;
use tn_ir::dag::DagId;
pub use window::Pairs;

/// A group of rules that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Orders of contraction.
    Plans,
    /// Sums and maps.
    Sums,
    /// What is known of entries: diagonals, copies.
    Structure,
}

/// What rules share while they are applied.
#[derive(Debug)]
pub struct Context<'a> {
    /// The graph.
    pub joint: &'a mut Joint,
    /// Contractions of two classes that were made already, by what they are up to the order of axes.
    pub pairs: &'a mut Pairs,
    /// Operands of a window.
    pub window: usize,
    /// The scalar rules that are on.
    pub scalar: ScalarRules,
}

/// One rule.
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Which group it belongs to.
    pub group: Group,
    /// What it matches and what it makes, as an equation.
    pub pattern: &'static str,
    /// When it applies.
    pub condition: &'static str,
    /// Why it is there.
    pub why: &'static str,
    /// Nodes equal to the given one.
    pub apply: fn(&mut Context<'_>, DagId) -> Vec<DagId>,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All rules.
pub const RULES: [Rule; 8] = [
    Rule {
        name: "window",
        group: Group::Plans,
        pattern: "((A·B)·C)·… = any order of A, B, C, …",
        condition: "at most so many operands, no step dearer than the whole window now",
        why: "the steps that cost the most are solved again exactly, across forward and backward, and meet what is there",
        apply: window::apply,
    },
    Rule {
        name: "distribute",
        group: Group::Sums,
        pattern: "(a A + b B)·C = a A·C + b B·C",
        condition: "a sum of at most 8 terms as an operand of a contraction",
        why: "a low-rank term is applied factor by factor instead of being multiplied out (LoRA)",
        apply: sums::distribute,
    },
    Rule {
        name: "factor",
        group: Group::Sums,
        pattern: "a A·C + b B·C = (a A + b B)·C",
        condition: "terms that contract equal operands in the same way",
        why: "one contraction with a sum costs less than one with each term",
        apply: sums::factor,
    },
    Rule {
        name: "flatten",
        group: Group::Sums,
        pattern: "a (b A + c B) + C = ab A + ac B + C",
        condition: "a sum as a term of a sum",
        why: "every partial sum that is not stored saves a pass over memory",
        apply: sums::flatten,
    },
    Rule {
        name: "scale",
        group: Group::Sums,
        pattern: "c (A·B) = (c A)·B",
        condition: "the operand has fewer elements than the product",
        why: "a factor is cheapest on the smallest operand",
        apply: sums::scale,
    },
    Rule {
        name: "compose",
        group: Group::Sums,
        pattern: "f(g(x), …) = (f∘g)(x, …)",
        condition: "at most 8 arguments and 256 operations",
        why: "a chain of maps is one pass over memory",
        apply: maps::compose,
    },
    Rule {
        name: "simplify",
        group: Group::Sums,
        pattern: "f(x, …) = f'(x, …), with fewer operations",
        condition: "scalar rewrites find a cheaper expression",
        why: "derivatives of user-defined maps repeat what the map computed",
        apply: maps::simplify,
    },
    Rule {
        name: "support",
        group: Group::Structure,
        pattern: "P(A)·B = P'(A·B), P(A) + P(B) = P(A + B), P*(A·B) = A'·B', P*(A + B) = P*A + P*B",
        condition: "P puts its argument on diagonals or repeats it along new axes; its transpose P* reads diagonals and sums",
        why: "an identity, a diagonal or a copy tensor that meets a product or a sum costs what its support costs",
        apply: placed::on_support,
    },
];
