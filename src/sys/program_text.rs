//! The program's own code and constants in memory, most of which only its start needs.
//!
//! They are pages of a file that the kernel keeps anyway, mapped in as they are touched, with their neighbours, and never
//! mapped out while there is memory. Invariant: nothing that can be written is touched, and so nothing is lost: what is
//! needed again comes back from the file (madvise(2), `MADV_DONTNEED`).
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use nix::libc::{self, MADV_DONTNEED, PF_W, PT_LOAD, dl_iterate_phdr, dl_phdr_info, madvise};

/// Gives back what is mapped in; what is needed is mapped in again as it is touched. For once, when the start is over. A
/// debugger has its breakpoints in there, so under one nothing is done.
pub fn give_back() {
    if is_traced() {
        return;
    }
    // SAFETY: the function is called while this one runs, and is given no data.
    unsafe { dl_iterate_phdr(Some(give_back_of), null_mut()) };
}

/// By `TracerPid` (`proc_pid_status(5)`). Where that cannot be read, as in a proxy that is locked down, there is no debugger.
fn is_traced() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("TracerPid:")).is_some_and(|pid| pid.trim() != "0")
}

/// Of the first object, which is the program (`dl_iterate_phdr(3)`); not 0: that is all.
unsafe extern "C" fn give_back_of(object: *mut dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the caller gives an object that lives for as long as this call, with so many headers.
    let (base, headers) =
        unsafe { ((*object).dlpi_addr, std::slice::from_raw_parts((*object).dlpi_phdr, (*object).dlpi_phnum.into())) };
    // SAFETY: sysconf reads nothing of ours.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    for header in headers.iter().filter(|header| header.p_type == PT_LOAD && header.p_flags & PF_W == 0) {
        let start = (base + header.p_vaddr).next_multiple_of(page);
        let end = (base + header.p_vaddr + header.p_memsz) / page * page;
        if start < end {
            // SAFETY: these are whole pages of a part that is mapped without the right to write, and so are as in the file.
            unsafe { madvise(start as *mut c_void, (end - start) as usize, MADV_DONTNEED) };
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kilobytes of files that are mapped in.
    fn mapped() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn what_is_given_back_is_less_in_memory_and_comes_again() {
        let touched: u32 = (0..10_000_u32).map(|number| format!("{number:x}").parse::<u32>().unwrap_or(number)).sum();
        let before = mapped();
        give_back();
        let after = mapped();
        assert!(after < before, "{before} kB, then {after}");
        let again: u32 = (0..10_000_u32).map(|number| format!("{number:x}").parse::<u32>().unwrap_or(number)).sum();
        assert_eq!(touched, again);
    }
}
