//! sneck-e2e
fn main() {}
