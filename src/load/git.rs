//! The few git commands that reading a commit takes.
#![expect(clippy::disallowed_methods, reason = "asks git")]

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::commit::CommitError;

/// What git says, without its final line break.
pub(super) fn ask(folder: &Path, arguments: &[&str]) -> Result<String, CommitError> {
    let bytes = run(folder, arguments)?;
    let text = String::from_utf8(bytes).map_err(|_| CommitError::NotText)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// What git writes.
pub(super) fn run(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, CommitError> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(CommitError::Start)?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        let message = String::from_utf8_lossy(&output.stderr);
        let line = message.lines().next().unwrap_or("git failed");
        Err(CommitError::Refused(line.to_owned()))
    }
}

/// A running `git cat-file --batch`, which answers with objects.
pub(super) struct Objects {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Objects {
    pub(super) fn open(folder: &Path) -> Result<Self, CommitError> {
        let mut child = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(CommitError::Start)?;
        let questions = child.stdin.take();
        let answers = child.stdout.take().expect("it was just piped");
        Ok(Self {
            child,
            questions,
            answers: BufReader::new(answers),
        })
    }

    /// What `read` makes of the content of an object, which comes with its size;
    /// `None` where this clone lacks it.
    pub(super) fn read<T>(
        &mut self,
        id: &str,
        read: impl FnOnce(&mut dyn io::Read, u64) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        if let Some(questions) = &mut self.questions {
            writeln!(questions, "{id}")?;
            questions.flush()?;
        }
        let mut head = String::new();
        self.answers.read_line(&mut head)?;
        // "<id> blob <size>", or "<id> missing".
        let size = head
            .split(' ')
            .nth(2)
            .and_then(|size| size.trim().parse().ok());
        let Some(size) = size else {
            return Ok(None);
        };
        let mut content = (&mut self.answers).take(size);
        let result = read(&mut content, size)?;
        if content.limit() > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.answers.read_exact(&mut [0])?;
        Ok(Some(result))
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // Its input ends, so it ends by itself.
        drop(self.questions.take());
        drop(self.child.wait());
    }
}
