//! The command line of `rune-bundle`.

mod building;
mod chart_check;
mod comparing;
mod credentials;
mod examining;
mod installing;
mod loading;
mod planning;
mod post_renderer;
mod pushing;
mod reading;
mod receipts;
mod registry;
mod serving;
mod signing;
mod splitting;
mod trust;

use std::{io::IsTerminal as _, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};

use super::{
    passphrase,
    site::{Site, SiteArgs},
};
use crate::commands::bundle::{
    attach, build, cat, diff, fingerprint, init, inspect, install, join, keygen, load, lock,
    mirror, policy, push, render, report, serve, sign, split, suggest, unpack, verify,
};
use rune_core::cli::{
    GlobalArgs,
    arguments::{self, exit_codes},
    documents,
};

/// Puts everything RUNE needs into one signed file, and takes it out again where there is no
/// internet.
#[derive(Debug, Parser)]
#[command(name = "rune-bundle", version, max_term_width = 100, after_long_help = exit_codes())]
pub struct RuneBundle {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    site: SiteArgs,
    #[command(flatten)]
    global: GlobalArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a key pair that signs bundles, in cosign's format
    Keygen(signing::Keygen),
    /// Show the fingerprint of a public key, or of every key of a trust file
    Fingerprint(fingerprint::Fingerprint),
    /// Write a new project for charts and images: manifest, policy, and values that pin every image
    Init(planning::Init),
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
    /// Split a bundle into volumes, for media and for size limits
    Split(splitting::Split),
    /// Join volumes to one bundle, in any order and one at a time
    Join(splitting::Join),
    /// Check a bundle, or one volume of it, to its last byte
    Verify(reading::Verify),
    /// Show what a bundle says it contains
    Inspect(reading::Inspect),
    /// Write one entry of a bundle to standard output, after checking it
    Cat(reading::Cat),
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
    /// Log in to a registry: try a password, and keep it where docker, podman and this program look
    /// for it
    Login(credentials::Login),
    /// Remove the credentials of a registry
    Logout(credentials::Logout),
    /// Push everything a bundle has into a registry, byte for byte
    Push(pushing::Push),
    /// Install or upgrade the release in a cluster: check, back up, roll out, test, and go back
    /// when it fails
    Install(Box<installing::Install>),
    /// Show and check the receipts of what was pushed and installed
    Receipts(receipts::Receipts),
    /// Print completions for a shell
    Completions(documents::Completions),
    /// Print the man page of the tool or of a verb
    Man(documents::Man),
}

pub(super) fn main() -> ExitCode {
    if let Some(map) = post_renderer::asked() {
        return post_renderer::run(&map);
    }
    let arguments: RuneBundle = match arguments::parse("rune-bundle") {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let printer = arguments.global.printer();
    let progress = printer.progress();
    let site = || Site::load(&arguments.site);
    match arguments.verb {
        Verb::Keygen(verb) => printer.finish(keygen::run(&verb.into(), passphrase::new)),
        Verb::Fingerprint(verb) => printer.finish(fingerprint::run(&verb)),
        Verb::Init(verb) => printer
            .finish(site().and_then(|site| init::run(&verb.options(&site), progress.as_ref()))),
        Verb::Lock(verb) => match site().map(|site| verb.suggestion(&site)) {
            Ok(Ok(options)) => printer.finish(suggest::run(&options, progress.as_ref())),
            Ok(Err(options)) => printer.finish(lock::run(&options, progress.as_ref())),
            Err(error) => printer.finish::<lock::LockReport>(Err(error)),
        },
        Verb::Render(verb) => printer.finish(render::run(&verb.into())),
        Verb::Policy(verb) => printer.finish(policy::run(&verb.into())),
        Verb::Build(verb) => printer.finish(
            site()
                .and_then(|site| build::run(verb.options(&site), passphrase::existing, &progress)),
        ),
        Verb::Sign(verb) => printer.finish(sign::run(
            &verb.into(),
            passphrase::existing,
            progress.as_ref(),
        )),
        Verb::Attach(verb) => printer.finish(attach::run(&verb.into(), progress.as_ref())),
        Verb::Split(verb) => printer
            .finish(site().and_then(|site| split::run(&verb.options(&site), progress.as_ref()))),
        Verb::Join(verb) => printer
            .finish(site().and_then(|site| join::run(&verb.options(&site), progress.as_ref()))),
        Verb::Verify(verb) => printer
            .finish(site().and_then(|site| verify::run(&verb.options(&site), progress.as_ref()))),
        Verb::Inspect(verb) => printer
            .finish(site().and_then(|site| inspect::run(&verb.options(&site), progress.as_ref()))),
        Verb::Cat(verb) => {
            let stdout = std::io::stdout();
            let output = cat::Output {
                is_terminal: stdout.is_terminal(),
                writer: &mut stdout.lock(),
            };
            printer
                .finish_service(site().and_then(|site| verb.run(&site, output, progress.as_ref())))
        }
        Verb::Diff(verb) => printer.finish(site().and_then(|site| diff::run(&verb.options(&site)))),
        Verb::Report(verb) => {
            printer.finish(site().and_then(|site| report::run(&verb.options(&site))))
        }
        Verb::Doctor(verb) => verb.run(printer, site),
        Verb::Unpack(verb) => printer
            .finish(site().and_then(|site| unpack::run(&verb.options(&site), progress.as_ref()))),
        Verb::Serve(verb) => printer.finish_service(site().and_then(|site| {
            serve::run(&verb.options(&site), &progress, |report| {
                printer.announce(report)
            })
        })),
        Verb::Load(verb) => printer
            .finish(site().and_then(|site| load::run(&verb.options(&site), progress.as_ref()))),
        Verb::Mirror(verb) => printer.finish(
            site()
                .and_then(|site| verb.options(&site))
                .and_then(|options| mirror::run(&options, progress.as_ref())),
        ),
        Verb::Login(verb) => printer.finish(site().and_then(|site| verb.run(&site))),
        Verb::Logout(verb) => printer.finish(site().and_then(|site| verb.run(&site))),
        Verb::Push(verb) => printer.finish(
            site()
                .and_then(|site| verb.options(&site))
                .and_then(|options| push::run(&options, &progress)),
        ),
        Verb::Install(verb) => printer.finish(
            site()
                .and_then(|site| verb.options(&site))
                .and_then(|options| install::run(&options, &progress)),
        ),
        Verb::Receipts(verb) => verb.run(printer, site),
        Verb::Completions(verb) => verb.run(RuneBundle::command(), printer),
        Verb::Man(verb) => verb.run(RuneBundle::command(), printer),
    }
}
