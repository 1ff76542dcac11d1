//! What columns are called in tables, objects and headers, whatever the format: the names by which
//! words, texts and labels are recognised.

/// The words of a name, in small letters: `NER Tags`, `nerTags` and `ner_tags` are `ner`, `tags`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for character in name.chars() {
        if character.is_alphanumeric() {
            let begins = !before.is_alphanumeric()
                || (before.is_lowercase() && character.is_uppercase())
                || before.is_numeric() != character.is_numeric();
            if begins {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(character.to_lowercase());
            }
        }
        before = character;
    }
    words
}

/// Columns that hold a word, or a list of words.
const WORDS: [&str; 10] = [
    "tokens",
    "token",
    "words",
    "word",
    "form",
    "forms",
    "surface",
    "wordform",
    "token_text",
    "word_text",
];

/// Columns that hold a text.
pub(super) const TEXTS: [&str; 38] = [
    "text",
    "texts",
    "sentence",
    "sentences",
    "sent",
    "utterance",
    "utt",
    "content",
    "review",
    "tweet",
    "question",
    "query",
    "document",
    "doc",
    "article",
    "message",
    "msg",
    "comment",
    "body",
    "post",
    "passage",
    "context",
    "paragraph",
    "premise",
    "hypothesis",
    "claim",
    "evidence",
    "prompt",
    "response",
    "answer",
    "input",
    "sms",
    "email",
    "snippet",
    "phrase",
    "transcript",
    "statement",
    "string",
];

/// Columns with a text beside the main one.
const TITLES: [&str; 6] = [
    "title",
    "headline",
    "subject",
    "summary",
    "description",
    "abstract",
];

/// Columns with the label of a text.
pub(super) const LABELS: [&str; 27] = [
    "label",
    "labels",
    "category",
    "categories",
    "intent",
    "intents",
    "class",
    "classes",
    "target",
    "targets",
    "sentiment",
    "topic",
    "topics",
    "coarse_label",
    "tag",
    "tags",
    "emotion",
    "emotions",
    "stance",
    "polarity",
    "gold_label",
    "score",
    "rating",
    "stars",
    "similarity",
    "similarity_score",
    "relatedness_score",
];

/// Columns with the label of each word, those of one line for one task, the likeliest task first.
const TAGS: [&[&str]; 4] = [
    &[
        "ner_tags",
        "ner_tag",
        "ner",
        "tags",
        "tag",
        "labels",
        "label",
        "entities",
        "entity",
        "bio",
        "iob",
        "iob_2",
        "bio_tags",
        "ne",
        "named_entity",
        "class",
    ],
    &["upos", "pos_tags", "pos_tag", "pos"],
    &["xpos"],
    &["chunk_tags", "chunk_tag", "chunk", "chunks"],
];

/// Names that say for a word or text what its label is only by their last word: `fine_label`.
const LABEL_WORDS: [&str; 14] = [
    "label",
    "labels",
    "tag",
    "tags",
    "class",
    "category",
    "intent",
    "sentiment",
    "topic",
    "emotion",
    "stance",
    "polarity",
    "ner",
    "pos",
];

/// Words that number the texts of a pair.
const SIDES: [&str; 13] = [
    "1", "2", "a", "b", "one", "two", "left", "right", "pair", "first", "second", "x", "y",
];

/// What a sentence or a document goes by, in the name of a column that numbers them.
const UNITS: [&str; 10] = [
    "sentence",
    "sentences",
    "sent",
    "doc",
    "docs",
    "document",
    "utterance",
    "tweet",
    "paragraph",
    "example",
];
/// What such a column may add to it.
const NUMBERS: [&str; 11] = [
    "id", "ids", "idx", "index", "no", "nr", "num", "number", "key", "name", "nb",
];

fn joined(name: &str) -> String {
    words(name).join("_")
}

/// Whether a column holds words.
pub(super) fn is_word(name: &str) -> bool {
    WORDS.contains(&joined(name).as_str())
}

/// How surely a column holds the text: 0 for the usual names, also of one text of a pair, 1 for
/// titles, 2 for names that end so (`clean_text`).
pub(super) fn text_rank(name: &str) -> Option<usize> {
    let all = words(name);
    let is_text = |words: &[String]| TEXTS.contains(&words.join("_").as_str());
    let is_side = |word: Option<&String>| word.is_some_and(|word| SIDES.contains(&word.as_str()));
    if is_text(&all)
        || (is_side(all.last()) && is_text(&all[..all.len() - 1]))
        || (is_side(all.first()) && is_text(&all[1..]))
    {
        return Some(0);
    }
    if TITLES.contains(&all.join("_").as_str()) {
        return Some(1);
    }
    let last = all.len().saturating_sub(1);
    (all.len() > 1 && is_text(&all[last..])).then_some(2)
}

/// How surely a column holds the label of a text: 0 for the usual names, 1 for names that end so.
pub(super) fn label_rank(name: &str) -> Option<usize> {
    if LABELS.contains(&joined(name).as_str()) {
        return Some(0);
    }
    let all = words(name);
    let last = all.last().map_or("", String::as_str);
    LABEL_WORDS.contains(&last).then_some(1)
}

/// How surely a column holds what a task learns: by its usual names, the first of them before the
/// others, then as [`label_rank`] has it.
pub(super) fn usual_rank(name: &str, usual: &[&str]) -> Option<usize> {
    let joined = joined(name);
    let place = usual.iter().position(|usual| *usual == joined);
    place.or_else(|| Some(usual.len() + label_rank(name)?))
}

/// How surely a column holds the labels of words: first by the task that they are for, the wanted
/// one where `usual` has its names; after all of these the names that end so.
pub(super) fn tag_rank(name: &str, usual: Option<&[&str]>) -> Option<usize> {
    let joined = joined(name);
    let is_generic = |name: &str| ["tags", "tag", "labels", "label"].contains(&name);
    if let Some(usual) = usual {
        if joined == "xpos" && usual.contains(&"xpos") {
            return Some(1);
        }
        if usual.contains(&joined.as_str()) {
            return Some(if is_generic(&joined) { 2 } else { 0 });
        }
        if is_generic(&joined) {
            return Some(2);
        }
    } else if let Some(rank) = TAGS
        .iter()
        .position(|names| names.contains(&joined.as_str()))
    {
        return Some(rank);
    }
    let all = words(name);
    let last = all.last().map_or("", String::as_str);
    let of_other_task = TAGS.iter().any(|names| names.contains(&joined.as_str()));
    (LABEL_WORDS.contains(&last) && !(usual.is_some() && of_other_task)).then_some(TAGS.len())
}

/// Whether a column of a table of words says which sentence, or which document, a word is in.
pub(super) fn is_sentence_number(name: &str) -> bool {
    let all = words(name);
    let unit = |word: &String| UNITS.contains(&word.as_str());
    let number = |word: &String| NUMBERS.contains(&word.as_str());
    match all.as_slice() {
        [one] => unit(one) || ["sentenceid", "sentid", "docid"].contains(&one.as_str()),
        [one, more @ ..] => unit(one) && more.iter().all(|word| unit(word) || number(word)),
        [] => false,
    }
}

/// Whether any column may go by such a name: the first line of a file is a header then.
pub(super) fn is_known(name: &str) -> bool {
    is_word(name)
        || text_rank(name).is_some()
        || label_rank(name).is_some()
        || tag_rank(name, None).is_some()
        || is_sentence_number(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_however_they_are_written() {
        for name in [
            "text",
            "Text",
            "sentence1",
            "sentence_2",
            "text_a",
            "textB",
            "Question 1",
            "first_sentence",
        ] {
            assert_eq!(text_rank(name), Some(0), "{name}");
        }
        assert_eq!(text_rank("clean_text"), Some(2));
        for name in [
            "id",
            "text_id",
            "sentence_length",
            "url",
            "1",
            "",
            "a",
            "label",
        ] {
            assert_eq!(text_rank(name), None, "{name}");
        }
        assert_eq!(
            (
                label_rank("Label"),
                label_rank("fine_label"),
                label_rank("label_id")
            ),
            (Some(0), Some(1), None)
        );
        assert_eq!(
            (tag_rank("NER Tags", None), tag_rank("POS", None)),
            (Some(0), Some(1))
        );
        assert_eq!(tag_rank("ner_tags", Some(&["pos", "tags"])), None);
        for name in [
            "Sentence #",
            "sentence_id",
            "sent_id",
            "SentenceID",
            "doc",
            "doc_sent_id",
        ] {
            assert!(is_sentence_number(name), "{name}");
        }
        assert!(!is_sentence_number("word") && !is_sentence_number("id"));
    }
}
