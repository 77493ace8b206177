//! What plans under a memory limit are scheduled from: trees and the dag that they make, or what the joint optimiser makes of it.

use super::{Search, held_bytes};
use crate::compile::Prepared;
use crate::error::Error;
use crate::joint;
use crate::options::Options;
use crate::search::Searcher;
use crate::stages::{self, Built, Rewritten};
use std::rc::Rc;
use tn_ir::dag::Dag;
use tn_opt::{Clock, Optimised};
use tn_order::Outcome;
use tn_plan::ir::Plan;

/// Parts of the room under the limit within which the optimiser looks for the cheapest choice: what it knows of the order of steps is rough, in
/// both directions.
const ROOMS: [f64; 4] = [1.05, 1.0, 0.6, 0.35];

/// Trees, and the dag of the whole program.
#[derive(Clone)]
pub(crate) struct Base {
    pub outcomes: Rc<Vec<Outcome>>,
    /// As lowered and differentiated, or as rewritten.
    dag: Rc<Dag>,
    /// The same with constants folded, if there are any.
    folded: Option<Rc<Dag>>,
    rewritten: Option<Rc<Rewritten>>,
}

impl Base {
    pub fn new(prepared: &Prepared, outcomes: Vec<Outcome>, dag: Dag, options: &Options) -> Base {
        let folded = stages::folded(prepared, &dag, options).map(Rc::new);
        Base { outcomes: Rc::new(outcomes), dag: Rc::new(dag), folded, rewritten: None }
    }

    /// What plans are made of.
    pub fn dag(&self) -> &Dag {
        self.folded.as_ref().unwrap_or(&self.dag)
    }

    /// The same trees with a rewritten dag.
    fn with(&self, prepared: &Prepared, rewritten: Rewritten, options: &Options) -> Result<Base, Error> {
        let dag = rewritten.report.dag.clone();
        tn_ir::verify::verify(&dag).map_err(|e| Error::internal("joint optimiser", e))?;
        let base = Base::new(prepared, vec![], dag, options);
        Ok(Base { outcomes: self.outcomes.clone(), rewritten: Some(Rc::new(rewritten)), ..base })
    }

    /// The plan, verified.
    ///
    /// # Errors
    /// A failed check of our own.
    pub fn built(&self, plan: Plan) -> Result<Built, Error> {
        let built = stages::verified(self.dag().clone(), plan)?;
        let unfolded = self.folded.as_ref().map(|_| Box::new((*self.dag).clone()));
        let rewritten = self.rewritten.as_ref().map(|r| Box::new((**r).clone()));
        let limit = self.rewritten.as_ref().and_then(|r| r.report.limited);
        Ok(Built { unfolded, rewritten, limit, ..built })
    }
}

impl Search<'_> {
    /// What fits, or else what comes nearest to it, once more with the dags that the joint optimiser makes of it: the cheapest one and, if `within`, the
    /// cheapest whose results take no more than is left.
    pub(super) fn rewrite(&mut self, searcher: &Searcher, within: bool) -> Result<(), Error> {
        let of = match (&self.best, &self.smallest) {
            (Some(best), _) => Some((best.base.clone(), &best.plan)),
            (None, Some(s)) => Some((s.base.clone(), &s.plan)),
            (None, None) => None,
        };
        let Some((base, plan)) = of.filter(|(b, _)| b.rewritten.is_none()) else { return Ok(()) };
        let (seconds_before, room) =
            (plan.summary.modelled_seconds, self.limit.saturating_sub(held_bytes(plan)));
        if self.rewritten.as_ref().is_some_and(|(b, w)| Rc::ptr_eq(&b.dag, &base.dag) && *w >= within) {
            return Ok(());
        }
        self.rewritten = Some((base.clone(), within));
        let (prepared, options) = (self.prepared, self.options);
        let candidates = stages::candidates(prepared, &base.outcomes, options, base.dag.len())?;
        let other = joint::Alternatives {
            candidates: &candidates,
            limits: if within { &ROOMS.map(|part| part * room as f64) } else { &[] },
            clock: Clock(searcher.end(options)),
        };
        let Some(found) = joint::improved(&base.dag, other, options, &self.machine).better else {
            return Ok(());
        };
        let rewritten = |report: Optimised| Rewritten { report, before: (*base.dag).clone(), seconds_before };
        for choice in &found.thrifty {
            // what depends on the limit is only good for that limit
            self.aimed = true;
            let base = base.with(prepared, rewritten(found.with(choice)), options)?;
            self.policies_of(&base)?;
            self.aimed = false;
        }
        let base = base.with(prepared, rewritten(found), options)?;
        self.policies_of(&base)?;
        Ok(())
    }
}
