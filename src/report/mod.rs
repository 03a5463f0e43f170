//! One HTML page about a bundle, or delta of one, for those who decide whether it may be installed:
//! on a screen, on paper, without this program.
//!
//! The page stands alone: no script, no image, no font, nothing is fetched, and a content security
//! policy in it says so. It is a pure function of the bundles: no clock, no path, no name of a
//! machine. Everything that comes from a bundle is escaped twice, against characters that turn or
//! hide text and against markup.

mod attention;
mod contents;
mod delta;
mod image;
mod subject;
mod unproven;

use minijinja::{
    AutoEscape, Environment, UndefinedBehavior, Value, syntax::SyntaxConfig, value::Serde,
};
use serde::Serialize;

use self::{contents::Contents, delta::DeltaPart, subject::Subject};
use crate::{
    bundle::{BundleView, ContentError, DeltaContents, DeltaView},
    diff::Diff,
};
use rune_core::{
    command::counted,
    digest::Digest,
    failure::Failure,
    text::{shown, size},
};

const PAGE: &str = include_str!("../../templates/report/page.html");
const CHANGES: &str = include_str!("../../templates/report/changes.html");
const STYLE: &str = include_str!("../../templates/report/style.css");

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Internal)]
pub(crate) enum ReportError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("the page cannot be made")]
    Template(#[from] minijinja::Error),
    /// What the page is about has no JSON form; does not happen.
    #[error("the page cannot be made")]
    Form(#[from] serde_json::Error),
}

pub(crate) fn page(view: &BundleView, changes: Option<&Diff>) -> Result<String, ReportError> {
    rendered(&Contents::of(&Subject::of(view), None)?, changes)
}

/// The page about a delta: what its bundle index says, what it has, and what it needs.
pub(crate) fn delta_page(
    delta: &DeltaView,
    contents: &DeltaContents<'_>,
) -> Result<String, ReportError> {
    let part = DeltaPart::of(delta, contents);
    rendered(&Contents::of(&Subject::of_delta(delta), Some(part))?, None)
}

fn rendered(contents: &Contents, changes: Option<&Diff>) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.add_filter("grouped", grouped);
    environment.add_filter("size", size);
    environment.add_filter("counted", counted::<u64>);
    environment.add_template("page", PAGE)?;
    environment.add_template("changes", CHANGES)?;
    let changes = changes
        .map(|diff| changes_of(&environment, diff))
        .transpose()?;
    let context = minijinja::context! {
        style => Value::from_safe_string(STYLE.to_owned()),
        changes => changes.map(Value::from_safe_string),
        ..harmless(contents)?
    };
    Ok(environment.get_template("page")?.render(context)?)
}

fn changes_of(environment: &Environment<'_>, diff: &Diff) -> Result<String, ReportError> {
    let whole = harmless(diff)?;
    // The names that macros of the template have are taken.
    let (values_files, files_changed) = (whole.get_attr("values")?, whole.get_attr("files")?);
    let context = minijinja::context! { values_files, files_changed, ..whole };
    Ok(environment.get_template("changes")?.render(context)?)
}

/// A value with all texts in it such that they can be shown.
fn harmless<T: Serialize>(value: &T) -> Result<Value, ReportError> {
    let mut json = serde_json::to_value(value)?;
    escape(&mut json);
    Ok(Value::from(Serde(json)))
}

fn escape(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => *text = shown(text),
        serde_json::Value::Array(items) => items.iter_mut().for_each(escape),
        serde_json::Value::Object(members) => members.values_mut().for_each(escape),
        _ => {}
    }
}

/// A digest in groups of eight hex digits.
fn grouped(digest: &str) -> String {
    digest
        .parse()
        .map_or_else(|_| digest.to_owned(), |digest: Digest| digest.grouped())
}
