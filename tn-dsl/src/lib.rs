//! The `.tn` language: text to L1.
//!
//! | step | module |
//! | --- | --- |
//! | text → tokens → syntax tree, never failing | [`lex`], [`parse`], [`ast`] |
//! | syntax tree → text | [`fmt`] |
//! | what is wrong, where, and the edit | [`diag`], [`source`] |

pub mod ast;
pub mod diag;
pub mod lex;
pub mod parse;
pub mod source;
