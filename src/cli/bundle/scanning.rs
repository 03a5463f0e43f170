//! The verb that runs a vulnerability scanner.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use super::{
    program::{absolute, program},
    receipts::ReceiptArgs,
    trust::VerifiedBundleArgs,
};
use crate::{
    cli::site::{Site, cache_directory},
    commands::bundle::{DatabaseDirectories, ScanOptions, Severity},
};
use rune_core::command::CommandError;

/// Scan the images of a bundle for vulnerabilities, with your own grype or Trivy and its database.
///
/// The scanner gets every image, for every platform, by digest from this program at a loopback
/// address. It updates nothing and reads none of its configuration. Advisories of the bundle are
/// applied.
#[derive(Debug, Args)]
pub(super) struct Scan {
    #[command(flatten)]
    bundle: VerifiedBundleArgs,
    /// grype or Trivy [default: `grype`, else `trivy`, in PATH]
    #[arg(long, value_name = "FILE")]
    scanner: Option<Utf8PathBuf>,
    /// Exit with 8 when a finding has this severity or a higher one
    #[arg(long, value_name = "SEVERITY", value_enum)]
    fail_on: Option<SeverityArg>,
    #[command(flatten)]
    receipts: ReceiptArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SeverityArg {
    Unknown,
    Negligible,
    Low,
    Medium,
    High,
    Critical,
}

impl Scan {
    pub(super) fn options(self, site: &Site) -> Result<ScanOptions, CommandError> {
        Ok(ScanOptions {
            bundle: self.bundle.options(site),
            scanner: program(self.scanner, &["grype", "trivy"]),
            databases: DatabaseDirectories {
                grype: cache_directory("GRYPE_DB_CACHE_DIR", "grype/db").map(absolute),
                trivy: cache_directory("TRIVY_CACHE_DIR", "trivy").map(absolute),
            },
            fail_on: self.fail_on.map(Severity::from),
            receipts: self.receipts.place(site)?,
        })
    }
}

impl From<SeverityArg> for Severity {
    fn from(severity: SeverityArg) -> Self {
        match severity {
            SeverityArg::Unknown => Self::Unknown,
            SeverityArg::Negligible => Self::Negligible,
            SeverityArg::Low => Self::Low,
            SeverityArg::Medium => Self::Medium,
            SeverityArg::High => Self::High,
            SeverityArg::Critical => Self::Critical,
        }
    }
}
