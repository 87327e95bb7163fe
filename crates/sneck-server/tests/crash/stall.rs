//! A server that gets no processor for long.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sneck_wire::{Acl, CreateMode, NewNode, Reply, Request};

use crate::client::Client;
use crate::kill::{Process, quick_folder};

/// The shortest that the server grants, and three of them.
const TIMEOUT: Duration = Duration::from_millis(200);
const STALL: Duration = Duration::from_millis(700);
const SOON: Duration = Duration::from_secs(20);

fn ephemeral(path: &str) -> Request {
    let (path, acl) = (path.to_owned(), Acl::open());
    Request::Create2(NewNode { path, data: None, acl, mode: CreateMode::Ephemeral })
}

fn owner(client: &mut Client, path: &str) -> Option<i64> {
    let request = Request::GetChildren { path: "/".into(), watch: false };
    let Reply::GetChildren(names) = client.get(&request) else { panic!("another reply") };
    names.iter().find(|name| path == format!("/{name}"))?;
    match client.get(&Request::Exists { path: path.to_owned(), watch: false }) {
        Reply::Exists(stat) => Some(stat.ephemeral_owner),
        other => panic!("{other:?}"),
    }
}

/// Stops the process in all its threads for longer than three session timeouts.
fn stall(process: &Process) {
    let id = Pid::from_child(&process.child);
    kill_process(id, Signal::STOP).unwrap();
    // The time is what is tried here: nothing happens in it that could be waited for.
    std::thread::sleep(STALL);
    kill_process(id, Signal::CONT).unwrap();
}

#[test]
fn nobody_is_expired_for_what_the_server_has_slept() {
    let folder = quick_folder();
    let process = Process::start(folder.path(), u64::MAX);
    let address = process.address.expect("it lives");
    let with = |timeout| Client::greet_for(address, timeout).expect("a session");
    let mut talks = with(TIMEOUT);
    talks.get(&ephemeral("/talks"));
    // One that is cut off meanwhile, and comes back with its ticket.
    let mut comes_back = with(TIMEOUT);
    comes_back.get(&ephemeral("/comes-back"));
    let (ticket, zxid) = (comes_back.ticket.clone(), comes_back.zxid_seen);
    let mut dies = with(TIMEOUT);
    dies.get(&ephemeral("/dies"));
    drop((comes_back, dies));
    stall(&process);

    let mut comes_back = Client::greet(address, Some(&ticket), zxid).expect("it is not over");
    assert_eq!(owner(&mut comes_back, "/comes-back"), Some(ticket.session));
    assert_eq!(owner(&mut talks, "/talks"), Some(talks.ticket.session));
    // Whoever is really gone still goes, and with it its node.
    let until = Instant::now() + SOON;
    while owner(&mut talks, "/dies").is_some() {
        assert!(Instant::now() < until, "the dead session lives on");
        comes_back.get(&Request::Ping);
    }
    assert_eq!(owner(&mut talks, "/talks"), Some(talks.ticket.session));
}
