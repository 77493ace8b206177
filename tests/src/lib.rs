//! What the workspace's tests share: golden cases, and crates of emitted code.

pub mod golden;
