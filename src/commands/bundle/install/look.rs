//! What is found out about a release without changing anything.

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    Work,
    choice::Needed,
    destination::{Destination, Images},
    mapping::{Mapped, Rendering},
    namespace,
};
use crate::install::{
    Check, DatabaseSchema, Definitions, InstallError, InstallKind, InstallRecord, NamespacePlan,
    Object, ObjectChange, Problems, Requirements, Revision, RunningImages, Verdict, ask_schema,
    check_access, check_cluster, check_pending, deployed_objects, differences, parse_objects,
    plan_definitions,
};
use rune_core::{command::CommandError, digest::Digest, failure::FailureKind};

pub(super) struct Permitted {
    pub(super) kept: InstallRecord,
    install_kind: InstallKind,
    history: Vec<Revision>,
    namespace_exists: bool,
}

pub(super) struct Inspection {
    pub(super) kept: InstallRecord,
    pub(super) install_kind: InstallKind,
    pub(super) checks: Vec<Check>,
    pub(super) changes: Vec<ObjectChange>,
    pub(super) manifest: Digest,
    pub(super) chart: Utf8PathBuf,
    pub(super) mapped: Mapped,
    pub(super) objects: Vec<Object>,
    pub(super) running: RunningImages,
    pub(super) history: Vec<Revision>,
    pub(super) namespace: NamespacePlan,
    pub(super) definitions: Definitions,
    /// The schema version of the database, where it could be asked.
    schema: Option<u32>,
}

impl Work<'_> {
    /// Whether the release may be changed: first what everything else needs, so that its lack is
    /// said in its own words.
    pub(super) async fn may_change(&self) -> Result<Permitted, CommandError> {
        let Self {
            options,
            cluster,
            helm,
            ..
        } = self;
        let index = self.bundle.index();
        let (access, namespace_exists) =
            check_access(cluster, &[], &[], options.permissions.create_namespace)
                .await
                .map_err(InstallError::from)?;
        Problems::among(&access).map_err(InstallError::from)?;
        let kept = InstallRecord::read(cluster, helm.release())
            .await
            .map_err(InstallError::from)?;
        let install_kind = kept.evaluate(
            &index.name,
            &index.version,
            self.bundle.head().digest(),
            options.permissions.downgrade,
        );
        let install_kind = install_kind.map_err(InstallError::from)?;
        let history = helm.history().await?;
        check_pending(helm.release(), &history, options.permissions.take_over)?;
        Ok(Permitted {
            kept,
            install_kind,
            history,
            namespace_exists,
        })
    }

    /// Renders the release and asks for everything that it needs. `definitions` are the custom
    /// resource definitions that other releases bring along before.
    pub(super) async fn look(
        &self,
        permitted: Permitted,
        images: &Images,
        definitions: &[Object],
    ) -> Result<Inspection, CommandError> {
        let Permitted {
            kept,
            install_kind,
            history,
            namespace_exists,
        } = permitted;
        let (cluster, helm) = (&self.cluster, &self.helm);
        let destination = &self.chosen.destination;
        let chart = helm.write(&destination.chart_file(), &destination.archive)?;
        let kubernetes = cluster.version();
        let kubernetes = format!(
            "{}.{}.{}",
            kubernetes.major, kubernetes.minor, kubernetes.patch
        );
        let is_upgrade = !history.is_empty();
        let rendering = Rendering {
            helm,
            chart: &chart,
            kubernetes: &kubernetes,
            is_upgrade,
        };
        let mapped = self.map(images, rendering).await?;
        let wanted = parse_objects(&mapped.rendered).map_err(InstallError::from)?;

        // A test that is not run needs nothing.
        let left_out = self.left_out_tests(&wanted);
        let needed: Vec<Object> = wanted
            .iter()
            .filter(|object| {
                !left_out
                    .iter()
                    .any(|name| object.is_test() && object.name() == name)
            })
            .cloned()
            .collect();
        let may_create = self.options.permissions.create_namespace;
        let namespace = if may_create {
            let settings = namespace::settings(self.bundle.index(), cluster.namespace());
            let plan = NamespacePlan::new(cluster, &settings).await;
            plan.map_err(InstallError::from)?
        } else {
            NamespacePlan::default()
        };
        let asked: Vec<Object> = needed
            .iter()
            .chain(namespace.inner_objects())
            .cloned()
            .collect();
        let (mut checks, _) = check_access(cluster, &asked, definitions, may_create)
            .await
            .map_err(InstallError::from)?;
        let demands = Requirements {
            objects: &needed,
            kube_version: destination.kube_version.as_deref(),
            namespace_exists,
        };
        checks.extend(check_cluster(cluster, demands).await);
        checks.extend(Destination::check_images(
            &mapped.rendered,
            images,
            self.bundle,
        ));
        checks.extend(self.check_needed().await?);
        let running = images.running(&mapped.rendered, self.bundle);

        let installed = deployed_objects(helm, &history).await?;
        let schema = self.ask_schema(&kept, &installed).await;
        checks.extend(self.check_schema(schema));
        let definitions = self.definitions(&chart, &wanted).await?;
        checks.extend(definitions.checks.clone());
        // Helm does not list definitions of `crds/` among what is installed.
        let applied = |object: &&Object| !definitions.versions.contains_key(object.name());
        let by_helm: Vec<Object> = wanted.iter().filter(applied).cloned().collect();
        let mut changes = definitions.changes.clone();
        changes.extend(differences(&installed, &by_helm));
        let shown: Vec<_> = wanted
            .iter()
            .map(|object| object.without_secrets().value().to_string())
            .collect();
        let manifest = Digest::of(shown.join("\n").as_bytes());
        Ok(Inspection {
            kept,
            install_kind,
            checks,
            changes,
            manifest,
            chart,
            mapped,
            objects: wanted,
            running,
            history,
            namespace,
            definitions,
            schema,
        })
    }

    /// What becomes of the definitions of the chart's `crds/`, those of subcharts that are not
    /// installed left out.
    async fn definitions(
        &self,
        chart: &Utf8Path,
        wanted: &[Object],
    ) -> Result<Definitions, CommandError> {
        let files = self.helm.definitions(chart).await?;
        let files = parse_objects(&files).map_err(InstallError::from)?;
        let is_own = |object: &&Object| {
            let is_it = |file: &Object| file.is_definition() && file.name() == object.name();
            object.is_definition() && files.iter().any(is_it)
        };
        let own: Vec<&Object> = wanted.iter().filter(is_own).collect();
        let plan = plan_definitions(&self.cluster, &own).await;
        Ok(plan.map_err(InstallError::from)?)
    }

    /// Whether the releases that must run before this one, and are not installed with it, are
    /// installed.
    async fn check_needed(&self) -> Result<Vec<Check>, CommandError> {
        let mut checks = Vec::new();
        for Needed { release, namespace } in &self.chosen.needs {
            let cluster = match namespace {
                Some(namespace) => self.cluster.in_namespace(namespace),
                None => self.cluster.clone(),
            };
            let record = InstallRecord::read(&cluster, release)
                .await
                .map_err(InstallError::from)?;
            let (available, verdict) = match record.installed {
                Some(installed) => (
                    format!("{} {}", installed.bundle, installed.version),
                    Verdict::Satisfied,
                ),
                None => ("no record of it".to_owned(), Verdict::Missing),
            };
            let needed = format!("release {release} in namespace {}", cluster.namespace());
            checks.push(Check::new(
                "releases",
                FailureKind::NotFound,
                needed,
                available,
                verdict,
            ));
        }
        Ok(checks)
    }

    async fn ask_schema(&self, kept: &InstallRecord, installed: &[Object]) -> Option<u32> {
        // Without migrations there is nothing to compare, before the first installation no
        // database.
        if self.schema_version().is_none() || kept.installed.is_none() {
            return None;
        }
        match ask_schema(&self.cluster, self.helm.release(), installed).await {
            DatabaseSchema::Version(version) => version,
            DatabaseSchema::NoDatabase | DatabaseSchema::Unknown(_) => None,
        }
    }

    /// Whether the bundle knows the schema of the database.
    fn check_schema(&self, schema: Option<u32>) -> Option<Check> {
        let (found, known) = schema.zip(self.schema_version())?;
        let verdict = match found <= known {
            true => Verdict::Satisfied,
            false if self.options.permissions.downgrade => return None,
            false => Verdict::Missing,
        };
        Some(Check::new(
            "schema",
            FailureKind::Conflict,
            format!("version {known} or an older one"),
            format!("version {found} in the database"),
            verdict,
        ))
    }

    pub(super) fn schema_version(&self) -> Option<u32> {
        self.bundle
            .index()
            .migrations
            .as_ref()
            .map(|migrations| migrations.schema_version)
    }

    pub(super) fn left_out_tests(&self, objects: &[Object]) -> Vec<String> {
        let places = self.bundle.index().completeness.image_places();
        let tests = objects
            .iter()
            .filter(|object| object.is_test() && places.leaves_out_test(object.name()).is_some());
        tests.map(|object| object.name().to_owned()).collect()
    }

    pub(super) fn notes(&self, found: &Inspection) -> Vec<String> {
        let installed = found.kept.installed.as_ref();
        let recorded = installed.and_then(|installed| installed.schema_version);
        let mut notes: Vec<String> = found.namespace.note.iter().cloned().collect();
        if let Some((current, next)) = recorded
            .zip(self.schema_version())
            .filter(|(current, next)| current != next)
        {
            let backup = if self.options.with_backup {
                ""
            } else {
                "; --backup-first makes a backup before"
            };
            notes.push(format!(
                "note: the schema of the database moves from version {current} to {next}{backup}"
            ));
        }
        if let Some((known, database)) = recorded
            .zip(found.schema)
            .filter(|(known, database)| known < database)
        {
            notes.push(format!(
                "note: the database of release {} has schema version {database}; what runs now \
                 has version {known}, and would run on it again if this fails",
                self.helm.release()
            ));
        }
        if !found.definitions.changes.is_empty() {
            let changes = found.definitions.changes.iter();
            let names: Vec<&str> = changes.map(|change| change.object.as_str()).collect();
            notes.push(format!(
                "note: {} changes before the release, and does not go back when it fails or is \
                 rolled back",
                names.join(", ")
            ));
        }
        if found.install_kind == InstallKind::First && !found.history.is_empty() {
            notes.push(
                "note: the release was not installed by this program, so it is not known whether \
                 this is a downgrade"
                    .to_owned(),
            );
        }
        notes
    }
}
