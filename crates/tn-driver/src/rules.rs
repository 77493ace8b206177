//! What may be rewritten, group by group and rule by rule: each can be switched off, to measure it, and to find a fault.

use std::fmt;
use std::str::FromStr;
use tn_opt::rules::{Group, RULES};
use tn_opt::scalar::{SCALAR_RULES, ScalarRules};

/// Groups of rewrites; all are on by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Candidate trees of all searches meet, windows are solved again.
    pub plans: bool,
    /// Isometries cancel with their conjugates, copy tensors are never stored.
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
    /// Single rules that are off, a bit each, by their position among [`Rules::rows`].
    pub single: u64,
}

/// A row of the table of rules, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What `--without` calls it.
    pub name: &'static str,
    /// The group that it belongs to.
    pub group: &'static str,
    /// An equation: what it matches and what it makes.
    pub pattern: String,
    /// When it applies.
    pub condition: &'static str,
    /// Why it is there.
    pub why: &'static str,
}

/// Rules that are applied before there is a graph, or after: name, group, pattern, condition, why.
const FIXED: [[&str; 5]; 6] = [
    [
        "copies",
        "structure",
        "Σ_j δ[i, j] A[j] = A[i]",
        "δ is a constant `delta`, `identity` or `ones`",
        "a region is contracted over classes of equal indices, and no copy tensor is stored",
    ],
    [
        "isometry",
        "structure",
        "Σ_c conj(w[c, p]) w[c, q] = δ[p, q]",
        "w is declared an isometry onto all legs c, which nothing else carries; a unitary from either side",
        "an expectation value costs its causal cone only",
    ],
    [
        "share",
        "sharing",
        "A·B + A'·B' = C + C with C = A·B",
        "A' is A and B' is B, within a region or in several",
        "uniform states and repeated layers take as many contractions as they have levels",
    ],
    [
        "fold",
        "constants",
        "f(constants) = its value",
        "at most 4096 entries, and 2,000,000 multiply-adds in all, outside loops",
        "products of fixed tensors are made once, before run time",
    ],
    [
        "meet",
        "plans",
        "tree = another tree of the same leaves, part by part",
        "both parts have the same leaves below and the same open indices",
        "each part comes from the candidate of the search that makes it best",
    ],
    [
        "remake",
        "recompute",
        "saved value = f(saved values)",
        "under a memory limit, or where the peak is the objective",
        "a gradient fits where saving every value does not",
    ],
];

/// Name, what it is about.
const GROUPS: [(&str, &str); 7] = [
    ("plans", "candidate trees meet in one graph, and windows of it are solved again"),
    ("structure", "isometries cancel with their conjugates, copy tensors are never stored"),
    ("sharing", "trees in which equal parts are made once"),
    ("sums", "products over sums, common factors, maps of maps"),
    ("constants", "what is made of constants alone is computed before run time"),
    ("recompute", "under a memory limit, values are made again for the gradient instead of saved"),
    ("regimes", "several schedules, each for a range of a `dyn` size"),
];

/// The group of all rules of scalar functions.
const SCALAR_GROUP: &str = "sums";

fn group_name(group: Group) -> &'static str {
    match group {
        Group::Plans => "plans",
        Group::Sums => "sums",
        Group::Structure => "structure",
    }
}

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

    /// The table of rules: those of the regions and of the plan, those of the graph, and those of scalar functions.
    pub fn rows() -> impl Iterator<Item = Row> {
        let fixed = FIXED.into_iter().map(|[name, group, pattern, condition, why]| Row {
            name,
            group,
            pattern: pattern.to_owned(),
            condition,
            why,
        });
        let graph = RULES.iter().map(|r| Row {
            name: r.name,
            group: group_name(r.group),
            pattern: r.pattern.to_owned(),
            condition: r.condition,
            why: r.why,
        });
        let scalar = SCALAR_RULES.iter().map(|r| Row {
            name: r.name,
            group: SCALAR_GROUP,
            pattern: format!("{} = {}", infix(r.from), infix(r.to)),
            condition: "in a real map",
            why: r.why,
        });
        fixed.chain(graph).chain(scalar)
    }

    /// Name and group of every rule, in the order of [`Rules::rows`].
    fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
        let fixed = FIXED.into_iter().map(|[name, group, ..]| (name, group));
        let graph = RULES.iter().map(|r| (r.name, group_name(r.group)));
        fixed.chain(graph).chain(SCALAR_RULES.iter().map(|r| (r.name, SCALAR_GROUP)))
    }

    /// Whether a rule is on: it and its group.
    pub fn is_on(&self, name: &str) -> bool {
        let mut copy = *self;
        Rules::names().enumerate().find(|(_, r)| r.0 == name).is_some_and(|(k, r)| {
            let group = GROUPS.iter().position(|g| g.0 == r.1);
            group.is_some_and(|g| *copy.flags()[g]) && self.single & (1 << k) == 0
        })
    }

    /// The same without a group or a single rule; `all` names every group.
    ///
    /// # Errors
    /// A sentence: nothing is called so.
    pub fn without(mut self, name: &str) -> Result<Rules, String> {
        if name == "all" {
            return Ok(Rules::NONE);
        }
        if let Some(k) = Rules::names().position(|r| r.0 == name) {
            self.single |= 1 << k;
            return Ok(self);
        }
        let Some(k) = GROUPS.iter().position(|g| g.0 == name) else {
            let known: Vec<&str> = GROUPS.iter().map(|g| g.0).chain(Rules::names().map(|r| r.0)).collect();
            let near = tn_dsl::diag::did_you_mean(name, known.iter().copied());
            let help = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            return Err(format!(
                "no rule or group of rules is called `{name}`, there are `all`, `{}`{help}",
                known.join("`, `")
            ));
        };
        *self.flags()[k] = false;
        Ok(self)
    }

    /// The scalar rules that are on.
    pub(crate) fn scalar(&self) -> ScalarRules {
        let on = SCALAR_RULES.iter().enumerate().filter(|(_, r)| self.is_on(r.name));
        ScalarRules(on.fold(0, |bits, (k, _)| bits | 1 << k))
    }

    /// What is simplified on the way to regions.
    pub(crate) fn of_regions(&self) -> tn_ir::regions::RegionRules {
        tn_ir::regions::RegionRules { isometries: self.is_on("isometry"), copies: self.is_on("copies") }
    }

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
        let names = text.split(',').map(str::trim).filter(|n| !n.is_empty());
        names.into_iter().try_fold(Rules::default(), |rules, name| rules.without(name))
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
        let mut off = Rules::names().enumerate().filter(|(k, _)| self.single & (1 << k) != 0);
        off.try_for_each(|(_, r)| write!(f, " -{}", r.0))
    }
}

/// A pattern of a scalar rule as people write it: `(* ?a (+ ?b ?c))` is a·(b + c).
fn infix(pattern: &str) -> String {
    let spaced = pattern.replace('(', " ( ").replace(')', " ) ");
    infix_of(&mut spaced.split_whitespace())
}

fn infix_of<'a>(tokens: &mut impl Iterator<Item = &'a str>) -> String {
    match tokens.next() {
        Some("(") => {
            let head = tokens.next().unwrap_or_default();
            let mut args = vec![infix_of(tokens)];
            if matches!(head, "+" | "-" | "*" | "/") {
                args.push(infix_of(tokens));
            }
            tokens.next();
            match (head, args.as_slice()) {
                ("neg", [x]) => format!("-{x}"),
                ("*", [x, y]) => format!("{x}·{y}"),
                ("/", [x, y]) => format!("({x} / {y})"),
                (_, [x, y]) => format!("({x} {head} {y})"),
                _ => format!("{head}({})", args.concat()),
            }
        }
        word => word.unwrap_or_default().trim_start_matches('?').to_owned(),
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
        assert_eq!((one.sums, one.is_on("factor"), one.is_on("distribute")), (true, false, true));
        assert!(!"sums".parse::<Rules>().unwrap().is_on("distribute"));
        assert!("copies".parse::<Rules>().unwrap().is_on("isometry"));
        assert_eq!(one.to_string(), "plans,structure,sharing,sums,constants,recompute -factor");
        assert!("sum".parse::<Rules>().unwrap_err().contains("did you mean `sums`?"));
    }

    #[test]
    fn every_rule_has_a_name_and_a_row_of_its_own() {
        let names: Vec<&str> = Rules::rows().map(|r| r.name).chain(Rules::groups().map(|g| g.0)).collect();
        let different: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(different.len(), names.len());
        assert!(Rules::rows().count() <= 64);
        assert!(Rules::names().eq(Rules::rows().map(|r| (r.name, r.group))));
        assert!(Rules::rows().all(|r| !r.pattern.is_empty() && !r.condition.is_empty() && !r.why.is_empty()));
        assert!(Rules::rows().all(|r| r.name.parse::<Rules>().is_ok_and(|off| !off.is_on(r.name))));
        assert_eq!(infix("(- (* ?a ?b) (* ?a ?c))"), "(a·b - a·c)");
        assert_eq!(infix("(* ?a (/ 1 ?b))"), "a·(1 / b)");
        assert_eq!(infix("(log (exp ?a))"), "log(exp(a))");
    }
}
