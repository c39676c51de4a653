//! Latencies as ranges that double. Pure.

use stoop_bpf::Latencies;

/// Returns a latency that this share of the messages did not exceed: the upper end of the range in
/// which it is, and so at most twice as long as it really was. `None` if none was measured, or if
/// it is longer than nine minutes.
pub fn percentile_ns(latencies: &Latencies, share: f64) -> Option<u64> {
    let rank = (latencies.count() as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
    let mut seen = 0;
    for (range, count) in latencies.ranges.iter().enumerate() {
        seen += u64::from(*count);
        if seen >= rank {
            return Latencies::upper_ns(range);
        }
    }
    None
}

/// Returns the mean latency. `None` if none was measured.
pub fn mean_ns(latencies: &Latencies) -> Option<u64> {
    latencies.sum_ns.checked_div(latencies.count())
}

/// Returns how many latencies did not exceed each limit, and the limits: what a histogram of
/// Prometheus consists of. The last limit is infinite.
pub fn histogram(latencies: &Latencies) -> Vec<(Option<u64>, u64)> {
    let mut sum = 0;
    let ranges = latencies.ranges.iter().enumerate();
    ranges
        .map(|(range, count)| {
            sum += u64::from(*count);
            (Latencies::upper_ns(range), sum)
        })
        .collect()
}

/// Adds the latencies of another socket.
pub(super) fn add(to: &mut Latencies, other: &Latencies) {
    for (sum, count) in to.ranges.iter_mut().zip(other.ranges) {
        *sum = sum.saturating_add(count);
    }
    to.sum_ns = to.sum_ns.saturating_add(other.sum_ns);
}

/// Returns what was added since an earlier time.
pub(super) fn since(now: &Latencies, before: &Latencies) -> Latencies {
    let mut latencies = *now;
    for (count, before) in latencies.ranges.iter_mut().zip(before.ranges) {
        *count = count.wrapping_sub(before);
    }
    latencies.sum_ns = now.sum_ns.wrapping_sub(before.sum_ns);
    latencies
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn latencies() -> impl Strategy<Value = Latencies> {
        (proptest::array::uniform32(0u32..1000), 0u64..1 << 40).prop_map(|(ranges, sum_ns)| {
            let mut latencies = Latencies::default();
            (latencies.ranges, latencies.sum_ns) = (ranges, sum_ns);
            latencies
        })
    }

    #[test]
    fn nothing_measured_is_unknown() {
        let none = Latencies::default();
        assert_eq!((percentile_ns(&none, 0.5), mean_ns(&none)), (None, None));
    }

    #[test]
    fn a_percentile_is_the_end_of_its_range() {
        let mut latencies = Latencies::default();
        (latencies.ranges[0], latencies.ranges[3]) = (90, 10);
        assert_eq!(percentile_ns(&latencies, 0.5), Some(512));
        assert_eq!(percentile_ns(&latencies, 0.9), Some(512));
        assert_eq!(percentile_ns(&latencies, 0.99), Some(4096));
    }

    proptest! {
        #[test]
        fn percentiles_rise_and_cover_their_share(latencies in latencies(), share in 0.0f64..=1.0) {
            let all = latencies.count();
            let below = |limit: u64| -> u64 {
                let ends = |range: &usize| Latencies::upper_ns(*range).is_some_and(|end| end <= limit);
                (0..32).filter(ends).map(|range| u64::from(latencies.ranges[range])).sum()
            };
            if let Some(limit) = percentile_ns(&latencies, share) {
                prop_assert!(below(limit) as f64 >= all as f64 * share - 1e-6);
                prop_assert!(percentile_ns(&latencies, 1.0).is_none_or(|max| max >= limit));
            }
        }

        #[test]
        fn a_histogram_only_rises_and_ends_with_all(latencies in latencies()) {
            let steps = histogram(&latencies);
            prop_assert!(steps.is_sorted_by_key(|(_, count)| *count));
            prop_assert_eq!(steps.last().copied(), Some((None, latencies.count())));
        }

        #[test]
        fn what_was_added_is_the_difference(one in latencies(), other in latencies()) {
            let mut sum = one;
            add(&mut sum, &other);
            prop_assert_eq!(since(&sum, &one), other);
        }
    }
}
