//! Plans that were found before, in the user's cache folder: one file a search, `FAMILY-KEY.json`.
//!
//! The family of a search is the hash of all that decides what a good plan is, limits apart: the canonical network (`form.rs`), objective,
//! element type, machine, the version of the search. The key adds limits, seed and budget, so that a kept plan is the one that the search would
//! find again. `FAMILY-best-LIMITS.json` is what searches within these limits found that were stopped or went on from another plan. `--resume`
//! reads the whole family: a plan that was found within other limits is a start where it satisfies those that are asked for.
//!
//! Files are written beside their place and renamed. A file that is damaged or of another program is as good as none, and whoever reads
//! a tree from one must check it. No failure here is an error: then the plan is searched for, or not kept.

use crate::data::write_unsynced;
use crate::hash::StableHash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tn_order::Tree;

/// The version of the files.
const FORMAT: u32 = 2;
/// When there are more files or bytes, those not used for the longest time go.
const MAX_FILES: usize = 4096;
const MAX_BYTES: u64 = 256 << 20;
/// The same for the files of one family.
const MAX_FAMILY: usize = 1024;
/// Steps of all trees that are read as starts.
const MAX_STARTS: usize = 500_000;
/// What a process that was killed left half-written goes after this time.
const STALE: Duration = Duration::from_secs(3600);
/// What a process holds is held for milliseconds: so long after, its holder was killed; so long others wait for it at most.
const LONGEST_HELD: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The folder that the environment names: `TNC_CACHE_DIR`, else `tnc` in `XDG_CACHE_HOME`, else `~/.cache/tnc`. None where there is no home.
pub fn folder() -> Option<PathBuf> {
    folder_of(|name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from))
}

fn folder_of(env: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    // The standard wants relative paths to be ignored.
    let absolute = |p: PathBuf| Some(p).filter(|p| p.is_absolute());
    env("TNC_CACHE_DIR").or_else(|| {
        let base = env("XDG_CACHE_HOME")
            .and_then(absolute)
            .or_else(|| Some(env("HOME").and_then(absolute)?.join(".cache")));
        Some(base?.join("tnc"))
    })
}

/// What a search was for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    family: String,
    own: String,
}

impl Key {
    /// All searches with this description, whatever their limits, seed and budget.
    pub fn family<'a>(description: impl IntoIterator<Item = &'a [u8]>) -> Key {
        let mut hash = StableHash::new();
        hash.part("version", env!("CARGO_PKG_VERSION").as_bytes());
        hash.part("search", tn_order::SEARCH_VERSION.as_bytes());
        description.into_iter().for_each(|part| {
            hash.part("what", part);
        });
        Key { family: hash.hex(), own: "best".into() }
    }
    /// One search of the family, with its limits, seed and budget.
    pub fn with(&self, budget: &str) -> Key {
        Key { family: self.family.clone(), own: self.hash("budget", budget) }
    }
    /// The best that is known within these limits.
    pub fn best(&self, limits: &str) -> Key {
        Key { family: self.family.clone(), own: format!("best-{}", self.hash("limits", limits)) }
    }
    /// The hash of the family.
    pub fn family_name(&self) -> &str {
        &self.family
    }
    fn hash(&self, name: &str, text: &str) -> String {
        StableHash::new().part("family", self.family.as_bytes()).part(name, text.as_bytes()).hex()
    }
    fn name(&self) -> String {
        format!("{}-{}.json", self.family, self.own)
    }
}

/// What is kept of a search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The tree of the region, or those of all regions, in the numbering of their forms.
    pub trees: Vec<Tree>,
    /// Whether it was proven to be the best within its limits.
    pub optimal: bool,
    /// Whether the clock cut the search.
    pub time_limited: bool,
    /// How often the search went on from here.
    pub searches: u32,
    /// The limits of the search.
    pub limits: Limits,
    /// What the plan needs, where the trees are those of all regions.
    pub whole: Option<Whole>,
}

/// Limits on the tree of one region. A number that is no integer is kept as its bits, which text cannot round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limits {
    max_size: Option<u64>,
    max_peak: Option<u64>,
}

impl Limits {
    pub fn new(max_size: Option<u64>, max_peak: Option<f64>) -> Limits {
        Limits { max_size, max_peak: max_peak.map(f64::to_bits) }
    }
    /// Whether all trees within the other limits are within these.
    pub fn allow_all_of(&self, other: &Limits) -> bool {
        fn allows<T: PartialOrd>(a: Option<T>, b: Option<T>) -> bool {
            a.is_none_or(|a| b.is_some_and(|b| b <= a))
        }
        let peak = |l: &Limits| l.max_peak.map(f64::from_bits);
        allows(self.max_size, other.max_size) && allows(peak(self), peak(other))
    }
}

/// Figures of a plan of all regions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Whole {
    seconds: u64,
    /// What is allocated.
    pub peak_bytes: u64,
}

impl Whole {
    pub fn new(seconds: f64, peak_bytes: u64) -> Whole {
        Whole { seconds: seconds.to_bits(), peak_bytes }
    }
    /// Modelled seconds.
    pub fn seconds(&self) -> f64 {
        f64::from_bits(self.seconds)
    }
}

#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    /// Hash of the name and of `kept` as text.
    check: String,
    kept: Kept,
}

/// A folder of kept plans.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// In this folder, which need not exist yet.
    pub fn new(folder: PathBuf) -> Cache {
        Cache { folder }
    }
    /// What is kept under the key.
    pub fn get(&self, key: &Key) -> Option<Kept> {
        read(&self.folder.join(key.name()), true)
    }
    /// What is kept of a family, whatever the limits: first what is the best within its limits, then what was used last, as far as a bounded
    /// amount of work goes.
    pub fn starts(&self, family: &Key) -> Vec<Kept> {
        let mut files: Vec<Found> =
            self.files().into_iter().filter(|f| f.whole && f.name.starts_with(&family.family)).collect();
        let is_best = |f: &Found| f.name.contains("-best");
        files.sort_by(|a, b| {
            (is_best(b), b.used).cmp(&(is_best(a), a.used)).then_with(|| a.name.cmp(&b.name))
        });
        let (mut out, mut steps) = (Vec::new(), 0);
        for file in files {
            if steps > MAX_STARTS {
                break;
            }
            let Some(kept) = read(&self.folder.join(file.name), false) else { continue };
            steps += kept.trees.iter().map(|t| t.ssa_path.len()).sum::<usize>();
            out.push(kept);
        }
        out
    }
    /// Keeps it under the key.
    pub fn keep(&self, key: &Key, kept: &Kept) {
        let name = key.name();
        let Some(check) = check(&name, kept) else { return };
        let file = File { format: FORMAT, check, kept: kept.clone() };
        let Ok(text) = serde_json::to_vec(&file) else { return };
        let _ = std::fs::create_dir_all(&self.folder);
        let _ = write_unsynced(&self.folder.join(name), &text);
    }
    /// Waits until no other process compares what is kept under the key with what it has, and holds it until the result is dropped. None where that
    /// takes too long, as where nothing can be written.
    pub fn hold(&self, key: &Key) -> Option<Held> {
        let _ = std::fs::create_dir_all(&self.folder);
        // named like a write that was cut, as which it is removed if its process dies
        let path = self.folder.join(format!(".{}.held.tmp", key.name()));
        let began = Instant::now();
        loop {
            match std::fs::File::create_new(&path) {
                Ok(_) => return Some(Held { path }),
                Err(e) if e.kind() == ErrorKind::AlreadyExists && began.elapsed() < LONGEST_WAIT => {}
                Err(_) => return None,
            }
            let age = std::fs::metadata(&path).and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
            if age.is_some_and(|age| age > LONGEST_HELD) {
                let _ = std::fs::remove_file(&path);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    /// Removes the files that were not used for the longest time, until the folder is within bounds.
    pub fn prune(&self) {
        self.prune_to(MAX_FILES, MAX_BYTES, MAX_FAMILY);
    }

    fn prune_to(&self, max_files: usize, max_bytes: u64, max_family: usize) {
        let mut files = self.files();
        let now = SystemTime::now();
        files.retain(|f| {
            let stale = !f.whole && now.duration_since(f.used).is_ok_and(|age| age > STALE);
            if stale {
                let _ = std::fs::remove_file(self.folder.join(&f.name));
            }
            f.whole
        });
        files.sort_by(|a, b| (a.used, &a.name).cmp(&(b.used, &b.name)));
        let (mut count, mut bytes) = (files.len(), files.iter().map(|f| f.bytes).sum::<u64>());
        let mut families: BTreeMap<String, usize> = BTreeMap::new();
        for f in &files {
            *families.entry(f.family().to_owned()).or_default() += 1;
        }
        for f in files {
            let family = families.entry(f.family().to_owned()).or_default();
            if count <= max_files && bytes <= max_bytes && *family <= max_family {
                continue;
            }
            *family -= 1;
            let _ = std::fs::remove_file(self.folder.join(&f.name));
            count -= 1;
            bytes -= f.bytes;
        }
    }

    /// Our files in the folder; whatever else is there is not touched.
    fn files(&self) -> Vec<Found> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let one = |e: std::fs::DirEntry| {
            let name = e.file_name().into_string().ok()?;
            let whole = is_ours(&name);
            let part = name
                .strip_prefix('.')
                .and_then(|n| n.split_once(".json."))
                .is_some_and(|(stem, rest)| is_ours(&format!("{stem}.json")) && rest.ends_with(".tmp"));
            let meta = e.metadata().ok().filter(|m| m.is_file() && (whole || part))?;
            Some(Found { name, whole, bytes: meta.len(), used: meta.modified().ok()? })
        };
        entries.filter_map(Result::ok).filter_map(one).collect()
    }
}

/// What is kept under a key, held against other processes.
pub(crate) struct Held {
    path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

struct Found {
    name: String,
    /// Not the rest of a write that was cut.
    whole: bool,
    bytes: u64,
    used: SystemTime,
}

impl Found {
    fn family(&self) -> &str {
        self.name.split_once('-').map_or("", |s| s.0)
    }
}

fn is_ours(name: &str) -> bool {
    let hex = |s: &str| s.len() == 32 && s.bytes().all(|b| b.is_ascii_hexdigit());
    let stem = name.strip_suffix(".json").and_then(|s| s.split_once('-'));
    stem.is_some_and(|(family, own)| {
        hex(family) && (own == "best" || hex(own.strip_prefix("best-").unwrap_or(own)))
    })
}

fn check(name: &str, kept: &Kept) -> Option<String> {
    let text = serde_json::to_vec(kept).ok()?;
    Some(StableHash::new().part("name", name.as_bytes()).part("kept", &text).hex())
}

fn read(path: &Path, use_it: bool) -> Option<Kept> {
    let name = path.file_name()?.to_str()?;
    let file: File = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let good = file.format == FORMAT && check(name, &file.kept).is_some_and(|c| c == file.check);
    if !good {
        return None;
    }
    // Used now: what is used stays.
    if use_it && let Ok(f) = std::fs::File::options().append(true).open(path) {
        let _ = f.set_modified(SystemTime::now());
    }
    Some(file.kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(name: &str) -> Key {
        Key::family([name.as_bytes()])
    }

    fn kept(searches: u32) -> Kept {
        let tree = Tree { ssa_path: vec![(0, 1), (2, 3)], sliced: vec![4] };
        let limits = Limits::new(Some(7), Some(0.1 + 0.2));
        Kept { trees: vec![tree], searches, limits, whole: Some(Whole::new(0.3, 9)), ..Kept::default() }
    }

    #[test]
    fn what_is_held_is_held_once() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().join("new"));
        let key = family("a").best("none");
        let count = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..20 {
                        let held = cache.hold(&key);
                        assert!(held.is_some());
                        assert_eq!(count.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        count.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(cache.starts(&family("a")).is_empty() && cache.files().is_empty());
    }

    #[test]
    fn what_is_kept_comes_back_and_what_is_damaged_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().join("a/b"));
        let (family, other) = (family("x"), family("y"));
        let key = family.with("seed 1");
        assert_eq!(cache.get(&key), None);
        cache.keep(&key, &kept(1));
        cache.keep(&family.best("small"), &kept(2));
        assert_eq!(cache.get(&key), Some(kept(1)));
        assert_eq!((cache.get(&family.with("seed 2")), cache.starts(&family).len()), (None, 2));
        assert_eq!(cache.starts(&family).first(), Some(&kept(2)));
        assert_eq!(cache.starts(&other), []);
        let path = dir.path().join("a/b").join(key.name());
        let text = std::fs::read_to_string(&path).unwrap();
        for bad in [&text[..text.len() / 2], "", "{}", "\0\0", &text.replace("[2,3]", "[2,1]")] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(cache.get(&key), None, "{bad}");
        }
        // A file under another name was made for something else.
        std::fs::write(&path, &text).unwrap();
        let other = family.with("seed 3");
        std::fs::rename(&path, path.with_file_name(other.name())).unwrap();
        assert_eq!(cache.get(&other), None);
    }

    #[test]
    fn the_oldest_go_first_and_foreign_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().into());
        std::fs::write(dir.path().join("mine.json"), "x").unwrap();
        let family = family("x");
        for k in 0..6u64 {
            let key = family.with(&k.to_string());
            cache.keep(&key, &kept(k as u32));
            let file = std::fs::File::options().append(true).open(dir.path().join(key.name())).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1000 + k)).unwrap();
        }
        cache.prune_to(9, u64::MAX, 4);
        assert_eq!(cache.starts(&family).iter().map(|k| k.searches).collect::<Vec<_>>(), [5, 4, 3, 2]);
        cache.prune_to(2, u64::MAX, 9);
        let left: Vec<u32> = cache.starts(&family).iter().map(|k| k.searches).collect();
        assert_eq!((left.len(), left.iter().sum::<u32>()), (2, 9));
        cache.prune_to(2, 0, 9);
        assert!(cache.starts(&family).is_empty() && dir.path().join("mine.json").exists());
    }

    #[test]
    fn wider_limits_allow_what_narrower_ones_do() {
        let all: Vec<Limits> = [(None, None), (Some(8), None), (Some(8), Some(2.5)), (Some(4), Some(2.0))]
            .map(|(s, p)| Limits::new(s, p))
            .to_vec();
        for (a, x) in all.iter().enumerate() {
            for (b, y) in all.iter().enumerate() {
                assert_eq!(x.allow_all_of(y), a <= b, "{x:?} {y:?}");
            }
        }
    }

    #[test]
    fn many_writers_leave_one_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().into());
        let key = family("x").with("1");
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for k in 0..50 {
                        cache.keep(&key, &kept(k));
                        assert!(cache.get(&key).is_some());
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_environment_names_the_folder() {
        let with = |pairs: &[(&str, &str)]| {
            folder_of(|n| pairs.iter().find(|p| p.0 == n).map(|p| PathBuf::from(p.1)))
        };
        assert_eq!(with(&[("HOME", "/h")]), Some("/h/.cache/tnc".into()));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), Some("/x/tnc".into()));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "x")]), Some("/h/.cache/tnc".into()));
        assert_eq!(with(&[("TNC_CACHE_DIR", "t"), ("XDG_CACHE_HOME", "/x")]), Some("t".into()));
        assert_eq!(with(&[]), None);
    }
}
