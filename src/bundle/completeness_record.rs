//! What a bundle index records of the check of its charts.

use serde::{Deserialize, Serialize};

use crate::policy::{Exception, ImageField, ImagePlaces};

/// Whether the bundle was shown to contain every image that its charts can refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Completeness {
    pub checked: bool,
    /// What the charts need in some profile and was left out with its component, each as one
    /// sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Images that charts name by their tag alone, which the destination must give to exactly the
    /// digest of the bundle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tag_pins: Vec<ExceptionRecord>,
    /// Patterns of the names of test hooks whose images were not asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tests_left_out: Vec<ExceptionRecord>,
    /// References in the charts that are not images to transfer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ignored: Vec<ExceptionRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub check_values: Vec<CheckValuesRecord>,
    /// Names of variables whose value names images, as the policy says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) variables: Vec<String>,
    /// Options whose value names images, as the policy says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) options: Vec<String>,
    /// Fields of objects that name images, as the policy says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<ImageField>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckValuesRecord {
    pub chart: String,
    /// The keys, as `helm --set` takes them.
    pub keys: Vec<String>,
}

/// What the policy let through when the bundle was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionRecord {
    pub what: String,
    pub(crate) reason: String,
}

impl Completeness {
    /// Whether a reader must know of exceptions to act on the bundle.
    pub(crate) const fn has_exceptions(&self) -> bool {
        let Self {
            tag_pins,
            tests_left_out,
            ignored,
            check_values,
            ..
        } = self;
        !(tag_pins.is_empty()
            && tests_left_out.is_empty()
            && ignored.is_empty()
            && check_values.is_empty())
    }

    /// Whether a reader must know where the policy says that objects name images, to map them.
    pub(crate) const fn has_places(&self) -> bool {
        !(self.variables.is_empty() && self.options.is_empty() && self.fields.is_empty())
    }

    #[must_use]
    pub(crate) fn with_places(self, places: &ImagePlaces) -> Self {
        Self {
            variables: places.variables.clone(),
            options: places.options.clone(),
            fields: places.fields.clone(),
            ..self
        }
    }

    /// Where the charts of the bundle name images, and what of it is left out.
    pub(crate) fn image_places(&self) -> ImagePlaces {
        let exceptions = |records: &[ExceptionRecord]| {
            let exception = |ExceptionRecord { what, reason }: &ExceptionRecord| Exception {
                pattern: what.clone(),
                reason: reason.clone(),
            };
            records.iter().map(exception).collect()
        };
        ImagePlaces {
            variables: self.variables.clone(),
            options: self.options.clone(),
            fields: self.fields.clone(),
            ignored: exceptions(&self.ignored),
            left_out_tests: exceptions(&self.tests_left_out),
        }
    }

    /// Why charts may name an image by its tag alone; nothing when they do not.
    pub(crate) fn tag_pin(&self, image: &str) -> Option<&ExceptionRecord> {
        self.tag_pins.iter().find(|pin| pin.what == image)
    }

    /// The exceptions, one sentence each. Not escaped.
    pub(crate) fn exceptions(&self) -> Vec<String> {
        let sentence = |text: &str| {
            let text = text.to_owned();
            move |ExceptionRecord { what, reason }: &ExceptionRecord| {
                format!("{}: {reason}", text.replace("{}", what))
            }
        };
        let pins = self
            .tag_pins
            .iter()
            .map(sentence("the charts name the image {} by its tag alone"));
        let tests = self
            .tests_left_out
            .iter()
            .map(sentence("the tests of the charts named {} were left out"));
        let ignored = self
            .ignored
            .iter()
            .map(sentence("{} in the charts was ignored"));
        let check_values = self
            .check_values
            .iter()
            .map(|CheckValuesRecord { chart, keys }| {
                format!(
                    "the chart {chart} was checked with values that are not in the bundle: {}",
                    keys.join(", ")
                )
            });
        pins.chain(tests)
            .chain(ignored)
            .chain(check_values)
            .collect()
    }
}
