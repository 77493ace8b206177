//! The one road from a source to a plan, as a library; the data files, drawings and tables around it.

pub mod data;
pub mod draw;
pub mod glob;
pub mod hash;
pub mod values;
