//! The `carillon` binary: parses, wires and runs. Commands live in `cli`, the server is put together in `wire`, the
//! demo in `demo`; rules live in none of them.

mod cli;
mod config;
mod demo;
mod descriptors;
mod exit;
mod key_files;
mod log;
mod measure;
mod memory;
mod signals;
mod syslog;
mod tls;
mod wire;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let server = matches!(cli.command, cli::Command::Serve(_) | cli::Command::Demo(_));
    if server {
        memory::settle();
    }
    // Once, before anything speaks TLS: rustls refuses to guess when a build holds two providers.
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("no provider was installed before main");
    let mut builder = if server { tokio::runtime::Builder::new_multi_thread() } else { tokio::runtime::Builder::new_current_thread() };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error: no runtime can be started ({e})");
            return exit::Exit::Failed.into();
        }
    };
    let exit = runtime.block_on(cli::run(cli));
    // What still blocks (a read of standard input, a name lookup) must not keep the program.
    runtime.shutdown_background();
    exit.into()
}
