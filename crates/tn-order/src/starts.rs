//! Where the search begins: trees by greedy search, sweeps and linear orders, and the pool of what became of them.

use crate::Minimize;
use crate::bisect::dissect;
use crate::greedy::{Taste, greedy};
use crate::interval::interval;
use crate::objective::{Limits, figures};
use crate::portfolio::{Candidate, Search};
use crate::rng::Rng;
use crate::sweep::{Rule, by_height, chain, chain_cost, climb, flow, peripheral, sweep};

/// Kinds of starts.
pub(crate) const KINDS: u64 = 10;
/// Of the time left, the part that one start may take, and what it may where there is no limit (seconds, about).
const START_SHARE: f64 = 0.03;
const UNTIMED: f64 = 0.1;
/// What recursive bisection takes a term, and an interval program a term to the third, about, in seconds.
const DISSECT: f64 = 30e-6;
const INTERVAL: f64 = 0.1e-9;
/// Operations of averaging at most; the part of the time left that they may take, and what one takes, about, in seconds.
const FLOW: f64 = 2e7;
const FLOW_SHARE: f64 = 0.05;
const FLOW_OPERATION: f64 = 4e-9;
/// The rounds of averaging at most, where there is little time and where there is much.
const LEAST_FLOW: usize = 80;
const MOST_FLOW: usize = 3000;
/// The trees kept to start again from.
pub(crate) const ELITE: usize = 6;
/// The kinds that new starts are made of: those that began best.
const PROMISING: usize = 3;
/// Of so many new starts, the best is annealed; fewer where they take more than a part of the job's time.
const DRAWS: u64 = 4;
const DRAW_SHARE: f64 = 0.05;
/// What has been drawn of every kind before a new start.
pub(crate) const START_AGAIN: u64 = 4;

/// A path in SSA form.
pub(crate) type Path = Vec<(u32, u32)>;

impl Search<'_> {
    /// The path of start `i` over the simplified model and log2 of its multiply-adds: greedy trees, sweeps and linear
    /// orders in turn.
    pub fn start(&self, i: u64) -> (f64, Path) {
        let mut rng = Rng::new(self.opts.seed, (1 << 40) + i);
        let m = &self.simple.model;
        let (kind, turn) = (i % KINDS, i / KINDS);
        let from = if turn == 0 { 0 } else { rng.below(m.n()) };
        let far = || peripheral(m, from);
        let noise = if turn < 3 { 0.0 } else { 0.05 };
        // enough averaging to flatten the front, within a few million operations
        let legs: usize = m.legs.iter().map(Vec::len).sum();
        let operations =
            self.clock.left().map_or(FLOW, |l| FLOW.min(FLOW_SHARE * l.max(0.0) / FLOW_OPERATION));
        let most = (operations as usize / legs.max(1)).clamp(LEAST_FLOW, MOST_FLOW);
        let flow = |times: f64| flow(m, far(), times, most);
        let order = match kind {
            0 => climb(
                m,
                &flow([4.0, 16.0, 8.0][(turn % 3) as usize]),
                [1.0, 0.3, 3.0, 0.1][(turn % 4) as usize],
            ),
            1 => sweep(m, Rule::Latest, far(), noise, &mut rng),
            3 => by_height(&flow([6.0, 3.0, 12.0][(turn % 3) as usize])),
            4 if turn == 0 => (0..m.n() as u32).collect(),
            4 => climb(m, &flow(1.0), [1.0, 3.0, 0.3][(turn % 3) as usize]),
            5 => sweep(m, Rule::Breadth, far(), noise, &mut rng),
            6 => sweep(m, Rule::Boundary, far(), noise, &mut rng),
            8 | 9 if self.affords(m.n() as f64 * DISSECT) => {
                let slack = [0.05, 0.2, 0.35, 0.1][(turn % 4) as usize];
                dissect(m, if kind == 8 { slack } else { 0.5 * slack + 0.02 }, &mut rng)
            }
            _ => {
                let taste = Taste::draw(&mut rng, i + 1);
                let path = greedy(m, taste, &mut rng);
                return (figures(m, &path, &[], Minimize::Macs, &Limits::default()).score.value, path);
            }
        };
        let known = chain_cost(m, &order);
        if self.affords((m.n() as f64).powi(3) * INTERVAL)
            && let Some(path) = interval(m, &order, known)
        {
            return (figures(m, &path, &[], Minimize::Macs, &Limits::default()).score.value, path);
        }
        (known, chain(m, &order))
    }

    /// The best of a few starts that were not drawn before; few if they take long for a job of this span.
    pub fn draw(&self, kinds: &Kinds, turn: u64, until: Option<(f64, f64)>) -> Path {
        let began = self.clock.elapsed();
        let mut best = self.start(kinds.another(DRAWS * turn));
        for k in 1..DRAWS {
            if until.is_some_and(|(from, to)| self.clock.elapsed() - began > DRAW_SHARE * (to - from)) {
                break;
            }
            let next = self.start(kinds.another(DRAWS * turn + k));
            if next.0 < best.0 {
                best = next;
            }
        }
        best.1
    }

    /// Whether a start that takes about so long is worth it.
    fn affords(&self, seconds: f64) -> bool {
        seconds < self.clock.left().map_or(UNTIMED, |l| START_SHARE * l)
    }
}

/// How well the kinds of starts begin on this network.
#[derive(Default)]
pub(crate) struct Kinds {
    /// The least cost (log2) of every kind's starts, by kind.
    best: Vec<f64>,
}

impl Kinds {
    /// Start `i` has this cost.
    pub fn note(&mut self, i: u64, cost: f64) {
        self.best.resize(KINDS as usize, f64::INFINITY);
        let best = &mut self.best[(i % KINDS) as usize];
        *best = best.min(cost);
    }

    /// A start that was not drawn before, of the promising kinds in turn.
    pub fn another(&self, turn: u64) -> u64 {
        let mut kinds: Vec<usize> = (0..self.best.len()).collect();
        kinds.sort_by(|&a, &b| self.best[a].total_cmp(&self.best[b]).then(a.cmp(&b)));
        let count = PROMISING.min(kinds.len()).max(1) as u64;
        let kind = kinds.get((turn % count) as usize).map_or(0, |&k| k as u64);
        kind + KINDS * (START_AGAIN + turn / count)
    }
}

/// The pool of the best trees, one of each line, best first.
#[derive(Default)]
pub(crate) struct Elite {
    pub pool: Vec<Candidate>,
}

impl Elite {
    /// Takes a tree in if it is the best of its line.
    pub fn offer(&mut self, c: Candidate) {
        if c.core.is_empty() {
            return;
        }
        if let Some(at) = self.pool.iter().position(|p| p.line == c.line) {
            if !c.guide.better(&self.pool[at].guide) {
                return;
            }
            self.pool.remove(at);
        }
        let at = self.pool.iter().position(|p| c.guide.better(&p.guide)).unwrap_or(self.pool.len());
        // two lines that end at the same cost are one
        let twin = at > 0 && !self.pool[at - 1].guide.better(&c.guide);
        if !twin {
            self.pool.insert(at, c);
            self.pool.truncate(ELITE);
        }
    }
}
