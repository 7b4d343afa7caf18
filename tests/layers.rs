//! The walls: which room may use which.
