//! Folders, processes and files of numbers.

#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;
use tn_ir::Complex64;
use tn_ir::dtype::DType;

pub fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

pub fn rustc() -> Command {
    Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into()))
}

pub fn run(mut c: Command) -> String {
    let out = c.output().unwrap();
    assert!(
        out.status.success(),
        "{c:?}\n{}\n{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}

pub fn write_numbers(dir: &Path, name: &str, values: &[Complex64], dtype: DType) {
    let mut bytes = Vec::new();
    for v in values {
        bytes.extend(v.re.to_le_bytes());
        if dtype.is_complex() {
            bytes.extend(v.im.to_le_bytes());
        }
    }
    std::fs::write(dir.join(name), bytes).unwrap();
}
