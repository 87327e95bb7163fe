//! Bad names, bad URLs, bad servers: a clear error, the right exit code, and no password.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;

use sneck::zookeeper::wire::Acl;
use sneck::zookeeper::{CreateMode, Session, ZooKeeperUrl};
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{self, Version};
use stage::{Done, bare, done, line, sneck, url};

const V: Version = Version::V3_9;

/// Nothing listens there, so an exit code of 64 shows that nothing was sent.
const NOWHERE: &str = "zk://127.0.0.1:1?connect-timeout=200ms";

/// What holds for every failure.
#[track_caller]
fn assert_fails(done: &Done, code: i32, says: &str) {
    assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{done:?}");
    assert!(done.stderr.contains(says), "no {says:?} in {done:?}");
    assert!(!done.stderr.contains("panicked"), "{done:?}");
    assert!(!done.stderr.chars().any(|c| c.is_control() && c != '\n'), "{done:?}");
}

#[test]
fn bad_names_are_refused_before_anything_is_sent() {
    let long = "x".repeat(2_000);
    for (name, says) in [
        ("", "is empty"),
        (long.as_str(), "2000 bytes"),
        ("/", "empty segment"),
        ("/a", "empty segment"),
        ("a/", "empty segment"),
        ("a//b", "empty segment"),
        (".", "segment \".\""),
        ("..", "segment \"..\""),
        ("a/../b", "segment \"..\""),
        ("a\x1b[31m", "U+001B"),
        ("a\nb", "U+000A"),
    ] {
        assert_fails(&done(sneck(NOWHERE, ["run", name, "--", "true"])), 64, says);
        assert_fails(&done(sneck(NOWHERE, ["hold", name])), 64, says);
        assert_fails(&done(sneck(NOWHERE, ["who", name])), 64, says);
    }
    let odd: OsString = OsStr::from_bytes(b"a\xffb").into();
    for args in
        [vec!["who".into(), odd.clone()], vec!["run".into(), odd, "--".into(), "true".into()]]
    {
        assert_fails(&done(sneck::<OsString>(NOWHERE, args)), 64, "is not UTF-8");
    }
}

#[tokio::test]
async fn names_among_the_servers_own_nodes_are_refused() {
    let server = or_skip!(zookeeper::shared(V).await);
    let url = format!("zk://{}", server.connect_string());
    assert_fails(&done(sneck(&url, ["run", "zookeeper/a", "--", "true"])), 64, "/zookeeper");
}

#[test]
fn bad_urls_are_refused() {
    for (url, says) in [
        ("nonsense", "scheme"),
        ("ftp://h", "scheme \"ftp\""),
        ("zk://", "no server"),
        ("zk://h:0", "port"),
        ("zk://h:x", "port"),
        ("zk://h:99999", "port"),
        ("zk://h//a", "path"),
        ("zk://h?timeout=soon", "timeout=soon"),
        ("memory:", "one process"),
    ] {
        let failed = done(sneck(url, ["who", "a"]));
        assert_fails(&failed, 64, says);
        assert!(failed.stderr.contains("\nhint: "), "{failed:?}");
        assert_fails(&done(bare(["--server", url, "run", "a", "--", "true"])), 64, says);
    }
    assert_fails(&done(sneck("zk://h?acl=creator", ["ls"])), 64, "needs credentials");
    let none = done(bare(["run", "a", "--", "true"]));
    assert_fails(&none, 77, "/dev/null/sneck");
    assert!(none.stderr.contains("hint: name a folder of your own"), "{none:?}");
}

/// A listener that answers everybody in its own way.
fn peer(answer: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("zk://{}?connect-timeout=700ms", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
    url
}

#[test]
fn servers_that_cannot_be_reached_or_are_something_else() {
    let http = peer(|mut stream| {
        let _ = stream.read(&mut [0; 1_024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let huge = peer(|mut stream| {
        let _ = stream.read(&mut [0; 1_024]);
        let _ = stream.write_all(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        // Open until the client has had enough.
        let _ = stream.read(&mut [0; 1_024]);
    });
    let silent = peer(|mut stream| {
        std::thread::spawn(move || while let Ok(1..) = stream.read(&mut [0; 1_024]) {});
    });
    for (url, says) in [
        (NOWHERE, "no server gave us a session"),
        ("zk://no-such-host.invalid?connect-timeout=300ms", "no-such-host.invalid"),
        (http.as_str(), "no ZooKeeper"),
        (huge.as_str(), "no ZooKeeper"),
        (silent.as_str(), "no server gave us a session"),
    ] {
        assert_fails(&done(sneck(url, ["run", "a", "--", "true"])), 69, says);
        assert_fails(&done(sneck(url, ["ls"])), 69, says);
        let doctor = done(sneck(url, ["doctor"]));
        assert_eq!(doctor.code, Some(69), "{doctor:?}");
        assert!(doctor.stdout.contains("failure"), "{doctor:?}");
    }
}

#[tokio::test]
async fn who_is_not_allowed_is_told_so() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let alice = url.replace("zk://", "zk://alice:hunter2-s@");
    let parsed = ZooKeeperUrl::parse(&alice).unwrap().session;
    let root = parsed.chroot.clone();
    let options = sneck::zookeeper::SessionOptions { chroot: String::new(), ..parsed };
    let session = Session::connect(options).await.unwrap();
    session.create(&root, "", CreateMode::Persistent, Acl::creator_all()).await.unwrap();
    for args in [&["run", "a", "--", "true"][..], &["hold", "a"], &["run", "-n", "a", "--", "true"]]
    {
        assert_fails(&done(sneck(&url, args)), 77, "hint: ");
        let wrong = url.replace("zk://", "zk://alice:hunter3-s@");
        let failed = done(sneck(&wrong, args));
        assert_fails(&failed, 77, "hint: ");
        assert!(!failed.stderr.contains("hunter"), "{failed:?}");
    }
    assert_eq!(done(sneck(&alice, ["run", "a", "--", "true"])).code, Some(0));
    // What alice makes with acl=creator, nobody else can read.
    let private = format!("{alice}&acl=creator");
    assert_eq!(done(sneck(&private, ["run", "b/c", "--", "true"])).code, Some(0));
}

#[tokio::test]
async fn a_line_that_cannot_be_trusted_lets_nobody_in() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    assert_eq!(done(sneck(&url, ["run", "a", "--", "true"])).code, Some(0));
    let session = Session::connect(ZooKeeperUrl::parse(&url).unwrap().session).await.unwrap();
    let other = "/a/0123456789abcdef0123456789abcdef__lock__0000000001";
    session.create(other, "", CreateMode::Persistent, Acl::open()).await.unwrap();
    let failed = done(sneck(&url, ["run", "a", "--", "true"]));
    assert_fails(&failed, 65, "__lock__");
    assert!(failed.stderr.contains("hint: "), "{failed:?}");
    assert!(line(&url, "a").is_empty(), "nothing of ours is left behind");
}

#[test]
fn no_password_is_ever_printed() {
    const PASSWORDS: [&str; 3] = ["hunter2-s", "hun/ter2-s", "hun?t@er2-s"];
    for password in PASSWORDS {
        let url = format!("zk://alice:{password}@127.0.0.1:1/x?connect-timeout=100ms");
        let misspelt = format!("--sever={url}");
        let bad_port = format!("zk://alice:{password}@h:x");
        let odd = format!("ftp://alice:{password}@h");
        let with_server = ["--server", &url];
        for args in [
            &[][..],
            &["ls"],
            &["doctor"],
            &["doctor", "--json"],
            &["-v", "run", "a", "--", "true"],
            &["hold", "a"],
            &["ls", &url],
            &["who", &url],
            &["completions", &url],
            &["run", "-w", &url, "a", "--", "true"],
            &["run", &url],
            &[&misspelt, "ls"],
            &["--server", &bad_port, "ls"],
            &["--server", &odd, "ls"],
        ] {
            for done in [
                done(sneck(&url, args)),
                done(bare(with_server.iter().chain(args))),
                done(sneck(&bad_port, args)),
            ] {
                let said = format!("{}{}", done.stdout, done.stderr);
                for secret in [password, "hunter", "ter2", "er2-s"] {
                    assert!(!said.contains(secret), "{secret} {args:?}: {said}");
                }
                assert_ne!(done.code, Some(0), "{args:?}: {said}");
            }
        }
    }
}
