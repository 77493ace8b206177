//! Stores past the caches, for results so large that nothing of them would be found there again.
//!
//! A line of memory that a plain store touches is read first. Of a result that is only written, that is half of what moves.

/// Real numbers.
pub trait Real: Copy {}
impl Real for f32 {}
impl Real for f64 {}

/// Copies `from` to `to`, which are equally long, past the caches where the processor can and `to` begins at a multiple of 16 bytes. What is written so
/// is seen by other threads after [`settle`].
///
/// # Panics
/// If the lengths differ.
#[inline(always)]
pub fn stream<T: Real>(to: &mut [T], from: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
        const WIDTH: usize = size_of::<__m128i>();
        let bytes = size_of_val(to);
        let (begin, source) = (to.as_mut_ptr().cast::<__m128i>(), from.as_ptr().cast::<__m128i>());
        if to.len() == from.len() && bytes.is_multiple_of(WIDTH) && begin.is_aligned() {
            for i in 0..bytes / WIDTH {
                // SAFETY: both slices hold `bytes` bytes, of which these are the `i`-th 16; `begin` is aligned, the load need not be. Any bits are
                // numbers. SSE2 is part of x86-64.
                unsafe { _mm_stream_si128(begin.add(i), _mm_loadu_si128(source.add(i))) };
            }
            return;
        }
    }
    to.copy_from_slice(from);
}

/// Ends a kernel that has streamed: what comes after it in program order, on any thread, sees what was written.
#[inline(always)]
pub fn settle() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64.
    unsafe {
        core::arch::x86_64::_mm_sfence();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    fn agrees<T: Real + PartialEq + core::fmt::Debug>(number: fn(u16) -> T) {
        for (begin, len) in [(0, 16), (1, 16), (4, 64), (2, 6), (3, 5), (0, 0), (8, 1)] {
            let from: Vec<T> = (0..len as u16).map(number).collect();
            let mut to: Vec<T> = (0..100).map(|_| number(1000)).collect();
            stream(&mut to[begin..][..len], &from);
            settle();
            assert_eq!(to[begin..][..len], from);
            let outside = to[..begin].iter().chain(&to[begin + len..]);
            assert!(outside.into_iter().all(|x| *x == number(1000)), "{begin} {len}");
        }
    }

    #[test]
    fn it_is_a_copy_wherever_it_begins() {
        agrees::<f32>(f32::from);
        agrees::<f64>(f64::from);
    }
}
