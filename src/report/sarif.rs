//! Problems for code scanning: SARIF 2.1.0.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::json::document;
use crate::manifest::Problem;

/// What GitHub keeps of a run.
const MAX_RESULTS: usize = 25_000;

/// One run with every problem, errors first where there are too many.
pub fn render(problems: &[Problem]) -> String {
    let mut shown: Vec<&Problem> = problems.iter().collect();
    if shown.len() > MAX_RESULTS {
        shown.sort_by_key(|problem| problem.severity);
        shown.truncate(MAX_RESULTS);
    }
    let rules: BTreeSet<&str> = shown.iter().map(|problem| problem.code).collect();
    let rules: Vec<Value> = rules
        .into_iter()
        .map(|code| json!({ "id": code }))
        .collect();
    let results: Vec<Value> = shown.into_iter().map(result).collect();
    document(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "freshen",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "results": results,
        }],
    }))
}

fn result(problem: &Problem) -> Value {
    let text = match &problem.hint {
        Some(hint) => format!("{} ({hint})", problem.message),
        None => problem.message.clone(),
    };
    let mut result = json!({
        "ruleId": problem.code,
        "level": if problem.is_error() { "error" } else { "warning" },
        "message": { "text": text },
    });
    if let Some(place) = &problem.place {
        let mut location = json!({ "artifactLocation": { "uri": uri(&place.file) } });
        if place.line > 0 {
            location["region"] = json!({
                "startLine": place.line,
                "startColumn": place.column,
                "endColumn": place.column + place.width.max(1),
            });
        }
        result["locations"] = json!([{ "physicalLocation": location }]);
    }
    result
}

/// A path as a relative reference.
fn uri(file: &str) -> String {
    let path = file.trim_start_matches("./").replace('\\', "/");
    path.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Place;

    #[test]
    fn a_problem_becomes_a_result_with_a_rule_and_a_region() {
        let place = Place {
            line: 3,
            column: 5,
            width: 4,
            ..Place::file("./envs/my file.yaml")
        };
        let problem =
            Problem::error("unknown-field", Some(place), "unknown field").hint("remove it");
        let run: Value = serde_json::from_str(&render(&[problem])).unwrap();
        let result = &run["runs"][0]["results"][0];
        assert_eq!(result["ruleId"], "unknown-field");
        assert_eq!(result["message"]["text"], "unknown field (remove it)");
        let location = &result["locations"][0]["physicalLocation"];
        assert_eq!(location["artifactLocation"]["uri"], "envs/my%20file.yaml");
        assert_eq!(
            location["region"],
            json!({ "startLine": 3, "startColumn": 5, "endColumn": 9 })
        );
    }
}
