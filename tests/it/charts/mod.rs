//! The charts of this project, and what is found in charts.

mod backup;
mod bootstrap;
mod completeness_check;
mod completeness_helm;
mod completeness_support;
mod defects;
mod image;
mod install_text;
mod lint;
mod matrix;
mod package;
mod pod;
mod properties;
mod provenance;
mod refusals;
mod render;
mod support;
