//! What the benches share: the networks of the corpus, and trees that no planner made. `planner/` compares with the
//! peers; see its README.

use indexmap::IndexMap;
use tn_order::{Network, Tree};

/// An instance of the corpus as its file states it.
#[derive(serde::Deserialize)]
struct Instance {
    inputs: Vec<Vec<String>>,
    output: Vec<String>,
    sizes: IndexMap<String, u64>,
}

/// A network of `corpus/` and the names of its indices.
///
/// # Panics
/// If there is no such file, or it is not an instance.
pub fn corpus(name: &str) -> (Network, Vec<String>) {
    let file = format!("{}/corpus/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
    let instance: Instance = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
    let id = |i: &String| {
        instance.sizes.get_index_of(i).unwrap_or_else(|| panic!("{file}: no size of {i}")) as u32
    };
    let net = Network {
        inputs: instance.inputs.iter().map(|t| t.iter().map(id).collect()).collect(),
        output: instance.output.iter().map(id).collect(),
        sizes: instance.sizes.values().copied().collect(),
        needs_grad: Vec::new(),
    };
    (net, instance.sizes.into_keys().collect())
}

/// A counted generator (splitmix64), so that every run measures the same networks and trees.
pub struct Draws(pub u64);

impl Draws {
    /// Uniform in `0..n`, but for a bias that does not matter here.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// A tree that contracts two live tensors drawn at random until one is left.
pub fn random_tree(net: &Network, seed: u64) -> Tree {
    let mut draws = Draws(seed);
    let n = net.inputs.len();
    let mut live: Vec<u32> = (0..n as u32).collect();
    let mut ssa_path = Vec::new();
    while live.len() > 1 {
        let mut take = || live.swap_remove(draws.below(live.len()));
        ssa_path.push((take(), take()));
        live.push((n + ssa_path.len() - 1) as u32);
    }
    Tree { ssa_path, sliced: Vec::new() }
}

/// A connected random network: a tree of `n` tensors and as many bonds again, of sizes 2 to 9.
pub fn random_network(n: usize, seed: u64) -> Network {
    let mut draws = Draws(seed);
    let mut net = Network { inputs: vec![Vec::new(); n], ..Network::default() };
    for k in 1..2 * n {
        let a = if k < n { k } else { draws.below(n) };
        let b = draws.below(if k < n { k } else { n });
        if a != b {
            let index = net.sizes.len() as u32;
            net.inputs[a].push(index);
            net.inputs[b].push(index);
            net.sizes.push(2 + draws.below(8) as u64);
        }
    }
    net
}
