//! Finds well-known secrets in text, one byte after the other. Pure.
//!
//! The name of a secret stands in front of it. Therefore each byte can be judged when it comes, and
//! it makes no difference in how many pieces the text comes.

/// Headers whose value is a secret: to the end of the line.
const HEADERS: &[&str] = &[
    "authorization",
    "x-registry-auth",
    "x-registry-config",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-vault-token",
    "x-amz-security-token",
];

/// Assignments whose value is a secret. Longer names may end in these.
const ASSIGNED: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "signature",
    "api_key",
    "api-key",
    "apikey",
    "access_key",
    "access-key",
    "secret_key",
    "secret-key",
    "private_key",
    "subscription-key",
];

/// The same, but not as the end of a longer name.
const ASSIGNED_ALONE: &[&str] = &["sig", "jwt", "pass"];

/// JSON members whose value is a secret: a string, or each string of an array.
const MEMBERS: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "token",
    "auth",
    "identitytoken",
    "identity_token",
    "registrytoken",
    "registry_token",
    "accesstoken",
    "access_token",
    "refreshtoken",
    "refresh_token",
    "clientsecret",
    "client_secret",
    "apikey",
    "api_key",
    "privatekey",
    "private_key",
];

/// JSON members whose name ends like this are secrets, too: `hashedPassword`.
const MEMBER_ENDS: &[&str] = &["password", "passwd", "passphrase", "tokenpin"];

/// JSON members that have environment variables: strings such as `NAME=value`, objects with a
/// `value`, or an object that has each variable as a member.
const ENVIRONMENTS: &[&str] = &["env", "envs"];

/// Words of SQL behind which stands what identifies an account.
const IDENTIFIES: &[&str] = &["by", "as", "using", "replace"];

/// What a byte of a secret becomes.
pub(super) const MASK: u8 = b'*';

/// The longest name, and one byte more: no longer one is a name that is looked for.
const NAME_MAX: usize = 24;

/// Judges the bytes of a text in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    /// The name that the last bytes are, in lower case.
    name: Name,
    state: State,
    environment: Option<Environment>,
    url: Url,
    /// What comes, or came last, behind the colon in a URL.
    candidate: Option<Box<Candidate>>,
    /// Whether it has just ended, and was not a password.
    is_innocent: bool,
    /// Whether a statement of SQL has said that an account is identified by something.
    is_identified: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Plain,
    /// Blanks between a name and its secret.
    Before(Until),
    /// Within a secret.
    Within(Until),
    /// This quote ends a secret of SQL, unless another one follows.
    QuoteOfSql(u8),
    /// Behind the name of a JSON member, and whether its colon has come.
    Member(Member, bool),
    /// Within so many arrays that a JSON member has, whose strings are secrets.
    Array(u32),
    /// Behind a word of SQL that a quoted secret may follow.
    Sql,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Secret,
    Environment,
}

/// What ends a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Line,
    Separator,
    /// The same, but what is quoted behind this parenthesis is a secret, too.
    Parenthesis,
    /// This quote, or the end of the line.
    Quote(u8),
    /// This quote in a statement of SQL, unless it is escaped.
    Sql {
        quote: u8,
        is_escaped: bool,
    },
    /// The end of the password in a URL, if it is one.
    Url,
    /// The end of a JSON string.
    Json {
        is_escaped: bool,
        arrays: u32,
    },
}

impl Secrets {
    /// Returns whether this byte is part of a secret.
    pub(super) fn is_secret(&mut self, byte: u8) -> bool {
        if let Some(environment) = &mut self.environment {
            let (is_secret, goes_on) = environment.byte(byte);
            if !goes_on {
                self.forget();
            }
            return is_secret;
        }
        match self.state {
            State::Plain => self.plain(byte),
            State::Before(until) => return self.before(until, byte),
            State::Within(until) => return self.within(until, byte),
            State::QuoteOfSql(quote) if byte == quote => self.state = in_sql(quote),
            State::Member(member, has_colon) => self.member(member, has_colon, byte),
            State::Array(arrays) => self.array(arrays, byte),
            State::Sql => match byte {
                b'\'' | b'"' => self.state = in_sql(byte),
                // A string in dollars, and the letter of one with escapes.
                b'$' => self.state = State::Within(Until::Line),
                b'E' | b'e' => {}
                b'=' => self.state = State::Before(Until::Separator),
                b' ' | b'\t' | b'\r' | b'\n' | b'(' => {}
                byte => self.again(byte),
            },
            State::QuoteOfSql(_) => self.again(byte),
        }
        false
    }

    /// Returns whether the next byte is part of a secret, unless it ends it.
    pub(super) fn is_within(&self) -> bool {
        let is_within = matches!(self.state, State::Before(_) | State::Within(_) | State::Array(_));
        is_within || self.environment.as_ref().is_some_and(Environment::is_within)
    }

    /// Some bytes were not seen. A secret that has begun is taken to continue behind them.
    pub(super) fn gap(&mut self) {
        match self.state {
            // It is unknown whether they end within a string.
            State::Array(arrays) => self.state = State::Within(Until::Json { is_escaped: false, arrays }),
            _ if self.is_within() => {}
            _ => self.forget(),
        }
    }

    /// Overwrites the secrets in the next bytes.
    pub(super) fn mask(&mut self, bytes: &mut [u8]) {
        for at in 0..bytes.len() {
            if self.is_secret(bytes[at]) {
                bytes[at] = MASK;
            }
            if let Some(text) = self.innocent() {
                let len = text.len().min(at);
                bytes[at - len..at].copy_from_slice(&text[text.len() - len..]);
                self.is_innocent = false;
            }
        }
    }

    /// Returns the bytes in front of the last one that were taken for a secret, and are none.
    fn innocent(&self) -> Option<&[u8]> {
        self.candidate.as_deref().filter(|_| self.is_innocent)?.text()
    }

    /// Returns whether there are such bytes.
    pub(super) fn take_innocent(&mut self) -> bool {
        let has_some = self.innocent().is_some_and(|text| !text.is_empty());
        self.is_innocent = false;
        has_some
    }

    /// Returns whether the last bytes of a text are such.
    pub(super) fn is_innocent_end(&self) -> bool {
        let is_port = || self.candidate.as_ref().is_some_and(|candidate| candidate.is_port());
        self.state == State::Within(Until::Url) && is_port()
    }

    fn forget(&mut self) {
        *self = Secrets::default();
    }

    fn again(&mut self, byte: u8) {
        self.state = State::Plain;
        self.plain(byte);
    }

    fn plain(&mut self, byte: u8) {
        self.url = self.url.next(byte, self.name.len > 0);
        if self.name.push(byte) {
            return;
        }
        if self.url == Url::Password {
            self.url = Url::No;
            self.name.begin(false);
            self.state = State::Within(Until::Url);
            self.candidate = None;
            return;
        }
        let name = self.name.text();
        let is = |names: &[&str]| names.iter().any(|known| known.as_bytes() == name);
        let ends_in = |names: &[&str]| names.iter().any(|known| name.ends_with(known.as_bytes()));
        self.state = match byte {
            b':' if ends_in(HEADERS) => State::Before(Until::Line),
            b'=' if ends_in(ASSIGNED) || is(ASSIGNED_ALONE) => State::Before(Until::Separator),
            b'"' if self.name.is_quoted && (is(MEMBERS) || ends_in(MEMBER_ENDS)) => {
                State::Member(Member::Secret, false)
            }
            b'"' if self.name.is_quoted && is(ENVIRONMENTS) => State::Member(Member::Environment, false),
            b' ' | b'\t' | b'\r' | b'\n' | b'(' if is(&["password"]) => State::Sql,
            b' ' | b'\t' | b'\r' | b'\n' if is(IDENTIFIES) && self.is_identified => State::Sql,
            b'\'' if is(&["password"]) => in_sql(byte),
            b'\'' | b'"' if is(IDENTIFIES) && self.is_identified => in_sql(byte),
            _ => State::Plain,
        };
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => self.is_identified |= is(&["identified"]),
            b';' | b'\0' => self.is_identified = false,
            _ => {}
        }
        self.name.begin(byte == b'"');
    }

    fn before(&mut self, until: Until, byte: u8) -> bool {
        match byte {
            b' ' | b'\t' => return false,
            b'"' | b'\'' if until == Until::Separator => {
                self.state = State::Within(Until::Quote(byte));
                return false;
            }
            _ => {}
        }
        self.state = State::Within(until);
        self.within(until, byte)
    }

    fn within(&mut self, until: Until, byte: u8) -> bool {
        let is_end = match until {
            Until::Line => matches!(byte, b'\r' | b'\n'),
            Until::Parenthesis if matches!(byte, b'"' | b'\'') => {
                self.state = in_sql(byte);
                return false;
            }
            Until::Separator | Until::Parenthesis => {
                let until = if byte == b'(' { Until::Parenthesis } else { Until::Separator };
                self.state = State::Within(until);
                matches!(byte, b'&' | b';' | b',' | b'"' | b'\'') || byte.is_ascii_whitespace()
            }
            Until::Quote(quote) => byte == quote || matches!(byte, b'\r' | b'\n'),
            Until::Sql { quote, is_escaped } => {
                self.state = State::Within(Until::Sql { quote, is_escaped: byte == b'\\' && !is_escaped });
                byte == quote && !is_escaped
            }
            Until::Url => {
                let candidate = self.candidate.get_or_insert_default();
                let is_end = candidate.is_ended_by(byte);
                candidate.push(byte);
                self.is_innocent = is_end && byte != b'@';
                is_end
            }
            Until::Json { is_escaped, arrays } => {
                let escapes = byte == b'\\' && !is_escaped;
                self.state = State::Within(Until::Json { is_escaped: escapes, arrays });
                byte == b'"' && !is_escaped
            }
        };
        // No text has a zero byte: it ends a string of a binary protocol.
        if !is_end && byte != 0 {
            return true;
        }
        self.state = match until {
            Until::Sql { quote, .. } if is_end => State::QuoteOfSql(quote),
            Until::Json { arrays: arrays @ 1.., .. } if is_end => State::Array(arrays),
            _ => State::Plain,
        };
        self.name.begin(false);
        false
    }

    fn member(&mut self, member: Member, has_colon: bool, byte: u8) {
        match (member, byte) {
            (_, b':') if !has_colon => self.state = State::Member(member, true),
            (_, byte) if byte.is_ascii_whitespace() => {}
            (Member::Secret, b'"') if has_colon => {
                self.state = State::Within(Until::Json { is_escaped: false, arrays: 0 });
            }
            (Member::Secret, b'[') if has_colon => self.state = State::Array(1),
            (Member::Environment, b'[' | b'{') if has_colon => {
                self.environment = Some(Environment::new(byte == b'{'));
            }
            _ => self.again(byte),
        }
    }

    /// Takes a byte between the elements of an array. Objects among them name their own secrets.
    fn array(&mut self, arrays: u32, byte: u8) {
        self.state = match byte {
            b'"' => State::Within(Until::Json { is_escaped: false, arrays }),
            b'[' => State::Array(arrays.saturating_add(1)),
            b']' if arrays > 1 => State::Array(arrays - 1),
            b'{' | b']' | b'\0' => return self.again(byte),
            _ => return,
        };
    }
}

/// Within a secret of SQL that this quote has begun.
fn in_sql(quote: u8) -> State {
    State::Within(Until::Sql { quote, is_escaped: false })
}

/// How much of a URL has come, up to the password in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Url {
    #[default]
    No,
    /// A colon behind a name.
    Scheme,
    Slash,
    /// Who logs in, or the host.
    Authority,
    /// What follows is a password, or a port.
    Password,
}

impl Url {
    /// Returns what it is with the next byte, which may be behind a name.
    fn next(self, byte: u8, is_behind_name: bool) -> Url {
        match (self, byte) {
            (Url::Authority, b':') => Url::Password,
            (Url::Authority, b'@' | b'[') => Url::No,
            (Url::Authority, byte) if !ends_authority(byte) => Url::Authority,
            (_, b':') if is_behind_name => Url::Scheme,
            (Url::Scheme, b'/') => Url::Slash,
            (Url::Slash, b'/') => Url::Authority,
            // JSON may escape them.
            (Url::Scheme | Url::Slash, b'\\') => self,
            _ => Url::No,
        }
    }
}

/// Returns whether a byte ends the part of a URL in which a password may be.
fn ends_authority(byte: u8) -> bool {
    byte == b'@' || ends_url(byte) || matches!(byte, b'/' | b'?' | b'#' | b'<' | b'>' | b'\\' | b'`' | b'|')
}

fn ends_url(byte: u8) -> bool {
    byte == b'"' || byte.is_ascii_whitespace() || byte.is_ascii_control()
}

/// What stands where a URL has a password, a port, or in a name that is like one something else. It
/// is a password if an `@` follows.
#[derive(Clone, Debug)]
struct Candidate {
    bytes: [u8; CANDIDATE_MAX],
    len: usize,
    is_too_long: bool,
    is_digits: bool,
}

/// Longer ones are taken for passwords.
const CANDIDATE_MAX: usize = 40;
/// As many digits has a port.
const PORT_MAX: usize = 5;

impl Default for Candidate {
    fn default() -> Candidate {
        Candidate { bytes: [0; CANDIDATE_MAX], len: 0, is_too_long: false, is_digits: true }
    }
}

impl Candidate {
    fn push(&mut self, byte: u8) {
        self.is_digits &= byte.is_ascii_digit();
        match self.bytes.get_mut(self.len) {
            Some(next) => (*next, self.len) = (byte, self.len + 1),
            None => self.is_too_long = true,
        }
    }

    fn is_port(&self) -> bool {
        self.is_digits && self.len <= PORT_MAX
    }

    /// A password may have characters in it that a URL encodes. Not so a port.
    fn is_ended_by(&self, byte: u8) -> bool {
        let ends_port = || ends_authority(byte) || matches!(byte, b',' | b';' | b')' | b']' | b'}' | b'\'');
        byte == b'@' || ends_url(byte) || self.is_port() && ends_port()
    }

    /// Returns it without the byte that ends it, if it is known as a whole.
    fn text(&self) -> Option<&[u8]> {
        self.bytes.get(..self.len.checked_sub(1)?).filter(|_| !self.is_too_long)
    }
}

/// A run of letters that may be a name.
#[derive(Clone, Debug, Default)]
struct Name {
    bytes: [u8; NAME_MAX],
    len: usize,
    /// Whether a quote stands in front of it.
    is_quoted: bool,
}

impl Name {
    /// Adds a byte. Returns `false` if names have no such byte.
    fn push(&mut self, byte: u8) -> bool {
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
            return false;
        }
        if self.len == NAME_MAX {
            // It is the end that counts. No name that is looked for as a whole has this length.
            self.bytes.rotate_left(1);
            self.len = NAME_MAX - 1;
        }
        self.bytes[self.len] = byte.to_ascii_lowercase();
        self.len += 1;
        true
    }

    fn text(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn begin(&mut self, is_quoted: bool) {
        (self.len, self.is_quoted) = (0, is_quoted);
    }
}

/// An array or an object that has environment variables.
#[derive(Clone, Debug)]
struct Environment {
    /// Whether its members are the variables, or else its elements.
    is_map: bool,
    depth: u32,
    string: Option<StringOf>,
    /// The last string.
    name: Name,
    /// Whether the next string is the value of a member.
    is_value: bool,
}

/// A string in an environment.
#[derive(Clone, Copy, Debug)]
struct StringOf {
    is_secret: bool,
    is_escaped: bool,
}

impl Environment {
    fn new(is_map: bool) -> Environment {
        Environment { is_map, depth: 1, string: None, name: Name::default(), is_value: false }
    }

    fn is_within(&self) -> bool {
        self.string.is_some_and(|string| string.is_secret)
    }

    /// Returns whether the byte is a secret, and whether more follows.
    fn byte(&mut self, byte: u8) -> (bool, bool) {
        if byte == 0 {
            return (false, false);
        }
        if let Some(string) = &mut self.string {
            return (in_string(string, &mut self.name, byte).unwrap_or_else(|| self.end_string()), true);
        }
        match byte {
            b'"' => {
                let is_variable = self.is_map && self.depth == 1 || self.name.text() == b"value";
                let is_secret = self.is_value && is_variable;
                self.string = Some(StringOf { is_secret, is_escaped: false });
                self.name.begin(true);
            }
            b':' => self.is_value = true,
            b',' => self.is_value = false,
            b'[' | b'{' => (self.depth, self.is_value) = (self.depth + 1, false),
            b']' | b'}' => (self.depth, self.is_value) = (self.depth - 1, false),
            _ => {}
        }
        (false, self.depth > 0)
    }

    fn end_string(&mut self) -> bool {
        self.string = None;
        false
    }
}

/// Returns whether a byte of a string is a secret; `None` if it ends the string.
fn in_string(string: &mut StringOf, name: &mut Name, byte: u8) -> Option<bool> {
    if byte == b'"' && !string.is_escaped {
        return None;
    }
    string.is_escaped = byte == b'\\' && !string.is_escaped;
    if string.is_secret {
        return Some(true);
    }
    if !name.push(byte) {
        name.begin(false);
    }
    string.is_secret = byte == b'=';
    Some(false)
}

/// Returns whether a variable of this name is a secret, such as `HTTP_COOKIE` or `DB_PASSWORD`.
pub(super) fn is_secret_name(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    // The working directory.
    if matches!(&name[..], b"pwd" | b"oldpwd") {
        return false;
    }
    let as_header: Vec<u8> = name.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
    let is_header = HEADERS.iter().any(|known| as_header.ends_with(known.as_bytes()));
    is_header || ASSIGNED.iter().any(|known| name.ends_with(known.as_bytes())) || name.ends_with(b"_pw")
}
