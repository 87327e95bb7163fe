//! The switch of a deliberate bug.

/// Whether the code that follows is to be wrong in the way of this name; never, without the feature
/// `mutants` of the crate that asks.
#[doc(hidden)]
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {{
        #[cfg(feature = "mutants")]
        {
            $crate::mutants::is_chosen($name)
        }
        #[cfg(not(feature = "mutants"))]
        {
            false
        }
    }};
}
