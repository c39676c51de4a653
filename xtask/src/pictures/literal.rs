//! Rewrites the style of a drawing so that renderers other than browsers can draw it: variables are
//! replaced by their values. Pure.
//!
//! Reads only the subset of CSS that the command writes: rules without nesting, except in `@media`.

use std::collections::BTreeMap;

/// Returns the drawing with literal colours: those for a light background, without what only a
/// pointer shows.
pub fn literal(svg: &str) -> String {
    let Some((head, rest)) = svg.split_once("<style>") else { return svg.to_owned() };
    let Some((style, tail)) = rest.split_once("</style>") else { return svg.to_owned() };
    format!("{head}<style>{}</style>{tail}", without_variables(style))
}

/// A rule: its selectors and its declarations.
type Rule<'a> = (&'a str, Vec<(&'a str, &'a str)>);

fn without_variables(style: &str) -> String {
    let rules: Vec<Rule> = rules(style);
    let mut global = BTreeMap::new();
    let mut scoped: Vec<(&str, &str, &str)> = Vec::new();
    for (selector, declarations) in &rules {
        for &(name, value) in declarations.iter().filter(|(name, _)| name.starts_with("--")) {
            match variable(value) {
                None => drop(global.insert(name, value)),
                Some(other) => scoped.push((selector, name, other)),
            }
        }
    }
    let mut out = String::new();
    for (selector, declarations) in &rules {
        let mut plain = Vec::new();
        for &(name, value) in declarations.iter().filter(|(name, _)| !name.starts_with("--")) {
            match variable(value) {
                None => plain.push(format!("{name}: {value}")),
                Some(of) if global.contains_key(of) => plain.push(format!("{name}: {}", global[of])),
                // Its value depends on an ancestor: one rule for each.
                Some(of) => {
                    for (ancestor, _, other) in scoped.iter().filter(|(_, name, _)| *name == of) {
                        let colour = global.get(other).copied().unwrap_or("black");
                        out.push_str(&format!("{ancestor} {selector} {{ {name}: {colour}; }}\n"));
                    }
                }
            }
        }
        if !plain.is_empty() {
            out.push_str(&format!("{selector} {{ {}; }}\n", plain.join("; ")));
        }
    }
    out
}

/// Returns the name in `var(--name)`.
fn variable(value: &str) -> Option<&str> {
    value.strip_prefix("var(")?.strip_suffix(')')
}

/// Returns the rules that apply to a picture: no media queries, no pointer.
fn rules(style: &str) -> Vec<Rule<'_>> {
    let mut found = Vec::new();
    let mut rest = style;
    while let Some(open) = rest.find('{') {
        let selector = rest[..open].trim();
        let close = closing(&rest[open..]).map_or(rest.len(), |at| open + at);
        let body = &rest[open + 1..close];
        rest = rest.get(close + 1..).unwrap_or("");
        if selector.starts_with('@') || selector.contains(":hover") {
            continue;
        }
        let declarations = body.split(';').filter_map(|line| line.split_once(':'));
        found.push((selector, declarations.map(|(name, value)| (name.trim(), value.trim())).collect()));
    }
    found
}

/// Returns where the brace that opens `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_by_their_light_values() {
        let svg = "<svg><style>svg { --ink: #111; --unit: #22f; }\n\
                   @media (prefers-color-scheme: dark) { svg { --ink: #eee; } }\n\
                   text { fill: var(--ink); font: 13px serif; } .unit { --hue: var(--unit); }\n\
                   .frame { fill: var(--hue); fill-opacity: .1; } .edge:hover path { fill: var(--ink); }</style><g/></svg>";
        let expected = "<svg><style>text { fill: #111; font: 13px serif; }\n\
                        .unit .frame { fill: #22f; }\n.frame { fill-opacity: .1; }\n</style><g/></svg>";
        assert_eq!(literal(svg), expected);
    }

    #[test]
    fn the_pictures_of_the_command_keep_no_variable() {
        let tree = std::fs::read_to_string(crate::tree::root().join("crates/stoop-cli/golden/web_site.svg"))
            .unwrap();
        let picture = literal(&tree);
        assert!(tree.contains("var(") && !picture.contains("var(") && picture.contains("#2563eb"));
    }
}
