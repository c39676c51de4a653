//! Order statistics of a few repetitions, and the order in which to run them. Pure.
//!
//! No means and no deviations: a virtual machine's outliers are not normally distributed, and a
//! median with its range shows them.

use serde_json::{Value, json};

/// The median, the minimum and the maximum of some samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The median: for an even number of samples, halfway between the two in the middle.
    pub median: f64,
    /// The smallest sample.
    pub min: f64,
    /// The largest sample.
    pub max: f64,
}

impl Summary {
    /// Summarizes samples; `None` if there are none or one is not a number.
    pub fn of(samples: &[f64]) -> Option<Self> {
        if samples.iter().any(|s| s.is_nan()) {
            return None;
        }
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let half = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[half] } else { sorted[half - 1].midpoint(sorted[half]) };
        Some(Self { median, min, max })
    }
}

impl Summary {
    /// Formats the median and the range with this number of decimal places.
    pub fn shown(&self, digits: usize) -> String {
        let Self { median, min, max } = self;
        format!("{median:.digits$} [{min:.digits$}–{max:.digits$}]")
    }

    /// Returns the three values as JSON.
    pub fn to_json(&self) -> Value {
        json!({"median": self.median, "min": self.min, "max": self.max})
    }
}

/// Returns each sample divided by the base's of the same repetition: slowdowns of the machine that
/// affect both cancel out.
///
/// # Panics
/// Panics if the two differ in length.
pub fn ratios(samples: &[f64], base: &[f64]) -> Vec<f64> {
    assert_eq!(samples.len(), base.len(), "a ratio needs both samples of a repetition");
    samples.iter().zip(base).map(|(sample, base)| sample / base).collect()
}

/// Returns the order in which repetition `rep` runs `n` peers: rotated by one each time, and
/// reversed every second time, so that no peer always follows the same neighbour or always comes
/// first.
pub fn order(rep: usize, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).map(|i| (i + rep) % n).collect();
    if rep % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_independent_of_the_order() {
        let odd = Summary::of(&[3.0, 1.0, 2.0]).unwrap();
        assert_eq!(odd, Summary { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Summary::of(&[4.0, 1.0, 2.0, 100.0]).unwrap().median, 3.0);
        assert_eq!(Summary::of(&[7.0]).unwrap(), Summary { median: 7.0, min: 7.0, max: 7.0 });
    }

    #[test]
    fn a_summary_is_shown_with_its_range() {
        let summary = Summary { median: 2.0, min: 1.25, max: 3.0 };
        assert_eq!(summary.shown(1), "2.0 [1.2–3.0]");
        assert_eq!(summary.to_json(), json!({"median": 2.0, "min": 1.25, "max": 3.0}));
    }

    #[test]
    fn no_samples_have_no_median() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn ratios_pair_repetitions() {
        // The second repetition was twice as slow for both: the ratio is unaffected.
        assert_eq!(ratios(&[11.0, 22.0], &[10.0, 20.0]), [1.1, 1.1]);
    }

    #[test]
    #[should_panic(expected = "both samples")]
    fn an_unpaired_sample_has_no_ratio() {
        ratios(&[1.0], &[]);
    }

    #[test]
    fn every_order_is_a_permutation_with_each_peer_first_once() {
        for rep in 0..6 {
            let mut sorted = order(rep, 3);
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
        }
        let distinct: std::collections::BTreeSet<_> = (0..6).map(|rep| order(rep, 3)).collect();
        assert_eq!(distinct.len(), 6, "six repetitions try all six orders of three");
    }
}
