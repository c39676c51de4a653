//! Runs every target on its corpus, and on mutations of it that are the same in every run.

use std::fs;
use std::path::Path;

use stoop_fuzz::{FuzzTarget, TARGETS};

/// The number of mutations of each file of a corpus, and of all of its files together.
const MUTATIONS: usize = 2_000;
const ALL_MUTATIONS: usize = 20_000;

/// A pseudo-random number generator (xorshift) with a fixed seed, so that a failure is reproducible
/// on every machine.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Makes a few changes of the kind that breaks parsers: bytes set, lost, doubled, and lengths that
/// are almost right.
fn mutate(data: &mut Vec<u8>, numbers: &mut Numbers) {
    const TELLING: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'%', b':', b'@'];
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(data.len());
        match numbers.below(6) {
            0 => data.insert(at, numbers.next() as u8),
            1 if !data.is_empty() => drop(data.remove(at)),
            2 if !data.is_empty() => data[at] = TELLING[numbers.below(TELLING.len())],
            3 if !data.is_empty() => data[at] = data[at].wrapping_add(1 + numbers.below(3) as u8),
            4 => data.truncate(at),
            _ => data.extend_from_within(at..),
        }
        data.truncate(4096);
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn every_target_passes_its_corpus_and_mutations_of_it() {
    for &(name, target) in TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        replay(&corpus, (name, target));
    }
}

fn replay(corpus: &[Vec<u8>], (name, target): FuzzTarget) {
    let rounds = MUTATIONS.min(ALL_MUTATIONS / corpus.len());
    for (number, original) in corpus.iter().enumerate() {
        target(original);
        let mut numbers = Numbers(0x5700 + number as u64);
        let mut data = original.clone();
        for round in 0..rounds {
            // Return to the original now and then: far from it everything is rejected at the first
            // byte.
            if round % 16 == 0 {
                data.clone_from(original);
            }
            mutate(&mut data, &mut numbers);
            let outcome = std::panic::catch_unwind(|| target(&data));
            assert!(outcome.is_ok(), "{name} falls over {:?}", data.escape_ascii().to_string());
        }
    }
}

#[test]
fn every_corpus_has_a_target() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut corpora: Vec<_> = names.collect();
    let mut targets: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    corpora.sort();
    targets.sort_unstable();
    assert_eq!(corpora, targets);
}
