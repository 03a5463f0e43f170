//! Values that charts are rendered with for the check alone, such as a password that an upgrade
//! asks for.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use crate::{
    bundle::CheckValuesRecord,
    chart::{ChartError, value_keys},
};

/// For each chart, by name: values files as path and text, later ones winning. They are not in the
/// bundle, and only their keys are recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CheckValues(BTreeMap<String, ChartValues>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ChartValues {
    files: Vec<(String, String)>,
    keys: BTreeSet<String>,
}

impl CheckValues {
    pub(crate) fn add(&mut self, chart: &str, path: &str, text: String) -> Result<(), ChartError> {
        let keys = value_keys(Utf8Path::new(path), &text)?;
        let values = self.0.entry(chart.to_owned()).or_default();
        values.keys.extend(keys);
        values.files.push((path.to_owned(), text));
        Ok(())
    }

    pub(crate) fn files(&self, chart: &str) -> &[(String, String)] {
        self.0.get(chart).map_or(&[], |values| &values.files)
    }

    /// A file without keys changes nothing.
    pub(crate) fn records(&self) -> Vec<CheckValuesRecord> {
        let with_keys = self.0.iter().filter(|(_, values)| !values.keys.is_empty());
        with_keys
            .map(|(chart, values)| CheckValuesRecord {
                chart: chart.clone(),
                keys: values.keys.iter().cloned().collect(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::CheckValues;

    #[test]
    fn only_the_keys_of_check_values_are_recorded_and_in_the_form_of_set() {
        let mut values = CheckValues::default();
        let text = "auth: {password: s3cret, users: [{name: n}], none: }\nnode: \
                    {\"example.org/role\": db}\nempty: {}\n";
        values.add("app", "check.yaml", text.to_owned()).unwrap();
        values
            .add("app", "more.yaml", "auth: {password: other}\n".to_owned())
            .unwrap();
        values
            .add("beside", "nothing.yaml", "# nothing\n".to_owned())
            .unwrap();
        let records = values.records();
        assert_eq!(records.len(), 1, "{records:?}");
        assert_eq!(
            records[0].keys,
            [
                "auth.none",
                "auth.password",
                "auth.users",
                "empty",
                r"node.example\.org/role"
            ]
        );
        assert_eq!(values.files("app").len(), 2);
    }

    #[test]
    fn check_values_that_are_no_yaml_are_an_error_without_what_stands_in_them() {
        let error = CheckValues::default()
            .add(
                "app",
                "check.yaml",
                "auth: {password: \"s3cret\n".to_owned(),
            )
            .unwrap_err();
        assert!(
            error.to_string().starts_with("check.yaml:") && !error.to_string().contains("s3cret"),
            "{error}"
        );
    }
}
