//! Conversations with planted secrets, cut anywhere.

use proptest::prelude::*;

use super::super::hpack::encoded;
use super::super::methods::{Field, Fields};
use super::super::{Dialogue, Kind, Line};
use super::*;

const CLIENT: Side = Side::First;
const SERVER: Side = Side::Second;
/// It must be there afterwards.
const KEPT: &str = "kept-text";

type Conversation = Vec<(Side, Vec<u8>)>;

/// A message whose field 1 is text, 2 a secret, 3 such a message, 4 a variable.
#[derive(Debug)]
struct Schema;

impl Fields for Schema {
    fn field(&self, number: u32) -> Field {
        match number {
            2 => Field::Secret,
            3 => Field::Message(Arc::new(Schema)),
            4 => Field::Variable,
            _ => Field::Text,
        }
    }
}

impl Methods for Schema {
    fn streams(&self, _method: &str) -> Option<bool> {
        Some(false)
    }

    fn fields(&self, method: &str, _is_response: bool) -> Option<Arc<dyn Fields>> {
        method.starts_with("/known.").then_some(Arc::new(Schema))
    }
}

fn masker() -> Masker {
    Masker::new(SocketKind::STREAM).with_methods(Arc::new(Schema))
}

fn text(parts: &[&str]) -> Vec<u8> {
    parts.concat().into_bytes()
}

fn http1(secret: &str) -> Conversation {
    let body = format!(
        r#"{{"name":"{KEPT}","Password": "{secret}","Env":["A={secret}","B={KEPT2}"],"auth":{{"identityToken":"{secret}"}}}}"#,
        KEPT2 = secret
    );
    let (one, other) = body.split_at(body.len() / 3);
    let chunked = format!("{:x}\r\n{one}\r\n{:x};x=y\r\n{other}\r\n0\r\n\r\n", one.len(), other.len());
    let head = format!(
        "POST /a?token={secret}&b={KEPT} HTTP/1.1\r\nHost: {KEPT}\r\nAuthorization: Basic {secret}\r\n\
         Referer: https://u:x{in_url}@{KEPT}/?b=1&sig={secret}\r\n\
         Content-Type: application/json\r\n",
        in_url = secret.replace('@', "%40")
    );
    let whole = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let parts = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunked}");
    let zipped = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\nSet-Cookie: {secret}\r\n\r\n{secret}",
        secret.len()
    );
    let answer = "HTTP/1.1 204 No Content\r\nServer: kept-text\r\n\r\n";
    let upgrade = "GET /up HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: redis\r\n\r\n";
    let upgraded = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    let mut all = vec![
        (CLIENT, text(&[&whole, &parts])),
        (SERVER, text(&[&zipped, answer])),
        (CLIENT, text(&[upgrade])),
        (SERVER, text(&[upgraded])),
    ];
    all.extend(redis(secret));
    all
}

fn redis(secret: &str) -> Conversation {
    let command = |words: &[&str]| {
        let word = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
        let words_text: String = words.iter().map(word).collect();
        format!("*{}\r\n{words_text}", words.len())
    };
    let commands = [
        command(&["AUTH", "user", secret]),
        command(&["HELLO", "3", "auth", "user", secret]),
        command(&["SET", KEPT, &format!(r#"{{"token":"{secret}"}}"#)]),
        command(&["CONFIG", "SET", "requirepass", secret]),
        command(&["ACL", "SETUSER", "user", &format!(">{secret}")]),
        command(&["MIGRATE", "h", "1", "", "0", "9", "AUTH2", "user", secret]),
        command(&["GET", KEPT]),
    ];
    vec![(CLIENT, text(&[&commands.concat()])), (SERVER, b"+OK\r\n".repeat(7))]
}

fn postgres(secret: &str) -> Conversation {
    let message =
        |letter: u8, body: &[u8]| [&[letter][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat();
    let startup = b"\0\x03\0\0user\0kept-text\0\0".to_vec();
    let startup = [&(startup.len() as u32 + 4).to_be_bytes()[..], &startup].concat();
    let alter = format!("ALTER USER u PASSWORD '{secret}' VALID UNTIL '{KEPT}'\0");
    let wanted = format!("select '{KEPT}', 'password={secret}'\0");
    vec![
        (CLIENT, b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec()),
        (SERVER, b"N".to_vec()),
        (CLIENT, startup),
        (SERVER, message(b'R', &[0, 0, 0, 3])),
        (CLIENT, message(b'p', format!("{secret}\0").as_bytes())),
        (SERVER, [message(b'R', &[0; 4]), message(b'Z', b"I")].concat()),
        (CLIENT, [message(b'Q', alter.as_bytes()), message(b'Q', wanted.as_bytes())].concat()),
        (SERVER, [message(b'C', b"ALTER\0"), message(b'Z', b"I")].concat()),
    ]
}

fn mysql(secret: &str) -> Conversation {
    let packet =
        |number: u8, body: &[u8]| [&(body.len() as u32).to_le_bytes()[..3], &[number], body].concat();
    let greeting = b"\x0a8.0.36\0\x01\0\0\0abcdefgh\0\xff\xf7\x21\x02\0\xff\xc1\x15".to_vec();
    let mut login = (1u32 << 9 | 1 << 15 | 1 << 19 | 1 << 21).to_le_bytes().to_vec();
    login.resize(32, 0);
    login.extend(b"kept-text\0");
    login.push(secret.len() as u8);
    login.extend(secret.as_bytes());
    login.extend(b"kept-text\0mysql_native_password\0");
    let alter = format!("\x03ALTER USER u IDENTIFIED BY '{secret}' COMMENT '{KEPT}'");
    let change = [b"\x11user\0", &[secret.len() as u8][..], secret.as_bytes(), b"kept-text\0"].concat();
    vec![
        (SERVER, packet(0, &greeting)),
        (CLIENT, packet(1, &login)),
        (SERVER, packet(2, b"\xfemysql_clear_password\0")),
        (CLIENT, packet(3, format!("{secret}\0").as_bytes())),
        (SERVER, packet(4, &[0, 0, 0, 2, 0, 0, 0])),
        (CLIENT, packet(0, alter.as_bytes())),
        (SERVER, packet(1, &[0, 0, 0, 2, 0, 0, 0])),
        (CLIENT, packet(0, &change)),
        (SERVER, packet(1, &[0, 0, 0, 2, 0, 0, 0])),
        (CLIENT, packet(0, format!("\x03select '{KEPT}'").as_bytes())),
    ]
}

fn fastcgi(secret: &str) -> Conversation {
    let record = |kind: u8, content: &[u8], padding: usize| {
        let [high, low] = (content.len() as u16).to_be_bytes();
        [&[1, kind, 0, 1, high, low, padding as u8, 0][..], content, &vec![0; padding]].concat()
    };
    let pair = |name: &str, value: &str| {
        let lengths = [&[name.len() as u8][..], &(value.len() as u32 | 1 << 31).to_be_bytes()].concat();
        [&lengths[..], name.as_bytes(), value.as_bytes()].concat()
    };
    let parameters = [
        pair("REQUEST_METHOD", "POST"),
        pair("HTTP_AUTHORIZATION", secret),
        pair("REQUEST_URI", &format!("/kept-text?password={secret}&x=1")),
        pair("HTTP_COOKIE", secret),
        pair("DB_PASSWORD", secret),
    ]
    .concat();
    let (one, other) = parameters.split_at(parameters.len() / 2);
    let body = format!("user=u&password={secret}&kept-text=1");
    vec![
        (
            CLIENT,
            [
                record(1, &[0, 1, 0, 0, 0, 0, 0, 0], 0),
                record(4, one, 3),
                record(4, other, 0),
                record(4, b"", 0),
                record(5, body.as_bytes(), 1),
                record(5, b"", 0),
            ]
            .concat(),
        ),
        (SERVER, [record(6, b"Status: 404 kept-text\r\n\r\n", 0), record(3, &[0; 8], 0)].concat()),
    ]
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let len = bytes.len();
    let len = if len < 128 { vec![len as u8] } else { vec![len as u8 | 0x80, (len >> 7) as u8] };
    [&[number << 3 | 2][..], &len, bytes].concat()
}

fn message(secret: &str) -> Vec<u8> {
    let inner = [field(1, KEPT.as_bytes()), field(2, secret.as_bytes()), vec![8 << 3, 200, 1]].concat();
    let variable = format!("NAME={secret}");
    [field(1, KEPT.as_bytes()), field(3, &inner), field(4, variable.as_bytes()), vec![5 << 3 | 5, 1, 2, 3, 4]]
        .concat()
}

fn ttrpc(secret: &str) -> Conversation {
    let frame = |kind: u8, payload: &[u8]| {
        [&(payload.len() as u32).to_be_bytes()[..], &[0, 0, 0, 1, kind, 0], payload].concat()
    };
    let timeout = [4 << 3, 0x80, 0x88, 0x01];
    let call = [field(1, b"known.Service"), field(2, b"Call"), field(3, &message(secret)), timeout.to_vec()];
    vec![
        (CLIENT, frame(1, &call.concat())),
        (SERVER, frame(2, &[field(1, b""), field(2, &message(secret))].concat())),
    ]
}

/// A header: with a name from the static table or a new one, to be remembered or not.
fn header(form: u8, name: Result<u8, &str>, value: &str, is_coded: bool) -> Vec<u8> {
    let string = |text: &str| {
        let (flag, bytes) = if is_coded { (0x80, encoded(text.as_bytes())) } else { (0, text.into()) };
        let mut out = match bytes.len() {
            len @ ..127 => vec![flag | len as u8],
            len => vec![flag | 127, (len - 127) as u8 & 0x7f | 0x80, ((len - 127) >> 7) as u8],
        };
        out.extend(bytes);
        out
    };
    let prefix_max = if form == 0x40 { 63 } else { 15 };
    match name {
        Ok(index) if index < prefix_max => [vec![form | index], string(value)].concat(),
        Ok(index) => [vec![form | prefix_max, index - prefix_max], string(value)].concat(),
        Err(name) => [vec![form], string(name), string(value)].concat(),
    }
}

fn http2(secret: &str, is_coded: bool, form: u8) -> Conversation {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        [&(payload.len() as u32).to_be_bytes()[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let data = |secret: &str| {
        let message = message(secret);
        [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat()
    };
    // What its sender calls sensitive is overwritten.
    let open = if form == 0x10 { 0 } else { form };
    let path = format!("/known.Service/Call?token={secret}&x={KEPT}");
    let block = |path: &str, kind: &str| {
        [
            vec![0x83, 0x86],
            header(0, Ok(4), path, is_coded),
            header(form, Ok(23), &format!("Bearer {secret}"), is_coded),
            header(form, Ok(31), kind, is_coded),
            header(form, Err("x-api-key"), secret, is_coded),
            header(form, Ok(32), secret, is_coded),
            header(open, Err("x-other"), KEPT, is_coded),
            if form == 0x10 { header(form, Err("x-private"), secret, is_coded) } else { Vec::new() },
        ]
        .concat()
    };
    let grpc = block("/known.Service/Call", "application/grpc");
    let (one, other) = grpc.split_at(grpc.len() / 2);
    let padded = [&[3, 0, 0, 0, 0, 1][..], one, &[0; 3]].concat();
    let json = format!(r#"{{"a":"{KEPT}","token":"{secret}"}}"#);
    let answer = [
        vec![0x88],
        header(form, Ok(31), "application/grpc", is_coded),
        header(form, Ok(55), secret, is_coded),
    ];
    let trailers =
        [header(0, Err("grpc-status"), "0", is_coded), header(open, Err("x-other"), KEPT, is_coded)];
    let zipped = [vec![0x88], header(0, Ok(26), "gzip", is_coded)].concat();
    vec![
        (CLIENT, [super::super::http2::frame::PREFACE, &frame(4, 0, 0, &[])].concat()),
        (SERVER, frame(4, 0, 0, &[])),
        (CLIENT, [frame(1, 0x28, 1, &padded), frame(9, 4, 1, other)].concat()),
        (CLIENT, frame(0, 9, 1, &[&[2][..], &data(secret), &[0, 0]].concat())),
        (SERVER, frame(1, 4, 1, &answer.concat())),
        (SERVER, [frame(0, 0, 1, &data(secret)), frame(1, 5, 1, &trailers.concat())].concat()),
        (CLIENT, frame(1, 4, 3, &block(&path, "application/json"))),
        (CLIENT, frame(0, 1, 3, json.as_bytes())),
        (SERVER, [frame(1, 4, 3, &zipped), frame(0, 1, 3, secret.as_bytes())].concat()),
    ]
}

fn lines(conversation: &Conversation) -> Vec<(Kind, Option<String>, Option<String>)> {
    let mut dialogue = Dialogue::new(SocketKind::STREAM).with_methods(Arc::new(Schema));
    let all: Vec<Line> =
        conversation.iter().flat_map(|(from, bytes)| dialogue.data(*from, 0, bytes, 0)).collect();
    let without_query = |method: String| method.split('?').next().unwrap_or_default().to_owned();
    all.into_iter().map(|line| (line.kind, line.method.map(without_query), line.status)).collect()
}

/// Whether the bits of a string in the code of HPACK are anywhere in the bytes.
fn has_coded(bytes: &[u8], text: &str) -> bool {
    let bits = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:08b}")).collect() };
    let coded = bits(&encoded(text.as_bytes()));
    bits(bytes).contains(&coded[..coded.len() - 7])
}

fn masked(conversation: &Conversation, cuts: &[usize]) -> Conversation {
    let mut masker = masker();
    let mut cuts = cuts.iter().cycle();
    let mut all = conversation.clone();
    for (from, bytes) in &mut all {
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at_mut((*cuts.next().unwrap()).min(rest.len()));
            masker.data(*from, piece);
            rest = behind;
        }
    }
    all
}

/// Nothing of the secret is left, everything else is, and the protocol is understood as before.
fn check(conversation: &Conversation, secret: &str, cuts: &[usize]) {
    let after = masked(conversation, cuts);
    let is_found =
        |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let mut sent = [Vec::new(), Vec::new()];
    for ((from, before), (_, after)) in conversation.iter().zip(&after) {
        assert_eq!(before.len(), after.len());
        sent[from.index()].extend(after);
        let kept =
            |bytes: &[u8]| bytes.windows(KEPT.len()).filter(|window| *window == KEPT.as_bytes()).count();
        assert_eq!(kept(before), kept(after), "{}", String::from_utf8_lossy(after));
    }
    let is_planted = |(_, bytes): &(Side, Vec<u8>)| is_found(bytes, secret) || has_coded(bytes, secret);
    assert!(conversation.iter().any(is_planted));
    for bytes in &sent {
        assert!(!is_found(bytes, secret), "{}", String::from_utf8_lossy(bytes));
        assert!(!has_coded(bytes, secret), "coded");
    }
    assert_eq!(lines(conversation), lines(&after));
}

fn all(secret: &str) -> Vec<Conversation> {
    let mut all: Vec<Conversation> =
        [http1, redis, postgres, mysql, fastcgi, ttrpc].iter().map(|of| of(secret)).collect();
    for form in [0x40, 0x10, 0] {
        all.extend([true, false].map(|is_coded| http2(secret, is_coded, form)));
    }
    all
}

#[test]
fn secrets_are_overwritten_in_every_protocol() {
    for conversation in all("Zx9secret+/=value") {
        check(&conversation, "Zx9secret+/=value", &[usize::MAX]);
    }
}

/// The header of a request looks like that of a frame: from its first byte if it is of some length,
/// and from its second one.
#[test]
fn a_request_of_ttrpc_in_pieces_is_no_frame_of_http2() {
    for secret in ["Zx9secret+/=value".to_owned(), "Zx9-".repeat(23) + "Zx"] {
        for cuts in (8..13).flat_map(|cut| [vec![cut, 18], vec![1, cut]]) {
            check(&ttrpc(&secret), &secret, &cuts);
        }
    }
}

/// However long the part is that shows no protocol, and wherever it is cut.
#[test]
fn the_begin_may_be_cut_anywhere() {
    let secret = "Zx9secret+/=value";
    for conversation in all(secret) {
        (1..64).for_each(|cut| check(&conversation, secret, &[cut, usize::MAX]));
    }
    let mut conversation = mysql(secret);
    let greeting =
        [b"\x0a8.0.36-", &[b'x'; 200][..], b"\0\x01\0\0\0abcdefgh\0\xff\xf7\x21\x02\0\xff\xc1\x15"].concat();
    conversation[0].1 = [&[greeting.len() as u8, 0, 0, 0], &greeting[..]].concat();
    for cuts in [[1, 90, 500], [66, 20, 500], [150, 1, 500]] {
        check(&conversation, secret, &cuts);
    }
    conversation[0].1.extend(b"\x01\0\0\x01\0");
    check(&conversation, secret, &[usize::MAX]);
}

/// What comes before may be text that looks like the begin of another protocol.
#[test]
fn a_protocol_that_begins_after_something_else_is_recognized() {
    let secret = "Zx9secret+/=value";
    for before in ["{\"a\":", "{\"jsonrpc\":", "G", "*", "*1\r", "<1", "l", "J", "text", "Content-Le"] {
        for conversation in all(secret) {
            let text = (conversation[0].0, before.as_bytes().to_vec());
            let whole: Conversation = [&[text][..], &conversation].concat();
            for (_, bytes) in masked(&whole, &[usize::MAX]) {
                let is_left = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(
                    !is_left && !has_coded(&bytes, secret),
                    "{before}: {}",
                    String::from_utf8_lossy(&bytes)
                );
            }
        }
    }
}

/// Of a protocol that is not known, the first bytes are kept, however long they are.
#[test]
fn bytes_of_anything_are_kept() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    for len in [300_000, 60_000, 16_000].into_iter().chain(std::iter::repeat_n(400, 500)) {
        let before: Vec<u8> = (0..len).map(&mut random).collect();
        let mut after = before.clone();
        masker().data(CLIENT, &mut after);
        assert!(before == after, "{len}");
    }
}

/// The server's settings may arrive within the client's preface.
#[test]
fn a_begin_is_remembered_while_the_other_end_shows_the_protocol() {
    let secret = "Zx9secret+/=value";
    let mut conversation = http2(secret, true, 0x40);
    let rest = conversation[0].1.split_off(2);
    conversation.insert(2, (CLIENT, rest));
    check(&conversation, secret, &[usize::MAX]);
}

/// Of a few methods the secrets are known without a schema.
#[test]
fn credentials_of_well_known_methods_are_overwritten_without_a_schema() {
    let auth = |password: &[u8]| field(2, &[field(1, b"user"), field(2, password)].concat());
    let create = |value: &[u8]| {
        let variable = [field(1, b"KEY"), field(2, value)].concat();
        field(2, &[field(1, b"web"), field(6, &variable)].concat())
    };
    let hidden = |service: &str, method: &str, request: &[u8]| {
        let call = [field(1, service.as_bytes()), field(2, method.as_bytes()), field(3, request)].concat();
        let mut frame = [&(call.len() as u32).to_be_bytes()[..], &[0, 0, 0, 1, 1, 0], &call].concat();
        Masker::new(SocketKind::STREAM).data(CLIENT, &mut frame);
        frame.split_off(frame.len() - request.len())
    };
    assert_eq!(hidden("runtime.v1.ImageService", "PullImage", &auth(b"secret")), auth(b"******"));
    assert_eq!(hidden("runtime.v1.RuntimeService", "CreateContainer", &create(b"abc")), create(b"***"));
    let login = |password: &[u8]| [field(1, b"root"), field(2, password)].concat();
    assert_eq!(hidden("etcdserverpb.Auth", "Authenticate", &login(b"pw")), login(b"**"));
    assert_eq!(hidden("etcdserverpb.Auth", "RoleAdd", &login(b"pw")), login(b"pw"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn secrets_are_overwritten_wherever_they_are_cut(
        secret in "[A-Za-z0-9+/=!#$%@_.~^`<{|-]{12,160}",
        cuts in proptest::collection::vec(1usize..40, 1..20),
    ) {
        for conversation in all(&secret) {
            check(&conversation, &secret, &cuts);
        }
    }

    #[test]
    fn anything_is_masked_in_the_same_length(
        pieces in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..10),
        which in 0usize..12,
        cut in 1usize..200,
        gap in 0u64..50,
    ) {
        let mut masker = masker();
        for (from, bytes) in &all("Zx9secret+/=value")[which] {
            masker.data(*from, &mut bytes[..cut.min(bytes.len())].to_vec());
        }
        masker.gap(SERVER, gap);
        for (is_client, bytes) in pieces {
            let mut after = bytes.clone();
            masker.data(if is_client { CLIENT } else { SERVER }, &mut after);
            for (before, after) in bytes.iter().zip(&after) {
                prop_assert!(before == after || which > 5 || *after == MASK);
            }
        }
    }
}
