//! The tables of the report: scores by class, the confusion matrix, and the map of where the head
//! looks.

use std::fmt::Write;

use super::escape;
use crate::evaluation::{Attachment, AttentionRow, ClassScore, Confusion, LayerAttention, Scores};

/// More classes than this make a matrix that nobody can read.
const MATRIX: usize = 20;

/// Shades of a cell from which its number takes the other colour to be read well: on a dark page,
/// and on a light one too.
const HALF: f64 = 55.0;
const STRONG: f64 = 76.0;

/// Precision, recall, F1 and support of each class; folded away where there are many.
pub(super) fn scores(scores: &Scores) -> String {
    if let Some(numbers) = &scores.numbers {
        let mut rows = vec![("texts".to_owned(), numbers.count.to_string())];
        let named = numbers.named().into_iter();
        rows.extend(named.map(|(name, value)| (name.to_owned(), format!("{value:.4}"))));
        return settings(&rows);
    }
    let classes = scores.classes.len();
    if classes > MATRIX {
        return format!(
            "<details><summary>{classes} classes</summary>{}</details>",
            score_table(scores)
        );
    }
    score_table(scores)
}

/// The same by the distance between words and their heads.
pub(super) fn distances(attachment: &Attachment) -> String {
    rows(&attachment.distances, &[])
}

fn score_table(scores: &Scores) -> String {
    let more = scores.matthews.map(|matthews| {
        format!(
            "<p class=note>Matthews' correlation of gold and predicted classes: {matthews:.4}.</p>"
        )
    });
    rows(&scores.classes, &[&scores.micro, &scores.macro_average]) + &more.unwrap_or_default()
}

fn rows(classes: &[ClassScore], sums: &[&ClassScore]) -> String {
    let mut html = "<div class=scroll><table class=scores><tr><th></th><th>precision</th><th>recall</th><th>F1</th><th class=bar></th><th>support</th></tr>".to_owned();
    let row = |html: &mut String, class: &str, score: &ClassScore| {
        let ClassScore {
            name,
            precision,
            recall,
            f1,
            support,
        } = score;
        let _ = write!(
            html,
            "<tr{class}><th scope=row>{}</th><td>{:.2}</td><td>{:.2}</td><td>{:.2}</td>\
             <td class=bar><i style=\"width:{:.1}%\"></i></td><td>{support}</td></tr>",
            escape(name),
            precision * 100.0,
            recall * 100.0,
            f1 * 100.0,
            f1 * 100.0,
        );
    };
    for class in classes {
        row(&mut html, "", class);
    }
    for sum in sums {
        row(&mut html, " class=sum", sum);
    }
    html + "</table></div>"
}

/// Counts of gold against predicted, shaded by their share of the gold ones; only the largest
/// confusions where there are many classes.
pub(super) fn confusion(confusion: &Confusion) -> String {
    if confusion.names.len() > MATRIX {
        return largest_confusions(confusion);
    }
    let mut html =
        "<div class=scroll><table class=map><tr><th scope=row>gold \\ predicted</th>".to_owned();
    for name in &confusion.names {
        let _ = write!(html, "<th><span>{}</span></th>", escape(name));
    }
    html.push_str("</tr>");
    for (name, counts) in confusion.names.iter().zip(&confusion.counts) {
        let _ = write!(
            html,
            "<tr><th scope=row title=\"{0}\">{0}</th>",
            escape(name)
        );
        let total: usize = counts.iter().sum();
        for &count in counts {
            #[expect(clippy::cast_precision_loss, reason = "for a shade")]
            let shade = 100.0 * count as f64 / total.max(1) as f64;
            cell(&mut html, shade, &count.to_string());
        }
        html.push_str("</tr>");
    }
    html + "</table></div>"
}

/// How to read what [`confusion`] draws.
pub(super) fn confusion_note(confusion: &Confusion) -> &'static str {
    if confusion.names.len() > MATRIX {
        return "The most frequent confusions.";
    }
    "Rows are gold, columns predicted; words, or sentences for sentence tasks. Shaded by the share of the row."
}

fn largest_confusions(confusion: &Confusion) -> String {
    let mut html = "<div class=scroll><table class=scores><tr><th scope=row>gold</th><th scope=row>predicted</th><th>count</th></tr>".to_owned();
    for (gold, predicted, count) in confusion.largest(MATRIX) {
        let _ = write!(
            html,
            "<tr><th scope=row>{}</th><th scope=row>{}</th><td>{count}</td></tr>",
            escape(gold),
            escape(predicted)
        );
    }
    html + "</table></div>"
}

/// The layer-attention map: classes and kinds of token over the layers numbered `layers`, in per
/// cent.
pub(super) fn layer_attention(attention: &LayerAttention, layers: &[usize]) -> String {
    let rows = || attention.classes.iter().chain(&attention.kinds);
    let weights = || rows().flat_map(|row| row.weights.iter().copied());
    let low = weights().fold(f64::INFINITY, f64::min);
    let high = weights().fold(0.0, f64::max);
    let mut html = "<div class=scroll><table class=map><tr><th scope=row>layer</th>".to_owned();
    for layer in layers {
        let _ = write!(html, "<th>{layer}</th>");
    }
    html.push_str("</tr>");
    let mut draw = |row: &AttentionRow, class: &str| {
        let name = escape(&row.name);
        let _ = write!(
            html,
            "<tr{class}><th scope=row title=\"{name}: {} tokens\">{name}</th>",
            row.tokens
        );
        for weight in &row.weights {
            // From barely there to full, over the range that the map has.
            let shade = 4.0 + 92.0 * (weight - low) / (high - low).max(1e-9);
            cell(&mut html, shade, &format!("{:.1}", weight * 100.0));
        }
        html.push_str("</tr>");
    };
    for row in &attention.classes {
        draw(row, "");
    }
    for (index, row) in attention.kinds.iter().enumerate() {
        draw(row, if index == 0 { " class=group" } else { "" });
    }
    html + "</table></div>"
}

fn cell(html: &mut String, shade: f64, text: &str) {
    // NaN has no shade.
    let shade = if shade.is_finite() { shade } else { 0.0 };
    let class = match shade {
        strong if strong > STRONG => " class=strong",
        half if half > HALF => " class=half",
        _ => "",
    };
    let _ = write!(html, "<td{class} style=\"--v:{shade:.0}\">{text}</td>");
}

/// Names and values, a line each.
pub(super) fn settings(rows: &[(String, String)]) -> String {
    let mut html = "<table class=settings>".to_owned();
    for (name, value) in rows {
        let _ = write!(
            html,
            "<tr><th scope=row>{}</th><td>{}</td></tr>",
            escape(name),
            escape(value)
        );
    }
    html + "</table>"
}
