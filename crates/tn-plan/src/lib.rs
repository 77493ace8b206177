//! L4: schedules, buffers and their verifier.

pub mod allocate;
pub mod cost;
pub mod interpret;
pub mod ir;
pub mod kernel;
pub mod regimes;
pub mod schedule;
pub mod serial;
pub mod timeline;
pub mod verify;

pub use schedule::{PlanMeta, SavePolicy, ScheduleOptions, plan};
pub use serial::{from_ron, to_ron};
pub use verify::{PlanError, VerifiedPlan, verify};
