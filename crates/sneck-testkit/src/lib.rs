//! sneck-testkit
