//! Line charts as inline SVG: no script and no network, so that a report can be mailed and opened
//! anywhere.

use std::fmt::Write;

use super::escape;

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 36.0;

/// One line of a chart.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// What the legend says.
    pub(super) name: &'static str,
    /// Class of the style sheet that colours it.
    pub(super) class: &'static str,
    /// `(x, y)`, by rising x.
    pub(super) points: Vec<(f64, f64)>,
}

/// How values become heights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    /// For losses, which fall over several orders of magnitude.
    Logarithmic,
}

/// A chart with a legend; `marked` is a point to stress, such as the best epoch.
pub(super) fn chart(
    x_label: &str,
    scale: Scale,
    series: &[Series],
    marked: Option<(f64, f64)>,
) -> String {
    let finite = |&(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
    let shown: Vec<&Series> = series
        .iter()
        .filter(|series| series.points.iter().any(finite))
        .collect();
    if shown.is_empty() {
        return "<p class=note>Nothing was measured.</p>".to_owned();
    }
    let points = || {
        shown
            .iter()
            .flat_map(|series| &series.points)
            .filter(|point| finite(point))
    };
    let right = points().map(|point| point.0).fold(0.0, f64::max).max(1.0);
    let axis = Axis::new(scale, points().map(|point| point.1));
    let place = |(x, y): (f64, f64)| {
        (
            LEFT + x / right * (WIDTH - LEFT - RIGHT),
            TOP + (1.0 - axis.share(y)) * (HEIGHT - TOP - BOTTOM),
        )
    };

    let mut html = String::from("<div class=legend>");
    for series in &shown {
        let _ = write!(
            html,
            "<span><i class={}></i>{}</span>",
            series.class,
            escape(series.name)
        );
    }
    let _ = write!(
        html,
        "</div><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img>"
    );
    for (value, label) in axis.ticks() {
        let (_, y) = place((0.0, value));
        let _ = write!(
            html,
            "<line class=grid x1={LEFT} x2={} y1={y:.1} y2={y:.1} />",
            WIDTH - RIGHT
        );
        let _ = write!(
            html,
            "<text x={} y={:.1} text-anchor=end>{label}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for value in linear_ticks(0.0, right, 6)
        .into_iter()
        .filter(|value| value.fract() == 0.0)
    {
        let (x, _) = place((value, 0.0));
        let _ = write!(
            html,
            "<text x={x:.1} y={} text-anchor=middle>{value}</text>",
            HEIGHT - BOTTOM + 16.0
        );
    }
    let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
    let _ = write!(
        html,
        "<text x={middle} y={} text-anchor=middle>{}</text>",
        HEIGHT - 4.0,
        escape(x_label)
    );
    for series in &shown {
        line(&mut html, series, place);
    }
    if let Some(point) = marked.filter(finite) {
        let (x, y) = place(point);
        let class = shown[0].class;
        let _ = write!(html, "<circle class={class} cx={x:.1} cy={y:.1} r=5 />");
    }
    html + "</svg>"
}

fn line(html: &mut String, series: &Series, place: impl Fn((f64, f64)) -> (f64, f64)) {
    let points: Vec<_> = series
        .points
        .iter()
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .map(|&point| place(point))
        .collect();
    if let [(x, y)] = points[..] {
        // A single point makes no line.
        let _ = write!(
            html,
            "<circle class={} cx={x:.1} cy={y:.1} r=3 />",
            series.class
        );
        return;
    }
    let _ = write!(html, "<polyline class=\"line {}\" points=\"", series.class);
    for (x, y) in points {
        let _ = write!(html, "{x:.1},{y:.1} ");
    }
    html.push_str("\" />");
}

/// The vertical axis.
#[derive(Clone, Copy, Debug)]
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    fn new(scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        match scale {
            // Two per cent of room, lest a line run along the frame.
            Scale::Linear => {
                let room = (high - low).max(0.01) * 0.05;
                Self {
                    scale,
                    low: if low >= 0.0 {
                        (low - room).max(0.0)
                    } else {
                        low - room
                    },
                    high: high + room,
                }
            }
            Scale::Logarithmic => {
                let low = low.max(1e-6);
                Self {
                    scale,
                    low: low / 1.1,
                    high: high.max(low * 2.0) * 1.1,
                }
            }
        }
    }

    /// How far up the axis `value` is, 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => (value.max(1e-9) / self.low).ln() / (self.high / self.low).ln(),
        };
        share.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        let values = match self.scale {
            Scale::Linear => linear_ticks(self.low, self.high, 5),
            Scale::Logarithmic => logarithmic_ticks(self.low, self.high),
        };
        values
            .into_iter()
            .map(|value| (value, format!("{}", (value * 1e7).round() / 1e7)))
            .collect()
    }
}

/// About `count` round numbers between `low` and `high`.
pub(super) fn linear_ticks(low: f64, high: f64, count: u32) -> Vec<f64> {
    let rough = (high - low) / f64::from(count);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    let mut ticks = Vec::new();
    let mut number = (low / step).ceil();
    while number * step <= high {
        ticks.push(number * step);
        number += 1.0;
    }
    ticks
}

/// 1, 2 and 5 times the powers of ten, or the powers alone where that would be many.
fn logarithmic_ticks(low: f64, high: f64) -> Vec<f64> {
    let wide = (high / low).log10() > 2.5;
    let factors: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let mut ticks = Vec::new();
    let mut power = 10_f64.powf(low.log10().floor());
    while power <= high {
        ticks.extend(
            factors
                .iter()
                .map(|factor| factor * power)
                .filter(|tick| (low..=high).contains(tick)),
        );
        power *= 10.0;
    }
    ticks
}

/// Means over at most `most` stretches of equal length: a noisy curve that can be read.
#[expect(clippy::cast_precision_loss, reason = "a few points")]
pub(super) fn smoothed(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let stretch = points.len().div_ceil(most).max(1);
    let mean = |points: &[(f64, f64)]| {
        let count = points.len() as f64;
        (
            points.iter().map(|point| point.0).sum::<f64>() / count,
            points.iter().map(|point| point.1).sum::<f64>() / count,
        )
    };
    points.chunks(stretch).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(linear_ticks(0.0, 20.0, 5), [0.0, 5.0, 10.0, 15.0, 20.0]);
        let ticks = linear_ticks(0.81, 0.93, 5);
        assert_eq!(
            ticks
                .iter()
                .map(|tick| format!("{tick:.2}"))
                .collect::<Vec<_>>(),
            ["0.85", "0.90"]
        );
        let ticks = logarithmic_ticks(0.03, 2.4);
        assert_eq!(
            ticks
                .iter()
                .map(|tick| format!("{tick:.2}"))
                .collect::<Vec<_>>(),
            ["0.05", "0.10", "0.20", "0.50", "1.00", "2.00"]
        );
    }

    #[test]
    fn flat_and_single_values_make_charts() {
        for points in [
            vec![(1.0, 0.5)],
            vec![(1.0, 0.0), (2.0, 0.0)],
            vec![(1.0, f64::NAN), (2.0, 1.0)],
            vec![(1.0, f64::INFINITY), (2.0, 1.0), (3.0, f64::NEG_INFINITY)],
            vec![(1.0, f64::from(f32::MAX)), (2.0, 1e-3)],
        ] {
            for scale in [Scale::Linear, Scale::Logarithmic] {
                let svg = chart(
                    "epoch",
                    scale,
                    &[Series {
                        name: "loss",
                        class: "one",
                        points: points.clone(),
                    }],
                    Some((1.0, points[0].1)),
                );
                assert!(
                    svg.contains("</svg>") && !svg.contains("NaN") && !svg.contains("inf"),
                    "{svg}"
                );
            }
        }
    }

    #[test]
    fn a_chart_of_nothing_finite_says_so() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let series = Series {
                name: "validation",
                class: "one",
                points: vec![(1.0, f64::NAN), (2.0, f64::INFINITY)],
            };
            let html = chart("epoch", scale, &[series], Some((1.0, f64::NAN)));
            assert!(html.contains("Nothing was measured"), "{html}");
        }
    }

    #[test]
    fn smoothing_keeps_the_mean() {
        let points: Vec<(f64, f64)> = (0..10).map(|x| (f64::from(x), f64::from(x % 2))).collect();
        assert_eq!(
            smoothed(&points, 5),
            [(0.5, 0.5), (2.5, 0.5), (4.5, 0.5), (6.5, 0.5), (8.5, 0.5)]
        );
        assert_eq!(smoothed(&points, 100), points);
    }
}
