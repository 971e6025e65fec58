//! The `freshen` program.

fn main() -> std::process::ExitCode {
    freshen::cli::run()
}
