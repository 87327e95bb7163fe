//! `serve --tls-cert`: who gets in, who does not, and what is said about it.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use sneck_testkit::tls::Material;
use stage::{BOUND, Done, Running, bare, done, sneck};

fn material(folder: &Path) -> Material {
    let material = Material::generate(folder).unwrap();
    fs::set_permissions(&material.server_key_store, fs::Permissions::from_mode(0o600)).unwrap();
    material
}

/// A server with these files, and its URL.
fn serve(cert: &Path, key: &Path, client_ca: Option<&Path>) -> (Running, String) {
    let mut command = bare(["serve", "--listen", "127.0.0.1:0"]);
    command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
    if let Some(ca) = client_ca {
        command.arg("--tls-client-ca").arg(ca);
    }
    let mut server = Running::start(command);
    let url = server.line("");
    assert!(url.starts_with("zks://127.0.0.1:"), "{url}");
    (server, url)
}

/// What becomes of a command under a lock.
fn run(url: &str) -> Done {
    done(sneck(url, ["run", "a", "--", "true"]))
}

/// The URL with what a client has to have.
fn with(url: &str, ca: &Path, identity: Option<&Path>) -> String {
    let ca = ca.display();
    match identity {
        None => format!("{url}?ca={ca}&connect-timeout=5s"),
        Some(file) => format!("{url}?ca={ca}&cert={0}&key={0}&connect-timeout=5s", file.display()),
    }
}

#[test]
fn who_trusts_the_certificate_gets_in() {
    let folder = tempfile::tempdir().unwrap();
    let material = material(folder.path());
    let store = &material.server_key_store;
    let (server, url) = serve(store, store, None);
    let good = run(&with(&url, &material.ca, None));
    assert_eq!(good.code, Some(0), "{good:?}");
    let distrusted = run(&with(&url, &material.other_ca, None));
    assert_eq!(distrusted.code, Some(77), "{distrusted:?}");
    assert!(distrusted.stderr.contains("UnknownIssuer"), "{distrusted:?}");
    let plain = run(&format!("{}?connect-timeout=3s", url.replacen("zks", "zk", 1)));
    assert_eq!(plain.code, Some(69), "{plain:?}");
    assert_eq!(run(&with(&url, &material.ca, None)).code, Some(0), "the others are unharmed");
    server.signal(Signal::TERM);
    let done = server.wait();
    assert_eq!(done.code, Some(0));
    assert_eq!(done.stderr.lines().count(), 1, "only that it is in memory: {done:?}");
    assert!(!done.stderr.contains("PRIVATE") && !done.stdout.contains("PRIVATE"));
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let material = material(folder.path());
    let store = &material.wrong_name_key_store;
    let (_server, url) = serve(store, store, None);
    let refused = run(&with(&url, &material.ca, None));
    assert_eq!(refused.code, Some(77), "{refused:?}");
}

#[test]
fn clients_show_certificates_where_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let material = material(folder.path());
    let store = &material.server_key_store;
    let (_server, url) = serve(store, store, Some(&material.ca));
    let known = run(&with(&url, &material.ca, Some(&material.client_key_store)));
    assert_eq!(known.code, Some(0), "{known:?}");
    for identity in [None, Some(material.other_client_key_store.as_path())] {
        let refused = run(&with(&url, &material.ca, identity));
        assert_eq!(refused.code, Some(77), "{identity:?}: {refused:?}");
    }
}

#[test]
fn tls_to_a_server_without_it_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let material = material(folder.path());
    let mut server = Running::start(bare(["serve", "--listen", "127.0.0.1:0"]));
    let url = server.line("").replacen("zk:", "zks:", 1);
    let refused = run(&with(&url, &material.ca, None));
    assert_eq!(refused.code, Some(77), "{refused:?}");
    assert!(refused.stderr.contains("TLS"), "{refused:?}");
}

#[test]
fn plain_text_is_hung_up_on() {
    let folder = tempfile::tempdir().unwrap();
    let material = material(folder.path());
    let store = &material.server_key_store;
    let (_server, url) = serve(store, store, None);
    let mut stream = TcpStream::connect(url.strip_prefix("zks://").unwrap()).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.write_all(b"ruok").unwrap();
    stream.write_all(&[0; 64]).unwrap();
    let mut answer = Vec::new();
    // However it hangs up; what it may not do is to answer, or to wait for more.
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    assert!(!answer.windows(4).any(|bytes| bytes == b"imok"), "{answer:?}");
}

#[test]
fn files_that_are_no_good_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let material = material(folder.path());
    let good = &material.server_key_store;
    let no_pem = folder.path().join("no.pem");
    fs::write(&no_pem, "hello").unwrap();
    let missing = folder.path().join("missing.pem");
    for (cert, key, ca, named) in [
        (&missing, good, None, &missing),
        (&no_pem, good, None, &no_pem),
        (good, &missing, None, &missing),
        (good, &no_pem, None, &no_pem),
        // A key, but that of another certificate.
        (good, &material.client_key_store, None, &material.client_key_store),
        (good, good, Some(&no_pem), &no_pem),
    ] {
        let mut command = bare(["serve", "--listen", "127.0.0.1:0"]);
        command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
        if let Some(ca) = ca {
            command.arg("--tls-client-ca").arg(ca);
        }
        let done = done(command);
        assert_eq!((done.code, done.stdout.as_str()), (Some(64), ""), "{done:?}");
        assert!(done.stderr.contains(named.to_str().unwrap()), "{named:?}: {done:?}");
        assert!(!done.stderr.contains("PRIVATE") && done.stderr.contains("\nhint: "), "{done:?}");
    }
    for alone in ["--tls-cert", "--tls-key", "--tls-client-ca"] {
        let mut command = bare(["serve", "--listen", "127.0.0.1:0", alone]);
        command.arg(good);
        assert_eq!(done(command).code, Some(64), "{alone}");
    }
}

#[test]
fn a_key_that_all_can_read_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let material = material(folder.path());
    let store = &material.server_key_store;
    fs::set_permissions(store, fs::Permissions::from_mode(0o644)).unwrap();
    let (server, _) = serve(store, store, None);
    server.signal(Signal::TERM);
    let done = server.wait();
    let says = format!("everybody on this machine can read {}", store.display());
    assert!(done.stderr.contains(&says) && done.stderr.contains("chmod 600"), "{done:?}");
}
