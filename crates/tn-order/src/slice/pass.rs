//! The rough choice of slices: one pass along the tree, in time linear in it.

use super::slicer::Slicer;
use crate::model::Stepper;

/// From the leaves to the root: where a result is larger than `most` (log2), those of its legs are sliced that live on for the longest; with
/// `inputs`, the same where an input is.
pub(super) fn in_one_pass(s: &Slicer<'_>, from: &[u32], most: f64, inputs: bool) -> Vec<u32> {
    let model = s.model;
    let mut sliced = from.to_vec();
    let mut is_sliced = vec![false; model.lg.len()];
    for &i in from {
        is_sliced[i as usize] = true;
    }
    let keep = |i: u32| s.limits.keep.get(i as usize).copied().unwrap_or(false);
    let mut shrink = |legs: &mut Vec<u32>, is_sliced: &mut Vec<bool>| {
        let mut size = model.log_size(legs);
        if size <= most + 1e-9 {
            return;
        }
        let mut by_end: Vec<u32> = legs.iter().copied().filter(|&i| !keep(i)).collect();
        by_end.sort_unstable_by_key(|&i| (std::cmp::Reverse(s.top[i as usize]), i));
        for i in by_end {
            if size <= most + 1e-9 {
                break;
            }
            size -= model.lg[i as usize];
            is_sliced[i as usize] = true;
            sliced.push(i);
        }
        legs.retain(|&i| !is_sliced[i as usize]);
    };
    let mut legs: Vec<Vec<u32>> = Vec::with_capacity(model.n() + s.path.len());
    for t in &model.legs {
        let mut t = t.clone();
        if inputs {
            t.retain(|&i| !is_sliced[i as usize]);
            shrink(&mut t, &mut is_sliced);
        }
        legs.push(t);
    }
    let mut stepper = Stepper::new(model);
    for &(a, b) in s.path {
        let (mut a, mut b) = (std::mem::take(&mut legs[a as usize]), std::mem::take(&mut legs[b as usize]));
        a.retain(|&i| !is_sliced[i as usize]);
        b.retain(|&i| !is_sliced[i as usize]);
        let mut out = Vec::new();
        stepper.contract(&a, &b, &mut out, |_, _| {});
        shrink(&mut out, &mut is_sliced);
        legs.push(out);
    }
    sliced
}
