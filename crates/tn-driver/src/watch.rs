//! A window on a search: what it tells while it runs, and the flag that ends it.

use crate::report::show_seconds;
use crate::values::show_bytes;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tn_order::Minimize;

/// The best so far under the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// What is minimised.
    pub minimize: Minimize,
    /// log10 of seconds, multiply-adds, elements of the largest result, or bytes at the peak or moved. For one region, seconds and bytes are those
    /// of its tree, before it is scheduled.
    pub log10: f64,
}

impl fmt::Display for Figure {
    /// As in `10^13.12 multiply-adds`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = 10f64.powf(self.log10);
        match self.minimize {
            Minimize::Time if self.log10 < 6.0 => write!(f, "{}", show_seconds(value)),
            Minimize::Time => write!(f, "10^{:.2} s", self.log10),
            Minimize::Macs => write!(f, "10^{:.2} multiply-adds", self.log10),
            Minimize::Size => write!(f, "10^{:.2} elements", self.log10),
            Minimize::Peak | Minimize::Bytes if self.log10 < 24.0 => {
                write!(f, "{}", show_bytes(value as u128))
            }
            Minimize::Peak | Minimize::Bytes => write!(f, "10^{:.2} bytes", self.log10),
        }
    }
}

/// A moment of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seen<'a> {
    /// A region has a better order, or the search has come to it.
    Region {
        /// Its name.
        name: &'a str,
        /// Its place among the regions, from 1.
        place: usize,
        /// How many regions there are.
        of: usize,
        /// The best order within the limits; none if none was found yet. Under a memory limit, which is on the whole plan, always none.
        best: Option<Figure>,
    },
    /// Under a memory limit, a better plan fits.
    Plan(Figure),
}

/// Who is told of moments of a search.
pub type Tell = Arc<dyn Fn(&Seen<'_>) + Send + Sync>;

/// A window on the search, and the flag that ends it.
#[derive(Clone, Default)]
pub struct Watch {
    /// Once set, the search ends with the best plan so far, which then says that it is `time_limited`.
    pub stop: Arc<AtomicBool>,
    /// Called where something better was found, by one thread at a time.
    pub tell: Option<Tell>,
}

impl Watch {
    /// Whether the search was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("stop", &self.stop).field("tell", &self.tell.is_some()).finish()
    }
}

impl PartialEq for Watch {
    /// Whether both are the same window.
    fn eq(&self, other: &Watch) -> bool {
        Arc::ptr_eq(&self.stop, &other.stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_unit_of_the_objective() {
        let text = |minimize, log10| Figure { minimize, log10 }.to_string();
        assert_eq!(text(Minimize::Time, -2.0), "10.00 ms");
        assert_eq!(text(Minimize::Time, 300.0), "10^300.00 s");
        assert_eq!(text(Minimize::Macs, 13.117), "10^13.12 multiply-adds");
        assert_eq!(text(Minimize::Size, 8.1), "10^8.10 elements");
        assert_eq!(text(Minimize::Peak, 3.0), "1000 B");
        assert_eq!(text(Minimize::Bytes, 400.0), "10^400.00 bytes");
    }
}
