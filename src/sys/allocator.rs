//! The allocator of the program, which keeps pages that nobody uses any more for a while.
//!
//! It looks for such pages only while it is at work: after a crowd of connections has gone idle there is none, and they would be
//! kept for good. Invariant: nothing that is in use is touched.

#![allow(unsafe_code)]

use std::ptr::null_mut;

/// Gives back to the system what has not been used for some seconds.
pub fn give_back() {
    let _ = decay();
}

/// 0: it has been done.
fn decay() -> i32 {
    // All arenas, for which 4096 stands (jemalloc(3)). A program with another allocator has none in use.
    let order = c"arena.4096.decay".as_ptr();
    // SAFETY: the name ends with a zero byte; this order reads no value and writes none.
    unsafe { tikv_jemalloc_sys::mallctl(order, null_mut(), null_mut(), null_mut(), 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_knows_the_order() {
        assert_eq!(decay(), 0);
    }
}
