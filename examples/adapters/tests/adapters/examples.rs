//! The programs under `examples`, as modules: the tests call their parts.

#[path = "../../examples/axum.rs"]
pub mod axum;
#[path = "../../examples/codec.rs"]
pub mod codec;
#[path = "../../examples/futures_io.rs"]
pub mod futures_io;
#[path = "../../examples/hyper_util.rs"]
pub mod hyper_util;
#[path = "../../examples/mio.rs"]
pub mod mio;
#[path = "../../examples/polling.rs"]
pub mod polling;
#[path = "../../examples/rustls.rs"]
pub mod rustls;
#[path = "../../examples/smol.rs"]
pub mod smol;
#[path = "../../examples/tonic.rs"]
pub mod tonic;
#[path = "../../examples/tower.rs"]
pub mod tower;
#[path = "../../examples/websocket.rs"]
pub mod websocket;
