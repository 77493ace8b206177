//! L4: schedules, buffers and their verifier.

pub mod ir;
