//! What is broken, and which test has to notice.

/// One place of one file, and what stands there instead.
#[derive(Debug)]
pub(crate) struct Breakage {
    pub(crate) file: &'static str,
    /// For the table.
    pub(crate) what: &'static str,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    /// The test that fails.
    pub(crate) test: &'static str,
    /// The case of the contract suite, where the test is that.
    pub(crate) case: &'static str,
}

/// A place that a test of the store's own guards.
const fn own(
    file: &'static str,
    what: &'static str,
    [from, to]: [&'static str; 2],
    test: &'static str,
) -> Breakage {
    Breakage { file, what, from, to, test, case: "" }
}

/// A place that a case of the contract suite guards.
const fn contract(
    file: &'static str,
    what: &'static str,
    [from, to]: [&'static str; 2],
    [test, case]: [&'static str; 2],
) -> Breakage {
    Breakage { file, what, from, to, test, case }
}

/// What the text of every script begins with.
pub(crate) const LINE: &str = "crates/sneck-redis/scripts/line.lua";
const ASK: &str = "crates/sneck-redis/scripts/ask.lua";
const RENEW: &str = "crates/sneck-redis/scripts/renew.lua";
const LEAVE: &str = "crates/sneck-redis/scripts/leave.lua";
const ONE: &str = "one_server_keeps_the_contract";
const NODE: &str = "cassandra_keeps_the_contract";

/// In the order of the files. Statements keep their number of markers, as clients count them: a condition is
/// not taken away but made one that always holds, or never.
pub(crate) const BREAKAGES: &[Breakage] = &[
    own(
        LINE,
        "numbers are written as Lua writes them",
        ["return string.format('%.0f', number)", "return tostring(number)"],
        "admission::the_scripts_admit_whom_the_core_admits",
    ),
    own(
        LINE,
        "the server's clock is not asked",
        ["return time[1] * 1000000 + time[2]", "return 1700000000000000"],
        "faults::a10_a_place_that_ended_while_waiting_becomes_no_lock",
    ),
    own(
        LINE,
        "small requests for permits pass a large one",
        [
            "if kind(member) == 'p' then taken",
            "if kind(member) == 'p' and not is_held(values[at]) then elseif kind(member) == 'p' then taken",
        ],
        "admission::the_scripts_admit_whom_the_core_admits",
    ),
    own(
        LINE,
        "a release wakes everybody",
        ["if not fits and not is_held(value) then return end", ""],
        "load::a7_a_release_wakes_one_of_500_waiters",
    ),
    own(
        LINE,
        "places whose term is over stay",
        ["for _, member in ipairs(ended) do remove(lock, member) end", ""],
        "faults::a6_a_dead_waiter_at_the_head_keeps_nobody_out",
    ),
    own(
        LINE,
        "a server that took over grants at once",
        ["quiet = now + longest", "quiet = 0"],
        "failover::a2_the_token_rises_over_a_failover_that_forgot_a_grant",
    ),
    own(
        LINE,
        "places whose term was evicted stay",
        ["redis.call('ZADD', lock.term, last, member) end", "local _ = last end"],
        "faults::a6_a_dead_holder_whose_term_was_evicted_keeps_nobody_out",
    ),
    own(
        ASK,
        "a place of which nothing is known is in line",
        ["return {-1, now}\n  end\nend", "value = '0|0||'\n  end\nend"],
        "faults::a_place_of_which_nothing_is_known_any_more_is_gone",
    ),
    own(
        ASK,
        "a question has no deadline",
        ["if now > tonumber(ARGV[8]) then return {-2, now} end", ""],
        "store::tests::a_question_that_comes_too_late_takes_no_place",
    ),
    own(
        ASK,
        "tokens are a counter without a floor",
        ["token = text(math.max(last + 1, micros))", "token = text(last + 1)"],
        "faults::a13_a_holder_is_told_of_flushall_and_the_token_still_rises",
    ),
    own(
        ASK,
        "a place that ended is taken anew",
        ["if was_in_line then return {-1, now} end", ""],
        "faults::a10_a_place_that_ended_while_waiting_becomes_no_lock",
    ),
    contract(
        ASK,
        "clients may disagree on the number of permits",
        ["elseif size ~= asked_size then", "elseif false then"],
        [ONE, "who_believes_in_another_number_is_told_both"],
    ),
    own(
        ASK,
        "who does not wait stays in line",
        ["if too_many or (entered and not may_wait) then", "if too_many then"],
        "store::tests::who_does_not_wait_stays_in_no_line",
    ),
    own(
        RENEW,
        "a renewal makes anew what was released",
        [
            "if not value then return -1, 0 end",
            "if not value then redis.call('ZADD', lock.line, 1, member) rank = 0 \
             value = token .. '|' .. text(now) .. '||' redis.call('HSET', lock.place, member, value) end",
        ],
        "renewal::tests::a9_a_renewal_never_revives_a_released_lock",
    ),
    own(
        RENEW,
        "a renewal does not look at the token",
        ["if string.sub(value, 1, #token + 1) ~= token .. '|' then return -1, 0 end", ""],
        "renewal::tests::a_renewal_under_another_token_is_none",
    ),
    own(
        LEAVE,
        "a release wakes nobody",
        ["  wake_front(lock, size_of(sizes, name), bell)\n", ""],
        "load::a7_a_release_wakes_one_of_500_waiters",
    ),
    own(
        LEAVE,
        "a question may arrive after its claim has left",
        ["if doubt > 0 then", "if false then"],
        "store::tests::a_question_that_arrives_after_its_claim_has_left_takes_no_place",
    ),
    own(
        "crates/sneck-redis/scripts/downgrade.lua",
        "a downgrade wakes no reader",
        ["wake_front(lock, size_of(KEYS[1], name), bell)", ""],
        "load::a_downgrade_wakes_the_reader_behind",
    ),
    own(
        "crates/sneck-redis/scripts/resize.lua",
        "more permits wake nobody",
        ["prune(lock)\nwake_front(lock, size, bell)", "prune(lock)"],
        "load::a_new_number_of_permits_wakes_at_once",
    ),
    contract(
        "crates/sneck-redis/scripts/revoke.lua",
        "a holder is not told that it was asked",
        ["redis.call('HSET', lock.place, asked_back(member), '1')", ""],
        [ONE, "a_holder_that_is_asked_to_let_go_is_told"],
    ),
    own(
        "crates/sneck-redis/scripts/raise.lua",
        "the token that a majority agreed on is no floor",
        ["text(math.max(last, tonumber(ARGV[2])))", "text(last)"],
        "store::tests::a_token_that_was_written_back_is_a_floor",
    ),
    contract(
        "crates/sneck-redis/scripts/record_write.lua",
        "a record is written on no condition",
        ["if not done and known == ARGV[1] then", "if not done then"],
        [ONE, "a_record_is_written_on_its_condition_only"],
    ),
    contract(
        "crates/sneck-redis/scripts/record_write.lua",
        "a write that is repeated is a conflict",
        ["local done = known == ARGV[2]", "local done = false"],
        [ONE, "a_write_that_is_repeated_is_applied_once"],
    ),
    contract(
        "crates/sneck-redis/scripts/record_delete.lua",
        "a record is deleted on no condition",
        ["if fields[1] and fields[1] ~= ARGV[1] then", "if false then"],
        [ONE, "a_record_is_written_on_its_condition_only"],
    ),
    own(
        "crates/sneck-cassandra/cql/acquire.cql",
        "a grant does not depend on the fence",
        ["IF fence = ?;", "IF fence >= ?;"],
        "modes::permits_are_never_more_than_there_are",
    ),
    own(
        "crates/sneck-cassandra/cql/open.cql",
        "the fence begins at 0",
        ["toUnixTimestamp(now())", "0"],
        "scenarios::a13_a_lock_deleted_by_hand_is_lost_at_the_next_renewal_and_tokens_go_on",
    ),
    contract(
        "crates/sneck-cassandra/cql/open.cql",
        "a partition is opened although it is there",
        [" IF NOT EXISTS", ""],
        [NODE, "tokens_rise_from_grant_to_grant"],
    ),
    own(
        "crates/sneck-cassandra/cql/poison.cql",
        "no number is ever burnt",
        ["IF fence = ?", "IF fence < ?"],
        "scenarios::a5_an_acquisition_that_arrives_late_is_never_applied",
    ),
    own(
        "crates/sneck-cassandra/cql/release.cql",
        "who lost a lock may release the next one's",
        ["IF fencing_token = ?", "IF fencing_token >= ?"],
        "scenarios::a1_a_late_release_touches_nothing",
    ),
    own(
        "crates/sneck-cassandra/cql/renew.cql",
        "a renewal does not look at the epoch",
        ["AND epoch = ?", "AND epoch >= ?"],
        "modes::a_holder_from_before_is_not_renewed_beside_the_next_one",
    ),
];
