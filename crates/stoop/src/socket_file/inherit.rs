//! The extended attributes of a socket file that decide who may connect: its access control list
//! and its security labels.

use std::mem::MaybeUninit;
use std::path::Path;

use rustix::fs::{XattrFlags, getxattr, removexattr, setxattr};
use rustix::io::Errno;

/// Their names. `user.` attributes do not exist on sockets.
const NAMES: [&str; 3] = ["system.posix_acl_access", "security.selinux", "security.SMACK64"];

/// Longer than any of them.
const VALUE_BYTES: usize = 65_536;

/// A name and its value.
pub(super) type Attribute = (&'static str, Vec<u8>);

/// Returns those that a file has.
pub(super) fn read(path: &Path) -> rustix::io::Result<Vec<Attribute>> {
    let mut found = Vec::new();
    for name in NAMES {
        found.extend(value(path, name)?.map(|value| (name, value)));
    }
    Ok(found)
}

/// Gives a file exactly these: sets those that differ, and removes an access control list that the
/// directory has given it.
pub(super) fn write(path: &Path, attributes: &[Attribute]) -> rustix::io::Result<()> {
    for name in NAMES {
        let wanted = attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        let there = value(path, name)?;
        match (wanted, &there) {
            (Some(wanted), _) if there.as_ref() == Some(wanted) => {}
            (Some(wanted), _) => setxattr(path, name, wanted, XattrFlags::empty())?,
            (None, Some(_)) if name == NAMES[0] => removexattr(path, name)?,
            (None, _) => {}
        }
    }
    Ok(())
}

/// Returns the value of an attribute, if the file has it and the file system knows it.
fn value(path: &Path, name: &str) -> rustix::io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![MaybeUninit::uninit(); VALUE_BYTES];
    match getxattr(path, name, &mut *buffer) {
        Ok((value, _)) => Ok(Some(value.to_vec())),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(None),
        Err(errno) => Err(errno),
    }
}
