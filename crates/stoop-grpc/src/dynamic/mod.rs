//! Calls to services that are not known before run time.
