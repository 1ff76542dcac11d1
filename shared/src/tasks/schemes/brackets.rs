//! Spans as brackets, as the shared tasks of CoNLL-2004, 2005 and 2012 write them: `(PER*`, `*`,
//! `*)`, and `(PER*)` or `(PER)` for a single word.

use super::SchemeError;

/// What a bracket tag does: opens a span of a type, closes one, or both.
struct Bracket<'a> {
    opened: Option<&'a str>,
    closes: bool,
    /// Whether it opens or closes more than one.
    several: bool,
}

/// Reads one tag; none for what is not written with brackets and stars.
fn parse(tag: &str) -> Option<Bracket<'_>> {
    if matches!(tag, "" | "*" | "-" | "_" | "O") {
        return Some(Bracket {
            opened: None,
            closes: false,
            several: false,
        });
    }
    let rest = tag.trim_end_matches(')');
    let ends = tag.len() - rest.len();
    let closes = ends > 0;
    let star = rest.ends_with('*');
    let rest = rest.strip_suffix('*').unwrap_or(rest);
    match rest.strip_prefix('(') {
        // Without a star there has to be the whole span.
        Some(kind) if !kind.is_empty() && (star || closes) => {
            let several = ends > 1 || kind.contains(['(', ')', '*']);
            Some(Bracket {
                opened: Some(kind),
                closes,
                several,
            })
        }
        None if rest.is_empty() && closes => Some(Bracket {
            opened: None,
            closes,
            several: ends > 1,
        }),
        _ => None,
    }
}

/// Whether tags are written with brackets: all of them, and one opens a span.
pub(super) fn are_brackets<'a>(tags: impl Iterator<Item = &'a str>) -> bool {
    let mut opened = false;
    for tag in tags {
        let Some(bracket) = parse(tag) else {
            return false;
        };
        opened |= bracket.opened.is_some();
    }
    opened
}

/// Whether a tag is written with a bracket.
pub(super) fn is_bracket(tag: &str) -> bool {
    tag.contains(['(', ')']) && parse(tag).is_some()
}

/// The tags of a sentence in IOB2.
///
/// # Errors
/// The index of the tag that cannot be right, and what is wrong with it.
pub(super) fn to_iob2(tags: &[&str]) -> Result<Vec<String>, (usize, SchemeError)> {
    let error = |index: usize, problem| {
        let tag = tags.get(index).copied().unwrap_or_default().to_owned();
        (index, SchemeError::Bracket { tag, problem })
    };
    let mut open: Option<(usize, &str)> = None;
    let mut read = Vec::with_capacity(tags.len());
    for (index, tag) in tags.iter().enumerate() {
        let bracket = parse(tag).ok_or_else(|| error(index, "is none"))?;
        if bracket.several {
            return Err(error(index, "opens or closes several spans"));
        }
        if let Some(kind) = bracket.opened {
            if open.is_some() {
                return Err(error(index, "opens a span inside another"));
            }
            open = Some((index, kind));
        }
        read.push(match open {
            Some((first, kind)) if first == index => format!("B-{kind}"),
            Some((_, kind)) => format!("I-{kind}"),
            None if bracket.closes => return Err(error(index, "closes a span that none opened")),
            None => "O".to_owned(),
        });
        if bracket.closes {
            open = None;
        }
    }
    match open {
        Some((index, _)) => Err(error(index, "opens a span that is never closed")),
        None => Ok(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tags: &str) -> Result<String, String> {
        let tags: Vec<&str> = tags.split(' ').collect();
        to_iob2(&tags)
            .map(|tags| tags.join(" "))
            .map_err(|(index, error)| format!("{index}: {error}"))
    }

    #[test]
    fn brackets_become_iob2() {
        assert_eq!(
            read("(PER* *) * (LOC) (ORG*) (A-B* * *)").unwrap(),
            "B-PER I-PER O B-LOC B-ORG B-A-B I-A-B I-A-B"
        );
        assert!(are_brackets("* (X) *".split(' ')));
        assert!(!are_brackets("* *".split(' ')), "nothing says brackets");
        assert!(!are_brackets("(X) B-PER".split(' ')));
    }

    #[test]
    fn brackets_that_do_not_fit_are_told() {
        for (tags, index, part) in [
            ("* *)", "1", "none opened"),
            ("(A* (B*) *)", "1", "inside another"),
            ("(A(B* *) *)", "0", "several"),
            ("(A* *))", "1", "several"),
            ("* (A* *", "1", "never closed"),
        ] {
            let error = read(tags).unwrap_err();
            assert!(
                error.starts_with(index) && error.contains(part),
                "{tags}: {error}"
            );
        }
    }
}
