//! The command line of `rune-bundle`.

mod building;
mod chart_check;
mod comparing;
mod containerd;
mod credentials;
mod delta;
mod examining;
mod fetching;
mod installed;
mod installing;
mod loading;
mod planning;
mod post_renderer;
mod program;
mod project;
mod pruning;
mod pushing;
mod reading;
mod receipts;
mod registry;
mod scanning;
mod serving;
mod signing;
mod splitting;
mod trust;

use std::{
    io::IsTerminal as _,
    process::ExitCode,
    sync::{Arc, LazyLock},
};

use clap::{CommandFactory as _, Parser, Subcommand};

use self::{fetching::FetchTask, planning::LockTask};
use super::{
    guide::GUIDE,
    passphrase,
    site::{Site, SiteArgs},
};
use crate::commands::bundle::{
    apply, attach, build, cat, delta as delta_verb, diff, evidence, export, fetch, fingerprint,
    have, init, inspect, install, join, keygen, load, lock, mirror, policy, prune, publish, push,
    render, report, rollback, scan, serve, sign, split, status, suggest, support, unpack, verify,
};
use rune_core::{
    cli::{GlobalArgs, arguments, documents},
    progress::Progress,
};

static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let openpgp = if cfg!(feature = "openpgp") {
        "with"
    } else {
        "without"
    };
    format!(
        "{}\nfor {} on {}, {openpgp} openpgp\nbundle format {}, lock format {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        crate::commands::bundle::BUNDLE_FORMAT,
        crate::commands::bundle::LOCK_FORMAT_VERSION,
    )
});

/// Build, verify and install signed bundles for air-gapped environments.
#[derive(Debug, Parser)]
#[command(name = "rune-bundle", version, long_version = LONG_VERSION.as_str(), max_term_width = 100,
    after_long_help = GUIDE.exit_codes_text())]
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
    /// Generate a key pair that signs bundles
    Keygen(signing::Keygen),
    /// Show the fingerprint of a public key or of each key of a trust file
    Fingerprint(fingerprint::Fingerprint),
    /// Create a project for your charts and images
    Init(planning::Init),
    /// Resolve every reference to a digest, and write the lock
    Lock(planning::Lock),
    /// Render charts and values from templates, manifest and lock
    Render(planning::Render),
    /// Explain what the policy decides
    Policy(planning::Policy),
    /// Build one signed file of everything that the manifest names
    Build(building::Build),
    /// Add a signature to a bundle
    Sign(signing::Sign),
    /// Add a signature that an HSM, a KMS, cosign or openssl created
    Attach(signing::Attach),
    /// Split a bundle into volumes, for media and size limits
    Split(splitting::Split),
    /// Join volumes to one bundle, in any order and one at a time
    Join(splitting::Join),
    /// List what a site has, for a delta
    Have(delta::Have),
    /// Write what a receiver lacks of a bundle
    Delta(delta::Delta),
    /// Create the bundle of a delta and what it was created for
    Apply(delta::Apply),
    /// Verify a bundle, or one volume of it, to its last byte
    Verify(reading::Verify),
    /// Show what a bundle contains
    Inspect(reading::Inspect),
    /// Print one entry of a bundle after verifying it
    Cat(reading::Cat),
    /// Show what changed between two bundles
    Diff(comparing::Diff),
    /// Write an HTML page about a bundle for a change board
    Report(comparing::Report),
    /// Write what a reviewer needs of a bundle into a directory
    Evidence(comparing::Evidence),
    /// Scan the images of a bundle for vulnerabilities, with your own grype or Trivy
    Scan(scanning::Scan),
    /// Check the prerequisites of the next step
    Doctor(examining::Doctor),
    /// Unpack a bundle into a new directory
    Unpack(reading::Unpack),
    /// Serve bundles as a read-only registry
    Serve(serving::Serve),
    /// Load images into containerd, k3s, RKE2 or k0s without a registry
    Load(loading::Load),
    /// Write the configuration with which nodes pull from your registry
    Mirror(loading::Mirror),
    /// Log in to a registry
    Login(credentials::Login),
    /// Log out of a registry
    Logout(credentials::Logout),
    /// Push images, charts and signatures of a bundle into a registry
    Push(pushing::Push),
    /// Push a bundle into a registry, so that `fetch` gets it back byte for byte
    Publish(pushing::Publish),
    /// Fetch a bundle that was published, byte for byte
    Fetch(fetching::Fetch),
    /// Delete from a registry what only older bundles need
    Prune(pruning::Prune),
    /// Install or upgrade a release from a bundle, and roll back when it fails
    Install(Box<installing::Install>),
    /// Show what is installed by which bundle, its health and its drift
    Status(installed::Status),
    /// Roll back to the release before, after checking the schema of its database
    Rollback(installed::Rollback),
    /// Collect diagnostics for the vendor, without secrets
    Support(installed::Support),
    /// Show and verify receipts of pushes and installations
    Receipts(receipts::Receipts),
    /// Print completions for a shell
    Completions(documents::Completions),
    /// Print a man page, or write all of them into a directory
    Man(documents::Man),
}

pub(super) fn main() -> ExitCode {
    if let Some(map) = post_renderer::asked() {
        return post_renderer::run(&map);
    }
    let arguments: RuneBundle = match arguments::parse(&GUIDE) {
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
        Verb::Lock(verb) => {
            let annotator = verb.annotator();
            match site().map(|site| verb.task(&site)) {
                Ok(LockTask::Suggest(options)) => {
                    printer.finish(suggest::run(&options, progress.as_ref()))
                }
                Ok(LockTask::Export(options)) => {
                    printer.finish(export::run(&options, progress.as_ref()))
                }
                Ok(LockTask::Lock(options)) => {
                    annotator.finish(printer, lock::run(&options, progress.as_ref()))
                }
                Err(error) => annotator.finish::<lock::LockReport>(printer, Err(error)),
            }
        }
        Verb::Render(verb) => verb.annotator().finish(printer, render::run(&verb.into())),
        Verb::Policy(verb) => verb.annotator().finish(printer, policy::run(&verb.into())),
        Verb::Build(verb) => verb.annotator().finish(
            printer,
            site()
                .and_then(|site| build::run(verb.options(&site), passphrase::existing, &progress)),
        ),
        Verb::Sign(verb) => printer.finish(sign::run(
            &verb.into(),
            passphrase::existing,
            progress.as_ref(),
        )),
        Verb::Attach(verb) => printer.finish(attach::run(&verb.into(), progress.as_ref())),
        Verb::Split(verb) => {
            printer.finish(site().and_then(|site| split::run(&verb.options(&site), &progress)))
        }
        Verb::Join(verb) => printer
            .finish(site().and_then(|site| join::run(&verb.options(&site), progress.as_ref()))),
        Verb::Have(verb) => printer
            .finish(site().and_then(|site| have::run(&verb.options(&site), progress.as_ref()))),
        Verb::Delta(verb) => {
            printer.finish(site().and_then(|site| delta_verb::run(&verb.options(&site), &progress)))
        }
        Verb::Apply(verb) => {
            printer.finish(site().and_then(|site| apply::run(&verb.options(&site), &progress)))
        }
        Verb::Verify(verb) => verb.annotator().finish(
            printer,
            site().and_then(|site| verify::run(&verb.options(&site), progress.as_ref())),
        ),
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
        Verb::Evidence(verb) => printer
            .finish(site().and_then(|site| evidence::run(&verb.options(&site), progress.as_ref()))),
        Verb::Scan(verb) => printer.finish(
            site()
                .and_then(|site| verb.options(&site))
                .and_then(|options| scan::run(&options, progress.as_ref())),
        ),
        Verb::Doctor(verb) => verb.run(printer, site),
        Verb::Unpack(verb) => printer
            .finish(site().and_then(|site| unpack::run(&verb.options(&site), progress.as_ref()))),
        Verb::Serve(verb) => printer.finish_service(site().and_then(|site| {
            let log: Arc<dyn Progress> = Arc::new(serving::Log(progress));
            serve::run(&verb.options(&site), &log, |report| {
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
        Verb::Publish(verb) => printer.finish(
            site()
                .and_then(|site| verb.options(&site))
                .and_then(|options| publish::run(&options, &progress)),
        ),
        Verb::Fetch(verb) => match site().map(|site| verb.task(&site)) {
            Ok(FetchTask::Fetch(options)) => printer.finish(fetch::run(&options, &progress)),
            Ok(FetchTask::Verify(options)) => {
                printer.finish(fetch::verify(&options, progress.as_ref()))
            }
            Ok(FetchTask::Inspect(options)) => printer.finish(fetch::inspect(&options)),
            Ok(FetchTask::Compare(options, file)) => {
                printer.finish(fetch::compare(&options, &file))
            }
            Err(error) => printer.finish::<fetch::FetchReport>(Err(error)),
        },
        Verb::Prune(verb) => printer.finish(
            site()
                .and_then(|site| verb.options(&site))
                .and_then(|options| prune::run(&options, &progress)),
        ),
        Verb::Install(verb) => printer.finish(
            site()
                .and_then(|site| verb.options(&site))
                .and_then(|options| install::run(&options, &progress)),
        ),
        Verb::Status(verb) => printer
            .finish(site().and_then(|site| status::run(&verb.options(&site), progress.as_ref()))),
        Verb::Rollback(verb) => printer.finish(
            site()
                .and_then(|site| verb.options(&site))
                .and_then(|options| rollback::run(&options, progress.as_ref())),
        ),
        Verb::Support(verb) => printer
            .finish(site().and_then(|site| support::run(&verb.options(&site), progress.as_ref()))),
        Verb::Receipts(verb) => verb.run(printer, site),
        Verb::Completions(verb) => verb.run(RuneBundle::command(), printer),
        Verb::Man(verb) => verb.run(RuneBundle::command(), &GUIDE, printer),
    }
}
