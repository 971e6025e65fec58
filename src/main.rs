//! The `freshen` program.

/// Gives memory back once a daemon is at rest, which the system's allocator does
/// not; `.cargo/config.toml` says how soon.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    freshen::cli::run()
}
