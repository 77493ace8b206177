//! The built binary, as a user calls it: exit statuses, what goes to stdout, files that are written whole or not at all.

use std::path::Path;
use std::process::{Command, Output};

fn tnc(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tnc"))
        .current_dir(dir)
        .args(args)
        .env_remove("NO_COLOR")
        .env("TNC_CACHE_DIR", dir.join("cache"))
        .output()
        .unwrap()
}

fn ok(dir: &Path, args: &[&str]) -> String {
    let out = tnc(dir, args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Status and stderr of a call that must fail and must say nothing on stdout.
fn fails(dir: &Path, args: &[&str]) -> (i32, String) {
    let out = tnc(dir, args);
    assert!(!out.status.success(), "{args:?} did not fail");
    assert!(out.stdout.is_empty(), "{args:?} wrote to stdout: {}", String::from_utf8_lossy(&out.stdout));
    (out.status.code().unwrap(), String::from_utf8(out.stderr).unwrap())
}

const LAYER: &str = "/// A small layer.\n\
    network layer(n: int = 3) {\n\
    \x20   dtype f64\n\
    \x20   index b: dyn(2), i: n, o: 2\n\
    \x20   input x[b, i]\n\
    \x20   param w[o, i]\n\
    \x20   output y[b, o] = w[o, i] * x[b, i]\n\
    }\n";

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("layer.tn"), LAYER).unwrap();
    dir
}

const MATMUL: [&str; 5] = ["plan", "--einsum", "ab,bc->ac", "--sizes", "a=2,b=3,c=4"];

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn an_einsum_needs_no_file() {
    let dir = folder();
    let text = ok(dir.path(), &[&MATMUL[..], &["--format", "json"]].concat());
    let plan = json(&text);
    assert_eq!(plan["path"], serde_json::json!([[0, 1]]));
    assert!((plan["log10_macs"].as_f64().unwrap() - 24f64.log10()).abs() < 1e-9);
    assert_eq!(plan["optimal"], true);
    assert_eq!(plan["peak_bytes"].as_u64(), Some(4 * (6 + 12 + 8)));
    assert!(ok(dir.path(), &MATMUL).contains("out"));
}

#[test]
fn exit_statuses() {
    let dir = folder();
    let at = dir.path();
    assert_eq!(fails(at, &["plan"]).0, 2);
    assert_eq!(fails(at, &["plan", "layer.tn", "--memory", "lots"]).0, 2);
    assert_eq!(fails(at, &["plan", "missing.tn"]).0, 4);
    std::fs::write(at.join("bad.tn"), "network n { output z[] = q[] }\n").unwrap();
    let (status, stderr) = fails(at, &["plan", "bad.tn"]);
    assert_eq!(status, 1);
    assert!(stderr.contains("bad.tn:1:"), "{stderr}");
    let (status, stderr) = fails(at, &[&MATMUL[..], &["--memory", "10"]].concat());
    assert_eq!(status, 3);
    assert!(stderr.contains("smallest peak found is `104` bytes"), "{stderr}");
    assert_eq!(fails(at, &["plan", "layer.tn", "-o", "no/such/folder/p.ron"]).0, 4);
    assert_eq!(fails(at, &["explain", "TN9999"]).0, 2);
}

#[test]
fn a_failed_command_leaves_no_file_and_keeps_the_old_one() {
    let dir = folder();
    let at = dir.path();
    std::fs::write(at.join("p.ron"), "old").unwrap();
    fails(at, &["plan", "layer.tn", "--memory", "1", "-o", "p.ron"]);
    assert_eq!(std::fs::read_to_string(at.join("p.ron")).unwrap(), "old");
    fails(at, &["run", "layer.tn", "-o", "out.npz"]);
    let names = std::fs::read_dir(at).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.filter(|n| n != "cache").collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn init_run_and_a_plan_file() {
    let dir = folder();
    let at = dir.path();
    assert_eq!(ok(at, &["init", "layer.tn", "-o", "w.safetensors", "--seed", "5"]), "");
    let first = std::fs::read(at.join("w.safetensors")).unwrap();
    ok(at, &["init", "layer.tn", "-o", "again.safetensors", "--seed", "5"]);
    assert_eq!(first, std::fs::read(at.join("again.safetensors")).unwrap());
    let x = tn_driver::data::DataArray {
        shape: vec![4, 3],
        elements: tn_driver::data::Elements::F64((0..12).map(f64::from).collect()),
    };
    std::fs::write(at.join("x.npy"), tn_driver::data::write_npy(&x)).unwrap();
    let (status, stderr) = fails(at, &["run", "layer.tn", "--data", "x=x.npy", "-o", "y.npz"]);
    assert_eq!(status, 1);
    assert!(stderr.contains("tnc init"), "{stderr}");
    let data = ["--data", "w.safetensors", "--data", "x=x.npy"];
    assert_eq!(ok(at, &[&["run", "layer.tn", "-o", "y.npz"][..], &data].concat()), "");
    ok(at, &["plan", "layer.tn", "-o", "p.ron"]);
    ok(at, &[&["run", "p.ron", "-o", "z.npz"][..], &data].concat());
    assert_eq!(std::fs::read(at.join("y.npz")).unwrap(), std::fs::read(at.join("z.npz")).unwrap());
    let y = tn_driver::data::read_arrays(&at.join("y.npz")).unwrap();
    let w = &tn_driver::data::read_arrays(&at.join("w.safetensors")).unwrap()[0].1;
    assert_eq!((y[0].0.as_str(), &y[0].1.shape[..]), ("y", &[4, 2][..]));
    let (w, x, y) = (w.elements.to_complex(), x.elements.to_complex(), y[0].1.elements.to_complex());
    for b in 0..4 {
        for o in 0..2 {
            let want: f64 = (0..3).map(|i| (w[o * 3 + i] * x[b * 3 + i]).re).sum();
            assert!((y[b * 2 + o].re - want).abs() < 1e-12);
        }
    }
    let (status, stderr) = fails(at, &[&["run", "p.ron", "--grad", "-o", "g.npz"][..], &data].concat());
    assert_eq!(status, 1);
    assert!(stderr.contains("tnc plan --grad"), "{stderr}");
}

#[test]
fn diagnostics_as_json_are_the_result() {
    let dir = folder();
    let at = dir.path();
    std::fs::write(at.join("bad.tn"), "network n { index i: 2\n param a[i]\n output z[] = a[i] * b[i] }\n")
        .unwrap();
    let out = tnc(at, &["check", "bad.tn", "--format", "json"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(out.stderr.is_empty());
    let found = json(std::str::from_utf8(&out.stdout).unwrap());
    assert!(!found.as_array().unwrap().is_empty());
    assert_eq!(json(&ok(at, &["check", "layer.tn", "--format", "json"])), serde_json::json!([]));
    let text = ok(at, &["check", "layer.tn"]);
    for part in ["network layer", "parameters: 6 (48 B)", "[b, 3]", "regions: 1"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn formatting_is_checked_and_done() {
    let dir = folder();
    let at = dir.path();
    std::fs::write(at.join("ugly.tn"), "network   n{index i:2\nparam a[i]\noutput z[]=a[i]*a[i]}").unwrap();
    let (status, stderr) = fails(at, &["fmt", "--check", "ugly.tn"]);
    assert_eq!(status, 1);
    assert!(stderr.contains("ugly.tn"));
    ok(at, &["fmt", "ugly.tn"]);
    ok(at, &["fmt", "--check", "ugly.tn"]);
}

#[test]
fn drawings() {
    let dir = folder();
    let at = dir.path();
    let svg = ok(at, &["draw", "layer.tn"]);
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert!(ok(at, &["draw", "layer.tn", "--format", "dot"]).starts_with("graph"));
    ok(at, &["draw", "layer.tn", "--tree", "-o", "tree.svg"]);
    let (status, why) = fails(at, &["draw", "layer.tn", "-o", "picture.png"]);
    assert!(status == 2 && why.contains(".svg") && !at.join("picture.png").exists(), "{why}");
    assert!(std::fs::read_to_string(at.join("tree.svg")).unwrap().contains("1 contractions"));
    ok(at, &["plan", "layer.tn", "-o", "p.ron"]);
    assert!(ok(at, &["draw", "p.ron"]).contains("w"));
}

#[test]
fn scaling_and_sweeps() {
    let dir = folder();
    let at = dir.path();
    assert!(ok(at, &["plan", "layer.tn", "--scaling", "n"]).contains("O(n)"));
    let rows = json(&ok(at, &["plan", "layer.tn", "--sweep", "n=2..5", "--format", "json"]));
    let values: Vec<_> =
        rows["rows"].as_array().unwrap().iter().map(|r| r["value"].as_i64().unwrap()).collect();
    assert_eq!(values, [2, 3, 4]);
    assert_eq!(fails(at, &["plan", "layer.tn", "--scaling", "q"]).0, 1);
}

#[test]
fn emitted_files_and_their_folder() {
    let dir = folder();
    let at = dir.path();
    assert_eq!(ok(at, &["emit", "layer.tn", "--target", "rust", "--grad", "-o", "out"]), "");
    let text = std::fs::read_to_string(at.join("out/layer.rs")).unwrap();
    assert!(text.contains("pub fn forward") && text.contains("pub fn vjp"));
    ok(at, &["emit", "layer.tn", "--target", "cuda", "-o", "out"]);
    assert!(std::fs::read_dir(at.join("out")).unwrap().count() >= 2);
    ok(at, &["emit", "layer.tn", "--target", "rust", "--abi", "c", "-o", "from_c"]);
    let mut names: Vec<String> = std::fs::read_dir(at.join("from_c"))
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["Cargo.toml", "layer.h", "layer.rs", "layer_c.rs"]);
    // a second time is no other network; a manifest of somebody else's stays
    ok(at, &["emit", "layer.tn", "--target", "rust", "--abi", "c", "-o", "from_c"]);
    std::fs::write(at.join("Cargo.toml"), "[package]").unwrap();
    let (status, why) = fails(at, &["emit", "layer.tn", "--target", "rust", "--abi", "c", "-o", "."]);
    assert!(status == 1 && why.contains("a folder of its own"), "{why}");
    assert!(
        std::fs::read_to_string(at.join("Cargo.toml")).unwrap() == "[package]"
            && !at.join("layer.h").exists()
    );
    let (status, why) = fails(at, &["emit", "layer.tn", "--target", "cuda", "--abi", "c", "-o", "out"]);
    assert!(status == 2 && why.contains("leave out `--abi c`"), "{why}");
}

#[test]
fn colours_on_request_only() {
    let dir = folder();
    let at = dir.path();
    std::fs::write(at.join("bad.tn"), "network n { output z[] = q[] }\n").unwrap();
    assert!(!fails(at, &["plan", "bad.tn"]).1.contains('\x1b'));
    assert!(fails(at, &["plan", "bad.tn", "--color", "always"]).1.contains('\x1b'));
}

#[test]
fn the_same_bytes_at_any_number_of_threads() {
    let dir = folder();
    let at = dir.path();
    let one = ok(at, &["plan", "layer.tn", "--format", "ron", "--threads", "1", "--no-cache"]);
    assert_eq!(one, ok(at, &["plan", "layer.tn", "--format", "ron", "--threads", "3", "--no-cache"]));
}

#[test]
fn gradients_are_checked() {
    let dir = folder();
    let text = ok(dir.path(), &["grad-check", "layer.tn", "--format", "json"]);
    let report = json(&text);
    assert!(report["worst"].as_f64().unwrap() < 1e-7, "{text}");
    assert_eq!(report["leaves"].as_array().unwrap().len(), 2);
}

#[test]
fn a_plan_file_keeps_to_limits_and_takes_no_late_options() {
    let dir = folder();
    let at = dir.path();
    ok(at, &["plan", "layer.tn", "-o", "p.ron"]);
    for late in [&["--set", "n=2"][..], &["--network", "other"], &["--trials", "3"], &["--wrt", "w"]] {
        let (status, why) = fails(at, &[&["explain", "p.ron"][..], late].concat());
        assert!(status == 2 && why.contains(late[0]), "{why}");
    }
    let (status, why) = fails(at, &["plan", "p.ron", "--memory", "10"]);
    assert!(status == 3 && why.contains("smallest peak"), "{why}");
    let (status, why) = fails(at, &["plan", "layer.tn", "--max-size", "0"]);
    assert!(status == 2 && why.contains("at least 1"), "{why}");
}

#[test]
fn constants_that_are_not_finite_are_refused() {
    let dir = folder();
    let mut header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }".to_vec();
    header.resize(117, b' ');
    header.push(b'\n');
    let mut npy = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    npy.extend(header);
    for x in [1.0, f64::NAN] {
        npy.extend(x.to_le_bytes());
    }
    std::fs::write(dir.path().join("c.npy"), npy).unwrap();
    let text = "network c { dtype f64\n index i: 2\n const C[i] = npy(\"c.npy\")\n output y[i] = C[i] }";
    std::fs::write(dir.path().join("c.tn"), text).unwrap();
    let (status, why) = fails(dir.path(), &["check", "c.tn"]);
    assert!(status == 1 && why.contains("NaN") && why.contains("position `1`"), "{why}");
}

#[test]
fn a_gradient_that_is_not_a_number_fails_its_check() {
    let dir = folder();
    let text =
        "network n { dtype f64\n index i: 1\n input x[i]\n let y[i] = log(x[i])\n output z[] = y[i] * y[i] }";
    std::fs::write(dir.path().join("n.tn"), text).unwrap();
    let mut npy =
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }".to_vec();
    npy.resize(127, b' ');
    npy.push(b'\n');
    npy.extend((-1f64).to_le_bytes());
    std::fs::write(dir.path().join("x.npy"), npy).unwrap();
    let out = tnc(dir.path(), &["grad-check", "n.tn", "--data", "x=x.npy"]);
    let why = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.code() == Some(1) && why.contains("`NaN` is above the tolerance"), "{why}");
}

#[test]
fn of_several_networks_the_first_is_taken_with_a_word() {
    let dir = folder();
    let one = |name: &str| format!("network {name} {{ index i: 2\n param x[i]\n output z[] = x[i] }}\n");
    std::fs::write(dir.path().join("two.tn"), one("a") + &one("b")).unwrap();
    let told = |more: &[&str]| {
        let args = [&["plan", "two.tn", "--no-cache"], more].concat();
        let out = tnc(dir.path(), &args);
        assert!(out.status.success());
        String::from_utf8(out.stderr).unwrap()
    };
    let warning = told(&[]);
    assert!(warning.contains("two.tn:1:9") && warning.contains("takes another: `b`"), "{warning}");
    assert_eq!(told(&["--network", "a"]), "");
}

#[test]
fn runs_are_objects_instances_are_checked_and_transpositions_shown() {
    let dir = folder();
    let at = dir.path();
    std::fs::write(
        at.join("s.tn"),
        "network s { dtype f64\n param a[]: init(ones)\n output y[] = 2.0 * a[] }",
    )
    .unwrap();
    ok(at, &["init", "s.tn", "-o", "s.npz"]);
    let ran = json(&ok(at, &["run", "s.tn", "--data", "s.npz", "--format", "json"]));
    assert_eq!(ran["arrays"][0]["values"], serde_json::json!([2.0]));
    std::fs::write(
        at.join("m.json"),
        r#"{"inputs": [["i","j"]], "output": ["j","i"], "sizes": {"i": 2, "j": 3}}"#,
    )
    .unwrap();
    assert!(ok(at, &["check", "m.json"]).contains("leaves: 1"));
    assert!(ok(at, &["plan", "m.json"]).contains("out[a,b] = t[0][b,a]"));
    let entries = json(&ok(at, &["plan", "layer.tn", "--grad", "--format", "json"]));
    assert_eq!(entries["entries"][2]["name"], "vjp");
}
