//! Programs against their dags: random programs, random trees, random slices.

use std::collections::HashMap;
use tn_ir::Complex64;
use tn_ir::dag::{ArrayId, RootKind};
use tn_ir::dtype::DType;
use tn_ir::eval::{self, Dense};
use tn_ir::fuzz::{self, Rng, Shape};
use tn_ir::lower::lower;
use tn_ir::naive::{self, NaiveOutput};
use tn_ir::normalise::normalise;
use tn_ir::program::Program;
use tn_ir::regions::regions;
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
    let dynamic = 2;
    let leaves = fuzz::leaves(rng, program, dynamic);
    let sizes: HashMap<SymbolId, u64> = program.symbols.ids().map(|s| (s, dynamic)).collect();
    let want = naive::evaluate(program, &leaves, &sizes);
    let normal = normalise(program).unwrap();
    let regions = regions(&normal);
    let trees: Vec<_> = regions.iter().map(|r| fuzz::tree(rng, r, slices)).collect();
    let dag = lower(&normal, &regions, &trees).unwrap_or_else(|e| panic!("{note}: {e}"));
    let mut arrays: HashMap<ArrayId, Dense> = leaves.into_iter().map(|(l, v)| (ArrayId(l.0), v)).collect();
    for l in normal.leaves.ids() {
        if let Some(value) = naive::constant(&normal, l) {
            arrays.insert(ArrayId(l.0), value);
        }
    }
    let wanted: Vec<_> = dag.roots.iter().map(|r| r.node).collect();
    let got = eval::evaluate(&dag, &arrays, &sizes, &wanted);
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
