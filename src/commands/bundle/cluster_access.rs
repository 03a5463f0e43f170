//! The cluster and Helm, as every verb that works on releases finds them.

use std::time::Duration;

use camino::Utf8PathBuf;

use crate::{
    chart::Helm,
    install::{Cluster, ClusterOptions, InstallError, ReleaseHelm},
};
use rune_core::interrupt::Interrupt;

const HELM_TIME_LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug, Clone)]
pub(crate) struct ClusterAccessOptions {
    pub(crate) cluster: ClusterOptions,
    pub(crate) helm: Option<Utf8PathBuf>,
}

pub(super) struct ClusterAccess<'a> {
    pub(super) cluster: Cluster,
    options: &'a ClusterAccessOptions,
    program: &'a Utf8PathBuf,
    helm: Helm,
    interrupt: Interrupt,
}

impl<'a> ClusterAccess<'a> {
    /// Finds Helm and the cluster, and listens for Ctrl-C.
    pub(super) async fn connect(options: &'a ClusterAccessOptions) -> Result<Self, InstallError> {
        let program = options.program()?;
        let interrupt = Interrupt::listen().map_err(|source| InstallError::Run {
            program: program.clone(),
            source,
        })?;
        Ok(Self {
            helm: Helm::find(program, HELM_TIME_LIMIT).await?,
            cluster: Cluster::connect(&options.cluster).await?,
            options,
            program,
            interrupt,
        })
    }

    /// The cluster in the namespace of a release, and Helm for the release.
    pub(super) fn release(
        &self,
        namespace: &str,
        release: &str,
    ) -> Result<(Cluster, ReleaseHelm), InstallError> {
        let cluster = self.cluster.in_namespace(namespace);
        let interrupt = self.interrupt.clone();
        let helm = ReleaseHelm::new(
            &self.helm,
            self.program,
            &cluster,
            &self.options.cluster,
            release,
            interrupt,
        )?;
        Ok((cluster, helm))
    }

    pub(super) fn helm_version(&self) -> &str {
        self.helm.version()
    }

    pub(super) const fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }
}

impl ClusterAccessOptions {
    pub(super) fn program(&self) -> Result<&Utf8PathBuf, InstallError> {
        self.helm.as_ref().ok_or(InstallError::NoHelm)
    }
}
