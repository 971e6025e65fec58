//! Secrets: read when they are used, so that a rotation needs no restart
//! (edge: environment, file system).
#![expect(
    clippy::disallowed_methods,
    reason = "secrets live in the environment and in files"
)]

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;

use secrecy::SecretString;

use crate::manifest::SecretRef;
use crate::provider::Credentials;

/// Bytes of a secret, at most.
const MAX_BYTES: usize = 64 << 10;

/// The bit of a file's mode that lets everybody read it.
const READABLE_BY_OTHERS: u32 = 0o004;

/// Why a secret cannot be had. Names where it should be, never what it is.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not there.
    #[error("environment variable `{0}` is not set")]
    Unset(String),
    /// The file cannot be read.
    #[error("secret file `{path}` cannot be read")]
    Unreadable {
        /// As declared.
        path: String,
        #[source]
        /// Why.
        source: io::Error,
    },
    /// Something other than a file.
    #[error("secret file `{0}` is not a regular file")]
    NotAFile(String),
    /// Nothing in it but perhaps a line break.
    #[error("{0} is empty")]
    Empty(String),
    /// Bytes that no header or document can carry.
    #[error("{0} is not UTF-8 text")]
    NotText(String),
    /// Surely not a secret.
    #[error("{0} is larger than 64 KiB")]
    TooLarge(String),
}

impl SecretError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unset(_) => "set it where freshen runs, or correct `credentials` of the Cdn",
            Self::Unreadable { .. } => {
                "let the user that runs freshen read it, or correct `credentials` of the Cdn"
            }
            Self::NotAFile(_) | Self::TooLarge(_) => {
                "name a file that holds nothing but the secret"
            }
            Self::Empty(_) => "put the secret there",
            Self::NotText(_) => "store it as text",
        }
    }
}

/// Reads all secrets of a provider, or says of each that is missing why.
pub fn read_all(
    references: impl IntoIterator<Item = (&'static str, SecretRef)>,
) -> Result<Credentials, Vec<SecretError>> {
    let mut credentials = Credentials::default();
    let mut errors = Vec::new();
    for (role, reference) in references {
        match read(&reference) {
            Ok(secret) => credentials.insert(role, secret),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(credentials)
    } else {
        Err(errors)
    }
}

/// Whether everybody on this machine may read the secret.
pub fn is_open_to_all(reference: &SecretRef) -> bool {
    match reference {
        SecretRef::Env(_) => false,
        SecretRef::File(path) => {
            fs::metadata(path).is_ok_and(|file| file.permissions().mode() & READABLE_BY_OTHERS != 0)
        }
    }
}

/// Reads one secret; a line break at its end is not part of it.
pub fn read(reference: &SecretRef) -> Result<SecretString, SecretError> {
    let (bytes, name) = match reference {
        SecretRef::Env(variable) => {
            let value =
                std::env::var_os(variable).ok_or_else(|| SecretError::Unset(variable.clone()))?;
            let name = format!("environment variable `{variable}`");
            (value.into_encoded_bytes(), name)
        }
        SecretRef::File(path) => (read_file(path)?, format!("secret file `{path}`")),
    };
    if bytes.len() > MAX_BYTES {
        return Err(SecretError::TooLarge(name));
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(SecretError::NotText(name));
    };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(SecretError::Empty(name));
    }
    Ok(text.to_owned().into())
}

fn read_file(path: &str) -> Result<Vec<u8>, SecretError> {
    let unreadable = |source| SecretError::Unreadable {
        path: path.to_owned(),
        source,
    };
    // Asked before opening, since opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(SecretError::NotAFile(path.to_owned()));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn check(content: &[u8], expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, content).unwrap();
        let path = path.to_str().unwrap().to_owned();
        let read = read(&SecretRef::File(path.clone()));
        let read = read
            .map(|secret| secret.expose_secret().to_owned())
            .map_err(|error| error.to_string().replace(&path, "PATH"));
        let read = read.as_ref().map(String::as_str).map_err(String::as_str);
        assert_eq!(read, expected);
    }

    #[test]
    fn one_line_break_at_the_end_is_dropped_and_nothing_else() {
        check(b"s3cret", Ok("s3cret"));
        check(b"s3cret\n", Ok("s3cret"));
        check(b"s3cret\r\n", Ok("s3cret"));
        check(b" s3cret \n\n", Ok(" s3cret \n"));
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_without_being_shown() {
        check(b"\n", Err("secret file `PATH` is empty"));
        check(b"\xff\xfe", Err("secret file `PATH` is not UTF-8 text"));
        let large = vec![b'x'; MAX_BYTES + 1];
        check(&large, Err("secret file `PATH` is larger than 64 KiB"));
    }

    #[test]
    fn every_missing_secret_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let references = [
            (
                "user",
                SecretRef::Env("FRESHEN_NO_SUCH_VARIABLE".to_owned()),
            ),
            ("password", SecretRef::File(path.clone())),
        ];
        let errors: Vec<String> = read_all(references)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            errors,
            [
                "environment variable `FRESHEN_NO_SUCH_VARIABLE` is not set".to_owned(),
                format!("secret file `{path}` is not a regular file"),
            ]
        );
    }

    #[test]
    fn the_environment_is_read_as_well() {
        let reference = SecretRef::Env("CARGO_PKG_NAME".to_owned());
        assert_eq!(read(&reference).unwrap().expose_secret(), "freshen");
    }
}
