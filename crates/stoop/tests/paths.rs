//! A path is a path: whatever bytes a file name may have, a server and its clients find each other
//! under exactly that name.

#![expect(
    clippy::disallowed_methods,
    reason = "one test is about the working directory, and runs alone in it"
)]

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use proptest::prelude::*;
use stoop::{Address, Bind, Connect, Datagram, Stream, ToAddress};
use stoop_testkit::{TempDir, tempdir};

/// Any bytes that may be the name of a file.
fn file_name() -> impl Strategy<Value = Vec<u8>> {
    let any_bytes = proptest::collection::vec(1u8.., 1..=255);
    let like_a_prefix = "(unix|abstract|unix-abstract|stream|dgram|fd|@|:|%|%2F|%00|[0-9a-f]| |\n){1,12}";
    prop_oneof![any_bytes, like_a_prefix.prop_map(String::into_bytes)]
        .prop_map(|name| name.into_iter().map(|byte| if byte == b'/' { b'\\' } else { byte }).collect())
        .prop_filter("a file name", |name: &Vec<u8>| !name.is_empty() && name != b"." && name != b"..")
}

fn files_in(directory: &TempDir) -> Vec<OsString> {
    fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

/// A server bound to `at` has the file `path` and no other, and is reached through `at`.
fn serves_exactly(at: impl ToAddress + Copy, path: &Path, directory: &TempDir) {
    let listener = Bind::new(at).listen().unwrap();
    assert_eq!(files_in(directory), [path.file_name().unwrap()]);
    assert_eq!(listener.file().unwrap().path().as_os_str(), path.as_os_str());
    let client = Stream::connect(at).unwrap();
    listener.accept().unwrap();
    drop((client, listener));
    let server = Datagram::bind(at).unwrap();
    Connect::new(at).datagram().unwrap().send(b"hello").unwrap();
    assert_eq!(server.recv_vec().unwrap().0, b"hello");
    drop(server);
    assert!(files_in(directory).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_file_name_is_bound_and_connected_to_byte_for_byte(name in file_name()) {
        let directory = tempdir();
        let path = directory.path().join(OsStr::from_bytes(&name));
        let bytes = path.as_os_str().as_bytes();
        serves_exactly(path.as_path(), &path, &directory);
        serves_exactly(&path, &path, &directory);
        serves_exactly(path.as_os_str(), &path, &directory);
        serves_exactly(bytes, &path, &directory);
        if let Some(text) = path.to_str() {
            serves_exactly(text, &path, &directory);
        }
    }
}

#[test]
fn every_type_that_holds_a_path_is_taken_as_it_is() {
    let directory = tempdir();
    let path = directory.path().join("100%25.sock");
    let text = path.to_str().unwrap();
    let expected = Address::path(&path).unwrap();
    let bytes = text.as_bytes();
    for address in [
        text.to_address(),
        text.to_owned().to_address(),
        path.to_address(),
        path.as_path().to_address(),
        path.as_os_str().to_address(),
        path.as_os_str().to_owned().to_address(),
        bytes.to_address(),
        bytes.to_vec().to_address(),
        Cow::Borrowed(text).to_address(),
        Cow::<Path>::Owned(path.clone()).to_address(),
        expected.to_address(),
    ] {
        assert_eq!(address.unwrap(), expected);
    }
    assert_eq!(b"/run/%".to_address(), Address::path("/run/%"));
}

/// A name that the grammar of the command line reads as something else is still a file in the
/// working directory. This is the only test here that depends on that directory.
#[test]
fn a_relative_name_is_a_file_even_if_it_looks_like_an_address() {
    let directory = tempdir();
    std::env::set_current_dir(directory.path()).unwrap();
    a_deep_working_directory_leaves_an_address();
    std::env::set_current_dir(directory.path()).unwrap();
    for name in ["@app", "unix:app", "abstract:app", "fd:3", "dgram:x", "%41", "(unnamed)", "-", " "] {
        let path = directory.path().join(name);
        serves_exactly(name, &path, &directory);
        serves_exactly(OsString::from_vec(name.into()).as_os_str(), &path, &directory);
        let _listener = Bind::new(name).listen().unwrap();
        UnixStream::connect(&path).unwrap();
        UnixStream::connect(name).unwrap();
    }
}

/// The absolute path does not fit into an address, and the relative one does: the socket is bound
/// to it, so that a receiver in the same directory learns an address to which it can send.
fn a_deep_working_directory_leaves_an_address() {
    let directory = tempdir();
    let deep = directory.path().join("d".repeat(60)).join("e".repeat(60));
    fs::create_dir_all(&deep).unwrap();
    std::env::set_current_dir(&deep).unwrap();
    let server = UnixDatagram::bind("server.sock").unwrap();
    let client = Datagram::bind("client.sock").unwrap();
    client.send_to(b"ping", Address::path("server.sock").unwrap()).unwrap();
    let from = server.recv_from(&mut [0; 8]).unwrap().1;
    assert_eq!(from.as_pathname(), Some(Path::new("client.sock")));
    assert_eq!(client.local_addr().unwrap(), Address::path("client.sock").unwrap());
    server.send_to(b"pong", from.as_pathname().unwrap()).unwrap();
    assert_eq!(client.recv_vec().unwrap().0, b"pong");
    drop(client);
    assert!(!deep.join("client.sock").exists());
    // A seqpacket or stream server is found there as well, and its file removed, from elsewhere.
    let listener = Bind::new("app.sock").mode(0o600).listen().unwrap();
    Stream::connect("app.sock").unwrap();
    std::env::set_current_dir("/").unwrap();
    Stream::connect(deep.join("app.sock")).unwrap();
    drop(listener);
    assert!(!deep.join("app.sock").exists());
}
