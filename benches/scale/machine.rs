//! What the figures were measured on.

use std::fmt;
use std::fs;
use std::thread::available_parallelism;

use serde_json::{Value, json};

use crate::table::rounded;

/// The machine, as far as figures depend on it.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory_gib: f64,
    kernel: String,
    /// Of the last minute, when measuring began.
    load: String,
    quick: bool,
}

impl Machine {
    pub(crate) fn read(quick: bool) -> Self {
        let field = |path, name| field(path, name).unwrap_or_else(|| "unknown".to_owned());
        let memory = field("/proc/meminfo", "MemTotal");
        let kib = memory.trim_end_matches(" kB").parse::<f64>();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            cpu: field("/proc/cpuinfo", "model name"),
            cores: available_parallelism().map_or(1, usize::from),
            memory_gib: kib.unwrap_or_default() / f64::from(1 << 20),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
            quick,
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "cpu": self.cpu,
            "cores": self.cores,
            "memoryGiB": self.memory_gib,
            "kernel": self.kernel,
            "loadBefore": self.load,
            "freshen": env!("CARGO_PKG_VERSION"),
            "quick": self.quick,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "freshen {} on {} cores of {}, {} GiB of memory, Linux {}, load {} before",
            env!("CARGO_PKG_VERSION"),
            self.cores,
            self.cpu,
            rounded(self.memory_gib),
            self.kernel,
            self.load,
        )?;
        if self.quick {
            write!(f, "; sizes that measure nothing of worth (--quick)")?;
        }
        Ok(())
    }
}

/// The first `name: value` of a file of such lines.
pub(crate) fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

/// Has the disk take what earlier rows have written, so that what a row makes
/// durable does not wait for it.
pub(crate) fn write_back() {
    rustix::fs::sync();
}
