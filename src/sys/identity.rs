//! Users, as the system's databases know them: from a name or number to all that running as somebody takes.
//!
//! Looking up is all that happens here; becoming somebody is a step of a start ([`super::spawn`]).

use std::ffi::CString;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, getgrouplist, getgroups};

/// Whom a program runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// All groups, `gid` among them.
    pub groups: Vec<u32>,
    pub home: PathBuf,
    pub name: String,
    /// Those of `groups` that were asked for by name.
    pub extra: Vec<u32>,
}

impl Identity {
    /// Whether an unprivileged process is this user already, and so needs no step to become it.
    #[must_use]
    pub fn is_ours_without_privileges(&self) -> bool {
        let uid = geteuid();
        let has = |gid: &u32| getgroups().is_ok_and(|groups| groups.iter().any(|group| group.as_raw() == *gid));
        let is_same = uid.as_raw() == self.uid && getegid().as_raw() == self.gid;
        !uid.is_root() && is_same && self.extra.iter().all(has)
    }

    /// The same user with another group in place of its own.
    ///
    /// # Errors
    /// As [`identity`], of the group.
    pub fn with_group(mut self, group: &str) -> io::Result<Self> {
        let gid = group_number(group)?;
        self.groups.retain(|other| *other != self.gid);
        self.groups.push(gid);
        Ok(Self { gid, ..self })
    }

    /// The same user with one more group.
    ///
    /// # Errors
    /// As [`identity`], of the group.
    pub fn with_extra_group(mut self, group: &str) -> io::Result<Self> {
        let gid = group_number(group)?;
        self.extra.push(gid);
        if !self.groups.contains(&gid) {
            self.groups.push(gid);
        }
        Ok(self)
    }
}

/// Finds a user by name or, when no name fits, by number. Asks the system's databases: may block on a directory service.
///
/// A number without an entry stands for itself, with the group of the same number and `/` as its home.
///
/// # Errors
/// `NotFound` when there is no such user; `InvalidInput` for the number that means "nobody in particular" to the kernel.
pub fn identity(user: &str) -> io::Result<Identity> {
    if let Some(entry) = User::from_name(user)? {
        return from_entry(entry);
    }
    let number: u32 =
        user.parse().map_err(|_| io::Error::new(ErrorKind::NotFound, format!("no user named {user:?}")))?;
    if number == u32::MAX {
        // setuid(-1) leaves the user as it is and reports success.
        return Err(io::Error::new(ErrorKind::InvalidInput, format!("{user} is no user's number")));
    }
    match User::from_uid(Uid::from_raw(number))? {
        Some(entry) => from_entry(entry),
        None => Ok(Identity {
            uid: number,
            gid: number,
            groups: vec![number],
            home: PathBuf::from("/"),
            name: number.to_string(),
            extra: Vec::new(),
        }),
    }
}

fn from_entry(entry: User) -> io::Result<Identity> {
    let name = CString::new(entry.name.as_str())?;
    let groups = getgrouplist(&name, entry.gid)?.into_iter().map(Gid::as_raw).collect();
    Ok(Identity {
        uid: entry.uid.as_raw(),
        gid: entry.gid.as_raw(),
        groups,
        home: entry.dir,
        name: entry.name,
        extra: Vec::new(),
    })
}

/// Finds a group by name or, when no name fits, by number.
fn group_number(group: &str) -> io::Result<u32> {
    if let Some(entry) = Group::from_name(group)? {
        return Ok(entry.gid.as_raw());
    }
    let number = group.parse().map_err(|_| io::Error::new(ErrorKind::NotFound, format!("no group named {group:?}")))?;
    if number == u32::MAX {
        return Err(io::Error::new(ErrorKind::InvalidInput, format!("{group} is no group's number")));
    }
    Ok(number)
}

/// Who we are ourselves.
///
/// # Errors
/// When the system's databases cannot be read.
pub fn ourselves() -> io::Result<Identity> {
    identity(&geteuid().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_and_by_number() {
        let root = identity("root").unwrap();
        assert_eq!((root.uid, root.gid, root.name.as_str()), (0, 0, "root"));
        assert!(root.groups.contains(&0));
        assert_eq!(identity("0").unwrap(), root);
    }

    #[test]
    fn groups_are_exchanged_and_added() {
        let root = identity("root").unwrap();
        let other = root.clone().with_group("4242").unwrap();
        assert_eq!(
            (other.uid, other.gid, other.groups.contains(&0), other.groups.contains(&4242)),
            (0, 4242, false, true)
        );
        let more = root.with_extra_group("4242").unwrap().with_extra_group("4243").unwrap();
        assert_eq!((more.gid, &more.extra[..]), (0, &[4242, 4243][..]));
        assert!([0, 4242, 4243].iter().all(|gid| more.groups.contains(gid)), "{more:?}");
        let error = more.with_group("no-such-group").unwrap_err();
        assert_eq!(error.to_string(), "no group named \"no-such-group\"");
        assert_eq!(ourselves().unwrap().uid, geteuid().as_raw());
    }

    #[test]
    fn an_unknown_name_is_not_found() {
        let error = identity("no-such-user").unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (ErrorKind::NotFound, "no user named \"no-such-user\"".to_owned())
        );
        assert_eq!(identity("-1").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(identity("").unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_number_that_nobody_has_stands_for_itself() {
        let number = 3_999_999_999;
        let stranger = identity("3999999999").unwrap();
        assert_eq!((stranger.uid, stranger.gid, stranger.groups), (number, number, vec![number]));
    }

    #[test]
    fn the_number_that_would_keep_the_supervisors_rights_is_refused() {
        assert_eq!(identity("4294967295").unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
