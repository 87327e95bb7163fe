//! A server that gets no processor for long.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sneck_wire::{Acl, CreateMode, ErrorCode, NewNode, Reply, Request};

use crate::client::{Answer, Client};
use crate::kill::{Death, Process, quick_folder};

/// Long enough that a client of a busy machine is not silent for it by accident.
const TIMEOUT: Duration = Duration::from_secs(2);
/// More than three of them.
const STALL: Duration = Duration::from_millis(6_500);
const SOON: Duration = Duration::from_secs(20);

fn ephemeral(path: &str) -> Request {
    let (path, acl) = (path.to_owned(), Acl::open());
    Request::Create2(NewNode { path, data: None, acl, mode: CreateMode::Ephemeral })
}

/// Whose the node is; `None` once it is gone.
fn owner(client: &mut Client, path: &str) -> Option<i64> {
    match client.ask(&Request::Exists { path: path.to_owned(), watch: false }) {
        Answer::Done(Reply::Exists(stat)) => Some(stat.ephemeral_owner),
        Answer::Refused(ErrorCode::NO_NODE) => None,
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
    let process = Process::start(folder.path(), Death::NEVER);
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
