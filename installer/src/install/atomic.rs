//! Files written whole or not at all, beside programs that write them too.
//!
//! The new text goes into a temporary file of the same folder, ends on the disk, takes the old one's mode, owner and
//! labels, and changes places with it (renameat2, RENAME_EXCHANGE). What comes out is compared with what the edit was made
//! from: if somebody wrote in between, their file goes back and nothing of theirs is lost. File systems that cannot exchange
//! get a comparison and a plain rename.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{CWD, RenameFlags, XattrFlags, fgetxattr, flistxattr, fsetxattr, renameat_with};
use rustix::io::Errno;

use crate::install::error::Error;

/// The first and last letters of every temporary file of ours.
const TEMPORARY: (&str, &str) = (".sluice-", ".tmp");

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there, and was read back.
    Written,
    /// Somebody else changed, removed or made the file meanwhile; it is as they left it.
    Overtaken,
}

/// Puts `new` in place of a file that held `base`. A symbolic link stays one: the file it leads to is replaced.
///
/// # Errors
/// Whatever the file system says; the file is then as it was.
pub fn replace(path: &Path, base: &[u8], new: &[u8]) -> io::Result<Outcome> {
    let path = &path.canonicalize()?;
    let like = File::open(path)?;
    let temporary = Temporary::write(path, new, Some(&like))?;
    // Most who come in between have done so by now. For those who have not, there is the exchange.
    if fs::read(path).is_ok_and(|now| now != base) {
        return Ok(Outcome::Overtaken);
    }
    match rename(&temporary.0, path, RenameFlags::EXCHANGE) {
        Ok(()) => {
            if fs::read(&temporary.0)? != base {
                // Theirs goes back. If they removed it by now, it is gone as they wished.
                return match rename(&temporary.0, path, RenameFlags::EXCHANGE) {
                    Ok(()) | Err(Errno::NOENT) => Ok(Outcome::Overtaken),
                    Err(error) => Err(error.into()),
                };
            }
        }
        Err(Errno::NOENT) => return Ok(Outcome::Overtaken),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::rename(&temporary.0, path)?;
        }
        Err(error) => return Err(error.into()),
    }
    drop(temporary);
    settle(path, new)
}

/// Makes a file that is not there yet, with mode and owner of `like`.
///
/// # Errors
/// Whatever the file system says; no file is there then.
pub fn create(path: &Path, new: &[u8], like: &Path) -> io::Result<Outcome> {
    let temporary = Temporary::write(path, new, Some(&File::open(like)?))?;
    match rename(&temporary.0, path, RenameFlags::NOREPLACE) {
        Ok(()) => settle(path, new),
        Err(Errno::EXIST) => Ok(Outcome::Overtaken),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if !path.exists() => {
            fs::rename(&temporary.0, path)?;
            settle(path, new)
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes a file if it still holds `base`.
///
/// # Errors
/// Whatever the file system says; the file is still there then.
pub fn remove(path: &Path, base: &[u8]) -> io::Result<Outcome> {
    // It is looked at under a name that nobody else writes to.
    let aside = Temporary::name(path)?;
    match rename(path, &aside.0, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::rename(path, &aside.0)?,
        Err(error) => return Err(error.into()),
    }
    if fs::read(&aside.0).is_ok_and(|held| held != base) {
        // Theirs goes back, unless they have written yet another one.
        return match rename(&aside.0, path, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::EXIST) => Ok(Outcome::Overtaken),
            Err(error) => Err(error.into()),
        };
    }
    drop(aside);
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(Outcome::Written)
}

/// Puts a file in place whatever stands there, with this mode. For files that are ours alone. `check` may refuse the
/// temporary file before it gets its name.
///
/// # Errors
/// Whatever the file system or `check` says; the old file is then as it was.
pub fn put(
    path: &Path,
    new: &[u8],
    mode: u32,
    check: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = Temporary::write(path, new, None)?;
    fs::set_permissions(&temporary.0, Permissions::from_mode(mode))?;
    check(&temporary.0)?;
    fs::rename(&temporary.0, path)?;
    settle(path, new).map(drop)
}

/// Removes what killed programs of ours left in a folder. Only who holds the folder's lock may.
pub fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TEMPORARY.0)
            && name.ends_with(TEMPORARY.1)
            && fs::remove_file(entry.path()).is_ok()
        {
            tracing::info!("removed {}: a write that was cut off", entry.path().display());
        }
    }
}

/// The name is on the disk, and what it names is what was meant.
fn settle(path: &Path, new: &[u8]) -> io::Result<Outcome> {
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(if fs::read(path)? == new { Outcome::Written } else { Outcome::Overtaken })
}

fn rename(from: &Path, to: &Path, flags: RenameFlags) -> Result<(), Errno> {
    renameat_with(CWD, from, CWD, to, flags)
}

/// A file that is gone when this is: what is to stay has been renamed away.
struct Temporary(PathBuf);

impl Temporary {
    /// A name beside `path`, and no file yet.
    fn name(path: &Path) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{}-{number}{}", TEMPORARY.0, std::process::id(), TEMPORARY.1);
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self(folder.join(name)))
    }

    fn write(path: &Path, text: &[u8], like: Option<&File>) -> io::Result<Self> {
        let this = Self::name(path)?;
        let open = |path| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = match open(&this.0) {
            // The same process number in an earlier life: nobody else's name begins so.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&this.0)?;
                open(&this.0)?
            }
            other => other?,
        };
        file.write_all(text)?;
        if let Some(like) = like {
            look_like(&file, like)?;
        }
        file.sync_all()?;
        Ok(this)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Owner, mode, labels and access lists of another file.
fn look_like(file: &File, like: &File) -> io::Result<()> {
    let (now, then) = (file.metadata()?, like.metadata()?);
    if (now.uid(), now.gid()) != (then.uid(), then.gid()) {
        fchown(file, Some(then.uid()), Some(then.gid()))?;
    }
    let mut names = vec![0u8; 4096];
    // File systems without attributes, and those of which we may not set some: the mode is what counts then.
    let length = flistxattr(like, &mut names[..]).unwrap_or(0);
    for name in names.get(..length).unwrap_or_default().split(|byte| *byte == 0) {
        let mut value = vec![0u8; 65_536];
        if let Ok(name) = std::str::from_utf8(name)
            && !name.is_empty()
            && let Ok(length) = fgetxattr(like, name, &mut value[..])
            && let Err(error) =
                fsetxattr(file, name, value.get(..length).unwrap_or_default(), XattrFlags::empty())
        {
            tracing::debug!("the attribute {name} could not be kept: {error}");
        }
    }
    file.set_permissions(Permissions::from_mode(then.mode() & 0o7777))
}

/// Reads a plain file, not waiting at a pipe and not more than a configuration can be.
///
/// # Errors
/// In a few words, without the file's name.
pub fn read(path: &Path) -> Result<String, Error> {
    const LARGEST: u64 = 4 << 20;
    let open = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path);
    let file = open.map_err(|error| match path.read_link() {
        Ok(to) => Error::Link { to, source: error },
        Err(_) => Error::Io(error),
    })?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(Error::NotAFile);
    }
    let mut text = String::new();
    match file.take(LARGEST).read_to_string(&mut text) {
        Ok(length) if length as u64 == LARGEST => Err(Error::TooLarge),
        Ok(_) => Ok(text),
        Err(error) => Err(Error::Io(error)),
    }
}
