//! Programs against their dags: random programs, random trees, random slices.

use std::collections::HashMap;
use tn_ir::Complex64;
use tn_ir::build::ProgramBuilder;
use tn_ir::dag::{ArrayId, Op, RootKind};
use tn_ir::dtype::DType;
use tn_ir::eval::{self, Dense};
use tn_ir::fuzz::{self, Rng, Shape};
use tn_ir::lower::lower;
use tn_ir::naive::{self, NaiveOutput};
use tn_ir::normalise::normalise;
use tn_ir::program::{LeafId, Program};
use tn_ir::region::{Region, RegionTree};
use tn_ir::regions::{RegionRules, regions};
use tn_ir::size::SymbolId;

fn close(a: &Dense, b: &Dense) -> bool {
    let finite = a.data.iter().filter(|x| x.is_finite());
    let scale = finite.fold(1.0f64, |m, x| m.max(x.norm()));
    // What overflows does so in both, though perhaps elsewhere on the way.
    let same =
        |x: &Complex64, y: &Complex64| (x - y).norm() <= 1e-9 * scale || !x.is_finite() && !y.is_finite();
    a.shape == b.shape && a.data.iter().zip(&b.data).all(|(x, y)| same(x, y))
}

fn check(program: &Program, rng: &mut Rng, slices: usize, note: &str) {
    let leaves = fuzz::leaves(rng, program, 2);
    check_at(program, leaves, |r| fuzz::tree(rng, r, slices), note);
}

/// Its factors from left to right.
fn in_order(region: &Region) -> RegionTree {
    let n = region.inputs.len() as u32;
    let ssa_path = (1..n).map(|k| (if k == 1 { 0 } else { n + k - 2 }, k)).collect();
    RegionTree { ssa_path, ..RegionTree::default() }
}

fn check_at(
    program: &Program,
    leaves: HashMap<LeafId, Dense>,
    tree: impl FnMut(&Region) -> RegionTree,
    note: &str,
) -> Vec<Dense> {
    let dynamic = 2;
    let sizes: HashMap<SymbolId, u64> = program.symbols.ids().map(|s| (s, dynamic)).collect();
    let want = naive::evaluate(program, &leaves, &sizes);
    let normal = normalise(program).unwrap();
    let regions = regions(&normal, RegionRules::default());
    let trees: Vec<_> = regions.iter().map(tree).collect();
    let dag = lower(&normal, &regions, &trees).unwrap_or_else(|e| panic!("{note}: {e}"));
    let mut arrays: HashMap<ArrayId, Dense> = leaves.into_iter().map(|(l, v)| (ArrayId(l.0), v)).collect();
    for l in normal.leaves.ids() {
        if let Some(value) = naive::constant(&normal, l) {
            arrays.insert(ArrayId(l.0), value);
        }
    }
    let wanted: Vec<_> = dag.roots.iter().map(|r| r.node).collect();
    let got = eval::evaluate(&dag, &arrays, &sizes, &wanted);
    let values = got.clone();
    let mut got = dag.roots.iter().zip(got);
    for (o, want) in program.outputs.iter().zip(&want) {
        let expected = match want {
            NaiveOutput::Plain(v) => vec![(o.name.clone(), v)],
            NaiveOutput::Log { phase, log } => {
                vec![(format!("{}.phase", o.name), phase), (format!("{}.log", o.name), log)]
            }
        };
        for (name, want) in expected {
            let (root, got) = got.next().unwrap();
            assert_eq!((&root.name, root.kind), (&name, RootKind::Output));
            assert!(close(want, &got), "{note}, output {name}:\n{want:?}\n{got:?}");
        }
    }
    assert!(got.next().is_none());
    values
}

#[test]
fn dags_mean_what_programs_mean() {
    for seed in 0..400u64 {
        let mut rng = Rng(seed);
        let shape = Shape {
            dtype: if seed % 2 == 0 { DType::F64 } else { DType::C128 },
            nonlinear: seed % 3 != 0,
            dynamic: seed % 5 == 0,
            logs: seed % 7 == 0,
            steps: 2 + rng.below(8),
        };
        let program = fuzz::program(&mut rng, shape);
        check(&program, &mut rng, (seed % 4) as usize, &format!("seed {seed}"));
    }
}

/// A matrix multiplied by itself `steps` times, with its powers' trace and one entry as a log output; a number squared as often, as a log output.
fn powers(steps: usize) -> Program {
    let mut b = ProgramBuilder::new("powers", DType::F64);
    let (i, j, k) = (b.index("i", 2), b.index("j", 2), b.index("k", 2));
    let mut h = b.param("r", &[i, j]);
    let mut x = b.param("x", &[]);
    for _ in 0..steps {
        h = b.contract(&[i, j], &[(h, &[i, k]), (h, &[k, j])]);
        x = b.contract(&[], &[(x, &[]), (x, &[])]);
    }
    let trace = b.contract(&[], &[(h, &[i, i])]);
    b.output("h", h, false);
    b.output("trace", trace, true);
    b.output("x", x, true);
    b.finish()
}

fn rotation(angle: f64, x: f64) -> HashMap<LeafId, Dense> {
    let (s, c) = angle.sin_cos();
    let real = |v: &[f64]| v.iter().map(|&x| Complex64::new(x, 0.0)).collect();
    let r = Dense { shape: vec![2, 2], data: real(&[c, -s, s, c]) };
    HashMap::from([(LeafId(0), r), (LeafId(1), Dense { shape: vec![], data: real(&[x]) })])
}

#[test]
fn short_powers_are_seen_through_and_long_ones_kept() {
    let count = |steps| {
        let regions = regions(&normalise(&powers(steps)).unwrap(), RegionRules::default());
        (regions.len(), regions.iter().map(|r| r.inputs.len()).max())
    };
    assert_eq!(count(4), (3, Some(16)));
    assert_eq!(count(10), (3, Some(1024)));
    // 2^60 factors: every power is a region of two
    assert_eq!(count(60), (60 + 60 + 1, Some(2)));
    for steps in [3, 10, 14] {
        let n = f64::from(1 << steps);
        let got = check_at(&powers(steps), rotation(0.7 / n, -1.01), in_order, &format!("{steps} steps"));
        let near =
            |d: &Dense, v: f64| assert!((d.data[0].re - v).abs() < 1e-9 * v.abs().max(1.0), "{d:?} {v}");
        near(&got[0], 0.7f64.cos());
        near(&got[1], 1.0);
        near(&got[2], (2.0 * 0.7f64.cos()).ln());
        near(&got[3], 1.0);
        near(&got[4], n * 1.01f64.ln());
    }
}

/// A matrix in whose rows and columns stand numbers, joined each with each by indices of length 1: the results of all steps have few axes, in
/// whatever order the numbers are multiplied.
#[test]
fn summed_indices_of_length_1_are_no_axes_of_the_steps() {
    let n = 12;
    let mut b = ProgramBuilder::new("units", DType::F64);
    let (i, j) = (b.index("i", 2), b.index("j", 3));
    let bonds: Vec<Vec<_>> =
        (0..n).map(|x| (0..x).map(|y| b.index(&format!("b{x}.{y}"), 1)).collect()).collect();
    let legs = |x: usize| {
        let below = bonds[x].iter().copied();
        let above = (x + 1..n).map(|z| bonds[z][x]);
        let open = [i, j].into_iter().skip(x).take(usize::from(x < 2));
        below.chain(above).chain(open).collect::<Vec<_>>()
    };
    let all: Vec<Vec<_>> = (0..n).map(legs).collect();
    let terms: Vec<_> =
        all.iter().enumerate().map(|(x, legs)| (b.param(&format!("t{x}"), legs), &legs[..])).collect();
    let y = b.contract(&[i, j], &terms);
    b.output("y", y, false);
    let program = b.finish();
    let mut rng = Rng(7);
    for seed in 0..10 {
        check(&program, &mut rng, seed % 3, &format!("seed {seed}"));
    }
    let normal = normalise(&program).unwrap();
    let regions = regions(&normal, RegionRules::default());
    let trees: Vec<_> = regions.iter().map(in_order).collect();
    let dag = lower(&normal, &regions, &trees).unwrap();
    let axes = |id| dag.dims(id).len();
    let steps = dag.ids().filter(|&id| matches!(dag.op(id), Op::Einsum2 { .. }));
    assert!(steps.map(axes).max() == Some(2));
}
