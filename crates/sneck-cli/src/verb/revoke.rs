//! `sneck revoke`: asking whoever holds a lock to let go.

use crate::args::RevokeArgs;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::server::ServerUrl;
use crate::store::{self, Store};
use serde::Serialize;
use std::time::SystemTime;

/// Whom it has asked. The fields are those of the JSON.
#[derive(Serialize)]
struct Asked<'a> {
    name: &'a str,
    asked: Vec<Entry>,
}

/// Asks all holders.
///
/// # Errors
/// For a bad name, and when the store cannot be asked or cannot tell its holders anything.
pub(crate) async fn revoke(
    url: ServerUrl,
    args: &RevokeArgs,
    printer: &Printer,
) -> Result<u8, Failure> {
    let name = store::name(&args.name)?;
    let store = Store::open(url, "sneck revoke".to_owned()).await?;
    let asked = store.locks().request_revocation(name.as_str()).await;
    let asked = store.close(asked.map_err(Failure::from)).await?;
    let now = SystemTime::now();
    let asked: Vec<Entry> = asked.iter().map(|holder| Entry::holder(holder, now)).collect();
    match asked.as_slice() {
        [] => printer.say(&format!("nobody holds {:?}", name.as_str())),
        asked => {
            for holder in asked {
                printer.say(&format!("asked {}", holder.sentence()));
            }
        }
    }
    if args.json {
        printer.json(&Asked { name: name.as_str(), asked })?;
    }
    Ok(0)
}
