//! L1 and L2 → L3: every region along its tree, everything else node by node.

use crate::carriers::{Carriers, Meeting};
use crate::copies::{is_copy, placement};
use crate::dag::*;
use crate::dag_build::{Labelled, rescaling_fns};
use crate::definitions::Definitions;
use crate::program::{Leaf, LeafId, Node, NodeId, Operand, Program, Role};
use crate::region::{Region, RegionTree};
use crate::regions::RegionRules;
use crate::scalar::{ScalarBuilder, ScalarFn, ScalarOp};
use crate::size::{Dim, numel};
use num_complex::Complex64;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// So many indices of length 1 are carried along, open ones and those that are summed: to put the former back at the end may take a copy of the
/// result.
const MANY_UNITS: usize = 16;

/// Why a program cannot be lowered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LowerError {
    /// The tree is not one over the region's inputs.
    BadTree {
        /// The region's name.
        region: String,
        /// What is wrong.
        reason: String,
    },
    /// A sliced index has a run-time size.
    DynSlice {
        /// Its name.
        index: String,
    },
    /// The leading entries of a tensor with a run-time size.
    DynUnpad {
        /// The definition's name.
        name: String,
    },
}

impl std::fmt::Display for LowerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LowerError::BadTree { region, reason } => {
                write!(f, "the contraction path of `{region}` is not valid: {reason}")
            }
            LowerError::DynSlice { index } => {
                write!(f, "index `{index}` has a run-time size and cannot be sliced")
            }
            LowerError::DynUnpad { name } => {
                write!(f, "`unpad` of `{name}`, whose size is only known at run time")
            }
        }
    }
}
impl std::error::Error for LowerError {}

/// The dag of a normalised program. `trees` are the orders of `regions`, in the same order. Leaves become arrays with the same ids.
///
/// # Errors
/// A tree that does not fit its region, or a run-time size where it must be known.
pub fn lower(program: &Program, regions: &[Region], trees: &[RegionTree]) -> Result<Dag, LowerError> {
    lower_with(program, regions, trees, RegionRules::default())
}

/// The same with the rules that made the regions.
///
/// # Errors
/// As for [`lower`].
pub fn lower_with(
    program: &Program,
    regions: &[Region],
    trees: &[RegionTree],
    rules: RegionRules,
) -> Result<Dag, LowerError> {
    let mut dag = Dag::default();
    dag.dtype = program.dtype;
    dag.symbols = program.symbols.clone();
    for (id, leaf) in program.leaves.enumerate() {
        dag.arrays.push(array_of(program, leaf, id.0));
    }
    let by_result: HashMap<NodeId, usize> = regions.iter().enumerate().map(|(k, r)| (r.result, k)).collect();
    let definitions = Definitions::of(program);
    // a contraction that only feeds `log` outputs is lowered with rescaling
    let wanted = definitions.wanted(program);
    let contract = |n: NodeId| matches!(program.nodes[n].node, Node::Contract { .. });
    let mut pass = Lowering {
        program,
        dag,
        value: HashMap::new(),
        rescaled: HashMap::new(),
        numbers: &definitions.numbers,
        copies: rules.copies,
    };
    for (id, data) in program.nodes.enumerate() {
        pass.dag.current_span = data.span;
        let region = match by_result.get(&id) {
            Some(&k) => {
                let tree = trees.get(k).ok_or_else(|| bad_tree(&regions[k], "there is none"))?;
                Some((&regions[k], tree))
            }
            None => None,
        };
        if wanted.plain[id.0 as usize] {
            let value = match region {
                Some((region, tree)) => pass.region(region, tree, None)?,
                None => pass.node(id)?,
            };
            pass.value.insert(id, value);
        }
        if wanted.log[id.0 as usize]
            && definitions.kept[id.0 as usize]
            && let Some((region, tree)) = region
        {
            let mut logs = vec![];
            let value = pass.region(region, tree, Some(&mut logs))?;
            let log = pass.dag.sum(&logs.iter().map(|&l| (Complex64::new(1.0, 0.0), l)).collect::<Vec<_>>());
            pass.rescaled.insert(id, (value, log));
        }
    }
    for (position, output) in program.outputs.iter().enumerate() {
        pass.dag.current_span = output.span;
        let source = position as u32;
        if !output.log {
            let node = pass.value[&output.node];
            pass.dag.roots.push(Root { name: output.name.clone(), kind: RootKind::Output, node, source });
            continue;
        }
        let mut logs = vec![];
        let value = match by_result.get(&output.node) {
            Some(&k) => {
                let tree = trees.get(k).ok_or_else(|| bad_tree(&regions[k], "there is none"))?;
                pass.region(&regions[k], tree, Some(&mut logs))?
            }
            None if contract(output.node) => pass.node(output.node)?,
            None => pass.value[&output.node],
        };
        let (phase, log) = pass.phase_and_log(value, &logs);
        for (suffix, node) in [("phase", phase), ("log", log)] {
            let name = format!("{}.{suffix}", output.name);
            pass.dag.roots.push(Root { name, kind: RootKind::Output, node, source });
        }
    }
    Ok(pass.dag)
}

fn array_of(program: &Program, leaf: &Leaf, position: u32) -> Array {
    let role = match leaf.role {
        Role::Param => ArrayRole::Param,
        Role::Input => ArrayRole::Input,
        Role::Const(_) => ArrayRole::Const,
    };
    let dims = leaf.legs.iter().map(|&i| program.indices[i].size.dim()).collect();
    Array { name: leaf.name.clone(), role, dims, source: position }
}

fn bad_tree(region: &Region, reason: impl Into<String>) -> LowerError {
    LowerError::BadTree { region: region.name.clone(), reason: reason.into() }
}

struct Lowering<'a> {
    program: &'a Program,
    dag: Dag,
    value: HashMap<NodeId, DagId>,
    /// Kept definitions below `log` outputs: a value of modulus near 1, and the logarithm of what it was divided by.
    rescaled: HashMap<NodeId, (DagId, DagId)>,
    numbers: &'a [Option<Complex64>],
    /// Copy tensors are no arrays.
    copies: bool,
}

impl Lowering<'_> {
    fn dims_of(&self, node: NodeId) -> Vec<Dim> {
        self.program.nodes[node].legs.iter().map(|&i| self.program.indices[i].size.dim()).collect()
    }

    fn node(&mut self, id: NodeId) -> Result<DagId, LowerError> {
        let program = self.program;
        let data = &program.nodes[id];
        let dims = self.dims_of(id);
        Ok(match &data.node {
            Node::Leaf(l) => self.leaf(*l, &dims),
            Node::Contract { .. } => {
                // every other contraction is a region
                let number = self.numbers[id.0 as usize];
                self.dag.number(number.unwrap_or_default())
            }
            Node::Map { map, arg, params } => {
                let map = &program.maps[*map];
                let mut args = vec![self.value[arg]];
                for (node, param) in params.iter().zip(&map.params) {
                    let value = self.value[node];
                    match param.len {
                        None => args.push(value),
                        Some(n) => args.extend((0..n).map(|k| self.dag.select(value, 0, k as u64))),
                    }
                }
                let value = self.dag.map(map.body.clone(), args);
                self.dag.name_fn(&map.body, &map.name);
                value
            }
            Node::Add { terms } => {
                let legs: Vec<u32> = data.legs.iter().map(|i| i.0).collect();
                let terms: Vec<_> = terms.iter().map(|(c, o)| (*c, self.term(o, &legs, &dims))).collect();
                self.dag.sum(&terms)
            }
            Node::Select { arg, axis, at } => self.dag.select(self.value[arg], *axis, *at),
            Node::Pin { arg } => self.value[arg],
            Node::Stack { parts } => {
                let rows = parts.iter().map(|p| self.value[p]).collect::<Vec<_>>();
                let mut row_dims = dims.clone();
                row_dims[0] = Dim::Const(1);
                let rows = rows.into_iter().map(|r| self.dag.reshape(r, row_dims.clone())).collect();
                self.dag.concat(0, rows)
            }
            Node::Unpad { arg } => {
                let value = self.value[arg];
                let fixed = |dims: &[Dim]| numel(dims).as_constant().map(|n| n as u64);
                let (Some(all), Some(wanted)) = (fixed(self.dag.dims(value)), fixed(&dims)) else {
                    return Err(LowerError::DynUnpad { name: data.name.clone() });
                };
                let flat = self.dag.reshape(value, vec![Dim::Const(all)]);
                let head = self.dag.slice(flat, 0, 0, wanted);
                self.dag.reshape(head, dims)
            }
        })
    }

    fn leaf(&mut self, leaf: LeafId, dims: &[Dim]) -> DagId {
        let placed = match &self.program.leaves[leaf].role {
            Role::Const(value) if self.copies => placement(&mut self.dag, value, dims),
            _ => None,
        };
        placed.unwrap_or_else(|| self.dag.leaf(ArrayId(leaf.0)))
    }

    /// A copy tensor that stayed in a region: one along each of its different indices that are not sliced.
    fn ones_of(&mut self, region: &Region, indices: &[u32], is_left_out: impl Fn(&u32) -> bool) -> Labelled {
        let mut labels: Vec<u32> = indices.to_vec();
        labels.sort_unstable();
        labels.dedup();
        labels.retain(|i| !is_left_out(i));
        let dims: Vec<Dim> = labels.iter().map(|&i| region.sizes[i as usize].dim()).collect();
        Labelled::new(self.dag.ones(&dims), labels)
    }

    fn term(&mut self, o: &Operand, legs: &[u32], dims: &[Dim]) -> DagId {
        let value = self.value[&o.node];
        let labels: Vec<u32> = o.indices.iter().map(|i| i.0).collect();
        let size_of = |l: u32| legs.iter().position(|&x| x == l).map_or(Dim::Const(1), |k| dims[k]);
        self.dag.einsum1(value, &labels, legs, o.conj, size_of)
    }

    /// A region along its tree. With `logs`, every result is divided by its largest modulus, whose logarithms are returned there.
    fn region(
        &mut self,
        region: &Region,
        tree: &RegionTree,
        mut logs: Option<&mut Vec<DagId>>,
    ) -> Result<DagId, LowerError> {
        // a loop over an index that no factor has would repeat the same
        let carried = |i: &&u32| region.inputs.iter().any(|input| input.indices.contains(i));
        let sliced: Vec<u32> = match logs {
            Some(_) => vec![],
            None => tree.sliced.iter().filter(carried).copied().collect(),
        };
        let mut trips = vec![];
        for &i in &sliced {
            let size = region
                .sizes
                .get(i as usize)
                .ok_or_else(|| bad_tree(region, format!("no index {i} to slice")))?;
            if size.dynamic.is_some() {
                return Err(LowerError::DynSlice { index: region.index_names[i as usize].clone() });
            }
            trips.push((region.index_names[i as usize].clone(), size.dim()));
        }
        let nest = if trips.is_empty() { None } else { Some(self.dag.add_nest(trips)) };
        let var_of: BTreeMap<u32, VarId> = match nest {
            Some(n) => sliced.iter().copied().zip(self.dag.nests[n].vars.clone()).collect(),
            None => BTreeMap::new(),
        };
        let units = units(region);
        let mut carriers = Carriers::new(region.sizes.len());
        let inner: Vec<u32> = region.output.iter().copied().filter(|i| !var_of.contains_key(i)).collect();
        let open: Vec<u32> = inner.iter().copied().filter(|i| !units.contains(i)).collect();
        carriers.add(&open);
        let mut tensors: Vec<Option<Labelled>> = Vec::with_capacity(region.inputs.len() * 2);
        for input in &region.inputs {
            let value = match (logs.as_deref_mut(), self.rescaled.get(&input.value)) {
                (Some(logs), Some(&(value, log))) => {
                    logs.push(log);
                    value
                }
                _ => self.value[&input.value],
            };
            if self.copies && is_copy(self.program, input.value) {
                let ones =
                    self.ones_of(region, &input.indices, |i| var_of.contains_key(i) || units.contains(i));
                carriers.add(&ones.labels);
                tensors.push(Some(ones));
                continue;
            }
            let picks: Vec<_> = input
                .indices
                .iter()
                .enumerate()
                .filter_map(|(k, i)| var_of.get(i).map(|&v| (k as u32, v)))
                .collect();
            let node = match nest {
                Some(n) if tree.remake => self.dag.at_inside(value, picks, n),
                _ => self.dag.at(value, picks),
            };
            let all: Vec<u32> = input.indices.iter().copied().filter(|i| !var_of.contains_key(i)).collect();
            let labels: Vec<u32> = all.iter().copied().filter(|i| !units.contains(i)).collect();
            let node = match labels.len() < all.len() {
                true => self.dag.einsum1(node, &all, &labels, false, |_| Dim::Const(1)),
                false => node,
            };
            carriers.add(&labels);
            tensors.push(Some(Labelled { node, labels, conj: input.conj }));
        }
        if region.inputs.len() != tree.ssa_path.len() + 1 {
            let (n, m) = (region.inputs.len(), tree.ssa_path.len());
            return Err(bad_tree(region, format!("{m} steps for {n} tensors")));
        }
        let steps = tree.ssa_path.len();
        for (step, &(l, r)) in tree.ssa_path.iter().enumerate() {
            let mut take = |i: u32| tensors.get_mut(i as usize).and_then(Option::take);
            let (Some(a), Some(b)) = (take(l), take(r)) else {
                return Err(bad_tree(
                    region,
                    format!("step {step} uses tensors {l} and {r}, of which one is used up or unknown"),
                ));
            };
            let last = (step + 1 == steps).then_some(&open[..]);
            let Some(Meeting { a, b, out, indices }) = carriers.meet(a, b, last) else {
                return Err(bad_tree(region, "an open index is on no tensor"));
            };
            let mut node = self.dag.einsum2(a, b, &out);
            if let Some(logs) = logs.as_deref_mut() {
                node = self.rescale(node, logs);
            }
            tensors.push(Some(Labelled::new(node, indices)));
        }
        let Some(Some(last)) = tensors.pop() else { return Err(bad_tree(region, "it has no tensors")) };
        let mut node = self.dag.einsum1(last.node, &last.labels, &inner, last.conj, |_| Dim::Const(1));
        if region.scale != Complex64::new(1.0, 0.0) {
            node = self.dag.scale(region.scale, node);
        }
        if let Some(nest) = nest {
            let place = |(k, i): (usize, &u32)| var_of.get(i).map(|&v| (k as u32, v));
            let places = region.output.iter().enumerate().filter_map(place).collect();
            node = self.dag.collect(node, nest, places);
        }
        let size_of = |i: u32| region.sizes[i as usize].dim();
        Ok(self.dag.einsum1(node, &region.output, &region.legs, false, size_of))
    }

    fn rescale(&mut self, node: DagId, logs: &mut Vec<DagId>) -> DagId {
        let [recip, log_abs, _] = rescaling_fns();
        let largest = self.dag.max_abs(node);
        let factor = self.dag.map(recip, vec![largest]);
        logs.push(self.dag.map(log_abs, vec![largest]));
        self.dag.times(factor, node)
    }

    /// z/|z| and log|z| + Σ logs.
    fn phase_and_log(&mut self, value: DagId, logs: &[DagId]) -> (DagId, DagId) {
        let one = Complex64::new(1.0, 0.0);
        let half = Complex64::new(0.5, 0.0);
        let (phase, log) = if self.dag.dtype.is_complex() {
            // both from the holomorphic logarithm, so that their derivatives need no rule of their own
            let l = self.dag.map(unary(ScalarOp::Log), vec![value]);
            let conj = self.dag.conj(l);
            let re = self.dag.sum(&[(half, l), (half, conj)]);
            let im = self.dag.sum(&[(half, l), (-half, conj)]);
            (self.dag.map(unary(ScalarOp::Exp), vec![im]), re)
        } else {
            let [_, log_abs, phase] = rescaling_fns();
            (self.dag.map(phase, vec![value]), self.dag.map(log_abs, vec![value]))
        };
        let terms: Vec<_> = std::iter::once(log).chain(logs.iter().copied()).map(|n| (one, n)).collect();
        let shape = self.dag.dims(log).to_vec();
        let terms: Vec<_> = terms.iter().map(|&(c, t)| (c, self.dag.broadcast_scalar(t, &shape))).collect();
        (phase, self.dag.sum(&terms))
    }
}

impl Dag {
    /// An order-0 node repeated to a shape; a node of that shape is itself.
    pub fn broadcast_scalar(&mut self, a: DagId, dims: &[Dim]) -> DagId {
        if self.dims(a) == dims { a } else { self.broadcast(a, &[], dims) }
    }
}

fn unary(op: impl Fn(u32) -> ScalarOp) -> ScalarFn {
    let mut b = ScalarBuilder::new();
    let x = b.push(ScalarOp::Arg(0));
    let r = b.push(op(x));
    b.finish(1, r)
}

/// The indices of length 1, the open ones where there are many of these, and the summed ones where there are many of those. Results without them are the
/// same arrays, and with them might have as many axes as the network has indices: the search sees none of them, so its trees do nothing to close them.
fn units(region: &Region) -> BTreeSet<u32> {
    let one = |i: &u32| region.sizes[*i as usize].dim() == Dim::Const(1);
    let open: BTreeSet<u32> = region.output.iter().copied().collect();
    let carried = region.inputs.iter().flat_map(|input| &input.indices).copied().filter(one);
    let (mut units, summed): (BTreeSet<u32>, BTreeSet<u32>) = carried.partition(|i| open.contains(i));
    if units.len() <= MANY_UNITS {
        units.clear();
    }
    if summed.len() > MANY_UNITS {
        units.extend(summed);
    }
    units
}
