//! Memory limits: seven workloads at a half, a quarter and a tenth of the unlimited workspace and saved bytes. What is measured is what
//! the plan says, values and gradients stay the same, and an impossible limit says the smallest peak.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tn_driver::{Error, Options, Source};
use tn_ir::dag::ArrayRole;
use tn_plan::cost::entry_bytes;
use tn_plan::ir::{Class, EntryKind, Plan};
use tn_tests::emitted::{folder, measured, run_rust};
use tn_tests::network::{Job, all_agree, compile_file, compile_text, corpus};

/// Counts what the whole process allocates.
struct Counting;
static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: forwards to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.dealloc(p, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ALL: &[u128] = &[2, 4, 10];
/// The parts of the unlimited memory that each must do with: value, and gradient. A gradient inside slice loops keeps all forward values of
/// one round: of the amplitude's 7,000 numbers a tenth is too few for its slices to stay affordable.
const WORKLOADS: [(&str, [&[u128]; 2]); 7] = [
    ("peps_norm", [ALL, ALL]),
    ("ising", [ALL, ALL]),
    ("potts", [ALL, ALL]),
    ("lattice", [ALL, ALL]),
    ("triangles", [ALL, ALL]),
    ("two_layer", [ALL, ALL]),
    ("amplitude", [ALL, &[2, 4]]),
];
const KINDS: [&[EntryKind]; 2] =
    [&[EntryKind::Forward], &[EntryKind::Forward, EntryKind::ForwardSaving, EntryKind::Vjp]];

fn own_bytes(plan: &Plan) -> u128 {
    plan.summary.workspace_bytes + plan.summary.saved_bytes
}

/// What the caller holds in the entry where that is most: parameters, inputs, outputs, cotangents and gradients.
fn held_bytes(plan: &Plan) -> u128 {
    let own = |kind| if kind == EntryKind::Forward { 0 } else { plan.summary.saved_bytes };
    let entries = plan.entries.iter().zip(&plan.summary.entries);
    entries.map(|(e, s)| s.peak_bytes - s.workspace_bytes - own(e.kind)).max().unwrap_or(0)
}

/// The arrays that a call of the entry borrows, as the plan says; what else must exist then comes on top in its peak.
fn borrowed(plan: &Plan, kind: EntryKind) -> u128 {
    let entry = plan.entries.iter().find(|e| e.kind == kind).unwrap();
    let bytes = |dims: &[tn_ir::size::Dim]| {
        dims.iter().map(|d| u128::from(d.eval(|_| 0))).product::<u128>() * u128::from(plan.dtype.bytes())
    };
    let constants: u128 =
        plan.leaves.iter().filter(|l| l.role == ArrayRole::Const).map(|l| bytes(&l.dims)).sum();
    let outputs: u128 = plan.outputs.iter().map(|o| bytes(&o.dims)).sum();
    let beside = if kind == EntryKind::Vjp { outputs } else { 0 };
    entry_bytes(plan, entry, |_| 0) - constants - beside
}

/// Workloads whose searches within a limit take half a minute each.
const SLOW: [&str; 2] = ["ising", "amplitude"];

/// The tightest limit of each workload but the slow ones.
#[test]
fn the_tightest_limits_hold_as_allocated_and_as_measured() {
    limits(|name, parts| if SLOW.contains(&name) { &[] } else { &parts[parts.len() - 1..] });
    the_executor_allocates_what_the_plan_says();
    an_impossible_limit_says_the_smallest_peak();
}

#[test]
#[ignore = "minutes: every limit of every workload"]
fn all_limits_hold_as_allocated_and_as_measured() {
    limits(|_, parts| parts);
}

/// Tests do not run side by side, since the allocator counts for the whole process.
fn limits(chosen: impl Fn(&str, &'static [u128]) -> &'static [u128]) {
    let mut jobs = Vec::new();
    for (name, parts) in WORKLOADS {
        for (kinds, parts) in KINDS.into_iter().zip(parts) {
            let grad = kinds.len() > 1;
            let options = Options { grad, threads: 2, ..Options::default() };
            let free = compile_file(corpus(&format!("{name}.tn")), &options).unwrap();
            let plan = free.plan().unwrap();
            let held = held_bytes(plan);
            let job = Job::drawn(plan, &format!("{name}_free"), None, 7).unwrap();
            let want = job.execute(1).unwrap();
            for &part in chosen(name, parts) {
                let limit = held + own_bytes(plan) / part;
                let limited = Options { memory: u64::try_from(limit).ok(), ..options.clone() };
                let what = format!("{name}_{}_{part}", if grad { "grad" } else { "value" });
                let compiled = compile_file(corpus(&format!("{name}.tn")), &limited);
                let compiled =
                    compiled.unwrap_or_else(|e| panic!("{what} (limit {limit}, {held} held): {e}"));
                assert!(compiled.region_plans[0].log10_macs < 8.0, "{what}: too many slices");
                let small = compiled.plan().unwrap();
                assert!(small.summary.peak_bytes <= limit, "{what}: {} of {limit}", small.summary.peak_bytes);
                let mut job = Job::drawn(small, &what, None, 7).unwrap();
                for (class, values) in &mut job.given {
                    if matches!(class, Class::Cotangent(_)) {
                        values.fill(num_complex::Complex64::ONE);
                    }
                }
                let mut reference = Job { given: job.given.clone(), ..job.clone() };
                reference.plan = plan.plan().clone();
                let want = if grad { reference.execute(1).unwrap() } else { want.clone() };
                all_agree(&what, &job.execute(1).unwrap(), &want, 1e-10).unwrap();
                jobs.push(job);
            }
        }
    }
    // Compiling is what costs: the networks of few tensors stand for all.
    jobs.retain(|job: &Job| job.plan.leaves.len() <= 16);
    assert!(jobs.len() >= 6);
    let dir = folder(env!("CARGO_TARGET_TMPDIR"), "memory").unwrap();
    let emitted = run_rust(&jobs, &dir).unwrap();
    for (job, got) in jobs.iter().zip(&emitted) {
        all_agree(&job.plan.name, got, &job.execute(1).unwrap(), 1e-10).unwrap();
        for entry in &job.plan.entries {
            let (arrays, own) = measured(job, entry.kind, &dir).unwrap();
            assert_eq!(own, 0, "{} {:?} allocates", job.plan.name, entry.kind);
            assert_eq!(arrays, borrowed(&job.plan, entry.kind), "{} {:?}", job.plan.name, entry.kind);
        }
    }
}

/// The executor's own bookkeeping is the only difference: it does not grow with the arrays.
fn the_executor_allocates_what_the_plan_says() {
    const BOOKKEEPING: usize = 16 << 10;
    let text = "network big { dtype f64\n index i: 700, j: 701, k: 2, l: 703\n param a[i, j]\n param b[j, k, l]\n param c[l, i]\n\
                output y[i, l, k] = a[i, j] * b[j, k, l]\n output z[] = (a[i, j] * b[j, k, l]) * c[l, i] }";
    let compiled = compile_text(text, &Options { grad: true, ..Options::default() }).unwrap();
    let plan = compiled.plan().unwrap();
    let job = Job::drawn(plan, "big", None, 1).unwrap();
    let given = tn_exec::Given {
        arrays: job.given.iter().map(|(c, v)| (c.clone(), v.iter().map(|z| z.re).collect())).collect(),
    };
    let executor = tn_exec::Executor::<f64>::new(plan, &|_| 0, 1).unwrap();
    let mut saved = Vec::new();
    for (entry, summary) in plan.entries.iter().zip(&plan.summary.entries) {
        let results: u128 = entry
            .buffers
            .iter()
            .filter(|b| matches!(b.class, Class::Output(_) | Class::Grad(_)))
            .map(|b| (&b.class, b.len.eval(|_| 0) as u128 * 8))
            .collect::<std::collections::BTreeMap<_, _>>()
            .values()
            .sum();
        let kept = if entry.kind == EntryKind::ForwardSaving { plan.summary.saved_bytes } else { 0 };
        let before = NOW.load(Relaxed);
        PEAK.store(before, Relaxed);
        executor.run(entry.kind, &given, &mut saved).unwrap();
        let measured = PEAK.load(Relaxed) - before;
        let allocated = (results + summary.workspace_bytes + kept) as usize;
        assert!(
            measured >= allocated && measured <= allocated + BOOKKEEPING,
            "{:?}: {measured} measured, {allocated} allocated",
            entry.kind
        );
    }
}

fn an_impossible_limit_says_the_smallest_peak() {
    for (name, grad) in [("peps_norm", false), ("lattice", false), ("two_layer", true)] {
        let source = Source::File(corpus(&format!("{name}.tn")));
        let with = |memory| {
            tn_driver::compile(&source, &Options { memory: Some(memory), grad, ..Options::default() })
        };
        let smallest = |memory| match with(memory) {
            Err(Error::Infeasible(why)) => u64::try_from(why.smallest).unwrap(),
            _ => panic!("{name}: {memory} bytes are enough"),
        };
        let least = smallest(1);
        // What it says is enough is enough, and no byte less is, whatever the limit was.
        let plan = with(least).unwrap_or_else(|e| panic!("{name}: {}", e.render(false)));
        assert!(plan.plan().unwrap().summary.peak_bytes <= u128::from(least));
        assert_eq!((smallest(least - 1), smallest(least / 2)), (least, least), "{name}");
    }
}
