//! `rune-db settings`: lists the keys of settings, and gives, sets and deletes their values.

use std::{
    io::{self, Read as _},
    sync::Arc,
};

use camino::Utf8PathBuf;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    instant::moment_text,
    records::{
        Cut, Missing, PageOptions, StoreOptions, Use, cut, effects, next_line, shown, table,
        unreadable_lines, unreadable_verdict,
    },
    warning_lines,
};
use rune_core::{
    command::{CommandError, Report},
    failure::FailureKind,
    fsx::{self, Action, PathError},
    secret::Secret,
};
use rune_storage::{
    port::{MAX_JSON_BYTES, Page, SettingLine, Unreadable},
    schema::{Events, SiteGuard, Verb},
};

const MAX_VALUE_BYTES: u64 = MAX_JSON_BYTES as u64;

#[derive(Debug)]
pub(crate) struct ListOptions {
    pub(crate) store: StoreOptions,
    pub(crate) prefix: String,
    pub(crate) page: PageOptions,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ListReport {
    pub(crate) settings: Vec<SettingLine>,
    pub(crate) unreadable: Vec<Unreadable>,
    /// What to go on after, when more follow.
    pub(crate) next: Option<String>,
}

pub(crate) fn list(options: &ListOptions) -> Result<ListReport, CommandError> {
    let limit = options.page.limit;
    let page = Page {
        after: options.page.after.as_deref(),
        limit: limit.saturating_add(1),
    };
    let listed = options
        .store
        .read_store(|store| Ok(store.list_setting_keys(&options.prefix, page)?))?;
    let Cut {
        rows: settings,
        unreadable,
        next,
    } = cut(listed, limit, |line| line.key.clone());
    Ok(ListReport {
        settings,
        unreadable,
        next,
    })
}

impl Report for ListReport {
    const VERB: &'static str = "db-settings-list";

    fn text(&self) -> String {
        if self.settings.is_empty() && self.unreadable.is_empty() {
            return "no settings\n".to_owned();
        }
        let row = |line: &SettingLine| {
            [
                line.key.clone(),
                line.value_bytes.to_string(),
                moment_text(line.updated_at),
            ]
        };
        let text = table(["KEY", "BYTES", "UPDATED"], self.settings.iter().map(row));
        text + &unreadable_lines(&self.unreadable) + &next_line(self.next.as_deref())
    }

    fn verdict(&self) -> Option<FailureKind> {
        unreadable_verdict(&self.unreadable)
    }
}

#[derive(Debug)]
pub(crate) struct KeyOptions {
    pub(crate) store: StoreOptions,
    pub(crate) key: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GetReport {
    pub(crate) key: String,
    pub(crate) value_json: String,
    #[serde(serialize_with = "rune_storage::json_float")]
    pub(crate) updated_at: f64,
}

fn verb(statements: Events) -> Verb {
    Verb::Write {
        table: "settings",
        statements,
    }
}

pub(crate) fn get(options: &KeyOptions) -> Result<GetReport, CommandError> {
    let setting = options.store.read_store(|store| {
        Ok(store.get_setting(&options.key)?.ok_or_else(|| Missing {
            what: "setting",
            name: shown(&options.key),
        })?)
    })?;
    Ok(GetReport {
        key: setting.key,
        value_json: setting.value_json,
        updated_at: setting.updated_at,
    })
}

impl Report for GetReport {
    const VERB: &'static str = "db-settings-get";

    fn text(&self) -> String {
        format!("{}\n", self.value_json)
    }
}

#[derive(Debug)]
pub(crate) enum NewValue {
    Text(Secret),
    File(Utf8PathBuf),
}

impl NewValue {
    /// From an input that is open, such as standard input.
    pub(crate) fn read(input: impl io::Read) -> Result<Self, CommandError> {
        let failed = |error| PathError::of(Action::Read, "standard input".into())(error);
        let invalid = |text: String| failed(io::Error::new(io::ErrorKind::InvalidData, text));
        let mut bytes = Zeroizing::new(Vec::new());
        input
            .take(MAX_VALUE_BYTES.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > MAX_VALUE_BYTES {
            return Err(invalid(format!("it is larger than {MAX_VALUE_BYTES} bytes")).into());
        }
        let text =
            std::str::from_utf8(&bytes).map_err(|_| invalid("it is not UTF-8 text".to_owned()))?;
        Ok(Self::Text(Secret::new(text)))
    }
}

#[derive(Debug)]
pub(crate) struct SetOptions {
    pub(crate) store: StoreOptions,
    pub(crate) key: String,
    pub(crate) value: NewValue,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SetReport {
    pub(crate) key: String,
    pub(crate) value_bytes: usize,
    pub(crate) warnings: Vec<String>,
}

pub(crate) fn set(options: &SetOptions) -> Result<SetReport, CommandError> {
    let value = match &options.value {
        NewValue::Text(text) => text.clone(),
        NewValue::File(path) => Secret::new(fsx::read_to_string(path, MAX_VALUE_BYTES)?),
    };
    let value = value.expose().trim_end_matches(['\n', '\r']);
    let guard = Arc::new(SiteGuard::new(verb(Events::UPSERT)));
    options.store.with_store(Use::ReadWrite, &guard, |store| {
        Ok(store.set_setting(&options.key, value)?)
    })?;
    Ok(SetReport {
        key: options.key.clone(),
        value_bytes: value.len(),
        warnings: effects(&guard),
    })
}

impl Report for SetReport {
    const VERB: &'static str = "db-settings-set";

    fn has_changed(&self) -> bool {
        true
    }

    fn text(&self) -> String {
        format!(
            "{}set `{}` ({} bytes)\n",
            warning_lines(&self.warnings),
            shown(&self.key),
            self.value_bytes
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DeleteReport {
    pub(crate) key: String,
    pub(crate) warnings: Vec<String>,
}

pub(crate) fn delete(options: &KeyOptions) -> Result<DeleteReport, CommandError> {
    let guard = Arc::new(SiteGuard::new(verb(Events::DELETE)));
    options.store.with_store(Use::ReadWrite, &guard, |store| {
        let was_there = store.delete_setting(&options.key)?;
        if was_there {
            Ok(())
        } else {
            Err(Missing {
                what: "setting",
                name: shown(&options.key),
            }
            .into())
        }
    })?;
    Ok(DeleteReport {
        key: options.key.clone(),
        warnings: effects(&guard),
    })
}

impl Report for DeleteReport {
    const VERB: &'static str = "db-settings-delete";

    fn has_changed(&self) -> bool {
        true
    }

    fn text(&self) -> String {
        format!(
            "{}deleted `{}`\n",
            warning_lines(&self.warnings),
            shown(&self.key)
        )
    }
}
