//! Pointers into buffers, and threads that share out results.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where a buffer, or a step's part of it, begins. Reads and writes are within the buffer because [`crate::prepare`] bounds every access.
#[derive(Debug)]
pub(crate) struct Pointer<T> {
    at: *mut T,
    of: PhantomData<T>,
}

impl<T> Clone for Pointer<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Pointer<T> {}

// SAFETY: threads of one step write to different elements, and no other step runs meanwhile.
unsafe impl<T: Send> Send for Pointer<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Pointer<T> {}

impl<T: Copy> Pointer<T> {
    /// The elements from `offset` on.
    pub fn part(all: &mut [T], offset: usize) -> Pointer<T> {
        let offset = offset.min(all.len());
        Pointer { at: all[offset..].as_mut_ptr(), of: PhantomData }
    }
    /// An array that is only read.
    pub fn read_only(all: &[T]) -> Pointer<T> {
        Pointer { at: all.as_ptr().cast_mut(), of: PhantomData }
    }
    /// `by` elements further.
    #[inline(always)]
    pub fn moved(self, by: i64) -> Pointer<T> {
        Pointer { at: self.at.wrapping_offset(by as isize), of: PhantomData }
    }
    /// Reads an element.
    ///
    /// # Safety
    /// The element is within the buffer.
    #[inline(always)]
    pub unsafe fn read(self, i: i64) -> T {
        // SAFETY: the caller's.
        unsafe { *self.at.wrapping_offset(i as isize) }
    }
    /// Writes an element.
    ///
    /// # Safety
    /// The element is within a buffer that may be written, and no other thread touches it.
    #[inline(always)]
    pub unsafe fn write(self, i: i64, value: T) {
        // SAFETY: the caller's.
        unsafe { *self.at.wrapping_offset(i as isize) = value }
    }
}

/// An axis of a flattened group: its length, and its stride in each of `N` operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span<const N: usize> {
    pub len: i64,
    pub strides: [i64; N],
}

/// Offsets of position `flat` of a group, the last axis fastest.
#[inline]
pub(crate) fn offsets<const N: usize>(spans: &[Span<N>], mut flat: i64) -> [i64; N] {
    let mut out = [0i64; N];
    for s in spans.iter().rev() {
        let i = if s.len == 1 { 0 } else { flat % s.len };
        flat /= s.len;
        for (o, stride) in out.iter_mut().zip(&s.strides) {
            *o += i * stride;
        }
    }
    out
}

/// The number of positions of a group.
pub(crate) fn count<const N: usize>(spans: &[Span<N>]) -> i64 {
    spans.iter().map(|s| s.len).product()
}

/// Joins neighbouring axes whose strides fit, so that walks have fewer of them.
pub(crate) fn coalesce<const N: usize>(spans: Vec<Span<N>>) -> Vec<Span<N>> {
    let mut out: Vec<Span<N>> = Vec::with_capacity(spans.len());
    for s in spans.into_iter().filter(|s| s.len != 1) {
        match out.last_mut() {
            Some(outer) if (0..N).all(|k| outer.strides[k] == s.strides[k] * s.len) => {
                outer.len *= s.len;
                outer.strides = s.strides;
            }
            _ => out.push(s),
        }
    }
    out
}

/// Runs `f(0) … f(tasks − 1)` on up to `threads` threads. Which thread runs a task is left to chance; results must not depend on it.
pub(crate) fn share(tasks: i64, threads: usize, f: impl Fn(i64) + Sync) {
    let threads = threads.min(tasks.max(1) as usize);
    if threads <= 1 {
        (0..tasks).for_each(f);
        return;
    }
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed) as i64;
            if task >= tasks {
                return;
            }
            f(task);
        }
    };
    std::thread::scope(|s| {
        for _ in 1..threads {
            s.spawn(work);
        }
        work();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_join_where_strides_fit() {
        let s = |len, a, b| Span { len, strides: [a, b] };
        assert_eq!(coalesce(vec![s(2, 12, 6), s(3, 4, 2), s(4, 1, 0)]), [s(6, 4, 2), s(4, 1, 0)]);
        assert_eq!(coalesce(vec![s(1, 5, 5), s(4, 1, 1)]), [s(4, 1, 1)]);
        assert_eq!(offsets(&[s(6, 4, 2), s(4, 1, 0)], 9), [9, 4]);
    }

    #[test]
    fn every_task_runs_once() {
        let ran: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
        share(100, 3, |t| {
            ran[t as usize].fetch_add(1, Ordering::Relaxed);
        });
        assert!(ran.iter().all(|r| r.load(Ordering::Relaxed) == 1));
    }
}
