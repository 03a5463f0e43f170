//! The command line of `rune-bundle`.

mod building;
mod chart_check;
mod comparing;
mod examining;
mod installing;
mod loading;
mod planning;
mod pushing;
mod reading;
mod receipts;
mod serving;
mod signing;
mod trust;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use super::{
    GlobalArgs,
    arguments::{self, exit_codes},
    documents, passphrase,
};
use crate::commands::bundle::{
    attach, build, diff, inspect, install, keygen, load, lock, mirror, policy, push, render, report, serve, sign, unpack, verify,
};

/// Puts everything RUNE needs into one signed file, and takes it out again where there is no internet.
#[derive(Debug, Parser)]
#[command(name = "rune-bundle", version, max_term_width = 100, after_long_help = exit_codes())]
pub struct RuneBundle {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    global: GlobalArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a key pair that signs bundles, in cosign's format
    Keygen(signing::Keygen),
    /// Pin what a manifest names: references become digests, files become checksums
    Lock(planning::Lock),
    /// Render charts and values from templates, manifest and lock
    Render(planning::Render),
    /// Explain what the policy decides about a manifest and its lock
    Policy(planning::Policy),
    /// Make one signed file of everything that the manifest names
    Build(building::Build),
    /// Add a signature to a bundle that is there already
    Sign(signing::Sign),
    /// Add a signature that was made elsewhere: by an HSM, a KMS, cosign or openssl
    Attach(signing::Attach),
    /// Check a bundle to its last byte
    Verify(reading::Verify),
    /// Show what a bundle says it contains
    Inspect(reading::Inspect),
    /// Say what changed between two bundles
    Diff(comparing::Diff),
    /// Write one HTML page about a bundle, for those who decide about it
    Report(comparing::Report),
    /// Look whether the next step can work here: what it needs, what there is
    Doctor(examining::Doctor),
    /// Unpack a bundle into a new directory, all of it or nothing
    Unpack(reading::Unpack),
    /// Serve bundles as a read-only registry, straight from their files
    Serve(serving::Serve),
    /// Load the images into the container runtime of this node, without a registry
    Load(loading::Load),
    /// Make the configuration that sends nodes to your registry, so that charts need no change
    Mirror(loading::Mirror),
    /// Push everything a bundle has into a registry, byte for byte
    Push(pushing::Push),
    /// Install or upgrade the release in a cluster: check, back up, roll out, test, and go back when it fails
    Install(Box<installing::Install>),
    /// Show and check the receipts of what was pushed and installed
    Receipts(receipts::Receipts),
    /// Print completions for a shell
    Completions(documents::Completions),
    /// Print the man page of the tool or of a verb
    Man(documents::Man),
}

pub(super) fn main() -> ExitCode {
    let arguments: RuneBundle = match arguments::parse("rune-bundle") {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let printer = arguments.global.printer();
    let progress = printer.progress();
    match arguments.verb {
        Verb::Keygen(verb) => printer.finish(keygen::run(&verb.into(), passphrase::new)),
        Verb::Lock(verb) => printer.finish(lock::run(&verb.into(), progress.as_ref())),
        Verb::Render(verb) => printer.finish(render::run(&verb.into())),
        Verb::Policy(verb) => printer.finish(policy::run(&verb.into())),
        Verb::Build(verb) => printer.finish(build::run(verb.into(), passphrase::existing, &progress)),
        Verb::Sign(verb) => printer.finish(sign::run(&verb.into(), passphrase::existing, progress.as_ref())),
        Verb::Attach(verb) => printer.finish(attach::run(&verb.into(), progress.as_ref())),
        Verb::Verify(verb) => printer.finish(verify::run(&verb.into(), progress.as_ref())),
        Verb::Inspect(verb) => printer.finish(inspect::run(&verb.into())),
        Verb::Diff(verb) => printer.finish(diff::run(&verb.into())),
        Verb::Report(verb) => printer.finish(report::run(&verb.into())),
        Verb::Doctor(verb) => verb.run(printer),
        Verb::Unpack(verb) => printer.finish(unpack::run(&verb.into(), progress.as_ref())),
        Verb::Serve(verb) => printer.finish_service(serve::run(&verb.into(), &progress, |report| printer.announce(report))),
        Verb::Load(verb) => printer.finish(load::run(&verb.into(), progress.as_ref())),
        Verb::Mirror(verb) => printer.finish(mirror::run(&verb.into(), progress.as_ref())),
        Verb::Push(verb) => printer.finish(push::run(&verb.into(), &progress)),
        Verb::Install(verb) => printer.finish(install::run(&(*verb).into(), &progress)),
        Verb::Receipts(verb) => verb.run(printer),
        Verb::Completions(verb) => verb.run(RuneBundle::command(), printer),
        Verb::Man(verb) => verb.run(RuneBundle::command(), printer),
    }
}
