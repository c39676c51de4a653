//! Items that the command and the tests share with this crate: the parts of a prediction. They are
//! not part of the public API, and change without notice.

pub use crate::asker::AskerRights;
pub use crate::endpoints::exchange::{Exchange, Fit};
pub use crate::endpoints::instances::instance;
pub use crate::endpoints::recognise::{by_answer, exchange, run_as};
#[cfg(feature = "definitions")]
pub use crate::endpoints::{
    add_services,
    definition::{Definition, DefinitionError, parse as parse_definition},
};
pub use crate::file_location::{
    FileLocation, FileLocator, FileSearch, NameTarget, OtherView, ViewDifference,
};
pub use crate::hindrance::{FrozenGroup, Hindrance, Tracer, hindrance};
pub use crate::probe::{Delivery, Probe, denial_of_probe, probe, probe_and_listen};
pub use crate::why::action::{Action, FileFlag, ModeClass, Permission, Program, Renewal, Site};
pub use crate::why::advise::relief;
pub use crate::why::answer::why;
pub use crate::why::cause::Cause;
pub use crate::why::gather::gather;
pub use crate::why::messages::{hindered, symbol};
pub use crate::why::verdict::{Stop, Verdict};
pub use crate::workload::is_users_own;

/// The facts about a call.
pub mod facts {
    pub use crate::why::facts::*;
}
