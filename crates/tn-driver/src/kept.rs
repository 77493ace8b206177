//! What a search finds is kept, and what was found before is taken or gone on from.
//!
//! Networks are looked up by their form (`form.rs`), so neither names nor the order of tensors and axes matter; the search itself sees the
//! network as it was given. Trees are kept in the numbering of the form, and checked against the network whenever they are read.

use crate::cache::{Cache, Kept, Key, Limits, Whole};
use crate::form::Form;
use crate::options::Options;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use tn_ir::program::NodeId;
use tn_order::{Minimize, Network, Outcome, Tree, best_of, evaluate, fit, is_better};

/// The cache as one compilation uses it.
pub(crate) struct Keeper {
    cache: Cache,
    resume: bool,
    /// What beside the network, objective and limits a kept plan depends on.
    circumstances: String,
    /// The form of each region, by the node that it computes.
    forms: RefCell<BTreeMap<NodeId, Rc<Form>>>,
    /// What is kept of each family that was looked at to go on from.
    starts: RefCell<BTreeMap<String, Vec<Kept>>>,
    hits: Cell<usize>,
    misses: Cell<usize>,
}

/// A region as it is kept: the node that it computes, its network, and what may not be sliced.
pub(crate) type Place<'a> = (NodeId, &'a Network, &'a [u32]);

impl Keeper {
    pub fn new(cache: Cache, resume: bool, circumstances: String) -> Keeper {
        Keeper {
            cache,
            resume,
            circumstances,
            forms: RefCell::default(),
            starts: RefCell::default(),
            hits: Cell::new(0),
            misses: Cell::new(0),
        }
    }

    /// Whether everything that was searched for had been kept.
    pub fn hit(&self) -> bool {
        self.hits.get() > 0 && self.misses.get() == 0
    }

    /// Called when all searches are done: the cache is bounded.
    pub fn finish(&self) {
        if self.misses.get() > 0 {
            self.cache.prune();
        }
    }

    fn form(&self, (node, net, unsliceable): Place<'_>) -> Option<Rc<Form>> {
        if let Some(form) = self.forms.borrow().get(&node) {
            return Some(form.clone());
        }
        let form = Rc::new(Form::of(net, unsliceable)?);
        self.forms.borrow_mut().insert(node, form.clone());
        Some(form)
    }

    fn family(&self, form: &Form, minimize: Minimize) -> Key {
        let what = format!("region {} {minimize:?}", self.circumstances);
        Key::family([what.as_bytes(), &form.bytes])
    }

    /// The kept plan of a region, or one that is searched for, from the best kept one on if that is asked for.
    ///
    /// # Errors
    /// As for [`tn_order::plan`].
    pub fn kept_or_found(
        &self,
        node: NodeId,
        net: &Network,
        asked: tn_order::Options,
        options: &Options,
    ) -> Result<Outcome, tn_order::Infeasible> {
        let Some(form) = self.form((node, net, &asked.unsliceable)) else {
            return tn_order::plan(net, &asked);
        };
        let limits = Limits::new(asked.max_size, asked.max_peak);
        let family = self.family(&form, asked.minimize);
        // With a clock, the number of threads decides too.
        let threads = options.max_time.map(|_| asked.threads);
        let key = family.with(&format!(
            "{limits:?} {} {:?} {:?} {threads:?}",
            asked.seed, asked.trials, options.max_time
        ));
        let best = family.best(&format!("{limits:?}"));
        let hit = |kept: Kept, tree: Tree| {
            self.hits.set(self.hits.get() + 1);
            let others = kept.trees.iter().skip(1).map(|t| form.tree_from(t));
            Ok(Outcome {
                others: others.filter(|t| t.check(net).is_ok()).collect(),
                cost: evaluate(net, &tree),
                optimal: kept.optimal,
                time_limited: kept.time_limited,
                tree,
            })
        };
        let valid = |kept: &Kept| {
            let tree = kept.trees.first().map(|t| form.tree_from(t));
            tree.filter(|t| fits(net, t, &asked))
        };
        let start = if self.resume { self.start(&family, &form, net, &asked) } else { None };
        if !self.resume
            && let Some(kept) = self.cache.get(&key)
            && let Some(tree) = valid(&kept)
        {
            return hit(kept, tree);
        }
        let start = match start {
            Some((kept, tree)) if kept.optimal => return hit(kept, tree),
            other => other,
        };
        self.misses.set(self.misses.get() + 1);
        let searches = start.as_ref().map_or(0, |(k, _)| k.searches + 1);
        // Going on means to draw what was not drawn yet.
        let seed = asked.seed.wrapping_add(u64::from(searches).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let from = start.as_ref().map(|(_, t)| t.clone());
        let mut found = tn_order::plan(net, &tn_order::Options { start: from, seed, ..asked.clone() })?;
        if let Some((kept, tree)) = start.filter(|(_, t)| is_better(net, t, &found.tree, &asked)) {
            found.cost = evaluate(net, &tree);
            (found.tree, found.optimal) = (tree, kept.optimal);
        }
        let kept = Kept {
            trees: [&found.tree].into_iter().chain(&found.others).map(|t| form.tree_into(t)).collect(),
            optimal: found.optimal,
            time_limited: found.time_limited,
            searches,
            limits,
            whole: None,
        };
        let stopped = options.watch.as_ref().is_some_and(|w| w.is_stopped());
        if !self.resume && !stopped {
            self.cache.keep(&key, &kept);
        } else {
            // What was cut short or started elsewhere is not what this seed and budget give: it is kept as a start only.
            let _held = self.cache.hold(&best);
            let known = self.cache.get(&best).and_then(|k| valid(&k).map(|t| (k, t)));
            match known {
                // another process was better meanwhile
                Some((known, tree)) if self.resume && is_better(net, &tree, &found.tree, &asked) => {
                    found.cost = evaluate(net, &tree);
                    (found.tree, found.optimal) = (tree, known.optimal);
                }
                Some((_, tree)) if !self.resume && !is_better(net, &found.tree, &tree, &asked) => {}
                _ => self.cache.keep(&best, &kept),
            }
        }
        if let Some(starts) = self.starts.borrow_mut().get_mut(family.family_name()) {
            starts.push(kept);
        }
        Ok(found)
    }

    /// The best of what is kept of a family that satisfies what is asked for now, whatever it was found for. It counts as optimal only where it was
    /// proven so within limits that are no narrower. Where nothing satisfies them, the best of all.
    fn start(
        &self,
        family: &Key,
        form: &Form,
        net: &Network,
        asked: &tn_order::Options,
    ) -> Option<(Kept, Tree)> {
        let mut families = self.starts.borrow_mut();
        let starts =
            families.entry(family.family_name().to_owned()).or_insert_with(|| self.cache.starts(family));
        let searches = starts.iter().map(|k| k.searches).max()?;
        let mut kept: Vec<(&Kept, Tree)> =
            starts.iter().filter_map(|k| Some((k, form.tree_from(k.trees.first()?)))).collect();
        let limits = Limits::new(asked.max_size, asked.max_peak);
        loop {
            let trees: Vec<&Tree> = kept.iter().map(|k| &k.1).collect();
            let Some(at) = best_of(net, &trees, asked) else {
                // The best of all, which the search slices.
                let free = tn_order::Options { max_size: None, max_peak: None, ..asked.clone() };
                let (found, tree) = kept.swap_remove(best_of(net, &trees, &free)?);
                return Some((Kept { searches, optimal: false, ..found.clone() }, tree));
            };
            let (found, tree) = kept.swap_remove(at);
            if fits(net, &tree, asked) {
                let optimal = found.optimal && found.limits.allow_all_of(&limits);
                return Some((Kept { searches, optimal, ..found.clone() }, tree));
            }
        }
    }

    fn whole(&self, regions: &[Place<'_>], options: &Options) -> Option<(Key, Vec<Rc<Form>>)> {
        let forms: Option<Vec<Rc<Form>>> = regions.iter().map(|&r| self.form(r)).collect();
        let forms = forms?;
        let asked = (options.minimize, options.grad, options.jvp, &options.wrt);
        let what = format!("whole {} {asked:?}", self.circumstances);
        let parts = [what.as_bytes()].into_iter().chain(forms.iter().map(|f| f.bytes.as_slice()));
        Some((Key::family(parts), forms))
    }

    /// If the search is to go on: the trees of the fastest plan that is kept and within the limits on memory and size.
    pub fn floor(&self, regions: &[Place<'_>], options: &Options) -> Option<Vec<Tree>> {
        if !self.resume {
            return None;
        }
        let (family, forms) = self.whole(regions, options)?;
        let mut kept = self.cache.starts(&family);
        kept.retain(|k| k.whole.is_some_and(|w| options.memory.is_none_or(|m| w.peak_bytes <= m)));
        kept.sort_by(|a, b| {
            let seconds = |k: &Kept| k.whole.map_or(f64::INFINITY, |w| w.seconds());
            seconds(a).total_cmp(&seconds(b))
        });
        let most = options.max_size.map_or(f64::INFINITY, |m| (m as f64).log2() + 1e-9);
        kept.into_iter().find_map(|kept| {
            let trees: Vec<Tree> = kept.trees.iter().zip(&forms).map(|(t, f)| f.tree_from(t)).collect();
            let good = |(tree, &(_, net, _)): (&Tree, &Place<'_>)| evaluate(net, tree).log2_max_size <= most;
            (trees.len() == regions.len() && trees.iter().zip(regions).all(good)).then_some(trees)
        })
    }

    /// Keeps the trees of a plan under a memory limit, if none that is as fast is kept for these limits; `worth` says for which regions they
    /// are starts of their own, where there is another limit or none.
    pub fn keep_whole(
        &self,
        regions: &[Place<'_>],
        options: &Options,
        trees: &[Tree],
        whole: Whole,
        worth: impl Fn(&Network) -> bool,
    ) {
        let Some((family, forms)) = self.whole(regions, options) else { return };
        let limits = format!("{:?} {:?}", options.memory, options.max_size);
        let key = family.best(&limits);
        let _held = self.cache.hold(&key);
        let known = self.cache.get(&key).and_then(|k| k.whole);
        if known.is_some_and(|k| k.seconds() <= whole.seconds()) {
            return;
        }
        let trees: Vec<Tree> = trees.iter().zip(&forms).map(|(t, f)| f.tree_into(t)).collect();
        let kept = Kept {
            trees,
            limits: Limits::new(options.max_size, None),
            whole: Some(whole),
            ..Kept::default()
        };
        self.cache.keep(&key, &kept);
        for ((tree, form), (_, net, _)) in kept.trees.iter().zip(&forms).zip(regions) {
            if worth(net) {
                let key = self.family(form, options.minimize).best(&format!("whole {limits}"));
                self.cache.keep(&key, &Kept { trees: vec![tree.clone()], whole: None, ..kept.clone() });
            }
        }
    }
}

/// Whether a kept tree is an order of the network that satisfies the limits.
fn fits(net: &Network, tree: &Tree, asked: &tn_order::Options) -> bool {
    tree.check(net).is_ok() && fit(net, tree, asked).is_ok_and(|o| o.tree == *tree)
}
