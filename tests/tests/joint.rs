//! What the joint optimiser promises: the same values, for less.

use tn_driver::{Options, Rules};
use tn_plan::ir::{Class, EntryKind};
use tn_tests::network::{Job, all_agree, compile_text};

/// All rules, and all but these.
fn with_and_without(off: &str) -> [Options; 2] {
    let rules: Rules = off.parse().unwrap();
    [Options::default(), Options { rules, ..Options::default() }]
}

fn mera_energy(sites: u32, site: u32, dtype: &str, periodic: bool) -> String {
    let next = (site + 1) % sites;
    assert!(next > site, "the term does not wrap");
    format!(
        "use std::mera\nnetwork e(chi: int = 4) {{\n dtype {dtype}\n index s[0..{sites}]: 2, a, b: 2\n\
         let psi = mera(sites = {sites}, phys = 2, bond = chi, periodic = {periodic})\n\
         param h[a, b, s[{site}], s[{next}]]\n\
         output e[] = conj(psi[s[0..{site}], a, b, s[{}..{sites}]]) * h[a, b, s[{site}], s[{next}]] * psi[s[..]]\n}}",
        site + 2
    )
}

#[test]
fn a_mera_expectation_value_shrinks_to_its_causal_cone() {
    for (site, dtype, periodic) in
        [(2, "f64", false), (3, "c128", false), (0, "f64", true), (5, "c128", true)]
    {
        let text = mera_energy(8, site, dtype, periodic);
        let [cone, full] = with_and_without("structure").map(|options| {
            let compiled = compile_text(&text, &options).unwrap();
            let factors = compiled.prepared.regions[0].inputs.len();
            let job = Job::drawn(compiled.plan().unwrap(), "mera", None, 7).unwrap();
            (factors, job.execute(1).unwrap())
        });
        assert!(cone.0 < full.0, "{} of {} factors", cone.0, full.0);
        all_agree("cone", &cone.1, &full.1, 1e-12).unwrap();
    }
    // of 253 factors, the cone of two sites keeps at most four isometries and disentanglers a level, twice
    let compiled = compile_text(&mera_energy(64, 21, "f64", false), &Options::default()).unwrap();
    assert!(compiled.prepared.regions[0].inputs.len() <= 45);
}

#[test]
fn what_meets_its_conjugate_leaves_a_trace_or_an_identity() {
    let text = "network n {\n dtype c128\n index a, b: 3, p: 2, q: 2, r: 4\n\
        param w[a, b, p]: isometry([p] -> [a, b])\n param v[r, q, p]: unitary([q, p] -> [r])\n param x[p]\n param y[q]\n";
    let body = "output t[] = conj(w[a, b, p]) * w[a, b, p] * x[q] * conj(x[q])\n\
        output i[] = conj(w[a, b, p]) * w[a, b, q] * x[p] * x[q]\n\
        output o[p, q] = conj(w[a, b, p]) * w[a, b, q] * y[p]\n\
        output u[] = v[r, q, p] * conj(v[r, q, p]) * x[p]\n\
        output back[] = conj(v[r, q, p]) * v[r, q, p] * w[a, b, p] * y[q]\n}";
    let text = format!("{text}{body}");
    let [on, off] = with_and_without("structure").map(|options| {
        let compiled = compile_text(&text, &options).unwrap();
        Job::drawn(compiled.plan().unwrap(), "n", None, 3).unwrap().execute(1).unwrap()
    });
    all_agree("structure", &on, &off, 1e-12).unwrap();
    assert!(on.contains_key(&(EntryKind::Forward, Class::Output(4))));
}

const LORA: &str = "network lora(rank: int = 2) {\n dtype f64\n index b: 4, i: 24, o: 20, r: rank\n\
    param w0[o, i]\n param up[o, r]\n param down[r, i]\n input x[b, i]\n\
    let w[o, i] = w0[o, i] + 2.0 * up[o, r] * down[r, i]\n output y[b, o] = x[b, i] * w[o, i]\n}";

#[test]
fn a_low_rank_term_is_applied_factor_by_factor_forward_and_backward() {
    let [on, off] = with_and_without("sums").map(|options| {
        let options = Options { grad: true, jvp: true, minimize: tn_driver::Minimize::Macs, ..options };
        let compiled = compile_text(LORA, &options).unwrap();
        let plan = compiled.plan().unwrap();
        let macs: f64 = plan.summary.entries[1..3].iter().map(|e| e.macs).sum();
        (macs, Job::drawn(plan, "lora", None, 5).unwrap().execute(1).unwrap())
    });
    all_agree("lora", &on.1, &off.1, 1e-12).unwrap();
    assert!(on.0 < 0.9 * off.0, "{} of {}", on.0, off.0);
}

#[test]
fn chains_of_maps_are_one_pass_and_sums_of_products_one_product() {
    let text = "map swish(x; beta) = x / (1 + exp(-beta * x))\n\
        network n {\n dtype f64\n index b: 5, i: 6, o: 7\n param a[o, i], c[o, i]\n input x[b, i]\n\
        let u[b, o] = 2.0 * a[o, i] * x[b, i] + c[o, i] * x[b, i]\n\
        let v[b, o] = swish(tanh(exp(u[b, o])))\n output y[b, o] = v[b, o] - 3.0 * u[b, o]\n}";
    let text = text.replace("param a[o, i], c[o, i]", "param a[o, i]\n param c[o, i]");
    let [on, off] = with_and_without("all").map(|options| {
        let options = Options { grad: true, jvp: true, ..options };
        let compiled = compile_text(&text, &options).unwrap();
        let plan = compiled.plan().unwrap();
        let s = &plan.summary;
        (s.entries[0].steps, s.modelled_seconds, Job::drawn(plan, "n", None, 5).unwrap().execute(1).unwrap())
    });
    all_agree("maps", &on.2, &off.2, 1e-12).unwrap();
    assert!(on.0 < off.0 && on.1 < off.1, "{} steps of {}", on.0, off.0);
}
