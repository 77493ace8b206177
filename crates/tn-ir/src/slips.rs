//! Slips: how tests ask whether a rule that is a little wrong would be found out.
//!
//! A rule names the places where it could go wrong (`slip("only the first two legs of a delta are equal")`). The name says what it then does. Outside the
//! tests of its crate that is the constant `false`; a test switches one slip on at a time, and wants it to be found out.

/// Declares `slip`, and `assert_sound` in tests, for one crate.
#[doc(hidden)]
#[macro_export]
macro_rules! slips {
    () => {
        /// Whether the rule goes wrong in this way.
        #[cfg(not(test))]
        pub(crate) const fn slip(_: &str) -> bool {
            false
        }
        #[cfg(test)]
        pub(crate) use in_tests::{assert_sound, slip};
        #[cfg(test)]
        mod in_tests {
            use std::cell::Cell;
            thread_local!(static ON: Cell<&'static str> = const { Cell::new("") });

            pub(crate) fn slip(name: &str) -> bool {
                ON.get() == name
            }

            /// `case(seed)` applies a rule to a random instance and says whether both sides agree; none where the rule does not apply. As it is, the
            /// rule applies often and both sides always agree; with each of the slips they differ somewhere.
            pub(crate) fn assert_sound(slips: &[&'static str], case: impl Fn(u64) -> Option<bool>) {
                for name in std::iter::once("").chain(slips.iter().copied()) {
                    ON.set(name);
                    let agree: Vec<bool> = (0..400).filter_map(&case).collect();
                    ON.set("");
                    let wrong = agree.iter().filter(|a| !**a).count();
                    assert!(agree.len() >= 20, "({name}) applies to {} instances", agree.len());
                    assert_eq!(wrong > 0, !name.is_empty(), "({name}) is wrong in {wrong} cases");
                }
            }
        }
    };
}
