//! The `sporelog` binary: one verb per role, and noun-first verbs for operators and analysts.

mod backend;
mod cli;
mod log_file;
mod meter;
mod observer;
mod process;
mod render;
mod roles;
mod standing;
mod verbs;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main(std::env::args_os())
}
