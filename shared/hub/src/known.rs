//! Data sets that people know by a short name: where they are on the hub now, the configuration
//! that the name means, and where the columns would leave a doubt, the one that is meant.

/// A data set by its short name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// The short name.
    pub(super) name: &'static str,
    /// The repository.
    pub(super) id: &'static str,
    /// The configuration, if it has several.
    pub(super) config: Option<&'static str>,
    /// The column of labels, if several could be meant and no task was named.
    pub(super) label_column: Option<&'static str>,
}

const KNOWN: [Known; 10] = [
    Known {
        name: "conll2003",
        id: "eriktks/conll2003",
        config: Some("conll2003"),
        label_column: Some("ner_tags"),
    },
    Known {
        name: "conll2002",
        id: "eriktks/conll2002",
        config: None,
        label_column: Some("ner_tags"),
    },
    Known {
        name: "wnut_17",
        id: "leondz/wnut_17",
        config: Some("wnut_17"),
        label_column: Some("ner_tags"),
    },
    Known {
        name: "wnut17",
        id: "leondz/wnut_17",
        config: Some("wnut_17"),
        label_column: Some("ner_tags"),
    },
    Known {
        name: "ncbi_disease",
        id: "ncbi/ncbi_disease",
        config: Some("ncbi_disease"),
        label_column: Some("ner_tags"),
    },
    Known {
        name: "ag_news",
        id: "fancyzhx/ag_news",
        config: None,
        label_column: Some("label"),
    },
    Known {
        name: "sst2",
        id: "stanfordnlp/sst2",
        config: None,
        label_column: Some("label"),
    },
    Known {
        name: "imdb",
        id: "stanfordnlp/imdb",
        config: None,
        label_column: Some("label"),
    },
    Known {
        name: "trec",
        id: "CogComp/trec",
        config: None,
        label_column: Some("coarse_label"),
    },
    Known {
        name: "banking77",
        id: "PolyAI/banking77",
        config: None,
        label_column: Some("label"),
    },
];

/// The data set of a short name, or of the repository that one stands for.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    KNOWN
        .iter()
        .find(|known| known.name == name || known.id == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_data_set_is_known() {
        let known = find("conll2003").unwrap();
        assert_eq!(
            (known.id, known.label_column),
            ("eriktks/conll2003", Some("ner_tags"))
        );
        assert_eq!(find("eriktks/conll2003"), Some(known));
        assert_eq!(find("conll"), None);
    }

    #[test]
    fn every_entry_is_an_id_of_the_hub() {
        for known in &KNOWN {
            assert!(
                super::super::names::check_id(known.id).is_ok(),
                "{}",
                known.id
            );
        }
    }
}
