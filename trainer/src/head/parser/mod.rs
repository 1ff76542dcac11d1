//! Dependency trees: how well each word hangs on each other one, and in which relation (Dozat and
//! Manning 2017), from the vectors of words that any head makes. See [`shared::heads::parser`] for
//! the parameters.
//!
//! The loss is the cross-entropy of each word's head among the root and all words of its sentence,
//! plus that of the relation at the gold head, summed up and divided by the batch's labelled words.
//! Sentences of a batch are padded to the longest one, so that a step is a few operations whatever
//! their number, on a device too; the root is the first column.

mod trees;

use shared::heads::parser::{Parameters, ParserOptions};
use shared::heads::{HeadOptions, TreeScorer};
use shared::tasks::NO_TARGET;
use tch::{Kind, Reduction, TchError, Tensor};

use super::parameters::{Builder, Linear, linear};
use super::sizes::size;
use super::tokens::indices;
use super::{Dropout, HeadError};
use crate::activations::memory::{self, single, upload};

pub(super) use trees::Trees;

/// The place of the scorer's dropout among those of a head; heads have fewer of their own.
const DROPOUT_PLACE: u64 = 8;

/// The scorer of trees; a dimension `heads` stands in front of the parameters of several heads.
pub(super) struct Parser {
    options: ParserOptions,
    classes: usize,
    words: Linear,
    root: Tensor,
    arcs: Linear,
    relations: Linear,
}

/// What words are as dependents and as heads, `[.., words, A or R]`.
struct Parts {
    arc_dependents: Tensor,
    arc_heads: Tensor,
    relation_dependents: Tensor,
    relation_heads: Tensor,
}

impl Parser {
    /// Adds the parameters of a scorer.
    pub(super) fn new(
        builder: &mut Builder,
        options: &HeadOptions,
        parser: ParserOptions,
    ) -> Result<Self, TchError> {
        let parameters = Parameters::new(&parser, options.features(), options.classes);
        Ok(Self {
            options: parser,
            classes: options.classes,
            words: builder.linear(&parameters.words)?,
            root: builder.add(&parameters.root)?,
            arcs: builder.linear(&parameters.arcs)?,
            relations: builder.linear(&parameters.relations)?,
        })
    }

    /// The dimensions of several heads: none, or their number.
    pub(super) fn heads(&self) -> Vec<i64> {
        let sizes = self.root.size();
        sizes[..sizes.len() - 1].to_vec()
    }

    /// What vectors `[.., words, features]` are made into.
    fn parts(
        &self,
        vectors: &Tensor,
        dropout: Option<(&Dropout, tch::Device)>,
    ) -> Result<Parts, TchError> {
        let mut made = linear(vectors, &self.words.weight, &self.words.bias)?.f_relu_()?;
        if let Some((dropout, device)) = dropout.filter(|_| self.options.dropout > 0.0) {
            let rows = usize::try_from(vectors.size()[vectors.dim() - 2]).unwrap_or(0);
            let shape = (rows, self.options.word_size());
            let place = DROPOUT_PLACE..DROPOUT_PLACE + 1;
            for mask in dropout.masks(place, shape, self.options.dropout, device)? {
                made = made.f_mul(&mask)?;
            }
        }
        let (arc, relation) = (
            size(self.options.arc_size),
            size(self.options.relation_size),
        );
        let part = |first: i64, width: i64| made.f_narrow(-1, first, width);
        Ok(Parts {
            arc_dependents: part(0, arc)?,
            arc_heads: part(arc, arc)?,
            relation_dependents: part(2 * arc, relation)?,
            relation_heads: part(2 * arc + relation, relation)?,
        })
    }

    /// What is kept of words for [`TreeScorer`], `[.., words, projected]`, from their vectors.
    pub(super) fn projected(&self, vectors: &Tensor) -> Result<Tensor, TchError> {
        let parts = self.parts(vectors, None)?;
        let arcs = self.arcs.forward(&parts.arc_dependents)?;
        let relations = self.relations.forward(&parts.relation_dependents)?;
        let all = [&arcs, &parts.arc_heads, &relations, &parts.relation_heads];
        Tensor::f_cat(&all, -1)
    }

    /// The scorers of each of so many `heads`, in main memory.
    pub(super) fn scorers(&self, heads: usize) -> Result<Vec<TreeScorer>, TchError> {
        let values = |tensor: &Tensor| memory::with_values(tensor, <[f32]>::to_vec);
        let all = [&self.words.weight, &self.words.bias, &self.root].map(values);
        let [weight, bias, root] = all;
        let (weight, bias, root) = (weight?, bias?, root?);
        let scorer = |head: usize| {
            let own = |values: &[f32]| {
                let each = values.len() / heads.max(1);
                values[head * each..(head + 1) * each].to_vec()
            };
            let (weight, bias, root) = (own(&weight), own(&bias), own(&root));
            TreeScorer::new(self.options, self.classes, (&weight, &bias), &root)
        };
        Ok((0..heads).map(scorer).collect())
    }

    /// The loss of `trees` over the vectors of their words `[.., words, features]`, divided by so
    /// many `labels`: `[]`, or `[heads]`.
    pub(super) fn loss(
        &self,
        vectors: &Tensor,
        trees: &Trees,
        labels: usize,
        dropout: Option<&Dropout>,
        on_device: bool,
    ) -> Result<Tensor, HeadError> {
        let device = vectors.device();
        let parts = self.parts(vectors, dropout.map(|dropout| (dropout, device)))?;
        let root = self.parts(&self.root.f_unsqueeze(-2)?, None)?;
        let layout = Padded::new(trees, &self.heads(), device)?;
        let of_heads = self.loss_of_heads(&parts, &root, &layout)?;
        let at_gold = if on_device {
            layout.gold_on_device(&parts.relation_heads, &root.relation_heads)?
        } else {
            let all = Tensor::f_cat(&[&parts.relation_heads, &root.relation_heads], -2)?;
            all.f_index_select(-2, &indices(&trees.gold_rows, device)?)?
        };
        let of_relations = self.loss_of_relations(&parts, &at_gold, &layout)?;
        #[expect(clippy::cast_precision_loss, reason = "labels of a batch")]
        let labels = labels.max(1) as f64;
        Ok(of_heads.f_add(&of_relations)?.f_div(&single(labels)?)?)
    }

    /// Of the head of each word, summed up: `[]`, or `[heads]`.
    fn loss_of_heads(
        &self,
        parts: &Parts,
        root: &Parts,
        layout: &Padded<'_>,
    ) -> Result<Tensor, TchError> {
        let dependents = layout.pad(&self.arcs.forward(&parts.arc_dependents)?)?;
        let heads = layout.with_root(&layout.pad(&parts.arc_heads)?, &root.arc_heads)?;
        let scores = dependents.f_bmm(&heads.f_transpose(1, 2)?)?;
        let columns = layout.longest + 1;
        let shape = [layout.heads, layout.sentences, layout.longest, columns];
        let scores = scores.f_view(shape)?.f_add(&layout.mask)?;
        layout.summed(&scores.f_view([-1, columns])?, &layout.head_targets)
    }

    /// Of the relation of each word to its gold head, what that is being `[.., words, R]`.
    fn loss_of_relations(
        &self,
        parts: &Parts,
        at_gold: &Tensor,
        layout: &Padded<'_>,
    ) -> Result<Tensor, TchError> {
        let relation = size(self.options.relation_size);
        let of_classes = self.relations.forward(&parts.relation_dependents)?;
        let of_classes = of_classes.f_view([-1, size(self.classes), relation + 1])?;
        let at_gold = at_gold.f_reshape([-1, relation, 1])?;
        let ones = Tensor::f_ones([at_gold.size()[0], 1, 1], (Kind::Float, at_gold.device()))?;
        let at_gold = Tensor::f_cat(&[&at_gold, &ones], 1)?;
        let scores = of_classes.f_bmm(&at_gold)?.f_squeeze_dim(-1)?;
        layout.summed(&scores, &layout.class_targets)
    }
}

/// Where the words of some trees are when each sentence is as long as the longest.
struct Padded<'t> {
    trees: &'t Trees,
    /// How many heads there are, and their dimensions: none for a single one.
    heads: i64,
    dimensions: Vec<i64>,
    sentences: i64,
    longest: i64,
    /// The place of each word, `[words]`.
    places: Tensor,
    /// 0 for the root and where there is a word, else
    /// [`MASKED`](crate::activations::device::MASKED), `[1, sentences, 1, longest + 1]`.
    mask: Tensor,
    /// The column of the gold head at each place, of each head.
    head_targets: Tensor,
    /// The gold class of each word, of each head.
    class_targets: Tensor,
}

impl<'t> Padded<'t> {
    fn new(trees: &'t Trees, dimensions: &[i64], device: tch::Device) -> Result<Self, TchError> {
        let heads = dimensions.iter().product::<i64>();
        let (sentences, longest) = (trees.lengths.len(), trees.longest());
        let repeated = |values: &[i64]| {
            let values = values.repeat(usize::try_from(heads).unwrap_or(1));
            upload(&Tensor::f_from_slice(&values)?, device)
        };
        let mask = Tensor::f_from_slice(&trees.mask())?;
        let mask = upload(&mask, device)?;
        Ok(Self {
            trees,
            heads,
            dimensions: dimensions.to_vec(),
            sentences: size(sentences),
            longest: size(longest),
            places: indices(&trees.places(), device)?,
            mask: mask.f_view([1, size(sentences), 1, size(longest + 1)])?,
            head_targets: repeated(&trees.head_targets())?,
            class_targets: repeated(&trees.classes)?,
        })
    }

    /// `[.., words, width]` to `[heads * sentences, longest, width]`, zeros where there is no word.
    /// Its gradient reads what was written, so that neither adds numbers up.
    fn pad(&self, values: &Tensor) -> Result<Tensor, TchError> {
        let width = *values.size().last().unwrap_or(&0);
        let mut shape = self.dimensions.clone();
        shape.extend([self.sentences * self.longest, width]);
        let zeros = Tensor::f_zeros(&shape, (Kind::Float, values.device()))?;
        let padded = zeros.f_index_copy(-2, &self.places, values)?;
        padded.f_view([self.heads * self.sentences, self.longest, width])
    }

    /// Padded words behind the root, `[heads * sentences, longest + 1, width]`.
    fn with_root(&self, padded: &Tensor, root: &Tensor) -> Result<Tensor, TchError> {
        let width = *padded.size().last().unwrap_or(&0);
        let root = root.f_reshape([self.heads, 1, 1, width])?;
        let root = root.f_expand([self.heads, self.sentences, 1, width], false)?;
        let root = root.f_reshape([self.heads * self.sentences, 1, width])?;
        Tensor::f_cat(&[&root, padded], 1)
    }

    /// What each word's gold head is, `[.., words, width]`: a product with ones and zeros, as the
    /// gradient of rows that are read several times would be added up by atomic instructions.
    fn gold_on_device(&self, values: &Tensor, root: &Tensor) -> Result<Tensor, TchError> {
        let heads = self.with_root(&self.pad(values)?, root)?;
        let width = *heads.size().last().unwrap_or(&0);
        let columns = self.longest + 1;
        let numbers = Tensor::f_arange(columns, (Kind::Int64, values.device()))?;
        let chosen = self.head_targets.f_unsqueeze(-1)?.f_eq_tensor(&numbers)?;
        let chosen = chosen.f_to_kind(Kind::Float)?;
        let chosen = chosen.f_view([self.heads * self.sentences, self.longest, columns])?;
        let mut shape = self.dimensions.clone();
        shape.extend([self.sentences * self.longest, width]);
        let padded = chosen.f_bmm(&heads)?.f_view(shape.as_slice())?;
        // Back to the words: places without one go to one more row behind.
        let words = self.trees.classes.len();
        let mut to = vec![words; self.trees.lengths.len() * self.trees.longest()];
        for (word, place) in self.trees.places().into_iter().enumerate() {
            to[place] = word;
        }
        let rows = shape.len() - 2;
        shape[rows] = size(words + 1);
        let zeros = Tensor::f_zeros(&shape, (Kind::Float, values.device()))?;
        let packed = zeros.f_index_copy(-2, &indices(&to, values.device())?, &padded)?;
        packed.f_narrow(-2, 0, size(words))
    }

    /// The cross-entropy of scores `[heads * rows, columns]`, summed up over what has a target:
    /// `[]`, or `[heads]`.
    fn summed(&self, scores: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        let loss = |reduction| {
            scores.f_cross_entropy_loss::<&Tensor>(targets, None, reduction, NO_TARGET, 0.0)
        };
        if self.dimensions.is_empty() {
            return loss(Reduction::Sum);
        }
        let losses = loss(Reduction::None)?.f_view([self.heads, -1])?;
        losses.f_sum_dim_intlist([1].as_slice(), false, Kind::Float)
    }
}
