//! Room for recursion, whatever thread the caller runs on.

use std::panic::resume_unwind;
use std::thread::{Builder, scope};

/// The stack of a thread that compiles. Deep expressions and long networks are walked recursively; pages that are not touched take no memory.
pub const STACK_BYTES: usize = 256 << 20;

/// Does `work` on a thread with a deep stack, or where there can be none, on the caller's.
///
/// # Panics
/// As `work` does.
pub(crate) fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let mut waiting = Some(work);
    let mut done = None;
    let run = || done = waiting.take().map(|work| work());
    scope(|s| {
        let thread = Builder::new().stack_size(STACK_BYTES).spawn_scoped(s, run);
        if let Ok(Err(panic)) = thread.map(|t| t.join()) {
            resume_unwind(panic);
        }
    });
    match (done, waiting) {
        (Some(value), _) => value,
        (None, Some(work)) => work(),
        (None, None) => unreachable!("work that was taken was done, or its panic went on"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a kilobyte or so of stack for each level.
    fn depth(n: u32) -> u32 {
        let own = std::hint::black_box([n; 256]);
        if n == 0 { own[0] } else { 1 + depth(n - 1) }
    }

    #[test]
    fn there_is_room_on_a_small_thread() {
        let thread = Builder::new().stack_size(64 << 10).spawn(|| deep(|| depth(20_000))).unwrap();
        assert_eq!(thread.join().unwrap(), 20_000);
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let caught = std::panic::catch_unwind(|| deep(|| -> u32 { std::panic::panic_any(7u8) }));
        assert_eq!(caught.unwrap_err().downcast_ref::<u8>(), Some(&7));
    }
}
