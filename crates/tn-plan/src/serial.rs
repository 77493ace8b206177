//! Plans as RON files.

use crate::ir::{PLAN_VERSION, Plan, REGIMES_VERSION};
use serde::Deserialize;

/// The plan as RON.
pub fn to_ron(plan: &Plan) -> Result<String, String> {
    // One line an element down to the steps of an entry; a step stays on its line.
    let config = ron::ser::PrettyConfig::new().depth_limit(4).indentor("  ");
    ron::ser::to_string_pretty(plan, config).map_err(|e| format!("the plan cannot be written: {e}"))
}

/// What is read before anything else.
#[derive(Deserialize)]
struct Header {
    version: u32,
}

/// Reads a plan; text that is no plan, or one of another version, is an error in one sentence. The plan is not verified: see
/// [`crate::verify::VerifiedPlan::load`].
pub fn from_ron(text: &str) -> Result<Plan, String> {
    let version = version_of(text)?;
    if !(PLAN_VERSION..=REGIMES_VERSION).contains(&version) {
        return Err(format!(
            "the plan has version {version}, this program reads versions {PLAN_VERSION} to {REGIMES_VERSION}\nhelp: make the plan again with `tnc plan -o`"
        ));
    }
    ron::from_str(text).map_err(|e| format!("not a plan: {e}"))
}

fn version_of(text: &str) -> Result<u32, String> {
    // The version stands first, so a plan of another version is told from text that is no plan without reading the rest.
    if let Ok(header) = ron::from_str::<Header>(text) {
        return Ok(header.version);
    }
    let rest = text.trim_start().strip_prefix('(').and_then(|t| t.trim_start().strip_prefix("version"));
    let digits: String = rest
        .and_then(|t| t.trim_start().strip_prefix(':'))
        .map(|t| t.trim_start().chars().take_while(char::is_ascii_digit).collect())
        .unwrap_or_default();
    digits.parse().map_err(|_| "not a plan: it does not begin with `(version: …`".to_string())
}
