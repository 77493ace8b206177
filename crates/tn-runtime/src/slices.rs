// Lengths and parts of arrays, for any element type. Generated modules take the items that they call.

/// Splits `all` around the `len` elements from `at`: what comes before, those, what comes after.
#[allow(clippy::all)]
#[inline]
pub fn cut<T>(all: &mut [T], at: usize, len: usize) -> (&[T], &mut [T], &[T]) {
    let (before, rest) = all.split_at_mut(at);
    let (y, after) = rest.split_at_mut(len);
    (before, y, after)
}

/// The `len` elements from `at` of an array whose `gap` elements between `before` and `after` are borrowed elsewhere.
#[allow(clippy::all)]
#[inline]
pub fn part<'a, T>(before: &'a [T], after: &'a [T], gap: usize, at: usize, len: usize) -> &'a [T] {
    if at < before.len() { &before[at..][..len] } else { &after[at - before.len() - gap..][..len] }
}

/// Splits a family of slices around member `at`.
#[allow(clippy::all)]
#[inline]
pub fn cut_family<'a, 'b, T>(all: &'a mut [&'b mut [T]], at: usize) -> (&'a [&'b mut [T]], &'a mut [T], &'a [&'b mut [T]]) {
    let (before, rest) = all.split_at_mut(at);
    let (y, after) = rest.split_at_mut(1);
    (before, &mut *y[0], after)
}

/// Member `at` of a family whose one other member is borrowed elsewhere.
#[allow(clippy::all)]
#[inline]
pub fn of_family<'a, T>(before: &'a [&mut [T]], after: &'a [&mut [T]], at: usize) -> &'a [T] {
    if at < before.len() { &*before[at] } else { &*after[at - before.len() - 1] }
}

