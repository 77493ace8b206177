//! What the joint optimiser may do, in groups that can be switched off one by one: to measure each, and to find a fault.

use std::fmt;
use std::str::FromStr;
use tn_opt::rules::RULES;

/// Groups of rewrites; all are on by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Candidate trees of all searches meet, windows are solved again.
    pub plans: bool,
    /// Isometries cancel with their conjugates.
    pub structure: bool,
    /// Trees that share equal parts.
    pub sharing: bool,
    /// Products over sums, sums of products, maps of maps, scalar rewrites.
    pub sums: bool,
    /// Several schedules where one for all values of a run-time size costs too much.
    pub regimes: bool,
    /// What is made of constants alone is computed before run time.
    pub constants: bool,
    /// Under a memory limit values are made again instead of saved.
    pub recompute: bool,
    /// Single rules of the optimiser's table that are off, a bit each.
    pub single: u32,
}

/// Name, what it is about.
const GROUPS: [(&str, &str); 7] = [
    ("plans", "candidate trees meet in one graph, and windows of it are solved again"),
    ("structure", "isometries cancel with their conjugates"),
    ("sharing", "trees in which equal parts are made once"),
    ("sums", "products over sums, common factors, maps of maps"),
    ("constants", "what is made of constants alone is computed before run time"),
    ("recompute", "under a memory limit, values are made again for the gradient instead of saved"),
    ("regimes", "several schedules, each for a range of a `dyn` size"),
];

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            plans: true,
            structure: true,
            sharing: true,
            sums: true,
            constants: true,
            recompute: true,
            regimes: true,
            single: 0,
        }
    }
}

impl Rules {
    /// Nothing is rewritten.
    pub const NONE: Rules = Rules {
        plans: false,
        structure: false,
        sharing: false,
        sums: false,
        constants: false,
        recompute: false,
        regimes: false,
        single: 0,
    };

    /// The groups and what each is about, for help texts.
    pub fn groups() -> impl Iterator<Item = (&'static str, &'static str)> {
        GROUPS.into_iter()
    }

    fn flags(&mut self) -> [&mut bool; GROUPS.len()] {
        let Rules { plans, structure, sharing, sums, constants, recompute, regimes, single: _ } = self;
        [plans, structure, sharing, sums, constants, recompute, regimes]
    }
}

impl FromStr for Rules {
    type Err = String;
    /// All rules but the named groups and single rules, comma-separated; `all` names every group.
    fn from_str(text: &str) -> Result<Rules, String> {
        let mut rules = Rules::default();
        for name in text.split(',').map(str::trim).filter(|n| !n.is_empty()) {
            if name == "all" {
                rules = Rules::NONE;
                continue;
            }
            if let Some(k) = RULES.iter().position(|r| r.name == name) {
                rules.single |= 1 << k;
                continue;
            }
            let Some(k) = GROUPS.iter().position(|g| g.0 == name) else {
                let known: Vec<&str> =
                    GROUPS.iter().map(|g| g.0).chain(RULES.iter().map(|r| r.name)).collect();
                let near = tn_dsl::diag::did_you_mean(name, known.iter().copied());
                let help = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
                return Err(format!(
                    "no rule or group of rules is called `{name}`, there are `all`, `{}`{help}",
                    known.join("`, `")
                ));
            };
            *rules.flags()[k] = false;
        }
        Ok(rules)
    }
}

impl fmt::Display for Rules {
    /// The groups that are on; `regimes`, which changes no schedule, is shown where it is off or alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut copy = Rules { regimes: false, ..*self };
        let flags = copy.flags().map(|b| *b);
        let on: Vec<&str> = GROUPS.iter().zip(flags).filter(|(_, on)| *on).map(|(g, _)| g.0).collect();
        f.write_str(match (on.is_empty(), self.regimes) {
            (true, true) => "regimes",
            (true, false) => "none",
            (false, _) => "",
        })?;
        f.write_str(&on.join(","))?;
        if !on.is_empty() && !self.regimes {
            f.write_str(" -regimes")?;
        }
        let off = RULES.iter().enumerate().filter(|(k, _)| self.single & (1 << k) != 0);
        off.into_iter().try_for_each(|(_, r)| write!(f, " -{}", r.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_switched_off_by_name() {
        assert_eq!("".parse(), Ok(Rules::default()));
        assert_eq!("all".parse(), Ok(Rules::NONE));
        assert_eq!("sums, plans".parse(), Ok(Rules { sums: false, plans: false, ..Rules::default() }));
        assert_eq!("all".parse::<Rules>().map(|r| r.to_string()), Ok("none".to_owned()));
        assert_eq!(
            "sums".parse::<Rules>().map(|r| r.to_string()),
            Ok("plans,structure,sharing,constants,recompute".to_owned())
        );
        assert_eq!("regimes".parse::<Rules>().map(|r| r.regimes), Ok(false));
        let all = "plans,structure,sharing,sums,constants,recompute";
        let texts: Vec<String> =
            ["", "all", "regimes", all].iter().map(|t| t.parse::<Rules>().unwrap().to_string()).collect();
        assert_eq!(texts, [all, "none", &format!("{all} -regimes"), "regimes"]);
        let one: Rules = "factor".parse().unwrap();
        assert_eq!((one.sums, one.single.count_ones()), (true, 1));
        assert_eq!(one.to_string(), "plans,structure,sharing,sums,constants,recompute -factor");
        assert!("sum".parse::<Rules>().unwrap_err().contains("did you mean `sums`?"));
    }
}
