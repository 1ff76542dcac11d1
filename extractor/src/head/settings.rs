//! What a head's names, shapes and logits depend on, as `config.json` of a run says it.

use serde::Deserialize;
use shared::tasks::Level;

/// Which head.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum HeadKind {
    /// Attention over layers and over tokens.
    Adapter,
    /// One learned query attends over the layers.
    AttentionFusion,
    /// One weight a layer.
    ScalarMix,
    /// The last layer of the store.
    Last,
    /// One layer of the encoder, 0 being the embeddings.
    Layer(usize),
    /// Some layers of the encoder side by side.
    Concat(Vec<usize>),
}

impl TryFrom<String> for HeadKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let unknown = || format!("head '{text}' is unknown to this version");
        let layer = |number: &str| number.parse::<usize>().map_err(|_| unknown());
        match text.split_once(':') {
            None => match text.as_str() {
                "adapter" => Ok(Self::Adapter),
                "attention-fusion" => Ok(Self::AttentionFusion),
                "scalar-mix" => Ok(Self::ScalarMix),
                "last" => Ok(Self::Last),
                _ => Err(unknown()),
            },
            Some(("layer", number)) => layer(number).map(Self::Layer),
            Some(("concat", numbers)) => numbers
                .split(',')
                .map(layer)
                .collect::<Result<_, _>>()
                .map(Self::Concat),
            Some(_) => Err(unknown()),
        }
    }
}

/// The `head` of `config.json`; what only training needs is left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Settings {
    /// Which head.
    pub kind: HeadKind,
    /// The encoder's number of each layer in the store, in the store's order.
    pub layers: Vec<usize>,
    /// Hidden size of the encoder.
    pub hidden: usize,
    /// Number of classes.
    pub classes: usize,
    /// Adapter: with the tailor.
    pub tailor: bool,
    /// Adapter: with attention over tokens in the tailor.
    pub tailor_attention: bool,
    /// Adapter: width of queries and keys, over all heads together.
    pub attention_size: usize,
    /// Adapter: attention heads.
    pub heads: usize,
    /// Width of the classifier's inner layer; 0 for a single layer.
    pub classifier_size: usize,
    /// What gets a class.
    #[serde(with = "shared::heads::level")]
    pub level: Level,
}

impl Settings {
    /// The encoder's layers that the head reads, in its order; none where the kind names one that the store lacked.
    #[must_use]
    pub fn read(&self) -> Option<Vec<usize>> {
        let stored = |layer: &usize| self.layers.contains(layer).then_some(*layer);
        match &self.kind {
            HeadKind::Adapter | HeadKind::AttentionFusion | HeadKind::ScalarMix => {
                (!self.layers.is_empty()).then(|| self.layers.clone())
            }
            HeadKind::Last => self.layers.last().map(|&layer| vec![layer]),
            HeadKind::Layer(layer) => stored(layer).map(|layer| vec![layer]),
            HeadKind::Concat(layers) => layers.iter().map(stored).collect(),
        }
    }

    /// Width of what the classifier reads.
    #[must_use]
    pub fn features(&self) -> usize {
        match &self.kind {
            HeadKind::Concat(layers) => layers.len() * self.hidden,
            _ => self.hidden,
        }
    }

    /// Says what no trained head can have.
    ///
    /// # Errors
    /// In words, what is wrong.
    pub fn check(&self) -> Result<(), String> {
        if self.hidden == 0 || self.classes == 0 {
            let (hidden, classes) = (self.hidden, self.classes);
            return Err(format!(
                "hidden size {hidden} and {classes} classes make no head"
            ));
        }
        if self.read().is_none_or(|layers| layers.is_empty()) {
            let (kind, layers) = (&self.kind, &self.layers);
            return Err(format!(
                "the head {kind:?} reads other layers than {layers:?}"
            ));
        }
        if self.heads == 0
            || self.attention_size == 0
            || !self.attention_size.is_multiple_of(self.heads)
        {
            let (heads, size) = (self.heads, self.attention_size);
            return Err(format!(
                "{heads} attention heads do not divide the attention size {size}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(kind: &str) -> Result<Settings, serde_json::Error> {
        serde_json::from_value(json!({
            "kind": kind, "layers": [0, 4, 8, 12], "hidden": 32, "classes": 3, "tailor": true,
            "tailor_attention": false, "attention_size": 16, "heads": 2, "dropout": 0.1,
            "classifier_size": 0, "level": "sequence",
        }))
    }

    #[test]
    fn a_head_reads_the_layers_that_it_names() {
        let read = |kind: &str| settings(kind).unwrap().read();
        assert_eq!(read("adapter"), Some(vec![0, 4, 8, 12]));
        assert_eq!(read("last"), Some(vec![12]));
        assert_eq!(read("layer:4"), Some(vec![4]));
        assert_eq!(read("concat:8,0"), Some(vec![8, 0]));
        assert_eq!(read("concat:8,3"), None);
        assert_eq!(settings("concat:8,0").unwrap().features(), 64);
        assert!(settings("layer:3").unwrap().check().is_err());
        assert!(settings("layer:8").unwrap().check().is_ok());
    }

    #[test]
    fn an_unknown_head_is_named() {
        for kind in ["", "layer", "layer:x", "concat:", "crf"] {
            let error = settings(kind).unwrap_err().to_string();
            assert!(error.contains(&format!("'{kind}'")), "{error}");
        }
    }
}
