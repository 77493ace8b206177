//! `tnc`: the command line over `tn-driver`. The result goes to stdout or `-o`, everything else to stderr.

mod args;
mod commands;
mod out;
mod progress;

use args::{Cli, Color, Command};
use clap::Parser;
use std::io::IsTerminal;
use std::process::ExitCode;
use tn_driver::{Error, STACK_BYTES};

/// A plan of many tensors is made of small lists, which the system's allocator takes a third longer for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How to talk.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    /// Only the result and errors.
    pub quiet: bool,
    /// Coloured diagnostics.
    pub color: bool,
}

impl Talk {
    /// Says something on stderr, unless quiet.
    pub fn note(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            out::say(text);
        }
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are results; a closed pipe is no error.
            let _ = e.print();
            return ExitCode::from(e.exit_code() as u8);
        }
    };
    let color = match cli.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::io::stderr().is_terminal()
        }
    };
    let talk = Talk { quiet: cli.quiet, color };
    let worker =
        std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || dispatch(cli.command, talk));
    let status = match worker.map(|w| w.join()) {
        Ok(Ok(Ok(()))) => 0,
        Ok(Ok(Err(error))) => {
            let text = error.render(color);
            if !text.is_empty() {
                out::say(text.trim_end());
            }
            error.exit_status()
        }
        // The panic's own message went to stderr already.
        Ok(Err(_)) => {
            out::say("internal: the compiler failed, help: please report the command and its files");
            1
        }
        Err(e) => {
            out::say(format_args!("error: cannot start a thread: {e}"));
            4
        }
    };
    ExitCode::from(status)
}

fn dispatch(command: Command, talk: Talk) -> Result<(), Error> {
    match command {
        Command::Check(a) => commands::check::run(&a, talk),
        Command::Fmt(a) => commands::fmt::run(&a, talk),
        Command::Plan(a) => commands::plan::run(&a, talk),
        Command::Emit(a) => commands::emit::run(&a, talk),
        Command::Run(a) => commands::run::run(&a, talk),
        Command::GradCheck(a) => commands::grad_check::run(&a, talk),
        Command::Init(a) => commands::init::run(&a, talk),
        Command::Explain(a) => commands::explain::run(&a, talk),
        Command::Draw(a) => commands::draw::run(&a, talk),
        Command::Calibrate(a) => commands::calibrate::run(&a, talk),
    }
}
