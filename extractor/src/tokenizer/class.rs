//! Which class of tokenizer a checkpoint asks for.
//!
//! `transformers` 5 makes of one `tokenizer.json` different tokenizers, by the class:
//! `BertTokenizer` takes the vocabulary out of it and normalizes by `tokenizer_config.json`,
//! `PreTrainedTokenizerFast` uses it as it is. The class is `tokenizer_class` in
//! `tokenizer_config.json`, else in `config.json`, else that of the model's type.

use serde_json::{Map, Value};

use super::TokenizerError;
use super::files::{CONFIG, DEFINITION, Files, MODEL};

/// What a class makes of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Word pieces, normalized by settings.
    Bert,
    /// Byte-level BPE between `<s>` and `</s>`.
    Roberta,
    /// Byte-level BPE.
    Gpt2,
    /// A unigram model between `<s>` and `</s>`.
    XlmRoberta,
    /// The same, with further special tokens.
    Camembert,
    /// `tokenizer.json` as it is.
    Generic,
}

/// A class and the name that `transformers` has for it.
pub(super) struct Chosen {
    pub(super) class: Class,
    pub(super) name: String,
}

/// Classes of `transformers` 5 that this crate has, without the ending `Fast`.
fn ours(name: &str) -> Option<Class> {
    Some(match name {
        "BertTokenizer"
        | "DistilBertTokenizer"
        | "ElectraTokenizer"
        | "LayoutLMTokenizer"
        | "LxmertTokenizer"
        | "MobileBertTokenizer"
        | "SqueezeBertTokenizer" => Class::Bert,
        "RobertaTokenizer"
        | "BartTokenizer"
        | "LEDTokenizer"
        | "LongformerTokenizer"
        | "MvpTokenizer" => Class::Roberta,
        "GPT2Tokenizer" => Class::Gpt2,
        "XLMRobertaTokenizer" => Class::XlmRoberta,
        "CamembertTokenizer" => Class::Camembert,
        "PreTrainedTokenizer" | "TokenizersBackend" | "PythonBackend" | "BloomTokenizer" => {
            Class::Generic
        }
        _ => return None,
    })
}

/// Other fast classes of `transformers` 5, which rebuild the tokenizer in their own way.
const OTHER_FAST: [&str; 52] = [
    "AlbertTokenizer",
    "BarthezTokenizer",
    "BigBirdTokenizer",
    "BlenderbotTokenizer",
    "CLIPTokenizer",
    "CodeGenTokenizer",
    "CodeLlamaTokenizer",
    "CohereTokenizer",
    "ConvBertTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DPRReaderTokenizer",
    "DebertaTokenizer",
    "DebertaV2Tokenizer",
    "EsmcTokenizer",
    "FNetTokenizer",
    "FunnelTokenizer",
    "GPTNeoXTokenizer",
    "GemmaTokenizer",
    "HerbertTokenizer",
    "LasrTokenizer",
    "LayoutLMv2Tokenizer",
    "LayoutLMv3Tokenizer",
    "LayoutXLMTokenizer",
    "LlamaTokenizer",
    "LukeTokenizer",
    "MBart50Tokenizer",
    "MBartTokenizer",
    "MLukeTokenizer",
    "MPNetTokenizer",
    "MarkupLMTokenizer",
    "NllbTokenizer",
    "NougatTokenizer",
    "OpenAIGPTTokenizer",
    "ParakeetTokenizer",
    "PegasusTokenizer",
    "Phi3Tokenizer",
    "Qwen2Tokenizer",
    "Qwen3_5Tokenizer",
    "ReformerTokenizer",
    "RemBertTokenizer",
    "RoFormerTokenizer",
    "SeamlessM4TTokenizer",
    "Siglip2Tokenizer",
    "SplinterTokenizer",
    "T5Tokenizer",
    "Tipsv2Tokenizer",
    "UdopTokenizer",
    "VideoPrismTokenizer",
    "WhisperTokenizer",
    "XGLMTokenizer",
    "XLNetTokenizer",
];

/// Classes of `transformers` 5 in Python alone, which give no word ids.
const SLOW: [&str; 37] = [
    "BartphoTokenizer",
    "BertGenerationTokenizer",
    "BertJapaneseTokenizer",
    "BertTokenizerLegacy",
    "BertweetTokenizer",
    "BioGptTokenizer",
    "BlenderbotSmallTokenizer",
    "ByT5Tokenizer",
    "CTRLTokenizer",
    "CanineTokenizer",
    "ClvpTokenizer",
    "CpmAntTokenizer",
    "CpmTokenizer",
    "DiaTokenizer",
    "EsmTokenizer",
    "FSMTTokenizer",
    "FastSpeech2ConformerTokenizer",
    "FlaubertTokenizer",
    "GPTNeoXJapaneseTokenizer",
    "GPTSw3Tokenizer",
    "M2M100Tokenizer",
    "MarianTokenizer",
    "MgpstrTokenizer",
    "MyT5Tokenizer",
    "PLBartTokenizer",
    "PerceiverTokenizer",
    "PhobertTokenizer",
    "ProphetNetTokenizer",
    "RoCBertTokenizer",
    "SiglipTokenizer",
    "Speech2TextTokenizer",
    "SpeechT5Tokenizer",
    "TapasTokenizer",
    "VitsTokenizer",
    "Wav2Vec2CTCTokenizer",
    "Wav2Vec2PhonemeCTCTokenizer",
    "XLMTokenizer",
];

/// The class that `transformers` 5 has for a `model_type`.
fn registered(model_type: &str) -> Option<&'static str> {
    Some(match model_type {
        "bert" | "distilbert" | "electra" => "BertTokenizer",
        "roberta" | "roberta-prelayernorm" => "RobertaTokenizer",
        "xlm-roberta" => "XLMRobertaTokenizer",
        "camembert" => "CamembertTokenizer",
        "gpt2" | "opt" => "GPT2Tokenizer",
        "modernbert" | "xlm-roberta-xl" | "umt5" => "TokenizersBackend",
        _ => return None,
    })
}

impl Chosen {
    /// The class that `AutoTokenizer` takes for the folder; `notes` gets what had to be guessed.
    pub(super) fn of(files: &Files, notes: &mut Vec<String>) -> Result<Self, TokenizerError> {
        let model_type = files.model.get("model_type").and_then(Value::as_str);
        let by_model = model_type.and_then(registered);
        let Some((file, name)) = stated(files)? else {
            return Ok(by_model.map_or_else(|| guessed(files, model_type, notes), known));
        };
        // A class that `transformers` registers for none but this one passes over what is stated.
        if by_model == Some("TokenizersBackend") {
            return Ok(known("TokenizersBackend"));
        }
        let base = name.strip_suffix("Fast").unwrap_or(&name);
        if let Some(class) = ours(base) {
            if let (Some(model_type), Some(usual)) = (model_type, by_model)
                && ours(usual) != Some(class)
                && class != Class::Generic
            {
                notes.push(format!(
                    "{file} says {name}, models of type {model_type} have {usual}: {name} is used, as transformers 5 does"
                ));
            }
            return Ok(Self { class, name });
        }
        if SLOW.contains(&base) {
            let reason = format!(
                "tokenizer_class {name} is written in Python alone and gives no word ids, also in transformers; \
                 expected a class with a tokenizer.json, such as BertTokenizer or PreTrainedTokenizerFast"
            );
            return Err(files.malformed(file, reason));
        }
        if OTHER_FAST.contains(&base) && (by_model.is_some() || model_type.is_none()) {
            let reason = format!(
                "tokenizer_class {name} rebuilds tokenizer.json in a way that is not known here; Python writes what it \
                 makes of it: PreTrainedTokenizerFast(tokenizer_object=AutoTokenizer.from_pretrained(FOLDER)\
                 .backend_tokenizer).save_pretrained(FOLDER)"
            );
            return Err(files.malformed(file, reason));
        }
        let why = if OTHER_FAST.contains(&base) {
            "whose own settings are not read here"
        } else {
            "which transformers 5 does not know"
        };
        notes.push(format!(
            "{file} says {name}, {why}: {DEFINITION} is used as it is"
        ));
        Ok(Self {
            class: Class::Generic,
            name,
        })
    }
}

fn known(name: &str) -> Chosen {
    Chosen {
        class: ours(name).unwrap_or(Class::Generic),
        name: name.to_owned(),
    }
}

/// The class that a file names, and the file.
fn stated(files: &Files) -> Result<Option<(&'static str, String)>, TokenizerError> {
    let of =
        |settings: &Map<String, Value>, file: &'static str| match settings.get("tokenizer_class") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(name)) if name.is_empty() => Ok(None),
            Some(Value::String(name)) => Ok(Some((file, name.clone()))),
            Some(other) => {
                Err(files.malformed(file, format!("tokenizer_class is {other}; expected a name")))
            }
        };
    match of(&files.config, CONFIG)? {
        Some(found) => Ok(Some(found)),
        None => of(&files.model, MODEL),
    }
}

/// No file names a class, and none belongs to the type of the model.
fn guessed(files: &Files, model_type: Option<&str>, notes: &mut Vec<String>) -> Chosen {
    let (class, name, because) = if files.definition.is_some() {
        (
            Class::Generic,
            "TokenizersBackend",
            "tokenizer.json is used as it is",
        )
    } else if files.has("vocab.txt") {
        (
            Class::Bert,
            "BertTokenizer",
            "vocab.txt is taken for BertTokenizer's",
        )
    } else {
        let has_begin = fs_err::read_to_string(files.path("vocab.json"))
            .is_ok_and(|text| text.contains("\"<s>\""));
        if has_begin {
            (
                Class::Roberta,
                "RobertaTokenizer",
                "vocab.json has <s> and is taken for RobertaTokenizer's",
            )
        } else {
            (
                Class::Gpt2,
                "GPT2Tokenizer",
                "vocab.json is taken for GPT2Tokenizer's",
            )
        }
    };
    // A tokenizer.json alone is all that transformers needs too: nothing is guessed then.
    if class != Class::Generic || model_type.is_some() {
        notes.push(format!(
            "neither {CONFIG} nor {MODEL} says which tokenizer_class: {because}"
        ));
    }
    Chosen {
        class,
        name: name.to_owned(),
    }
}
