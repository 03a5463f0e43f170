//! Which of several places that may name a database is followed.

use super::url::{DatabaseUrl, Places, UrlError};
use rune_core::secret::Secret;

/// A place that may name a database: an option, an environment variable, the default.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// How the place is called in messages.
    pub name: String,
    /// What stands there; blank counts as nothing.
    pub text: Secret,
    /// How it is to be read.
    pub form: CandidateForm,
}

/// How a text names a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateForm {
    /// As a URL.
    Url,
    /// As the path of a SQLite file.
    Path,
}

/// The database that was chosen.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Where it is.
    pub url: DatabaseUrl,
    /// The name of the place that named it.
    pub origin: String,
    /// The name of a place of lower rank that names another database.
    pub overruled: Option<String>,
    /// The scheme that RUNE would take, if it refuses the one that was written.
    pub scheme_for_rune: Option<&'static str>,
}

impl Candidate {
    fn read(&self, places: &Places) -> Result<DatabaseUrl, UrlError> {
        let text = self.text.expose().trim();
        match self.form {
            CandidateForm::Url => DatabaseUrl::parse(text, places),
            CandidateForm::Path => DatabaseUrl::from_path(text, places),
        }
    }
}

/// Follows the first candidate that says anything. `None` when none does.
///
/// # Errors
/// When it cannot be read, with its name; a later candidate never stands in for a broken one.
pub fn select(
    candidates: &[Candidate],
    places: &Places,
) -> Result<Option<Selection>, (String, UrlError)> {
    let mut given = candidates
        .iter()
        .filter(|candidate| !candidate.text.expose().trim().is_empty());
    let Some(chosen) = given.next() else {
        return Ok(None);
    };
    let url = chosen
        .read(places)
        .map_err(|error| (chosen.name.clone(), error))?;
    let overruled = given
        .find(|candidate| candidate.read(places).as_ref() != Ok(&url))
        .map(|candidate| candidate.name.clone());
    let scheme_for_rune = (chosen.form == CandidateForm::Url)
        .then(|| DatabaseUrl::scheme_for_rune(chosen.text.expose().trim()))
        .flatten();
    Ok(Some(Selection {
        url,
        origin: chosen.name.clone(),
        overruled,
        scheme_for_rune,
    }))
}

#[cfg(test)]
mod tests {
    use super::{Candidate, CandidateForm, Selection, select};
    use crate::Places;
    use rune_core::secret::Secret;

    fn chosen(texts: [&str; 3]) -> Result<Option<Selection>, (String, super::UrlError)> {
        let names = ["RUNE_DB_URL", "RUNE_DATABASE_URL", "RUNE_API_DB_PATH"];
        let forms = [CandidateForm::Url, CandidateForm::Url, CandidateForm::Path];
        let candidate = |index: usize| Candidate {
            name: names[index].into(),
            text: Secret::new(texts[index]),
            form: forms[index],
        };
        select(
            &[candidate(0), candidate(1), candidate(2)],
            &Places {
                working_directory: Some("/".into()),
                home: None,
            },
        )
    }

    #[test]
    fn the_first_that_says_anything_is_followed() {
        assert!(chosen(["", "  ", ""]).unwrap().is_none());
        let selection = chosen([" ", "sqlite:////b.db\n", "/c.db"])
            .unwrap()
            .unwrap();
        assert_eq!(
            (
                selection.url.to_string().as_str(),
                selection.origin.as_str()
            ),
            ("sqlite:////b.db", "RUNE_DATABASE_URL")
        );
        assert_eq!(selection.overruled.as_deref(), Some("RUNE_API_DB_PATH"));
    }

    #[test]
    fn the_same_database_in_two_spellings_is_no_conflict() {
        let selection = chosen(["sqlite:///a.db", "sqlite:////a.db", "a.db"])
            .unwrap()
            .unwrap();
        assert_eq!(selection.overruled, None);
        let selection = chosen(["postgresql://u:1@h/d", "postgresql://u:2@h/d", ""])
            .unwrap()
            .unwrap();
        assert_eq!(selection.overruled.as_deref(), Some("RUNE_DATABASE_URL"));
    }

    #[test]
    fn a_broken_first_choice_is_not_silently_passed_over() {
        assert_eq!(
            chosen(["mysql://h/d", "sqlite:////b.db", ""])
                .unwrap_err()
                .0,
            "RUNE_DB_URL"
        );
    }
}
