//! Draws what a terminal shows as an SVG: text with the colours of its escape sequences. Pure.
//!
//! Reads only SGR sequences, the ones that set colours, and takes each character for one column.

use std::fmt::Write as _;

/// The size of a character, of the margin, and of the title bar.
const COLUMN: f64 = 8.43;
const LINE: f64 = 19.0;
const MARGIN: f64 = 20.0;
const BAR: f64 = 34.0;

const PAPER: &str = "#0f141c";
const INK: &str = "#dfe5ee";
const DIM: &str = "#8a94a6";

/// How characters look.
#[derive(Clone, Copy, PartialEq)]
struct Style {
    colour: &'static str,
    bold: bool,
}

impl Style {
    const PLAIN: Style = Style { colour: INK, bold: false };

    /// Returns the style after one parameter of an SGR sequence.
    fn after(self, parameter: u32) -> Style {
        let colour = match parameter {
            0 => return Style::PLAIN,
            1 => return Style { bold: true, ..self },
            2 | 90 => DIM,
            31 => "#ff7a70",
            32 => "#3ddc97",
            33 => "#e8b04a",
            34 => "#6ea2ff",
            35 => "#b79bff",
            36 => "#5cc8d7",
            39 => INK,
            _ => return self,
        };
        Style { colour, ..self }
    }
}

/// Returns the file: a window with this title that shows `output`.
pub fn draw(title: &str, output: &str) -> String {
    let mut style = Style::PLAIN;
    let lines: Vec<Vec<(Style, String)>> =
        output.trim_end().lines().map(|line| spans(line, &mut style)).collect();
    let columns = lines.iter().map(|line| columns(line)).max().unwrap_or(0).max(40);
    let width = columns as f64 * COLUMN + 2.0 * MARGIN;
    let height = lines.len() as f64 * LINE + BAR + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n\
         <title>{title}</title>\n\
         <style>text {{ font: 14px ui-monospace, \"SFMono-Regular\", Menlo, Consolas, \"DejaVu Sans Mono\", monospace; white-space: pre; }}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"10\" fill=\"{PAPER}\"/>\n",
        title = escape(title)
    );
    for (at, colour) in ["#ff5f57", "#febc2e", "#28c840"].iter().enumerate() {
        let _ = writeln!(svg, "<circle cx=\"{}\" cy=\"20\" r=\"6\" fill=\"{colour}\"/>", 22 + 20 * at);
    }
    for (at, line) in lines.iter().enumerate() {
        let y = BAR + MARGIN + at as f64 * LINE + 10.0;
        let mut column = 0;
        for (style, text) in line {
            if !text.trim().is_empty() {
                let x = MARGIN + column as f64 * COLUMN;
                let bold = if style.bold { " font-weight=\"700\"" } else { "" };
                // The width is fixed, so that columns line up in whatever font there is.
                let _ = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{}\"{bold} textLength=\"{:.1}\" xml:space=\"preserve\">{}</text>",
                    style.colour,
                    text.chars().count() as f64 * COLUMN,
                    escape(text)
                );
            }
            column += text.chars().count();
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn columns(line: &[(Style, String)]) -> usize {
    line.iter().map(|(_, text)| text.chars().count()).sum()
}

/// Splits a line where its style changes; `style` is carried to the next line.
fn spans(line: &str, style: &mut Style) -> Vec<(Style, String)> {
    let mut found = Vec::new();
    let mut rest = line.trim_end_matches('\r');
    while let Some((text, sequence)) = rest.split_once("\x1b[") {
        found.push((*style, text.to_owned()));
        let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(sequence.len());
        if sequence[end..].starts_with('m') {
            for parameter in sequence[..end].split(';') {
                *style = style.after(parameter.parse().unwrap_or(0));
            }
        }
        rest = sequence.get(end + 1..).unwrap_or("");
    }
    found.push((*style, rest.trim_end().to_owned()));
    found
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_spans_at_their_columns() {
        let svg = draw("a <session>", "\x1b[36m$ stoop\x1b[0m x\r\n\x1b[1mb\n");
        assert!(svg.contains("<title>a &lt;session&gt;</title>"));
        assert!(
            svg.contains("fill=\"#5cc8d7\" textLength=\"59.0\" xml:space=\"preserve\">$ stoop</text>"),
            "{svg}"
        );
        assert!(svg.contains(&format!("<text x=\"{:.1}\"", MARGIN + 7.0 * COLUMN)));
        assert!(svg.contains("font-weight=\"700\"") && !svg.contains('\x1b') && !svg.contains('\r'));
    }

    #[test]
    fn nothing_is_drawn_of_an_unfinished_sequence() {
        assert!(!draw("", "a\x1b[3").contains("[3"));
    }
}
