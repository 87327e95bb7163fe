//! What happened to locks, written down by somebody impartial, and judged.
//!
//! A *history* is a file of JSON lines: a [`Header`], and then one [`Entry`] for each thing that
//! happened, in the order in which one arbiter learned of it. Clients say what they call and what
//! came back; an observer says what the store did; whoever makes faults says which.
//!
//! Nothing here knows how a lock is made: the crate shares no code with what it judges, and a lock
//! of anybody's can be judged by it. `docs/proof/checkers.md` in the repository says what each
//! property means, how it is decided, and what cannot be seen.
//!
//! # Two kinds of time
//!
//! All times are nanoseconds of *one* clock, the monotonic clock of the machine (or of the
//! simulator). [`Entry::at_ns`] is the arbiter's reading. A client announces a call and waits for
//! the arbiter's answer before it makes it, and tells the outcome after it has it: the two stamps
//! enclose the call, whatever clock the client believes in. [`Entry::own_ns`] is what the client
//! read itself. It is used only where it shortens what the client claims: the moment it was told
//! that a lock is lost. A client under a clock shim has to read past it.
//!
//! ```
//! use sneck_history::{Entry, Event, Header, HistoryReader, HistoryWriter, Mode, Store};
//!
//! let mut file = Vec::new();
//! let mut writer = HistoryWriter::new(&mut file, &Header::new(Store::Memory))?;
//! let acquire = Event::Acquire {
//!     attempt: 1, lock: "a".into(), mode: Mode::Exclusive, session: None, no_wait: false, together: None,
//! };
//! writer.write(&Entry { seq: 1, at_ns: 10, client: Some(1), own_ns: Some(9), event: acquire })?;
//! writer.flush()?;
//!
//! let mut reader = HistoryReader::new(file.as_slice())?;
//! assert_eq!(reader.header().store, Store::Memory);
//! assert_eq!(reader.next().expect("one entry")?.seq, 1);
//! assert!(reader.next().is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arbiter;
mod check;
mod clock;
mod desk;
mod event;
mod header;
mod health;
mod reader;
mod report;
mod sample;
mod story;
mod teller;
mod writer;

pub use arbiter::{Arbiter, Message, NAME_BYTES_MAX, RESOURCES_MAX, Refusal, Reply, Say};
pub use check::{Judge, judge};
pub use clock::monotonic_ns;
pub use desk::{CLIENTS_MAX, Desk};
pub use event::{CLOCK, CRASH, Entry, Event, Mode, PAUSE, REMOVAL};
pub use header::{Bounds, Claims, Floors, Header, Store, VERSION};
pub use reader::{HistoryReader, LINE_BYTES_MAX, ReadError};
pub use report::{Count, KEPT_MAX, Latency, Property, Report, Violation};
pub use sample::Sample;
pub use teller::{Access, Stamp, Teller};
pub use writer::HistoryWriter;
