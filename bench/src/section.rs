//! A section of a Markdown file that one program writes, between two comments; the rest of the file
//! is unchanged. Pure.

fn begin(name: &str) -> String {
    format!("<!-- written by `cargo xtask bench {name}` -->\n")
}

fn end(name: &str) -> String {
    format!("<!-- end of `cargo xtask bench {name}` -->\n")
}

/// Returns the file with this section in place of the previous one, or at its end.
pub fn put(file: &str, name: &str, section: &str) -> String {
    let (begin, end) = (begin(name), end(name));
    let section = format!("{begin}\n{}\n\n{end}", section.trim());
    match find(file, &begin, &end) {
        Some((from, to)) => [&file[..from], &section, &file[to..]].concat(),
        None => format!("{}\n\n{section}", file.trim_end()),
    }
}

/// Returns a new file with the sections of other programs from the old one at its end.
pub fn keep(old: &str, new: &str, names: &[&str]) -> String {
    let mut file = new.to_owned();
    for name in names {
        if let Some((from, to)) = find(old, &begin(name), &end(name)) {
            file = format!("{}\n\n{}", file.trim_end(), &old[from..to]);
        }
    }
    file
}

/// Returns the range of the section, including its two comments.
fn find(file: &str, begin: &str, end: &str) -> Option<(usize, usize)> {
    let from = file.find(begin)?;
    let to = from + file[from..].find(end)? + end.len();
    Some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_its_former_version() {
        let first = put("# Title\n", "one", "text");
        assert!(first.starts_with("# Title\n\n<!--") && first.contains("\ntext\n"));
        let both = put(&first, "two", "more");
        let again = put(&both, "one", "new");
        assert!(again.contains("new") && !again.contains("text") && again.contains("more"));
        assert_eq!(put(&again, "one", "new"), again);
    }

    #[test]
    fn a_new_file_keeps_the_sections_of_others() {
        let old = put(&put("# Old\n", "one", "1"), "two", "2");
        let new = keep(&old, "# New\n", &["one", "two", "three"]);
        assert_eq!(new, put(&put("# New\n", "one", "1"), "two", "2"));
    }
}
