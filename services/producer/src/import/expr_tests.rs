//! Expressions of a mapping, by example.

use super::*;
use serde_json::json;

struct Row(Vec<Option<Value>>);

impl Cells for Row {
    fn cell(&self, column: ColumnIx) -> Option<Cell<'_>> {
        match self.0.get(column)?.as_ref()? {
            Value::String(text) => Some(Cell::Text(text)),
            other => Some(Cell::Json(other)),
        }
    }
}

fn column(ix: ColumnIx, steps: Vec<Step>) -> Expr {
    Expr { line: 1, origin: Origin::Template(vec![Piece::Column(ix)]), steps, optional: false, default: None }
}

fn steps(text: &str, steps: Vec<Step>) -> Result<Option<Value>, String> {
    column(0, steps).eval(&Row(vec![Some(json!(text))]), None).map_err(|bad| bad.reason)
}

#[test]
fn conversions() {
    assert_eq!(steps(" 3 ", vec![Step::Int]), Ok(Some(json!(3))));
    assert_eq!(steps("3.0", vec![Step::Int]), Ok(Some(json!(3))));
    assert_eq!(steps("2.5", vec![Step::Float]), Ok(Some(json!(2.5))));
    assert_eq!(steps("Yes", vec![Step::Bool]), Ok(Some(json!(true))));
    assert_eq!(steps(" Ab ", vec![Step::Trim, Step::Lower]), Ok(Some(json!("ab"))));
    assert_eq!(steps("a; b;;", vec![Step::Split(";".into())]), Ok(Some(json!(["a", "b"]))));
    assert_eq!(steps(r#"{"a":1}"#, vec![Step::Json]), Ok(Some(json!({"a": 1}))));
    assert_eq!(steps("A  b", vec![Step::Signature]), Ok(Some(json!(text::content_hash("a b")))));
}

#[test]
fn a_bad_value_is_shown() {
    assert_eq!(steps("x1", vec![Step::Int]), Err("`x1` is no whole number".into()));
    assert_eq!(steps("NaN", vec![Step::Float]), Err("`NaN` is no finite number".into()));
    assert_eq!(steps("maybe", vec![Step::Bool]), Err("`maybe` is neither true nor false".into()));
    assert!(steps("{", vec![Step::Json]).unwrap_err().starts_with("`{` is no JSON"));
}

#[test]
fn empty_and_missing_columns() {
    let row = Row(vec![Some(json!("")), None, Some(json!("x"))]);
    assert_eq!(column(0, vec![]).eval(&row, None).unwrap_err().column, Some(0));
    assert!(column(1, vec![]).eval(&row, None).unwrap_err().reason.starts_with("is missing"));
    let optional = Expr { optional: true, ..column(1, vec![Step::Int]) };
    assert_eq!(optional.eval(&row, None), Ok(None));
    let default = Expr { default: Some(json!(7)), ..column(0, vec![Step::Int]) };
    assert_eq!(default.eval(&row, None), Ok(Some(json!(7))));
    let list = Expr { origin: Origin::List(vec![optional, column(2, vec![])]), ..column(0, vec![]) };
    assert_eq!(list.eval(&row, None), Ok(Some(json!(["x"]))));
}

#[test]
fn templates_join_columns_and_values() {
    let row = Row(vec![Some(json!("a")), Some(json!(5))]);
    let pieces = vec![Piece::Value, Piece::Text("/".into()), Piece::Column(0), Piece::Column(1)];
    let expr = Expr { origin: Origin::Template(pieces), ..column(0, vec![]) };
    assert_eq!(expr.eval(&row, Some("v")), Ok(Some(json!("v/a5"))));
    assert_eq!(column(1, vec![]).eval(&row, None), Ok(Some(json!(5))));
}
