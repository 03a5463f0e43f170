//! The charts of this project, and what is found in charts.

pub(crate) mod acceptance;
pub(crate) mod backup;
pub(crate) mod bootstrap;
pub(crate) mod bootstrap_scripts;
pub(crate) mod bootstrap_volume;
pub(crate) mod completeness_check;
pub(crate) mod completeness_helm;
pub(crate) mod completeness_images;
pub(crate) mod completeness_profiles;
pub(crate) mod completeness_support;
pub(crate) mod defects;
pub(crate) mod image;
pub(crate) mod install_text;
pub(crate) mod lint;
pub(crate) mod matrix;
pub(crate) mod odd_charts;
pub(crate) mod package;
pub(crate) mod pod;
pub(crate) mod properties;
pub(crate) mod provenance;
pub(crate) mod published;
pub(crate) mod refusals;
pub(crate) mod render;
pub(crate) mod site;
pub(crate) mod support;
pub(crate) mod version_ranges;
