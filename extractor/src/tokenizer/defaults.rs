//! The special tokens that a class has where no file says otherwise.

use super::names::Class;

/// The roles that every class knows, in the order in which missing ones are added.
pub(super) const ROLES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// The tokens of a class, in the order of [`ROLES`]; an empty text where it has none.
fn tokens(class: Class) -> [&'static str; 7] {
    match class {
        Class::Bert => ["", "", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"],
        Class::Mpnet => ["<s>", "</s>", "[UNK]", "</s>", "<pad>", "<s>", "<mask>"],
        Class::Roberta | Class::XlmRoberta | Class::Camembert => {
            ["<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"]
        }
        Class::Gpt2 => {
            let end = "<|endoftext|>";
            [end, end, end, "", "", "", ""]
        }
        Class::GptNeoX => {
            let end = "<|endoftext|>";
            [end, end, end, "", "<|padding|>", "", ""]
        }
        Class::Qwen2 | Class::Qwen35 => {
            let end = "<|endoftext|>";
            ["", end, end, "", end, "", ""]
        }
        Class::Deberta | Class::DebertaV2 => [
            "[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]",
        ],
        Class::Llama => ["<s>", "</s>", "<unk>", "", "", "", ""],
        Class::Gemma => ["<bos>", "<eos>", "<unk>", "", "<pad>", "", "<mask>"],
        Class::Albert => [
            "[CLS]", "[SEP]", "<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]",
        ],
        Class::T5 => ["", "</s>", "<unk>", "", "<pad>", "", ""],
        Class::Esm => ["", "<eos>", "<unk>", "", "<pad>", "<cls>", "<mask>"],
        Class::Generic => [""; 7],
    }
}

/// What a class puts in a role that no file fills.
pub(super) fn default(class: Class, role: &str) -> Option<&'static str> {
    let all = ROLES.into_iter().zip(tokens(class));
    let mut found = all.filter(|(name, token)| *name == role && !token.is_empty());
    found.next().map(|(_, token)| token)
}

/// Whether the class takes the padding token that `tokenizer.json` names, where no other file
/// names one.
pub(super) fn takes_padding(class: Class) -> bool {
    matches!(class, Class::Generic | Class::Llama)
}

/// Whether the space before a mask belongs to the mask where files give no more than its text.
pub(super) fn mask_takes_space(class: Class) -> bool {
    matches!(class, Class::Camembert | Class::Mpnet)
}

/// Whether a token of which a file gives no more than its text is one with properties to the class,
/// so that it differs from the same text in another role.
pub(super) fn has_properties(class: Class, role: &str) -> bool {
    class == Class::Mpnet || (class == Class::Camembert && role == "mask_token")
}
