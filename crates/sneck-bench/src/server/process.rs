//! What the system knows of a running server: the processor it uses, its memory, its syncs.

use std::fs;
use std::io;
use std::time::Duration;

/// The thread of sneck's server that writes and syncs: each of its writes is a batch.
const LOG_THREAD: &str = "sneck-log";

/// The processor time that a process has used so far, in its own code and in the system's.
pub(crate) fn processor_time(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold spaces; the fields are counted from behind it.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks = |at: usize| fields.split(' ').nth(at).and_then(|text| text.parse::<u64>().ok());
    let (Some(user), Some(system)) = (ticks(11), ticks(12)) else { return Err(unread("stat")) };
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64((user + system) as f64 / per_second as f64))
}

/// The memory that a process has in use, in MiB.
pub(crate) fn resident_mib(pid: u32) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| unread("status"))
}

/// How many batches sneck's server has written so far.
pub(crate) fn batches(pid: u32) -> io::Result<u64> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim_end() == LOG_THREAD {
            let io = fs::read_to_string(task.join("io"))?;
            let line = io.lines().find_map(|line| line.strip_prefix("syscw: "));
            return line.and_then(|line| line.parse().ok()).ok_or_else(|| unread("io"));
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "the server has no thread for its log"))
}

fn unread(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not understood: /proc/PID/{file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_understood() {
        let pid = std::process::id();
        assert!(resident_mib(pid).unwrap() > 0.5);
        let before = processor_time(pid).unwrap();
        // Bounded by the condition: a busy thread uses up a tick of the system's clock.
        while processor_time(pid).unwrap() == before {
            std::hint::spin_loop();
        }
        assert_eq!(batches(pid).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
