//! Before `build`: manifest, lock, policy, keys, Helm, registries, room for the bundle.

use std::{cell::Cell, collections::BTreeMap, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Check, DoctorReport};
use crate::{
    bundle::{self, CompletenessError, ComponentChoice, PolicyRecord},
    chart::Helm,
    commands::bundle::{
        ChartCheck, ProjectOptions,
        keys::{load_private_key, signer},
        written::default_output,
    },
    manifest::{
        self, FetchedCharts, Lock, LockedContent, LockedImage, LockedImageGone, Programs, Project,
    },
    registry::{Client, ClientConfig, RepositoryName, RetryPolicy},
};
use rune_core::{
    command::{CommandError, block_on, counted},
    failure::Failure,
    fsx,
    progress::Silent,
    text::{exact_size, size},
};

#[derive(Debug, Clone)]
pub(crate) struct DoctorBuildOptions {
    pub(crate) project: ProjectOptions,
    pub(crate) output: Option<Utf8PathBuf>,
    pub(crate) keys: Vec<Utf8PathBuf>,
    /// Whether the charts will be checked, and with which Helm.
    pub(crate) chart_check: ChartCheck,
    pub(crate) registry: ClientConfig,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("the key is encrypted")]
#[failure(Access)]
struct Encrypted;

/// Checks everything that a build needs. What depends on something that is wrong is not checked.
pub(crate) fn run(options: &DoctorBuildOptions) -> DoctorReport {
    let mut checks = Vec::new();
    let project = project(options, &mut checks);
    let lock = project
        .as_ref()
        .and_then(|project| lock(project, &mut checks));
    checks.extend(options.keys.iter().map(|path| key(path)));
    let has_charts = project
        .as_ref()
        .is_none_or(|project| !project.manifest().charts.is_empty());
    checks.extend(has_charts.then(|| helm(&options.chart_check)));
    if let (Some(project), Some(lock)) = (&project, &lock) {
        let client = Client::new(in_haste(options.registry.clone())).map_err(CommandError::from);
        checks.extend(registries(lock, &client));
        let (charts, fetched) = charts(project, lock, &client);
        checks.extend(charts);
        checks.extend(fetched.map(|fetched| room(project, lock, &fetched, options)));
    }
    DoctorReport {
        step: "build",
        subject: options.project.manifest.to_string(),
        checks,
    }
}

fn project(options: &DoctorBuildOptions, checks: &mut Vec<Check>) -> Option<Project> {
    let needed = "a bundle manifest without mistakes, and the files that it names";
    match options.project.load(Programs::Required) {
        Ok(project) => {
            let (name, version) = (&project.manifest().name, &project.manifest().version);
            checks.push(Check::ok("manifest", needed, format!("{name} {version}")));
            Some(project)
        }
        Err(error) => {
            checks.push(Check::problem("manifest", needed, &error));
            None
        }
    }
}

fn lock(project: &Project, checks: &mut Vec<Check>) -> Option<Lock> {
    let current = || -> Result<Lock, CommandError> {
        let lock = Lock::read(&project.lock_path())?;
        manifest::check_current(project, &lock)?;
        Ok(lock)
    };
    let needed = "a lock in step with the manifest and its files";
    let lock = match current() {
        Ok(lock) => lock,
        Err(error) => {
            checks.push(Check::problem("lock", needed, &error));
            return None;
        }
    };
    let mut pinned = counted(lock.images.len(), "image");
    if !lock.artifacts.is_empty() {
        pinned = format!("{pinned}, {}", counted(lock.artifacts.len(), "artifact"));
    }
    checks.push(Check::ok(
        "lock",
        needed,
        format!("`{}` pins {}", project.lock_path(), pinned),
    ));
    let evaluated = || -> Result<String, CommandError> {
        let waived = manifest::evaluate(project, Some(&lock), &FetchedCharts::default(), None)?
            .into_result()?
            .waived()
            .count();
        Ok(if waived == 0 {
            "nothing is denied".to_owned()
        } else {
            format!("nothing is denied, {waived} waived")
        })
    };
    checks.push(Check::of(
        "policy",
        "nothing inside that the policy denies",
        evaluated(),
    ));
    Some(lock)
}

fn key(path: &Utf8Path) -> Check {
    let was_asked = Cell::new(false);
    let loaded = load_private_key(path, |_, _| {
        was_asked.set(true);
        Err(Encrypted.into())
    });
    let needed = format!("a private key in `{path}`");
    match loaded {
        Ok(key) => Check::ok("key", needed, signer(path, key.public_key()).to_string()),
        Err(_) if was_asked.get() => Check::ok(
            "key",
            needed,
            "an encrypted one; its passphrase comes from COSIGN_PASSWORD, or is asked for",
        ),
        Err(error) => Check::problem("key", needed, &error),
    }
}

fn helm(check: &ChartCheck) -> Check {
    let needed = "Helm 3 or 4, to see which images the charts need";
    let ChartCheck::Helm {
        program,
        time_limit,
    } = check
    else {
        let help = "without --no-chart-check the bundle says that nothing is missing";
        return Check::warning(
            "helm",
            needed,
            "the check is left out, and the bundle says so",
            help,
        );
    };
    Check::of(
        "helm",
        needed,
        version_of_helm(program.as_deref(), *time_limit),
    )
}

pub(super) fn version_of_helm(
    program: Option<&Utf8Path>,
    time_limit: Duration,
) -> Result<String, CommandError> {
    let program = program.ok_or(CompletenessError::NoHelm)?;
    let helm = block_on(Helm::find(program, time_limit))?;
    Ok(format!("{} in `{program}`", helm.version()))
}

fn registries(lock: &Lock, client: &Result<Client, CommandError>) -> Vec<Check> {
    let needed = |what: &str| format!("{what} in the lock, by digest");
    let mut hosts: BTreeMap<&str, Vec<(&LockedImage, &manifest::Blob)>> = BTreeMap::new();
    for (_, image) in lock.images_and_artifacts() {
        if let LockedContent::Registry(pulled) = &image.content {
            hosts
                .entry(image.reference.registry())
                .or_default()
                .push((image, &pulled.root));
        }
    }
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            let needed = "settings that can be used";
            return vec![Check::problem("registry", needed, error)];
        }
    };
    let ask = |(host, roots): (&str, Vec<(&LockedImage, &manifest::Blob)>)| {
        let asked = async {
            for (image, root) in &roots {
                let found = client
                    .manifest(
                        &RepositoryName::from(&image.reference),
                        root.digest,
                        Some(&root.media_type),
                    )
                    .await;
                if let Err(error) = found {
                    return Err(LockedImageGone::from_missing(&image.name, error)
                        .map_or_else(CommandError::from, CommandError::from));
                }
            }
            Ok::<_, CommandError>(format!("{host} has {}", counted(roots.len(), "image")))
        };
        Check::of(
            "registry",
            needed(&format!("every image of {host}")),
            block_on(asked),
        )
    };
    hosts.into_iter().map(ask).collect()
}

/// Fetches the charts from elsewhere: without them nothing can be laid out.
fn charts(
    project: &Project,
    lock: &Lock,
    client: &Result<Client, CommandError>,
) -> (Option<Check>, Option<FetchedCharts>) {
    let count = project
        .manifest()
        .charts
        .iter()
        .filter(|chart| chart.remote().is_some())
        .count();
    if count == 0 {
        return (None, Some(FetchedCharts::default()));
    }
    let needed = "every chart from elsewhere, as the lock pins it";
    let problem = |error: &CommandError| (Some(Check::problem("charts", needed, error)), None);
    let fetch = |client| FetchedCharts::default().complete(project, lock, client, &Silent);
    match client.as_ref().map(|client| block_on(fetch(client))) {
        Ok(Ok(fetched)) => (
            Some(Check::ok("charts", needed, counted(count, "chart"))),
            Some(fetched),
        ),
        Ok(Err(error)) => problem(&error),
        Err(error) => problem(error),
    }
}

/// Somebody waits for the answer: a registry that is down is not asked again and again.
pub(super) fn in_haste(config: ClientConfig) -> ClientConfig {
    let retry = RetryPolicy {
        max_attempts: 2,
        ..config.retry
    };
    ClientConfig {
        retry,
        connect_timeout: Duration::from_secs(10),
        ..config
    }
}

fn room(
    project: &Project,
    lock: &Lock,
    fetched: &FetchedCharts,
    options: &DoctorBuildOptions,
) -> Check {
    const NAME: &str = "room";
    let policy = PolicyRecord {
        sha256: project.policy().digest,
        waived: Vec::new(),
    };
    let plan = || -> Result<bundle::Plan, CommandError> {
        Ok(bundle::gather(
            project,
            lock,
            fetched,
            &ComponentChoice::default(),
            policy,
            &Silent,
        )?
        .ingredients
        .compose()?
        .sign(&[])?)
    };
    let plan = match plan() {
        Ok(plan) => plan,
        Err(error) => {
            return Check::problem(
                NAME,
                "charts, values and programs that can be packed",
                &error,
            );
        }
    };
    let (name, version) = (&project.manifest().name, &project.manifest().version);
    let output = options
        .output
        .clone()
        .unwrap_or_else(|| default_output(name, version, "bundle"));
    let needed = format!(
        "{} for `{output}`, which must not exist",
        exact_size(plan.total_bytes())
    );
    let available = || -> Result<String, CommandError> {
        bundle::check_output(&plan, &output.as_path().into())?;
        Ok(format!(
            "{} free",
            size(fsx::available_space(fsx::parent(&output))?)
        ))
    };
    Check::of(NAME, needed, available())
}
