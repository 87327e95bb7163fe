//! sneck
