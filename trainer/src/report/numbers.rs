//! What the report draws of predicted numbers: gold against predicted ones, and how the errors are
//! spread.

use std::fmt::Write;

use super::chart::linear_ticks;
use super::section;
use crate::evaluation::NumberScores;

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 36.0;
/// Bars of the histogram.
const BARS: usize = 21;

/// Adds the sections on the numbers of `split`.
pub(super) fn sections(html: &mut String, split: &str, scores: &NumberScores) {
    let note = format!(
        "A point a text, {} of {} texts; on the line a prediction is right.",
        scores.drawn.len(),
        scores.count
    );
    html.push_str("<div class=pair>");
    let heading = format!("Predicted against gold numbers, on {split}");
    section(html, &heading, &scatter(&scores.drawn), &note);
    let note = "How many of these texts are so far off; right of 0 the prediction is too high.";
    let heading = format!("Errors, on {split}");
    section(html, &heading, &histogram(&scores.drawn), note);
    html.push_str("</div>");
}

/// Two axes and what is drawn between them.
struct Frame {
    x: (f64, f64),
    y: (f64, f64),
    svg: String,
}

impl Frame {
    /// Axes from the first to the second number.
    fn new(x: (f64, f64), y: (f64, f64), labels: [&str; 2]) -> Self {
        let mut frame = Self {
            x,
            y,
            svg: format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img>"),
        };
        for value in linear_ticks(y.0, y.1, 5) {
            let (_, at) = frame.place((x.0, value));
            let _ = write!(
                frame.svg,
                "<line class=grid x1={LEFT} x2={} y1={at:.1} y2={at:.1} />\
                 <text x={} y={:.1} text-anchor=end>{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                short(value)
            );
        }
        for value in linear_ticks(x.0, x.1, 6) {
            let (at, _) = frame.place((value, y.0));
            let _ = write!(
                frame.svg,
                "<text x={at:.1} y={} text-anchor=middle>{}</text>",
                HEIGHT - BOTTOM + 16.0,
                short(value)
            );
        }
        let [across, up] = labels;
        let _ = write!(
            frame.svg,
            "<text x={} y={} text-anchor=middle>{across}</text><text x={} y={} text-anchor=start>{up}</text>",
            f64::midpoint(LEFT, WIDTH - RIGHT),
            HEIGHT - 4.0,
            LEFT + 4.0,
            TOP + 10.0
        );
        frame
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let share = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
        (
            LEFT + share(x, self.x) * (WIDTH - LEFT - RIGHT),
            TOP + (1.0 - share(y, self.y)) * (HEIGHT - TOP - BOTTOM),
        )
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (self.place(from), self.place(to));
        let _ = write!(
            self.svg,
            "<line class=\"line {class}\" x1={x1:.1} y1={y1:.1} x2={x2:.1} y2={y2:.1} />"
        );
    }

    fn end(self) -> String {
        self.svg + "</svg>"
    }
}

/// A number with a few digits.
fn short(value: f64) -> String {
    format!("{}", (value * 1e6).round() / 1e6)
}

/// The pairs whose numbers can be drawn.
fn finite(pairs: &[(f32, f32)]) -> Vec<(f64, f64)> {
    let wide = |&(gold, predicted): &(f32, f32)| (f64::from(gold), f64::from(predicted));
    let pairs = pairs.iter().map(wide);
    pairs
        .filter(|(gold, predicted)| gold.is_finite() && predicted.is_finite())
        .collect()
}

fn range(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    // Room for what does not vary, and between points and frame.
    let room = ((high - low) * 0.04)
        .max(low.abs().max(high.abs()) * 1e-3)
        .max(1e-3);
    (low - room, high + room)
}

fn scatter(pairs: &[(f32, f32)]) -> String {
    let pairs = finite(pairs);
    if pairs.is_empty() {
        return nothing();
    }
    let x = range(pairs.iter().map(|pair| pair.0));
    let y = range(pairs.iter().map(|pair| pair.1));
    let mut frame = Frame::new(x, y, ["gold", "predicted"]);
    let (low, high) = (x.0.max(y.0), x.1.min(y.1));
    if low < high {
        frame.line((low, low), (high, high), "two");
    }
    for pair in pairs {
        let (x, y) = frame.place(pair);
        let _ = write!(
            frame.svg,
            "<circle class=one cx={x:.1} cy={y:.1} r=2.5 fill-opacity=.45 stroke=none />"
        );
    }
    frame.end()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few bars, of at most a thousand texts"
)]
fn histogram(pairs: &[(f32, f32)]) -> String {
    let errors = finite(pairs).into_iter();
    let errors: Vec<f64> = errors.map(|(gold, predicted)| predicted - gold).collect();
    if errors.is_empty() {
        return nothing();
    }
    let largest = errors.iter().map(|error| error.abs()).fold(1e-6, f64::max);
    let width = 2.0 * largest / BARS as f64;
    let mut counts = [0_usize; BARS];
    for error in &errors {
        let bar = ((error + largest) / width) as usize;
        counts[bar.min(BARS - 1)] += 1;
    }
    let most = counts.iter().max().copied().unwrap_or(0) as f64;
    let axis = (-largest, largest);
    let mut frame = Frame::new(axis, (0.0, most * 1.08), ["predicted less gold", "texts"]);
    for (bar, count) in counts.into_iter().enumerate() {
        let begin = -largest + bar as f64 * width;
        let (left, top) = frame.place((begin, count as f64));
        let (right, bottom) = frame.place((begin + width, 0.0));
        let _ = write!(
            frame.svg,
            "<rect class=one fill=\"currentColor\" fill-opacity=.25 x={:.1} y={top:.1} width={:.1} height={:.1} />",
            left + 1.0,
            (right - left - 2.0).max(0.5),
            bottom - top
        );
    }
    frame.line((0.0, 0.0), (0.0, most * 1.08), "two");
    frame.end()
}

fn nothing() -> String {
    "<p class=note>Nothing was measured.</p>".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_points_are_inside_the_frame() {
        let pairs: Vec<(f32, f32)> = (0..50_u8)
            .map(|number| (f32::from(number % 6), f32::from(number % 11) - 3.0))
            .collect();
        let svg = scatter(&pairs);
        assert_eq!(svg.matches("<circle").count(), 50);
        for part in svg.split("cx=").skip(1) {
            let x: f64 = part.split(' ').next().unwrap().parse().unwrap();
            assert!((LEFT..=WIDTH - RIGHT).contains(&x), "{x}");
        }
        let svg = histogram(&pairs);
        assert_eq!(svg.matches("<rect").count(), BARS);
    }

    #[test]
    fn what_does_not_vary_or_is_not_finite_is_drawn() {
        for pairs in [
            vec![(1.0, 1.0)],
            vec![(2.0, 3.0), (2.0, 3.0)],
            vec![(0.0, f32::NAN), (0.0, 0.0), (1.0, f32::INFINITY)],
            vec![(f32::MAX, -f32::MAX), (0.0, 1e-30)],
        ] {
            for svg in [scatter(&pairs), histogram(&pairs)] {
                assert!(svg.contains("</svg>"), "{svg}");
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
        assert!(scatter(&[]).contains("Nothing") && histogram(&[]).contains("Nothing"));
    }
}
