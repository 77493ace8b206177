//! The `.tn` language: text to L1.
//!
//! | step | module |
//! | --- | --- |
//! | text → tokens → syntax tree, never failing | [`lex`], [`parse`], [`ast`] |
//! | files and imports; names to L1 | [`load`], [`elab`] |
//! | what is wrong, where, and the edit | [`diag`], [`source`] |

pub mod ast;
pub mod diag;
pub mod elab;
pub mod fmt;
pub mod lex;
pub mod load;
pub mod parse;
pub mod source;
