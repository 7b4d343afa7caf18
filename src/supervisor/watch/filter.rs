//! What of an app's files is of interest: below a watched path, and not ignored.
//!
//! Pure: paths in, answers out. Invariant: what is in an ignored folder is ignored.

use std::path::{Path, PathBuf};

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::config::{NEVER_WATCHED, Watch};

/// What is watched, and what of that is not.
#[derive(Debug)]
pub(super) struct Filter {
    /// As the kernel names them, symlinks followed.
    roots: Vec<PathBuf>,
    /// For each component of a path.
    names: GlobSet,
    /// For a path from its root on.
    paths: GlobSet,
    /// What we write ourselves: paths that begin like one of these, by their bytes.
    own: Vec<PathBuf>,
}

impl Filter {
    /// # Errors
    /// A sentence that names the pattern.
    pub(super) fn new(settings: &Watch, roots: Vec<PathBuf>, own: Vec<PathBuf>) -> Result<Self, String> {
        let (mut names, mut paths) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in NEVER_WATCHED.into_iter().chain(settings.ignore.iter().map(String::as_str)) {
            let plain = pattern.trim_start_matches("./").trim_end_matches('/');
            let failed = |error: globset::Error| format!("{pattern}: {error}");
            if plain.contains('/') {
                let glob = GlobBuilder::new(plain.trim_start_matches('/')).literal_separator(true).build();
                paths.add(glob.map_err(failed)?);
            } else {
                names.add(Glob::new(plain).map_err(failed)?);
            }
        }
        let built = |set: GlobSetBuilder| set.build().map_err(|error| error.to_string());
        Ok(Self { roots, names: built(names)?, paths: built(paths)?, own })
    }

    pub(super) fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Is a change of it of interest, or of what is in it?
    pub(super) fn wants(&self, path: &Path) -> bool {
        let begins_like =
            |own: &PathBuf| path.as_os_str().as_encoded_bytes().starts_with(own.as_os_str().as_encoded_bytes());
        let inner = self.roots.iter().filter_map(|root| path.strip_prefix(root).ok());
        !self.own.iter().any(begins_like) && inner.into_iter().any(|inner| !self.is_ignored(inner))
    }

    fn is_ignored(&self, inner: &Path) -> bool {
        let prefixes = inner.ancestors().filter(|prefix| !prefix.as_os_str().is_empty());
        prefixes.into_iter().any(|prefix| {
            let is_named = prefix.file_name().is_some_and(|name| self.names.is_match(name));
            is_named || self.paths.is_match(prefix)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn filter(ignore: &[&str]) -> Filter {
        let ignore = ignore.iter().map(|&one| one.to_owned()).collect();
        let settings = Watch { paths: Vec::new(), ignore, debounce: Duration::ZERO };
        let roots = ["/srv/app", "/etc/app.conf"].map(PathBuf::from).into();
        Filter::new(&settings, roots, vec!["/srv/app/out".into()]).unwrap()
    }

    fn wants(filter: &Filter, path: &str) -> bool {
        filter.wants(Path::new(path))
    }

    #[test]
    fn what_is_below_a_root_is_wanted_and_nothing_else() {
        let filter = filter(&[]);
        for path in ["/srv/app/server.js", "/srv/app/a/b/c", "/srv/app", "/etc/app.conf", "/srv/app/.env"] {
            assert!(wants(&filter, path), "{path}");
        }
        for path in ["/srv/other", "/srv/app2/x", "/etc/app.conf2", "/"] {
            assert!(!wants(&filter, path), "{path}");
        }
    }

    #[test]
    fn what_never_means_anything_is_ignored_at_any_depth_with_all_that_is_in_it() {
        let filter = filter(&[]);
        for path in [".git/index", "a/node_modules/x/y.js", "err.log", "a/b.log.1", ".server.js.swp", "a.js~", "4913"] {
            assert!(!wants(&filter, &format!("/srv/app/{path}")), "{path}");
        }
        for path in ["out", "out-0.txt", "out.20260131"] {
            assert!(!wants(&filter, &format!("/srv/app/{path}")), "{path}: we write that ourselves");
        }
        assert!(wants(&filter, "/srv/app/gitx") && wants(&filter, "/srv/app/logs.js"));
    }

    #[test]
    fn patterns_are_for_names_or_with_a_slash_for_paths_from_the_root_on() {
        let filter = filter(&["*.md", "dist/", "./data/*.db", "gen/**/x"]);
        for path in ["README.md", "a/b.md", "dist/a", "a/dist/b", "data/a.db", "gen/1/2/x"] {
            assert!(!wants(&filter, &format!("/srv/app/{path}")), "{path}");
        }
        for path in ["data/a/b.db", "other/data/a.db", "gen/1/y", "distx"] {
            assert!(wants(&filter, &format!("/srv/app/{path}")), "{path}");
        }
    }
}
