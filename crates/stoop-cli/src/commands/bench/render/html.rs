//! Formats the report as one self-contained page.

use std::fmt::Write as _;

use super::chart;
use super::svg::{self, STYLE};
use super::table::{Table, tables};
use crate::commands::bench::results::Results;
use crate::output::escape;

/// The style of the page.
const PAGE_STYLE: &str = include_str!("page.css");

/// Returns the whole page.
pub(in crate::commands::bench) fn page(report: &Results) -> String {
    let mut body = String::new();
    body.push_str("<header><p class=\"kicker\">stoop bench</p><h1>Local transports on this machine</h1><ul class=\"facts\">");
    for line in report.machine.lines() {
        let _ = write!(body, "<li>{}</li>", escape(&line));
    }
    body.push_str("</ul></header>\n");
    body.push_str(&advice(report));
    for chart in svg::charts(report) {
        let _ = writeln!(
            body,
            "<figure><svg class=\"plot\" viewBox=\"0 0 {:.0} {:.0}\" role=\"img\" aria-label=\"{}\">{}</svg></figure>",
            chart::WIDTH,
            chart.height,
            escape(&chart.title),
            chart.body
        );
    }
    for table in tables(report) {
        body.push_str(&section(&table));
    }
    body.push_str(METHOD);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>stoop bench</title>\n\
         <style>{PAGE_STYLE}{STYLE}</style></head>\n<body class=\"plot\"><main>\n{body}</main></body></html>\n"
    )
}

/// The text below the figures.
const METHOD: &str = "<footer><p>Two processes run the same workload over each transport in turn, in several rounds, after a warm-up. \
Every message is checked. A rate is the median of the rounds; percentiles are of all rounds together; cpu is the processor time of \
both processes for one message or round trip. A difference of less than a quarter is not significant.</p></footer>\n";

fn advice(report: &Results) -> String {
    if report.advice.is_empty() {
        return String::new();
    }
    let mut text = String::from("<section class=\"advice\"><h2>Recommendations</h2><div class=\"cards\">\n");
    for advice in &report.advice {
        let chosen: Vec<_> = advice.choose.iter().map(|name| format!("<b>{}</b>", escape(name))).collect();
        let (need, because) = (escape(&unbroken(&advice.need)), escape(&unbroken(&advice.because)));
        let chosen = chosen.join(" ");
        let _ = writeln!(
            text,
            "<div class=\"card\"><p class=\"need\">{need}</p><p class=\"use\">{chosen}</p><p class=\"because\">{because}</p></div>"
        );
    }
    text.push_str("</div>");
    if let Some(caution) = report.machine.caution() {
        let _ = write!(text, "<p class=\"note\">{caution}</p>");
    }
    text + "</section>\n"
}

/// Keeps a number on the same line as its unit.
fn unbroken(text: &str) -> String {
    let mut before = ' ';
    let join = |letter| {
        let joined = if letter == ' ' && before.is_ascii_digit() { '\u{a0}' } else { letter };
        before = letter;
        joined
    };
    text.chars().map(join).collect()
}

fn section(table: &Table) -> String {
    let mut text =
        format!("<section><h2>{}</h2><div class=\"scroll\"><table><thead><tr>", escape(&table.title));
    for head in &table.head {
        let _ = write!(text, "<th>{}</th>", escape(head));
    }
    text.push_str("</tr></thead><tbody>\n");
    for line in &table.lines {
        text.push_str("<tr>");
        for cell in line {
            let _ = write!(text, "<td>{}</td>", escape(cell));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody></table></div>");
    for note in &table.notes {
        let _ = write!(text, "<p class=\"note\">{}</p>", escape(note));
    }
    text + "</section>\n"
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_page_is_self_contained() {
        let page = page(&sample::results());
        for foreign in ["http:", "https:", "<script", "src=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn numbers_and_units_do_not_break() {
        assert_eq!(unbroken("next is tcp with 1.5 µs per trip"), "next is tcp with 1.5\u{a0}µs per trip");
    }

    #[test]
    fn the_page_is_complete_and_well_formed() {
        let page = page(&sample::results());
        for part in [
            "Some &lt;CPU&gt; @ 2 GHz",
            "Recommendations",
            "Round trip of 64 B",
            "larger than kernel.msgmax",
            "adds",
        ] {
            assert!(page.contains(part), "{part}");
        }
        for (open, close) in
            [("<section", "</section>"), ("<tr>", "</tr>"), ("<td>", "</td>"), ("<svg", "</svg>")]
        {
            assert_eq!(page.matches(open).count(), page.matches(close).count(), "{open}");
        }
    }
}
