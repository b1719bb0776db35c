//! Opening the file: the settings every connection has, the version of the
//! tables, and the checks before anything is believed.

use std::path::Path;
use std::time::Duration;

use portcullis_core::ids::Revision;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::columns::Number;
use super::fault::Fault;
use super::folder::OpenError;

/// Each step takes the tables from the version before it to its own, the first
/// from an empty file. The version is kept in SQLite's `user_version`.
const STEPS: [&str; 4] = [
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
];
const VERSION: i64 = STEPS.len() as i64;

/// 3.51.3 mended a race between write-ahead log and checkpoint that could lose
/// what had been committed.
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long a connection waits for a lock. There is one writer, so only a
/// program from outside (a backup, a person) ever makes it wait.
const BUSY: Duration = Duration::from_secs(5);

/// Prepared statements kept per connection.
const STATEMENTS_KEPT: usize = 64;

/// The writer's connection. `made_before`: there has to be a store already.
pub(super) fn open(path: &Path, made_before: bool) -> Result<Connection, OpenError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenError::OldLibrary {
            found: rusqlite::version(),
        });
    }
    let damaged = |fault: Fault| OpenError::Damaged(fault.describe(path));
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(damaged)?;
    prepare_for_writing(&connection).map_err(|error| damaged(error.into()))?;
    migrate(&mut connection, path, made_before)?;
    Ok(connection)
}

/// A connection that can only read.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Fault> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// The newest entry, after checking that the fold has got as far.
pub(super) fn head(connection: &Connection, path: &Path) -> Result<Revision, OpenError> {
    let sql = "SELECT (SELECT coalesce(max(seq), 0) FROM events),
                      (SELECT count(*) FROM (SELECT 1 FROM events WHERE seq = 1)),
                      (SELECT value FROM meta WHERE name = 'cursor')";
    let row = |row: &rusqlite::Row<'_>| {
        Ok((
            row.get::<_, Number>(0)?.0,
            row.get::<_, Number>(1)?.0,
            row.get::<_, Number>(2)?.0,
        ))
    };
    let (head, first, cursor) = connection
        .query_row(sql, [], row)
        .map_err(|error| OpenError::Damaged(Fault::from(error).describe(path)))?;
    if head != cursor || first != head.min(1) {
        return Err(OpenError::Inconsistent {
            path: path.to_owned(),
            head,
            cursor,
        });
    }
    Ok(Revision(head))
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, Fault> {
    // No URI and no shared cache: the path is a path, whatever it contains.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // A damaged page is to be an error, not an answer. No memory map: an I/O
    // error there is a signal that ends the process instead of an error code.
    connection.execute_batch(
        "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF;",
    )?;
    Ok(connection)
}

fn prepare_for_writing(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(format!(
                "no write-ahead log on this file system, only {mode}"
            )),
        ));
    }
    // `recursive_triggers` makes a REPLACE, too, ask the trigger that forbids removal.
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON;",
    )
}

fn migrate(connection: &mut Connection, path: &Path, made_before: bool) -> Result<(), OpenError> {
    let damaged = |error: rusqlite::Error| OpenError::Damaged(Fault::from(error).describe(path));
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(damaged)?;
    if found > VERSION {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known: VERSION,
        });
    }
    if found == VERSION {
        return Ok(());
    }
    if found == 0 {
        refuse_foreign(connection, path, made_before)?;
    }
    // One transaction with the version: half a schema is never seen.
    let step_up = |connection: &mut Connection| {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for step in STEPS
            .iter()
            .skip(usize::try_from(found).unwrap_or_default())
        {
            tx.execute_batch(step)?;
        }
        tx.pragma_update(None, "user_version", VERSION)?;
        tx.commit()
    };
    step_up(connection).map_err(damaged)?;
    if found > 0 {
        tracing::info!(path = %path.display(), from = found, to = VERSION, "the store's tables were brought up to date");
    }
    Ok(())
}

/// A file without a version must be an empty one, and rightly so.
fn refuse_foreign(
    connection: &Connection,
    path: &Path,
    made_before: bool,
) -> Result<(), OpenError> {
    let damaged = |error: rusqlite::Error| OpenError::Damaged(Fault::from(error).describe(path));
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(damaged)?;
    if tables > 0 {
        let fault = Fault::garbled("the file", "tables of another program");
        return Err(OpenError::Damaged(fault.describe(path)));
    }
    if made_before {
        return Err(OpenError::Emptied {
            path: path.to_owned(),
        });
    }
    Ok(())
}
