//! Determines what is being completed, from the definition of the command line. Pure.

use clap::{Arg, ArgAction, Command};

/// What the word under the cursor is.
#[derive(Debug)]
pub(super) enum Slot<'a> {
    /// The verb.
    Verb,
    /// A flag of this command.
    Flag(&'a Command),
    /// An action of this command.
    Action(&'a Command),
    /// The value of an argument.
    Value(Value<'a>),
}

/// A value of an argument.
#[derive(Debug)]
pub(super) struct Value<'a> {
    /// The verb it is given to.
    pub(super) verb: &'a str,
    /// The action of the verb, if it has actions.
    pub(super) action: Option<&'a str>,
    /// The number of words in front of the action.
    #[cfg_attr(not(feature = "grpc"), allow(dead_code, reason = "only `cri` has actions"))]
    pub(super) before_action: usize,
    /// The argument.
    pub(super) arg: &'a Arg,
    /// What precedes the value in the same word: `--kind=`, or earlier values of a list.
    pub(super) before: String,
    /// The value as far as it was typed.
    pub(super) typed: String,
    /// The number of positional words before it that belong to the same argument.
    pub(super) nth: usize,
    /// The word before it.
    pub(super) previous: String,
}

/// Returns what the last of these words is. The first one follows the name of the command.
pub(super) fn find<'a>(cli: &'a Command, words: &[String]) -> Option<Slot<'a>> {
    let (typed, before) = words.split_last()?;
    let Some((verb, before)) = before.split_first() else {
        return Some(if typed.starts_with('-') { Slot::Flag(cli) } else { Slot::Verb });
    };
    if verb == "help" {
        return before.is_empty().then_some(Slot::Verb);
    }
    let of_verb = cli.find_subcommand(verb)?;
    let (mut command, mut before_action) = (of_verb, None);
    let (mut positionals, mut flags_ended, mut awaited) = (0, false, None);
    for (at, word) in before.iter().enumerate() {
        match flag(command, word) {
            _ if awaited.take().is_some() => {}
            _ if flags_ended => positionals += 1,
            Some(Word::End) => flags_ended = true,
            Some(Word::Flag(arg)) => awaited = arg,
            None if command.has_subcommands() => {
                command = command.find_subcommand(word)?;
                before_action.get_or_insert(at + 1);
            }
            None => positionals += 1,
        }
    }
    let value = |arg, before: &str, typed: &str, nth| {
        let (before, typed) = last_of_list(arg, before, typed);
        let previous = words[..words.len() - 1].last().cloned().unwrap_or_default();
        let (verb, action) = (of_verb.get_name(), before_action.map(|_| command.get_name()));
        let before_action = before_action.unwrap_or_default();
        Some(Slot::Value(Value { verb, action, before_action, arg, before, typed, nth, previous }))
    };
    if let Some(arg) = awaited {
        return value(arg, "", typed, 0);
    }
    if !flags_ended && typed.starts_with('-') && typed != "-" {
        return match typed.split_once('=') {
            Some((name, given)) => value(long(command, name)?, &format!("{name}="), given, 0),
            None => Some(Slot::Flag(command)),
        };
    }
    if command.has_subcommands() {
        return Some(Slot::Action(command));
    }
    let mut all: Vec<&Arg> = command.get_positionals().collect();
    all.sort_by_key(|arg| arg.get_index());
    match all.get(positionals) {
        Some(arg) => value(arg, "", typed, 0),
        None => {
            let (last, index) = (*all.last()?, all.len() - 1);
            let most = last.get_num_args().map_or(1, |range| range.max_values());
            let takes_more =
                matches!(last.get_action(), ArgAction::Append) && most == 1 || most > positionals - index;
            takes_more.then(|| value(last, "", typed, positionals - index))?
        }
    }
}

/// A word that begins with a dash.
enum Word<'a> {
    /// `--`: only positional words follow.
    End,
    /// A flag, with the argument whose value the next word is.
    Flag(Option<&'a Arg>),
}

fn flag<'a>(command: &'a Command, word: &str) -> Option<Word<'a>> {
    if word == "--" {
        return Some(Word::End);
    }
    if word.starts_with("--") {
        let has_value = word.contains('=');
        return Some(Word::Flag(long(command, word).filter(|arg| !has_value && takes_value(arg))));
    }
    let letters = word.strip_prefix('-').filter(|letters| !letters.is_empty())?;
    // The value of a short flag may follow in the same word.
    let with_value = letters.char_indices().find_map(|(at, letter)| {
        let arg = command.get_arguments().find(|arg| arg.get_short() == Some(letter))?;
        takes_value(arg).then_some((at + letter.len_utf8() == letters.len(), arg))
    });
    Some(Word::Flag(with_value.and_then(|(is_last, arg)| is_last.then_some(arg))))
}

fn long<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.strip_prefix("--")?;
    let is_named = |arg: &&Arg| {
        arg.get_long() == Some(name) || arg.get_all_aliases().unwrap_or_default().contains(&name)
    };
    command.get_arguments().find(is_named).filter(|arg| takes_value(arg))
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// Splits a list, as in `--columns address,ki`, before its last value.
fn last_of_list(arg: &Arg, before: &str, typed: &str) -> (String, String) {
    let at = arg.get_value_delimiter().and_then(|comma| Some(typed.rfind(comma)? + comma.len_utf8()));
    let (list, last) = typed.split_at(at.unwrap_or_default());
    (format!("{before}{list}"), last.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::CommandFactory;

    fn slot(line: &[&str]) -> String {
        let mut cli = Cli::command();
        cli.build();
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        match find(&cli, &words) {
            None => "nothing".into(),
            Some(Slot::Verb) => "verb".into(),
            Some(Slot::Flag(command)) => format!("flag of {}", command.get_name()),
            Some(Slot::Action(command)) => format!("action of {}", command.get_name()),
            Some(Slot::Value(value)) => {
                format!(
                    "{} {}+{} {}|{}",
                    value.verb,
                    value.arg.get_id(),
                    value.nth,
                    value.before,
                    value.typed
                )
            }
        }
    }

    #[test]
    fn the_slot_is_found() {
        for (line, expected) in [
            (&[""][..], "verb"),
            (&["l"], "verb"),
            (&["-"], "flag of stoop"),
            (&["help", ""], "verb"),
            (&["help", "ls", ""], "nothing"),
            (&["nosuch", ""], "nothing"),
            (&["ls", ""], "ls which+0 |"),
            (&["ls", "./a", "./b", "@"], "ls which+2 |@"),
            (&["ls", "--"], "flag of ls"),
            (&["ls", "--kind", "d"], "ls kind+0 |d"),
            (&["ls", "--kind=d"], "ls kind+0 --kind=|d"),
            (&["ls", "--kind=dgram", ""], "ls which+0 |"),
            (&["ls", "--all", ""], "ls which+0 |"),
            (&["ls", "--", "-x", ""], "ls which+1 |"),
            (&["ls", "--columns", "address,ki"], "ls columns+0 address,|ki"),
            (&["ls", "--columns=address,ki"], "ls columns+0 --columns=address,|ki"),
            (&["who", "./a", ""], "nothing"),
            (&["tree", "-o", "x"], "tree output+0 |x"),
            (&["tree", "-qo", "x"], "tree output+0 |x"),
            (&["tree", "-ox", ""], "tree which+0 |"),
            (&["serve", "--kind", "dgram", "./"], "serve address+0 |./"),
            (&["completions", ""], "completions shell+0 |"),
            (&[], "nothing"),
        ] {
            assert_eq!(slot(line), expected, "{line:?}");
        }
    }

    #[cfg(feature = "grpc")]
    #[test]
    fn actions_have_slots_of_their_own() {
        for (line, expected) in [
            (&["cri", ""][..], "action of cri"),
            (&["cri", "p"], "action of cri"),
            (&["cri", "-r", "./x.sock", "lo"], "action of cri"),
            (&["cri", "-r", "./x"], "cri endpoint+0 |./x"),
            (&["cri", "--"], "flag of cri"),
            (&["cri", "logs", ""], "cri id+0 |"),
            (&["cri", "logs", "--"], "flag of logs"),
            (&["cri", "logs", "--tail", "5", "we"], "cri id+0 |we"),
            (&["cri", "rm", "a", "b"], "cri ids+1 |b"),
            (&["cri", "containers", "--state=e"], "cri state+0 --state=|e"),
            (&["cri", "exec", "-it", "web", "s"], "cri command+0 |s"),
            (&["cri", "nosuch", ""], "nothing"),
        ] {
            assert_eq!(slot(line), expected, "{line:?}");
        }
        let mut cli = Cli::command();
        cli.build();
        let words = ["cri", "-r", "./x.sock", "logs", "w"].map(str::to_owned);
        let Some(Slot::Value(value)) = find(&cli, &words) else { panic!("a value") };
        assert_eq!((value.action, value.before_action), (Some("logs"), 3));
    }

    #[cfg(feature = "http")]
    #[test]
    fn a_request_has_one_word_or_two() {
        assert_eq!(slot(&["http", "docker", ""]), "http request+0 |");
        assert_eq!(slot(&["http", "docker", "POST", ""]), "http request+1 |");
        assert_eq!(slot(&["http", "docker", "POST", "/x", ""]), "nothing");
        assert_eq!(slot(&["http", "-H", "a: b", "do"]), "http endpoint+0 |do");
    }
}
