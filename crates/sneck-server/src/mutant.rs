//! The switch of a deliberate bug.

/// Whether the code that follows is to be wrong in the way of this name; never, without the feature
/// `mutants`.
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

pub(crate) use mutant;
