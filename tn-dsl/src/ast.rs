//! The syntax tree of a `.tn` file.
//!
//! One expression type serves compile-time values and tensors alike: `let n = len(dims)`, `let w = mpo(outs = [8; 4], …)` and
//! `let t[i, k] = A[i, j] * B[j, k]` look the same to a parser, and only elaboration can tell them apart. Every node has the span of its text.
//! Comments stand beside the tree ([`File::comments`]), so that the formatter can put them back.

use tn_ir::span::Span;

/// A name as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    /// The text.
    pub name: String,
    /// Where.
    pub span: Span,
}

/// A `//` comment (documentation is part of items).
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    /// The text with its slashes, without trailing blanks.
    pub text: String,
    /// Where.
    pub span: Span,
    /// Nothing but blanks before it on its line.
    pub own_line: bool,
}

/// A whole file.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct File {
    /// Items in source order.
    pub items: Vec<Item>,
    /// Comments in source order.
    pub comments: Vec<Comment>,
}

/// A top-level item with its documentation.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The `///` lines before it, without slashes.
    pub doc: Vec<String>,
    /// What it is.
    pub kind: ItemKind,
    /// All of it, without the documentation.
    pub span: Span,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `use …`
    Use(Use),
    /// `const NAME = expr`
    Const {
        /// Its name.
        name: Ident,
        /// Its value.
        value: Expr,
    },
    /// `fn name(p: type = default, …) -> type { … }`
    Fn(Callable),
    /// `map name(x; beta) = body`
    Map(MapItem),
    /// `topology name(…) -> [legs] { … }`
    Topology(Callable),
    /// `network name(…) { … }`
    Network(Callable),
}

/// An import.
#[derive(Clone, Debug, PartialEq)]
pub enum Use {
    /// `use std::chain`, `use std::generators::{ttn, mera as m}`: the path up to the names, then the names.
    Path {
        /// All but the last component.
        prefix: Vec<Ident>,
        /// What is brought in, each with its new name.
        names: Vec<(Ident, Option<Ident>)>,
    },
    /// `use "blocks.tn"`
    File {
        /// The path as written.
        path: String,
        /// Where it stands.
        span: Span,
    },
}

/// A function, topology or network.
#[derive(Clone, Debug, PartialEq)]
pub struct Callable {
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub params: Vec<Param>,
    /// `-> type` of a function.
    pub result: Option<Type>,
    /// `-> [legs]` of a topology.
    pub legs: Option<Bracket>,
    /// What it does.
    pub body: Block,
}

/// A parameter of a function, topology or network.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub ty: Type,
    /// Its default.
    pub default: Option<Expr>,
}

/// A type as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// Which.
    pub kind: TypeKind,
    /// Where.
    pub span: Span,
}

/// Types of compile-time values.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum TypeKind {
    Int,
    Float,
    Bool,
    String,
    Map,
    /// `[t]`
    List(Box<TypeKind>),
    /// `int*`
    PerPlace,
}

/// `map name(x; scalars) = body`
#[derive(Clone, Debug, PartialEq)]
pub struct MapItem {
    /// Its name.
    pub name: Ident,
    /// The argument.
    pub arg: Ident,
    /// Trainable scalars and vectors.
    pub scalars: Vec<MapScalar>,
    /// What it computes.
    pub body: Expr,
}

/// `beta`, `beta = 1.0`, `c[4] = [0, 1, 0, 0]`
#[derive(Clone, Debug, PartialEq)]
pub struct MapScalar {
    /// Its name.
    pub name: Ident,
    /// Length of a vector.
    pub len: Option<Expr>,
    /// Initial value.
    pub init: Option<Expr>,
}

/// `{ statements }`
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// In order.
    pub statements: Vec<Stmt>,
    /// With its braces.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// Documentation before it.
    pub doc: Vec<String>,
    /// What it is.
    pub kind: StmtKind,
    /// All of it.
    pub span: Span,
}

/// What a statement is.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `dtype f64`
    DType(Ident),
    /// `index i, j: 16, s[k in 0..n]: dims[k]`
    Index(Vec<IndexDecl>),
    /// `param`, `input`, or `const` of a leaf.
    Leaf(LeafDecl),
    /// `input H = T(…)`, `const H = T(…) from npz("h.npz")`: a topology whose leaves are inputs or constants. Also `const CHI = 64`: elaboration tells.
    Bind(Bind),
    /// `let name = expr` (value, topology call, alias), `let g[r in 0..8] = T(…)`.
    Let {
        /// The name.
        name: Ident,
        /// Family subscripts of a call.
        family: Option<Bracket>,
        /// The value.
        value: Expr,
    },
    /// `let t[legs] = expr`, `let materialize t[legs] = expr`, `var h[legs] = expr`.
    Define {
        /// Which.
        kind: DefineKind,
        /// The name.
        name: Ident,
        /// The left side's legs.
        legs: Bracket,
        /// The value.
        value: Expr,
    },
    /// `h[legs] = expr`
    Assign {
        /// The variable.
        name: Ident,
        /// The left side's legs.
        legs: Bracket,
        /// The value.
        value: Expr,
    },
    /// `for l in 0..n { … }`; binders may be several.
    For {
        /// Variables and ranges.
        binders: Vec<Binder>,
        /// What is repeated.
        body: Block,
    },
    /// `if cond { … } else { … }`
    If {
        /// Compile-time condition.
        cond: Expr,
        /// Then.
        then: Block,
        /// Else (an `else if` is a block of one statement).
        otherwise: Option<Block>,
    },
    /// `assert cond, "message"`
    Assert {
        /// Condition.
        cond: Expr,
        /// Message.
        message: Option<Expr>,
    },
    /// `return expr`, `return [legs] expr`
    Return {
        /// Legs of a topology's result.
        legs: Option<Bracket>,
        /// The value.
        value: Expr,
    },
    /// `output y[legs] = expr`, `output z[]: log = expr`, `output y`
    Output {
        /// The name.
        name: Ident,
        /// Legs; none in `output y`.
        legs: Option<Bracket>,
        /// Words after `:` (`log`).
        mode: Option<Ident>,
        /// The value; none in `output y`.
        value: Option<Expr>,
    },
}

/// Which definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefineKind {
    /// `let`
    Let,
    /// `let materialize`
    Materialize,
    /// `var`
    Var,
}

/// One name of an `index` statement. A name takes the next size to its right: `size` is that one, shared by span.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexDecl {
    /// The name.
    pub name: Ident,
    /// Family subscripts.
    pub family: Option<Bracket>,
    /// Its size: an expression, or a call `dyn(hint, max = m)`.
    pub size: Expr,
    /// The size is written after this very name (otherwise after a later one).
    pub own_size: bool,
}

/// `param`, `input`, `const`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LeafKind {
    Param,
    Input,
    Const,
}

/// `param core[k in 0..n][a[k-1]?, s[k]]: init(he), isometry([p] -> [c])`, `input x[b, i]`, `const D[i, j] = delta`
#[derive(Clone, Debug, PartialEq)]
pub struct LeafDecl {
    /// Which.
    pub kind: LeafKind,
    /// The name.
    pub name: Ident,
    /// Family subscripts.
    pub family: Option<Bracket>,
    /// Legs.
    pub legs: Bracket,
    /// After `:`.
    pub attributes: Vec<Attribute>,
    /// After `=` (constants): `delta`, `identity`, a list, `npy("f.npy")`, `window(stride = 1)`.
    pub value: Option<Expr>,
}

/// What follows the `:` of a leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Which.
    pub kind: AttributeKind,
    /// All of it.
    pub span: Span,
}

/// What follows the `:` of a leaf.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeKind {
    /// `init(expr)`; `he`, `identity + noise(0.01)` are ordinary expressions over words of the language; `he([i])` has a list of legs, kept as a bracket call.
    Init(Expr),
    /// `isometry([from] -> [to])`, `unitary(…)`
    Structure {
        /// Both ways.
        unitary: bool,
        /// Domain.
        from: Bracket,
        /// Codomain.
        to: Bracket,
    },
}

/// `input H = T(…)`, `const H = T(…) from npz("f")`, `const g[r in 0..2] = T(…)`, `const CHI = 64`
#[derive(Clone, Debug, PartialEq)]
pub struct Bind {
    /// `input` or `const`.
    pub kind: LeafKind,
    /// The name.
    pub name: Ident,
    /// Family subscripts.
    pub family: Option<Bracket>,
    /// The call or value.
    pub value: Expr,
    /// After `from`.
    pub from: Option<Expr>,
}

/// `k in lo..hi`
#[derive(Clone, Debug, PartialEq)]
pub struct Binder {
    /// The variable.
    pub name: Ident,
    /// First value.
    pub lo: Expr,
    /// One past the last.
    pub hi: Expr,
    /// All of it.
    pub span: Span,
}

/// `[ … ]`
#[derive(Clone, Debug, PartialEq)]
pub struct Bracket {
    /// What stands in it.
    pub items: Vec<LegItem>,
    /// With its brackets.
    pub span: Span,
}

/// An entry of a bracket.
#[derive(Clone, Debug, PartialEq)]
pub struct LegItem {
    /// Which.
    pub kind: LegKind,
    /// All of it.
    pub span: Span,
}

/// What an entry of a bracket is.
#[derive(Clone, Debug, PartialEq)]
pub enum LegKind {
    /// An expression: an index, a subscript, a number.
    Expr(Expr),
    /// `..`, `a..b`
    Range {
        /// Low end.
        lo: Option<Expr>,
        /// High end.
        hi: Option<Expr>,
    },
    /// `k in a..b` (family declarations)
    Binder(Binder),
    /// `s[k]?`
    Optional(Expr),
    /// `for k in 0..n { o[k], i[k] }`
    For {
        /// Variables and ranges.
        binders: Vec<Binder>,
        /// Repeated entries.
        items: Vec<LegItem>,
    },
    /// `(s[0..12], j) as rows`
    Fold {
        /// The legs.
        items: Vec<LegItem>,
        /// The axis's label.
        label: Ident,
    },
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// Which.
    pub kind: ExprKind,
    /// Its text.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `16`
    Int(i64),
    /// `0.5`
    Float(f64),
    /// `2i`
    Imag(f64),
    /// `"text"`
    Str(String),
    /// `true`
    Bool(bool),
    /// `name`
    Name(Ident),
    /// `f(a, b = c; d)`
    Call {
        /// What is called.
        callee: Ident,
        /// Arguments before `;`.
        args: Vec<Arg>,
        /// Arguments after `;`.
        scalars: Option<Vec<Arg>>,
    },
    /// `base[…]`, `core[k][…]`: one or more brackets.
    Index {
        /// What is indexed.
        base: Box<Expr>,
        /// Its brackets.
        brackets: Vec<Bracket>,
    },
    /// `[a, b]`
    List(Vec<Expr>),
    /// `[v; n]`
    Fill {
        /// The entry.
        value: Box<Expr>,
        /// How often.
        count: Box<Expr>,
    },
    /// `[f(k) for k in 0..n]`
    Comprehension {
        /// The entry.
        body: Box<Expr>,
        /// Variables and ranges.
        binders: Vec<Binder>,
    },
    /// `if c { a } else { b }`
    If {
        /// Condition.
        cond: Box<Expr>,
        /// Then.
        then: Box<Expr>,
        /// Else.
        otherwise: Box<Expr>,
    },
    /// `-a`, `!a`
    Unary {
        /// Which.
        op: UnaryOp,
        /// Of what.
        arg: Box<Expr>,
    },
    /// `a * b`
    Binary {
        /// Which.
        op: BinaryOp,
        /// Left.
        lhs: Box<Expr>,
        /// Right.
        rhs: Box<Expr>,
    },
    /// `(a)`
    Paren(Box<Expr>),
    /// `prod k in 0..n { … }`, `sum …`, `stack …`
    Big {
        /// Which.
        op: BigOp,
        /// Variables and ranges.
        binders: Vec<Binder>,
        /// What is repeated.
        body: Box<Expr>,
    },
    /// Something that could not be parsed; a diagnostic has been given.
    Error,
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// `name =`
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
}

/// Prefix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum UnaryOp {
    Neg,
    Not,
}

/// Infix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Pow,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    And,
    Or,
}

impl BinaryOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "||",
            BinaryOp::And => "&&",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Rem => "%",
            BinaryOp::Pow => "^",
        }
    }
}

/// Repeated operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BigOp {
    Prod,
    Sum,
    Stack,
}
