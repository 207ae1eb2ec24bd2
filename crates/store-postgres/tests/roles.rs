//! Who may see and do what.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Scratch, ask, connect};
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::fold::{series::SERIES, views::VIEWS};
use domain::tables::series::{AGENT_RATE, SPORE_VELOCITY};
use domain::tables::views::{AGENT_HISTORY, CONTACT};
use store_postgres::sql::{Column, ColumnKind, Part, query_text};
use store_postgres::{Database, PostgresConfig, PostgresStore};
use uuid::Uuid;

/// A login, dropped before its database.
struct Login<'s> {
    scratch: &'s Scratch,
    name: String,
}

impl<'s> Login<'s> {
    fn member_of(scratch: &'s Scratch, role: Option<&str>) -> Self {
        let name = format!("sporelog_test_{}", Uuid::now_v7().simple());
        scratch.ask(&format!("CREATE ROLE {name} LOGIN"));
        role.iter().for_each(|role| drop(scratch.ask(&format!("GRANT {role} TO {name}"))));
        Self { scratch, name }
    }

    fn config(&self) -> PostgresConfig {
        let url = &self.scratch.config.url;
        let (scheme, rest) = url.split_once("://").unwrap();
        let host = rest.split_once('@').map_or(rest, |(_, host)| host);
        PostgresConfig { url: format!("{scheme}://{}@{host}", self.name), ..self.scratch.config.clone() }
    }
}

impl Drop for Login<'_> {
    fn drop(&mut self) {
        self.scratch.ask(&format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name));
    }
}

fn rows_of(tenant: &str) -> (Deltas, Deltas) {
    let (mut views, mut series) = (Deltas::new(VIEWS.tables), Deltas::new(SERIES.tables));
    let mut row = views.row(&CONTACT, |key| {
        key.text(tenant).text("a").text("b");
    });
    row.add("interactions", 1);
    let mut row = views.row(&AGENT_HISTORY, |key| {
        key.text(tenant).text("a").int(5).uuid(Uuid::nil());
    });
    row.merge("mood", Cell::Text("calm".into()));
    let mut row = series.row(&AGENT_RATE, |key| {
        key.text(tenant).text("north").int(0).text("a");
    });
    row.add("interactions", 1);
    let mut row = series.row(&SPORE_VELOCITY, |key| {
        key.text(tenant).text("north").int(0);
    });
    row.add("created", 1);
    (views, series)
}

fn filled() -> Scratch {
    let scratch = Scratch::migrated();
    let mut store = scratch.store();
    for tenant in ["acme", "umbra"] {
        let (views, series) = rows_of(tenant);
        scratch.put(&mut store, &VIEWS, &views).unwrap();
        scratch.put(&mut store, &SERIES, &series).unwrap();
    }
    scratch
}

const SEEN: [&str; 6] =
    ["contact", "tie", "agent_history", "interaction_rate_agent_1m", "spore_velocity_1m", "views_v1_contact"];

#[test]
fn a_reader_sees_its_tenant_alone_and_writes_nothing() {
    let scratch = filled();
    let login = Login::member_of(&scratch, Some("sporelog_reader"));
    scratch.runtime.block_on(async {
        let client = connect(&login.config().url).await;
        for name in SEEN {
            let sql = format!("SELECT DISTINCT tenant FROM {name} ORDER BY 1");
            assert_eq!(ask(&client, &sql).await.unwrap(), [""; 0], "{name} without a tenant");
            ask(&client, "SET sporelog.tenant = 'acme'").await.unwrap();
            assert_eq!(ask(&client, &sql).await.unwrap(), ["acme"], "{name}");
            ask(&client, "RESET sporelog.tenant").await.unwrap();
        }
        ask(&client, "SET sporelog.tenant = 'acme'").await.unwrap();
        assert_eq!(ask(&client, "SELECT gap FROM freshness").await.unwrap(), ["0", "0"]);
        let refused = [
            "DELETE FROM views_v1_contact",
            "UPDATE views_v1_contact SET interactions = 5",
            "INSERT INTO views_v1_contact (tenant, agent_id, peer_id) VALUES ('acme', 'x', 'y')",
            "UPDATE position SET epoch = 9",
            "SELECT * FROM producer",
            "SELECT * FROM producer_block",
            "SELECT * FROM dead_record",
            "SELECT * FROM projection",
            "SELECT parked_text FROM position",
            "SELECT cluster_id FROM position",
            "SELECT * FROM series_v1_spore_velocity_1m_y1970m01",
            "SELECT ensure_month('views_v1_agent_history', 'occurred_at', 0, 1)",
            "CREATE TABLE t ()",
        ];
        for sql in refused {
            let error = ask(&client, sql).await.unwrap_err();
            assert_eq!(error.code().unwrap().code(), "42501", "{sql}: {error:?}");
        }
    });
}

#[test]
fn a_worker_writes_all_tenants_and_changes_no_table() {
    let scratch = filled();
    let login = Login::member_of(&scratch, Some("sporelog_worker"));
    scratch.runtime.block_on(async {
        let mut store = PostgresStore::new(Database::new(login.config()).unwrap());
        for tenant in ["acme", "new"] {
            let (views, series) = rows_of(tenant);
            common::put(&mut store, &VIEWS, &views).await.unwrap();
            common::put(&mut store, &SERIES, &series).await.unwrap();
        }
        let client = connect(&login.config().url).await;
        let contacts = ask(&client, "SELECT tenant, interactions FROM contact ORDER BY 1").await.unwrap();
        assert_eq!(contacts, ["acme 2", "new 1", "umbra 1"]);
        let error = ask(&client, "DROP TABLE views_v1_contact").await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501");
    });
}

#[test]
fn a_login_without_a_role_is_told_what_to_grant() {
    let scratch = filled();
    let login = Login::member_of(&scratch, None);
    scratch.runtime.block_on(async {
        let mut store = PostgresStore::new(Database::new(login.config()).unwrap());
        let error = pipeline::RowStore::positions(&mut store, &VIEWS, &[]).await.unwrap_err();
        assert!(error.to_string().contains("GRANT sporelog_worker"), "{error}");
    });
}

#[test]
fn analysts_statements_read_and_nothing_else() {
    let scratch = filled();
    let ask = |sql: &str, tenant: Option<&str>| {
        let mut parts = Vec::new();
        let mut keep = |part| {
            parts.push(part);
            true
        };
        scratch.runtime.block_on(query_text(&scratch.config, sql, tenant, &mut keep)).map(|()| parts)
    };
    let row = |text: &str| Part::Row(vec![Some(text.to_owned())]);
    let columns = Part::Columns(vec![Column { name: "tenant".to_owned(), kind: ColumnKind::Text }]);
    let all = ask("SELECT tenant FROM contact ORDER BY 1;", None).unwrap();
    assert_eq!(all, [columns.clone(), row("acme"), row("umbra"), Part::Done]);
    let one = ask("SELECT tenant FROM contact; SELECT tenant FROM tie LIMIT 1", Some("acme")).unwrap();
    assert_eq!(one, [columns.clone(), row("acme"), Part::Done, columns, row("acme"), Part::Done]);
    for sql in [
        "DELETE FROM views_v1_contact",
        "COMMIT; DELETE FROM views_v1_contact",
        "SET default_transaction_read_only = off; COMMIT; UPDATE position SET epoch = 0",
        "WITH gone AS (DELETE FROM views_v1_contact RETURNING 1) SELECT * FROM gone",
        "SET TRANSACTION READ WRITE; DELETE FROM views_v1_contact",
    ] {
        let error = ask(sql, None).unwrap_err().to_string();
        assert!(error.contains("sql only reads"), "{sql}: {error}");
    }
    let error = ask("SELECT 1; SELECT nothing FROM contact", None).unwrap_err().to_string();
    assert!(error.contains("\"nothing\" does not exist") && error.ends_with("(at: nothing FROM contact)"), "{error}");
    assert!(ask(" -- nothing", None).is_err());
    let tables = scratch.runtime.block_on(store_postgres::sql::tables(&scratch.config)).unwrap();
    assert!(tables.iter().all(|table| !table.holds.is_empty()), "{tables:?}");
    assert!(tables.iter().any(|table| table.name == "tie" && table.kind == "view"));
    assert!(tables.iter().all(|table| !table.name.contains("_y1970m")));
}
