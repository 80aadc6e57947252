//! Makes the database file from the embedded tables.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Transaction, params};

use super::OpenError;

/// Marks a database file as this service's, in this form: "anl" and a version.
const FORMAT: i32 = 0x61_6e_6c_01;

const FLIGHTS: &str = include_str!("../../data/flights.csv");
const AIRPORTS: &str = include_str!("../../data/airports.csv");
const BIRDSTRIKES: &str = include_str!("../../data/birdstrikes.csv");

const SCHEMA: &str = "
CREATE TABLE airports (
    iata TEXT PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL, state TEXT NOT NULL, country TEXT NOT NULL,
    latitude REAL NOT NULL, longitude REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE flights (
    id INTEGER PRIMARY KEY, departed_at TEXT NOT NULL, day TEXT NOT NULL, month INTEGER NOT NULL,
    hour INTEGER NOT NULL, weekday INTEGER NOT NULL, delay INTEGER NOT NULL, distance INTEGER NOT NULL,
    origin TEXT NOT NULL REFERENCES airports, destination TEXT NOT NULL REFERENCES airports
);
CREATE TABLE birdstrikes (
    id INTEGER PRIMARY KEY, date TEXT NOT NULL, year INTEGER NOT NULL, month INTEGER NOT NULL,
    airport TEXT NOT NULL, state TEXT NOT NULL, aircraft TEXT NOT NULL, operator TEXT NOT NULL,
    damage TEXT NOT NULL, phase TEXT NOT NULL, size TEXT NOT NULL, species TEXT NOT NULL, time_of_day TEXT NOT NULL,
    cost_other INTEGER NOT NULL, cost_repair INTEGER NOT NULL, cost_total INTEGER NOT NULL, speed INTEGER
);";

/// The indexes hold every column that the rules' statements read, so that these never touch the table.
const INDEXES: &str = "
CREATE INDEX flights_origin ON flights (origin, month, delay);
CREATE INDEX flights_origin_hour ON flights (origin, hour, month, delay);
CREATE INDEX flights_origin_weekday ON flights (origin, weekday, month, delay);
CREATE INDEX flights_origin_day ON flights (origin, day, month, delay);
CREATE INDEX flights_route ON flights (origin, destination, month, distance, delay);
CREATE INDEX flights_hour ON flights (hour, month, delay);
CREATE INDEX flights_weekday ON flights (weekday, month, delay);
CREATE INDEX flights_day ON flights (day, month, delay);
CREATE INDEX flights_month ON flights (month, origin, delay);
CREATE INDEX airports_state ON airports (state, city);
CREATE INDEX birdstrikes_state ON birdstrikes (state, year, month, damage, cost_total);
CREATE INDEX birdstrikes_year ON birdstrikes (year, month, state, damage, cost_total);
CREATE INDEX birdstrikes_month ON birdstrikes (month, year, state);
CREATE INDEX birdstrikes_species ON birdstrikes (species, state, year, month);
CREATE INDEX birdstrikes_phase ON birdstrikes (phase, state, year, month);
CREATE INDEX birdstrikes_time ON birdstrikes (time_of_day, state, year, month);
CREATE INDEX birdstrikes_operator ON birdstrikes (operator, state, year, month, cost_total);
CREATE INDEX birdstrikes_airport ON birdstrikes (airport, state, year, month);
CREATE INDEX birdstrikes_damage ON birdstrikes (damage, state, year, month);
CREATE INDEX birdstrikes_cost ON birdstrikes (cost_total);
ANALYZE;";

/// Sees to it that the file holds the data.
pub(super) fn prepare(path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let format: i32 =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    if format == FORMAT {
        return Ok(());
    }
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    if tables > 0 {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    // The rollback journal is what lets a writer lock readers out; in WAL mode they would read on.
    connection.pragma_update(None, "journal_mode", "DELETE").map_err(failed)?;
    let transaction = connection.transaction().map_err(failed)?;
    transaction.execute_batch(SCHEMA).map_err(failed)?;
    fill(&transaction, path)?;
    transaction.execute_batch(INDEXES).map_err(failed)?;
    transaction.pragma_update(None, "user_version", FORMAT).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn fill(transaction: &Transaction<'_>, path: &Path) -> Result<(), OpenError> {
    each(AIRPORTS, "airports.csv", path, transaction, AIRPORT, |statement, row| {
        let degrees = |column: usize| row[column].parse::<f64>().unwrap_or_default();
        statement.execute(params![
            &row[0],
            &row[1],
            &row[2],
            &row[3],
            &row[4],
            degrees(5),
            degrees(6)
        ])
    })?;
    each(FLIGHTS, "flights.csv", path, transaction, FLIGHT, |statement, row| {
        let number = |column: usize| row[column].parse::<i64>().unwrap_or_default();
        statement.execute(params![row[0].replace('/', "-"), number(1), number(2), &row[3], &row[4]])
    })?;
    each(BIRDSTRIKES, "birdstrikes.csv", path, transaction, STRIKE, |statement, row| {
        let number = |column: usize| row[column].parse::<i64>().unwrap_or_default();
        statement.execute(params![
            &row[3],
            &row[0],
            &row[5],
            &row[1],
            &row[4],
            &row[2],
            &row[6],
            &row[7],
            &row[8],
            &row[9],
            number(10),
            number(11),
            number(12),
            row[13].parse::<i64>().ok()
        ])
    })
}

const AIRPORT: &str = "INSERT INTO airports VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const FLIGHT: &str = "INSERT INTO flights (departed_at, day, month, hour, weekday, delay, distance, origin, destination)
    VALUES (?1, substr(?1, 1, 10), CAST(substr(?1, 6, 2) AS INTEGER), CAST(substr(?1, 12, 2) AS INTEGER),
    CAST(strftime('%w', ?1) AS INTEGER), ?2, ?3, ?4, ?5)";

const STRIKE: &str = "INSERT INTO birdstrikes (date, year, month, airport, state, aircraft, operator, damage, phase, size,
    species, time_of_day, cost_other, cost_repair, cost_total, speed)
    VALUES (?1, CAST(substr(?1, 1, 4) AS INTEGER), CAST(substr(?1, 6, 2) AS INTEGER), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
    ?10, ?11, ?12, ?13, ?14)";

/// Inserts every row of a CSV text.
fn each(
    text: &str,
    file: &'static str,
    path: &Path,
    transaction: &Transaction<'_>,
    sql: &str,
    insert: impl Fn(&mut rusqlite::Statement<'_>, &csv::StringRecord) -> rusqlite::Result<usize>,
) -> Result<(), OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let mut statement = transaction.prepare(sql).map_err(failed)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|source| OpenError::Data { file, source })? {
        insert(&mut statement, &record).map_err(failed)?;
    }
    Ok(())
}
