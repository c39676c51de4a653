//! Shell patterns on bytes: `*` matches anything including `/`, `?` matches one byte, `[a-z]` and
//! `[!a-z]` match sets, and `\` escapes the next byte. Pure.

/// A pattern that must match a whole name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Any,
    One,
    Byte(u8),
    /// Whether it is negated, and the ranges.
    Set(bool, Vec<(u8, u8)>),
}

impl Glob {
    /// Parses a pattern. A pattern that cannot match anything is rejected, with the reason.
    pub(crate) fn new(pattern: impl AsRef<[u8]>) -> Result<Glob, &'static str> {
        let mut rest = pattern.as_ref();
        let mut pieces = Vec::new();
        while let [first, after @ ..] = rest {
            rest = after;
            pieces.push(match first {
                b'*' => Piece::Any,
                b'?' => Piece::One,
                b'[' => {
                    let (piece, after) = set(after)?;
                    rest = after;
                    piece
                }
                b'\\' => {
                    let (&next, after) = after.split_first().ok_or("a trailing \\ escapes nothing")?;
                    rest = after;
                    Piece::Byte(next)
                }
                byte => Piece::Byte(*byte),
            });
        }
        if pieces.is_empty() { Err("empty; use '*' to match anything") } else { Ok(Glob(pieces)) }
    }

    /// Parses a pattern for names that are truncated to `most` bytes: a longer literal pattern is
    /// truncated as well.
    pub(crate) fn of_names_cut_at(most: usize, pattern: impl AsRef<[u8]>) -> Result<Glob, &'static str> {
        let mut glob = Glob::new(pattern)?;
        if glob.is_literal() {
            glob.0.truncate(most);
        }
        let least = glob.0.iter().filter(|piece| **piece != Piece::Any).count();
        if least > most { Err("longer than any such name") } else { Ok(glob) }
    }

    /// Returns whether it matches only one name.
    pub(crate) fn is_literal(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Byte(_)))
    }

    /// Returns whether it matches all of `name`. The time is bounded by the product of the lengths.
    pub(crate) fn matches(&self, name: impl AsRef<[u8]>) -> bool {
        let (pieces, name) = (&self.0, name.as_ref());
        let (mut piece, mut at) = (0, 0);
        // The position of the last `*`, and of the first byte that it has not consumed. On a mismatch
        // only this `*` takes one byte more. Earlier ones need no backtracking: whatever they could
        // consume in addition, the last one can consume as well.
        let mut star = None;
        while at < name.len() {
            match pieces.get(piece) {
                Some(Piece::Any) => {
                    star = Some((piece, at));
                    piece += 1;
                }
                Some(one) if one.takes(name[at]) => (piece, at) = (piece + 1, at + 1),
                _ => match star {
                    Some((before, taken)) => {
                        star = Some((before, taken + 1));
                        (piece, at) = (before + 1, taken + 1);
                    }
                    None => return false,
                },
            }
        }
        pieces[piece..].iter().all(|piece| *piece == Piece::Any)
    }
}

impl Piece {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Piece::Any => false,
            Piece::One => true,
            Piece::Byte(own) => *own == byte,
            Piece::Set(negated, ranges) => {
                ranges.iter().any(|&(from, to)| (from..=to).contains(&byte)) != *negated
            }
        }
    }
}

/// Parses the set in brackets, and returns it with the text that follows. A `]` in the first place
/// is a member of the set.
fn set(text: &[u8]) -> Result<(Piece, &[u8]), &'static str> {
    const OPEN: &str = "unclosed '['; write \\[ to match the character itself";
    let (negated, text) = match text {
        [b'!' | b'^', rest @ ..] => (true, rest),
        text => (false, text),
    };
    let end = 1 + text.iter().skip(1).position(|&byte| byte == b']').ok_or(OPEN)?;
    let mut ranges = Vec::new();
    let mut inside = &text[..end];
    while let [first, rest @ ..] = inside {
        inside = rest;
        ranges.push(match rest {
            [b'-', to, ..] if to < first => return Err("a range ends before it starts"),
            [b'-', to, after @ ..] => {
                inside = after;
                (*first, *to)
            }
            _ => (*first, *first),
        });
    }
    Ok((Piece::Set(negated, ranges), &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        let table: [(&str, &[&str], &[&str]); 8] = [
            ("abc", &["abc"], &["ab", "abcd", "ABC"]),
            ("/run/*", &["/run/", "/run/a/b"], &["/run", "run/a"]),
            ("*.sock", &[".sock", "/a.sock", "a.sock.sock"], &["a.sock2"]),
            ("a?c", &["abc", "a?c"], &["ac", "abbc"]),
            ("[a-c]x[!0-9]", &["axb", "cx-"], &["dxb", "ax5"]),
            (r"[]]*\[", &["]a["], &["a["]),
            (r"a\*", &["a*"], &["ab", "a"]),
            ("*a*b*c*", &["abc", "xaxbxcx"], &["acb"]),
        ];
        for (pattern, yes, no) in table {
            for name in yes {
                assert!(Glob::new(pattern).unwrap().matches(name), "{pattern} {name}");
            }
            for name in no {
                assert!(!Glob::new(pattern).unwrap().matches(name), "{pattern} {name}");
            }
        }
        assert!(Glob::new([b'*', 0xff]).unwrap().matches([b'\n', 0, 0xff]), "any bytes");
    }

    #[test]
    fn matching_is_not_exponential() {
        let name = "a".repeat(4000);
        let pattern = "a*".repeat(40) + "b";
        assert!(!Glob::new(pattern).unwrap().matches(name));
    }

    #[test]
    fn patterns_that_cannot_match_are_rejected() {
        for wrong in ["", "[", "[]", "[!]", "a[b", "[a-", r"a\", "[z-a]"] {
            assert!(Glob::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn truncated_names_match_long_patterns() {
        let cut = |pattern: &str| Glob::of_names_cut_at(15, pattern);
        assert!(cut("systemd-journald").unwrap().matches("systemd-journal"));
        assert!(cut("*systemd-journal").unwrap().matches("systemd-journal"));
        assert!(cut("systemd-journald*").is_err() && cut("a-very-long-name?").is_err());
    }
}
