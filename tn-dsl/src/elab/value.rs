//! Compile-time values.

use crate::ast::TypeKind;
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use tn_ir::Complex64;
use tn_ir::program::MapId;
use tn_ir::size::{Poly, SymbolId};

/// The longest list that may be made.
pub const MAX_LIST: usize = 10_000_000;

/// A compile-time value.
#[derive(Clone, Debug)]
pub enum Value {
    /// A checked 64-bit integer; the polynomial says how it depends on network parameters (none: not at all).
    Int(i64, Option<Rc<Poly>>),
    /// A float.
    Float(f64),
    /// A complex literal.
    Complex(Complex64),
    /// A truth value.
    Bool(bool),
    /// A string.
    Str(Rc<str>),
    /// A list.
    List(Rc<Vec<Value>>),
    /// An elementwise map.
    Map(MapRef),
}

/// A map as a value.
#[derive(Clone, Debug, PartialEq)]
pub struct MapRef {
    /// In the program's table.
    pub id: MapId,
}

/// Lists that are worth remembering.
const LONG: usize = 32;

thread_local! {
    /// The last long lists of ints that were looked at. A topology passes its lists to a function for each of its sites.
    static INTS: RefCell<VecDeque<Rc<Vec<Value>>>> = const { RefCell::new(VecDeque::new()) };
}

fn all_ints(list: &Rc<Vec<Value>>) -> bool {
    let look = || list.iter().all(|v| matches!(v, Value::Int(..)));
    if list.len() < LONG {
        return look();
    }
    INTS.with_borrow_mut(|known| {
        if known.iter().any(|k| Rc::ptr_eq(k, list)) {
            return true;
        }
        let ints = look();
        if ints {
            known.truncate(3);
            known.push_front(list.clone());
        }
        ints
    })
}

impl Value {
    /// A plain integer.
    pub fn int(v: i64) -> Value {
        Value::Int(v, None)
    }
    /// The type's name for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Int(..) => "an int",
            Value::Float(_) => "a float",
            Value::Complex(_) => "a complex number",
            Value::Bool(_) => "a bool",
            Value::Str(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
    /// As a real number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(v, _) => Some(*v as f64),
            Value::Float(v) => Some(*v),
            _ => None,
        }
    }
    /// As a complex number.
    pub fn as_complex(&self) -> Option<Complex64> {
        match self {
            Value::Complex(c) => Some(*c),
            other => other.as_f64().map(|v| Complex64::new(v, 0.0)),
        }
    }
    /// Whether it is of a declared type; ints pass for floats and for `int*`.
    pub fn fits(&self, ty: &TypeKind) -> bool {
        match (ty, self) {
            (TypeKind::Int, Value::Int(..)) | (TypeKind::Float, Value::Int(..) | Value::Float(_)) => true,
            (TypeKind::Bool, Value::Bool(_))
            | (TypeKind::String, Value::Str(_))
            | (TypeKind::Map, Value::Map(_)) => true,
            (TypeKind::PerPlace, Value::Int(..)) => true,
            (TypeKind::PerPlace, Value::List(l)) => all_ints(l),
            (TypeKind::List(inner), Value::List(l)) if matches!(**inner, TypeKind::Int) => all_ints(l),
            (TypeKind::List(inner), Value::List(l)) => l.iter().all(|v| v.fits(inner)),
            _ => false,
        }
    }
    /// The network parameters that it depends on.
    pub fn symbols(&self, into: &mut BTreeSet<SymbolId>) {
        match self {
            Value::Int(_, Some(p)) => into.extend(p.symbols()),
            Value::List(l) => l.iter().for_each(|v| v.symbols(into)),
            _ => {}
        }
    }
    /// As written in the language.
    pub fn show(&self) -> String {
        match self {
            Value::Int(v, _) => v.to_string(),
            Value::Float(v) => format!("{v:?}"),
            Value::Complex(c) => format!("{:?} + {:?}i", c.re, c.im),
            Value::Bool(b) => b.to_string(),
            Value::Str(s) => format!("{s:?}"),
            Value::List(l) if l.len() > 16 => format!("a list of {} entries", l.len()),
            Value::List(l) if l.iter().any(|v| matches!(v, Value::List(_))) => {
                format!("a list of {} lists", l.len())
            }
            Value::List(l) => format!("[{}]", l.iter().map(Value::show).collect::<Vec<_>>().join(", ")),
            Value::Map(_) => "a map".into(),
        }
    }
}

/// As written for a type.
pub fn type_text(ty: &TypeKind) -> String {
    match ty {
        TypeKind::Int => "int".into(),
        TypeKind::Float => "float".into(),
        TypeKind::Bool => "bool".into(),
        TypeKind::String => "string".into(),
        TypeKind::Map => "map".into(),
        TypeKind::PerPlace => "int*".into(),
        TypeKind::List(inner) => format!("[{}]", type_text(inner)),
    }
}

/// The polynomial of an int, a constant if none is kept.
pub fn poly_of(v: i64, p: &Option<Rc<Poly>>) -> Poly {
    p.as_ref().map_or_else(|| Poly::constant(v as i128), |p| (**p).clone())
}
