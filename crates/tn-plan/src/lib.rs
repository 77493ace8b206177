//! L4: schedules, buffers and their verifier.

pub mod allocate;
pub mod cost;
pub mod interpret;
pub mod ir;
pub mod kernel;
pub mod regimes;
pub mod schedule;
pub mod serial;
mod slip {
    tn_ir::slips!();
}
pub mod timeline;
pub mod verify;

pub use schedule::{PlanMeta, SavePolicy, ScheduleOptions, plan};
pub use serial::{from_ron, to_ron};
pub use verify::{PlanError, VerifiedPlan, verify};

// what the tests beside the crate have in common names it so
#[cfg(test)]
extern crate self as tn_plan;
