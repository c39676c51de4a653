//! Flags of other programs that do not exist here: why, and what does the same. Pure.

/// Flags, why they do not exist, and a command that does what they are for.
pub(crate) type Table = [(&'static [&'static str], &'static str, &'static str)];

/// Returns why a flag does not exist here, and a command that does what it is for.
pub(crate) fn find(table: &Table, flag: &str) -> Option<(&'static str, &'static str)> {
    let found = table.iter().find(|(flags, ..)| flags.contains(&flag));
    found.map(|(_, why, next)| (*why, *next))
}

/// Checks that no flag stands in a table twice.
#[cfg(test)]
pub(crate) fn are_answered_once(table: &Table) {
    let mut flags: Vec<_> = table.iter().flat_map(|(flags, ..)| *flags).collect();
    let count = flags.len();
    flags.sort();
    flags.dedup();
    assert_eq!(flags.len(), count);
    assert!(find(table, "--frob").is_none());
}
