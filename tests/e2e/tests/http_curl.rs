//! `stoop http` and curl side by side: the same command lines, the same server, the same output and
//! the same kind of exit. What differs for a reason is in a table of its own.

use std::fs;
use std::path::Path;

use stoop_e2e::web::fails;
use stoop_e2e::{Output, Run, Running, program, stoop, wait_served};
use stoop_testkit::{TempDir, has_program, skip, tempdir};

/// Command lines of curl: `{}` is the directory of the files, and the URL lacks its
/// `http://localhost`, which `@` stands for.
const LINES: &[&str] = &[
    // The method and the body.
    "@/echo",
    "/echo?a=b&c=%20d",
    "-X DELETE @/echo",
    "-X PATCH -d a=b @/echo",
    "--request PUT --data-binary @{}/binary @/echo -H Content-Type:x/y",
    "-d a=b -d c=d @/echo",
    "-d a=b --data-urlencode n=x&y -d c=d @/echo",
    "--data-urlencode x=ü @/echo",
    "--data-urlencode @{}/text @/echo",
    "--data-urlencode field@{}/text @/echo",
    "--data-raw @plain @/echo",
    "-d @{}/line @/echo -H Content-Type:text/plain",
    "--data-binary @{}/text @/echo -H Content-Type:text/plain",
    "-d  @/echo",
    "-G -d a=b -d c=d @/echo",
    "-G -d a=b @/echo?z=1",
    "-G --data-urlencode q=a~b-c @/echo",
    "-G @/echo",
    "-T {}/text @/echo/name",
    "-T {}/text @/echo/",
    "-T {}/binary -X POST @/echo/name",
    // Forms.
    "-F a=b @/echo",
    "-F a=b -F c=d;type=text/html @/echo",
    "-F file=@{}/text @/echo",
    "-F file=@{}/picture.png @/echo",
    "-F file=@{}/text;type=x/y;filename=other.bin @/echo",
    "-F a=<{}/text @/echo",
    "--form-string a=@b --form-string c=<d;type=e @/echo",
    "-F a=b --form-string c=@d @/echo",
    // Headers.
    "-H X-One:1 -H X-Two: @/echo",
    "-H X-One:1 -H Accept: @/echo",
    "-H @{}/headers @/echo",
    "-H X-One; @/echo",
    "-H Host:other @/echo",
    "-u me:secret @/echo",
    "-u me: @/echo",
    "--oauth2-bearer token @/echo",
    "-A agent/1 @/echo",
    "-e http://from/ @/echo",
    "-b a=1 @/echo",
    "-b a=1;b=2 @/echo",
    "-r 0-4 @/echo",
    "-r -4 @/echo",
    "--basic -u me:secret @/echo",
    "@/echo?q=1#part",
    "--url @/echo",
    "-# -S --no-progress-meter --tcp-nodelay --no-keepalive --keepalive-time 5 @/echo",
    "--data-ascii x @/echo",
    "-G -I -d a=b @/echo",
    "-H Authorization:x -u me:secret @/echo",
    // Output.
    "-i @/status/204",
    "-i @/odd",
    "-i @/many",
    "-I @/echo",
    "--head @/status/404",
    "@/odd",
    "@/chunked",
    "@/no-length",
    "@/large",
    "-i @/interim",
    "-D - @/echo",
    "-D - -o /dev/null @/echo",
    "-o /dev/null -w %{http_code} @/status/418",
    "-o /dev/null -w %{http_code}|%{content_type}|%{size_download}|%{num_redirects}|%{http_version}\\n @/large",
    "-w %{url_effective}|%{method}|%{scheme}|%{errormsg}|%{exitcode}|%header{x-seen}|%%|%{response_code}\\n @/echo",
    "-w %{size_header}|%{redirect_url}|%{num_headers}\\n -o /dev/null @/redirect/302/x",
    "-N -k -g -s -S --path-as-is --http1.1 @/echo",
    // Redirects.
    "@/redirect/302/x",
    "-L @/redirect/302/x",
    "-L -i @/redirect/301/x",
    "-L -d a=b @/redirect/302/x",
    "-L -d a=b @/redirect/303/x",
    "-L -d a=b @/redirect/307/x",
    "-L -X POST -d a=b @/redirect/308/x",
    "-L -d a=b --post301 @/redirect/301/x",
    "-L -d a=b --post302 @/redirect/302/x",
    "-L -d a=b --post303 @/redirect/303/x",
    "-L -d a=b --post301 @/redirect/302/x",
    "-L -T {}/text @/redirect/307/x",
    "-L -u me:secret @/redirect/302/x",
    "-L -u me:secret @/redirect/302/x?http://other/echo",
    "-L -b a=1 @/redirect/302/x?http://other/echo",
    "-L -w %{num_redirects}|%{url_effective} @/redirect/302/x?../../echo/./y",
    "-L -w %{num_redirects} -o /dev/null @/loop",
    "-L --max-redirs 2 -w %{num_redirects} -o /dev/null @/loop",
    "-L --max-redirs 1 @/redirect/302/x",
    "-w %{urlnum}|%{http_connect}|%{ssl_verify_result}|%{header_json} -o /dev/null @/redirect/302/x",
    "-w @{}/text -o /dev/null @/echo",
    // Compression.
    "--compressed @/gzip",
    "--compressed @/deflate",
    "--compressed @/zstd",
    "--compressed @/zstd-frames",
    "--compressed @/raw-deflate",
    "@/gzip",
    "-H Accept-Encoding:gzip @/gzip",
    // Failures.
    "-f @/status/404",
    "-f -i @/status/500",
    "--fail-with-body @/status/503",
    "-f @/echo",
    "-f -o {}/untouched @/status/404",
    "@/cut",
    "@/empty",
    "@/not-http",
    "-m 0.3 @/hang",
    "--max-time 0.3 @/hang",
    "--connect-timeout 5 @/echo",
    "--retry 3 --retry-delay 0 -o {}/out -w %{http_code} @/flaky/X",
    "-f --retry 1 --retry-delay 0 -o {}/out -w %{http_code} @/flaky/Y",
    "-s @/cut",
];

/// curl's command lines that are refused here: the words of the answer.
const REFUSED: &[(&str, &str)] = &[
    ("-c jar @/echo", "cookies are not stored"),
    ("-b jar.txt @/echo", "a cookie is NAME=VALUE"),
    ("-x http://proxy/ @/echo", "without a proxy"),
    ("--cacert x @/echo", "no TLS on a Unix socket"),
    ("-C - @/echo", "not resumed"),
    ("-K config @/echo", "no configuration files"),
    ("--json {\"a\":1} @/echo", "--data"),
    ("@/echo --json {\"a\":1}", "--data"),
    ("-Z @/echo", "makes one request"),
    ("@/echo @/odd", "one request"),
    ("@/{echo,odd}", "one request"),
    ("@/echo?[1-3]", "one request"),
    ("-e ;auto -L @/echo", "the same Referer"),
    ("--stderr x @/echo", "the shell"),
    ("-I -d a @/echo", "--get"),
    ("-J -O @/echo", "does not choose the name"),
    ("-0 @/echo", "HTTP/1.1"),
    ("--trace - @/echo", "-v"),
    ("--limit-rate 1k @/echo", "not limited"),
    ("--digest -u a:b @/echo", "Basic"),
    ("https://localhost/echo", "TLS is not supported"),
];

struct World {
    dir: TempDir,
    socket: String,
    _server: Running,
}

fn world() -> World {
    let dir = tempdir();
    let file = |name: &str, contents: &[u8]| fs::write(dir.path().join(name), contents).unwrap();
    file("text", b"one two\nthree\n");
    file("line", b"one line");
    file("binary", b"a\0b\nc");
    file("picture.png", b"PNG");
    file("headers", b"X-One: from a file\nX-Two: too\n");
    let socket = dir.path().join("s").to_str().unwrap().to_owned();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/curl_server.py");
    let server = program("python3", [script, &socket]).spawn();
    wait_served(&socket);
    World { dir, socket, _server: server }
}

impl World {
    fn words(&self, line: &str, tag: &str) -> Vec<String> {
        let words = line.split(' ').map(|word| match word.strip_prefix("@/") {
            Some(path) => format!("http://localhost/{path}"),
            None => word.replace("{}", self.dir.path().to_str().unwrap()),
        });
        // What the server counts is counted for each of the two.
        words.map(|word| word.replace("/flaky/", &format!("/flaky/{tag}"))).collect()
    }

    fn curl(&self, line: &str) -> Run {
        let mut words = self.words(line, "curl");
        if let Some(path) = words.iter_mut().find(|word| word.starts_with("/echo?")) {
            *path = format!("http://localhost{path}");
        }
        program("curl", ["--unix-socket", &self.socket]).args(words).env("HOME", "/nonexistent")
    }

    fn stoop(&self, line: &str) -> Run {
        stoop(["http", "--unix-socket", &self.socket]).args(self.words(line, "stoop"))
    }
}

/// Returns whether curl's code and that of `stoop` are of one kind.
fn is_same_exit(curl: i32, stoop: i32) -> bool {
    match curl {
        0 => stoop == 0,
        // No server, an error status, a deadline.
        7 | 22 | 28 => stoop == curl,
        // Cut off.
        18 | 52 => stoop == 18,
        // A protocol that is not spoken, here a usage error.
        1 => [2, 3].contains(&stoop),
        _ => stoop == 3,
    }
}

/// Returns standard output without what differs by design: carriage returns in heads.
fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).replace('\r', "")
}

#[test]
fn command_lines_do_what_they_do_in_curl() {
    if !has_program("curl") || !has_program("python3") {
        skip!("lacks curl or python3");
    }
    let world = world();
    let mut differences = Vec::new();
    for line in LINES {
        let (curl, stoop) = (world.curl(line).run(), world.stoop(line).run());
        let tell = |output: &Output| format!("{:?} {:?}\n{}", output.code, shown(output), output.stderr);
        let is_same_exit = is_same_exit(curl.code.unwrap_or(-1), stoop.code.unwrap_or(-1));
        if !is_same_exit || shown(&curl) != shown(&stoop) {
            differences.push(format!("{line}\ncurl:  {}\nstoop: {}", tell(&curl), tell(&stoop)));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n---\n"));
    assert!(!world.dir.path().join("untouched").exists());
}

#[test]
fn what_curl_has_beyond_is_refused_in_words() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let world = world();
    for (line, words) in REFUSED {
        fails(world.stoop(line).run(), 2, &[words]);
    }
}

#[test]
fn verbose_shows_what_was_sent_and_received() {
    if !has_program("curl") || !has_program("python3") {
        skip!("lacks curl or python3");
    }
    let world = world();
    let line = "-v -d a=b -H X-One:1 @/echo";
    // Without order and case, which differ, and curl's remarks.
    let heads = |output: Output| {
        let lines = output.stderr.lines().map(|line| line.trim_end().to_lowercase().replace(": ", ":"));
        let is_head = |line: &String| line.starts_with(['>', '<']) && !line.contains("user-agent");
        let mut lines: Vec<_> = lines.filter(is_head).collect();
        lines.sort();
        lines
    };
    let stoop = world.stoop(line).run().ok();
    assert!(stoop.stderr.contains("> POST /echo HTTP/1.1\n"), "{}", stoop.stderr);
    assert!(stoop.stderr.contains("\n> \n< HTTP/1.1 200 OK\n"), "{}", stoop.stderr);
    assert_eq!(heads(stoop), heads(world.curl(line).run().ok()));
}

#[test]
fn a_body_is_saved_by_the_name_of_the_path() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let world = world();
    let (place, head) = (tempdir(), world.dir.path().join("head"));
    let run = world.stoop("-O @/large?x=/y").args(["-D", head.to_str().unwrap()]);
    run.inside(place.path()).run().ok().stdout_is(b"");
    assert_eq!(fs::read(place.path().join("large")).unwrap().len(), 256_000);
    assert!(fs::read_to_string(head).unwrap().starts_with("HTTP/1.1 200 OK\n"));
    fails(world.stoop("-O @/").inside(place.path()).run(), 2, &["finds no file name"]);
    world.stoop("--output-dir a/b --create-dirs -O @/large").inside(place.path()).run().ok();
    assert_eq!(fs::read(place.path().join("a/b/large")).unwrap().len(), 256_000);
    fails(world.stoop("--output-dir none -O @/large").inside(place.path()).run(), 3, &["no such file"]);
}

#[test]
fn damaged_zstd_is_told() {
    if !has_program("zstd") || !has_program("python3") {
        skip!("lacks zstd or python3");
    }
    let world = world();
    fails(world.stoop("--compressed @/zstd-cut").run(), 3, &["truncated zstd frame"]);
    fails(world.stoop("--compressed @/zstd-wrong").run(), 3, &["the checksum does not match"]);
}

#[test]
fn heads_go_where_the_body_goes() {
    if !has_program("curl") || !has_program("python3") {
        skip!("lacks curl or python3");
    }
    let world = world();
    let file = world.dir.path().join("headed");
    for line in ["-i -o {}/headed @/odd", "-i -o {}/headed -L @/redirect/302/x", "-I -o {}/headed @/odd"] {
        let saved = |run: Run| {
            run.run().ok().stdout_is(b"");
            fs::read_to_string(&file).unwrap().replace('\r', "")
        };
        let expected = saved(world.curl(line));
        // Each shorter than the one before would leave an end of that.
        assert_eq!(saved(world.stoop(line)), expected, "{line}");
        fs::remove_file(&file).unwrap();
    }
    let silent = world.stoop("-s -f @/status/404").run();
    assert_eq!((silent.code, &*silent.stderr), (Some(22), ""));
    let told = world.stoop("-sSf @/status/404").run();
    assert_eq!((told.code, told.stderr.trim_end()), (Some(22), "stoop: the status is 404 My own reason"));
}

#[test]
fn silent_failures_print_nothing() {
    let missing = Path::new("/nonexistent/s").to_str().unwrap();
    let run = |flags: &[&str]| stoop([&["http", missing, "/"], flags].concat()).run();
    for (flags, is_silent) in [(&["-s"][..], true), (&["-sS"], false), (&[], false)] {
        let output = run(flags);
        assert_ne!(output.code, Some(0));
        assert_eq!(output.stderr.is_empty(), is_silent, "{flags:?}: {}", output.stderr);
    }
}
