//! The developer's front door: `cargo xtask test`, `cargo xtask servers`, `cargo xtask bench`,
//! `cargo xtask chaos`, `cargo xtask differential`, `cargo xtask fuzz`, `cargo xtask history`, `cargo xtask model`,
//! `cargo xtask mutate`, `cargo xtask sim`, `cargo xtask tidy`.
//!
//! One file per verb. Each verb returns whether all was well; what went wrong it has said itself.

mod bench;
mod chaos;
mod differential;
mod fuzz;
mod history;
mod kazoo;
mod model;
mod mutate;
mod servers;
mod sim;
mod talk;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Develop sneck.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run every check and every test, and say which backends could not be tested.
    Test(test::Arguments),
    /// Start real servers, print where they are, and end them with this process.
    Servers(servers::Arguments),
    /// Measure what a lock costs on a real ZooKeeper, beside a bare socket.
    Bench(bench::Arguments),
    /// Kill, stop, cut off and mislead real servers and clients, and judge what became of the locks.
    Chaos(chaos::Arguments),
    /// Compare sneck's server with Apache ZooKeeper, operation by operation, for as long as wanted.
    Differential(differential::Arguments),
    /// Give everything that reads bytes of others what nobody should send, for as long as wanted.
    Fuzz(fuzz::Arguments),
    /// Judge what happened to locks, write it down, or make a sample of it.
    History(history::Arguments),
    /// Run kazoo's own suite against sneck's server.
    Kazoo,
    /// Break the scripts of Redis and the statements of Cassandra, one place after the other, and see that a
    /// test notices each.
    Mutate(mutate::Arguments),
    /// Come to every state of small worlds of locks, whatever happens in whichever order.
    Model(model::Arguments),
    /// Run the client and the server under simulated networks, disks, clocks and operators.
    Sim(sim::Arguments),
    /// Check what no compiler does: file heads and lengths, left-overs, arrows between crates, the tests of
    /// the tables of what is proven.
    Tidy,
}

#[tokio::main]
async fn main() -> ExitCode {
    let well = match Arguments::parse().verb {
        Verb::Test(arguments) => test::run(&arguments).await,
        Verb::Servers(arguments) => servers::run(&arguments).await,
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Chaos(arguments) => chaos::run(&arguments),
        Verb::Differential(arguments) => differential::run(&arguments),
        Verb::Fuzz(arguments) => fuzz::run(&arguments),
        Verb::History(arguments) => history::run(&arguments),
        Verb::Kazoo => kazoo::run(),
        Verb::Model(arguments) => model::run(&arguments),
        Verb::Mutate(arguments) => mutate::run(&arguments),
        Verb::Sim(arguments) => sim::run(&arguments),
        Verb::Tidy => tidy::run(),
    };
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
