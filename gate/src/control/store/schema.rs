//! Opening the file: the settings every connection has, the version of the
//! tables, and the checks before anything is believed.

use std::path::Path;
use std::time::Duration;

use portcullis_core::ids::Revision;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::columns::Number;
use super::fault::Fault;
use super::folder::OpenError;
use super::sealing;
use super::vault::Vault;

/// Each step takes the tables from the version before it to its own, the first
/// from an empty file. The version is kept in SQLite's `user_version`.
const STEPS: [Step; 7] = [
    Step::Sql(include_str!("schema_1.sql")),
    Step::Sql(include_str!("schema_2.sql")),
    Step::Sql(include_str!("schema_3.sql")),
    Step::Sql(include_str!("schema_4.sql")),
    Step::Sql(include_str!("schema_5.sql")),
    Step::Rows {
        before: include_str!("schema_6.sql"),
        take_over: sealing::take_over,
        after: include_str!("schema_6_after.sql"),
    },
    Step::Sql(include_str!("schema_7.sql")),
];
const VERSION: i64 = STEPS.len() as i64;

enum Step {
    Sql(&'static str),
    /// Rows are rewritten in between.
    Rows {
        before: &'static str,
        take_over: fn(&Connection) -> Result<(), Fault>,
        after: &'static str,
    },
}

impl Step {
    fn take(&self, tx: &Connection) -> Result<(), Fault> {
        match self {
            Self::Sql(sql) => tx.execute_batch(sql)?,
            Self::Rows {
                before,
                take_over,
                after,
            } => {
                tx.execute_batch(before)?;
                take_over(tx)?;
                tx.execute_batch(after)?;
            }
        }
        Ok(())
    }
}

/// 3.51.3 mended a race between write-ahead log and checkpoint that could lose
/// what had been committed.
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long a connection waits for a lock. There is one writer, so only a
/// program from outside (a backup, a person) ever makes it wait.
const BUSY: Duration = Duration::from_secs(5);

/// What a lot of a bulk call touches fits in; negative, so that SQLite reads it as KiB.
const WRITER_CACHE_KIB: i64 = -32 * 1024;

/// Pages of 4 KiB in the write-ahead log before they are taken into the file: what is
/// written again and again is taken over once. A start after a crash reads that much.
const CHECKPOINT_PAGES: i64 = 4_000;

/// Written anew in about a second.
const WRITTEN_ANEW_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// Prepared statements kept per connection.
const STATEMENTS_KEPT: usize = 64;

/// The writer's connection. `made_before`: there has to be a store already.
pub(super) fn open(path: &Path, made_before: bool) -> Result<(Connection, Vault), OpenError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenError::OldLibrary {
            found: rusqlite::version(),
        });
    }
    let damaged = |fault: Fault| OpenError::Damaged(fault.describe(path));
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(damaged)?;
    prepare_for_writing(&connection).map_err(|error| damaged(error.into()))?;
    migrate(&mut connection, path, made_before)?;
    // Not before: tables change places in a migration, and are sorted whole. What a
    // savepoint may have to put back is bounded by its job, and needs no file.
    let enforce = connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;");
    enforce.map_err(|error| damaged(error.into()))?;
    let vault = Vault::open(&connection).map_err(damaged)?;
    write_anew(&connection, path).map_err(|error| damaged(error.into()))?;
    Ok((connection, vault))
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
    // Or a statement is planned anew for each value bound to a column of a partial
    // index, which no plan here depends on.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
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
    // `recursive_triggers` makes a REPLACE, too, ask the trigger that forbids removal;
    // what is removed is overwritten (`secure_delete`), or a deleted user's key would
    // stay in the file. The log may hold such rows from before a crash: it is emptied.
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA recursive_triggers = ON; PRAGMA secure_delete = ON;",
    )?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    scrub(connection).map(drop)
}

/// After deletions a small file is written anew: SQLite moves cells within and between
/// pages, and what it moved may stand in the unused part of a page until that is used
/// again. A large file would hold up the start.
fn write_anew(connection: &Connection, path: &Path) -> rusqlite::Result<()> {
    let deletions: i64 = connection.query_row(
        "SELECT value FROM meta WHERE name = 'unscrubbed'",
        [],
        |row| row.get(0),
    )?;
    if deletions == 0 {
        return Ok(());
    }
    let pragma = |name: &str| -> rusqlite::Result<i64> {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
    };
    if pragma("page_count")? * pragma("page_size")? > WRITTEN_ANEW_BYTES_MAX {
        tracing::info!(
            path = %path.display(), deletions,
            "names of deleted users may stand in unused parts of the store's pages;              `sqlite3 FILE VACUUM` on the stopped gate removes them"
        );
        return Ok(());
    }
    connection.execute_batch(
        "VACUUM;
         UPDATE meta SET value = 0 WHERE name = 'unscrubbed';",
    )?;
    scrub(connection).map(drop)
}

/// Empties the write-ahead log into the file, so that nothing of what was removed is
/// left in it. `false`: somebody reads, and it must be tried again.
pub(super) fn scrub(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(Duration::ZERO)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, bool>(0)
    });
    connection.busy_timeout(BUSY)?;
    Ok(!busy?)
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
    let step_up = |connection: &mut Connection| -> Result<(), Fault> {
        // A table that another takes the place of is still the one that is meant.
        connection.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON")?;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for step in STEPS
            .iter()
            .skip(usize::try_from(found).unwrap_or_default())
        {
            step.take(&tx)?;
        }
        tx.pragma_update(None, "user_version", VERSION)?;
        tx.commit()?;
        connection.execute_batch("PRAGMA legacy_alter_table = OFF")?;
        // Rows as they were before the migration stand in the log until then.
        scrub(connection)?;
        Ok(())
    };
    step_up(connection).map_err(|fault| OpenError::Damaged(fault.describe(path)))?;
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
