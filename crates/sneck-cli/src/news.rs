//! What a server has to say while it runs, to whoever has started it or to its log.

use std::time::Duration;

use sneck_server::{Compactions, Limit, Refusals, Running};

use crate::background::Log;
use crate::printer::Printer;

/// Says when the log cannot be compacted, and when it can again.
pub(crate) async fn tell_of_compactions(
    server: &Running,
    log: Option<&Log>,
    printer: &Printer,
) -> ! {
    let mut known = Compactions::default();
    loop {
        let now = server.compactions_after(&known).await;
        tell_of_compaction(&known, &now, log, printer);
        known = now;
    }
}

/// Says at which limits something was refused: at once, and then with what a while brings. A peer that
/// is refused without end must not fill a disk with the news of it.
pub(crate) async fn tell_of_refusals(server: &Running, log: Option<&Log>, printer: &Printer) -> ! {
    const TOLD_EVERY: Duration = Duration::from_secs(60);
    let mut known = Refusals::default();
    loop {
        let now = server.refusals_after(&known).await;
        for limit in Limit::ALL {
            let more = now.at(*limit) - known.at(*limit);
            if more == 0 {
                continue;
            }
            let text = format!("refused, at the limit {limit}: {more} times");
            match log {
                Some(log) => log.note(&text),
                None => printer.warn(&text, "some client asks for more than this server will hold"),
            }
        }
        known = now;
        tokio::time::sleep(TOLD_EVERY).await;
    }
}

/// Says that the log only grows, each time its compaction has failed, and that it is over. As long as
/// everything goes well there is nothing to say.
fn tell_of_compaction(
    before: &Compactions,
    now: &Compactions,
    log: Option<&Log>,
    printer: &Printer,
) {
    match (&now.failing, &before.failing) {
        (Some(why), _) => {
            let megabytes = now.log_bytes >> 20;
            let text = format!("the log, of {megabytes} MiB, cannot be compacted: {why}");
            match log {
                Some(log) => log.note(&text),
                None => printer.warn(
                    &text,
                    "nothing is lost, and it is tried again and again; see to the disk",
                ),
            }
        }
        (None, Some(_)) => {
            let text = "the log is compacted again";
            match log {
                Some(log) => log.note(text),
                None => printer.say(text),
            }
        }
        (None, None) => {}
    }
}
