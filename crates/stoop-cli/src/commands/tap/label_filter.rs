//! The selection of sockets, applied to what a file says of the ends of a connection. Pure, but for
//! finding the address of a well-known name.

use std::os::unix::ffi::OsStrExt;

use stoop::Address;
use stoop::internal::Place;
use stoop_tap::SocketKind;

use super::names::Label;
use crate::args::{Selection, SocketSelector};
use crate::failure::Failure;
use crate::sockets::NamePattern;

/// Flags, ready to be compared with labels.
#[derive(Debug)]
pub(super) struct LabelFilter<'f> {
    flags: &'f Selection,
    addresses: Vec<Address>,
    pids: Vec<u32>,
}

impl<'f> LabelFilter<'f> {
    /// Creates a filter. Refuses flags about what a file does not have.
    pub(super) fn new(flags: &'f Selection) -> Result<LabelFilter<'f>, Failure> {
        let (mut addresses, mut pids) = (Vec::new(), Vec::new());
        for which in &flags.which {
            match which {
                SocketSelector::Pid(pid) => pids.push(*pid),
                SocketSelector::Inode(_) => return Err(not_in_files("inode:N")),
                SocketSelector::At(endpoint) => match endpoint.target()?.0.place {
                    // A file may have either.
                    Place::Address(address) => addresses.extend([absolute(address.clone()), address]),
                    _ => return Err(not_in_files("what is no address")),
                },
            }
        }
        match () {
            () if !flags.user.is_empty() => Err(not_in_files("--user")),
            () if !flags.netns.is_empty() => Err(not_in_files("--netns")),
            () => Ok(LabelFilter { flags, addresses, pids }),
        }
    }

    /// Returns whether a connection between these ends is selected. Without a kind, it is a
    /// connect.
    pub(super) fn matches(&self, ends: &[Label; 2], kind: Option<SocketKind>) -> bool {
        let flags = self.flags;
        let named =
            |fits: &dyn Fn(&Address) -> bool| ends.iter().filter_map(|end| end.address.as_ref()).any(fits);
        let kind_fits = flags.kind.kind.is_none_or(|wanted| match kind {
            Some(kind) => kind_of(kind) == Some(wanted),
            None => wanted != stoop::Kind::Datagram,
        });
        let is_meant = flags.which.is_empty()
            || named(&|name| self.addresses.contains(name))
            || ends.iter().any(|end| has_pid(end, &self.pids));
        let service = |name: &Address| {
            let service = stoop_inspect::endpoints::recognise(name);
            flags.service.iter().any(|glob| {
                service.as_ref().is_some_and(|service| service.is_called(|name| glob.matches(name)))
            })
        };
        kind_fits
            && is_meant
            && (flags.name.is_empty()
                || named(&|name| flags.name.iter().any(|glob| glob.matches(bytes(name)))))
            && (flags.service.is_empty() || named(&service))
            && self.ends_fit(ends)
    }

    /// Returns whether one end matches the flags about processes, and the other matches `--peer`.
    fn ends_fit(&self, ends: &[Label; 2]) -> bool {
        let peers = &self.flags.peer;
        [(0, 1), (1, 0)].into_iter().any(|(one, other): (usize, usize)| {
            self.end_fits(&ends[one]) && (peers.is_empty() || is_one_of(&ends[other], peers))
        })
    }

    fn end_fits(&self, end: &Label) -> bool {
        let flags = self.flags;
        let command = end.process.as_ref().map(|(_, command)| &command[..]);
        let fits = |patterns: &[NamePattern], value: Option<&[u8]>| {
            patterns.is_empty() || value.is_some_and(|value| patterns.iter().any(|glob| glob.matches(value)))
        };
        // A container is written as `docker:0123456789ab`, a unit by its name.
        let workload = end.workload.as_deref();
        let container = workload.filter(|text| text.contains(':')).map(str::as_bytes);
        let id = workload.and_then(|text| text.split_once(':')).map(|(_, id)| id.as_bytes());
        let unit = workload.filter(|text| !text.contains(':')).map(str::as_bytes);
        (flags.pid.is_empty() || has_pid(end, &flags.pid))
            && fits(&flags.command, command)
            && (fits(&flags.container, id) || fits(&flags.container, container))
            && fits(&flags.unit, unit)
    }
}

fn has_pid(end: &Label, pids: &[u32]) -> bool {
    end.process.as_ref().is_some_and(|(pid, _)| pids.contains(pid))
}

fn is_one_of(end: &Label, peers: &[NamePattern]) -> bool {
    end.process.as_ref().is_some_and(|(pid, command)| {
        peers.iter().any(|peer| peer.matches(pid.to_string()) || peer.matches(command))
    })
}

fn not_in_files(what: &str) -> Failure {
    Failure::usage(
        format!("{what} cannot select from a file"),
        "a file has addresses, processes, containers and units, as they were when it was written",
    )
}

fn absolute(address: Address) -> Address {
    let path = address.as_pathname().and_then(|path| std::path::absolute(path).ok());
    path.and_then(|path| Address::path(path).ok()).unwrap_or(address)
}

fn bytes(name: &Address) -> Vec<u8> {
    match (name.as_pathname(), name.as_abstract_name()) {
        (Some(path), _) => path.as_os_str().as_bytes().to_vec(),
        (_, Some(name)) => [b"@", name].concat(),
        _ => Vec::new(),
    }
}

fn kind_of(kind: SocketKind) -> Option<stoop::Kind> {
    match kind {
        SocketKind::STREAM => Some(stoop::Kind::Stream),
        SocketKind::DATAGRAM => Some(stoop::Kind::Datagram),
        SocketKind::SEQPACKET => Some(stoop::Kind::SeqPacket),
        _ => None,
    }
}
