//! The verdict tables: one line a packet, one column a configuration.

use std::collections::BTreeMap;
use std::path::Path;

/// What a table says.
#[derive(Debug)]
pub struct Table {
    pub rows: Vec<Row>,
}

/// One packet.
#[derive(Debug)]
pub struct Row {
    pub id: String,
    pub what: String,
    pub verdicts: BTreeMap<String, String>,
}

impl Table {
    /// Reads `tests/verdicts/<name>.tsv`.
    #[must_use]
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("verdicts").join(name).with_extension("tsv");
        let text = std::fs::read_to_string(&path).expect("the table");
        let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let head = lines.next().expect("a head");
        let rows = lines.filter(|cells| cells.len() > 1).map(|cells| {
            assert_eq!(cells.len(), head.len(), "{cells:?}");
            Row {
                id: cells[0].into(),
                what: cells[1].into(),
                verdicts: head.iter().zip(&cells).skip(2).map(|(a, b)| ((*a).into(), (*b).into())).collect(),
            }
        });
        Table { rows: rows.collect() }
    }

    /// Sends every packet of a column; all that went elsewhere are told at the end.
    pub fn check(&self, column: &str, mut send: impl FnMut(&str) -> String) {
        let mut wrong = Vec::new();
        for row in &self.rows {
            let expected = &row.verdicts[column];
            let seen = send(&row.id);
            if *expected != seen {
                wrong.push(format!(
                    "{} ({}), column {column}: expected {expected}, seen {seen}",
                    row.id, row.what
                ));
            }
        }
        assert!(
            wrong.is_empty(),
            "{} of {} rows are wrong:\n{}",
            wrong.len(),
            self.rows.len(),
            wrong.join("\n")
        );
    }
}
