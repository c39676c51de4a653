//! Formats parts of the details of a socket: its queue, its file, lists. Pure, except for the names
//! of users and groups.

use std::fmt::Write as _;

use stoop_inspect::{Queue, Socket};

use super::super::file::{FileFacts, Status};
use crate::names;
use crate::sockets::format::{self, plural};
use crate::time;

/// Says what a socket has not received. Of a datagram socket the kernel's table has only the size
/// of the first message ([K-LIMIT-2]).
///
/// [K-LIMIT-2]: stoop::kernel_facts#K-LIMIT-2
pub(super) fn unread(socket: &Socket) -> String {
    let bytes = |bytes: u32| plural(bytes as usize, "byte");
    let first = match socket.queue {
        Some(Queue::Bytes { unread, .. }) => unread,
        _ => 0,
    };
    match (socket.messages, socket.unread_bytes()) {
        (Some(messages), sum) if messages.count > 0 => {
            let count = plural(messages.count as usize, "message");
            let sum = sum.map_or("an unknown number of bytes".into(), bytes);
            format!("{count} of {sum} unread; first message: {}", bytes(first))
        }
        (Some(_), _) => "no message unread".into(),
        (None, Some(sum)) => format!("{} unread", bytes(sum)),
        (None, None) if first > 0 => {
            format!("first message: {}; how many there are is not visible", bytes(first))
        }
        (None, None) => "no unread message, or an empty one first".into(),
    }
}

/// Merges lines with the same text, in the order of their first occurrence.
pub(super) fn merged(lines: impl Iterator<Item = String>) -> Vec<(String, usize)> {
    let mut at = std::collections::HashMap::new();
    let mut merged: Vec<(String, usize)> = Vec::new();
    for line in lines {
        match at.get(&line) {
            Some(&place) => {
                let entry: &mut (String, usize) = &mut merged[place];
                entry.1 += 1;
            }
            None => {
                at.insert(line.clone(), merged.len());
                merged.push((line, 1));
            }
        }
    }
    merged
}

pub(super) fn descriptor_words(descriptors: &[u32]) -> String {
    let list: Vec<String> = descriptors.iter().take(8).map(u32::to_string).collect();
    let more = if descriptors.len() > list.len() { ", …" } else { "" };
    let word = if descriptors.len() == 1 { "descriptor" } else { "descriptors" };
    format!("{word} {}{more}", list.join(", "))
}

/// Formats `srw-rw---- root:docker, made 2026-01-02T03:04:05Z, device 0:25 inode 131`.
pub(super) fn status_line(file: &FileFacts) -> Option<String> {
    let bound = file.bound.map(format::file);
    let Some(Status { mode, uid, gid, has_acl, made, .. }) = &file.status else { return bound };
    let letters = ["---", "--x", "-w-", "-wx", "r--", "r-x", "rw-", "rwx"];
    let triple = |shift: u32| letters[(mode >> shift & 7) as usize];
    let acl = if *has_acl { "+" } else { "" };
    let (owner, group) = (names::shown_user(*uid), names::shown_group(*gid));
    let [owner, group] = [owner, group].map(|name| format::word(name.as_bytes()));
    let mut line = format!("s{}{}{}{acl} {owner}:{group}", triple(6), triple(3), triple(0));
    if let Some(made) = made {
        let _ = write!(line, ", created {}", time::utc(*made));
    }
    if let Some(bound) = bound {
        let _ = write!(line, ", {bound}");
    }
    Some(line)
}

pub(super) fn user(uid: u32) -> String {
    match names::shown_user(uid) {
        number if number == uid.to_string() => format!("user {number}"),
        unmapped if unmapped == names::UNMAPPED => format!("an {unmapped} user"),
        name => format::word(name.as_bytes()),
    }
}
