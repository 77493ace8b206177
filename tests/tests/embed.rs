//! The example crate that embeds generated modules, built and run as a user would: among them the 16,777,216 weights of VGG-16's FC2.

use std::path::Path;
use std::process::Command;

#[test]
fn the_example_crate_builds_and_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["run", "--quiet", "--manifest-path"])
        .arg(root.join("examples/embed/Cargo.toml"))
        .arg("--target-dir")
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("embed"))
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{stdout}\n{stderr}");
    for line in ["vgg16_fc2 forward", "vgg16_fc2 sum of all weights"] {
        assert!(stdout.contains(line), "{stdout}");
    }
}
