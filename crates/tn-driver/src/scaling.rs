//! `--scaling chi`: the exact leading power of a plan's cost in a parameter of the network.
//!
//! The sizes of indices are polynomials in the parameters, so the multiply-adds of every step of the chosen tree are too. Only the
//! leading term is kept: its power, and its coefficient at the values of everything else. Nothing is fitted.

use std::collections::BTreeSet;
use tn_ir::ids::Arena;
use tn_ir::region::Region;
use tn_ir::size::{Poly, Size, Symbol, SymbolId};
use tn_order::Tree;

/// `coefficient · p^power` for large p.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leading {
    /// The exponent.
    pub power: u32,
    /// The coefficient, other symbols at their values.
    pub coefficient: f64,
}

impl Leading {
    const ONE: Leading = Leading { power: 0, coefficient: 1.0 };
    const ZERO: Leading = Leading { power: 0, coefficient: 0.0 };
    fn times(self, o: Leading) -> Leading {
        Leading { power: self.power + o.power, coefficient: self.coefficient * o.coefficient }
    }
    fn plus(self, o: Leading) -> Leading {
        match (self.coefficient == 0.0, o.coefficient == 0.0) {
            (true, _) => o,
            (_, true) => self,
            _ if self.power == o.power => {
                Leading { power: self.power, coefficient: self.coefficient + o.coefficient }
            }
            _ if self.power > o.power => self,
            _ => o,
        }
    }
    fn larger(self, o: Leading) -> Leading {
        if (o.power, o.coefficient) > (self.power, self.coefficient) { o } else { self }
    }
    /// `O(chi^9)`, `O(1)`.
    pub fn big_o(self, param: &str) -> String {
        match self.power {
            0 => "O(1)".into(),
            1 => format!("O({param})"),
            n => format!("O({param}^{n})"),
        }
    }
    /// `12 chi^9`.
    pub fn term(self, param: &str) -> String {
        let c = self.coefficient;
        let c = if c.fract() == 0.0 && c.abs() < 1e15 { format!("{c:.0}") } else { format!("{c:.6e}") };
        match self.power {
            0 => c,
            1 => format!("{c} {param}"),
            n => format!("{c} {param}^{n}"),
        }
    }
}

/// The leading powers of a whole plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// Multiply-adds, all slices in full.
    pub macs: Leading,
    /// The largest result of a contraction, in elements.
    pub max_size: Leading,
}

/// The leading powers of the regions' trees in `param`.
pub fn scaling(
    regions: &[Region],
    trees: &[Tree],
    symbols: &Arena<SymbolId, Symbol>,
    param: SymbolId,
) -> Scaling {
    let mut total = Scaling { macs: Leading::ZERO, max_size: Leading::ZERO };
    for (region, tree) in regions.iter().zip(trees) {
        let sizes: Vec<Leading> = region.sizes.iter().map(|s| leading(s, symbols, param)).collect();
        let one = region_scaling(region, tree, &sizes);
        total.macs = total.macs.plus(one.macs);
        total.max_size = total.max_size.larger(one.max_size);
    }
    total
}

fn leading(size: &Size, symbols: &Arena<SymbolId, Symbol>, param: SymbolId) -> Leading {
    let power = size.poly.degree(param);
    let mut top = Poly::zero();
    for (monomial, c) in size.poly.terms() {
        let degree = monomial.iter().find(|(s, _)| *s == param).map_or(0, |&(_, e)| e);
        if degree == power {
            let rest = monomial.iter().filter(|(s, _)| *s != param);
            let term =
                rest.fold(Poly::constant(c), |p, &(s, e)| (0..e).fold(p, |p, _| &p * &Poly::symbol(s)));
            top = &top + &term;
        }
    }
    let coefficient = top.eval(|s| symbols.get(s).map_or(1, Symbol::value)) as f64;
    Leading { power, coefficient }
}

fn region_scaling(region: &Region, tree: &Tree, sizes: &[Leading]) -> Scaling {
    let sliced: BTreeSet<u32> = tree.sliced.iter().copied().collect();
    let slices = tree.sliced.iter().fold(Leading::ONE, |p, &i| p.times(sizes[i as usize]));
    // How many living tensors carry an index; the output carries its own once more.
    let mut count = vec![0u32; sizes.len()];
    for &i in &region.output {
        count[i as usize] += 1;
    }
    let mut live: Vec<BTreeSet<u32>> =
        region.inputs.iter().map(|t| t.indices.iter().copied().collect()).collect();
    live.iter().flatten().for_each(|&i| count[i as usize] += 1);
    // An index on one tensor alone is summed beforehand, free of charge.
    for legs in &mut live {
        legs.retain(|&i| count[i as usize] > 1);
    }
    let product = |legs: &mut dyn Iterator<Item = &u32>| {
        legs.filter(|i| !sliced.contains(i)).fold(Leading::ONE, |p, &i| p.times(sizes[i as usize]))
    };
    let (mut macs, mut max_size) = (Leading::ZERO, Leading::ZERO);
    for &(a, b) in &tree.ssa_path {
        let (ta, tb) = (std::mem::take(&mut live[a as usize]), std::mem::take(&mut live[b as usize]));
        let union: BTreeSet<u32> = ta.union(&tb).copied().collect();
        macs = macs.plus(product(&mut union.iter()));
        let mut kept = BTreeSet::new();
        for &i in &union {
            let both = ta.contains(&i) && tb.contains(&i);
            count[i as usize] -= u32::from(both);
            if count[i as usize] > 1 {
                kept.insert(i);
            }
        }
        max_size = max_size.larger(product(&mut kept.iter()));
        live.push(kept);
    }
    Scaling { macs: macs.times(slices), max_size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tn_ir::program::NodeId;
    use tn_ir::region::RegionInput;
    use tn_ir::size::SymbolKind;

    #[test]
    fn a_matrix_product_is_cubic() {
        let mut symbols = Arena::new();
        let chi = symbols.push(Symbol { name: "chi".into(), kind: SymbolKind::Param { value: 8 } });
        let big = Size { value: 16, poly: &Poly::symbol(chi) + &Poly::symbol(chi), dynamic: None };
        let input = |indices: Vec<u32>| RegionInput { value: NodeId(0), indices, conj: false };
        let region = Region {
            name: "c".into(),
            result: NodeId(1),
            inputs: vec![input(vec![0, 1]), input(vec![1, 2])],
            output: vec![0, 2],
            legs: vec![0, 2],
            sizes: vec![big.clone(), big, Size::fixed(5)],
            index_names: ["i", "j", "k"].map(String::from).to_vec(),
            scale: num_complex::Complex64::new(1.0, 0.0),
            cancelled: vec![],
        };
        let tree = Tree { ssa_path: vec![(0, 1)], sliced: vec![] };
        let s = scaling(std::slice::from_ref(&region), std::slice::from_ref(&tree), &symbols, chi);
        assert_eq!((s.macs.power, s.macs.coefficient), (2, 20.0));
        assert_eq!((s.max_size.power, s.max_size.coefficient), (1, 10.0));
        assert_eq!(s.macs.big_o("chi"), "O(chi^2)");
        assert_eq!(s.macs.term("chi"), "20 chi^2");
        let sliced = Tree { sliced: vec![1], ..tree };
        assert_eq!(scaling(&[region], &[sliced], &symbols, chi).macs, s.macs);
    }
}
