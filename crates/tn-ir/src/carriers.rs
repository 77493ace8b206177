//! Which indices of a region are still on which of its tensors while it is contracted.

use crate::dag_build::Labelled;

/// How many tensors carry each index of a region; an open index is carried once more.
pub(crate) struct Carriers {
    count: Vec<u32>,
    /// Of [`Carriers::meet`]: the number of each index there, [`NONE`] between two calls.
    number: Vec<u32>,
}

const NONE: u32 = u32::MAX;

/// Two tensors that are contracted, with labels counted from 0.
pub(crate) struct Meeting {
    pub a: Labelled,
    pub b: Labelled,
    /// The labels of the result.
    pub out: Vec<u32>,
    /// The same as indices of the region.
    pub indices: Vec<u32>,
}

impl Carriers {
    /// For a region of so many indices.
    pub fn new(indices: usize) -> Carriers {
        Carriers { count: vec![0; indices], number: vec![NONE; indices] }
    }

    /// Another tensor with these indices.
    pub fn add(&mut self, indices: &[u32]) {
        for (k, &i) in indices.iter().enumerate() {
            if !indices[..k].contains(&i) {
                self.count[i as usize] += 1;
            }
        }
    }

    /// Two tensors become one, in time linear in their axes. Its indices are those that others still carry: shared ones (batch) first, then
    /// a's, then b's, so that the step is a batched matrix product; or those of `last`, whose order is the result's. None if one of
    /// these is on neither.
    pub fn meet(&mut self, mut a: Labelled, mut b: Labelled, last: Option<&[u32]>) -> Option<Meeting> {
        let mut met: Vec<u32> = Vec::with_capacity(a.labels.len() + b.labels.len());
        // 1: on a, 2: on b, 3: on both
        let mut sides: Vec<u8> = Vec::with_capacity(met.capacity());
        for (bit, labels) in [(1, &mut a.labels), (2, &mut b.labels)] {
            for l in labels {
                let number = &mut self.number[*l as usize];
                if *number == NONE {
                    *number = met.len() as u32;
                    met.push(*l);
                    sides.push(0);
                }
                let side = &mut sides[*number as usize];
                if *side & bit == 0 {
                    *side |= bit;
                    self.count[*l as usize] -= 1;
                }
                *l = *number;
            }
        }
        let out: Vec<u32> = match last {
            Some(last) => last.iter().map(|&i| self.number[i as usize]).collect(),
            None => {
                let kept = |k: &u32| self.count[met[*k as usize] as usize] > 0;
                let all: Vec<u32> = (0..met.len() as u32).filter(kept).collect();
                let (all, sides) = (&all, &sides);
                let of = |side: u8| all.iter().copied().filter(move |&k| sides[k as usize] == side);
                of(3).chain(of(1)).chain(of(2)).collect()
            }
        };
        for &i in &met {
            self.number[i as usize] = NONE;
        }
        let indices = out.iter().map(|&k| met.get(k as usize).copied()).collect::<Option<Vec<u32>>>()?;
        for &i in &indices {
            self.count[i as usize] += 1;
        }
        Some(Meeting { a, b, out, indices })
    }
}
