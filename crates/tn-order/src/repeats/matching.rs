//! Disjoint occurrences of one kind of pair, as many as can be found in linear time.
//!
//! Whoever has one partner left is matched first (Karp and Sipser, Proc. FOCS 1981, 364): on paths, cycles and trees that is a largest
//! matching. One such walk is followed to its end before another begins, so that what stays alone on a path stays at one of its ends.

/// Tensors that a matching has numbered.
#[derive(Default)]
pub(crate) struct Matcher {
    /// The number of a tensor, and the call for which it holds.
    number: Vec<(u32, u32)>,
    round: u32,
}

impl Matcher {
    /// The positions of disjoint pairs, increasing. No pair outside the choice is disjoint from it. Pairs must differ.
    pub fn choose(&mut self, pairs: &[(u32, u32)], tensors: usize) -> Vec<u32> {
        self.round += 1;
        self.number.resize(tensors, (0, 0));
        let mut count = 0u32;
        let mut id = |t: u32| {
            let slot = &mut self.number[t as usize];
            if slot.1 != self.round {
                *slot = (count, self.round);
                count += 1;
            }
            slot.0
        };
        let ends: Vec<(u32, u32)> = pairs.iter().map(|&(a, b)| (id(a), id(b))).collect();
        let n = count as usize;
        // pairs by end
        let mut from = vec![0u32; n + 1];
        for &(a, b) in &ends {
            from[a as usize + 1] += 1;
            from[b as usize + 1] += 1;
        }
        let mut degree: Vec<u32> = from[1..].to_vec();
        for k in 0..n {
            from[k + 1] += from[k];
        }
        let mut at = from.clone();
        let mut list = vec![0u32; 2 * ends.len()];
        for (e, &(a, b)) in ends.iter().enumerate() {
            for x in [a, b] {
                list[at[x as usize] as usize] = e as u32;
                at[x as usize] += 1;
            }
        }
        let other = |e: u32, x: u32| {
            let (a, b) = ends[e as usize];
            if a == x { b } else { a }
        };
        let mut used = vec![false; n];
        let mut chosen = Vec::new();
        let mut alone: Vec<u32> = (0..n as u32).rev().filter(|&x| degree[x as usize] == 1).collect();
        let mut next = 0;
        loop {
            let x = match alone.pop() {
                Some(x) => x,
                None if next < n => {
                    next += 1;
                    next as u32 - 1
                }
                None => break,
            };
            if used[x as usize] {
                continue;
            }
            let around = |x: u32| &list[from[x as usize] as usize..from[x as usize + 1] as usize];
            let free = around(x).iter().copied().filter(|&e| !used[other(e, x) as usize]);
            let Some(e) = free.min_by_key(|&e| (degree[other(e, x) as usize], e)) else { continue };
            chosen.push(e);
            let y = other(e, x);
            used[x as usize] = true;
            used[y as usize] = true;
            for z in [x, y] {
                for &e in around(z) {
                    let w = other(e, z);
                    degree[w as usize] -= 1;
                    if !used[w as usize] && degree[w as usize] == 1 {
                        alone.push(w);
                    }
                }
            }
        }
        chosen.sort_unstable();
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(pairs: &[(u32, u32)]) -> usize {
        Matcher::default().choose(pairs, 100).len()
    }

    #[test]
    fn paths_cycles_and_stars() {
        let path: Vec<(u32, u32)> = (0..9).map(|k| (k, k + 1)).collect();
        assert_eq!(Matcher::default().choose(&path, 10), [0, 2, 4, 6, 8]);
        let shuffled: Vec<(u32, u32)> = [4, 2, 7, 0, 8, 1, 6, 3, 5].map(|k| (k, k + 1)).to_vec();
        assert_eq!(size(&shuffled), 5);
        let cycle: Vec<(u32, u32)> = (0..11).map(|k| (k, (k + 1) % 11)).collect();
        assert_eq!(size(&cycle), 5);
        assert_eq!(size(&[(0, 1), (0, 2), (0, 3)]), 1);
        assert_eq!(size(&[]), 0);
    }

    #[test]
    fn one_matcher_serves_many_calls() {
        let mut m = Matcher::default();
        assert_eq!(m.choose(&[(3, 4), (4, 5), (5, 6)], 7), [0, 2]);
        assert_eq!(m.choose(&[(6, 9)], 10), [0]);
    }
}
