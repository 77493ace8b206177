//! What names mean inside a body.

use super::value::Value;
use crate::ast::Ident;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use tn_ir::program::{IndexId, NodeId};
use tn_ir::span::Span;

/// Items by their subscripts, in family order (last subscript fastest).
pub type Family<T> = BTreeMap<Vec<i64>, T>;

/// What a name stands for.
#[derive(Clone)]
pub enum Entity {
    /// A compile-time value.
    Value(Value),
    /// One index.
    Index(IndexId),
    /// A family of indices.
    IndexFamily(Rc<Family<IndexId>>),
    /// A tensor; `var` may be assigned.
    Tensor {
        /// Its node.
        node: NodeId,
        /// Declared by `var`.
        var: bool,
    },
    /// A family of tensors.
    TensorFamily(Rc<Family<NodeId>>),
    /// Something whose declaration failed: uses are silent.
    Poison,
}

impl Entity {
    /// For messages.
    pub fn describe(&self) -> &'static str {
        match self {
            Entity::Value(Value::Map(_)) => "a map",
            Entity::Value(_) => "a compile-time value",
            Entity::Index(_) => "an index",
            Entity::IndexFamily(_) => "a family of indices",
            Entity::Tensor { .. } => "a tensor",
            Entity::TensorFamily(_) => "a family of tensors",
            Entity::Poison => "undefined",
        }
    }
}

/// One level of names.
#[derive(Default)]
pub struct Level {
    names: HashMap<String, (Entity, Span)>,
    /// A binder's level hides names outside instead of clashing with them.
    binder: bool,
}

/// The names of a body: parameters, the body, its blocks and binders.
#[derive(Default)]
pub struct Scope {
    levels: Vec<Level>,
    /// Values of the enclosing binders, outermost first: subscripts of map scalars.
    pub binders: Vec<i64>,
    /// How many `for` statements are open.
    pub in_for: u32,
}

impl Scope {
    /// Opens a block.
    pub fn push(&mut self) {
        self.levels.push(Level::default());
    }
    /// Opens a binder's reach.
    pub fn bind(&mut self, name: &Ident, value: Value) {
        if let Value::Int(v, _) = value {
            self.binders.push(v);
        }
        let names = HashMap::from([(name.name.clone(), (Entity::Value(value), name.span))]);
        self.levels.push(Level { names, binder: true });
    }
    /// Closes the innermost block or binder.
    pub fn pop(&mut self) {
        if self.levels.pop().is_some_and(|l| l.binder) {
            self.binders.pop();
        }
    }
    /// What `name` means here.
    pub fn get(&self, name: &str) -> Option<&Entity> {
        self.levels.iter().rev().find_map(|l| l.names.get(name)).map(|(e, _)| e)
    }
    /// Declares a name in the innermost block; the place of the earlier declaration if there is one in the same body.
    /// Level 0 holds a topology's or network's parameters, which declarations of the body hide.
    pub fn declare(&mut self, name: &Ident, entity: Entity) -> Result<(), Span> {
        let clash =
            self.levels.iter().skip(1).rev().filter(|l| !l.binder).find_map(|l| l.names.get(&name.name));
        let clash = clash.map(|(_, s)| *s);
        let level = self.levels.iter_mut().rev().find(|l| !l.binder);
        if let Some(level) = level {
            level.names.insert(name.name.clone(), (entity, name.span));
        }
        clash.map_or(Ok(()), Err)
    }
    /// Gives a variable a new tensor.
    pub fn assign(&mut self, name: &str, node: NodeId) {
        if let Some((e, _)) = self.levels.iter_mut().rev().find_map(|l| l.names.get_mut(name)) {
            *e = Entity::Tensor { node, var: true };
        }
    }
    /// All visible names, for `did you mean`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.levels.iter().flat_map(|l| l.names.keys().map(String::as_str))
    }
}
