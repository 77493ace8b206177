//! Contraction paths in files: opt_einsum's linear and SSA formats, read and written.
//!
//! A file holds one path (`[[0, 1], [0, 1]]`), an object with a path for each region of the program, the output of `tnc plan --format
//! json`, or it is a plan file. In place of a path there may be an object `{"path": …, "sliced": ["i"]}` (or `ssa_path`).

use crate::compile::Prepared;
use crate::error::Error;
use crate::region_plan::tree_of;
use crate::search::Trees;
use serde_json::{Map, Value, json};
use std::path::Path;
use tn_dsl::diag::did_you_mean;
use tn_ir::region::Region;
use tn_order::{PathError, Tree, from_linear_path, from_ssa_path, linear_path};
use tn_plan::ir::RegionPlan;

/// How the steps of a path name tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathFormat {
    /// Whichever of the two makes a whole order of it.
    #[default]
    Auto,
    /// Positions in the list of what is left; the result goes to its end.
    Linear,
    /// Numbers that never change: inputs are `0..n`, step `k` makes `n + k`.
    Ssa,
}

/// The paths of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct PathFile {
    /// The file's name, for errors.
    name: String,
    content: Content,
}

#[derive(Clone, Debug, PartialEq)]
enum Content {
    /// For a program with one region.
    One(Given),
    /// By the names of regions, in the order of the file.
    Named(Vec<(String, Given)>),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Given {
    steps: Vec<Vec<usize>>,
    format: PathFormat,
    /// Names of sliced indices.
    sliced: Vec<String>,
    /// Their positions among the region's indices, where they are known.
    indices: Vec<u64>,
}

impl PathFile {
    /// Reads a file of paths.
    ///
    /// # Errors
    /// The file cannot be read, or holds no paths.
    pub fn read(path: &Path, format: PathFormat) -> Result<PathFile, Error> {
        let name = path.display().to_string();
        if path.extension().is_some_and(|e| e == "ron") {
            let plan = crate::load_plan(path)?;
            return Ok(PathFile {
                name,
                content: Content::Named(plan.regions.iter().map(of_plan).collect()),
            });
        }
        let bytes = std::fs::read(path).map_err(|e| Error::Io(format!("cannot read `{name}`: {e}")))?;
        PathFile::parse(&name, &bytes, format)
    }

    /// Reads the text of such a file; `name` is for errors.
    ///
    /// # Errors
    /// The text holds no paths.
    pub fn parse(name: &str, text: &[u8], format: PathFormat) -> Result<PathFile, Error> {
        let content = serde_json::from_slice(text)
            .map_err(|e| {
                format!("it is not JSON: {e}, help: write a list of pairs such as `[[0, 1], [0, 1]]`")
            })
            .and_then(|value: Value| content(&value, format));
        match content {
            Ok(content) => Ok(PathFile { name: name.to_owned(), content }),
            Err(why) => Err(Error::Input(format!("`{name}`: {why}"))),
        }
    }

    /// What the file says, whatever its name, as text.
    pub(crate) fn fingerprint(&self) -> String {
        format!("{:?}", self.content)
    }

    /// The trees of all regions.
    pub(crate) fn trees(&self, prepared: &Prepared) -> Result<Trees, Error> {
        let fail = |why: String| Error::Input(format!("`{}`: {why}", self.name));
        let regions = &prepared.regions;
        let tree = |region: &Region, given: &Given| {
            given.tree(region).map_err(|why| fail(format!("the path of region `{}`: {why}", region.name)))
        };
        let names: Vec<&str> = regions.iter().map(|r| r.name.as_str()).collect();
        let named = match &self.content {
            Content::One(given) => {
                return match regions.as_slice() {
                    [one] => Ok(Trees::from([(one.result, tree(one, given)?)])),
                    _ => Err(fail(format!(
                        "it holds one path, but the network has `{}` regions, help: write an object with a path for each of `{}`",
                        names.len(),
                        names.join("`, `")
                    ))),
                };
            }
            Content::Named(named) => named,
        };
        let mut free: Vec<Option<&(String, Given)>> = named.iter().map(Some).collect();
        let mut out = Trees::new();
        for region in regions {
            // Names need not be unique: of equal ones the first region has the first path.
            let found = free.iter_mut().find(|f| f.is_some_and(|(n, _)| *n == region.name));
            match found.and_then(Option::take) {
                Some((_, given)) => {
                    out.insert(region.result, tree(region, given)?);
                }
                // Two tensors have one order only.
                None if region.inputs.len() < 3 => {
                    let ssa_path = if region.inputs.len() == 2 { vec![(0, 1)] } else { vec![] };
                    out.insert(region.result, Tree { ssa_path, sliced: vec![] });
                }
                None => {
                    return Err(fail(format!(
                        "it has no path for region `{}`, help: the regions are `{}`",
                        region.name,
                        names.join("`, `")
                    )));
                }
            }
        }
        if let Some((name, _)) = free.into_iter().flatten().next() {
            let help = match did_you_mean(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the regions are `{}`", names.join("`, `")),
            };
            return Err(fail(format!("the network has no region `{name}`, help: {help}")));
        }
        Ok(out)
    }
}

fn of_plan(r: &RegionPlan) -> (String, Given) {
    let steps = r.ssa_path.iter().map(|&(a, b)| vec![a as usize, b as usize]).collect();
    let sliced = r.sliced.iter().filter_map(|&i| r.index_names.get(i as usize).cloned()).collect();
    let indices = r.sliced.iter().map(|&i| u64::from(i)).collect();
    (r.name.clone(), Given { steps, format: PathFormat::Ssa, sliced, indices })
}

fn content(value: &Value, format: PathFormat) -> Result<Content, String> {
    let Value::Object(object) = value else { return Ok(Content::One(given(value, format)?)) };
    if let Some(Value::Array(regions)) = object.get("regions")
        && regions.iter().all(Value::is_object)
    {
        let one = |(k, r): (usize, &Value)| {
            let name = r.get("name").and_then(Value::as_str);
            let name = name.ok_or_else(|| format!("entry `{k}` of `regions` has no `name`"))?;
            Ok((name.to_owned(), given(r, format).map_err(|why| format!("region `{name}`: {why}"))?))
        };
        return regions.iter().enumerate().map(one).collect::<Result<_, String>>().map(Content::Named);
    }
    let own = ["path", "ssa_path", "sliced", "sliced_indices"];
    if !object.is_empty() && object.keys().all(|k| own.contains(&k.as_str())) {
        return Ok(Content::One(given(value, format)?));
    }
    let one = |(name, v): (&String, &Value)| {
        Ok((name.clone(), given(v, format).map_err(|why| format!("region `{name}`: {why}"))?))
    };
    object.iter().map(one).collect::<Result<_, String>>().map(Content::Named)
}

/// A path, or an object with a path and sliced indices.
fn given(value: &Value, format: PathFormat) -> Result<Given, String> {
    let Value::Object(object) = value else {
        return Ok(Given { steps: steps(value)?, format, ..Given::default() });
    };
    let sliced = match object.get("sliced") {
        None | Some(Value::Null) => vec![],
        Some(Value::Array(names)) => names
            .iter()
            .map(|n| {
                n.as_str().map(str::to_owned).ok_or_else(|| "`sliced` must be a list of names".to_owned())
            })
            .collect::<Result<_, _>>()?,
        Some(_) => return Err("`sliced` must be a list of names".into()),
    };
    // Numbers that never change say more than positions: they are taken where both are there.
    let (steps_of, format) = match (object.get("ssa_path"), object.get("path"), format) {
        (_, Some(linear), PathFormat::Linear) => (linear, PathFormat::Linear),
        (Some(ssa), ..) => (ssa, PathFormat::Ssa),
        (None, Some(path), format) => (path, format),
        (None, None, _) => return Err("it has neither `path` nor `ssa_path`".into()),
    };
    let indices = object.get("sliced_indices").and_then(Value::as_array);
    let indices = indices.map(|l| l.iter().filter_map(Value::as_u64).collect()).unwrap_or_default();
    Ok(Given { steps: steps(steps_of)?, format, sliced, indices })
}

fn steps(value: &Value) -> Result<Vec<Vec<usize>>, String> {
    const HELP: &str = "help: write a list of pairs such as `[[0, 1], [0, 1]]`";
    let Value::Array(list) = value else { return Err(format!("it holds no list of steps, {HELP}")) };
    let one = |(k, step): (usize, &Value)| {
        let Value::Array(operands) = step else {
            // What opt_einsum prints around a path.
            let header = if step.is_string() { ", and leave out words such as `einsum_path`" } else { "" };
            return Err(format!("step `{k}` is no list of operands, {HELP}{header}"));
        };
        let number = |o: &Value| {
            let n = o.as_u64().and_then(|n| usize::try_from(n).ok());
            n.ok_or_else(|| format!("step `{k}` has the operand `{o}`, {HELP}"))
        };
        operands.iter().map(number).collect()
    };
    list.iter().enumerate().map(one).collect()
}

impl Given {
    /// The order over the inputs of a region.
    fn tree(&self, region: &Region) -> Result<Tree, String> {
        let n = region.inputs.len();
        let say = |e: &PathError, read: &str, other: &str| {
            format!(
                "{e}; it was read as {read} over {n} tensors, help: `--path-format {other}` reads it otherwise"
            )
        };
        let linear = || from_linear_path(&self.steps, n);
        let ssa = || from_ssa_path(&self.steps, n);
        let as_linear = |e: PathError| say(&e, "positions", "ssa");
        let as_ssa = |e: PathError| say(&e, "SSA numbers", "linear");
        let mut tree = match self.format {
            PathFormat::Linear => linear().map_err(as_linear)?,
            PathFormat::Ssa => ssa().map_err(as_ssa)?,
            PathFormat::Auto => match (linear(), ssa()) {
                (Ok(tree), _) | (Err(_), Ok(tree)) => tree,
                // The one that goes further is likelier to be meant.
                (Err(l), Err(s)) if step(&s) > step(&l) => return Err(as_ssa(s)),
                (Err(l), Err(_)) => return Err(as_linear(l)),
            },
        };
        let names = &region.index_names;
        for (k, name) in self.sliced.iter().enumerate() {
            // Names need not be unique: the position says which one, else they are taken in order.
            let known = self.indices.get(k).map(|&i| i as usize).filter(|&i| names.get(i) == Some(name));
            let free = |i: &usize| names[*i] == *name && !tree.sliced.contains(&(*i as u32));
            let Some(i) = known.filter(free).or_else(|| (0..names.len()).find(free)) else {
                if names.contains(name) {
                    return Err(format!("it slices `{name}` twice"));
                }
                let near = did_you_mean(name, names.iter().map(String::as_str));
                let help = near.map(|n| format!(", help: did you mean `{n}`?")).unwrap_or_default();
                return Err(format!("it slices `{name}`, which is no index of the region{help}"));
            };
            if region.sizes.get(i).is_some_and(|s| s.dynamic.is_some()) {
                return Err(format!(
                    "it slices `{name}`, whose size is known at run time only, help: leave it out, or give it a fixed size"
                ));
            }
            tree.sliced.push(i as u32);
        }
        Ok(tree)
    }
}

/// How far a path was read.
fn step(e: &PathError) -> usize {
    match e {
        PathError::NotLive { step, .. } | PathError::Repeated { step, .. } | PathError::Empty { step } => {
            *step
        }
        PathError::Remaining { .. } | PathError::Sliced { .. } => usize::MAX,
    }
}

/// The paths of a plan as the text of a file that [`PathFile::read`] reads, and opt_einsum where nothing is sliced: a list for one region, an object by
/// name for several. A path with slices is an object `{"path": …, "sliced": […]}`.
pub fn path_text(regions: &[RegionPlan], ssa: bool) -> String {
    let key = if ssa { "ssa_path" } else { "path" };
    let with_slices = |r: &RegionPlan| {
        let steps = match ssa {
            true => json!(r.ssa_path),
            false => json!(linear_path(&tree_of(r), r.inputs.len())),
        };
        let mut object = Map::from_iter([(key.to_owned(), steps)]);
        let name = |i: &u32| r.index_names.get(*i as usize);
        let sliced: Vec<&String> = r.sliced.iter().filter_map(name).collect();
        if !sliced.is_empty() {
            // names need not be unique
            if sliced.iter().any(|name| r.index_names.iter().filter(|n| n == name).count() > 1) {
                object.insert("sliced_indices".into(), json!(r.sliced));
            }
            object.insert("sliced".into(), json!(sliced));
        }
        object
    };
    let one = |r: &RegionPlan| match with_slices(r) {
        mut bare if bare.len() == 1 => bare.remove(key).unwrap_or_default(),
        object => Value::Object(object),
    };
    let mut object = Map::new();
    for r in regions {
        object.insert(r.name.clone(), one(r));
    }
    let named = |r: &RegionPlan| {
        let mut object = with_slices(r);
        object.insert("name".into(), json!(r.name));
        Value::Object(object)
    };
    let value = match regions {
        [r] => one(r),
        _ if object.len() == regions.len() => Value::Object(object),
        _ => json!({ "regions": regions.iter().map(named).collect::<Vec<_>>() }),
    };
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Source, prepare};

    fn prepared(expression: &str) -> Prepared {
        let sizes = "abcdef".chars().map(|c| (c.to_string(), 3)).collect();
        let source = Source::Einsum { expression: expression.into(), sizes };
        prepare(&source, &Options::default()).unwrap()
    }

    fn read(text: &str, format: PathFormat) -> Result<Trees, String> {
        let file = PathFile::parse("p.json", text.as_bytes(), format).map_err(|e| e.to_string())?;
        file.trees(&prepared("ab,bc,cd,de->ae")).map_err(|e| e.to_string())
    }

    fn path(text: &str, format: PathFormat) -> Vec<(u32, u32)> {
        read(text, format).unwrap().into_values().next().unwrap().ssa_path
    }

    #[test]
    fn formats_are_told_apart() {
        let want = vec![(1, 2), (0, 4), (5, 3)];
        for text in [
            "[[1, 2], [0, 2], [1, 0]]",
            "[[1, 2], [0, 4], [5, 3]]",
            "{\"out\": [[1, 2], [0, 4], [5, 3]]}",
            "{\"path\": [[1, 2], [0, 4], [5, 3]]}",
            "{\"ssa_path\": [[1, 2], [0, 4], [5, 3]], \"path\": [[0, 1], [0, 1], [0, 1]]}",
            "{\"regions\": [{\"name\": \"out\", \"path\": [[1, 2], [0, 2], [1, 0]], \"sliced\": []}]}",
            "[[1, 2], [0, 2], [1, 0], [0]]",
        ] {
            assert_eq!(path(text, PathFormat::Auto), want, "{text}");
        }
        assert_eq!(path("[[0, 1, 2, 3]]", PathFormat::Auto), [(0, 1), (4, 2), (5, 3)]);
        assert!(read("[[1, 2], [0, 4], [5, 3]]", PathFormat::Linear).is_err());
        assert!(read("[[1, 2], [0, 2], [1, 0]]", PathFormat::Ssa).is_err());
        let sliced =
            read("{\"path\": [[0, 1], [0, 1], [0, 1]], \"sliced\": [\"c\"]}", PathFormat::Auto).unwrap();
        assert_eq!(sliced.into_values().next().unwrap().sliced.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_step() {
        for (text, parts) in [
            ("", &["p.json", "not JSON", "help:"][..]),
            ("3", &["no list of steps"]),
            ("[\"einsum_path\", [0, 1]]", &["step `0`", "leave out"]),
            ("[[0, 1], [0, -1]]", &["step `1`", "`-1`"]),
            ("[[0, 1.5]]", &["step `0`", "`1.5`"]),
            ("[[0, 1], [0, 3], [0, 1]]", &["region `out`", "step `1`", "`3`", "--path-format ssa"]),
            ("[[0, 1], [4, 2], [1, 5]]", &["step `2`", "`1`", "SSA", "--path-format linear"]),
            ("[[1, 1], [0, 1]]", &["step `0`", "twice"]),
            ("[[0, 1]]", &["leaves `3` tensors"]),
            ("[[]]", &["step `0` has no operand"]),
            (
                "{\"ou\": [[0, 1], [0, 1], [0, 1]], \"out\": [[0, 1], [0, 1], [0, 1]]}",
                &["`ou`", "did you mean `out`"],
            ),
            ("{}", &["no path for region `out`"]),
            ("{\"path\": [[0, 1], [0, 1], [0, 1]], \"sliced\": [\"z\"]}", &["slices `z`"]),
            ("{\"path\": [[0, 1], [0, 1], [0, 1]], \"sliced\": [\"b\", \"b\"]}", &["twice"]),
        ] {
            let error = read(text, PathFormat::Auto).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{text}: {error}");
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let options = Options::default();
        let prepared = prepared("ab,bc,cd,de->ae");
        let compiled = crate::compile_prepared(prepared, &options, std::time::Instant::now()).unwrap();
        for ssa in [false, true] {
            let text = path_text(&compiled.region_plans, ssa);
            let trees = read(&text, PathFormat::Auto).unwrap();
            assert_eq!(trees.into_values().next().unwrap(), compiled.outcomes[0].tree);
        }
        // slices are written too, and of two indices of one name the right one
        let mut sliced = compiled.region_plans[0].clone();
        let indices: Vec<u32> =
            ["c", "b"].map(|name| sliced.index_names.iter().position(|n| n == name).unwrap() as u32).to_vec();
        sliced.sliced = indices.clone();
        let b = compiled.region_plans[0].index_names.iter().position(|n| n == "b").unwrap();
        for ssa in [false, true] {
            let text = path_text(std::slice::from_ref(&sliced), ssa);
            let tree = read(&text, PathFormat::Auto).unwrap().into_values().next().unwrap();
            assert_eq!((&tree.ssa_path, &tree.sliced), (&sliced.ssa_path, &indices), "{text}");
            let named = [sliced.clone(), RegionPlan { name: "z".into(), sliced: vec![], ..sliced.clone() }];
            let text = path_text(&named, ssa);
            let Content::Named(read) =
                PathFile::parse("p", text.as_bytes(), PathFormat::Auto).unwrap().content
            else {
                panic!("{text}")
            };
            assert_eq!(read.iter().map(|r| r.1.sliced.len()).collect::<Vec<_>>(), [2, 0], "{text}");
        }
        let mut alike = sliced.clone();
        alike.index_names[b] = "c".into();
        let text = path_text(&[alike], false);
        let Content::One(given) = PathFile::parse("p", text.as_bytes(), PathFormat::Auto).unwrap().content
        else {
            panic!("{text}")
        };
        assert_eq!(given.indices, indices.iter().map(|&i| u64::from(i)).collect::<Vec<_>>());
        let twice = [compiled.region_plans[0].clone(), compiled.region_plans[0].clone()];
        assert!(PathFile::parse("p", path_text(&twice, true).as_bytes(), PathFormat::Auto).is_ok());
    }
}
