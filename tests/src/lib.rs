//! What the workspace's tests share: golden cases, networks compiled and run by the executor, and crates of emitted code.

pub mod emitted;
pub mod golden;
pub mod network;
