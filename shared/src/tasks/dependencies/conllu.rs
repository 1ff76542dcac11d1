//! Trees as CoNLL-U (<https://universaldependencies.org/format.html>), of which words, heads and
//! relations are filled in.

use std::fmt::Write;

use super::Arc;

/// Appends a sentence; `misc` gives the last column of each word.
pub fn write_conllu(
    out: &mut String,
    words: &[&str],
    tree: &[Arc<'_>],
    misc: impl Fn(usize) -> Option<String>,
) {
    for (place, (word, arc)) in words.iter().zip(tree).enumerate() {
        let head = arc.head.map_or(0, |head| head + 1);
        let misc = misc(place).unwrap_or_else(|| "_".to_owned());
        let (word, relation) = (field(word), field(arc.relation));
        // A `String` takes whatever is written to it.
        let _ = writeln!(
            out,
            "{}\t{word}\t_\t_\t_\t_\t{head}\t{relation}\t_\t{misc}",
            place + 1
        );
    }
    out.push('\n');
}

/// A field has no tabs and line ends in it, and is not empty.
fn field(text: &str) -> String {
    if text.trim().is_empty() {
        return "_".to_owned();
    }
    let blank = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let kept = |c: char| if blank(c) { '_' } else { c };
    text.chars().map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_columns_and_an_empty_line() {
        let arc = |head, relation| Arc { head, relation };
        let tree = [arc(Some(1), "det"), arc(None, "root")];
        let mut out = String::new();
        let misc = |word: usize| (word == 1).then(|| "GoldHead=0".to_owned());
        write_conllu(&mut out, &["New\tYork ", ""], &tree, misc);
        let expected =
            "1\tNew_York \t_\t_\t_\t_\t2\tdet\t_\t_\n2\t_\t_\t_\t_\t_\t0\troot\t_\tGoldHead=0\n\n";
        assert_eq!(out, expected);
    }
}
