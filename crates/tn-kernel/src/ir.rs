//! The statements of a kernel.
//!
//! A [`Kernel`] computes one step. It sees its operands as flat arrays that begin at the step's first element; the last
//! operand is written, the others are read. Loop variables, registers, views and on-chip arrays are numbered within the kernel.
//! Sizes, strides and bounds are polynomials in the run-time sizes, which are arguments of the kernel.
//!
//! ```text
//! for j in (0..n/16*16).step_by(16)          Loop
//!     acc0[16] = 0                           Array
//!     v0 = b[j ..][.. 1 + …]                 View: a window of an operand
//!     r0 = a[k]                              Load
//!     for n in 0..16 (unrolled)
//!         r1 = v0[n]
//!         r2 = r0 * r1                       Op
//!         acc0[n] += r2                      Store
//! ```
//!
//! A register is written once for each pass through the block that defines it and is visible in that block and the blocks inside it.

use tn_ir::dtype::DType;
use tn_ir::scalar::ScalarOp;
use tn_ir::size::{Poly, SymbolId};
use tn_ir::typed_id;

typed_id!(
    /// A loop variable of a kernel.
    Var
);
typed_id!(
    /// A scalar value of a kernel.
    Reg
);
typed_id!(
    /// A window of an operand or of an on-chip array.
    View
);
typed_id!(
    /// An array in registers or on the stack (or in a thread's local memory).
    ArrayId
);

/// One computation over operands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// What it does, for its name: `contract`, `reduce`, `map`, `copy`.
    pub what: &'static str,
    /// Element type of operands, registers and arrays.
    pub dtype: DType,
    /// Run-time sizes that occur in it.
    pub symbols: Vec<SymbolId>,
    /// Elements of each operand that it may touch, from the first; the last operand is the result.
    pub operands: Vec<Poly>,
    /// Whether the result is added to what is there.
    pub accumulates: bool,
    /// Lengths of the on-chip arrays.
    pub arrays: Vec<u32>,
    /// How it is started.
    pub launch: Launch,
    /// What it does.
    pub body: Vec<Stmt>,
}

/// How a kernel is started.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Launch {
    /// A plain call.
    Serial,
    /// One thread for each of `work` results, grid-stride.
    Threads {
        /// Number of results.
        work: Poly,
    },
    /// One block of threads for each of `work` results; the block's threads share the reduction.
    Blocks {
        /// Number of results.
        work: Poly,
    },
}

/// A position: `base + Σ var·stride`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Index {
    /// Part that no variable moves.
    pub base: Poly,
    /// Variables and their strides (never zero).
    pub terms: Vec<(Var, Poly)>,
}

/// A loop bound: `poly` rounded down to a multiple of `multiple_of` (1: exactly).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bound {
    /// The polynomial.
    pub poly: Poly,
    /// Rounded down to a multiple of this.
    pub multiple_of: u32,
}

/// How a loop is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Walk {
    /// In order.
    Serial,
    /// In order, trip count known and small: meant to be unrolled.
    Unrolled,
    /// Shared out among all threads of the grid.
    Grid,
    /// Shared out among all blocks of the grid.
    Blocks,
    /// Shared out among the threads of a block.
    Threads,
}

/// Something that holds elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// An element of an operand.
    Operand(u32, Index),
    /// An element of a view.
    View(View, Index),
    /// An element of an on-chip array.
    Array(ArrayId, Index),
}

/// What a view is a window of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whole {
    /// An operand of the kernel.
    Operand(u32),
    /// An on-chip array, to be read.
    Array(ArrayId),
    /// An on-chip array, to be written.
    ArrayMut(ArrayId),
}

/// How a store writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Put {
    /// Overwrites.
    Set,
    /// Overwrites, past the caches where that can be: the result is far larger than they are, and nothing of it is read soon.
    Stream,
    /// Adds.
    Add,
}

/// How the threads of a block combine their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Join {
    /// Sum.
    Sum,
    /// The value with the largest real part.
    Max,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stmt {
    /// For `var` in `from..to`, `step` apart.
    Loop {
        /// Bound inside `body`.
        var: Var,
        /// First value.
        from: Bound,
        /// One past the last value.
        to: Bound,
        /// Distance of values.
        step: u32,
        /// How.
        walk: Walk,
        /// What is repeated.
        body: Vec<Stmt>,
    },
    /// A part of a range: for `within` in `0..min(width, to − from)`, `step` apart, with `var = from + within`.
    ///
    /// What a loop with steps of `width` over `0..to` calls `from` begins a block; this walks the block, the last one to its own end.
    Piece {
        /// The position in the range, bound inside `body`.
        var: Var,
        /// The position in the block, bound inside `body`.
        within: Var,
        /// Where the block begins; below `to`.
        from: Var,
        /// Length of a whole block.
        width: u32,
        /// One past the last value of the range.
        to: Poly,
        /// Distance of values.
        step: u32,
        /// What is repeated.
        body: Vec<Stmt>,
    },
    /// Splits `flat` into one variable for each extent, the last fastest.
    Decode {
        /// The flat position.
        flat: Var,
        /// Variables and their extents.
        parts: Vec<(Var, Poly)>,
    },
    /// Names `len` elements of an operand or an on-chip array from `base`.
    View {
        /// Its name.
        view: View,
        /// What it is a window of.
        of: Whole,
        /// First element.
        base: Index,
        /// Number of elements.
        len: Poly,
    },
    /// Declares an on-chip array, all zero.
    Array(ArrayId),
    /// Says that an on-chip array is complete, and computes nothing: what accumulated it may stay in vector registers, whatever the pattern in
    /// which it is read from here on.
    Settle(ArrayId),
    /// Reads.
    Load {
        /// Result.
        dst: Reg,
        /// From.
        from: Place,
    },
    /// Computes; references of the operation are register numbers (`Arg` does not occur).
    Op {
        /// Result.
        dst: Reg,
        /// Operation.
        op: ScalarOp,
    },
    /// Writes.
    Store {
        /// To.
        to: Place,
        /// What.
        value: Reg,
        /// How.
        put: Put,
    },
    /// Combines entry 0 of an array over the threads of a block, in an order that depends on the block's size only; every thread must
    /// arrive. The result stands in entry 0 of the first thread.
    Join {
        /// The array.
        array: ArrayId,
        /// How.
        join: Join,
    },
    /// What only the first thread of a block does.
    First {
        /// Statements.
        body: Vec<Stmt>,
    },
}

impl Bound {
    /// Exactly this value.
    pub fn exact(poly: Poly) -> Bound {
        Bound { poly, multiple_of: 1 }
    }
    /// Zero.
    pub fn zero() -> Bound {
        Bound::exact(Poly::zero())
    }
    /// The value under an assignment of the run-time sizes.
    pub fn eval(&self, value_of: impl FnMut(SymbolId) -> i64) -> i128 {
        let m = i128::from(self.multiple_of.max(1));
        self.poly.eval(value_of).div_euclid(m) * m
    }
}

impl Index {
    /// A position that no variable moves.
    pub fn fixed(base: Poly) -> Index {
        Index { base, terms: vec![] }
    }
    /// Adds `var·stride`.
    pub fn add(&mut self, var: Var, stride: &Poly) {
        if stride.is_zero() {
            return;
        }
        match self.terms.iter_mut().find(|(v, _)| *v == var) {
            Some((_, s)) => *s = &*s + stride,
            None => self.terms.push((var, stride.clone())),
        }
    }
}
