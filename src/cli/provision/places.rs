//! Puts what Daily handed out where the configuration reads it: into the file of a `${file:PATH}`. What stands in the
//! configuration itself or in the environment is the operator's to set, so that no comment is lost and nothing is
//! overwritten unasked.

use crate::clock::Entropy;
use crate::config::draft::{Origin, Place};
use crate::config::value::Secret;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What has to happen so that the configuration reads a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Errand {
    /// A file is written.
    Write {
        /// Which place.
        at: usize,
        /// Which file.
        path: PathBuf,
        /// Its content.
        content: Secret,
    },
    /// The operator sets it.
    Set(ToSet),
}

/// What the operator sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ToSet {
    /// The key of the configuration.
    pub(super) key: String,
    /// The environment variable that it names, if it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) env: Option<String>,
    /// The value. Secret.
    pub(super) value: String,
}

/// A file that was written, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Written {
    /// The key of the configuration.
    pub(super) key: String,
    /// The file.
    pub(super) path: PathBuf,
    /// `write` a new one or `replace` one that held something else.
    pub(super) action: &'static str,
}

/// What has to happen so that `places` hold every value of `needed`; `key` is used where there is no place at all.
pub(super) fn errands(key: &str, places: &[Place], needed: &[String]) -> Vec<Errand> {
    let holds = |place: &Place, value: &str| place.value.as_ref().is_some_and(|held| same(held.expose(), value));
    let held = |value: &String| places.iter().any(|place| holds(place, value));
    // A place that holds one of the needed values keeps it.
    let mut free: Vec<(usize, &Place)> =
        places.iter().enumerate().filter(|(_, place)| !needed.iter().any(|value| holds(place, value))).collect();
    let mut errands = vec![];
    for value in needed.iter().filter(|value| !held(value)) {
        let file = free.iter().position(|(_, place)| matches!(place.origin, Origin::File(_)));
        let taken = file.or((!free.is_empty()).then_some(0)).map(|position| free.remove(position));
        errands.push(match taken {
            Some((at, Place { origin: Origin::File(path), value: old, .. })) => {
                let tail =
                    old.as_ref().and_then(|old| old.expose().split_once('?')).map(|(_, tail)| format!("?{tail}"));
                let content = Secret::new(format!("{value}{}", tail.unwrap_or_default()));
                Errand::Write { at, path: path.clone(), content }
            }
            Some((_, place)) => {
                let env = if let Origin::Env(name) = &place.origin { Some(name.clone()) } else { None };
                Errand::Set(ToSet { key: place.key.clone(), env, value: value.clone() })
            }
            None => Errand::Set(ToSet { key: key.to_owned(), env: None, value: value.clone() }),
        });
    }
    errands
}

/// The same secret, or the same SIP address: that has or lacks its scheme, and headers may be added to it.
fn same(held: &str, value: &str) -> bool {
    let bare = |text: &str| {
        let text = text.trim().split('?').next().unwrap_or_default().to_owned();
        text.strip_prefix("sip:").map_or(text.clone(), str::to_owned)
    };
    bare(held) == bare(value)
}

/// Writes the file: whole or not at all, readable by its owner only. The owner of one that is replaced stays its owner.
///
/// # Errors
/// The folder is not there, or not ours to write.
pub(super) fn write_private(path: &Path, content: &str, entropy: &mut Entropy) -> io::Result<()> {
    // Behind a link is the file that is meant.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (temporary, mut file) = temporary(&path, entropy)?;
    let written = (|| {
        if let Ok(old) = std::fs::metadata(&path) {
            // Only root may give files away; for anybody else it is his own already, or he may not read it anyway.
            let _ = std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()));
        }
        file.write_all(content.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        File::open(folder(&path))?.sync_all()
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// Could the file be written? Asked before anything is sent.
///
/// # Errors
/// It could not.
pub(super) fn try_folder(path: &Path, entropy: &mut Entropy) -> io::Result<()> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (temporary, _) = temporary(&path, entropy)?;
    std::fs::remove_file(temporary)
}

fn temporary(path: &Path, entropy: &mut Entropy) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?.to_string_lossy();
    let temporary = folder(path).join(format!(".{name}.{}", entropy.hex(12)));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    Ok((temporary, file))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(origin: Origin, value: Option<&str>) -> Place {
        Place { key: "daily.hmac".into(), origin, value: value.map(Secret::new) }
    }

    fn file(value: Option<&str>) -> Place {
        place(Origin::File("f".into()), value)
    }

    fn needed(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn what_is_held_already_needs_nothing() {
        let uri = needed(&["sip:a@example.com"]);
        for held in ["sip:a@example.com", "a@example.com", "sip:a@example.com?x-a=1"] {
            assert_eq!(errands("k", &[place(Origin::Literal, Some(held))], &uri), [], "{held}");
        }
        assert_eq!(errands("k", &[file(Some("old")), file(Some("new"))], &needed(&["new"])), []);
    }

    #[test]
    fn files_are_written_and_everything_else_is_told() {
        let write = |at, content: &str| Errand::Write { at, path: "f".into(), content: Secret::new(content) };
        let set = |key: &str, env: Option<&str>, value: &str| {
            Errand::Set(ToSet { key: key.into(), env: env.map(str::to_owned), value: value.into() })
        };
        let env = place(Origin::Env("E".into()), Some("old"));
        let literal = place(Origin::Literal, Some("old"));
        for (places, values, expected) in [
            (vec![file(None)], vec!["a"], vec![write(0, "a")]),
            (vec![file(Some("old?x=1"))], vec!["a"], vec![write(0, "a?x=1")]),
            (vec![env.clone()], vec!["a"], vec![set("daily.hmac", Some("E"), "a")]),
            (vec![literal.clone()], vec!["a"], vec![set("daily.hmac", None, "a")]),
            (vec![], vec!["a"], vec![set("k", None, "a")]),
            (vec![literal, file(None)], vec!["a"], vec![write(1, "a")]),
            (vec![file(Some("a")), env], vec!["a", "b"], vec![set("daily.hmac", Some("E"), "b")]),
            (vec![file(None)], vec!["a", "b"], vec![write(0, "a"), set("k", None, "b")]),
        ] {
            assert_eq!(errands("k", &places, &needed(&values)), expected);
        }
    }

    #[test]
    fn a_file_is_private_replaced_whole_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hmac");
        std::fs::write(&path, "old and longer").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write_private(&link, "new", &mut Entropy::seeded(1)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        try_folder(&path, &mut Entropy::seeded(2)).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(write_private(&folder.path().join("no/hmac"), "new", &mut Entropy::seeded(1)).is_err());
    }
}
