//! `--data` and its variants: clap's derived flags lose the order in which different flags are
//! given, and here it is part of the body.

use std::ffi::OsString;

use clap::builder::OsStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// The parts of a body, in the order given.
#[derive(Clone, Debug, Default)]
pub(crate) struct DataFlags(pub(crate) Vec<(DataKind, OsString)>);

/// How a part of a body is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataKind {
    /// A text, `@FILE` or `@-`.
    Data,
    /// A text, even if it begins with `@`.
    Raw,
    /// A text or a file to be percent-encoded.
    UrlEncode,
}

/// The flags by their long forms, which identify them.
const FLAGS: [(&str, DataKind); 4] = [
    ("data", DataKind::Data),
    ("data-binary", DataKind::Data),
    ("data-raw", DataKind::Raw),
    ("data-urlencode", DataKind::UrlEncode),
];

impl FromArgMatches for DataFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<DataFlags, clap::Error> {
        let mut parts = Vec::new();
        for (id, kind) in FLAGS {
            let values = matches.get_many::<OsString>(id).into_iter().flatten().cloned();
            let indices = matches.indices_of(id).into_iter().flatten();
            parts.extend(indices.zip(values).map(|(index, value)| (index, kind, value)));
        }
        parts.sort_by_key(|(index, ..)| *index);
        Ok(DataFlags(parts.into_iter().map(|(_, kind, value)| (kind, value)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = DataFlags::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for DataFlags {
    fn augment_args(command: Command) -> Command {
        command.args([
            flag("data", "TEXT|@FILE|@-")
                .short('d')
                .help(
                    "Send this body unchanged; @FILE sends the contents of a file, @- standard input as it \
                     arrives",
                )
                .long_help(
                    "Send this body unchanged; @FILE sends the contents of a file, @- standard input as it \
                     arrives\n\nThe content type is application/json for text that is JSON and for files with \
                     such a name, application/octet-stream for other files, and else \
                     application/x-www-form-urlencoded, unless --header sets it. If repeated, the parts are \
                     joined with '&'.",
                ),
            flag("data-binary", "TEXT|@FILE|@-")
                .hide(true)
                .alias("data-ascii")
                .help("Send this body unchanged, as --data does"),
            flag("data-raw", "TEXT").hide(true).help("Send this body unchanged, even if it begins with '@'"),
            flag("data-urlencode", "TEXT")
                .help("Percent-encode this, and add it to the data: TEXT, NAME=TEXT, @FILE or NAME@FILE")
                .help_heading("As in curl"),
        ])
    }

    fn augment_args_for_update(command: Command) -> Command {
        DataFlags::augment_args(command)
    }
}

fn flag(id: &'static str, value: &'static str) -> Arg {
    Arg::new(id).long(id).value_name(value).value_parser(OsStringValueParser::new()).action(ArgAction::Append)
}
