//! sneck-wire
