//! What one sync costs on this disk: the floor under every write that is waited for alone.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

/// What a log writes at least: a page.
const WRITE_BYTES: u64 = 4 << 10;
const FILE_BYTES: u64 = 4 << 20;

/// A file full of zeros, so that a sync has no length or extent to write down besides.
#[derive(Debug)]
pub(crate) struct Disk {
    file: File,
    at: u64,
}

impl Disk {
    pub(crate) fn new(folder: &Path) -> io::Result<Disk> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).open(folder.join("fdatasync"))?;
        file.write_all_at(&vec![0; FILE_BYTES as usize], 0)?;
        file.sync_all()?;
        Ok(Disk { file, at: 0 })
    }

    /// Writes a page and waits for the disk, this many times; the times in microseconds.
    pub(crate) fn sync_us(&mut self, times: usize) -> io::Result<Vec<f64>> {
        let page = [0x5a; WRITE_BYTES as usize];
        let mut took = Vec::with_capacity(times);
        for _ in 0..times {
            let began = Instant::now();
            self.file.write_all_at(&page, self.at)?;
            self.file.sync_data()?;
            took.push(began.elapsed().as_secs_f64() * 1e6);
            self.at = (self.at + WRITE_BYTES) % FILE_BYTES;
        }
        Ok(took)
    }
}
