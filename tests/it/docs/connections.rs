//! `docs/reference/connection-strings.md`: its table has every parameter of libpq 17, and says
//! "yes" where the program does.

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use rune_storage::PostgresUrl;

use super::markdown::{document, rows};

/// Lists what libpq itself knows.
const KEYWORDS: &str = r#"
import ctypes, sys
class Option(ctypes.Structure):
    texts = ("keyword", "envvar", "compiled", "val", "label", "dispchar")
    _fields_ = [(name, ctypes.c_char_p) for name in texts] + [("dispsize", ctypes.c_int)]
libpq = ctypes.CDLL(sys.argv[1])
libpq.PQconndefaults.restype = ctypes.POINTER(Option)
for option in libpq.PQconndefaults():
    if option.keyword is None:
        break
    print(option.keyword.decode())
"#;

/// The names in a cell.
fn names(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

#[test]
fn the_table_of_parameters_is_that_of_libpq_and_of_the_program() {
    let page = document("docs/reference/connection-strings.md");
    let table: Vec<_> = rows(&page.text)
        .into_iter()
        .filter(|row| matches!(row.get(1).map(String::as_str), Some("yes" | "no")))
        .collect();
    let listed = |answer: &str| {
        table
            .iter()
            .filter(|row| row[1] == answer)
            .flat_map(|row| names(&row[0]))
            .collect::<BTreeSet<_>>()
    };
    let (taken, refused) = (listed("yes"), listed("no"));
    assert_eq!(
        taken,
        PostgresUrl::PARAMETERS
            .iter()
            .map(|name| (*name).to_owned())
            .collect()
    );
    let tools = std::env::var_os("RUNE_TOOLS").map_or_else(
        || PathBuf::from("/var/cache/rune-bundle/tools"),
        PathBuf::from,
    );
    let output = Command::new("python3")
        .args(["-c", KEYWORDS])
        .arg(tools.join("pg/17/lib/libpq.so.5"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let known: BTreeSet<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(
        taken.union(&refused).cloned().collect::<BTreeSet<_>>(),
        known
    );
    assert!(taken.is_disjoint(&refused));
}
