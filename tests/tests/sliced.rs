//! Slices change no value, no gradient and no tangent: every network of the corpus under tight limits on the largest result, and random einsums
//! with diagonals, hyperedges and batch indices, whose unsliced values are those of brute force.

use std::collections::HashMap;
use tn_driver::{Compiled, Error, Options, Source};
use tn_ir::eval::Dense;
use tn_ir::fuzz::Rng;
use tn_ir::naive::{self, NaiveOutput};
use tn_ir::program::LeafId;
use tn_plan::ir::{Class, EntryKind, Plan};
use tn_tests::network::{Job, agree, all_agree, all_entries, corpus_files};

/// The plan with no result above `max_size` elements; none if there is no such plan.
fn limited(source: &Source, max_size: u64, options: &Options) -> Option<Compiled> {
    match tn_driver::compile(source, &Options { max_size: Some(max_size), ..options.clone() }) {
        Ok(compiled) => Some(compiled),
        Err(Error::Infeasible(_)) => None,
        Err(e) => panic!("{source:?} at {max_size}: {}", e.render(false)),
    }
}

fn same(what: &str, sliced: &Plan, job: &Job, tolerance: f64) {
    let want = job.execute(1).unwrap();
    let got = Job { plan: sliced.clone(), ..job.clone() }.execute(2).unwrap();
    all_agree(what, &got, &want, tolerance).unwrap();
}

#[test]
fn networks_of_the_corpus() {
    let mut sliced = 0;
    for folder in ["features", "standard"] {
        for (name, path) in corpus_files(folder).unwrap() {
            let source = Source::File(path);
            let free = tn_driver::compile(&source, &all_entries()).unwrap();
            let job = Job::drawn(free.plan().unwrap(), &name, Some(3), 5).unwrap();
            for max_size in [1, 6] {
                let Some(small) = limited(&source, max_size, &all_entries()) else { continue };
                // brute force in disguise is not what this is for
                if small.region_plans.iter().any(|r| r.log10_macs > 5.5) {
                    continue;
                }
                sliced += usize::from(small.region_plans.iter().any(|r| !r.sliced.is_empty()));
                same(&format!("{name} at {max_size}"), small.plan().unwrap(), &job, 1e-10);
            }
        }
    }
    assert!(sliced >= 25, "{sliced} plans have slices");
}

/// Two to five tensors of up to three legs over five indices of sizes 1 to 4; indices may repeat on a tensor.
fn expression(rng: &mut Rng) -> (String, Vec<(String, u64)>) {
    let names = ["a", "b", "c", "d", "e"];
    let terms: Vec<Vec<usize>> =
        (0..2 + rng.below(4)).map(|_| (0..rng.below(4)).map(|_| rng.below(5)).collect()).collect();
    let used: std::collections::BTreeSet<usize> = terms.iter().flatten().copied().collect();
    let open: Vec<usize> = used.iter().copied().filter(|_| rng.one_in(4)).collect();
    let text = |t: &Vec<usize>| t.iter().map(|&i| names[i]).collect::<String>();
    let inputs: Vec<String> = terms.iter().map(text).collect();
    let sizes = used.iter().map(|&i| (names[i].to_owned(), 1 + rng.below(4) as u64)).collect();
    (format!("{}->{}", inputs.join(","), text(&open)), sizes)
}

fn random_einsums(seed: u64, count: usize) {
    let mut rng = Rng(seed);
    let mut sliced = 0;
    for case in 0..count {
        let (expression, sizes) = expression(&mut rng);
        let what = format!("{expression} {sizes:?}");
        let source = Source::Einsum { expression, sizes };
        let options = Options { dtype: tn_ir::dtype::DType::parse("f64"), ..all_entries() };
        let free =
            tn_driver::compile(&source, &options).unwrap_or_else(|e| panic!("{what}: {}", e.render(false)));
        let job = Job::drawn(free.plan().unwrap(), "einsum", None, case as u64).unwrap();
        let leaves: HashMap<LeafId, Dense> = (0..job.plan.leaves.len())
            .filter_map(|i| {
                let data = job.given.get(&Class::Leaf(i as u32))?.clone();
                let shape = job.plan.leaves[i].dims.iter().map(|d| d.eval(|_| 0)).collect();
                Some((LeafId(i as u32), Dense { shape, data }))
            })
            .collect();
        let wanted = naive::evaluate(&free.prepared.source_program, &leaves, &HashMap::new());
        let NaiveOutput::Plain(value) = &wanted[0] else { panic!("{what}: a log") };
        let got = job.execute(1).unwrap();
        agree(&what, &got[&(EntryKind::Forward, Class::Output(0))], &value.data, 1e-12).unwrap();
        for max_size in 1..4 {
            if let Some(small) = limited(&source, max_size, &options) {
                sliced += usize::from(!small.region_plans.iter().all(|r| r.sliced.is_empty()));
                same(&format!("{what} at {max_size}"), small.plan().unwrap(), &job, 1e-11);
            }
        }
    }
    assert!(sliced > count / 4, "{sliced} plans have slices");
}

#[test]
fn einsums_drawn_at_random() {
    random_einsums(1, 60);
}

#[test]
#[ignore = "a minute: many random einsums"]
fn many_einsums_drawn_at_random() {
    random_einsums(2, 1000);
}

/// A memory limit far below what the first trees take is a matter of the slices inside the search: a tree that is shrunk step by step until it fits costs
/// a hundred times as much.
#[test]
fn a_circuit_far_above_the_memory_limit() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/corpus/qc_sycamore53_m12.json");
    let (limit, minimize) = (1 << 30, tn_order::Minimize::Macs);
    let options = Options { memory: Some(limit), minimize, trials: Some(8), ..Options::default() };
    let compiled = tn_driver::compile(&Source::Instance(file.into()), &options).unwrap();
    assert!(compiled.plan().unwrap().summary.peak_bytes <= u128::from(limit));
    assert!(compiled.region_plans[0].log10_macs < 14.0, "{}", compiled.region_plans[0].log10_macs);
}
