//! What happens to the next bytes, or to the next message. Pure: bytes, time and a seed in, a plan
//! out.

use std::time::Duration;

use super::parse::Faults;

/// A stream has a chance of a fault at the first of so many bytes.
const BLOCK_BYTES: u64 = 1024;

/// With a rate, bytes pass in pieces, of which there are about so many a second.
const PIECES_PER_SECOND: u64 = 50;

/// What the draws are for. They do not depend on each other.
#[derive(Clone, Copy)]
enum Draw {
    Corrupt = 1,
    Place,
    Change,
    Drop,
    Duplicate,
    Reset,
    Jitter,
    Refuse,
}

/// Whether more may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// So many bytes, or one message.
    Open(usize),
    /// The connection is to be reset at the next byte.
    Reset,
    /// Nothing more.
    Stall,
}

/// What happens to the next bytes, or to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    /// How many bytes this is about.
    pub(crate) len: usize,
    /// How often they arrive: 0, 1 or 2 times.
    pub(crate) copies: u8,
    /// When they arrive.
    pub(crate) due: Duration,
    /// Which byte is changed, and by what, with an exclusive or.
    pub(crate) corrupt: Option<(usize, u8)>,
}

/// Plans the faults of one direction of a connection. Times are from any one start on.
#[derive(Clone, Debug)]
pub(crate) struct Planner {
    faults: Faults,
    seed: u64,
    is_stream: bool,
    /// How many bytes or messages have come.
    at: u64,
    /// When the limited rate lets the next byte begin.
    free: Duration,
    last_due: Duration,
}

impl Planner {
    /// Creates the plan of one direction. The `seed` is its own: [`seed_of`].
    pub(crate) fn new(faults: Faults, seed: u64, is_stream: bool) -> Planner {
        Planner { faults, seed, is_stream, at: 0, free: Duration::ZERO, last_due: Duration::ZERO }
    }

    /// Continues with other faults.
    pub(crate) fn change(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Returns whether, and how far, more may be read.
    pub(crate) fn gate(&self) -> Gate {
        let Faults { reset_after, stall_after, reset, .. } = self.faults;
        let is_over = |limit: Option<u64>| limit.is_some_and(|limit| self.at >= limit);
        if is_over(reset_after) || self.place().is_some_and(|index| self.happens(Draw::Reset, index, reset)) {
            return Gate::Reset;
        }
        if is_over(stall_after) {
            return Gate::Stall;
        }
        if !self.is_stream {
            return Gate::Open(usize::MAX);
        }
        let block = (reset > 0.0).then(|| BLOCK_BYTES - self.at % BLOCK_BYTES);
        let ends = [reset_after, stall_after].map(|limit| limit.map(|limit| limit - self.at));
        let room = ends.into_iter().chain([block]).flatten().min();
        Gate::Open(room.map_or(usize::MAX, |room| usize::try_from(room).unwrap_or(usize::MAX)))
    }

    /// Plans the first of `len` bytes that have come, or the message of so many. Call it again for
    /// what is left.
    pub(crate) fn pass(&mut self, len: usize, now: Duration) -> Pass {
        let place = self.place();
        let len = if self.is_stream { self.piece(len) } else { len };
        let corrupt = place
            .filter(|index| len > 0 && self.happens(Draw::Corrupt, *index, self.faults.corrupt))
            .map(|index| self.change_at(index, len));
        let copies = match (self.is_stream, self.at) {
            _ if self.faults.is_half_open => 0,
            (false, index) if self.happens(Draw::Drop, index, self.faults.drop) => 0,
            (false, index) if self.happens(Draw::Duplicate, index, self.faults.duplicate) => 2,
            _ => 1,
        };
        let due = self.due(len, now);
        self.at = self.at.saturating_add(if self.is_stream { len as u64 } else { 1 });
        Pass { len, copies, due, corrupt }
    }

    /// Returns the number of the place at which a chance is drawn now: that of a message, or of a
    /// block that begins here.
    fn place(&self) -> Option<u64> {
        match self.is_stream {
            true => self.at.is_multiple_of(BLOCK_BYTES).then_some(self.at / BLOCK_BYTES),
            false => Some(self.at),
        }
    }

    /// Returns how many bytes of a stream meet the same fate.
    fn piece(&self, len: usize) -> usize {
        let in_blocks = self.faults.corrupt > 0.0 || !self.faults.jitter.is_zero();
        let block = in_blocks.then(|| BLOCK_BYTES - self.at % BLOCK_BYTES);
        let rated = self.faults.rate.map(|rate| (rate / PIECES_PER_SECOND).max(1));
        let most = [block, rated].into_iter().flatten().min();
        most.map_or(len, |most| usize::try_from(most).unwrap_or(usize::MAX).min(len))
    }

    fn due(&mut self, len: usize, now: Duration) -> Duration {
        let start = self.free.max(now);
        let taken = self.faults.rate.map_or(Duration::ZERO, |rate| {
            Duration::try_from_secs_f64(len as f64 / rate as f64).unwrap_or(Duration::MAX)
        });
        self.free = start.saturating_add(taken);
        let index = if self.is_stream { self.at / BLOCK_BYTES } else { self.at };
        // From -1 to 1.
        let part = self.fraction(Draw::Jitter, index) * 2.0 - 1.0;
        let shift = self.faults.jitter.mul_f64(part.abs());
        let delay = match part < 0.0 {
            true => self.faults.delay.saturating_sub(shift),
            false => self.faults.delay.saturating_add(shift),
        };
        // Nothing overtakes what came before.
        self.last_due = self.last_due.max(self.free.saturating_add(delay));
        self.last_due
    }

    /// In a stream the first byte of the block is changed, so that it does not matter where reads
    /// end.
    fn change_at(&self, index: u64, len: usize) -> (usize, u8) {
        let at = if self.is_stream { 0 } else { (self.draw(Draw::Place, index) % len as u64) as usize };
        (at, (self.draw(Draw::Change, index) % 255) as u8 + 1)
    }

    fn happens(&self, what: Draw, index: u64, chance: f64) -> bool {
        chance > 0.0 && self.fraction(what, index) < chance
    }

    /// Returns a number from 0 to below 1.
    fn fraction(&self, what: Draw, index: u64) -> f64 {
        (self.draw(what, index) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn draw(&self, what: Draw, index: u64) -> u64 {
        mix(mix(self.seed ^ what as u64) ^ index)
    }
}

/// Returns the seed of one direction of a connection.
pub(crate) fn seed_of(seed: u64, connection: u64, direction: u64) -> u64 {
    mix(mix(seed) ^ connection.wrapping_mul(2).wrapping_add(direction))
}

/// Returns whether the client with this number is refused.
pub(crate) fn refuses(faults: &Faults, seed: u64, connection: u64) -> bool {
    let planner = Planner::new(Faults::default(), seed, false);
    planner.happens(Draw::Refuse, connection, faults.refuse)
}

/// The finalizer of SplitMix64: each bit of the result depends on each bit of the number. It is
/// spelled out because what a seed means must stay the same with every version.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn planner(text: &str, seed: u64, is_stream: bool) -> Planner {
        Planner::new(text.parse().unwrap(), seed, is_stream)
    }

    /// Sends the bytes in reads of these lengths. Returns what arrives until a reset, and when each
    /// pass is due.
    fn carry(mut planner: Planner, bytes: &[u8], reads: &[usize]) -> (Vec<u8>, Vec<(Duration, usize)>, bool) {
        let (mut out, mut passes, mut at, mut now) = (Vec::new(), Vec::new(), 0, Duration::ZERO);
        for read in reads.iter().cycle() {
            let room = match planner.gate() {
                Gate::Open(room) => room,
                Gate::Reset => return (out, passes, true),
                Gate::Stall => return (out, passes, false),
            };
            let end = (at + room.min(*read)).min(bytes.len());
            while at < end {
                let pass = planner.pass(end - at, now);
                let mut piece = bytes[at..at + pass.len].to_vec();
                if let Some((place, change)) = pass.corrupt {
                    piece[place] ^= change;
                }
                (0..pass.copies).for_each(|_| out.extend_from_slice(&piece));
                passes.push((pass.due, pass.len));
                at += pass.len;
            }
            now += MILLI;
            if at == bytes.len() {
                break;
            }
        }
        (out, passes, false)
    }

    proptest! {
        #[test]
        fn the_same_seed_makes_the_same_faults_wherever_reads_end(
            seed: u64,
            len in 0usize..20_000,
            reads in proptest::collection::vec(1usize..5000, 1..6),
            others in proptest::collection::vec(1usize..5000, 1..6),
        ) {
            let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let text = "corrupt=20%,reset=3%";
            let (one, _, reset) = carry(planner(text, seed, true), &bytes, &reads);
            let (other, _, other_reset) = carry(planner(text, seed, true), &bytes, &others);
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(reset, other_reset);
            prop_assert!(reset || one.len() == len);
        }

        #[test]
        fn nothing_overtakes_and_the_rate_is_kept(
            seed: u64,
            len in 1usize..50_000,
            rate in 1000u64..1_000_000,
            reads in proptest::collection::vec(1usize..9000, 1..6),
        ) {
            let bytes = vec![0; len];
            let text = format!("delay=5ms±3ms,rate={rate}");
            let (out, passes, _) = carry(planner(&text, seed, true), &bytes, &reads);
            prop_assert_eq!(out.len(), len);
            prop_assert!(passes.is_sorted_by_key(|(due, _)| *due));
            let mut sum = 0;
            for (due, len) in passes {
                sum += len;
                let least = Duration::from_secs_f64(sum as f64 / rate as f64) + 2 * MILLI;
                prop_assert!(due + Duration::from_micros(1) >= least, "{due:?} {least:?}");
            }
        }

        #[test]
        fn limits_are_kept_to_the_byte(seed: u64, len in 0usize..9000, at in 0usize..9000, reads in proptest::collection::vec(1usize..5000, 1..6)) {
            let bytes = vec![7; len];
            for (name, is_reset) in [("reset-after", true), ("stall-after", false)] {
                let (out, _, reset) = carry(planner(&format!("{name}={at}"), seed, true), &bytes, &reads);
                prop_assert_eq!(out.len(), len.min(at));
                prop_assert_eq!(reset, is_reset && at < len);
            }
        }

        #[test]
        fn without_faults_everything_passes_at_once(seed: u64, len in 0usize..9000, is_stream: bool) {
            let mut planner = planner("", seed, is_stream);
            prop_assert_eq!(planner.gate(), Gate::Open(usize::MAX));
            prop_assert_eq!(planner.pass(len, MILLI), Pass { len, copies: 1, due: MILLI, corrupt: None });
        }

        #[test]
        fn chances_are_met(seed: u64) {
            let mut planner = planner("drop=25%,dup=50%,corrupt=10%", seed, false);
            let passes: Vec<Pass> = (0..4000).map(|_| planner.pass(10, MILLI)).collect();
            let share = |found: &dyn Fn(&Pass) -> bool| passes.iter().filter(|pass| found(pass)).count();
            // Six standard deviations.
            prop_assert!((836..1165).contains(&share(&|pass| pass.copies == 0)));
            prop_assert!((1310..1690).contains(&share(&|pass| pass.copies == 2)));
            prop_assert!((286..514).contains(&share(&|pass| pass.corrupt.is_some())));
        }
    }

    #[test]
    fn every_client_is_refused_or_some() {
        let count = |text: &str| {
            let faults: Faults = text.parse().unwrap();
            (1..1001).filter(|number| refuses(&faults, 7, *number)).count()
        };
        assert_eq!((count(""), count("refuse")), (0, 1000));
        assert!((420..580).contains(&count("refuse=50%")));
    }

    /// What a seed means may not change: a failure that was found with it has to be found again.
    #[test]
    fn a_seed_means_what_it_meant() {
        assert_eq!(seed_of(1, 1, 0), 13_608_149_317_741_381_227);
    }
}
