//! A disk that crashes where it is told to, loses what was not synced, and fails in other ways.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use sneck_server::log::{Disk, DiskFile};

/// The unit in which a write can be torn.
const SECTOR: usize = 512;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It and all after it fail, and what was not synced by then is at the mercy of [`Loss`].
    Crash,
    /// It fails with this error of the operating system, and has done some of its work.
    Error(i32),
    /// If it is a write, it writes only some of the bytes.
    Short,
}

/// What a crash takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing yet: the process died, and the page cache still has what is not on the disk.
    ProcessOnly,
    /// Everything that was not synced.
    Everything,
    /// Nothing: all of it had reached the disk by itself.
    Nothing,
    /// Any sectors of any writes, and any names, by this seed.
    Some(u64),
}

/// The kinds of calls that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    Write,
    Sync,
    Rename,
    Remove,
    SyncDir,
}

/// Which call of the process that has the disk is hit, by its number and what it is.
pub(crate) type Plan = Box<dyn Fn(u64, Call) -> Option<Fault> + Send>;

#[derive(Clone, Default)]
struct Platter {
    files: Vec<Contents>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<(String, Option<usize>)>,
}

#[derive(Clone, Default)]
struct Contents {
    // Shared with the disks of other reboots, of which each changes little.
    current: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    pending: Vec<(usize, Vec<u8>)>,
}

struct State {
    platter: Platter,
    plan: Plan,
    calls: u64,
    crashed: bool,
}

/// The disk as one process sees it. A crash ends that process: the next one gets a disk by
/// [`SimulatedDisk::reboot`].
#[derive(Clone)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

impl std::fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimulatedDisk")
    }
}

impl SimulatedDisk {
    /// An empty one.
    pub(crate) fn new(plan: Plan) -> SimulatedDisk {
        SimulatedDisk::with(Platter::default(), plan)
    }

    fn with(platter: Platter, plan: Plan) -> SimulatedDisk {
        SimulatedDisk(Arc::new(Mutex::new(State { platter, plan, calls: 0, crashed: false })))
    }

    /// The disk after a crash, as the next process finds it. This one is unchanged.
    pub(crate) fn reboot(&self, loss: Loss, plan: Plan) -> SimulatedDisk {
        let mut platter = self.0.lock().unwrap().platter.clone();
        if loss != Loss::ProcessOnly {
            platter.lose(loss);
        }
        platter.forget_nameless();
        SimulatedDisk::with(platter, plan)
    }

    pub(crate) fn has_crashed(&self) -> bool {
        self.0.lock().unwrap().crashed
    }

    /// How many calls were made that change something.
    pub(crate) fn calls(&self) -> u64 {
        self.0.lock().unwrap().calls
    }

    /// Enters a call: its fault, if any, and the state.
    fn enter<T>(
        &self,
        call: Call,
        mut act: impl FnMut(&mut Platter, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.0.lock().unwrap();
        if state.crashed {
            return Err(io::Error::other("crashed"));
        }
        let number = state.calls;
        state.calls += 1;
        let fault = (state.plan)(number, call);
        state.crashed = fault == Some(Fault::Crash);
        // What a sync was asked for is done only by a sync that succeeds; all else may have
        // happened although the caller is told otherwise, or nothing any more.
        let syncs = matches!(call, Call::Sync | Call::SyncDir);
        let done = match (fault, syncs) {
            (Some(Fault::Crash | Fault::Error(_)), true) => None,
            _ => Some(act(&mut state.platter, fault)),
        };
        match fault {
            Some(Fault::Crash) => Err(io::Error::other("crashed")),
            Some(Fault::Error(code)) => Err(io::Error::from_raw_os_error(code)),
            _ => done.unwrap(),
        }
    }

    fn look<T>(&self, look: impl FnOnce(&Platter) -> io::Result<T>) -> io::Result<T> {
        let state = self.0.lock().unwrap();
        if state.crashed { Err(io::Error::other("crashed")) } else { look(&state.platter) }
    }
}

impl Platter {
    fn name(&mut self, name: &str, file: Option<usize>) {
        match file {
            Some(file) => self.names.insert(name.to_owned(), file),
            None => self.names.remove(name),
        };
        self.pending_names.push((name.to_owned(), file));
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Frees what no name leads to any more.
    fn forget_nameless(&mut self) {
        let pending = self.pending_names.iter().filter_map(|(_, file)| file.as_ref());
        let named: BTreeSet<usize> = self
            .names
            .values()
            .chain(self.durable_names.values())
            .chain(pending)
            .copied()
            .collect();
        for (index, file) in self.files.iter_mut().enumerate() {
            if !named.contains(&index) {
                *file = Contents::default();
            }
        }
    }

    fn lose(&mut self, loss: Loss) {
        let mut random = match loss {
            Loss::Some(seed) => seed,
            _ => 0,
        };
        let mut keeps = || match loss {
            Loss::Everything => false,
            Loss::Some(_) => next(&mut random).is_multiple_of(2),
            _ => true,
        };
        for file in &mut self.files {
            for (offset, bytes) in std::mem::take(&mut file.pending) {
                for (index, sector) in bytes.chunks(SECTOR).enumerate().filter(|_| keeps()) {
                    put(Arc::make_mut(&mut file.durable), offset + index * SECTOR, sector);
                }
            }
            file.current.clone_from(&file.durable);
        }
        for (name, file) in std::mem::take(&mut self.pending_names).into_iter().filter(|_| keeps())
        {
            match file {
                Some(file) => self.durable_names.insert(name, file),
                None => self.durable_names.remove(&name),
            };
        }
        self.names = self.durable_names.clone();
    }
}

/// A small generator, the same on every machine.
fn next(random: &mut u64) -> u64 {
    *random =
        random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *random >> 33
}

fn put(into: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if into.len() < end {
        // As `resize`, which without optimization goes byte by byte.
        into.extend_from_slice(&vec![0; end - into.len()]);
    }
    into[offset..end].copy_from_slice(bytes);
}

/// Bytes to be read while others have them, too.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    file: usize,
}

impl DiskFile for SimulatedFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).unwrap();
        self.disk.enter(Call::Write, |platter, fault| {
            let length = match fault {
                Some(Fault::Short | Fault::Error(_)) => bytes.len().div_ceil(2),
                _ => bytes.len(),
            };
            let contents = &mut platter.files[self.file];
            put(Arc::make_mut(&mut contents.current), offset, &bytes[..length]);
            contents.pending.push((offset, bytes[..length].to_vec()));
            Ok(length)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.enter(Call::Sync, |platter, _| {
            let contents = &mut platter.files[self.file];
            for (offset, bytes) in std::mem::take(&mut contents.pending) {
                put(Arc::make_mut(&mut contents.durable), offset, &bytes);
            }
            Ok(())
        })
    }
}

impl Disk for SimulatedDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.enter(Call::Create, |platter, _| {
            platter.files.push(Contents::default());
            let file = platter.files.len() - 1;
            platter.name(name, Some(file));
            Ok(file)
        })?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.look(|platter| platter.find(name))?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn read(&self, name: &str) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let bytes =
            self.look(|platter| Ok(Arc::clone(&platter.files[platter.find(name)?].current)))?;
        let length = bytes.len() as u64;
        Ok((Box::new(Cursor::new(Shared(bytes))), length))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.look(|platter| Ok(platter.names.keys().cloned().collect()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.enter(Call::Rename, |platter, _| {
            let file = platter.find(from)?;
            platter.name(to, Some(file));
            platter.name(from, None);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.enter(Call::Remove, |platter, _| {
            platter.find(name)?;
            platter.name(name, None);
            Ok(())
        })
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.enter(Call::SyncDir, |platter, _| {
            platter.pending_names.clear();
            platter.durable_names = platter.names.clone();
            platter.forget_nameless();
            Ok(())
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/simulated").join(name)
    }
}
