//! The hot loops of the planner, on networks of the corpus and on random ones. All are counted, none is timed by
//! a clock of the planner, so two runs do the same work.

#![allow(missing_docs)] // of what the macros below define

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tn_benches::{corpus, random_network};
use tn_order::{Minimize, Network, Options, Progress, Tree, bench, evaluate, plan};

/// A search that is told to stop before it begins returns its first valid plan: one greedy tree.
fn first_plan(net: &Network) -> Tree {
    let progress = Progress::default();
    progress.stop.store(true, Ordering::Relaxed);
    let options =
        Options { minimize: Minimize::Macs, progress: Some(Arc::new(progress)), ..Options::default() };
    plan(net, &options).expect("nothing is limited").tree
}

/// The first valid plan, which is greedy.
fn greedy(c: &mut Criterion) {
    let mut group = c.benchmark_group("greedy");
    for name in ["qc_sycamore53_m20", "qec_surfacecode_d13", "big_lattice2d_72x72"] {
        let (net, _) = corpus(name);
        group.throughput(Throughput::Elements(net.inputs.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &net, |b, net| {
            b.iter(|| first_plan(black_box(net)))
        });
    }
    group.finish();
}

/// Sweeps of rotations over a tree; an element is a visit of a node.
fn anneal(c: &mut Criterion) {
    const SWEEPS: usize = 100;
    let mut group = c.benchmark_group("anneal");
    for name in ["phys_peps_norm_6x6_chi3", "qc_sycamore53_m20", "gm_bn_munin"] {
        let (net, _) = corpus(name);
        let tree = first_plan(&net);
        group.throughput(Throughput::Elements((SWEEPS * tree.ssa_path.len()) as u64));
        group.bench_function(name, |b| b.iter(|| bench::sweeps(black_box(&net), &tree, SWEEPS)));
    }
    group.finish();
}

/// The proven optimum of small networks.
fn exact(c: &mut Criterion) {
    let mut group = c.benchmark_group("exact");
    let options = Options { minimize: Minimize::Macs, ..Options::default() };
    for n in [10, 14, 18] {
        let net = random_network(n, 1);
        assert!(plan(&net, &options).expect("nothing is limited").optimal);
        group.bench_with_input(BenchmarkId::from_parameter(n), &net, |b, net| {
            b.iter(|| plan(black_box(net), &options))
        });
    }
    group.finish();
}

/// The figures of a long path.
fn figures(c: &mut Criterion) {
    let mut group = c.benchmark_group("evaluate");
    for name in ["qc_sycamore53_m20", "big_lattice2d_72x72", "big_qec_decoder_d5_r110"] {
        let (net, _) = corpus(name);
        let tree = first_plan(&net);
        group.throughput(Throughput::Elements(tree.ssa_path.len() as u64));
        group.bench_function(name, |b| b.iter(|| evaluate(black_box(&net), black_box(&tree))));
    }
    group.finish();
}

/// A whole search of eight trials on one thread.
fn search(c: &mut Criterion) {
    let mut group = c.benchmark_group("search");
    let options = Options { minimize: Minimize::Macs, trials: Some(8), ..Options::default() };
    for name in ["phys_mera_pbc_L32_chi8", "qc_qaoa_3reg_n60_p3"] {
        let (net, _) = corpus(name);
        group.bench_function(name, |b| b.iter(|| plan(black_box(&net), &options)));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = greedy, anneal, exact, figures, search
}
criterion_main!(benches);
