//! The scorer of dependency trees as nodes behind a head's features: see [`shared::heads::parser`].
//! What a word is comes from its tokens, which an input of the graph says: a matrix of shares, so
//! that the first, the last or the mean of its sub-words can be its vector.

use ort::operator::Attribute;

use super::HeadOptions;
use super::nodes::{Nodes, size};
use super::parameters::Matrix;
use crate::graph::GraphError;

/// The share of each token of a row in the vector of each of its words, float32
/// `[rows, words, width]`.
pub const WORDS: &str = "words";
/// The scores of heads, float32 `[rows, words, words + 1]`, the root being column 0.
pub const ARC_SCORES: &str = "arc_scores";
/// The scores of relations to each head, float32 `[rows, words, classes, words + 1]`.
pub const RELATION_SCORES: &str = "relation_scores";

/// What the graph gives of trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeOutputs {
    /// What [`shared::heads::TreeScorer`] needs of each word, `[rows, words, projected]`, under the
    /// name of logits; so that words of several rows can make one tree.
    Projected,
    /// [`ARC_SCORES`] and [`RELATION_SCORES`] of each row by itself.
    Scores,
}

/// Nodes from features `[rows, width, features]` to the outputs; `projected` is the name of what
/// [`TreeOutputs::Projected`] gives.
pub(super) fn outputs(
    nodes: &mut Nodes<'_>,
    options: &HeadOptions,
    features: &str,
    (outputs, projected): (TreeOutputs, &str),
) -> Result<(), GraphError> {
    let (Some(parser), Some(sizes)) = (options.parser(), options.parser) else {
        return Ok(());
    };
    let (arc, relation) = (sizes.arc_size, sizes.relation_size);
    let vectors = nodes.apply("MatMul", "parser.vectors", &[WORDS, features])?;
    let matrix = nodes.parameters.matrix(&parser.words.weight())?;
    let bias = nodes.parameters.values(&parser.words.bias())?;
    let mut part = |name: &str, first: usize, rows: usize| {
        let name = format!("parser.{name}");
        let (matrix, bias) = (matrix.row_range(first, rows), &bias[first..first + rows]);
        let made = nodes.affine(&format!("{name}.sum"), &vectors, &matrix, bias)?;
        nodes.apply("Relu", &name, &[&made])
    };
    let arc_dependents = part("arc_dependents", 0, arc)?;
    let arc_heads = part("arc_heads", arc, arc)?;
    let relation_dependents = part("relation_dependents", 2 * arc, relation)?;
    let relation_heads = part("relation_heads", 2 * arc + relation, relation)?;
    let arcs = nodes.linear(&parser.arcs, &arc_dependents)?;
    if outputs == TreeOutputs::Projected {
        let relations = nodes.linear(&parser.relations, &relation_dependents)?;
        let all = [&arcs, &arc_heads, &relations, &relation_heads].map(String::as_str);
        let kept = nodes.along("Concat", "parser.projected", &all, -1)?;
        nodes.apply("Identity", projected, &[&kept])?;
        return Ok(());
    }
    let scorer = super::run::scorer(options, nodes.parameters)?;
    let Some(scorer) = scorer else { return Ok(()) };
    let (root_arc, root_relation) = scorer.root();
    let root = column(nodes, "parser.root.arcs", root_arc)?;
    let of_root = nodes.apply("MatMul", "parser.root.arc_scores", &[&arcs, &root])?;
    let turned = turned(nodes, "parser.arc_heads.turned", &arc_heads)?;
    let of_words = nodes.apply("MatMul", "parser.arc_products", &[&arcs, &turned])?;
    nodes.along("Concat", ARC_SCORES, &[&of_root, &of_words], 2)?;
    relation_scores(
        nodes,
        options,
        (&relation_dependents, &relation_heads),
        root_relation,
    )
}

/// [`RELATION_SCORES`] of words as dependents and as heads of relations, `[rows, words, R]`.
fn relation_scores(
    nodes: &mut Nodes<'_>,
    options: &HeadOptions,
    (dependents, heads): (&str, &str),
    root: &[f32],
) -> Result<(), GraphError> {
    let (Some(parser), relation) = (options.parser(), root.len()) else {
        return Ok(());
    };
    let matrix = nodes.parameters.matrix(&parser.relations.weight())?;
    let bias = nodes.parameters.values(&parser.relations.bias())?;
    // Of each class the rows that make a vector, and the last one, which makes a number.
    let chosen = |is_chosen: &dyn Fn(usize) -> bool| {
        let rows: Vec<usize> = (0..matrix.rows)
            .filter(|row| is_chosen(row % (relation + 1)))
            .collect();
        let values = rows.iter().flat_map(|&row| matrix.row_range(row, 1).values);
        let own = Matrix {
            values: values.collect(),
            rows: rows.len(),
            columns: matrix.columns,
        };
        let bias: Vec<f32> = rows.iter().map(|&row| bias[row]).collect();
        (own, bias)
    };
    let (vectors, vector_bias) = chosen(&|row| row < relation);
    let (numbers, number_bias) = chosen(&|row| row == relation);
    let vectors = nodes.affine("parser.of_classes", dependents, &vectors, &vector_bias)?;
    let shape = [0, 0, size(options.classes), size(relation)];
    let vectors = nodes.by("Reshape", "parser.by_class", &vectors, &shape, vec![])?;
    let numbers = nodes.affine("parser.numbers", dependents, &numbers, &number_bias)?;
    let numbers = nodes.by("Unsqueeze", "parser.number", &numbers, &[3], vec![])?;
    let turned = turned(nodes, "parser.relation_heads.turned", heads)?;
    let turned = nodes.by("Unsqueeze", "parser.all_heads", &turned, &[1], vec![])?;
    let of_words = nodes.apply("MatMul", "parser.relation_products", &[&vectors, &turned])?;
    let root = column(nodes, "parser.root.relations", root)?;
    let of_root = nodes.apply("MatMul", "parser.root.relation_scores", &[&vectors, &root])?;
    let all = nodes.along("Concat", "parser.relation_sums", &[&of_root, &of_words], 3)?;
    nodes.apply("Add", RELATION_SCORES, &[&all, &numbers])?;
    Ok(())
}

/// A vector as a matrix of one column.
fn column(nodes: &mut Nodes<'_>, name: &str, values: &[f32]) -> Result<String, GraphError> {
    nodes.builder.values(name, &[values.len(), 1], values)
}

/// `[rows, words, width]` to `[rows, width, words]`.
fn turned(nodes: &mut Nodes<'_>, name: &str, input: &str) -> Result<String, GraphError> {
    let order = vec![Attribute::new("perm", vec![0_i64, 2, 1])?];
    nodes.with("Transpose", name, &[input], order)
}
