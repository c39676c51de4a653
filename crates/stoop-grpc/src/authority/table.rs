//! HPACK's tables: the static names (RFC 7541, appendix A), and the dynamic table of a connection.

use std::collections::VecDeque;

/// The index of `:authority` in the static table.
pub(super) const AUTHORITY: u8 = 1;

/// What each entry counts for in addition to its bytes (RFC 7541, section 4.1).
pub(super) const ENTRY_OVERHEAD_BYTES: usize = 32;

/// The default size of the dynamic table (`SETTINGS_HEADER_TABLE_SIZE`).
pub(super) const TABLE_MAX_BYTES: usize = 4096;

/// The names of the static table, from index 1 on. Their values are needed only by readers: static
/// entries are passed on by index, and the server has the same table.
const NAMES: [&str; 61] = [
    ":authority",
    ":method",
    ":method",
    ":path",
    ":path",
    ":scheme",
    ":scheme",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "accept",
    "access-control-allow-origin",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
];

/// The number of entries in the static table.
pub(super) const STATIC: usize = NAMES.len();

/// Returns the name of a static entry.
pub(super) fn name(index: u8) -> &'static str {
    NAMES.get(usize::from(index).wrapping_sub(1)).copied().unwrap_or_default()
}

/// Returns the value of a static entry.
pub(super) fn value(index: u8) -> &'static str {
    match index {
        2 => "GET",
        3 => "POST",
        4 => "/",
        5 => "/index.html",
        6 => "http",
        7 => "https",
        8 => "200",
        9 => "204",
        10 => "206",
        11 => "304",
        12 => "400",
        13 => "404",
        14 => "500",
        16 => "gzip, deflate",
        _ => "",
    }
}

/// Returns the length of a static entry's name.
pub(super) fn name_bytes(index: u8) -> usize {
    NAMES.get(usize::from(index).wrapping_sub(1)).map_or(0, |name| name.len())
}

/// A name as stored in the dynamic table.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum StoredName {
    Static(u8),
    Text(Box<[u8]>),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: StoredName,
    pub(super) value: Box<[u8]>,
}

impl Entry {
    fn bytes(&self) -> usize {
        let name = match &self.name {
            StoredName::Static(index) => name_bytes(*index),
            StoredName::Text(text) => text.len(),
        };
        name + self.value.len() + ENTRY_OVERHEAD_BYTES
    }
}

/// The dynamic table of a connection, the newest entry first.
#[derive(Debug)]
pub(super) struct Dynamic {
    entries: VecDeque<Entry>,
    bytes: usize,
    max_bytes: usize,
}

impl Default for Dynamic {
    fn default() -> Dynamic {
        Dynamic { entries: VecDeque::new(), bytes: 0, max_bytes: TABLE_MAX_BYTES }
    }
}

impl Dynamic {
    /// Returns the entry at this index, from 0 on.
    pub(super) fn get(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// Inserts an entry after evicting old ones to make room. An entry that is larger than the
    /// table only empties it.
    pub(super) fn insert(&mut self, entry: Entry) {
        let bytes = entry.bytes();
        self.shrink_to(self.max_bytes.saturating_sub(bytes));
        if bytes <= self.max_bytes {
            self.bytes += bytes;
            self.entries.push_front(entry);
        }
    }

    /// Changes the size of the table. Returns `None` if it exceeds the size the client was
    /// allowed.
    pub(super) fn set_max_bytes(&mut self, max_bytes: usize) -> Option<()> {
        if max_bytes > TABLE_MAX_BYTES {
            return None;
        }
        self.max_bytes = max_bytes;
        self.shrink_to(max_bytes);
        Some(())
    }

    fn shrink_to(&mut self, bytes: usize) {
        while self.bytes > bytes {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.bytes -= oldest.bytes();
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
