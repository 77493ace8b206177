//! The e-graph: a dag whose nodes stand in classes of equal values.
//!
//! Rules build new nodes in an ordinary [`Dag`] with its own builders, so that normal forms and hash-consing hold; egg keeps which of them are
//! equal, and that nodes with equal arguments are equal (congruence).

use crate::untimed::untimed;
use egg::{EGraph, Id, Language};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tn_ir::dag::{Dag, DagId, DagNode, Op};

/// An e-node: what is computed (its arguments replaced by their positions, and numbered), and the classes of the arguments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expr {
    head: u32,
    args: Vec<Id>,
}

impl Language for Expr {
    type Discriminant = u32;
    fn discriminant(&self) -> u32 {
        self.head
    }
    fn matches(&self, other: &Self) -> bool {
        self.head == other.head && self.args.len() == other.args.len()
    }
    fn children(&self) -> &[Id] {
        &self.args
    }
    fn children_mut(&mut self) -> &mut [Id] {
        &mut self.args
    }
}

/// A class of nodes of equal value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class(pub Id);

/// A dag in which different ways to compute the same value are known to be that.
#[derive(Debug)]
pub struct Joint {
    /// All nodes, those of the program and those that rules made.
    pub dag: Dag,
    egraph: EGraph<Expr, ()>,
    heads: HashMap<DagNode, u32>,
    class_of: Vec<Id>,
    /// The different nodes of each class, in the order in which they were made.
    members: BTreeMap<Id, Vec<DagId>>,
    /// How often two classes became one by [`Joint::equate`].
    unions: usize,
}

impl Joint {
    /// Every node in a class of its own.
    pub fn new(dag: Dag) -> Joint {
        let mut joint = Joint {
            dag,
            egraph: EGraph::default(),
            heads: HashMap::new(),
            class_of: vec![],
            members: BTreeMap::new(),
            unions: 0,
        };
        joint.rebuild();
        joint
    }

    /// Nodes that rules made since are entered.
    fn sync(&mut self) {
        for k in self.class_of.len()..self.dag.len() {
            let expr = self.expr(DagId(k as u32));
            let class = self.egraph.add(expr);
            self.class_of.push(class);
        }
    }

    fn expr(&mut self, n: DagId) -> Expr {
        let node = self.dag.node(n);
        let args = node.op.args().iter().map(|a| self.egraph.find(self.class_of[a.0 as usize])).collect();
        let mut position = 0;
        let op = node.op.clone().with_args(|_| {
            position += 1;
            DagId(position - 1)
        });
        let head = DagNode { op, dims: node.dims.clone() };
        let next = self.heads.len() as u32;
        Expr { head: *self.heads.entry(head).or_insert(next), args }
    }

    /// The class of a node.
    pub fn class(&mut self, n: DagId) -> Class {
        self.sync();
        Class(self.egraph.find(self.class_of[n.0 as usize]))
    }

    /// The class of a node that was there at the last [`Joint::rebuild`].
    pub fn known_class(&self, n: DagId) -> Class {
        Class(self.egraph.find(self.class_of[n.0 as usize]))
    }

    /// Says that two nodes have equal values. They must have equal shapes and live in the same loops; otherwise nothing happens.
    /// Returns whether that was news.
    pub fn equate(&mut self, a: DagId, b: DagId) -> bool {
        self.sync();
        let place = |n: DagId| {
            let info = self.dag.info(n);
            (info.depth, info.nest.filter(|_| info.depth > 0))
        };
        if self.dag.dims(a) != self.dag.dims(b) || place(a) != place(b) {
            return false;
        }
        let news = self.egraph.union(self.class_of[a.0 as usize], self.class_of[b.0 as usize]);
        self.unions += usize::from(news);
        news
    }

    /// How often two classes became one because somebody said so.
    pub fn unions(&self) -> usize {
        self.unions
    }

    /// Restores congruence and the lists of members.
    pub fn rebuild(&mut self) {
        self.sync();
        untimed(|| self.egraph.rebuild());
        self.members.clear();
        let mut seen: BTreeSet<Expr> = BTreeSet::new();
        for k in 0..self.dag.len() {
            let n = DagId(k as u32);
            let class = self.egraph.find(self.class_of[k]);
            let expr = self.expr(n);
            if seen.insert(expr) {
                self.members.entry(class).or_default().push(n);
            }
        }
    }

    /// The different nodes of a class as of the last [`Joint::rebuild`].
    pub fn members(&self, class: Class) -> &[DagId] {
        self.members.get(&class.0).map_or(&[], Vec::as_slice)
    }

    /// All classes as of the last [`Joint::rebuild`].
    pub fn classes(&self) -> impl Iterator<Item = Class> + '_ {
        self.members.keys().map(|&c| Class(c))
    }

    /// The classes of a node's arguments.
    pub fn args(&self, n: DagId) -> Vec<Class> {
        self.dag.op(n).args().into_iter().map(|a| self.known_class(a)).collect()
    }

    /// The number of axes of a class's values.
    pub fn rank(&self, class: Class) -> usize {
        self.members(class).first().map_or(0, |&n| self.dag.dims(n).len())
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.dag.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.dag.is_empty()
    }

    /// The nodes of a class whose operation `pick` wants.
    pub fn find<'a>(&'a self, n: DagId, pick: impl Fn(&Op) -> bool + 'a) -> impl Iterator<Item = DagId> + 'a {
        self.members(self.known_class(n)).iter().copied().filter(move |&m| pick(self.dag.op(m)))
    }
}
