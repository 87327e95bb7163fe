//! sneck-core
