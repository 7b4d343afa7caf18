//! All that the child needs between fork and exec, made while memory may still be allocated.
//!
//! Knows how a [`Spawn`] becomes C strings, numbers and descriptors; performs none of it. Invariants: each descriptor
//! to be placed has been copied above every number on which one is to be placed, so placing one never overwrites
//! another; the pointers of a [`Strings`] live as long as it does.

use std::ffi::{CString, OsString, c_char};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::{fs, ptr};

use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;
use rustix::process::{Gid, Pid, Uid};

use super::super::tree::Tree;
use super::after_fork::Failure;
use super::stamp::Stamp;
use super::{Bounds, Identity, Limit, Spawn, SpawnError, Stdio, Step};

/// A program ready to be forked into.
pub(super) struct Image {
    pub(super) program: CString,
    pub(super) arguments: Strings,
    pub(super) environment: Strings,
    pub(super) directory: Option<CString>,
    pub(super) user: Option<Ids>,
    /// Copy this descriptor to that number.
    pub(super) placements: Vec<(OwnedFd, RawFd)>,
    /// The ranges between those numbers, ends included.
    pub(super) gaps: Vec<(u32, u32)>,
    pub(super) bounds: Ready,
    pub(super) no_new_privs: bool,
    /// Where the child tells its failure.
    pub(super) report: OwnedFd,
    subjects: Subjects,
}

/// Bounds as the child puts them into force.
pub(super) struct Ready {
    /// Of its control group.
    pub(super) entrance: Option<OwnedFd>,
    /// As it is written.
    pub(super) oom_score_adj: Option<Vec<u8>>,
    pub(super) is_protected_from_oom: bool,
    pub(super) nice: Option<i32>,
    pub(super) limits: Vec<Limit>,
    pub(super) umask: Option<u32>,
    /// With the process that has to be the parent still.
    pub(super) death_signal: Option<(rustix::process::Signal, Pid)>,
}

impl Ready {
    fn of(bounds: &Bounds) -> io::Result<Self> {
        Ok(Self {
            entrance: bounds.group.as_ref().map(|group| group.entrance()).transpose()?,
            oom_score_adj: bounds.oom_score_adj.map(|score| score.to_string().into_bytes()),
            is_protected_from_oom: is_protected_from_oom(),
            nice: bounds.nice,
            limits: bounds.limits.clone(),
            umask: bounds.umask,
            death_signal: bounds.death_signal.map(|signal| (signal.into(), rustix::process::getpid())),
        })
    }
}

/// Numbers to become, of the kernel's own types.
pub(super) struct Ids {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<Gid>,
}

impl Ids {
    fn of(identity: &Identity) -> io::Result<Self> {
        let Identity { uid, gid, groups, .. } = identity;
        if [*uid, *gid].contains(&u32::MAX) || groups.contains(&u32::MAX) {
            // The kernel would take it for "as before", leave root's rights in place and report success.
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                format!("{} is no user's or group's number", u32::MAX),
            ));
        }
        let groups = groups.iter().copied().map(Gid::from_raw).collect();
        Ok(Self { uid: Uid::from_raw(*uid), gid: Gid::from_raw(*gid), groups })
    }
}

impl Image {
    /// Does all of a start that can be done before the fork. The second value is the read end of the child's report.
    pub(super) fn prepare(spawn: Spawn) -> Result<(Self, OwnedFd), SpawnError> {
        let subjects = Subjects::of(&spawn);
        let refused = |error: io::Error| SpawnError { step: Step::Prepare, source: error, detail: subjects.program() };
        let gaps = gaps(&spawn.descriptors).map_err(refused)?;
        let above = spawn.descriptors.iter().map(|&(_, number)| number).fold(2, RawFd::max).saturating_add(1);
        let pairs = spawn.env.into_iter().map(|(name, value)| variable(name, value)).collect::<io::Result<_>>();
        let stamps = spawn.pid_variables.into_iter().map(Stamp::new).collect();
        let identity = spawn.identity.filter(|identity| !identity.is_ours_without_privileges());
        let directory = spawn.directory.map(|directory| c_string(directory.into_os_string())).transpose();
        let (report, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| refused(error.into()))?;
        let image = Self {
            program: c_string(spawn.program.into_os_string()).map_err(refused)?,
            arguments: Strings::new(spawn.args, Vec::new()).map_err(refused)?,
            environment: pairs.and_then(|pairs| Strings::new(pairs, stamps)).map_err(refused)?,
            directory: directory.map_err(refused)?,
            user: identity.as_ref().map(Ids::of).transpose().map_err(refused)?,
            placements: lift([spawn.stdin, spawn.stdout, spawn.stderr], spawn.descriptors, above).map_err(refused)?,
            gaps,
            bounds: Ready::of(&spawn.bounds).map_err(refused)?,
            no_new_privs: spawn.no_new_privs,
            report: copy_above(writer.as_fd(), above).map_err(refused)?,
            subjects,
        };
        Ok((image, report))
    }

    /// The processes that come of it, once it is forked.
    pub(super) fn tree(&self, leader: Pid) -> Tree {
        let Bounds { mark, group, .. } = &self.subjects.bounds;
        Tree::new(leader.as_raw_pid(), mark.clone(), group.clone())
    }

    /// Closes everything, the report's write end above all, and keeps what explains a failure.
    pub(super) fn close(self) -> Subjects {
        self.subjects
    }
}

/// What the steps are about, for people.
pub(super) struct Subjects {
    program: PathBuf,
    directory: Option<PathBuf>,
    user: Option<Identity>,
    bounds: Bounds,
}

impl Subjects {
    fn of(spawn: &Spawn) -> Self {
        Self {
            program: spawn.program.clone(),
            directory: spawn.directory.clone(),
            user: spawn.identity.clone(),
            bounds: spawn.bounds.clone(),
        }
    }

    pub(super) fn program(&self) -> String {
        self.program.display().to_string()
    }

    pub(super) fn explain(&self, failure: Failure) -> SpawnError {
        let Failure { step, errno, which } = failure;
        let user = |number: fn(&Identity) -> u32| {
            self.user.as_ref().map(|user| format!("{} (user {})", number(user), user.name))
        };
        let detail = match step {
            Step::Directory => self.directory.as_ref().map(|directory| directory.display().to_string()),
            Step::Groups | Step::Gid => user(|user| user.gid),
            Step::Uid => user(|user| user.uid),
            Step::OomScore => self.bounds.oom_score_adj.map(|score| score.to_string()),
            Step::Nice => self.bounds.nice.map(|nice| nice.to_string()),
            Step::Limits => self.bounds.limits.get(usize::from(which)).map(ToString::to_string),
            Step::Exec => Some(self.program() + self.hint(errno)),
            _ => None,
        };
        SpawnError { step, source: io::Error::from_raw_os_error(errno), detail: detail.unwrap_or_default() }
    }

    /// The kernel answers for the file and for what the file needs in the same words.
    fn hint(&self, errno: i32) -> &'static str {
        match errno {
            nix::libc::ENOENT if self.program.exists() => " (it is there, but its interpreter or loader is not)",
            nix::libc::ENOEXEC => " (neither a program for this machine nor a script that begins with #!)",
            _ => "",
        }
    }
}

/// C strings with the array of pointers to them, ended by a null, as execve(2) wants it.
pub(super) struct Strings {
    pointers: Vec<*const c_char>,
    _texts: Vec<CString>,
    stamps: Vec<Stamp>,
}

impl Strings {
    fn new(texts: Vec<OsString>, stamps: Vec<Stamp>) -> io::Result<Self> {
        let texts = texts.into_iter().map(c_string).collect::<io::Result<Vec<_>>>()?;
        let fixed = texts.iter().map(|text| text.as_ptr());
        let pointers = fixed.chain(stamps.iter().map(Stamp::as_ptr)).chain([ptr::null()]).collect();
        Ok(Self { pointers, _texts: texts, stamps })
    }

    /// Writes this number into every text that is to have it. Allocates nothing.
    pub(super) fn stamp(&self, pid: u32) {
        self.stamps.iter().for_each(|stamp| stamp.write(pid));
    }

    pub(super) fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

fn c_string(text: OsString) -> io::Result<CString> {
    Ok(CString::new(text.into_vec())?)
}

fn variable(name: OsString, value: OsString) -> io::Result<OsString> {
    if name.is_empty() || name.as_encoded_bytes().contains(&b'=') {
        let reason = format!("{:?} is no name of an environment variable", name.to_string_lossy());
        return Err(io::Error::new(ErrorKind::InvalidInput, reason));
    }
    let mut text = name;
    text.push("=");
    text.push(value);
    Ok(text)
}

/// Copies every descriptor to be placed above all the numbers on which one is to be placed.
fn lift(streams: [Stdio; 3], others: Vec<(OwnedFd, RawFd)>, above: RawFd) -> io::Result<Vec<(OwnedFd, RawFd)>> {
    let mut lifted = Vec::with_capacity(streams.len() + others.len());
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let own = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    for (number, (stream, own)) in (0..).zip(streams.into_iter().zip(own)) {
        let copy = match stream {
            Stdio::Null => copy_above(dev_null()?.as_fd(), above)?,
            Stdio::Fd(descriptor) => copy_above(descriptor.as_fd(), above)?,
            Stdio::Inherit => copy_above(own, above)?,
        };
        lifted.push((copy, number));
    }
    for (descriptor, number) in others {
        lifted.push((copy_above(descriptor.as_fd(), above)?, number));
    }
    Ok(lifted)
}

fn copy_above(descriptor: BorrowedFd<'_>, above: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, above)?)
}

fn dev_null() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(Path::new("/dev/null"), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

/// The ranges of descriptor numbers that hold nothing that was asked for.
fn gaps(descriptors: &[(OwnedFd, RawFd)]) -> io::Result<Vec<(u32, u32)>> {
    let mut numbers: Vec<RawFd> = descriptors.iter().map(|&(_, number)| number).collect();
    numbers.sort_unstable();
    let mut gaps = Vec::with_capacity(numbers.len() + 1);
    let mut next = 3;
    for number in numbers {
        let number = u32::try_from(number).ok().filter(|&number| number >= next);
        let number = number
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "descriptors go to 3 and up, one to each number"))?;
        if number > next {
            gaps.push((next, number - 1));
        }
        next = number + 1;
    }
    gaps.push((next, u32::MAX));
    Ok(gaps)
}

/// A supervisor that its operator protects from the out-of-memory killer must not hand that on to what it starts; a
/// program that is to die early, on the other hand, stays so.
fn is_protected_from_oom() -> bool {
    fs::read_to_string("/proc/self/oom_score_adj").is_ok_and(|score| score.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptors(numbers: &[RawFd]) -> Vec<(OwnedFd, RawFd)> {
        numbers.iter().map(|&number| (dev_null().unwrap(), number)).collect()
    }

    #[test]
    fn what_lies_between_the_placed_numbers_is_closed() {
        assert_eq!(gaps(&descriptors(&[])).unwrap(), [(3, u32::MAX)]);
        assert_eq!(gaps(&descriptors(&[3, 4])).unwrap(), [(5, u32::MAX)]);
        assert_eq!(gaps(&descriptors(&[9, 4])).unwrap(), [(3, 3), (5, 8), (10, u32::MAX)]);
    }

    #[test]
    fn a_number_is_used_once_and_is_no_standard_stream() {
        for wrong in [&[2][..], &[-1], &[5, 5], &[0]] {
            assert_eq!(gaps(&descriptors(wrong)).unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong:?}");
        }
    }

    #[test]
    fn a_variable_has_a_name_and_its_value_may_hold_anything() {
        assert_eq!(variable("A".into(), "b=c d".into()).unwrap(), "A=b=c d");
        for wrong in ["", "A=B", "="] {
            assert_eq!(variable(wrong.into(), "x".into()).unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong:?}");
        }
    }

    #[test]
    fn strings_end_with_a_null_pointer() {
        let strings = Strings::new(vec!["a".into(), "b".into()], Vec::new()).unwrap();
        assert_eq!(strings.pointers.len(), 3);
        assert!(strings.pointers[2].is_null() && !strings.pointers[1].is_null());
        assert_eq!(
            Strings::new(vec!["a\0b".into()], Vec::new()).err().map(|error| error.kind()),
            Some(ErrorKind::InvalidInput)
        );
    }
}
