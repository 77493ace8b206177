//! Hand-built plans, and what they mean: a direct interpretation of L4 in double precision.

#![allow(dead_code)]

use std::collections::BTreeMap;
use tn_ir::Complex64;
use tn_ir::dag::{ArrayRole, DagId, VarId};
use tn_ir::dtype::DType;
use tn_ir::ids::Arena;
use tn_ir::program::FoldAxis;
use tn_ir::scalar::ScalarFn;
use tn_ir::size::{Dim, Poly, Symbol, SymbolId, SymbolKind, numel};
use tn_ir::span::Span;
use tn_plan::ir::*;

/// Builds plans from einsum-like strings: one letter an axis.
pub struct Builder {
    pub plan: Plan,
    pub dims: BTreeMap<char, Dim>,
    legs: Vec<BTreeMap<u32, String>>,
}

impl Builder {
    pub fn new(name: &str, dtype: DType) -> Builder {
        let plan = Plan {
            version: PLAN_VERSION,
            name: name.into(),
            doc: "A test.".into(),
            source: "test.tn".into(),
            source_hash: "00".into(),
            dtype,
            symbols: Arena::new(),
            leaves: vec![],
            outputs: vec![],
            bodies: vec![],
            entries: vec![],
            regions: vec![],
            summary: Summary::default(),
            regimes: None,
        };
        Builder { plan, dims: BTreeMap::new(), legs: vec![] }
    }
    pub fn size(&mut self, letter: char, n: u64) -> &mut Self {
        self.dims.insert(letter, Dim::Const(n));
        self
    }
    pub fn dynamic(&mut self, letter: char, hint: u64, max: Option<u64>) -> &mut Self {
        let s =
            self.plan.symbols.push(Symbol { name: letter.to_string(), kind: SymbolKind::Dyn { hint, max } });
        self.dims.insert(letter, Dim::Dyn(s));
        self
    }
    pub fn shape(&self, legs: &str) -> Vec<Dim> {
        legs.chars().map(|c| self.dims[&c]).collect()
    }
    fn axes(legs: &str) -> Vec<FoldAxis> {
        legs.chars().map(|c| FoldAxis { label: c.to_string(), legs: 1 }).collect()
    }
    pub fn leaf(&mut self, name: &str, role: ArrayRole, legs: &str) -> u32 {
        let dims = self.shape(legs);
        let value = (role == ArrayRole::Const).then(|| {
            let n = numel(&dims).as_constant().unwrap() as usize;
            data(self.plan.leaves.len() as u64 + 900, n, self.plan.dtype)
        });
        self.plan.leaves.push(LeafInfo {
            name: name.into(),
            role,
            dims,
            axes: Self::axes(legs),
            value,
            init: None,
            structure: None,
            needs_grad: true,
        });
        self.plan.leaves.len() as u32 - 1
    }
    pub fn output(&mut self, name: &str, legs: &str) -> u32 {
        self.plan.outputs.push(OutputInfo {
            name: name.into(),
            dims: self.shape(legs),
            axes: Self::axes(legs),
        });
        self.plan.outputs.len() as u32 - 1
    }
    pub fn body(&mut self, f: ScalarFn) -> BodyId {
        if let Some(i) = self.plan.bodies.iter().position(|g| *g == f) {
            return BodyId(i as u32);
        }
        self.plan.bodies.push(f);
        BodyId(self.plan.bodies.len() as u32 - 1)
    }
    pub fn entry(&mut self, kind: EntryKind) {
        self.plan.entries.push(Entry {
            kind,
            buffers: Arena::new(),
            vars: vec![],
            body: vec![],
            workspace_len: Poly::zero(),
            saved_len: Poly::zero(),
        });
        self.legs.push(BTreeMap::new());
    }
    fn now(&mut self) -> &mut Entry {
        self.plan.entries.last_mut().unwrap()
    }
    /// A buffer; workspace and saved ones are laid out one after the other.
    pub fn buffer(&mut self, class: Class, legs: &str) -> BufferId {
        let len = numel(&self.shape(legs));
        let entry = self.now();
        let offset = match class {
            Class::Workspace => {
                let at = entry.workspace_len.clone();
                entry.workspace_len = &at + &len;
                at
            }
            Class::Saved => {
                let at = entry.saved_len.clone();
                entry.saved_len = &at + &len;
                at
            }
            _ => Poly::zero(),
        };
        let id = entry.buffers.push(Buffer { name: format!("{class:?}"), class, len, offset, live: (0, 0) });
        self.legs.last_mut().unwrap().insert(id.0, legs.into());
        id
    }
    pub fn access(&self, buffer: BufferId, space: &str, index: &str) -> Access {
        let legs = &self.legs.last().unwrap()[&buffer.0];
        let strides = tn_ir::size::row_major(&self.shape(legs));
        assert_eq!(legs.len(), index.len());
        let of = |c: char| {
            index.chars().zip(&strides).filter(|(l, _)| *l == c).fold(Poly::zero(), |p, (_, s)| &p + s)
        };
        // A digit in the index is a fixed position, `*` is left to a loop.
        let offset = index.chars().zip(&strides).filter_map(|(l, s)| Some((l.to_digit(10)?, s)));
        let offset = offset.fold(Poly::zero(), |p, (d, s)| &p + &(s * &Poly::from(u64::from(d))));
        Access { buffer, offset, moves: vec![], strides: space.chars().map(of).collect() }
    }
    /// A step: `out` gives the result's letters, other letters of the operands are folded.
    pub fn make(
        &mut self,
        out: (BufferId, &str),
        ins: &[(BufferId, &str)],
        f: ScalarFn,
        write: Write,
    ) -> Step {
        let letter = |c: &char| c.is_alphabetic();
        let mut space: Vec<char> = out.1.chars().filter(letter).collect();
        let kept = space.len();
        for (_, legs) in ins {
            for c in legs.chars().filter(letter) {
                if !space.contains(&c) {
                    space.push(c);
                }
            }
        }
        let names: String = space.iter().collect();
        let axes =
            space.iter().enumerate().map(|(i, c)| Axis { size: self.dims[c], reduce: i >= kept }).collect();
        let text = ins.iter().map(|(_, l)| *l).collect::<Vec<_>>().join(",");
        Step {
            node: DagId(0),
            space: axes,
            ins: ins.iter().map(|(b, l)| self.access(*b, &names, l)).collect(),
            out: self.access(out.0, &names, out.1),
            body: self.body(f),
            fold: Fold::Sum,
            write,
            text: format!("{text}->{}", out.1),
            span: Span::default(),
        }
    }
    pub fn step(&mut self, out: (BufferId, &str), ins: &[(BufferId, &str)], f: ScalarFn) {
        let s = self.make(out, ins, f, Write::Set);
        self.now().body.push(Item::Step(Box::new(s)));
    }
    pub fn push(&mut self, item: Item) {
        self.now().body.push(item);
    }
    pub fn var(&mut self, name: &str) -> u32 {
        let vars = &mut self.now().vars;
        vars.push(LoopVar { name: name.into(), var: VarId(vars.len() as u32) });
        vars.len() as u32 - 1
    }
}

/// Numbers that both sides of a test can make: multiples of 1/512 in [−1, 1).
pub fn raw(seed: u64, n: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 54) as f64) / 512.0 - 1.0
        })
        .collect()
}

pub fn data(seed: u64, n: usize, dtype: DType) -> Vec<Complex64> {
    if dtype.is_complex() {
        raw(seed, 2 * n).chunks(2).map(|c| Complex64::new(c[0], c[1])).collect()
    } else {
        raw(seed, n).into_iter().map(|x| Complex64::new(x, 0.0)).collect()
    }
}

/// Seeds of the arrays of a test.
pub fn seed(class: &Class) -> u64 {
    match class {
        Class::Leaf(i) => 100 + u64::from(*i),
        Class::Tangent(i) => 300 + u64::from(*i),
        Class::Cotangent(i) => 500 + u64::from(*i),
        _ => 0,
    }
}

pub type Arrays = BTreeMap<Class, Vec<Complex64>>;

/// Runs an entry by its meaning. `saved` goes in and out.
pub fn interpret(plan: &Plan, entry: &Entry, sizes: &[u64], saved: &mut Vec<Complex64>) -> Arrays {
    let value_of = |s: SymbolId| sizes[s.0 as usize] as i64;
    let eval = |p: &Poly| p.eval(value_of) as usize;
    let mut arrays = Arrays::new();
    saved.resize(eval(&entry.saved_len), Complex64::default());
    arrays.insert(Class::Saved, saved.clone());
    arrays.insert(Class::Workspace, vec![Complex64::new(7.5, 0.0); eval(&entry.workspace_len)]);
    for b in entry.buffers.iter() {
        let n = eval(&b.len);
        let value = match &b.class {
            Class::Leaf(i) if plan.leaves[*i as usize].value.is_some() => {
                plan.leaves[*i as usize].value.clone().unwrap()
            }
            Class::Leaf(_) | Class::Tangent(_) | Class::Cotangent(_) => data(seed(&b.class), n, plan.dtype),
            Class::Saved | Class::Workspace => continue,
            _ => vec![Complex64::new(7.5, 0.0); n],
        };
        arrays.insert(b.class.clone(), value);
    }
    let mut vars = vec![0usize; entry.vars.len()];
    for item in &entry.body {
        run(plan, entry, item, &eval, &mut vars, &mut arrays);
    }
    *saved = arrays[&Class::Saved].clone();
    arrays
}

fn run(
    plan: &Plan,
    entry: &Entry,
    item: &Item,
    eval: &dyn Fn(&Poly) -> usize,
    vars: &mut [usize],
    arrays: &mut Arrays,
) {
    match item {
        Item::Zero { buffer } => {
            let b = &entry.buffers[*buffer];
            let from = eval(&b.offset);
            arrays.get_mut(&b.class).unwrap()[from..from + eval(&b.len)].fill(Complex64::default());
        }
        Item::Loop(l) => {
            for i in 0..eval(&l.trip.poly()) {
                vars[l.var as usize] = i;
                for item in &l.body {
                    run(plan, entry, item, eval, vars, arrays);
                }
            }
        }
        Item::Step(s) => {
            let lens: Vec<usize> = s.space.iter().map(|a| eval(&a.size.poly())).collect();
            let start = |a: &Access| {
                eval(&entry.buffers[a.buffer].offset)
                    + eval(&a.offset)
                    + a.moves.iter().map(|(v, p)| vars[*v as usize] * eval(p)).sum::<usize>()
            };
            let accesses: Vec<(usize, Vec<usize>, &Class)> = s
                .ins
                .iter()
                .chain([&s.out])
                .map(|a| (start(a), a.strides.iter().map(eval).collect(), &entry.buffers[a.buffer].class))
                .collect();
            let kept: Vec<usize> = (0..lens.len()).filter(|&i| !s.space[i].reduce).collect();
            let reduce: Vec<usize> = (0..lens.len()).filter(|&i| s.space[i].reduce).collect();
            let count = |axes: &[usize]| axes.iter().map(|&a| lens[a]).product::<usize>();
            let place = |axes: &[usize], mut flat: usize, at: &mut [usize]| {
                for &a in axes.iter().rev() {
                    at[a] = flat % lens[a];
                    flat /= lens[a];
                }
            };
            let mut at = vec![0; lens.len()];
            let position = |k: usize, at: &[usize]| {
                accesses[k].0 + at.iter().zip(&accesses[k].1).map(|(i, s)| i * s).sum::<usize>()
            };
            for o in 0..count(&kept) {
                place(&kept, o, &mut at);
                let (mut sum, mut most) = (Complex64::default(), 0.0f64);
                for r in 0..count(&reduce) {
                    place(&reduce, r, &mut at);
                    let args: Vec<Complex64> =
                        (0..s.ins.len()).map(|k| arrays[accesses[k].2][position(k, &at)]).collect();
                    let v = plan.bodies[s.body.0 as usize].eval(&args);
                    sum += v;
                    most = most.max(v.norm());
                }
                let value = match s.fold {
                    Fold::Sum => sum,
                    Fold::MaxAbs => {
                        Complex64::new(if most == 0.0 || !most.is_finite() { 1.0 } else { most }, 0.0)
                    }
                };
                reduce.iter().for_each(|&a| at[a] = 0);
                let to = position(s.ins.len(), &at);
                let target = &mut arrays.get_mut(accesses[s.ins.len()].2).unwrap()[to];
                match s.write {
                    Write::Set => *target = value,
                    Write::Accumulate => *target += value,
                }
            }
        }
    }
}
