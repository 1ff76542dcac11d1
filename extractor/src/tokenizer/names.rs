//! The classes of tokenizers, their names in `transformers`, and which of them a model's type has.
//!
//! `transformers` 5 takes a class by the name in a file, by the type of the model, or by both: for
//! some types it passes over what the file says. These are its tables, for models of text, so that
//! [`super::class`] can decide as it does.

/// What a class makes of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Word pieces, normalized by settings.
    Bert,
    /// The same between `<s>` and `</s>`.
    Mpnet,
    /// Byte-level BPE between `<s>` and `</s>`.
    Roberta,
    /// Byte-level BPE.
    Gpt2,
    /// Byte-level BPE of text in NFC.
    GptNeoX,
    /// Byte-level BPE of text in NFC, cut by a pattern of its own.
    Qwen2,
    /// The same, marks taken for parts of words.
    Qwen35,
    /// Byte-level BPE between `[CLS]` and `[SEP]`.
    Deberta,
    /// BPE of `SentencePiece` that falls back to bytes, with a leading space.
    Llama,
    /// The same without leading space.
    Gemma,
    /// A unigram model between `<s>` and `</s>`.
    XlmRoberta,
    /// The same, with further special tokens.
    Camembert,
    /// A unigram model between `[CLS]` and `[SEP]`.
    DebertaV2,
    /// The same, normalized by settings.
    Albert,
    /// A unigram model before `</s>`.
    T5,
    /// Amino acids.
    Esm,
    /// `tokenizer.json` as it is.
    Generic,
}

impl Class {
    /// Whether the class was not known to the program at first, so that older vocabulary files
    /// were read as another one's.
    pub(super) fn is_later(self) -> bool {
        !matches!(
            self,
            Self::Bert
                | Self::Roberta
                | Self::Gpt2
                | Self::XlmRoberta
                | Self::Camembert
                | Self::Generic
        )
    }
}

/// Classes that this crate has, by their names without the ending `Fast`.
pub(super) fn ours(name: &str) -> Option<Class> {
    Some(match name {
        "BertTokenizer"
        | "DistilBertTokenizer"
        | "ElectraTokenizer"
        | "LayoutLMTokenizer"
        | "LxmertTokenizer"
        | "MobileBertTokenizer"
        | "SqueezeBertTokenizer" => Class::Bert,
        "MPNetTokenizer" => Class::Mpnet,
        "RobertaTokenizer"
        | "BartTokenizer"
        | "LEDTokenizer"
        | "LongformerTokenizer"
        | "MvpTokenizer" => Class::Roberta,
        "GPT2Tokenizer" => Class::Gpt2,
        "GPTNeoXTokenizer" => Class::GptNeoX,
        "Qwen2Tokenizer" => Class::Qwen2,
        "Qwen3_5Tokenizer" => Class::Qwen35,
        "DebertaTokenizer" => Class::Deberta,
        "LlamaTokenizer" | "Phi3Tokenizer" => Class::Llama,
        "GemmaTokenizer" => Class::Gemma,
        "XLMRobertaTokenizer" => Class::XlmRoberta,
        "CamembertTokenizer" => Class::Camembert,
        "DebertaV2Tokenizer" => Class::DebertaV2,
        "AlbertTokenizer" => Class::Albert,
        "T5Tokenizer" => Class::T5,
        "EsmTokenizer" => Class::Esm,
        "PreTrainedTokenizer" | "TokenizersBackend" | "PythonBackend" | "BloomTokenizer" => {
            Class::Generic
        }
        _ => return None,
    })
}

/// Other fast classes of `transformers` 5, which rebuild the tokenizer in their own way.
pub(super) const OTHER_FAST: [&str; 41] = [
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
    "EsmcTokenizer",
    "FNetTokenizer",
    "FunnelTokenizer",
    "HerbertTokenizer",
    "LasrTokenizer",
    "LayoutLMv2Tokenizer",
    "LayoutLMv3Tokenizer",
    "LayoutXLMTokenizer",
    "LukeTokenizer",
    "MBart50Tokenizer",
    "MBartTokenizer",
    "MLukeTokenizer",
    "MarkupLMTokenizer",
    "NllbTokenizer",
    "NougatTokenizer",
    "OpenAIGPTTokenizer",
    "ParakeetTokenizer",
    "PegasusTokenizer",
    "ReformerTokenizer",
    "RemBertTokenizer",
    "RoFormerTokenizer",
    "SeamlessM4TTokenizer",
    "Siglip2Tokenizer",
    "SplinterTokenizer",
    "Tipsv2Tokenizer",
    "UdopTokenizer",
    "VideoPrismTokenizer",
    "WhisperTokenizer",
    "XGLMTokenizer",
    "XLNetTokenizer",
];

/// Classes of `transformers` 5 in Python alone, which give no word ids.
pub(super) const SLOW: [&str; 36] = [
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

/// The class that a `model_type` has, `MistralCommonBackend` being `TokenizersBackend` as where
/// the package `mistral-common` is not installed.
pub(super) fn registered(model_type: &str) -> Option<&'static str> {
    Some(match model_type {
        "arctic" | "bigbird_pegasus" | "camembertv2-base" | "chatlm" | "ernie4_5"
        | "ernie4_5_moe" | "flex_olmo" | "glm" | "glm4" | "glm4_moe" | "glm4_moe_lite"
        | "gpt_bigcode" | "granite" | "granitemoe" | "granitemoehybrid" | "granitemoeshared"
        | "hyperclovax" | "internlm2" | "internlm3" | "iquestcoder" | "jamba" | "kimi_linear"
        | "mimo_v2_flash" | "minicpm3" | "minimax_m2" | "ministral" | "ministral3" | "mistral"
        | "mistral3" | "mistral_large4" | "mixtral" | "modernbert" | "modernbert-decoder"
        | "nemotron" | "nystromformer" | "olmo2" | "olmo3" | "olmo_hybrid" | "opencua"
        | "pegasus_x" | "persimmon" | "phi3" | "phimoe" | "stablelm" | "umt5"
        | "xlm-roberta-xl" => "TokenizersBackend",
        "bert" | "convbert" | "distilbert" | "electra" | "ernie" | "layoutlm" | "megatron-bert"
        | "nezha" | "nomic_bert" | "qdqbert" | "realm" | "retribert" | "squeezebert" => {
            "BertTokenizer"
        }
        "diffusion_gemma" | "gemma" | "gemma2" | "gemma3" | "gemma3_text" | "gemma3n"
        | "gemma3n_text" | "recurrent_gemma" | "t5gemma" | "zaya" => "GemmaTokenizer",
        "codegen" | "dbrx" | "gpt2" | "gpt_neo" | "gptj" | "jais2" | "opt" | "phi"
        | "starcoder2" => "GPT2Tokenizer",
        "falcon_mamba" | "gpt_neox" | "mamba" | "mamba2" | "mpt" | "olmo" | "olmoe" | "rwkv"
        | "xlstm" => "GPTNeoXTokenizer",
        "bart"
        | "data2vec-text"
        | "ibert"
        | "longformer"
        | "mega"
        | "mra"
        | "roberta"
        | "roberta-prelayernorm" => "RobertaTokenizer",
        "qwen2" | "qwen2_moe" | "qwen3" | "qwen3_moe" | "qwen3_next" => "Qwen2Tokenizer",
        "qwen3_5" | "qwen3_5_moe" | "qwen3_5_moe_text" | "qwen3_5_text" | "qwen4_exp" => {
            "Qwen3_5Tokenizer"
        }
        "gte" | "jina_embeddings_v3" | "xlm-roberta" | "xmod" => "XLMRobertaTokenizer",
        "mt5" | "switch_transformers" | "t5" => "T5Tokenizer",
        "albert" | "yoso" => "AlbertTokenizer",
        "cohere" | "cohere2" => "CohereTokenizer",
        "nllb" | "nllb-moe" => "NllbTokenizer",
        "barthez" => "BarthezTokenizer",
        "bartpho" => "BartphoTokenizer",
        "bert-generation" => "BertGenerationTokenizer",
        "bert-japanese" => "BertJapaneseTokenizer",
        "bertweet" => "BertweetTokenizer",
        "big_bird" => "BigBirdTokenizer",
        "biogpt" => "BioGptTokenizer",
        "blenderbot-small" => "BlenderbotSmallTokenizer",
        "blenderbot" => "BlenderbotTokenizer",
        "byt5" => "ByT5Tokenizer",
        "ctrl" => "CTRLTokenizer",
        "camembert" => "CamembertTokenizer",
        "canine" => "CanineTokenizer",
        "code_llama" => "CodeLlamaTokenizer",
        "cpmant" => "CpmAntTokenizer",
        "cpm" => "CpmTokenizer",
        "dpr" => "DPRQuestionEncoderTokenizer",
        "deberta" => "DebertaTokenizer",
        "deberta-v2" => "DebertaV2Tokenizer",
        "dia" => "DiaTokenizer",
        "esm" => "EsmTokenizer",
        "esmc" => "EsmcTokenizer",
        "fnet" => "FNetTokenizer",
        "fsmt" => "FSMTTokenizer",
        "flaubert" => "FlaubertTokenizer",
        "funnel" => "FunnelTokenizer",
        "gpt_neox_japanese" => "GPTNeoXJapaneseTokenizer",
        "gpt-sw3" => "GPTSw3Tokenizer",
        "herbert" => "HerbertTokenizer",
        "led" => "LEDTokenizer",
        "luke" => "LukeTokenizer",
        "lxmert" => "LxmertTokenizer",
        "m2m_100" => "M2M100Tokenizer",
        "mbart50" => "MBart50Tokenizer",
        "mbart" => "MBartTokenizer",
        "mluke" => "MLukeTokenizer",
        "mpnet" => "MPNetTokenizer",
        "marian" => "MarianTokenizer",
        "mobilebert" => "MobileBertTokenizer",
        "mvp" => "MvpTokenizer",
        "myt5" => "MyT5Tokenizer",
        "openai-gpt" => "OpenAIGPTTokenizer",
        "plbart" => "PLBartTokenizer",
        "pegasus" => "PegasusTokenizer",
        "perceiver" => "PerceiverTokenizer",
        "phobert" => "PhobertTokenizer",
        "prophetnet" => "ProphetNetTokenizer",
        "reformer" => "ReformerTokenizer",
        "rembert" => "RemBertTokenizer",
        "roc_bert" => "RoCBertTokenizer",
        "roformer" => "RoFormerTokenizer",
        "splinter" => "SplinterTokenizer",
        "xglm" => "XGLMTokenizer",
        "xlm" => "XLMTokenizer",
        "xlnet" => "XLNetTokenizer",
        _ => return None,
    })
}

/// Types, and names, of models whose files are known to name a wrong class: theirs is taken.
pub(super) fn is_misnamed(model: &str) -> bool {
    matches!(
        model,
        "arctic"
            | "camembertv2-base"
            | "chatlm"
            | "ernie4_5"
            | "ernie4_5_moe"
            | "hyperclovax"
            | "internlm2"
            | "internlm3"
            | "iquestcoder"
            | "jamba"
            | "minicpm3"
            | "minimax_m2"
            | "modernbert"
            | "modernbert-decoder"
            | "nemotron"
            | "opencua"
            | "phi3"
            | "phimoe"
            | "qwen2"
            | "qwen3_5"
            | "qwen3_5_moe"
            | "qwen3_5_moe_text"
            | "qwen4_exp"
    )
}
