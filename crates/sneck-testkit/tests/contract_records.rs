//! The cases of the contract that are about records, on stores whose records are broken on purpose: it
//! must see what is wrong with each.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use async_trait::async_trait;
use sneck_core::{
    Backend, Change, Claim, ClaimId, Clock, Error, Memory, Name, Promises, Record, RecordKey,
    RecordKind, Records, Request, Token, TokioClock,
};
use sneck_testkit::contract::{self, Subject};
use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    /// Every write is applied, whatever it expects.
    IgnoresConditions,
    /// Every identity that a record ever had is as good as that of its last write.
    TakesTheOldForTheNew,
    /// A write that is repeated is another write.
    AppliesTwice,
    /// Stamps begin again with each record.
    RestartsStamps,
    /// Changes are not told.
    TellsNothing,
    /// There is one record for each name.
    MixesKinds,
    /// Records end with their writer.
    Forgets,
    /// Data are cut to what fits.
    CutsData,
    /// The time is that of another clock than records are dated by.
    HasTwoClocks,
}

struct Stores {
    defect: Defect,
    clock: TokioClock,
    stores: Mutex<HashMap<&'static str, Arc<Broken>>>,
}

struct Broken {
    memory: Memory,
    defect: Defect,
    ids: Mutex<HashSet<ClaimId>>,
    writes_of_this_record: Mutex<u64>,
}

impl Stores {
    fn new(defect: Defect) -> Arc<Self> {
        Arc::new(Stores { defect, clock: TokioClock::new(), stores: Mutex::default() })
    }
}

#[async_trait]
impl Subject for Stores {
    async fn client(&self, case: &'static str) -> Arc<dyn Backend> {
        let mut stores = self.stores.lock().unwrap();
        let broken = || {
            let memory = Memory::new();
            let (ids, writes_of_this_record) = (Mutex::default(), Mutex::default());
            Arc::new(Broken { memory, defect: self.defect, ids, writes_of_this_record })
        };
        Arc::new(Client(stores.entry(case).or_insert_with(broken).clone()))
    }

    async fn clear(&self, case: &'static str, name: &Name) {
        let broken = self.stores.lock().unwrap().get(case).cloned();
        broken.unwrap().memory.clear(name);
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock)
    }
}

struct Client(Arc<Broken>);

#[async_trait]
impl Backend for Client {
    fn claim(&self, request: Request) -> Box<dyn Claim> {
        self.0.memory.claim(request)
    }

    fn promises(&self) -> Promises {
        self.0.memory.promises()
    }

    fn label(&self) -> Arc<str> {
        Arc::from(format!("{:?}", self.0.defect))
    }

    fn records(&self) -> Option<&dyn Records> {
        Some(&*self.0)
    }

    async fn close(&self) {
        if self.0.defect == Defect::Forgets {
            for name in self.0.inner().names(RecordKind::Once).await.unwrap() {
                let key = RecordKey { kind: RecordKind::Once, name };
                let record = self.0.inner().read(&key).await.unwrap().unwrap();
                self.0.inner().delete(&key, record.id).await.unwrap();
            }
        }
    }
}

impl Broken {
    fn inner(&self) -> &dyn Records {
        self.memory.records().unwrap()
    }

    fn key(&self, key: &RecordKey) -> RecordKey {
        match self.defect {
            Defect::MixesKinds => RecordKey { kind: RecordKind::Once, ..key.clone() },
            _ => key.clone(),
        }
    }

    /// What has to be expected for this to pass for the right thing.
    async fn bent(&self, key: &RecordKey, expected: Option<ClaimId>) -> Option<ClaimId> {
        let current = self.inner().read(key).await.unwrap().map(|record| record.id);
        let known = expected.is_some_and(|id| self.ids.lock().unwrap().contains(&id));
        match self.defect {
            Defect::IgnoresConditions => current,
            Defect::TakesTheOldForTheNew if known && current.is_some() => current,
            _ => expected,
        }
    }

    fn restamped(&self, record: Record, is_new: bool) -> Record {
        let mut writes = self.writes_of_this_record.lock().unwrap();
        *writes = if is_new { 1 } else { *writes + 1 };
        match self.defect {
            Defect::RestartsStamps => Record { stamp: Token::new(*writes).unwrap(), ..record },
            _ => record,
        }
    }
}

#[async_trait]
impl Records for Broken {
    async fn read(&self, key: &RecordKey) -> Result<Option<Record>, Error> {
        self.inner().read(&self.key(key)).await
    }

    async fn write(
        &self,
        key: &RecordKey,
        expected: Option<ClaimId>,
        id: ClaimId,
        data: &[u8],
    ) -> Result<Change<Record>, Error> {
        let key = self.key(key);
        let applied = self.inner().read(&key).await?.is_some_and(|record| record.id == id);
        if applied && self.defect == Defect::AppliesTwice {
            return self.inner().write(&key, Some(id), ClaimId::random(), data).await;
        }
        let cut = match self.defect {
            Defect::CutsData => &data[..data.len().min(Record::DATA_MAX)],
            _ => data,
        };
        let bent = self.bent(&key, expected).await;
        self.ids.lock().unwrap().insert(id);
        let change = self.inner().write(&key, bent, id, cut).await?;
        Ok(match change {
            Change::Done(record) => Change::Done(self.restamped(record, bent.is_none())),
            conflict => conflict,
        })
    }

    async fn delete(&self, key: &RecordKey, expected: ClaimId) -> Result<Change<()>, Error> {
        let key = self.key(key);
        let bent = self.bent(&key, Some(expected)).await.unwrap_or(expected);
        self.inner().delete(&key, bent).await
    }

    async fn changed(&self, key: &RecordKey, seen: Option<ClaimId>) -> Result<(), Error> {
        match self.defect {
            Defect::TellsNothing => pending().await,
            _ => self.inner().changed(&self.key(key), seen).await,
        }
    }

    async fn now(&self) -> Result<SystemTime, Error> {
        let now = self.inner().now().await?;
        match self.defect {
            Defect::HasTwoClocks => Ok(now + Duration::from_secs(3600)),
            _ => Ok(now),
        }
    }

    async fn names(&self, kind: RecordKind) -> Result<Vec<Name>, Error> {
        match self.defect {
            Defect::MixesKinds => self.inner().names(RecordKind::Once).await,
            _ => self.inner().names(kind).await,
        }
    }
}

/// Runs the suite on a store with this defect; these cases, and maybe others, must see it.
macro_rules! seen {
    ($($test:ident: $defect:ident by $($case:ident),+;)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $test() {
                contract::run_broken(Stores::new(Defect::$defect), &[$(stringify!($case)),+]).await;
            }
        )*
    };
}

seen! {
    conditions_that_do_not_matter_are_seen: IgnoresConditions by
        a_record_is_written_on_its_condition_only, a_record_made_anew_is_not_the_old_one;
    an_old_record_that_passes_for_a_new_one_is_seen: TakesTheOldForTheNew by
        a_record_made_anew_is_not_the_old_one;
    a_write_that_is_applied_twice_is_seen: AppliesTwice by a_write_that_is_repeated_is_applied_once;
    stamps_that_begin_again_are_seen: RestartsStamps by stamps_rise_from_write_to_write;
    silence_about_changes_is_seen: TellsNothing by a_change_of_a_record_is_told;
    kinds_that_are_mixed_are_seen: MixesKinds by a_record_outlives_its_writer_and_is_no_lock;
    records_that_end_with_their_writer_are_seen: Forgets by
        a_record_outlives_its_writer_and_is_no_lock;
    data_that_are_cut_are_seen: CutsData by
        data_over_the_limit_is_refused_before_anything_is_written;
    a_second_clock_is_seen: HasTwoClocks by the_store_tells_the_time;
}
