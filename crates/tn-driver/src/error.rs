//! Everything that can go wrong on the road, by what the user can do about it.

use crate::bind::BindError;
use crate::data::{DataError, WriteError};
use crate::values::show_bytes;
use tn_dsl::diag::{Diagnostic, render_all};
use tn_dsl::source::SourceMap;

/// Why there is no result.
#[derive(Debug)]
pub enum Error {
    /// The source is wrong.
    Source(Box<SourceErrors>),
    /// Something else that was given is wrong: arrays, a plan file, an option's value for this network.
    Input(String),
    /// Several such faults, at least one.
    Inputs(Vec<String>),
    /// The command line is wrong.
    Usage(String),
    /// There is no plan within the limits.
    Infeasible(Box<Infeasible>),
    /// A file cannot be read or written.
    Io(String),
    /// A check of our own failed: a fault of this program.
    Internal(String),
    /// The input is wrong and the result says how (`tnc check --format json`).
    Reported,
}

/// Diagnostics and the texts that they point into.
#[derive(Debug, Default)]
pub struct SourceErrors {
    /// The texts.
    pub sources: SourceMap,
    /// What is wrong with them, warnings included.
    pub diagnostics: Vec<Diagnostic>,
}

/// No plan is within the limits: how near the search came, and what would help.
#[derive(Clone, Debug, PartialEq)]
pub struct Infeasible {
    /// The limit that failed.
    pub limit: Limit,
    /// The smallest figure found, in the unit of the limit; the largest number there is stands for more than that.
    pub smallest: u128,
    /// Tensors that are live at the worst moment of that plan, largest first, in bytes (elements for `--max-size`).
    pub tensors: Vec<(String, u128)>,
    /// What would help.
    pub help: Vec<String>,
}

/// A limit that was given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// `--memory`, bytes.
    Memory(u64),
    /// `--max-size`, elements.
    MaxSize(u64),
}

impl std::fmt::Display for Infeasible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.limit {
            Limit::Memory(limit) => write!(
                f,
                "no plan found within `{}` of memory, the smallest peak found is {}",
                show_bytes(limit as u128),
                bytes(self.smallest)
            )?,
            Limit::MaxSize(limit) => write!(
                f,
                "no plan found with results of at most `{limit}` elements, the smallest maximum found is {}",
                number(self.smallest)
            )?,
        }
        if !self.tensors.is_empty() {
            f.write_str("\n  live at that moment:")?;
            for (name, n) in &self.tensors {
                let size = match self.limit {
                    Limit::Memory(_) if *n == u128::MAX => bytes(*n),
                    Limit::Memory(_) => show_bytes(*n),
                    Limit::MaxSize(_) if *n == u128::MAX => format!("{} elements", number(*n)),
                    Limit::MaxSize(_) => format!("{n} elements"),
                };
                write!(f, "\n    {size:>12}  {name}")?;
            }
        }
        for help in &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// A number whose log2 is given, as [`Infeasible`] has it: beyond its range, the largest.
pub(crate) fn from_log2(log2: f64) -> u128 {
    if log2 < 127.0 { log2.max(0.0).exp2().round() as u128 } else { u128::MAX }
}

fn number(n: u128) -> String {
    if n == u128::MAX { "more than `2^127`".to_owned() } else { format!("`{n}`") }
}

fn bytes(n: u128) -> String {
    match n {
        u128::MAX => format!("{} bytes", number(n)),
        _ => format!("{} bytes ({})", number(n), show_bytes(n)),
    }
}

impl Error {
    /// The exit status of the command line: 1 wrong input, 2 usage, 3 no plan within the limits, 4 input or output.
    pub fn exit_status(&self) -> u8 {
        match self {
            Error::Source(_) | Error::Input(_) | Error::Inputs(_) | Error::Internal(_) | Error::Reported => 1,
            Error::Usage(_) => 2,
            Error::Infeasible(_) => 3,
            Error::Io(_) => 4,
        }
    }
    /// The text for people, with the source lines where there are any.
    pub fn render(&self, color: bool) -> String {
        let prefix = if color { "\x1b[1;31merror\x1b[0m: " } else { "error: " };
        match self {
            Error::Source(e) => render_all(&e.diagnostics, &e.sources, color),
            Error::Reported => String::new(),
            Error::Inputs(faults) => {
                faults.iter().map(|f| format!("{prefix}{f}")).collect::<Vec<_>>().join("\n")
            }
            other => format!("{prefix}{other}"),
        }
    }
    /// A failed check of our own.
    pub fn internal(stage: &str, why: impl std::fmt::Display) -> Error {
        Error::Internal(format!("internal: {stage}: {why}"))
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Source(e) => f.write_str(render_all(&e.diagnostics, &e.sources, false).trim_end()),
            Error::Input(s) | Error::Usage(s) | Error::Io(s) | Error::Internal(s) => f.write_str(s),
            Error::Inputs(faults) => f.write_str(&faults.join("\n")),
            Error::Infeasible(i) => i.fmt(f),
            Error::Reported => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<Vec<BindError>> for Error {
    fn from(faults: Vec<BindError>) -> Error {
        const SHOWN: usize = 20;
        let mut texts: Vec<String> = faults.iter().take(SHOWN).map(ToString::to_string).collect();
        if faults.len() > SHOWN {
            texts.push(format!("{} more faults of the arrays", faults.len() - SHOWN));
        }
        Error::Inputs(texts)
    }
}

impl From<WriteError> for Error {
    fn from(e: WriteError) -> Error {
        Error::Io(e.to_string())
    }
}

impl From<DataError> for Error {
    fn from(e: DataError) -> Error {
        match e {
            DataError::Read { .. } => Error::Io(e.to_string()),
            DataError::Kind { .. } | DataError::Nameless { .. } => Error::Usage(e.to_string()),
            DataError::Malformed { .. } => Error::Input(e.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_limit_says_how_near_it_came() {
        let e = Error::Infeasible(Box::new(Infeasible {
            limit: Limit::Memory(1 << 20),
            smallest: 3 << 20,
            tensors: vec![("t7".into(), 2 << 20)],
            help: vec!["allow more".into()],
        }));
        assert_eq!(e.exit_status(), 3);
        let text = e.render(false);
        for part in ["`1.00 MiB`", "`3145728` bytes", "2.00 MiB  t7", "help: allow more"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_figure_beyond_the_numbers_is_not_given_as_a_number() {
        assert_eq!([from_log2(-1.0), from_log2(10.0), from_log2(127.5)], [1, 1024, u128::MAX]);
        for limit in [Limit::Memory(8), Limit::MaxSize(8)] {
            let (smallest, tensors) = (from_log2(500.0), vec![("t".into(), from_log2(400.0))]);
            let e = Error::Infeasible(Box::new(Infeasible { limit, smallest, tensors, help: vec![] }));
            assert_eq!(e.render(false).matches("more than `2^127`").count(), 2, "{}", e.render(false));
        }
    }
}
