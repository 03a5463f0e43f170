//! Blobs of eight bytes that become the floats whose bytes they are, in a SQLite file that nobody
//! has open.
//!
//! SQLite makes a record in memory, as a whole, unless there is nothing but zeros from some column
//! to its end. So a row with a large content is inserted with zeros for the content and for the
//! float behind it, and both are filled in place. What is left then is the type of the float, which
//! is in the head of the record: one byte for either type, and the value's bytes are the same.
//!
//! The format is that of SQLite's manual, "Database File Format", sections 1.6 (pages) and 2.1
//! (records). The caller proves the file afterwards.

use super::super::error::TransferError;
use rune_core::fsx::TemporaryFile;

const BLOB: u64 = 28;
const FLOAT: u8 = 7;
const MAX_DEPTH: usize = 24;

#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) row: i64,
    pub(super) column: usize,
}

/// Retypes cells of the table whose tree begins at a page.
pub(super) fn retype(
    file: &TemporaryFile,
    root: u32,
    places: &[Place],
) -> Result<(), TransferError> {
    let mut head = [0; 18];
    file.read_at(&mut head, 0)?;
    let page_bytes = match number(&head, 16, 2).ok_or(TransferError::Lost)? {
        1 => 65536,
        bytes => bytes,
    };
    let mut page = vec![0; usize::try_from(page_bytes).map_err(|_| TransferError::Lost)?];
    for place in places {
        let mut at = u64::from(root);
        for _ in 0..MAX_DEPTH {
            let start = at
                .checked_sub(1)
                .ok_or(TransferError::Lost)?
                .saturating_mul(page_bytes);
            file.read_at(&mut page, start)?;
            match step(&page, *place).ok_or(TransferError::Lost)? {
                Step::Down(child) => at = child,
                Step::Here(offset) => {
                    file.write_at(&[FLOAT], start.saturating_add(offset))?;
                    break;
                }
            }
        }
    }
    Ok(())
}

enum Step {
    Down(u64),
    /// The byte of the type is here.
    Here(u64),
}

/// Looks for a place on a page of a table's tree; `None` when it is another kind of page or has no
/// such place.
fn step(page: &[u8], place: Place) -> Option<Step> {
    let is_leaf = match page.first()? {
        0x0d => true,
        0x05 => false,
        _ => return None,
    };
    let cells = usize::try_from(number(page, 3, 2)?).ok()?;
    let pointers = if is_leaf { 8 } else { 12 };
    for cell in 0..cells {
        let mut reader = Reader {
            page,
            at: usize::try_from(number(page, pointers + 2 * cell, 2)?).ok()?,
        };
        if is_leaf {
            reader.varint()?;
            if reader.row()? == place.row {
                return reader.type_of(place.column).map(Step::Here);
            }
        } else {
            let child = number(page, reader.at, 4)?;
            reader.at += 4;
            if place.row <= reader.row()? {
                return Some(Step::Down(child));
            }
        }
    }
    if is_leaf {
        None
    } else {
        number(page, 8, 4).map(Step::Down)
    }
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    Some(
        bytes
            .get(at..at.checked_add(length)?)?
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

struct Reader<'p> {
    page: &'p [u8],
    at: usize,
}

impl Reader<'_> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for place in 0..9 {
            let byte = *self.page.get(self.at)?;
            self.at += 1;
            if place == 8 {
                return Some(number << 8 | u64::from(byte));
            }
            number = number << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        Some(number)
    }

    /// The id of the row, a varint of two's complement.
    fn row(&mut self) -> Option<i64> {
        Some(self.varint()?.cast_signed())
    }

    /// Where on the page the type of a column stands, if that is a blob of eight bytes.
    fn type_of(&mut self, column: usize) -> Option<u64> {
        let begin = self.at;
        let end = begin.checked_add(usize::try_from(self.varint()?).ok()?)?;
        for _ in 0..column {
            self.varint()?;
        }
        let found = self.at;
        (self.varint()? == BLOB && self.at <= end)
            .then(|| u64::try_from(found).ok())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;
    use rusqlite::{Connection, MAIN_DB};

    use super::{Place, retype};
    use rune_core::fsx::{FileMode, TemporaryFile};

    /// Many rows, so that the tree has several levels, on pages of several sizes.
    #[test]
    fn the_bytes_become_the_float_that_they_are_and_sqlite_finds_nothing_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let destination = Utf8Path::from_path(directory.path()).unwrap().join("a.db");
        for page_bytes in [512, 4096, 65536] {
            let file = TemporaryFile::beside(&destination, FileMode::PRIVATE).unwrap();
            let connection = Connection::open(file.path()).unwrap();
            connection
                .execute_batch(&format!(
                    "PRAGMA page_size = {page_bytes}; CREATE TABLE t (a TEXT, b BLOB, c REAL NOT \
                     NULL); BEGIN"
                ))
                .unwrap();
            let rows: Vec<i64> = [i64::MIN, -1]
                .into_iter()
                .chain((1..4000).map(|row| row * row * 977))
                .collect();
            for row in &rows {
                let sql = "INSERT INTO t (rowid, a, b, c) VALUES (?1, hex(?1), zeroblob(?2), \
                           zeroblob(8))";
                connection
                    .execute(sql, (row, if row % 64 == 0 { 100_000 } else { 3 }))
                    .unwrap();
                let mut cell = connection
                    .blob_open(MAIN_DB, "t", "c", *row, false)
                    .unwrap();
                #[expect(clippy::cast_precision_loss, reason = "the loss is the same each time")]
                cell.write_all_at(&(*row as f64 / 7.0).to_be_bytes(), 0)
                    .unwrap();
            }
            connection.execute_batch("COMMIT").unwrap();
            let root = connection
                .query_row(
                    "SELECT rootpage FROM sqlite_schema WHERE name = 't'",
                    [],
                    |row| row.get(0),
                )
                .unwrap();
            drop(connection);
            retype(
                &file,
                root,
                &rows
                    .iter()
                    .map(|row| Place {
                        row: *row,
                        column: 2,
                    })
                    .collect::<Vec<_>>(),
            )
            .unwrap();
            assert!(
                retype(&file, root, &[Place { row: 1, column: 2 }]).is_err(),
                "a row that is not there"
            );
            assert!(
                retype(&file, root, &[Place { row: -1, column: 2 }]).is_err(),
                "a float already"
            );
            let connection = Connection::open(file.path()).unwrap();
            let wrong = "SELECT count(*) FROM t WHERE typeof(c) <> 'real' OR c <> rowid / 7.0 OR \
                         a <> hex(rowid)";
            assert_eq!(
                connection
                    .query_row(wrong, [], |row| row.get::<_, i64>(0))
                    .unwrap(),
                0
            );
            assert_eq!(
                connection
                    .query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))
                    .unwrap(),
                i64::try_from(rows.len()).unwrap()
            );
            assert_eq!(
                connection
                    .query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))
                    .unwrap(),
                "ok"
            );
        }
    }
}
