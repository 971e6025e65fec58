//! Asset ids: what may stand in a URL, and how.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Why an id cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdFault {
    /// Nothing would stand for `<ID>`.
    #[error("the asset id is empty")]
    Empty,
    /// It would end the path, or break the line.
    #[error("an asset id cannot hold {0:?}")]
    Forbidden(char),
    /// Dynamic Media drops file endings on upload.
    #[error("asset id {id:?} ends in {ending:?}; ids have no file ending in Dynamic Media")]
    FileEnding {
        /// As declared.
        id: String,
        /// With its dot.
        ending: String,
    },
}

impl IdFault {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "give the asset's id as Dynamic Media shows it",
            Self::Forbidden(_) => {
                "give the id alone; what follows it in a URL belongs into a template"
            }
            Self::FileEnding { .. } => {
                "drop the ending, or declare the asset's type if the id really has it"
            }
        }
    }
}

/// The id as it stands in URLs: as it is, except that characters no URL may
/// hold are percent-encoded, and so is a `%` that encodes nothing.
pub fn escape(id: &str) -> Result<Cow<'_, str>, IdFault> {
    if id.is_empty() {
        return Err(IdFault::Empty);
    }
    if let Some(forbidden) = id
        .chars()
        .find(|c| matches!(c, '?' | '#') || c.is_control())
    {
        return Err(IdFault::Forbidden(forbidden));
    }
    if id
        .bytes()
        .all(|byte| byte != b'%' && may_stand_in_url(byte))
    {
        return Ok(Cow::Borrowed(id));
    }
    let bytes = id.as_bytes();
    let mut escaped = String::with_capacity(id.len() + 8);
    for (at, byte) in bytes.iter().enumerate() {
        if may_stand_in_url(*byte) && (*byte != b'%' || is_encoding(&bytes[at..])) {
            escaped.push(char::from(*byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("a string takes what is written to it");
        }
    }
    Ok(Cow::Owned(escaped))
}

/// Refuses an id that still has the ending of its file.
pub fn refuse_file_ending(id: &str) -> Result<(), IdFault> {
    let Some((stem, ending)) = id.rsplit_once('.') else {
        return Ok(());
    };
    let is_ending = ENDINGS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(ending));
    if stem.is_empty() || !is_ending {
        return Ok(());
    }
    Err(IdFault::FileEnding {
        id: id.to_owned(),
        ending: format!(".{ending}"),
    })
}

const ENDINGS: &[&str] = &[
    "ai", "avif", "bmp", "doc", "docx", "eps", "fla", "flv", "gif", "indd", "jpeg", "jpg", "m4v",
    "mov", "mp3", "mp4", "mpg", "otf", "pct", "pdf", "png", "ppt", "pptx", "ps", "psb", "psd",
    "rtf", "svg", "swf", "tif", "tiff", "ttf", "wav", "webm", "webp", "wmv", "xls", "xlsx", "zip",
];

/// Commands of Dynamic Media hold `{ }` and more that RFC 3986 leaves out but
/// every party passes on; what is refused here, none does.
fn may_stand_in_url(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'|')
}

fn is_encoding(bytes: &[u8]) -> bool {
    matches!(bytes, [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, expected: &str) {
        assert_eq!(escape(id).as_deref(), Ok(expected));
    }

    #[test]
    fn ids_go_in_as_they_are_where_a_url_may_hold_them() {
        for id in [
            "4204993",
            "Atlas+Copco",
            "a$b:{c},%24",
            "x/",
            "MASH%20UP",
            "12E4",
            "a&b=c;d@e!(f)'*~[g]",
        ] {
            check(id, id);
        }
    }

    #[test]
    fn what_no_url_may_hold_is_encoded() {
        check("my image", "my%20image");
        check("grün", "gr%C3%BCn");
        check("a\"b<c>|^`\\", "a%22b%3Cc%3E%7C%5E%60%5C");
        check("100%", "100%25");
        check("5%zz%4", "5%25zz%254");
        check("%%41", "%25%41");
    }

    #[test]
    fn what_would_end_the_path_is_refused() {
        for (id, fault) in [
            ("", IdFault::Empty),
            ("a?b", IdFault::Forbidden('?')),
            ("a#b", IdFault::Forbidden('#')),
            ("a\tb", IdFault::Forbidden('\t')),
            ("a\u{7f}", IdFault::Forbidden('\u{7f}')),
        ] {
            assert_eq!(escape(id), Err(fault));
        }
    }

    #[test]
    fn only_endings_of_files_are_refused() {
        assert!(refuse_file_ending("backpack.JPG").is_err());
        for id in ["netflix-hero.desktop", "1.10", ".jpg", "backpack"] {
            assert_eq!(refuse_file_ending(id), Ok(()));
        }
    }
}
