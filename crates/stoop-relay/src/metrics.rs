//! The counters in the text format of OpenMetrics. Pure.

use std::fmt::Write;

use crate::counters::Counts;

impl Counts {
    /// Returns the counters and the present number of connections as OpenMetrics text, which
    /// Prometheus reads. Its media type is `application/openmetrics-text; version=1.0.0;
    /// charset=utf-8`.
    pub fn openmetrics(&self, connections: usize) -> String {
        let mut text = String::new();
        metric(&mut text, "connections_open", "gauge", "Connections at the moment.", connections as u64);
        for (name, description, count) in self.described() {
            metric(&mut text, name, "counter", description.trim(), count);
        }
        text.push_str("# EOF\n");
        text
    }
}

/// Writes one metric. A counter's sample has a suffix that its family has not.
fn metric(text: &mut String, name: &str, kind: &str, description: &str, value: u64) {
    let suffix = if kind == "counter" { "_total" } else { "" };
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# TYPE stoop_relay_{name} {kind}\n# HELP stoop_relay_{name} {description}\nstoop_relay_{name}{suffix} {value}\n"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_is_a_family_and_the_end_is_marked() {
        let counts = Counts { bytes_up: 7, ..Counts::default() };
        let text = counts.openmetrics(3);
        assert!(text.contains("\nstoop_relay_bytes_up_total 7\n"), "{text}");
        assert!(text.contains("\nstoop_relay_connections_open 3\n"), "{text}");
        assert_eq!(text.matches("# TYPE").count(), counts.named().count() + 1);
        assert!(text.ends_with("\n# EOF\n"));
    }
}
