//! Combines the plots into one drawing.

use super::chart::{self, Chart};
use crate::commands::bench::results::{Results, Rows};
use crate::commands::bench::workload::Workload;

const GAP: f64 = 28.0;

/// The style of a standalone drawing. The page has the same in its own style.
pub(super) const STYLE: &str = include_str!("chart.css");

/// Returns all plots for which there are figures.
pub(super) fn charts(report: &Results) -> Vec<Chart> {
    let rows = Rows(&report.rows);
    let smallest = |work| rows.sizes(work).first().copied();
    let latency = smallest(Workload::PingPong).and_then(|size| chart::latency(rows, size));
    let messages = smallest(Workload::OneWay).and_then(|size| chart::messages(rows, size));
    [latency, messages, chart::throughput(rows)].into_iter().flatten().collect()
}

/// Returns a standalone file.
pub(in crate::commands::bench) fn document(report: &Results) -> String {
    let charts = charts(report);
    let height: f64 = charts.iter().map(|chart| chart.height + GAP).sum::<f64>() + GAP;
    let width = chart::WIDTH + 2.0 * GAP;
    let mut body = String::new();
    let mut top = GAP;
    for chart in &charts {
        body.push_str(&format!("<g transform=\"translate({GAP} {top:.0})\">{}</g>\n", chart.body));
        top += chart.height + GAP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" class=\"plot\">\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n{body}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_svg_has_every_plot_and_transport() {
        let text = document(&sample::results());
        assert_eq!(charts(&sample::results()).len(), 3);
        for name in ["stream+spin", "seqpacket", "tcp", "66.0 µs", "450 k/s"] {
            assert!(text.contains(name), "{name}");
        }
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }

    #[test]
    fn no_results_give_an_empty_svg() {
        let report = Results { rows: Vec::new(), advice: Vec::new(), ..sample::results() };
        assert!(charts(&report).is_empty());
        assert!(document(&report).starts_with("<svg "));
    }
}
