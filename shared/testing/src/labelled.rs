//! A small store whose hidden states carry the labels, so that every head that works must learn them.

use std::path::{Path, PathBuf};

use cache::{
    ByteLimits, DatasetIdentity, Labels, LayerStatistics, Manifest, ModelIdentity, Part,
    PartStatistics, PartWriter, SplitTables, StoreDtype,
};
use shared::datasets::SplitName;
use shared::tasks::{Level, Task};

use crate::random::Random;
use crate::store;

const LAYERS: usize = 3;
const HIDDEN: usize = 8;
/// Bytewise order.
const CLASSES: [&str; 5] = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"];
/// The relations of trees, likewise: a sentence has one `root`, on which all hang but `case`, which
/// hangs on the only `obj`; so that words of these classes tell their heads.
const RELATIONS: [&str; 5] = ["case", "nsubj", "obj", "punct", "root"];
const CASE: usize = 0;
const OBJ: usize = 2;
const PUNCT: usize = 3;
const ROOT: usize = 4;

/// What to build.
pub struct Recipe {
    /// Name of the data set.
    pub dataset: &'static str,
    /// What is to be learnt.
    pub task: Task,
    /// Sentences of the train split; the others have 60 each.
    pub sentences: usize,
    /// Stands for the encoder's weights.
    pub weights: &'static str,
    /// Whether the store is finished.
    pub complete: bool,
    /// Every sentence ends with a B-PER that has no sub-word.
    pub bare_word: bool,
    /// A split without labels.
    pub unlabelled: Option<SplitName>,
    /// Sentences of the test split end with a class that is nowhere else.
    pub unseen_class: bool,
    /// How the values are stored.
    pub store_dtype: StoreDtype,
    /// A split of which one token, the second of sentence 5, is NaN in all layers; float16 only.
    pub spoiled: Option<SplitName>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            dataset: "synthetic",
            task: Task::Ner,
            sentences: 200,
            weights: "0123",
            complete: true,
            bare_word: false,
            unlabelled: None,
            unseen_class: false,
            store_dtype: StoreDtype::F16,
            spoiled: None,
        }
    }
}

/// A split and, for each token, the class that its hidden states tell.
struct Split {
    tables: SplitTables,
    told: Vec<Option<usize>>,
}

impl Split {
    fn second_of_sentence(&self, sentence: u32) -> u64 {
        let mut sentences = self.tables.sentence_of.iter();
        let first = sentences.position(|&one| one == sentence).unwrap();
        self.tables.offsets[first] + 1
    }
}

/// Builds a store below `root` and returns its path.
pub fn build(root: &Path, recipe: &Recipe) -> PathBuf {
    let mut random = Random::new(7);
    let sizes = [
        (SplitName::Train, recipe.sentences),
        (SplitName::Validation, 60),
        (SplitName::Test, 60),
    ];
    let splits: Vec<Split> = sizes
        .iter()
        .map(|&(name, sentences)| split(name, sentences, recipe, &mut random))
        .collect();
    let tables: Vec<SplitTables> = splits.iter().map(|split| split.tables.clone()).collect();
    let manifest = manifest(recipe, &tables);
    let path = root.join(format!("toy--{}.zarr", recipe.dataset));
    let write = |writer: &mut PartWriter| {
        let part = writer.part().clone();
        let split = splits
            .iter()
            .find(|split| split.tables.name == part.split)
            .unwrap();
        writer.write(part.tokens.start, &rows(split, &part, recipe, &mut random))?;
        Ok(PartStatistics::new(LAYERS))
    };
    store::write(&path, &manifest, &tables, recipe.complete, write).unwrap();
    path
}

/// Rows `[tokens, layers, hidden]` of a part, as they are stored.
fn rows(split: &Split, part: &Part, recipe: &Recipe, random: &mut Random) -> Vec<u8> {
    let mut rows = Vec::new();
    let dtype = recipe.store_dtype;
    let mut vector = vec![0; dtype.vector_bytes(HIDDEN)];
    for token in part.tokens.clone() {
        let class = split.told[usize::try_from(token).unwrap()];
        for layer in 0..LAYERS {
            let mut values = [0.0; HIDDEN];
            for (unit, value) in values.iter_mut().enumerate() {
                // The middle layer says the class, the others say nothing.
                let signal = if layer == 1 && Some(unit) == class {
                    2.0
                } else {
                    0.0
                };
                *value = signal + 0.2 * random.noise();
            }
            let mut unused = LayerStatistics::default();
            cache::rows::encode(dtype, layer, &values, &mut vector, &mut unused).unwrap();
            if recipe.spoiled == Some(part.split) && token == split.second_of_sentence(5) {
                vector[..2].copy_from_slice(&0x7e00_u16.to_le_bytes());
            }
            rows.extend_from_slice(&vector);
        }
    }
    rows
}

/// Tokens of a split while it grows.
struct Growing {
    tables: SplitTables,
    told: Vec<Option<usize>>,
    ids: Vec<i32>,
}

impl Growing {
    /// Adds a sub-word of `word`, or a special token (-1), which tells `class`.
    fn token(&mut self, word: i32, class: Option<usize>) {
        self.tables.input_ids.push(u32::try_from(word + 1).unwrap());
        self.tables.word_ids.push(word);
        self.told.push(class);
    }

    fn end_sequence(&mut self, sentence: usize) {
        self.tables
            .sentence_of
            .push(u32::try_from(sentence).unwrap());
        self.tables.offsets.push(self.tables.input_ids.len() as u64);
    }
}

fn split(name: SplitName, sentences: usize, recipe: &Recipe, random: &mut Random) -> Split {
    let task = recipe.task;
    let mut split = Growing {
        tables: store::no_sentences(name),
        told: Vec::new(),
        ids: Vec::new(),
    };
    let mut all_heads = Vec::new();
    for sentence in 0..sentences {
        let whole = (task == Task::Sequence).then(|| usize::try_from(random.below(3)).unwrap());
        let tags = match task {
            Task::Dep => relations(random),
            _ => tags(random),
        };
        split.token(-1, whole);
        for (word, &class) in tags.iter().enumerate() {
            // Sentences of more than nine words come as two windows.
            if word == 9 {
                split.token(-1, whole);
                split.end_sequence(sentence);
                split.token(-1, whole);
            }
            // Every third word is two sub-words.
            for _ in 0..=usize::from(word % 3 == 2) {
                split.token(i32::try_from(word).unwrap(), whole.or(Some(class)));
            }
        }
        split.token(-1, whole);
        split.end_sequence(sentence);
        let mut tags = tags;
        if recipe.bare_word {
            tags.push(1);
        }
        all_heads.extend(heads(&tags));
        if recipe.unseen_class && name == SplitName::Test {
            tags[0] = 5;
        }
        let labelled = whole.map_or_else(|| tags.clone(), |class| vec![class]);
        split
            .ids
            .extend(labelled.iter().map(|&class| i32::try_from(class).unwrap()));
        split
            .tables
            .words
            .push((0..tags.len()).map(|word| format!("word{word}")).collect());
    }
    let Growing {
        mut tables,
        told,
        ids,
        ..
    } = split;
    let (level, classes) = match task {
        Task::Sequence => (Level::Sentence, &["a", "b", "c"][..]),
        Task::Dep => (Level::Token, &RELATIONS[..]),
        _ => (Level::Token, &CLASSES[..]),
    };
    let mut classes: Vec<String> = classes.iter().map(|&class| class.to_owned()).collect();
    if recipe.unseen_class {
        classes.push("rare".to_owned());
    }
    if recipe.unlabelled != Some(name) {
        tables.labels.push(Labels {
            task,
            classes,
            level,
            ids,
            heads: (task == Task::Dep).then_some(all_heads),
            texts: None,
        });
    }
    Split { tables, told }
}

/// Three to twelve tags, legal IOB2.
fn tags(random: &mut Random) -> Vec<usize> {
    let mut tags = Vec::new();
    for _ in 0..3 + random.below(10) {
        // A B- (0, 1) may be followed by its I- (2, 3).
        let inside = tags
            .last()
            .filter(|&&last: &&usize| last < 4)
            .map(|last| 2 + last % 2);
        tags.push(match (random.below(6), inside) {
            (0, _) => 0,
            (1, _) => 1,
            (2 | 3, Some(inside)) => inside,
            _ => 4,
        });
    }
    tags
}

/// The relations of three to twelve words in any order, of which one is the root and one an object.
fn relations(random: &mut Random) -> Vec<usize> {
    let mut relations = vec![OBJ, ROOT];
    for _ in 0..=random.below(10) {
        relations.push([CASE, 1, PUNCT][usize::try_from(random.below(3)).unwrap()]);
    }
    for last in (1..relations.len()).rev() {
        relations.swap(
            last,
            usize::try_from(random.below(last as u64 + 1)).unwrap(),
        );
    }
    relations
}

/// The heads of words with these relations.
fn heads(relations: &[usize]) -> impl Iterator<Item = i32> {
    let place = |wanted: usize| {
        let place = relations.iter().position(|&relation| relation == wanted);
        i32::try_from(place.unwrap_or(0)).unwrap()
    };
    let (root, object) = (place(ROOT), place(OBJ));
    relations.iter().map(move |&relation| match relation {
        ROOT => -1,
        CASE => object,
        _ => root,
    })
}

fn manifest(recipe: &Recipe, tables: &[SplitTables]) -> Manifest {
    let base = store::manifest(
        tables,
        recipe.store_dtype,
        LAYERS,
        HIDDEN,
        ByteLimits::default(),
    );
    Manifest {
        model: ModelIdentity {
            id: "toy".to_owned(),
            weights_digest: recipe.weights.to_owned(),
            layers_in_model: LAYERS - 1,
            ..base.model
        },
        dataset: DatasetIdentity {
            id: recipe.dataset.to_owned(),
            task: recipe.task,
            ..base.dataset
        },
        chunk_tokens: 500,
        file_tokens: 1000,
        part_files: 1,
        ..base
    }
}
