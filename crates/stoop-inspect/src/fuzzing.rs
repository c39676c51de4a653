//! Entry points for the fuzzer. Text that any process on the machine may have written must be
//! parsed without a panic, and the result must keep its invariants. Not part of the public API.

use crate::endpoints::{self, Environment, Name};
use crate::join::{ByInode, join};
use crate::model::{NamespaceIno, Socket, SocketId};
use crate::{proc_net_unix, process, procfs, table, why};
use stoop::Kind;

/// Parses every text of `/proc` that this crate reads, and the attributes of files.
pub fn proc_text(data: &[u8]) {
    let lines = data.split(|&byte| byte == b'\n').count();
    assert!(proc_net_unix::read(data).count() <= lines);
    assert!(stoop::internal::mountinfo::parse(data).count() <= lines);
    if let Some(stat) = process::stat(data) {
        assert!(stat.command.len() < data.len());
    }
    assert!(process::arguments(data).len() <= data.len() + 1);
    let _ = (procfs::referent(data), procfs::scm_fds(data), procfs::namespace_link(data));
    why::gather::read_anything(data);
}

/// Joins socket tables from the kernel, or from something that imitates it. Sockets must be joined
/// from both sides, and every id must be valid.
pub fn tables(data: &[u8]) {
    let rows = stoop::diag::decode(data).into_iter().map(|entry| table::row(entry, NamespaceIno(1)));
    let (mut sockets, links): (Vec<Socket>, Vec<_>) = rows.unzip();
    let by_inode = ByInode::of(&sockets);
    join(&mut sockets, &links, &by_inode);
    let at = |id: SocketId| &sockets[id.index()];
    for (index, socket) in sockets.iter().enumerate() {
        let id = SocketId::new(index);
        if let Some(peer) = socket.peer {
            assert!(socket.kind == Some(Kind::Datagram) || at(peer).peer == Some(id));
        }
        assert!(socket.waiting.iter().all(|&client| at(client).waits_for == Some(id)));
        assert!(socket.waits_for.is_none_or(|listener| at(listener).waiting.contains(&id)));
        assert!(socket.listener.is_none() || socket.namesake.is_none());
    }
}

/// Looks up every well-known endpoint in an environment, a Docker context and a crictl
/// configuration with this content.
pub fn endpoints(host: &str, context: &str, yaml: &str) {
    let variable = |_: &str| (!host.is_empty()).then(|| host.to_owned());
    let nothing = Environment::default();
    let named = |word: &str| -> Name { word.parse().expect("a known name") };
    let places = [
        (named("podman"), Environment { variable: Some(&variable), ..nothing }),
        (named("docker"), Environment { docker_context: Some((context, host)), ..nothing }),
        (named("cri"), Environment { crictl_config: Some((context, yaml)), ..nothing }),
    ];
    let is_shown_safely = |text: String| assert!(!text.chars().any(char::is_control), "{text:?}");
    for (name, around) in places {
        match endpoints::find(name, &around) {
            Ok(candidates) => {
                assert!(!candidates.is_empty());
                for candidate in candidates {
                    is_shown_safely(format!("{} {}", candidate.address, candidate.source));
                    let _ = endpoints::recognise(&candidate.address);
                }
            }
            Err(elsewhere) => is_shown_safely(elsewhere.to_string()),
        }
    }
}

/// Compares bytes with the answers of every known service, and parses them as a file of services.
pub fn services(bytes: &[u8]) {
    if let Some(service) = endpoints::recognise::by_answer(bytes) {
        let exchange = endpoints::recognise::exchange(service).expect("it was recognised by an answer");
        assert_eq!(exchange.fit(bytes), endpoints::exchange::Fit::Yes);
    }
    #[cfg(feature = "definitions")]
    let _ = std::str::from_utf8(bytes).map(endpoints::definition::parse);
}
