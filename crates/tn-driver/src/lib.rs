//! The one road from a source to a plan, as a library; the data files, drawings and tables around it.

pub mod bind;
pub mod data;
pub mod draw;
pub mod glob;
pub mod hash;
pub mod json;
pub mod options;
pub mod region_plan;
pub mod scaling;
pub mod values;

pub use options::{Options, Source};
pub use tn_order::Minimize;
