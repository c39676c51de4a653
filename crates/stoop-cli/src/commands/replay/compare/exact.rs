//! Bytes and messages, compared one by one.

use std::collections::VecDeque;

use super::masked::{self, MASK};
use super::{Compare, Difference, END, NOTHING, SHOWN_BYTES, Verdict, excerpt};

/// How many bytes that were the same are kept, to be shown before a difference.
const CONTEXT_BYTES: usize = SHOWN_BYTES / 3;

/// The bytes of a stream.
#[derive(Debug, Default)]
pub(in super::super) struct Bytes {
    recorded: VecDeque<(u8, bool)>,
    came: VecDeque<u8>,
    /// The last that were the same.
    context: VecDeque<u8>,
    at: u64,
    ends: [bool; 2],
}

impl Compare for Bytes {
    fn recorded(&mut self, bytes: &[u8], is_masked: bool) {
        self.recorded.extend(bytes.iter().map(|byte| (*byte, is_masked && *byte == MASK)));
    }

    fn came(&mut self, bytes: &[u8]) {
        self.came.extend(bytes);
    }

    fn recorded_end(&mut self) {
        self.ends[0] = true;
    }

    fn came_end(&mut self) {
        self.ends[1] = true;
    }

    fn verdict(&mut self) -> Verdict {
        while let (Some(&(recorded, is_any)), Some(&came)) = (self.recorded.front(), self.came.front()) {
            if recorded != came && !is_any {
                return self.different(None);
            }
            self.recorded.pop_front();
            self.came.pop_front();
            self.context.push_back(came);
            if self.context.len() > CONTEXT_BYTES {
                self.context.pop_front();
            }
            self.at += 1;
        }
        match (self.recorded.is_empty(), self.came.is_empty(), self.ends) {
            (false, _, [_, true]) => self.different(Some(END)),
            (true, false, [true, _]) => self.different(None),
            (false, ..) | (true, true, [true, false]) => Verdict::Missing,
            _ => Verdict::Same,
        }
    }
}

impl Bytes {
    /// Shows what is next on both sides, or `now` in place of what came.
    fn different(&self, now: Option<&str>) -> Verdict {
        let shown = |rest: Vec<u8>| {
            let bytes: Vec<u8> = self.context.iter().copied().chain(rest).collect();
            excerpt(&bytes, self.context.len())
        };
        let recorded: Vec<u8> = self.recorded.iter().take(SHOWN_BYTES).map(|(byte, _)| *byte).collect();
        let recorded = if recorded.is_empty() { END.to_owned() } else { shown(recorded) };
        let now =
            now.map_or_else(|| shown(self.came.iter().take(SHOWN_BYTES).copied().collect()), str::to_owned);
        Verdict::Different(Difference::new(format!("byte {}", self.at), recorded, now))
    }
}

/// Messages, compared as wholes.
#[derive(Debug, Default)]
pub(in super::super) struct Messages {
    recorded: VecDeque<(Vec<u8>, bool)>,
    came: VecDeque<Vec<u8>>,
    count: u64,
    ends: [bool; 2],
}

impl Compare for Messages {
    fn recorded(&mut self, bytes: &[u8], is_masked: bool) {
        self.recorded.push_back((bytes.to_vec(), is_masked));
    }

    fn came(&mut self, bytes: &[u8]) {
        self.came.push_back(bytes.to_vec());
    }

    fn recorded_end(&mut self) {
        self.ends[0] = true;
    }

    fn came_end(&mut self) {
        self.ends[1] = true;
    }

    fn verdict(&mut self) -> Verdict {
        while let (Some((recorded, is_masked)), Some(came)) = (self.recorded.front(), self.came.front()) {
            self.count += 1;
            if let Some(at) = first_difference(recorded, came, *is_masked) {
                let place = format!("message {}, byte {at}", self.count);
                return Verdict::Different(Difference::new(place, excerpt(recorded, at), excerpt(came, at)));
            }
            self.recorded.pop_front();
            self.came.pop_front();
        }
        let place = format!("message {}", self.count + 1);
        match (self.recorded.front(), self.came.front(), self.ends) {
            (Some((recorded, _)), None, [_, true]) => {
                Verdict::Different(Difference::new(place, excerpt(recorded, 0), NOTHING))
            }
            (None, Some(came), [true, _]) => {
                Verdict::Different(Difference::new(place, END, excerpt(came, 0)))
            }
            (Some(_), ..) | (None, None, [true, false]) => Verdict::Missing,
            _ => Verdict::Same,
        }
    }
}

/// Returns the first place that differs.
pub(super) fn first_difference(recorded: &[u8], came: &[u8], is_masked: bool) -> Option<usize> {
    if is_masked && masked::matches(recorded, came) {
        return None;
    }
    let differs = |(one, other): (&u8, &u8)| one != other && !(is_masked && *one == MASK);
    let at = recorded.iter().zip(came).position(differs);
    at.or_else(|| (recorded.len() != came.len()).then(|| recorded.len().min(came.len())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(recorded: &[u8], came: &[u8], ends: [bool; 2]) -> Verdict {
        let mut compare = Bytes::default();
        compare.recorded(recorded, false);
        compare.came(came);
        if ends[0] {
            compare.recorded_end();
        }
        if ends[1] {
            compare.came_end();
        }
        compare.verdict()
    }

    #[test]
    fn the_first_difference_is_shown_with_what_is_around_it() {
        let long = [b'x'; 100];
        let (one, other) = ([&long[..], b"1yz"].concat(), [&long[..], b"2yz"].concat());
        let Verdict::Different(found) = bytes(&one, &other, [false; 2]) else { panic!("the same") };
        assert_eq!(found.place, "byte 100");
        assert_eq!(
            (&found.recorded[..], &found.now[..]),
            ("xxxxxxxxxxxxxxxxxxxx1yz", "xxxxxxxxxxxxxxxxxxxx2yz")
        );
    }

    #[test]
    fn ends_are_compared() {
        assert_eq!(bytes(b"a", b"a", [true, true]), Verdict::Same);
        assert_eq!(bytes(b"a", b"a", [true, false]), Verdict::Missing);
        assert_eq!(bytes(b"ab", b"a", [false, false]), Verdict::Missing);
        // It may be recorded later.
        assert_eq!(bytes(b"a", b"ab", [false, false]), Verdict::Same);
        for (recorded, came) in [(&b"ab"[..], &b"a"[..]), (b"a", b"ab")] {
            assert!(matches!(bytes(recorded, came, [true, true]), Verdict::Different(_)));
        }
    }

    #[test]
    fn masked_bytes_match_anything() {
        let mut compare = Bytes::default();
        compare.recorded(b"key: ***", true);
        compare.came(b"key: abc");
        assert_eq!(compare.verdict(), Verdict::Same);
        let mut compare = Messages::default();
        compare.recorded(b"*b", true);
        compare.came(b"ab");
        assert_eq!(compare.verdict(), Verdict::Same);
    }

    proptest! {
        /// The boundaries of pieces make no difference.
        #[test]
        fn pieces_are_compared_as_the_whole(
            recorded in proptest::collection::vec(0u8..3, 0..50),
            came in proptest::collection::vec(0u8..3, 0..50),
            piece in 1usize..7,
        ) {
            let whole = bytes(&recorded, &came, [true, true]);
            let mut compare = Bytes::default();
            let mut found = Verdict::Same;
            for index in 0..50 {
                let part = |bytes: &'_ [u8]| bytes.chunks(piece).nth(index).unwrap_or_default().to_vec();
                compare.recorded(&part(&recorded), false);
                compare.came(&part(&came));
                found = compare.verdict();
                if matches!(found, Verdict::Different(_)) { break }
            }
            if !matches!(found, Verdict::Different(_)) {
                compare.recorded_end();
                compare.came_end();
                found = compare.verdict();
            }
            let place = |verdict: &Verdict| match verdict {
                Verdict::Different(difference) => Some(difference.place.clone()),
                _ => None,
            };
            prop_assert_eq!(place(&found), place(&whole));
            prop_assert_eq!(place(&whole).is_none(), recorded == came);
        }
    }
}
