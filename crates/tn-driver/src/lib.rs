//! The one road from a source to a plan, as a library; the data files, drawings and tables around it.
//!
//! ```text
//! Source ─ load, elaborate ─▶ Prepared ─ search, lower, differentiate, schedule, verify ─▶ Compiled ─▶ emit, run, report
//! ```
//!
//! [`compile()`] is the whole road. Nothing here prints or exits; [`Error`] says what went wrong by what the user can do about it.

pub mod analysis;
pub mod applied;
pub mod bind;
pub mod cache;
pub mod check;
mod compile;
pub mod data;
pub mod derivation;
pub mod draw;
pub mod emit;
mod error;
mod form;
pub mod format;
pub mod given;
pub mod glob;
pub mod grad_check;
pub mod hash;
pub mod init;
mod joint;
pub mod json;
mod kept;
pub mod live;
pub mod machine;
mod memory;
mod options;
pub mod pareto;
pub mod paths;
mod plan_file;
pub mod print;
mod regimes;
pub mod region_plan;
pub mod report;
mod rules;
pub mod run;
pub mod scaling;
mod search;
mod sharing;
mod stack;
mod stages;
pub mod table;
pub mod values;
mod watch;

pub use compile::{Compiled, Prepared, compile, compile_prepared, network_names, prepare, prepared_drawing};
pub use error::{Error, Infeasible, Limit, SourceErrors};
pub use options::{Options, Preset, Source};
pub use plan_file::{has_entries, is_within, load_plan, parse_plan, to_ron};
pub use rules::{Row, Rules};
pub use stack::STACK_BYTES;
pub use stages::{Built, Rewritten, leaf_infos};
pub use tn_order::Minimize;
pub use watch::{Figure, Seen, Tell, Watch};
