//! Formats a manual page.

use clap::{Arg, Command};
use clap_mangen::Man as Page;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::reference;
use crate::failure::Failure;

/// Returns the name of a command's file, as `man` looks for it.
pub(super) fn file_name(command: &Command) -> String {
    format!("{}.1", command.get_display_name().unwrap_or_else(|| command.get_name()))
}

/// Formats the page of a command as roff. `verbs` are the verbs that have pages.
pub(super) fn render(command: &Command, verbs: &[&str]) -> Result<Vec<u8>, Failure> {
    let page = Page::new(command.clone());
    let section = |write: &dyn Fn(&mut Vec<u8>) -> std::io::Result<()>| {
        let mut text = Vec::new();
        write(&mut text).map_err(|error| Failure::io("make the page", &error))?;
        Ok::<_, Failure>(String::from_utf8_lossy(&text).into_owned())
    };
    let is_whole = command.get_name() == "stoop";
    let verb = (!is_whole).then(|| command.get_name());
    let sections = [
        title(command).render(),
        section(&|text| page.render_name_section(text))?,
        synopsis(command).render(),
        section(&|text| page.render_description_section(text))?,
        section(&|text| page.render_options_section(text))?,
        if is_whole {
            section(&|text| page.render_subcommands_section(text))?
        } else {
            actions(command).render()
        },
        named(&section(&|text| page.render_extra_section(text))?),
        described("FILES", &reference::files(verb)).render(),
        described("ENVIRONMENT", &reference::environment(verb)).render(),
        see_also(&reference::see_also(verb, verbs)).render(),
    ];
    // Each section begins with the same definitions, which are needed once.
    let definitions = Roff::new().render();
    let text: String = sections.iter().map(|section| section.replace(&definitions, "")).collect();
    Ok(tidy(&format!("{definitions}{text}")).into_bytes())
}

/// Returns the title, without a date: pages built from the same source are the same.
fn title(command: &Command) -> Roff {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_uppercase();
    let mut roff = Roff::new();
    let source = concat!("stoop\\ ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", [name.as_str(), "1", "\"\"", source, "User\\ Commands"]);
    roff
}

/// Returns the synopsis, with the value of each flag. A usage that is written out is not kept: it
/// names no flags.
fn synopsis(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text(usage(command, command.get_bin_name().unwrap_or_else(|| command.get_name())));
    roff
}

/// Returns the section of the actions of a command, with the flags of each. They have no pages.
fn actions(command: &Command) -> Roff {
    let mut roff = Roff::new();
    if command.has_subcommands() {
        roff.control("SH", ["ACTIONS"]);
    }
    for action in
        command.get_subcommands().filter(|action| !action.is_hide_set() && action.get_name() != "help")
    {
        roff.control("TP", []);
        roff.text(usage(action, action.get_name()));
        roff.text([roman(action.get_about().map(ToString::to_string).unwrap_or_default())]);
    }
    roff
}

/// Returns how a command is called, with the value of each flag.
fn usage(command: &Command, called: &str) -> Vec<Inline> {
    let mut line = vec![bold(called)];
    let flags = command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set());
    for flag in flags.filter(|flag| flag.get_id() != "help" && flag.get_id() != "version") {
        line.push(roman(" ["));
        line.extend(name(flag));
        line.push(roman("]"));
    }
    if command.has_subcommands() {
        let word = command.get_subcommand_value_name().unwrap_or("COMMAND");
        line.extend([roman(" "), italic(word), roman(" [...]")]);
    }
    let mut positionals: Vec<&Arg> = command.get_positionals().collect();
    positionals.sort_by_key(|arg| arg.get_index());
    for arg in positionals {
        line.push(roman(if arg.is_required_set() { " " } else { " [" }));
        line.extend(positional(arg));
        line.extend((!arg.is_required_set()).then(|| roman("]")));
    }
    line
}

/// Returns a flag as it is typed: `-o|--output FILE`.
fn name(flag: &Arg) -> Vec<Inline> {
    let mut words = Vec::new();
    if let Some(short) = flag.get_short() {
        words.extend([bold(format!("-{short}")), roman("|")]);
    }
    words.push(bold(format!("--{}", flag.get_long().unwrap_or_default())));
    if flag.get_action().takes_values() {
        words.push(roman(" "));
        words.push(italic(value_names(flag)));
    }
    words
}

fn positional(arg: &Arg) -> Vec<Inline> {
    let name = italic(value_names(arg));
    let range = arg.get_num_args().unwrap_or_default();
    match arg.get_id().as_str() {
        "request" => vec![roman("["), italic("METHOD"), roman("] "), name],
        _ if range.max_values() > 1 => vec![name, roman("...")],
        _ if matches!(arg.get_action(), clap::ArgAction::Append) => vec![name, roman("...")],
        _ => vec![name],
    }
}

fn value_names(arg: &Arg) -> String {
    arg.get_value_names().unwrap_or_default().iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" ")
}

/// Returns a section with a paragraph for each of these. Empty if there are none.
fn described(title: &str, entries: &[(&str, &str)]) -> Roff {
    let mut roff = Roff::new();
    if !entries.is_empty() {
        roff.control("SH", [title]);
    }
    for (name, about) in entries {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*about)]);
    }
    roff
}

fn see_also(pages: &[String]) -> Roff {
    let mut line = Vec::new();
    for page in pages {
        let (name, section) = page.split_once('(').unwrap_or((page, ""));
        let comma = if line.is_empty() { "" } else { ", " };
        line.extend([roman(comma), bold(name), roman(format!("({section}"))]);
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text(line);
    roff
}

/// Converts the end of every help text to sections with the usual names of manual pages, and keeps
/// its lines.
fn named(extra: &str) -> String {
    let sections = extra.replacen(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n.nf\n", 1).replacen(
        "\n\nExit codes:\n",
        "\n.fi\n.SH EXIT STATUS\n.nf\n",
        1,
    );
    format!("{}\n.fi\n", sections.trim_end())
}

/// Removes what checkers of manual pages object to: spaces that end lines, and breaks around empty
/// lines.
fn tidy(page: &str) -> String {
    let page: String = page.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    page.replace("\n.br\n\n.br\n", "\n.sp\n")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    fn pages() -> Vec<(String, String)> {
        let mut command = Cli::command();
        command.build();
        let commands = std::iter::once(&command).chain(command.get_subcommands());
        commands
            .filter(|command| !command.is_hide_set())
            .map(|command| {
                let text = String::from_utf8(render(command, &["ls", "who"]).unwrap()).unwrap();
                (command.get_name().to_owned(), text)
            })
            .collect()
    }

    #[test]
    fn every_page_has_its_sections() {
        let sections = [
            "\n.SH SYNOPSIS\n",
            "\n.SH EXAMPLES\n.nf\n",
            "\n.fi\n.SH EXIT STATUS\n.nf\n",
            "\n.SH ENVIRONMENT\n",
            "\n.SH \"SEE ALSO\"\n",
        ];
        for (name, text) in pages() {
            for section in sections {
                assert!(text.contains(section), "{name} lacks {section:?}:\n{text}");
            }
            assert!(!text.contains(".SH EXTRA"), "{name}");
        }
    }

    #[test]
    fn the_synopsis_has_values() {
        let pages = pages();
        let of = |name: &str| {
            let (_, text) = pages.iter().find(|(page, _)| page == name).unwrap();
            text.lines().skip_while(|line| *line != ".SH SYNOPSIS").nth(1).unwrap().to_owned()
        };
        assert!(
            of("ls").contains(r"[\fB\-\-kind\fR \fIKIND\fR]") && of("ls").ends_with(r"[\fIADDR\fR...]"),
            "{}",
            of("ls")
        );
        assert!(of("tree").contains(r"[\fB\-o\fR|\fB\-\-output\fR \fIFILE\fR]"));
        assert!(of("stoop").ends_with(r"\fICOMMAND\fR [...]"), "{}", of("stoop"));
    }
}
