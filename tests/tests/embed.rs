//! The example crates that embed generated modules, built and run as a user would: among them the 16,777,216 weights of VGG-16's FC2.

use std::path::Path;
use std::process::Command;

/// Runs an example crate; its standard output.
fn run(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["run", "--quiet", "--manifest-path"])
        .arg(root.join("examples").join(name).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("embed"))
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{stdout}\n{stderr}");
    stdout.into_owned()
}

#[test]
fn the_example_crate_builds_and_runs() {
    let stdout = run("embed");
    for line in ["vgg16_fc2 forward", "vgg16_fc2 sum of all weights"] {
        assert!(stdout.contains(line), "{stdout}");
    }
}

#[test]
fn a_layer_over_ndarray_is_right_and_learns() {
    let stdout = run("ndarray");
    for line in ["from ndarray's product", "gradient of x", "after 300 steps"] {
        assert!(stdout.contains(line), "{stdout}");
    }
}

#[test]
fn a_layer_without_the_standard_library_is_right() {
    let stdout = run("microcontroller");
    assert!(stdout.contains("window 2") && stdout.contains("200 parameters in flash"), "{stdout}");
}
