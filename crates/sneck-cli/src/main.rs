//! sneck-cli
fn main() {}
