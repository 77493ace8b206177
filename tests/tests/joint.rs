//! What the joint optimiser promises: the same values, for less.

use tn_driver::applied::{Without, applied};
use tn_driver::pareto::run_pareto;
use tn_driver::{Options, Rules, Source, derivation};
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
    assert!(compiled.unchecked.is_empty());
    // gradients of cancelled isometries are not those of the program as it is written: who asks is told that they were not compared
    let options = Options { grad: true, ..Options::default() };
    let compiled = compile_text(&mera_energy(8, 2, "f64", false), &options).unwrap();
    assert!(!compiled.unchecked.is_empty() && compiled.unchecked.iter().all(|n| n.starts_with("grad.")));
    assert!(
        derivation::chain_text(&compiled, &[], &options).contains("not compared with the program: grad.")
    );
}

#[test]
fn what_meets_its_conjugate_leaves_an_identity() {
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

const LORA_LARGE: &str = "network lora {\n index b: 8, i: 2048, o: 2048, r: 4\n\
    param w0[o, i]\n param up[o, r]\n param down[r, i]\n input x[b, i]\n\
    let w[o, i] = w0[o, i] + 2.0 * up[o, r] * down[r, i]\n output y[b, o] = x[b, i] * w[o, i]\n}";

#[test]
fn a_record_of_the_rewrites_is_replayed_and_a_wrong_one_is_not() {
    let source = Source::Text { name: "lora.tn".into(), text: LORA_LARGE.into() };
    let options = Options { grad: true, explain: true, ..Options::default() };
    let compiled = tn_driver::compile(&source, &options).unwrap();
    let record = derivation::chain_json(&compiled, &applied(&compiled, &source, &options).unwrap());
    let hash = derivation::check(&source, &options, &record).unwrap();
    assert_eq!(record["dag_hash"], hash);
    let mut wrong = record.clone();
    wrong["rounds"].as_array_mut().unwrap().clear();
    assert!(derivation::check(&source, &options, &wrong).is_err());
    let mut wrong = record.clone();
    wrong["chosen"].as_array_mut().unwrap().clear();
    assert!(derivation::check(&source, &options, &wrong).is_err());
    // what it tells beside is compared too
    for place in ["/rewrites/0/gain", "/regions/0/ssa_path", "/modelled_seconds", "/rewrites/0/rule"] {
        let mut wrong = record.clone();
        *wrong.pointer_mut(place).unwrap() = serde_json::json!([[0, 7]]);
        let error = derivation::check(&source, &options, &wrong).unwrap_err().to_string();
        assert!(error.contains("is not what the source gives"), "{place}: {error}");
    }
    let other = Options { seed: 1, ..options };
    assert!(derivation::check(&source, &other, &record).is_err());
    let text = derivation::chain_text(&compiled, &[], &other);
    assert!(text.contains("distribute") && text.contains("without it"), "{text}");
}

/// What the rules outside the graph did for a text, with a record that holds.
fn rules_of(text: &str, options: Options) -> Vec<tn_driver::applied::Applied> {
    let source = Source::Text { name: "t.tn".into(), text: text.into() };
    let options = Options { explain: true, ..options };
    let compiled = tn_driver::compile(&source, &options).unwrap();
    let all = applied(&compiled, &source, &options).unwrap();
    let record = derivation::chain_json(&compiled, &all);
    derivation::check(&source, &options, &record).unwrap();
    let told = record["rules"].as_array().unwrap();
    assert!(told.len() == all.len() && told.iter().zip(&all).all(|(t, a)| t["rule"] == a.rule), "{told:?}");
    if !all.is_empty() {
        let mut wrong = record.clone();
        wrong["rules"][0]["what"] = "nothing".into();
        let error = derivation::check(&source, &options, &wrong).unwrap_err().to_string();
        assert!(error.contains("`rules.0.what` is not what the source gives"), "{error}");
    }
    all
}

#[test]
fn the_chain_tells_what_each_rule_outside_the_graph_is_worth() {
    let grad = || Options { grad: true, ..Options::default() };
    let copies = "network c {\n index i, j, k: 64\n param a[i], b[j], c[k]\n const D[i, j, k] = delta\n\
        output y[] = D[i, j, k] * a[i] * b[j] * c[k]\n}";
    let copies = copies.replace("param a[i], b[j], c[k]", "param a[i]\n param b[j]\n param c[k]");
    let shared = "network s {\n index s[0..34]: 24\n param w[s[0], s[1]]\n\
        output y[s[0], s[33]] = prod k in 0..33 { w[s[k], s[k+1]] }\n}";
    let folded = "network f {\n index i, j, k: 8\n input x[k]\n const A[i, j] = identity\n\
        const B[j, k] = ones\n output y[i] = exp(A[i, j]) * exp(B[j, k]) * x[k]\n}";
    let limited = "network r {\n index b: 200\n index i, j, k, l, m: 8\n input x[b, i]\n param p[i, j]\n param q[j, k]\n\
        param r[k, l]\n param s[l, m]\n let u[b, j] = tanh(x[b, i] * p[i, j])\n let v[b, k] = tanh(u[b, j] * q[j, k])\n\
        let w[b, l] = tanh(v[b, k] * r[k, l])\n let z[b, m] = tanh(w[b, l] * s[l, m])\n output y[] = z[b, m] * z[b, m]\n}";
    let cases = [
        ("copies", copies.as_str(), grad()),
        ("isometry", &mera_energy(8, 3, "f64", true), Options::default()),
        ("share", shared, grad()),
        ("fold", folded, Options::default()),
        ("remake", limited, Options { memory: Some(60_000), wrt: Some("p,q,r,s".into()), ..grad() }),
    ];
    for (rule, text, options) in cases {
        let all = rules_of(text, options);
        let one = all.iter().find(|a| a.rule == rule).unwrap_or_else(|| panic!("{rule} is not in {all:?}"));
        let pays = match &one.without {
            Without::More(gain) => *gain > 0.0,
            Without::NoPlan(why) => !why.is_empty(),
            Without::Untold => false,
        };
        assert!(pays, "{one:?}");
    }
    assert_eq!(rules_of("network n {\n index i: 3\n param a[i]\n output y[] = a[i] * a[i]\n}", grad()), []);
}

/// Two layers of a square lattice, too large for the exact search; parts of one layer are those of the other.
const PEPS: &str = "use std::peps\nnetwork norm {\n dtype f64\n index s[x in 0..4, y in 0..4]: 2\n\
    let psi = peps(rows = 4, cols = 4, phys = 2, bond = 3)\n output z[] = conj(psi[s[..]]) * psi[s[..]]\n}";

#[test]
fn parts_of_several_candidates_make_one_plan() {
    let source = Source::Text { name: "norm.tn".into(), text: PEPS.into() };
    // other trees enter the graph, but no window is solved again
    let [met, alone] = ["window", "plans"].map(|off| {
        let rules: Rules = off.parse().unwrap();
        let options = Options { grad: true, rules, trials: Some(8), explain: true, ..Options::default() };
        let compiled = tn_driver::compile(&source, &options).unwrap();
        let record = derivation::chain_json(&compiled, &applied(&compiled, &source, &options).unwrap());
        derivation::check(&source, &options, &record).unwrap();
        let plan = compiled.plan().unwrap();
        let values = Job::drawn(plan, "norm", None, 5).unwrap().execute(1).unwrap();
        (derivation::chain_text(&compiled, &[], &options), record["candidates"].as_u64(), values)
    });
    assert!(met.0.contains("candidate") && met.1 > Some(0), "{}", met.0);
    assert!(!alone.0.contains("candidate") && alone.1.is_none(), "{}", alone.0);
    all_agree("norm", &met.2, &alone.2, 1e-12).unwrap();
}

#[test]
fn the_optimiser_is_deterministic_and_keeps_its_budgets() {
    let plan = |nodes, steps, threads| {
        let options =
            Options { grad: true, egraph_nodes: nodes, egraph_steps: steps, threads, ..Options::default() };
        let c = compile_text(LORA_LARGE, &options).unwrap();
        let size = c.built.as_ref().and_then(|b| b.rewritten.as_ref()).map(|w| w.report.size.0);
        (derivation::dag_hash(&c.built.unwrap().dag), size)
    };
    let all = plan(None, None, 1);
    assert_eq!(all, plan(None, None, 2));
    for nodes in [0, 5, 20, 24, 30, 60, 70, 100, 150] {
        let made = plan(Some(nodes), None, 1).1.unwrap_or(0);
        assert!(made <= nodes, "{made} nodes where {nodes} are allowed");
    }
    assert_eq!(plan(Some(5), None, 1).1, None);
    assert_eq!(plan(None, Some(0), 1).1, None);
}

#[test]
fn a_generated_layer_is_contracted_through() {
    for (topology, most) in [("ttn", 36_400.0), ("augmented_ttn", 111_000.0), ("mera", 111_000.0)] {
        for (batch, grad) in [(1u64, true), (8, false)] {
            let text = format!(
                "use std::generators::{topology}\nnetwork fc2 {{\n index b: {batch}\n index s[0..24]: 2\n\
                 let g = {topology}(modes = 24, latent = 5, radix = 2, bond = 2, act = elu)\n\
                 input x[b, (s[12..24]) as cols]\n output y[b, (s[0..12]) as rows] = x[b, s[12..24]] * g[s[..]]\n}}"
            );
            let options = Options { grad, minimize: tn_driver::Minimize::Macs, ..Options::default() };
            let compiled = compile_text(&text, &options).unwrap();
            let layer = compiled.region_plans.iter().find(|r| r.name == "y").unwrap();
            assert!(10f64.powf(layer.log10_macs) <= most * batch as f64, "{topology}: {}", layer.log10_macs);
            let plan = compiled.plan().unwrap();
            let largest = plan.entries.iter().flat_map(|e| e.buffers.iter()).map(|b| b.len.eval(|_| 0)).max();
            assert!(largest.unwrap() as u64 <= batch << 14, "{topology}: {largest:?} elements");
        }
    }
}

#[test]
fn less_memory_costs_time_and_the_frontier_says_how_much() {
    let text = "use std::generators::mera\nnetwork g {\n index s[0..12]: 2\n\
        let g = mera(modes = 12, latent = 3, radix = 2, bond = 2, act = elu)\n output w[s[..]] = g[s[..]]\n}";
    let source = Source::Text { name: "g.tn".into(), text: text.into() };
    let options = Options { grad: true, ..Options::default() };
    let points = run_pareto(&source, &options).unwrap();
    assert!(points.len() > 1, "{points:?}");
    assert!(points.windows(2).all(|p| p[0].peak > p[1].peak && p[0].seconds <= p[1].seconds));
    // a limit at a row gives a plan that is as fast, but for the steps in which less is saved
    for row in points {
        let limited = Options { memory: Some(row.peak as u64), ..options.clone() };
        let plan = tn_driver::compile(&source, &limited).unwrap();
        let summary = &plan.plan().unwrap().summary;
        assert!(summary.peak_bytes <= row.peak);
        assert!(summary.modelled_seconds <= row.seconds * 1.05, "{row:?}: {}", summary.modelled_seconds);
    }
}

#[test]
fn what_fits_by_itself_fits_under_a_limit_and_peaks_are_no_higher_where_they_are_the_objective() {
    for wrt in [Some("up,down"), None] {
        let options = Options { grad: true, wrt: wrt.map(str::to_owned), ..Options::default() };
        let summary =
            |options: &Options| compile_text(LORA_LARGE, options).unwrap().plan().unwrap().summary.clone();
        let free = summary(&options);
        let memory = Some(free.peak_bytes as u64);
        let limited = summary(&Options { memory, ..options.clone() });
        assert!(limited.peak_bytes <= free.peak_bytes);
        assert!(limited.modelled_seconds <= free.modelled_seconds * (1.0 + 1e-9));
        let least = summary(&Options { minimize: tn_driver::Minimize::Peak, ..options });
        assert!(least.peak_bytes <= free.peak_bytes, "{} of {}", least.peak_bytes, free.peak_bytes);
    }
}

#[test]
fn constants_are_computed_before_run_time() {
    let text = "network c {\n dtype c128\n index a, b, c, d: 2\n\
        const H[a, b] = [[0.6, 0.8], [0.8, -0.6]]\n const X[a, b] = [[0, 1], [1i, 0]]\n input x[a]\n\
        output y[d] = H[d, c] * X[c, b] * H[b, a] * x[a]\n output z[] = H[a, b] * conj(X[b, c]) * H[c, a]\n}";
    let [on, off] = with_and_without("all").map(|options| {
        let options = Options { grad: true, jvp: true, ..options };
        let compiled = compile_text(text, &options).unwrap();
        let plan = compiled.plan().unwrap();
        (plan.summary.entries[0].macs, Job::drawn(plan, "c", None, 5).unwrap().execute(1).unwrap())
    });
    all_agree("constants", &on.1, &off.1, 1e-12).unwrap();
    // one matrix times one vector
    assert_eq!(on.0, 4.0);
    assert!(off.0 > on.0);
}
