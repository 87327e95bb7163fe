//! libFuzzer in front of one target of `sneck-fuzz`, which the variable `SNECK_FUZZ_TARGET` names.
//!
//! Without `cargo fuzz`, and on a stable compiler: `cargo xtask fuzz --coverage` sets the flags.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sneck_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("SNECK_FUZZ_TARGET").unwrap_or_default();
    sneck_fuzz::target(&name).expect("SNECK_FUZZ_TARGET names a target")
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
