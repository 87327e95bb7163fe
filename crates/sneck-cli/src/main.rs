//! The command line of sneck.
//!
//! `main` reads the command line and leads to one file per subcommand in [`verb`]. What is pure is in
//! files of its own: [`schedule`] (when to end a command), [`entry`], [`table`] and [`visible`] (what is
//! shown), [`secret`] (what is not), [`exit`] (which failure has which code).

mod args;
mod asked;
mod background;
mod child;
mod config;
mod doctor;
mod entry;
mod exec;
mod exit;
mod failure;
mod guardian;
mod job;
mod metrics;
mod news;
mod printer;
mod schedule;
mod secret;
mod server;
mod signals;
mod store;
mod supervisor;
mod table;
mod terminal;
mod verb;
mod visible;
mod wait;

use args::{Cli, Global, Verb};
use clap::Parser;
use clap::error::ErrorKind;
use failure::Failure;
use printer::Printer;
use secret::Secrets;
use server::ServerUrl;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let secrets = secrets(&arguments);
    if let [_, verb, rest @ ..] = arguments.as_slice()
        && verb == exec::VERB
    {
        let failure = exec::exec(rest);
        return end(&Printer::new(false, false, secrets), Err(failure));
    }
    if let [_, verb] = arguments.as_slice()
        && verb == guardian::VERB
    {
        return end(&Printer::new(false, false, secrets), guardian::serve().map(|()| 0));
    }
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => {
            let Global { quiet, verbose, .. } = cli.global;
            let printer = Printer::new(quiet, verbose > 0, secrets);
            let result = perform(&cli, &printer);
            end(&printer, result)
        }
        Err(error) => {
            let printer = Printer::new(false, false, secrets);
            let result = usage(&error, &printer);
            end(&printer, result)
        }
    }
}

/// The secrets of the command line and the environment, also where they are in the wrong place.
fn secrets(arguments: &[OsString]) -> Secrets {
    let mut secrets = Secrets::default();
    for text in arguments.iter().chain(&std::env::var_os("SNECK_SERVER")) {
        secrets.learn(&text.to_string_lossy());
    }
    secrets
}

fn perform(cli: &Cli, printer: &Printer) -> Result<u8, Failure> {
    match &cli.verb {
        Verb::Completions(args) => verb::completions::completions(args, printer),
        Verb::Man(args) => verb::man::man(args, printer),
        Verb::Serve(_) if cli.global.server.is_some() => {
            let text = "--server names a server to ask, and `sneck serve` is one itself";
            Err(Failure::usage(text).with_hint("--listen says where it can be reached"))
        }
        Verb::Export(_) if cli.global.server.is_some() => {
            let text = "--server names a server that runs, and one that runs cannot be exported";
            Err(Failure::usage(text).with_hint("--data names the folder of one that was stopped"))
        }
        Verb::Export(args) => verb::export::export(args, printer),
        Verb::Serve(args) if args.detach => {
            verb::detach::detach(args, &verb::serve::local(args)?, printer)
        }
        Verb::Serve(args) => {
            if args.background {
                background::begin()?;
            }
            block_on(verb::serve::serve(args, printer))
        }
        verb => {
            let url = config::server(cli.global.server.as_deref(), printer)?;
            block_on(ask(verb, url, printer))
        }
    }
}

fn block_on(work: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    // One thread: the kernel binds the command of `run` to the thread that starts it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("cannot start", error))?;
    let result = runtime.block_on(work);
    // A host name may still be being resolved, which must not hold us up.
    runtime.shutdown_background();
    result
}

async fn ask(verb: &Verb, url: ServerUrl, printer: &Printer) -> Result<u8, Failure> {
    match verb {
        Verb::Run(args) => verb::run::run(url, args, printer).await,
        Verb::Hold(args) => verb::hold::hold(url, args, printer).await,
        Verb::Ls(args) => verb::ls::ls(url, args, printer).await,
        Verb::Who(args) => verb::who::who(url, args, printer).await,
        Verb::Watch(args) => verb::watch::watch(url, args, printer).await,
        Verb::Deadlocks(args) => verb::deadlocks::deadlocks(url, args, printer).await,
        Verb::Revoke(args) => verb::revoke::revoke(url, args, printer).await,
        Verb::Elect(args) => verb::elect::elect(url, args, printer).await,
        Verb::Durable(args) => verb::durable::durable(url, args, printer).await,
        Verb::Doctor(args) => verb::doctor::doctor(url, args, printer).await,
        Verb::Serve(args) => verb::serve::serve(args, printer).await,
        Verb::Export(args) => verb::export::export(args, printer),
        Verb::Completions(args) => verb::completions::completions(args, printer),
        Verb::Man(args) => verb::man::man(args, printer),
    }
}

/// Help and version are data; the rest is wrong usage.
fn usage(error: &clap::Error, printer: &Printer) -> Result<u8, Failure> {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            printer.raw_data(text.as_bytes())?;
            Ok(0)
        }
        _ => {
            printer.usage(&text);
            Ok(exit::USAGE)
        }
    }
}

fn end(printer: &Printer, result: Result<u8, Failure>) -> ExitCode {
    ExitCode::from(result.unwrap_or_else(|failure| {
        printer.failure(&failure);
        failure.code()
    }))
}
