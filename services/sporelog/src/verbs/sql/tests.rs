//! Statements against a small store of their own.

use super::*;

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Connection::open(dir.path().join("store.db")).unwrap();
    store.pragma_update(None, "journal_mode", "WAL").unwrap();
    store
        .execute_batch(
            "CREATE TABLE spore (id BLOB, made_us INTEGER, bits BLOB, score REAL) STRICT;
             INSERT INTO spore VALUES (x'0190a0a0a0a070a0b0b0c0c0c0c0c0c0', 1085616000000000, x'ff01', 0.5);
             CREATE VIEW tie AS SELECT 1 AS one;",
        )
        .unwrap();
    let log = Connection::open(dir.path().join("log.db")).unwrap();
    log.execute_batch("CREATE TABLE topic (name TEXT) STRICT; INSERT INTO topic VALUES ('agent.state');").unwrap();
    dir
}

fn ask(dir: &tempfile::TempDir, sql: &str, format: Format, limit: usize) -> Result<String> {
    let mut out = Vec::new();
    answer_all(&open::open(dir.path())?, sql, format, limit, &mut out)?;
    Ok(String::from_utf8(out)?)
}

#[test]
fn blobs_times_and_the_log_are_readable() {
    let dir = folder();
    let sql = "SELECT id, bits, score, time_text(made_us) AS made FROM spore \
               WHERE id = uuid('0190a0a0-a0a0-70a0-b0b0-c0c0c0c0c0c0'); SELECT name FROM log.topic";
    assert_eq!(
        ask(&dir, sql, Format::Csv, 10).unwrap(),
        "id,bits,score,made\n0190a0a0-a0a0-70a0-b0b0-c0c0c0c0c0c0,ff01,0.5,2004-05-27T00:00:00Z\nname\nagent.state\n"
    );
    let text = ask(&dir, "SELECT uuid_text(id) FROM spore", Format::Csv, 10).unwrap();
    assert!(text.contains("0190a0a0-a0a0-70a0"), "{text}");
}

#[test]
fn it_only_reads() {
    let dir = folder();
    for sql in ["DELETE FROM spore", "INSERT INTO log.topic VALUES ('x')", "DROP TABLE spore"] {
        let error = format!("{:#}", ask(&dir, sql, Format::Table, 10).unwrap_err());
        assert!(error.contains("sql only reads"), "{sql}: {error}");
    }
    let error = format!("{:#}", ask(&dir, "SELECT uuid('no')", Format::Csv, 10).unwrap_err());
    assert!(error.contains("uuid(\"no\")"), "{error}");
    assert!(ask(&dir, " -- nothing\n", Format::Csv, 10).is_err());
}

#[test]
fn answers_are_cut_at_the_limit() {
    let dir = folder();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n";
    assert_eq!(ask(&dir, sql, Format::Csv, 2).unwrap(), "i\n1\n2\n");
    assert_eq!(ask(&dir, sql, Format::Csv, usize::MAX).unwrap().lines().count(), 6);
}

#[test]
fn tables_are_listed_with_their_sentences() {
    let dir = folder();
    let mut out = Vec::new();
    tables::list(&open::open(dir.path()).unwrap(), Format::Csv, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("tie,view,\"Who is tied") && text.contains("log.topic,table,"), "{text}");
}

#[test]
fn a_folder_without_a_store_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let error = open::open(&dir.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("none yet: start `sporelog up`"), "{error}");
}

#[test]
fn the_examples_of_the_help_can_be_asked() {
    let dir = tempfile::tempdir().unwrap();
    drop(embedded::store::Store::open(dir.path().join(embedded::store::STORE_FILE)).unwrap());
    let quoted =
        |line: &'static str| line.split(['"', '\'']).nth(1).map(|_| line).filter(|line| line.contains("SELECT"));
    let mut asked = 0;
    for line in
        AFTER_HELP.lines().filter(|line| line.contains("sporelog ") && !line.contains("--config")).filter_map(quoted)
    {
        let start = line.find("SELECT").unwrap();
        let quote = line[..start].chars().next_back().unwrap();
        let end = start + line[start..].rfind(quote).unwrap();
        ask(&dir, &line[start..end], Format::Csv, 10).unwrap_or_else(|error| panic!("{line}: {error:#}"));
        asked += 1;
    }
    assert_eq!(asked, 4);
}
