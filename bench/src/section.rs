//! The sections of BENCHMARKS.md: one for each program and processor, between two comments. A
//! program replaces its own section and leaves the rest of the file as it is. Pure.

/// What stands at the top of the file.
const INTRODUCTION: &str = "# Benchmarks

Generated; do not edit. `cargo xtask bench all` measures everything again and writes this file, and `cargo xtask bench NAME
--out BENCHMARKS.md` one section. There is a section for each program and each processor that it was run on. Absolute
figures depend on the machine, ratios less: they are computed within a repetition, and given as the median [minimum–maximum].
Every message carries its number and is checked.
";

fn begin(program: &str, processor: &str) -> String {
    format!("<!-- written by `cargo xtask bench {program}` on {processor} -->\n")
}

fn end(program: &str, processor: &str) -> String {
    format!("<!-- end of `cargo xtask bench {program}` on {processor} -->\n")
}

/// Returns the file with this section in place of the previous one of the same program and
/// processor, or at its end; with the introduction if it is empty.
pub fn put(file: &str, program: &str, processor: &str, section: &str) -> String {
    let file = if file.trim().is_empty() { INTRODUCTION } else { file };
    let (begin, end) = (begin(program, processor), end(program, processor));
    let section = format!("{begin}\n{}\n\n{end}", section.trim());
    match find(file, &begin, &end) {
        Some((from, to)) => [&file[..from], &section, &file[to..]].concat(),
        None => format!("{}\n\n{section}", file.trim_end()),
    }
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
        let first = put("# Title\n", "one", "CPU", "text");
        assert!(first.starts_with("# Title\n\n<!--") && first.contains("\ntext\n"));
        let both = put(&first, "two", "CPU", "more");
        let again = put(&both, "one", "CPU", "new");
        assert!(again.contains("new") && !again.contains("text") && again.contains("more"));
        assert_eq!(put(&again, "one", "CPU", "new"), again);
    }

    #[test]
    fn sections_of_other_processors_stay() {
        let both = put(&put("# Title\n", "one", "CPU 1", "text"), "one", "CPU 2", "more");
        assert!(both.contains("text") && both.contains("more"), "{both}");
    }

    #[test]
    fn a_new_file_has_the_introduction() {
        assert!(put("", "one", "CPU", "text").starts_with("# Benchmarks\n\nGenerated; do not edit."));
    }
}
