//! Two synchronisers copy a customer's address into a database; one of them is late.
//!
//! `cargo run -p sneck --example data_sync`. The lock keeps them apart as long as both run. The one that is
//! stopped in the middle comes back when the other has long been done, with what it read an hour ago. The
//! database compares the tokens within the statement that writes, so that no time lies in between.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use rusqlite::{Connection, params};
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let locks = sneck::connect("memory:").await?;
    let database = Connection::open_in_memory()?;
    database.execute_batch(
        "CREATE TABLE customer (id INTEGER PRIMARY KEY, address TEXT, token INTEGER NOT NULL);
         INSERT INTO customer VALUES (7, 'unknown', 0);",
    )?;

    // The slow one has the lock, reads the source, and is stopped; its lock runs out. The quick one
    // has its turn.
    let slow = locks.mutex("sync/customer/7").lock().await?;
    let (slow_token, slow_read) = (slow.token().get(), "Old Street 1");
    slow.unlock().await?;
    let quick = locks.mutex("sync/customer/7").lock().await?;
    let (quick_token, quick_read) = (quick.token().get(), "New Street 2");

    let plain = "UPDATE customer SET address = ?1 WHERE id = 7";
    database.execute(plain, params![quick_read])?;
    database.execute(plain, params![slow_read])?;
    println!("without tokens: {}", address(&database)?);

    let fenced = "UPDATE customer SET address = ?1, token = ?2 WHERE id = 7 AND token <= ?2";
    let written = database.execute(fenced, params![quick_read, i64::try_from(quick_token)?])?;
    assert_eq!(written, 1);
    let written = database.execute(fenced, params![slow_read, i64::try_from(slow_token)?])?;
    println!("with tokens: {}, late writes that were taken: {written}", address(&database)?);

    quick.unlock().await?;
    Ok(())
}

fn address(database: &Connection) -> rusqlite::Result<String> {
    database.query_row("SELECT address FROM customer WHERE id = 7", [], |row| row.get(0))
}
