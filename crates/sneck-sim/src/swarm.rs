//! Plans from seeds.
//!
//! Each plan has some kinds of faults and not the others, at rates of its own: with all of them at once,
//! each would hide what another does. The idea is Groce's swarm testing (ISSTA 2012).

use fastrand::Rng;

use crate::plan::{
    Ask, Cancel, Client, FOREVER, Fault, PERMITS, Plan, Servers, Share, Step, Trouble, Who,
};

/// How long clients go on asking and faults go on beginning, in milliseconds.
const BUSY_MS: u64 = 20_000;

impl Plan {
    /// The first seed whose plans have more in them: shared places, elections, several locks at once, faults
    /// that stay, servers killed amid a write. Those below stay what they were, and what was seen in them.
    pub const WIDER_FROM: u64 = 10_000;

    /// The first seed whose plans have an ensemble, besides all that.
    pub const ENSEMBLES_FROM: u64 = 1_000_000;

    /// The plan of a seed.
    pub fn of_seed(seed: u64) -> Plan {
        let mut plan = Self::with_one_server(seed);
        if seed >= Self::ENSEMBLES_FROM {
            add_ensemble(&mut plan);
        }
        plan
    }

    fn with_one_server(seed: u64) -> Plan {
        let is_wide = seed >= Self::WIDER_FROM;
        let mut rng = Rng::with_seed(seed);
        let tick_ms = pick(&mut rng, &[500, 1_000, 2_000]);
        let session_ms = tick_ms * rng.u64(2..=5).max(if tick_ms == 500 { 4 } else { 2 });
        let latency_ms = pick(&mut rng, &[(5, 5), (10, 15), (10, 60), (20, 30), (20, 150)]);
        let sync_ms = pick(&mut rng, &[1, 5, 30]);
        let count = rng.usize(2..=5);
        let menu = if is_wide { Menu::wide(&mut rng) } else { Menu::new(&mut rng) };
        let clients = (0..count).map(|_| client(&mut rng, &menu)).collect();
        Plan {
            seed,
            tick_ms,
            session_ms,
            asked_ms: (is_wide && rng.u8(..4) == 0).then(|| session_ms * rng.u64(2..=4)),
            asks_again: is_wide,
            // Mostly so long that whoever is not woken is seen to be late.
            recheck_ms: if rng.u8(..4) == 0 { 10_000 } else { 3_600_000 },
            latency_ms,
            sync_ms: (1, sync_ms),
            splits: rng.u8(..4) == 0,
            busy_ms: BUSY_MS,
            servers: None,
            clients,
            faults: {
                let mut faults = faults(&mut rng, count, session_ms);
                if is_wide {
                    widen(&mut faults, &mut rng, count);
                }
                faults
            },
        }
    }
}

/// Three or five servers, near each other, and what befalls them.
fn add_ensemble(plan: &mut Plan) {
    /// Clients further away would be given up while they wait for everybody.
    const LATENCY_MS_MAX: u64 = 60;
    let mut rng = Rng::with_seed(plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    plan.latency_ms.1 = plan.latency_ms.1.min(LATENCY_MS_MAX);
    let servers = Servers {
        members: pick(&mut rng, &[3, 3, 3, 5]),
        sync_limit: rng.u64(2..=5),
        link_ms: pick(&mut rng, &[(1, 1), (1, 3), (2, 10)]),
        lag_ms: pick(&mut rng, &[(0, 0), (0, 10), (1, plan.session_ms / 24)]),
        elect_ms: pick(&mut rng, &[(50, 100), (100, 400), (200, 1_000)]),
    };
    plan.servers = Some(servers);
    plan.faults.extend(member_faults(&mut rng, &servers, plan.tick_ms, plan.session_ms));
}

fn member_faults(rng: &mut Rng, servers: &Servers, tick_ms: u64, session_ms: u64) -> Vec<Fault> {
    /// The kinds: see `member_trouble`.
    const KINDS: u8 = 4;
    let kinds: Vec<u8> = (0..KINDS).filter(|_| rng.bool()).collect();
    let count = if kinds.is_empty() { 0 } else { rng.usize(1..=6) };
    let silence_ms = servers.sync_limit * tick_ms;
    let mut faults: Vec<Fault> = (0..count)
        .map(|_| {
            let kind = pick(rng, &kinds);
            let base_ms = pick(rng, &[silence_ms / 2, silence_ms, silence_ms * 2, session_ms]);
            Fault {
                at_ms: rng.u64(1_500..BUSY_MS),
                for_ms: rng.u64(base_ms / 2..=base_ms * 3 / 2).max(1),
                what: member_trouble(rng, kind, servers, session_ms),
            }
        })
        .collect();
    // Whoever is near a member that is cut off is best heard of it when it hops from one to another.
    if rng.bool() {
        let hops = rng.usize(1..=6);
        faults.extend((0..hops).map(|_| {
            let what = Trouble::Cut(rng.usize(..2));
            Fault { at_ms: rng.u64(1_500..BUSY_MS), for_ms: 0, what }
        }));
    }
    faults
}

fn member_trouble(rng: &mut Rng, kind: u8, servers: &Servers, session_ms: u64) -> Trouble {
    let member = Who::Member(rng.u8(..servers.members));
    let who = if rng.bool() { Who::Leader } else { member };
    match kind {
        0 => Trouble::KillMember { who, kept: pick(rng, &[0, 500, 1_000]) },
        1 => Trouble::PauseMember(who),
        2 => {
            let ways = [(true, true), (true, true), (true, false), (false, true)];
            let (inbound, outbound) = pick(rng, &ways);
            Trouble::CutOff { who, inbound, outbound }
        }
        _ => Trouble::Lag { who: member, ms: pick(rng, &[50, 400, session_ms]) },
    }
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

/// What the clients of one plan ask for.
struct Menu {
    asks: Vec<Ask>,
    /// How many locks there are of each kind.
    locks: u8,
    /// How often a future is dropped, of 16 times.
    cancels: u8,
    pause_ms: u64,
    hold_ms: u64,
    tasks: usize,
    /// How some of the clients share places in line, if any do.
    sharing: Option<Share>,
}

impl Menu {
    fn new(rng: &mut Rng) -> Menu {
        let mutexes = [Ask::Lock, Ask::Lock, Ask::Try, Ask::Within(2_000)];
        let books = [Ask::Read, Ask::Read, Ask::Write, Ask::WriteThenRead];
        let pools = [Ask::Permits(1), Ask::Permits(2), Ask::Permits(PERMITS)];
        let mut asks: Vec<Ask> = mutexes.to_vec();
        match rng.u8(..4) {
            0 => asks = books.to_vec(),
            1 => asks = pools.to_vec(),
            2 => asks.extend(books.into_iter().chain(pools)),
            _ => {}
        }
        Menu {
            asks,
            locks: rng.u8(1..=2),
            cancels: pick(rng, &[0, 0, 3, 8]),
            pause_ms: pick(rng, &[50, 400, 2_000]),
            hold_ms: pick(rng, &[30, 400, 3_000]),
            tasks: rng.usize(1..=2),
            sharing: None,
        }
    }

    /// One with other recipes in it, or shared places.
    fn wide(rng: &mut Rng) -> Menu {
        let mut menu = Menu::new(rng);
        match rng.u8(..4) {
            0 => menu.asks = vec![Ask::Lock, Ask::Both, Ask::Within(2_000)],
            1 => menu.asks = vec![Ask::Lead, Ask::WhoLeads],
            2 | 3 => {
                menu.sharing = Some(Share {
                    keep: rng.bool(),
                    hand_ons: pick(rng, &[0, 1, 4, 16]),
                    span_ms: pick(rng, &[50, 50, 2_000]),
                });
                menu.tasks = rng.usize(2..=4);
                // Who rather goes without than waits is refused also where a place is kept for nobody,
                // which a history does not show.
                menu.asks.retain(|ask| *ask != Ask::Try);
            }
            _ => {}
        }
        menu
    }
}

fn client(rng: &mut Rng, menu: &Menu) -> Client {
    let task = |rng: &mut Rng| {
        let mut steps = Vec::new();
        let mut ms = 0;
        while ms < BUSY_MS && steps.len() < 25 {
            let step = step(rng, menu);
            ms += step.after_ms + step.hold_ms + 200;
            steps.push(step);
        }
        steps
    };
    Client {
        drift_ppm: pick(rng, &[0, 0, 10_000, -10_000]),
        tasks: (0..menu.tasks).map(|_| task(rng)).collect(),
        closes: rng.bool(),
        sharing: menu.sharing.filter(|_| rng.u8(..4) > 0),
    }
}

fn step(rng: &mut Rng, menu: &Menu) -> Step {
    let cancel = (rng.u8(..16) < menu.cancels).then(|| match rng.bool() {
        true => Cancel::Polls(rng.u32(1..12)),
        false => Cancel::After(rng.u64(..1_500)),
    });
    Step {
        after_ms: rng.u64(..=menu.pause_ms),
        lock: rng.u8(..menu.locks),
        ask: pick(rng, &menu.asks),
        hold_ms: rng.u64(..=menu.hold_ms),
        cancel,
        drops: rng.u8(..4) == 0,
    }
}

fn faults(rng: &mut Rng, clients: usize, session_ms: u64) -> Vec<Fault> {
    /// The kinds: see `trouble`.
    const KINDS: u8 = 12;
    let kinds: Vec<u8> = (0..KINDS).filter(|_| rng.u8(..3) == 0).collect();
    if kinds.is_empty() {
        return Vec::new();
    }
    let count = rng.usize(..10);
    let mut killed = 0;
    let mut faults = Vec::new();
    for _ in 0..count {
        let kind = pick(rng, &kinds);
        let what = trouble(rng, kind, clients);
        if let Trouble::Kill(_) = what {
            // Somebody has to be left.
            killed += 1;
            if killed >= clients {
                continue;
            }
        }
        let at_ms = rng.u64(500..BUSY_MS);
        let for_ms = match what {
            Trouble::Cut(_) | Trouble::Swallow { .. } | Trouble::Kill(_) | Trouble::Remove(_) => 0,
            _ => length(rng, session_ms),
        };
        faults.push(Fault { at_ms, for_ms, what });
    }
    faults
}

/// Some servers are killed amid a write, and one client may be lost for good.
fn widen(faults: &mut Vec<Fault>, rng: &mut Rng, clients: usize) {
    for fault in faults.iter_mut() {
        if let Trouble::KillServer { amid, .. } = &mut fault.what {
            *amid = rng.bool();
        }
    }
    faults.extend(forever(rng, clients));
}

/// Sometimes one of several is cut off, stopped or deaf for good.
fn forever(rng: &mut Rng, clients: usize) -> Option<Fault> {
    if clients < 3 || rng.u8(..4) > 0 {
        return None;
    }
    let client = rng.usize(..clients);
    let (up, down) = pick(rng, &[(true, true), (true, false), (false, true)]);
    let what = if rng.bool() { Trouble::Pause(client) } else { Trouble::Hold { client, up, down } };
    Some(Fault { at_ms: rng.u64(500..BUSY_MS), for_ms: FOREVER, what })
}

/// Around what matters: a fraction of the session, a little less or more than it, or much more.
fn length(rng: &mut Rng, session_ms: u64) -> u64 {
    let base = pick(rng, &[session_ms / 8, session_ms / 3, session_ms, session_ms * 2]);
    rng.u64(base / 2..=base * 3 / 2).max(1)
}

fn trouble(rng: &mut Rng, kind: u8, clients: usize) -> Trouble {
    let client = rng.usize(..clients);
    match kind {
        0 => Trouble::Cut(client),
        1 => {
            let (up, down) = pick(rng, &[(true, true), (true, false), (false, true)]);
            Trouble::Hold { client, up, down }
        }
        2 => Trouble::Swallow { client, up: rng.bool() },
        3 => Trouble::Slow { client, ms: pick(rng, &[100, 500, 1_500]) },
        4 => Trouble::Pause(client),
        5 => Trouble::Suspend(client),
        6 => Trouble::Kill(client),
        7 => Trouble::KillServer { kept: pick(rng, &[0, 500, 1_000]), amid: false },
        8 => Trouble::PauseServer,
        9 => Trouble::Refuse,
        10 => Trouble::SlowDisk(pick(rng, &[50, 400, 1_500])),
        _ => Trouble::Remove(rng.u64(..)),
    }
}
