//! The programs under `examples`, as modules: the tests call their parts.

#[path = "../../examples/axum.rs"]
pub mod axum;
#[path = "../../examples/hyper_util.rs"]
pub mod hyper_util;
#[path = "../../examples/tonic.rs"]
pub mod tonic;
#[path = "../../examples/tower.rs"]
pub mod tower;
