//! The command line of grpcurl, translated: the same flag under its name here, or the reason why
//! there is none. Pure.
//!
//! grpcurl's flags have one dash or two, and may be given anywhere.

use std::ffi::{OsStr, OsString};

/// A flag of grpcurl that does not exist here.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Its name, without dashes.
    pub(crate) flag: String,
    pub(crate) why: &'static str,
}

/// What a flag of grpcurl is here.
#[derive(Clone, Copy, Debug)]
enum Meaning {
    /// A switch of this name.
    Switch(&'static str),
    /// A flag of this name, with the same value.
    Value(&'static str),
    /// A header of this name.
    Header(&'static str),
    /// Always so: a switch.
    Always,
    /// Without effect on a Unix socket: a flag with a value.
    Without,
    /// Whether the server is asked for definitions.
    Reflection,
    /// There is none, for this reason.
    Refused(&'static str),
}

use Meaning::{Always, Header, Reflection, Refused, Switch, Value, Without};

const NO_TLS: &str =
    "a Unix socket needs no TLS: the kernel keeps other users out, and nothing else is on the way";

/// The flags of grpcurl that are not flags of the same kind here, or have one dash there.
const FLAGS: [(&str, Meaning); 34] = [
    ("plaintext", Always),
    ("unix", Always),
    ("format-error", Always),
    ("help", Switch("help")),
    ("proto", Value("proto")),
    ("import-path", Value("import-path")),
    ("protoset", Value("descriptor-set")),
    ("protoset-out", Value("descriptor-set-out")),
    ("proto-out-dir", Refused("`describe` prints definitions as .proto text: redirect it to a file")),
    ("emit-defaults", Switch("emit-defaults")),
    ("allow-unknown-fields", Switch("allow-unknown-fields")),
    ("msg-template", Switch("template")),
    ("expand-headers", Switch("expand-headers")),
    ("reflect-header", Value("reflect-header")),
    ("rpc-header", Value("rpc-header")),
    ("user-agent", Header("user-agent")),
    ("max-time", Value("timeout")),
    ("connect-timeout", Value("connect-timeout")),
    ("keepalive-time", Without),
    ("max-msg-sz", Value("max-message")),
    ("format", Value("format")),
    ("authority", Value("authority")),
    ("use-reflection", Reflection),
    ("data", Value("data")),
    ("version", Refused("the version is that of stoop: stoop --version")),
    (
        "servername",
        Refused(
            "it is a name to check a certificate by, and a Unix socket needs no TLS; --authority sets the authority",
        ),
    ),
    ("insecure", Refused(NO_TLS)),
    ("cacert", Refused(NO_TLS)),
    ("cert", Refused(NO_TLS)),
    ("key", Refused(NO_TLS)),
    ("alts", Refused(NO_TLS)),
    ("alts-handshaker-service", Refused(NO_TLS)),
    ("alts-target-service-account", Refused(NO_TLS)),
    ("xds", Refused("a Unix socket is found by its address")),
];

/// Translates the flags of grpcurl in the words of `stoop grpc`. Other commands are returned as
/// they are.
pub(crate) fn translate(words: Vec<OsString>) -> Result<Vec<OsString>, Refusal> {
    if words.get(1).is_none_or(|verb| verb != "grpc") {
        return Ok(words);
    }
    let has_files = words.iter().any(|word| {
        split(word).is_some_and(|(name, _)| ["proto", "protoset", "descriptor-set"].contains(&name))
    });
    let mut translated = Vec::with_capacity(words.len());
    let mut rest = words.into_iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            translated.push(word);
            translated.extend(rest);
            break;
        }
        match split(&word)
            .and_then(|(name, value)| Some((meaning(name)?, name.to_owned(), value.map(OsString::from))))
        {
            None => translated.push(word),
            Some((meaning, name, value)) => {
                let value = value.or_else(|| takes_value(meaning).then(|| rest.next()).flatten());
                translated.extend(one(meaning, &name, value, has_files)?);
            }
        }
    }
    Ok(translated)
}

/// The values that turn a switch on.
const ON: [&str; 6] = ["true", "t", "T", "TRUE", "True", "1"];

/// Splits `-name`, `--name`, `-name=value`. Short flags are not meant.
fn split(word: &OsStr) -> Option<(&str, Option<&str>)> {
    let name = word.to_str()?.strip_prefix('-')?;
    let name = name.strip_prefix('-').unwrap_or(name);
    let (name, value) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
    (name.len() > 1).then_some((name, value))
}

fn meaning(name: &str) -> Option<Meaning> {
    FLAGS.iter().find(|(flag, _)| *flag == name).map(|(_, meaning)| *meaning)
}

fn takes_value(meaning: Meaning) -> bool {
    matches!(meaning, Value(_) | Header(_) | Without)
}

/// Returns the words for one flag.
fn one(
    meaning: Meaning,
    name: &str,
    value: Option<OsString>,
    has_files: bool,
) -> Result<Vec<OsString>, Refusal> {
    let is_on = value.as_deref().is_none_or(|value| ON.iter().any(|on| value == *on));
    let flag = |ours: &str| OsString::from(format!("--{ours}"));
    Ok(match meaning {
        Switch(ours) if is_on => vec![flag(ours)],
        Switch(_) | Without => Vec::new(),
        Value(ours) => std::iter::once(flag(ours)).chain(value).collect(),
        Header(key) => {
            let mut header = OsString::from(format!("{key}: "));
            header.push(value.unwrap_or_default());
            vec![flag("header"), header]
        }
        Always if is_on => Vec::new(),
        Always if name == "plaintext" => return Err(refused(name, NO_TLS)),
        Always => {
            return Err(refused(name, "`stoop grpc` is for Unix sockets, and always formats the status"));
        }
        Reflection => match (is_on, has_files) {
            (true, false) | (false, true) => Vec::new(),
            (false, false) => vec![flag("builtin")],
            (true, true) => {
                return Err(refused(
                    name,
                    "definitions are read from files or from the server: leave out one of them",
                ));
            }
        },
        Refused(reason) => return Err(refused(name, reason)),
    })
}

fn refused(name: &str, why: &'static str) -> Refusal {
    Refusal { flag: name.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn translated(line: &str) -> Result<String, String> {
        let words = line.split(' ').map(OsString::from).collect();
        let words = translate(words).map_err(|refusal| format!("{}: {}", refusal.flag, refusal.why))?;
        Ok(words.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn flags_of_grpcurl_are_translated() {
        for (theirs, ours) in [
            ("-plaintext -unix /x list", "/x list"),
            ("--plaintext -unix=true /x list a.B", "/x list a.B"),
            ("-d {} /x a.B/C", "-d {} /x a.B/C"),
            ("/x -max-time 2.5 a.B/C", "/x --timeout 2.5 a.B/C"),
            ("/x -max-time=2 a.B/C", "/x --timeout 2 a.B/C"),
            ("-import-path p -proto a.proto /x list", "--import-path p --proto a.proto /x list"),
            ("-protoset=a.bin /x describe", "--descriptor-set a.bin /x describe"),
            ("-emit-defaults -allow-unknown-fields=false /x C", "--emit-defaults /x C"),
            ("-user-agent me/1 /x C", "--header user-agent: me/1 /x C"),
            ("-max-msg-sz 100 -keepalive-time 3 /x C", "--max-message 100 /x C"),
            ("-use-reflection /x C", "/x C"),
            ("-use-reflection=false /x C", "--builtin /x C"),
            ("-use-reflection=false -proto a /x C", "--proto a /x C"),
            ("-H a:b -v -vv -I p /x C", "-H a:b -v -vv -I p /x C"),
            ("/x C -- -plaintext", "/x C -- -plaintext"),
            ("/x C -", "/x C -"),
            ("--help", "--help"),
        ] {
            assert_eq!(
                translated(&format!("stoop grpc {theirs}")).as_deref(),
                Ok(&*format!("stoop grpc {ours}"))
            );
        }
        assert_eq!(translated("stoop connect -unix /x").as_deref(), Ok("stoop connect -unix /x"));
        assert_eq!(translated("stoop").as_deref(), Ok("stoop"));
    }

    #[test]
    fn values_need_not_be_utf8() {
        let name = OsString::from_vec(b"\xff.proto".to_vec());
        let words = ["stoop", "grpc", "-proto"].map(OsString::from).into_iter().chain([name.clone()]);
        assert_eq!(translate(words.collect()).unwrap()[2..], ["--proto".into(), name]);
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        for (words, reason) in [
            ("-cacert ca.pem /x list", "needs no TLS"),
            ("-plaintext=false /x list", "needs no TLS"),
            ("-servername a /x list", "--authority"),
            ("-use-reflection -proto a /x C", "leave out one"),
            ("-version", "stoop --version"),
        ] {
            let text = translated(&format!("stoop grpc {words}")).unwrap_err();
            assert!(text.contains(reason), "{text}");
        }
    }

    proptest::proptest! {
        /// A command line without flags of grpcurl is left as it is, whatever else it contains.
        #[test]
        fn other_words_are_left_alone(words in proptest::collection::vec("[a-z/.{}:@]{0,6}|--|-[a-z]|--json", 0..8)) {
            let words: Vec<OsString> =
                ["stoop", "grpc"].into_iter().map(OsString::from).chain(words.iter().map(OsString::from)).collect();
            proptest::prop_assert_eq!(translate(words.clone()).unwrap(), words);
        }

        /// Any flags of grpcurl are translated or refused, and what follows `--` stays.
        #[test]
        fn any_words_are_translated_or_refused(flags in proptest::collection::vec(0..FLAGS.len(), 0..5), dashes in "--?", value in "=[a-z0-9]*") {
            let flags = flags.iter().map(|&at| OsString::from(format!("{dashes}{}{value}", FLAGS[at].0)));
            let words: Vec<OsString> = ["stoop", "grpc", "./s"].into_iter().map(OsString::from)
                .chain(flags).chain(["--", "-plaintext"].map(OsString::from)).collect();
            if let Ok(translated) = translate(words) {
                proptest::prop_assert_eq!(&translated[..3], ["stoop", "grpc", "./s"]);
                proptest::prop_assert!(translated.ends_with(&["-plaintext".into()]));
            }
        }
    }
}
