//! Golden cases: weight generators, tensor formats and layers whose values, gradients and tangents were computed with PyTorch in
//! f64 and checked there against NumPy and finite differences.
//!
//! `tests/golden/NAME.json` has the structure, `NAME.npz` the arrays under the reference's own names; [`Case::source`]
//! writes the network in the language and [`Case::leaf_name`] gives the language's name of a reference array.

use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// File stem.
    pub name: String,
    /// The structure.
    pub meta: Value,
    /// Where the arrays are.
    pub npz: PathBuf,
}

/// The folder of the cases.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// All cases in `dir`, by name.
pub fn cases_in(dir: &std::path::Path) -> Result<Vec<Case>, Box<dyn std::error::Error>> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "json") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let meta = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
            cases.push(Case { name, meta, npz: path.with_extension("npz") });
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

/// An array of 64-bit integers of an `.npz`: networks have none, so the compiler's readers keep no entries of it.
pub fn read_int64(npz: &std::path::Path, name: &str) -> Result<Vec<i64>, Box<dyn std::error::Error>> {
    use std::io::Read;
    let mut archive = zip::ZipArchive::new(std::fs::File::open(npz)?)?;
    let mut bytes = Vec::new();
    archive.by_name(&format!("{name}.npy"))?.read_to_end(&mut bytes)?;
    // Magic, version 1.0, the length of the header in two bytes.
    let header = bytes.get(8..10).ok_or("no header")?;
    let start = 10 + usize::from(u16::from_le_bytes([header[0], header[1]]));
    let body = bytes.get(start..).ok_or("no entries")?;
    Ok(body.chunks_exact(8).map(|c| i64::from_le_bytes(std::array::from_fn(|i| c[i]))).collect())
}

impl Case {
    fn text(&self, key: &str) -> &str {
        self.meta[key].as_str().unwrap_or_default()
    }
    fn int(&self, key: &str) -> u64 {
        self.meta[key].as_u64().unwrap_or_default()
    }
    /// The reference's parameter names, in its order.
    pub fn reference_names(&self) -> Vec<String> {
        let list = self.meta["param_order"].as_array();
        list.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_string)).collect()
    }

    /// The language's name of a reference array.
    pub fn leaf_name(&self, reference: &str) -> String {
        let (layer, local) = match reference.split_once('.') {
            Some((l, rest)) => (l.trim_start_matches('l').to_string(), rest),
            None => (String::new(), reference),
        };
        let split = local.find(|c: char| c.is_ascii_digit()).unwrap_or(local.len());
        let (stem, number) = local.split_at(split);
        let generator = !layer.is_empty() || matches!(stem, "latent" | "vec");
        let subscript = match (layer.is_empty(), number.is_empty()) {
            (true, true) => String::new(),
            (true, false) => format!("[{number}]"),
            (false, true) => format!("[{layer}]"),
            (false, false) => format!("[{layer},{number}]"),
        };
        let stem = match local {
            "prelu" => "slope",
            "rat_a" => "num",
            "rat_b" => "den",
            _ => match stem {
                "dis" => "mix",
                "U" => "factor",
                "G" => "core",
                "lam" => "weight",
                "X" => return "x".into(),
                other => other,
            },
        };
        format!("{}.{stem}{subscript}", if generator { "g" } else { "t" })
    }

    /// The network `case` in the language, in f64, with one output `y`. The reference's `npz` shapes give what the json does not say
    /// (`shape_of`, by reference name).
    pub fn source(&self, shape_of: impl Fn(&str) -> Vec<u64>) -> String {
        let mut s = String::new();
        let act = match self.text("act") {
            "siren" => {
                let w0 = self.meta["w0"].as_f64().unwrap_or(1.0);
                writeln!(s, "map act(x) = siren(x; {w0:?})").ok();
                "act".to_string()
            }
            other => other.to_string(),
        };
        let modes = self.int("M");
        let latent = self.int("L");
        // bond and radix: the reference states them for generators
        let (bond, radix) = (self.int("chi").max(1), self.int("d").max(1));
        let list = |v: &[u64]| format!("[{}]", v.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
        match self.text("kind") {
            kind @ ("ttn" | "attn" | "mera") => {
                let topology = if kind == "attn" { "augmented_ttn" } else { kind };
                writeln!(s, "use std::generators::{topology}\nnetwork golden {{\n    dtype f64\n    index s[0..{modes}]: {radix}").ok();
                writeln!(s, "    let g = {topology}(modes = {modes}, latent = {latent}, radix = {radix}, bond = {bond}, act = {act})").ok();
                writeln!(s, "    output y[s[..]] = g[s[..]]\n}}").ok();
            }
            "brickwall" => {
                let layers = self.int("layers");
                writeln!(s, "use std::generators::brick_wall\nnetwork golden {{\n    dtype f64\n    index s[0..{modes}]: {radix}").ok();
                writeln!(
                    s,
                    "    let g = brick_wall(modes = {modes}, layers = {layers}, radix = {radix}, act = {act})"
                )
                .ok();
                writeln!(s, "    output y[s[..]] = g[s[..]]\n}}").ok();
            }
            kind @ ("tt" | "tr" | "tucker" | "cp" | "ht") => {
                let shape: Vec<u64> = self.meta["output_shape"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_u64)
                    .collect();
                let n = shape.len();
                let core_bonds = |first: usize, count: usize, axis: usize| -> Vec<u64> {
                    (first..first + count).map(|k| shape_of(&format!("core{k}"))[axis]).collect()
                };
                let (topology, arguments) = match kind {
                    "tt" => ("chain", format!("bond = {}", list(&core_bonds(0, n - 1, 2)))),
                    "tr" => ("ring", format!("bond = {}", list(&core_bonds(0, n, 0)))),
                    "tucker" => ("tucker", format!("ranks = {}", list(&shape_of("G")))),
                    "cp" => ("cp", format!("rank = {}", shape_of("lam")[0])),
                    _ => {
                        let leaf = |k: usize| shape_of(&format!("U{k}"))[1];
                        let bonds: Vec<u64> = (1..=n).map(leaf).chain(shape_of("B")).collect();
                        ("tree", format!("bond = {}", list(&bonds)))
                    }
                };
                writeln!(s, "use std::{topology}\nnetwork golden {{\n    dtype f64").ok();
                writeln!(s, "    index s[k in 0..{n}]: {}[k]", list(&shape)).ok();
                writeln!(
                    s,
                    "    let t = {topology}(dims = {}, {arguments})\n    output y[s[..]] = t[s[..]]\n}}",
                    list(&shape)
                )
                .ok();
            }
            "ttm" => {
                let n = self.reference_names().iter().filter(|r| r.starts_with("core")).count();
                let axis =
                    |a: usize| -> Vec<u64> { (0..n).map(|k| shape_of(&format!("core{k}"))[a]).collect() };
                let (outs, ins, bonds) = (axis(1), axis(2), axis(3)[..n - 1].to_vec());
                writeln!(s, "use std::mpo\nnetwork golden {{\n    dtype f64\n    index b: dyn(4)").ok();
                writeln!(
                    s,
                    "    index o[k in 0..{n}]: {}[k], i[k in 0..{n}]: {}[k]",
                    list(&outs),
                    list(&ins)
                )
                .ok();
                writeln!(s, "    input x[b, (i[..]) as cols]").ok();
                writeln!(
                    s,
                    "    let t = mpo(outs = {}, ins = {}, bond = {})",
                    list(&outs),
                    list(&ins),
                    list(&bonds)
                )
                .ok();
                writeln!(s, "    output y[b, (o[..]) as rows] = t[o[..], i[..]] * x[b, i[..]]\n}}").ok();
            }
            other => panic!("golden kind `{other}` has no network in the tests"),
        }
        s
    }
}
