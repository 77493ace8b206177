//! Plans as a user keeps and brings them, with the built binary: presets, paths from files, the cache, Ctrl-C.

use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tnc"));
    command.current_dir(dir).args(args).env_remove("NO_COLOR").env("TNC_CACHE_DIR", dir.join("cache"));
    command
}

fn tnc(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().unwrap()
}

fn ok(dir: &Path, args: &[&str]) -> String {
    let out = tnc(dir, args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn plan(dir: &Path, args: &[&str]) -> Value {
    let text = ok(dir, &[&["plan"], args, &["--format", "json"]].concat());
    serde_json::from_str(&text).unwrap()
}

fn fails(dir: &Path, args: &[&str]) -> (i32, String) {
    let out = tnc(dir, args);
    assert!(!out.status.success() && out.stdout.is_empty(), "{args:?} did not fail");
    (out.status.code().unwrap(), String::from_utf8(out.stderr).unwrap())
}

/// A folder with a lattice of `n` × `n` tensors, the same with other names, and a network of two regions.
fn folder(n: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (file, prefix) in [("lattice.json", "i"), ("renamed.json", "z")] {
        let mut inputs = Vec::new();
        let mut sizes = serde_json::Map::new();
        for x in 0..n {
            for y in 0..n {
                let mut legs = Vec::new();
                let mut leg = |name: String| {
                    sizes.insert(name.clone(), json!(2 + name.len() % 3));
                    legs.push(name);
                };
                if x > 0 {
                    leg(format!("{prefix}v{}_{y}", x - 1));
                }
                if y > 0 {
                    leg(format!("{prefix}h{x}_{}", y - 1));
                }
                if x + 1 < n {
                    leg(format!("{prefix}v{x}_{y}"));
                }
                if y + 1 < n {
                    leg(format!("{prefix}h{x}_{y}"));
                }
                inputs.push(legs);
            }
        }
        let instance = json!({"inputs": inputs, "output": [], "sizes": sizes});
        std::fs::write(dir.path().join(file), instance.to_string()).unwrap();
    }
    let two = "network two {\n    dtype f64\n    index i: 3, j: 4, k: 5\n    param a[i, j]\n    param b[j, k]\n    \
               param c[k, i]\n    output y[i] = exp(a[i, j] * b[j, k] * c[k, i])\n    output z[] = a[i, j] * b[j, k] * c[k, i]\n}\n";
    std::fs::write(dir.path().join("two.tn"), two).unwrap();
    let norm = "use std::peps\nnetwork norm {\n    dtype f64\n    index s[0..3, 0..3]: 2\n    \
                let psi = peps(rows = 3, cols = 3, phys = 2, bond = 2)\n    output z[] = conj(psi[s[..]]) * psi[s[..]]\n}\n";
    std::fs::write(dir.path().join("norm.tn"), norm).unwrap();
    dir
}

fn macs(plan: &Value) -> f64 {
    plan["log10_macs"].as_f64().unwrap()
}

const CHAIN: [&str; 4] = ["--einsum", "ab,bc,cd,de->ae", "--sizes", "a=2,b=50,c=3,d=40,e=5"];

#[test]
fn presets_are_counted_and_options_go_before_them() {
    let dir = folder(7);
    let at = dir.path();
    let by =
        |more: &[&str]| plan(at, &[&["lattice.json", "--no-cache", "--minimize", "macs"], more].concat());
    let (fast, auto) = (by(&["--preset", "fast"]), by(&[]));
    assert_eq!(fast["path"], by(&["--preset", "fast", "--threads", "3"])["path"]);
    assert_eq!(auto["path"], by(&["--preset", "auto"])["path"]);
    assert!(macs(&auto) <= macs(&fast) + 1e-9);
    assert_eq!(fast["path"], by(&["--preset", "best", "--trials", "8"])["path"]);
    assert_eq!(fast["time_limited"], false);
    let timed = by(&["--preset", "best", "--max-time", "200ms"]);
    assert!(timed["seconds"].as_f64().unwrap() < 5.0 && timed["time_limited"] == true);
}

#[test]
fn a_path_is_costed_refined_and_written() {
    let dir = folder(4);
    let at = dir.path();
    // From left to right; positions, and the same as numbers.
    std::fs::write(at.join("linear.json"), "[[0, 1], [2, 0], [1, 0]]").unwrap();
    std::fs::write(at.join("ssa.json"), "[[0, 1], [4, 2], [3, 5]]").unwrap();
    let by = |more: &[&str]| plan(at, &[&CHAIN, more].concat());
    let linear = by(&["--path", "linear.json"]);
    let want = (2 * 50 * 3 + 2 * 3 * 40 + 2 * 40 * 5) as f64;
    assert!((macs(&linear) - want.log10()).abs() < 1e-9, "{linear}");
    assert_eq!(linear["optimal"], false);
    let ssa = by(&["--path", "ssa.json", "--path-format", "ssa"]);
    assert_eq!(ssa["ssa_path"], json!([[0, 1], [4, 2], [3, 5]]));
    assert_eq!(macs(&ssa), macs(&linear));
    assert_eq!(ssa["ssa_path"], by(&["--path", "ssa.json"])["ssa_path"]);
    let bad = "[[1, 2], [0, 2], [0, 1]]";
    std::fs::write(at.join("bad.json"), bad).unwrap();
    let (given, refined) =
        (by(&["--path", "bad.json"]), by(&["--path", "bad.json", "--refine", "--minimize", "macs"]));
    assert!(macs(&refined) <= macs(&linear) && macs(&given) > macs(&refined));
    assert_eq!(refined["optimal"], true);
    // Written and read again, in both formats; our own output and plan files are paths too.
    let made = plan(at, &["lattice.json", "--write-path", "p.json", "-o", "/dev/stdout"]);
    ok(at, &["plan", "lattice.json", "--write-path", "s.json", "--write-path-format", "ssa", "-o", "p.ron"]);
    ok(at, &["plan", "lattice.json", "-o", "full.json"]);
    for file in ["p.json", "s.json", "p.ron", "full.json"] {
        assert_eq!(plan(at, &["lattice.json", "--path", file])["ssa_path"], made["ssa_path"], "{file}");
    }
    assert_eq!(
        serde_json::from_str::<Value>(&std::fs::read_to_string(at.join("p.json")).unwrap()).unwrap(),
        made["path"]
    );
    // The other commands take it as well.
    let path = ["--path", "linear.json"];
    ok(at, &[&["emit", "--target", "rust", "-o", "out"][..], &CHAIN, &path].concat());
    assert!(ok(at, &[&["draw", "--tree"][..], &CHAIN, &path].concat()).contains("3 contractions"));
    assert!(ok(at, &["explain", "lattice.json", "--path", "p.json"]).contains("16 tensors"));
}

#[test]
fn a_limit_slices_a_given_path() {
    let dir = folder(5);
    let at = dir.path();
    let free = plan(at, &["lattice.json", "--write-path", "p.json"]);
    let limit = ["--max-size", "16"];
    let sliced = plan(at, &[&["lattice.json", "--path", "p.json"][..], &limit].concat());
    assert_eq!(sliced["path"], free["path"]);
    assert!(sliced["slices"].as_u64().unwrap() > 1 && sliced["log2_max_size"].as_f64().unwrap() <= 4.0);
    // Slices come back with the path, also where two indices have one name.
    ok(at, &["plan", "norm.tn", "--max-size", "16", "-o", "norm.json"]);
    ok(at, &["plan", "norm.tn", "--max-size", "16", "-o", "norm.ron"]);
    let made: Value = serde_json::from_str(&std::fs::read_to_string(at.join("norm.json")).unwrap()).unwrap();
    assert!(made["sliced"].as_array().unwrap().len() > 1);
    for file in ["norm.json", "norm.ron"] {
        let read = plan(at, &["norm.tn", "--path", file]);
        assert_eq!(read["regions"][0]["sliced_indices"], made["regions"][0]["sliced_indices"]);
        assert_eq!(read["log10_macs_hoisted"], made["log10_macs_hoisted"]);
    }
    let peak = free["peak_bytes"].as_u64().unwrap() - 1;
    let within = plan(at, &["lattice.json", "--path", "p.json", "--memory", &peak.to_string()]);
    assert!(within["peak_bytes"].as_u64().unwrap() <= peak);
    assert_eq!(within["path"], free["path"]);
}

#[test]
fn a_program_of_several_regions_has_a_path_for_each() {
    let dir = folder(2);
    let at = dir.path();
    let made = plan(at, &["two.tn", "--write-path", "p.json"]);
    let names: Vec<&str> =
        made["regions"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert!(names.len() >= 2, "{names:?}");
    let read = plan(at, &["two.tn", "--path", "p.json"]);
    for k in 0..names.len() {
        assert_eq!(read["regions"][k]["path"], made["regions"][k]["path"]);
    }
    std::fs::write(at.join("one.json"), "[[0, 1], [0, 1]]").unwrap();
    let (status, error) = fails(at, &["plan", "two.tn", "--path", "one.json"]);
    assert!(status == 1 && error.contains("one.json") && error.contains(names[0]), "{error}");
}

#[test]
fn bad_paths_are_wrong_inputs() {
    let dir = folder(3);
    let at = dir.path();
    for (text, parts) in [
        ("nonsense", &["not JSON", "help:"][..]),
        ("[[0, 1], [0, 7], [0, 1]]", &["step `1`", "`7`"]),
        ("[[0, 0], [0, 1], [0, 1]]", &["step `0`", "twice"]),
        ("[[0, 1]]", &["leaves `3` tensors"]),
        ("{\"nobody\": [[0, 1]]}", &["`out`"]),
    ] {
        std::fs::write(at.join("p.json"), text).unwrap();
        let (status, error) = fails(at, &[&["plan", "--path", "p.json"][..], &CHAIN].concat());
        assert_eq!(status, 1, "{error}");
        for part in parts.iter().chain(&["p.json"]) {
            assert!(error.contains(part), "{text}: {error}");
        }
    }
    assert_eq!(fails(at, &["plan", "lattice.json", "--path", "none.json"]).0, 4);
    assert_eq!(fails(at, &["plan", "lattice.json", "--refine"]).0, 2);
    ok(at, &["plan", "lattice.json", "-o", "p.ron"]);
    assert_eq!(fails(at, &["plan", "p.ron", "--path", "p.json"]).0, 2);
    let text = std::fs::read_to_string(at.join("p.ron")).unwrap();
    let (body, _) = text.trim_end().rsplit_once('\n').unwrap();
    for changed in [text.replacen("lattice", "another", 1), body.to_owned()] {
        std::fs::write(at.join("changed.ron"), changed).unwrap();
        let (status, why) = fails(at, &["explain", "changed.ron"]);
        assert!(status == 1 && why.contains("make it again"), "{why}");
    }
}

#[test]
fn plans_are_kept_by_what_they_are_for() {
    let dir = folder(6);
    let at = dir.path();
    let first = plan(at, &["lattice.json"]);
    assert_eq!(first["cached"], false);
    let again = plan(at, &["lattice.json"]);
    assert_eq!((&again["cached"], &again["path"]), (&json!(true), &first["path"]));
    assert_eq!(again["log10_macs"], first["log10_macs"]);
    // Names do not matter, threads do not; everything else does.
    let renamed = plan(at, &["renamed.json", "--threads", "1"]);
    assert_eq!((&renamed["cached"], &renamed["path"]), (&json!(true), &first["path"]));
    for other in [
        &["--seed", "1"][..],
        &["--trials", "3"],
        &["--preset", "fast"],
        &["--minimize", "size"],
        &["--max-size", "1000"],
        &["--dtype", "c64"],
        &["--max-time", "50ms"],
        &["--no-cache"],
    ] {
        let asked = [&["lattice.json"][..], other].concat();
        assert_eq!(plan(at, &asked)["cached"], false, "{other:?}");
        assert_eq!(plan(at, &asked)["cached"], other != ["--no-cache"], "{other:?}");
    }
    let timed = plan(at, &["lattice.json", "--max-time", "50ms"]);
    assert_eq!((&timed["cached"], &timed["time_limited"]), (&json!(true), &json!(true)));
    // A limit on memory makes many searches; all of them are kept.
    let limit = (first["peak_bytes"].as_u64().unwrap() - 1).to_string();
    let limited = ["lattice.json", "--memory", &limit];
    assert_eq!(plan(at, &limited)["cached"], false);
    assert_eq!(plan(at, &limited)["cached"], true);
    // A kept plan is what the search finds: with and without the cache the same bytes.
    let fresh = plan(at, &["lattice.json", "--no-cache"]);
    assert_eq!(fresh["path"], again["path"]);
}

#[test]
fn the_order_of_tensors_and_axes_does_not_matter() {
    let dir = folder(6);
    let at = dir.path();
    let text = std::fs::read_to_string(at.join("lattice.json")).unwrap();
    let mut other: Value = serde_json::from_str(&text).unwrap();
    let inputs = other["inputs"].as_array_mut().unwrap();
    inputs.reverse();
    inputs.rotate_left(7);
    for legs in inputs.iter_mut().map(|t| t.as_array_mut().unwrap()) {
        legs.reverse();
    }
    std::fs::write(at.join("other.json"), other.to_string()).unwrap();
    let first = plan(at, &["lattice.json", "--max-size", "64"]);
    let again = plan(at, &["other.json", "--max-size", "64"]);
    assert_eq!((&first["cached"], &again["cached"]), (&json!(false), &json!(true)));
    for figure in ["log2_max_size", "slices"] {
        assert_eq!(again[figure], first[figure], "{figure}");
    }
    assert!((macs(&again) - macs(&first)).abs() < 1e-9 && again["path"] != first["path"]);
    // Without the cache the order given decides, as ever.
    assert_eq!(plan(at, &["other.json", "--max-size", "64", "--no-cache"])["cached"], false);
    // The same under a limit on memory, where a plan is kept as a whole too.
    plan(at, &["lattice.json", "--memory", "22KiB"]);
    assert_eq!(plan(at, &["other.json", "--memory", "22KiB"])["cached"], true);
}

#[test]
fn damaged_and_foreign_files_are_no_plans() {
    let dir = folder(5);
    let at = dir.path();
    let first = plan(at, &["lattice.json"]);
    for damage in [&b"{}"[..], b"", b"\xff\xfe", b"{\"format\":1,\"check\":\"\",\"kept\":{}}"] {
        for entry in std::fs::read_dir(at.join("cache")).unwrap() {
            std::fs::write(entry.unwrap().path(), damage).unwrap();
        }
        let again = plan(at, &["lattice.json"]);
        assert_eq!((&again["cached"], &again["path"]), (&json!(false), &first["path"]));
    }
    // A folder that cannot be made is no error.
    std::fs::write(at.join("file"), "").unwrap();
    let out =
        command(at, &["plan", "lattice.json"]).env("TNC_CACHE_DIR", at.join("file/cache")).output().unwrap();
    assert!(out.status.success());
}

#[test]
fn nothing_is_kept_where_nothing_may_be() {
    let dir = folder(4);
    let at = dir.path();
    ok(at, &["plan", "lattice.json", "--no-cache"]);
    ok(at, &["emit", "lattice.json", "--target", "rust", "-o", "out"]);
    ok(at, &["plan", "lattice.json", "--write-path", "p.json", "--no-cache"]);
    ok(at, &["plan", "lattice.json", "--path", "p.json", "--refine"]);
    assert!(!at.join("cache").exists());
    ok(at, &["explain", "lattice.json"]);
    assert!(at.join("cache").exists());
    assert_eq!(fails(at, &["emit", "lattice.json", "--target", "rust", "-o", "o", "--resume"]).0, 2);
}

#[test]
fn a_search_goes_on_from_what_is_kept_and_is_never_worse() {
    let dir = folder(9);
    let at = dir.path();
    let base = ["lattice.json", "--minimize", "macs", "--trials", "1"];
    let first = plan(at, &base);
    let mut last = macs(&first);
    for _ in 0..3 {
        let next = plan(at, &[&base[..], &["--resume", "--seed", "5"]].concat());
        assert!(macs(&next) <= last + 1e-9, "{} after {last}", macs(&next));
        last = macs(&next);
    }
    // The plan of a seed and a budget stays what it is.
    assert_eq!(plan(at, &base)["path"], first["path"]);
    // Under a limit on memory the whole plan is not worse either.
    let limited = ["lattice.json", "--memory", "64KiB", "--trials", "1"];
    let seconds = |p: &Value| p["modelled_seconds"].as_f64().unwrap();
    let mut last = seconds(&plan(at, &limited));
    for _ in 0..2 {
        let next = seconds(&plan(at, &[&limited[..], &["--resume"]].concat()));
        assert!(next <= last * (1.0 + 1e-9), "{next} after {last}");
        last = next;
    }
}

#[test]
fn what_was_found_within_other_limits_is_a_start() {
    let long = ["lattice.json", "--minimize", "macs", "--trials", "24"];
    let short = ["lattice.json", "--minimize", "macs", "--trials", "1", "--seed", "7", "--resume"];
    let by = |dir: &tempfile::TempDir, base: &[&str], more: &[&str]| {
        macs(&plan(dir.path(), &[base, more].concat()))
    };
    // From narrow to wide.
    for narrow in [["--max-size", "256"], ["--memory", "60KiB"]] {
        let dir = folder(9);
        let first = by(&dir, &long, &narrow);
        for wide in [&["--max-size", "1024"][..], &[], &["--memory", "1MiB"]] {
            let next = by(&dir, &short, &[wide, &["--max-time", "5ms"]].concat());
            assert!(next <= first + 1e-9, "{narrow:?} {wide:?}: {next} after {first}");
        }
    }
    // From wide to narrow, where the tree happens to be within.
    let dir = folder(9);
    let first = plan(dir.path(), &long);
    let size = format!("{:.0}", first["log2_max_size"].as_f64().unwrap().exp2());
    let peak = first["peak_bytes"].to_string();
    for narrow in [["--max-size", &size], ["--memory", &peak]] {
        let next = by(&dir, &short, &narrow);
        assert!(next <= macs(&first) + 1e-9, "{narrow:?}: {next} after {}", macs(&first));
    }
    // What is not within is no start.
    let tight = plan(dir.path(), &[&short[..], &["--max-size", "16"]].concat());
    assert!(tight["log2_max_size"].as_f64().unwrap() <= 4.0);
}

#[test]
fn a_plan_is_plotted() {
    let dir = folder(4);
    let at = dir.path();
    ok(at, &["plan", "lattice.json", "--plot", "p.svg", "--memory", "1MiB", "-o", "p.ron"]);
    let page = std::fs::read_to_string(at.join("p.svg")).unwrap();
    for part in ["<svg", "15 contractions", "peak at step", "limit 1.00 MiB", "</svg>"] {
        assert!(page.contains(part), "{part}");
    }
    ok(at, &["plan", "p.ron", "--plot", "q.svg", "--memory", "1MiB"]);
    assert_eq!(page, std::fs::read_to_string(at.join("q.svg")).unwrap());
    assert!(ok(at, &["plan", "lattice.json"]).contains("most is live at step"));
}

#[test]
fn processes_share_the_cache() {
    let dir = folder(6);
    let at = dir.path();
    let children: Vec<_> = (0..4)
        .map(|k| {
            let name = if k % 2 == 0 { "lattice.json" } else { "renamed.json" };
            command(at, &["plan", name, "--format", "json"]).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let plans: Vec<Value> = children
        .into_iter()
        .map(|c| serde_json::from_slice(&c.wait_with_output().unwrap().stdout).unwrap())
        .collect();
    assert!(plans.iter().all(|p| p["path"] == plans[0]["path"]));
    assert_eq!(std::fs::read_dir(at.join("cache")).unwrap().count(), 1);
}

#[cfg(unix)]
mod interrupts {
    use super::*;
    use std::time::{Duration, Instant};

    fn interrupt(child: &std::process::Child) {
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    }

    #[test]
    fn the_first_ends_the_search_with_the_best_plan_so_far() {
        let dir = folder(12);
        let at = dir.path();
        let began = Instant::now();
        let child = command(at, &["plan", "lattice.json", "--max-time", "120s", "--format", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_secs(2));
        interrupt(&child);
        let out = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.success() && began.elapsed() < Duration::from_secs(60), "{stderr}");
        let plan: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(plan["time_limited"], true);
        assert_eq!(plan["path"].as_array().unwrap().len(), 143);
        assert!(stderr.contains("best plan so far") && !stderr.contains("\x1b[2K"), "{stderr}");
        // It is no result of that budget, but a start.
        let next = super::plan(at, &["lattice.json", "--resume", "--trials", "1"]);
        assert!(macs(&next).is_finite() && next["cached"] == false);
    }

    #[test]
    fn the_second_kills() {
        let dir = folder(12);
        let mut child = command(dir.path(), &["run", "lattice.json", "--max-time", "120s"])
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_secs(1));
        // Before the search has ended the second one is the second; after that the first would be enough.
        interrupt(&child);
        interrupt(&child);
        while child.try_wait().unwrap().is_none() {
            interrupt(&child);
            std::thread::sleep(Duration::from_millis(100));
        }
        let status = child.wait().unwrap();
        assert!(status.code() == Some(130) || status.code() == Some(1), "{status}");
    }

    #[test]
    fn where_a_plan_must_be_pure_the_first_kills() {
        use std::os::unix::process::ExitStatusExt;
        let dir = folder(12);
        let mut child = command(
            dir.path(),
            &["emit", "lattice.json", "--target", "rust", "-o", "out", "--max-time", "120s"],
        )
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
        std::thread::sleep(Duration::from_secs(1));
        interrupt(&child);
        assert_eq!(child.wait().unwrap().signal(), Some(2));
        assert!(!dir.path().join("out").exists());
    }
}
