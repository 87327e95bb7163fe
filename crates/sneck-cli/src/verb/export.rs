//! `sneck export`: what a stopped server has, for servers of Apache ZooKeeper.

use crate::args::ExportArgs;
use crate::exit;
use crate::failure::{Failure, told};
use crate::printer::Printer;
use serde::Serialize;
use sneck::local::Local;
use sneck_server::Departure;
use sneck_server::log::OpenError;
use sneck_server::snapshot::{ExportError, Exported};

/// What Apache's servers have to be told to keep nodes with a time to live.
const TTL_PROPERTY: &str = "zookeeper.extendedTypesEnabled=true";

/// What is printed with `--json`.
#[derive(Serialize)]
struct Written {
    snapshot: String,
    zxid: i64,
    sessions: usize,
    nodes: usize,
    ttl_nodes: usize,
    /// System properties that the servers need.
    properties: Vec<&'static str>,
}

/// Writes the snapshot.
///
/// # Errors
/// When the data folder cannot be had, or the snapshot not be written.
pub(crate) fn export(args: &ExportArgs, printer: &Printer) -> Result<u8, Failure> {
    let data = match &args.data {
        Some(data) => data.clone(),
        None => Local::parse("local:")?.data(),
    };
    let departure = Departure::open(&data).map_err(|error| not_read(&error))?;
    let exported = match args.seed {
        true => departure.seed(&args.dir),
        false => departure.export(&args.dir),
    };
    let exported = exported.map_err(|error| not_written(&error))?;
    tell(&exported, args, printer)?;
    Ok(0)
}

fn tell(exported: &Exported, args: &ExportArgs, printer: &Printer) -> Result<(), Failure> {
    let Exported { zxid, sessions, nodes, ttl_nodes, .. } = *exported;
    match args.seed {
        true => printer.say(&format!(
            "exported nothing but the zxid: fencing tokens go on above {zxid}, and all else is left \
             behind"
        )),
        false => printer.say(&format!(
            "exported {nodes} nodes and {sessions} sessions; fencing tokens go on above {zxid}"
        )),
    }
    if ttl_nodes > 0 {
        printer.warn(
            &format!("{ttl_nodes} of the nodes have a time to live"),
            &format!("start the servers with -D{TTL_PROPERTY}, or they take these for left over"),
        );
    }
    printer.detail("give it to every server before its first start, and start this one no more");
    let snapshot = exported.path.display().to_string();
    match args.json {
        true => printer.json(&Written {
            snapshot,
            zxid,
            sessions,
            nodes,
            ttl_nodes,
            properties: Vec::from_iter((ttl_nodes > 0).then_some(TTL_PROPERTY)),
        }),
        false => printer.data(&snapshot),
    }
}

fn not_read(error: &OpenError) -> Failure {
    let hint = match error {
        OpenError::InUse { .. } => "stop that server first: what it grants later would be missing",
        OpenError::Missing { .. } | OpenError::Foreign { .. } => {
            "--data names the folder that `sneck serve` was given"
        }
        OpenError::Newer { .. } => "use the newer release; nothing in the folder was changed",
        OpenError::Io { .. } => "run this as the user whose the folder is",
        _ => "restore the folder from a copy, or export from one",
    };
    Failure::new(exit::of_open_error(error), told(error)).with_hint(hint)
}

fn not_written(error: &ExportError) -> Failure {
    let hint = match error {
        ExportError::NotEmpty { .. } => "name a new folder; nothing was changed",
        _ => "nothing was left there; name a folder that you may write in, with room for it",
    };
    let code = match error {
        ExportError::NotEmpty { .. } | ExportError::Folder { .. } => exit::CANNOT_HAVE,
        _ => exit::DISK,
    };
    Failure::new(code, told(error)).with_hint(hint)
}
