//! The options of the benchmark programs: `--reps`, `--json`, `--out` and `--help`, and those that
//! a program declares. Anything else is refused. Pure.

use std::path::PathBuf;

/// A benchmark program: what it is called, what it answers, and its options.
pub struct Program {
    /// Its name for `cargo xtask bench`.
    pub name: &'static str,
    /// The question that it answers, in a line.
    pub about: &'static str,
    /// The repetitions by default.
    pub reps: usize,
    /// Its own options.
    pub flags: &'static [Flag],
}

/// An option of one program.
pub struct Flag {
    /// Its name, with two hyphens.
    pub name: &'static str,
    /// What stands for its value in the usage; `None` if it has no value.
    pub value: Option<&'static str>,
    /// What it does, in a line.
    pub help: &'static str,
}

const COMMON: &[Flag] = &[
    Flag { name: "--reps", value: Some("N"), help: "repetitions, each with everything that is compared" },
    Flag { name: "--json", value: None, help: "print JSON instead of tables" },
    Flag { name: "--out", value: Some("FILE"), help: "also write the tables into their section of FILE" },
    Flag { name: "--help", value: None, help: "print this help" },
];

/// What the command line requests.
#[derive(Debug)]
pub enum Request {
    /// The usage of the program.
    Help,
    /// A measurement.
    Measure(Given),
}

/// The options of a measurement.
#[derive(Debug, Default)]
pub struct Given {
    /// The repetitions, if they were given.
    pub reps: Option<usize>,
    /// Whether to print JSON.
    pub json: bool,
    /// The file with a section for the tables.
    pub out: Option<PathBuf>,
    values: Vec<(&'static str, String)>,
}

impl Given {
    /// Returns whether an option was given.
    pub fn has(&self, flag: &str) -> bool {
        self.all(flag).next().is_some()
    }

    /// Returns every value of an option, in order.
    pub fn all(&self, flag: &str) -> impl Iterator<Item = &str> {
        self.values.iter().filter(move |(name, _)| *name == flag).map(|(_, value)| value.as_str())
    }

    /// Returns the last value of an option as `parse` understands it, or `default`.
    ///
    /// # Errors
    /// Returns an error if `parse` returns `None`.
    pub fn value<T>(
        &self,
        flag: &str,
        default: T,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, String> {
        let Some(text) = self.all(flag).last() else { return Ok(default) };
        parse(text).ok_or_else(|| format!("{flag}: invalid value '{text}'"))
    }

    /// Returns the number of an option, which is at least one; `default` if it was not given.
    ///
    /// # Errors
    /// Returns an error if it is another text, or zero.
    pub fn number<T: std::str::FromStr + Default + PartialEq>(
        &self,
        flag: &str,
        default: T,
    ) -> Result<T, String> {
        self.value(flag, default, |text| text.parse().ok().filter(|number| *number != T::default()))
    }
}

impl Program {
    /// Parses the arguments of the program.
    ///
    /// # Errors
    /// Returns an error for an argument that is not in the usage, a missing value, and an invalid
    /// number of repetitions.
    pub fn parse(&self, args: &[String]) -> Result<Request, String> {
        let mut given = Given::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let (name, attached) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (arg.as_str(), None),
            };
            let name = if name == "-h" { "--help" } else { name };
            let Some(flag) = COMMON.iter().chain(self.flags).find(|flag| flag.name == name) else {
                let what = if name.starts_with('-') { "unknown option" } else { "unexpected argument" };
                return Err(format!("{what} '{arg}'"));
            };
            let value = match (flag.value, attached) {
                (None, None) => String::new(),
                (None, Some(_)) => return Err(format!("{name} has no value")),
                (Some(_), Some(value)) => value,
                (Some(what), None) => {
                    args.next().cloned().ok_or_else(|| format!("{name} needs a value: {what}"))?
                }
            };
            match name {
                "--help" => return Ok(Request::Help),
                "--json" => given.json = true,
                "--out" => given.out = Some(value.into()),
                _ => given.values.push((flag.name, value)),
            }
        }
        given.reps = given.has("--reps").then(|| given.number("--reps", 0)).transpose()?;
        Ok(Request::Measure(given))
    }

    /// Returns the usage, a line for each option.
    pub fn usage(&self) -> String {
        let spelled = |flag: &Flag| match flag.value {
            Some(value) => format!("{} {value}", flag.name),
            None => flag.name.to_owned(),
        };
        let flags = || self.flags.iter().chain(COMMON);
        let width = flags().map(|flag| spelled(flag).chars().count()).max().unwrap_or(0);
        let mut text = format!("{}\n\nusage: cargo xtask bench {} [OPTION]…\n\n", self.about, self.name);
        for flag in flags() {
            let spelled = spelled(flag);
            let default =
                if flag.name == "--reps" { format!(" (default {})", self.reps) } else { String::new() };
            text.push_str(&format!("  {spelled:width$}  {}{default}\n", flag.help));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: Program = Program {
        name: "some",
        about: "Something?",
        reps: 9,
        flags: &[
            Flag { name: "--rounds", value: Some("N"), help: "round trips" },
            Flag { name: "--read", value: None, help: "read every byte" },
        ],
    };

    fn parse(line: &str) -> Result<Request, String> {
        PROGRAM.parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn given(line: &str) -> Given {
        match parse(line) {
            Ok(Request::Measure(given)) => given,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_are_parsed() {
        let all = given("--rounds 5 --read --json --out file --reps=3 --rounds=7");
        assert_eq!((all.reps, all.json, all.out), (Some(3), true, Some("file".into())));
        let all = given("--rounds 5 --read --rounds=7");
        assert_eq!(all.number("--rounds", 1_u64), Ok(7));
        assert_eq!(all.all("--rounds").collect::<Vec<_>>(), ["5", "7"]);
        assert!(all.has("--read") && !given("").has("--read"));
        assert_eq!((given("").reps, given("").number("--rounds", 4_usize)), (None, Ok(4)));
    }

    #[test]
    fn unknown_and_invalid_arguments_are_refused() {
        for (line, error) in [
            ("--fast", "unknown option '--fast'"),
            ("5", "unexpected argument '5'"),
            ("--rounds", "--rounds needs a value: N"),
            ("--read=yes", "--read has no value"),
            ("--reps 0", "--reps: invalid value '0'"),
            ("--reps x", "--reps: invalid value 'x'"),
        ] {
            assert_eq!(parse(line).unwrap_err(), error, "{line}");
        }
        for line in ["--rounds 0", "--rounds -1", "--rounds 1.5"] {
            assert!(given(line).number("--rounds", 1_u64).is_err(), "{line}");
        }
    }

    #[test]
    fn the_usage_has_every_option() {
        assert!(matches!(parse("--reps 3 --help"), Ok(Request::Help)));
        assert!(matches!(parse("-h"), Ok(Request::Help)));
        let usage = PROGRAM.usage();
        assert!(
            usage.starts_with("Something?\n\nusage: cargo xtask bench some [OPTION]…\n\n  --rounds N  round"),
            "{usage}"
        );
        assert!(
            usage
                .contains("\n  --reps N    repetitions, each with everything that is compared (default 9)\n"),
            "{usage}"
        );
    }
}
