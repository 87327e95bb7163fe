//! What holds whatever clients do, tried with random streams of what they can do.

use proptest::prelude::*;
use sneck_wire::{AddWatchMode, CreateMode, MultiOp, Request};

use super::change::Txn;
use super::contents::Contents;
use super::fixture::{Client, World, node};
use super::node::{Node, Owner};
use super::tree::Tree;
use super::{Frame, Input, Peer, password};
use crate::snapshot::{Image, Replica};

const CLIENTS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Ask(usize, Request),
    Close(usize),
    Reconnect(usize),
    Break(usize),
    Pass(u64),
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["/a", "/b"]), 1..4).prop_map(|it| it.concat())
}

fn mode() -> impl Strategy<Value = CreateMode> {
    prop::sample::select(vec![
        CreateMode::Persistent,
        CreateMode::Ephemeral,
        CreateMode::PersistentSequential,
        CreateMode::EphemeralSequential,
    ])
}

fn write() -> impl Strategy<Value = MultiOp> {
    prop_oneof![
        4 => (path(), mode()).prop_map(|(path, mode)| MultiOp::Create2(node(&path, mode))),
        1 => path().prop_map(|path| MultiOp::CreateContainer(node(&path, CreateMode::Container))),
        2 => path().prop_map(|path| MultiOp::Delete { path, version: -1 }),
        1 => path().prop_map(|path| MultiOp::SetData { path, data: None, version: -1 }),
        1 => path().prop_map(|path| MultiOp::Check { path, version: 0 }),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        6 => write().prop_map(|op| Request::Multi(vec![op])),
        3 => prop::collection::vec(write(), 0..4).prop_map(Request::Multi),
        1 => path().prop_map(|path| Request::GetData { path, watch: true }),
        1 => path().prop_map(|path| Request::GetChildren { path, watch: true }),
        1 => path().prop_map(|path| {
            Request::AddWatch { path, mode: AddWatchMode::PersistentRecursive }
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..CLIENTS, request()).prop_map(|(client, request)| Step::Ask(client, request)),
        1 => (0..CLIENTS).prop_map(Step::Close),
        1 => (0..CLIENTS).prop_map(Step::Reconnect),
        1 => (0..CLIENTS).prop_map(Step::Break),
        1 => (100_u64..3_000).prop_map(Step::Pass),
    ]
}

fn picture(tree: &Tree) -> Vec<(String, Node)> {
    tree.walk().into_iter().map(|(path, node)| (path, node.clone())).collect()
}

fn perform(world: &mut World, clients: &mut [Client], step: Step) {
    match step {
        Step::Ask(client, request) => world.send(clients[client], request),
        Step::Close(client) => {
            world.send(clients[client], Request::CloseSession);
            clients[client] = world.connect();
        }
        Step::Reconnect(client) => {
            let connection = world.open(Peer::Local);
            let session = clients[client].session;
            let reply = world.greet(connection, session, &password::password(session));
            clients[client] = match reply {
                Some(reply) if !reply.is_expired() => Client { connection, session },
                _ => world.connect(),
            };
        }
        Step::Break(client) => {
            world.input(Input::Closed { connection: clients[client].connection });
        }
        Step::Pass(ms) => world.pass(ms),
    }
}

/// What is sent and written down by one step.
fn check_effects(world: &World, zxid_before: i64) -> Result<(), TestCaseError> {
    let zxids: Vec<i64> = world.txns.iter().map(|txn| txn.at.zxid).collect();
    let expected: Vec<i64> = (zxid_before + 1..=world.core.zxid()).collect();
    prop_assert_eq!(zxids, expected, "every zxid is written down once, in order");
    let tags: Vec<i64> = world.outputs.iter().map(|output| output.zxid).collect();
    prop_assert!(tags.is_sorted(), "what is held back is in order");
    for output in &world.outputs {
        let shown = match &output.frame {
            Frame::Reply(header, _) => header.zxid,
            Frame::Event { zxid, .. } => *zxid,
            _ => 0,
        };
        prop_assert!(shown <= output.zxid, "nothing shows more than it waits for: {output:?}");
    }
    Ok(())
}

fn check_tree(world: &World) -> Result<(), TestCaseError> {
    for (path, node) in world.core.tree.walk() {
        if let Owner::Session(id) = node.owner {
            prop_assert!(world.core.sessions.get(id).is_some(), "{path} outlives its session");
            prop_assert!(node.children.is_empty());
        }
        prop_assert!(usize::try_from(node.creates).unwrap() + 3 >= node.children.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_clients_do(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| world.connect()).collect();
        let mut log = bytes::BytesMut::new();
        std::mem::take(&mut world.txns).iter().for_each(|txn| txn.encode(&mut log));
        for step in steps {
            world.outputs.clear();
            let before = world.core.zxid();
            perform(&mut world, &mut clients, step);
            check_effects(&world, before)?;
            check_tree(&world)?;
            std::mem::take(&mut world.txns).iter().for_each(|txn| txn.encode(&mut log));
        }

        // The log alone leads to the same nodes and sessions, and so does a snapshot.
        let mut replayed = Contents::new(0);
        for txn in Txn::decode_all(&log).unwrap() {
            replayed.apply(&txn).unwrap();
        }
        let live = world.core.into_contents();
        prop_assert_eq!(picture(&replayed.tree), picture(&live.tree));
        prop_assert_eq!(replayed.tree.bytes(), live.tree.bytes());
        prop_assert_eq!(&replayed.sessions, &live.sessions);
        prop_assert_eq!((replayed.zxid, replayed.last_session), (live.zxid, live.last_session));
        let mut file = Vec::new();
        let image = replayed.into_image();
        crate::snapshot::write(&image, &mut file).unwrap();
        let read: Image = crate::snapshot::read(image.zxid, &file[..]).unwrap();
        let restored = Contents::restore(Some(read), 0).unwrap();
        prop_assert_eq!(picture(&restored.tree), picture(&live.tree));
        prop_assert_eq!(restored.tree.bytes(), live.tree.bytes());
        prop_assert_eq!(&restored.sessions, &live.sessions);
    }
}
