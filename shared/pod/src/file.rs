//! Small files of ours, read and written so that nothing that lies in their place can hold a call: a FIFO without
//! a writer, a device, a file without end, a lease that somebody else has.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

/// The most that is read of a file: a pod's annotations end at 256 KiB, and a state holds little more.
const LARGEST: u64 = 4 << 20;

/// Neither the opening nor what comes after it waits for anybody.
fn never_waits() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    options
}

/// A file's content.
///
/// # Errors
/// Whatever keeps it from being read; [`io::ErrorKind::InvalidInput`] if it is no regular file,
/// [`io::ErrorKind::FileTooLarge`] above 4 MiB.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = regular(never_waits().read(true).open(path)?)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB")),
        false => Ok(bytes),
    }
}

/// Writes a new file, in the place of whatever bears that name.
///
/// # Errors
/// Whatever keeps it from being written.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let create = || never_waits().write(true).create_new(true).mode(0o644).open(path);
    let file = create().or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            create()
        }
        _ => Err(error),
    });
    file?.write_all(bytes)
}

/// Makes a folder and those above it that are missing, each for others to look into and not to write, whatever
/// the umask of whoever called.
///
/// # Errors
/// Whatever keeps one from being made.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let make = || {
        fs::create_dir(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o755))
    };
    let made = make().or_else(|error| match (error.kind(), path.parent()) {
        (io::ErrorKind::NotFound, Some(above)) => make_folder(above).and_then(|()| make()),
        _ => Err(error),
    });
    match made {
        // Made by a call beside this one, or long ago.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other,
    }
}

/// The file, if it is one that ends.
fn regular(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn what_was_written_is_read_whatever_lay_there() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("file"), folder.path().join("other"));
        fs::write(&other, "theirs").unwrap();
        let before: [&dyn Fn(); 4] = [
            &|| (),
            &|| fs::write(&path, "longer than what comes").unwrap(),
            &|| mkfifo(&path, Mode::S_IRUSR).unwrap(),
            &|| symlink(&other, &path).unwrap(),
        ];
        for prepare in before {
            let _ = fs::remove_file(&path);
            prepare();
            write(&path, b"ours").unwrap();
            assert_eq!(read(&path).unwrap(), b"ours");
        }
        assert_eq!(read(&other).unwrap(), b"theirs");
    }

    #[test]
    fn folders_are_made_to_the_bottom_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        make_folder(&deep).unwrap();
        make_folder(&deep).unwrap();
        fs::write(deep.join("file"), "").unwrap();
        for path in [&*deep.join("file"), &deep.join("file/d"), Path::new("/proc/nowhere"), Path::new("")] {
            make_folder(path).unwrap_err();
        }
    }

    #[test]
    fn what_could_hold_a_reader_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (fifo, huge) = (folder.path().join("fifo"), folder.path().join("huge"));
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let _writer = never_waits().read(true).write(true).open(&fifo).unwrap();
        File::create(&huge).unwrap().set_len(1 << 40).unwrap();
        for path in [&*fifo, &huge, folder.path(), Path::new("/dev/zero"), Path::new("/dev/ptmx")] {
            assert!(read(path).is_err(), "{}", path.display());
        }
        assert_eq!(read(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
