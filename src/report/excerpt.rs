//! Problems for people: message, place, the line itself and the cure.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::escape;
use crate::manifest::{Place, Problem, distinct};

/// All of `problems`, each once, a blank line between two of them.
pub fn render(problems: &[Problem], is_coloured: bool) -> String {
    let rendered: Vec<String> = distinct(problems.to_vec())
        .iter()
        .map(|problem| one(problem, is_coloured) + "\n")
        .collect();
    rendered.join("\n")
}

fn one(problem: &Problem, is_coloured: bool) -> String {
    let renderer = if is_coloured {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let level = if problem.is_error() {
        Level::ERROR
    } else {
        Level::WARNING
    };
    let message = escape::terminal(&problem.message);
    let hint = problem.hint.as_deref().map(escape::terminal);
    let line = problem.place.as_ref().map(excerpt);
    let mut group = Group::with_title(level.primary_title(message.as_ref()));
    if let (Some(place), Some(line)) = (&problem.place, &line) {
        group = match (place.line, &place.excerpt) {
            (1.., Some(_)) => group.element(snippet(place, line)),
            _ => group.element(origin(place)),
        };
    }
    if let Some(hint) = &hint {
        group = group.element(Level::HELP.message(hint.as_ref()));
    }
    renderer.render(&[group])
}

/// The line that is shown: one character stays one, so that columns hold.
fn excerpt(place: &Place) -> String {
    let line = place.excerpt.as_deref().unwrap_or_default();
    line.chars()
        .map(|character| match character {
            '\t' => ' ',
            _ if escape::terminal(character.encode_utf8(&mut [0; 4])).len() > 4 => '\u{fffd}',
            _ => character,
        })
        .collect()
}

/// Where something is whose line is not to be shown, or that has none.
fn origin(place: &Place) -> Origin<'_> {
    let origin = Origin::path(escape::terminal(&place.file).into_owned());
    match place.line {
        0 => origin,
        line => origin
            .line(line as usize)
            .char_column(place.column as usize),
    }
}

fn snippet<'a>(place: &'a Place, line: &'a str) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let start = byte_of(line, place.column.saturating_sub(1));
    let end = byte_of(line, place.column.saturating_sub(1) + place.width.max(1));
    Snippet::source(line)
        .line_start(place.line as usize)
        .path(escape::terminal(&place.file))
        .annotation(AnnotationKind::Primary.span(start..end.max(start)))
}

fn byte_of(line: &str, characters: u32) -> usize {
    line.char_indices()
        .nth(characters as usize)
        .map_or(line.len(), |(byte, _)| byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, column: u32, width: u32, excerpt: &str) -> Place {
        Place {
            file: "manifests/sets.yaml".into(),
            line,
            column,
            excerpt: Some(excerpt.into()),
            width,
        }
    }

    #[test]
    fn a_problem_shows_its_line_and_its_cure() {
        let problem = Problem::error(
            "unknown-field",
            Some(at(7, 3, 5, "  asets: [a]")),
            "unknown field `asets`",
        )
        .hint("did you mean `assets`?");
        insta::assert_snapshot!(render(&[problem], false), @r"
        error: unknown field `asets`
         --> manifests/sets.yaml:7:3
          |
        7 |   asets: [a]
          |   ^^^^^
          |
          = help: did you mean `assets`?
        ");
    }

    #[test]
    fn a_line_that_must_not_be_shown_still_has_its_column() {
        let hidden = Place {
            excerpt: None,
            ..at(10, 74, 7, "")
        };
        let problem = Problem::error("secret", Some(hidden), "not shown");
        insta::assert_snapshot!(render(&[problem.clone(), problem], false), @r"
        error: not shown
        --> manifests/sets.yaml:10:74
        ");
    }

    #[test]
    fn a_problem_of_a_whole_file_or_of_none_needs_no_line() {
        let whole = Problem::warning(
            "empty",
            Some(Place::file("manifests/a.yaml")),
            "nothing in it",
        );
        let none = Problem::error("no-cdn", None, "no Cdn is declared");
        insta::assert_snapshot!(render(&[whole, none], false), @r"
        warning: nothing in it
        --> manifests/a.yaml

        error: no Cdn is declared
        ");
    }

    #[test]
    fn what_a_file_holds_cannot_act_on_the_terminal() {
        let problem = Problem::error("bad", Some(at(1, 2, 1, "é\x1b[31m\tx")), "a \x1b[2J b");
        let shown = render(&[problem], false);
        assert!(!shown.contains('\x1b'), "{shown}");
    }
}
