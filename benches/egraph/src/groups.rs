//! What each group of optimisations gains: the same network planned with it and without it.

use crate::case::{Case, Settings, example, own, variant, variant_at};
use crate::clock::measure;
use crate::report::{Table, bytes, ratio, seconds};
use tn_driver::{Options, Rules, Source};

struct Network {
    group: &'static str,
    name: &'static str,
    source: Source,
    set: Vec<(&'static str, &'static str)>,
    grad: bool,
    /// The part of workspace and saved bytes that is allowed, of what the plan without a limit takes.
    part: Option<u128>,
    /// Where no switch does it: the network that is written so that it does not happen.
    off: Option<Source>,
    /// The `dyn` size.
    at: Option<u64>,
}

fn networks(quick: bool) -> Vec<Network> {
    let plain = |group, name, source, set, grad| Network {
        group,
        name,
        source,
        set,
        grad,
        part: None,
        off: None,
        at: None,
    };
    let rows = |at, name| Network { at: Some(at), ..plain("regimes", name, own("dyn_ring"), vec![], false) };
    let mera = vec![("sites", "16"), ("chi", "3"), ("site", "5")];
    let mps = vec![("sites", "16"), ("chi", "32")];
    let mut all = vec![
        plain("plans", "lora", example("lora"), vec![], true),
        plain("structure", "mera_energy, 16 sites", example("mera_energy"), mera, false),
        plain("sharing", "ising, 10 × 10", example("ising"), vec![], true),
        plain("sums", "lora", example("lora"), vec![], false),
        plain("constants", "constants", own("constants"), vec![], false),
        Network {
            part: Some(2),
            ..plain(
                "recompute",
                "mps_overlap, 16 sites, bond 32, 1/2 of the bytes",
                example("mps_overlap"),
                mps,
                true,
            )
        },
        Network {
            part: Some(4),
            ..plain("recompute", "peps_norm, 1/4 of the bytes", example("peps_norm"), vec![], true)
        },
        Network {
            part: Some(2),
            ..plain("recompute", "eight layers, 1/2 of the bytes", own("deep"), vec![], true)
        },
        Network {
            off: Some(own("fc2_stored")),
            ..plain("contracting through", "fc2_layer, 8 rows", own("fc2_layer"), vec![], false)
        },
        Network {
            off: Some(own("fc2_stored")),
            ..plain("contracting through", "fc2_layer, 8 rows, with gradient", own("fc2_layer"), vec![], true)
        },
        rows(1, "dyn_ring, 1 row"),
        rows(32, "dyn_ring, 32 rows, the hint"),
        rows(1024, "dyn_ring, 1024 rows"),
    ];
    if !quick {
        all.push(plain("plans", "tt_linear", example("tt_linear"), vec![], true));
        all.push(plain("sharing", "power", own("power"), vec![], true));
        all.push(plain("sums", "lora_frozen", own("lora_frozen"), vec![], true));
    }
    all
}

/// Bytes that leave 1/`part` of what a plan may choose about: workspace and saved bytes.
pub fn limit(plan: &tn_plan::ir::Plan, part: u128) -> Option<u64> {
    let s = &plan.summary;
    let free = s.workspace_bytes + s.saved_bytes;
    u64::try_from(s.peak_bytes - free.min(s.peak_bytes) + free / part).ok()
}

/// The table of the section.
pub fn table(settings: &Settings) -> Result<String, String> {
    let (mut cases, mut groups, mut refused) = (vec![], vec![], vec![]);
    for n in networks(settings.quick) {
        if !settings.wants(n.name) && !settings.wants(n.group) {
            continue;
        }
        let set = n.set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut on = Options { set, grad: n.grad, ..settings.options() };
        if let Some(part) = n.part {
            on.memory = limit(&variant(n.name, &n.source, &on)?.plan, part);
        }
        if n.at.is_some() {
            on.rules = Rules::default();
        }
        let off = match &n.off {
            // windows of the whole program would find the way back
            Some(other) => variant("off", other, &Options { rules: "plans".parse()?, ..on.clone() }),
            None => variant_at("off", &n.source, &Options { rules: n.group.parse()?, ..on.clone() }, n.at),
        };
        let on = variant_at("on", &n.source, &on, n.at)?;
        match off {
            Ok(off) => {
                groups.push(if n.off.is_some() { n.group.to_owned() } else { format!("`{}`", n.group) });
                cases.push(Case { name: n.name.into(), variants: vec![on, off] });
            }
            Err(why) => refused.push(format!(
                "`{}`, {}: no plan without it ({}).",
                n.group,
                n.name,
                why.lines().next().unwrap_or("")
            )),
        }
    }
    let timings = measure(&cases, "groups", settings)?;
    let mut out = Table::new(
        2,
        &[
            "group",
            "network",
            "modelled on",
            "off",
            "off / on",
            "peak on",
            "off",
            "forward on",
            "off",
            "off / on",
            "saving + vjp on",
            "off",
            "off / on",
        ],
    );
    for ((group, case), t) in groups.iter().zip(&cases).zip(&timings) {
        let [a, b] = [&case.variants[0], &case.variants[1]];
        out.row(&[
            group.clone(),
            case.name.clone() + if t[1].same_as.is_some() { " (equal plans)" } else { "" },
            seconds(a.modelled()),
            seconds(b.modelled()),
            ratio(b.modelled() / a.modelled()),
            bytes(a.summary.peak_bytes),
            bytes(b.summary.peak_bytes),
            seconds(t[0].forward),
            seconds(t[1].forward),
            ratio(t[1].forward / t[0].forward),
            seconds(t[0].pair),
            seconds(t[1].pair),
            ratio(t[1].pair / t[0].pair),
        ]);
    }
    let refused = refused.iter().fold(String::new(), |s, r| s + "\n" + r + "\n");
    Ok(out.finish() + &refused)
}
