//! The templates of a project.

use super::GatherError;
use crate::{
    chart::{self, Renderer},
    manifest::Project,
};

/// The template of what the admin on the air-gapped side reads first.
pub(super) const INSTALL_TEMPLATE: &str = "templates/INSTALL.md.j2";

/// The text for the admin in projects that bring none of their own.
const BUILT_IN_INSTALL: &str = include_str!("../../templates/INSTALL.md.j2");

/// The templates of a project, and the built-in one where it has none.
pub(super) fn renderer(project: &Project) -> Result<Renderer, GatherError> {
    let mut templates = chart::load_templates(project.directory())?;
    templates
        .entry(INSTALL_TEMPLATE.to_owned())
        .or_insert_with(|| BUILT_IN_INSTALL.to_owned());
    Ok(Renderer::new(templates)?)
}
