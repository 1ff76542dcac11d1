//! Learning rate and momentum of every step, as functions of the step: PyTorch's `OneCycleLR` with
//! its defaults, a linear decay with warm-up, or a constant.

pub use trainer_options::ScheduleKind;

/// What one step trains with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepSize {
    /// Learning rate.
    pub learning_rate: f64,
    /// Adam's first decay; `None` leaves it as it is.
    pub beta1: Option<f64>,
}

/// The steps of one training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    kind: ScheduleKind,
    /// The highest learning rate.
    peak: f64,
    steps: u64,
    warm_up: f64,
}

/// Share of the steps on the way up.
const ONE_CYCLE_WARM_UP: f64 = 0.3;
/// Peak over first learning rate.
const FIRST_DIVISOR: f64 = 25.0;
/// First over last learning rate.
const LAST_DIVISOR: f64 = 1e4;
/// Beta1 at the peak of the learning rate, and at both ends.
const BETA1: (f64, f64) = (0.85, 0.95);

impl Schedule {
    /// A schedule over `steps` steps. `warm_up` is the share of them on the way up; by default 0.3
    /// for one cycle, else 0.
    #[must_use]
    pub fn new(kind: ScheduleKind, peak: f64, steps: u64, warm_up: Option<f64>) -> Self {
        let own = if kind == ScheduleKind::OneCycle {
            ONE_CYCLE_WARM_UP
        } else {
            0.0
        };
        Self {
            kind,
            peak,
            steps,
            warm_up: warm_up.unwrap_or(own).clamp(0.0, 1.0),
        }
    }

    /// What step `step` trains with, counted from 0.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 steps")]
    pub fn at(&self, step: u64) -> StepSize {
        let (step, steps) = (step as f64, self.steps as f64);
        match self.kind {
            ScheduleKind::OneCycle => self.one_cycle(step, steps),
            ScheduleKind::Linear | ScheduleKind::Constant => {
                let warm_up = (self.warm_up * steps).round();
                let factor = if step < warm_up {
                    (step + 1.0) / warm_up
                } else if self.kind == ScheduleKind::Linear {
                    ((steps - step) / (steps - warm_up).max(1.0)).clamp(0.0, 1.0)
                } else {
                    1.0
                };
                StepSize {
                    learning_rate: self.peak * factor,
                    beta1: None,
                }
            }
        }
    }

    /// Smith and Topin (2018), *Super-Convergence*, in the form that PyTorch gave it.
    fn one_cycle(&self, step: f64, steps: f64) -> StepSize {
        let first = self.peak / FIRST_DIVISOR;
        let last = first / LAST_DIVISOR;
        let top = self.warm_up * steps - 1.0;
        let end = steps - 1.0;
        let (rates, betas, share) = if step <= top || end <= top {
            (
                (first, self.peak),
                (BETA1.1, BETA1.0),
                if top > 0.0 { step / top } else { 1.0 },
            )
        } else {
            (
                (self.peak, last),
                (BETA1.0, BETA1.1),
                (step - top) / (end - top),
            )
        };
        let share = share.clamp(0.0, 1.0);
        StepSize {
            learning_rate: cosine(rates, share),
            beta1: Some(cosine(betas, share)),
        }
    }
}

/// From the first value to the second along half a cosine.
fn cosine((from, to): (f64, f64), share: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * share).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cycle_starts_low_peaks_and_ends_lower() {
        let schedule = Schedule::new(ScheduleKind::OneCycle, 1e-3, 100, None);
        let first = schedule.at(0);
        assert!((first.learning_rate - 4e-5).abs() < 1e-12);
        assert!((first.beta1.unwrap() - 0.95).abs() < 1e-12);
        let peak = schedule.at(29);
        assert!((peak.learning_rate - 1e-3).abs() < 1e-12);
        assert!((peak.beta1.unwrap() - 0.85).abs() < 1e-12);
        let last = schedule.at(99);
        assert!((last.learning_rate - 4e-9).abs() < 1e-15);
        assert!((last.beta1.unwrap() - 0.95).abs() < 1e-12);
    }

    #[test]
    fn lines_rise_over_the_warm_up() {
        let linear = Schedule::new(ScheduleKind::Linear, 1.0, 10, Some(0.2));
        let rates: Vec<f64> = (0..11).map(|step| linear.at(step).learning_rate).collect();
        assert!(
            (rates[0] - 0.5).abs() < 1e-12
                && (rates[1] - 1.0).abs() < 1e-12
                && (rates[2] - 1.0).abs() < 1e-12
        );
        assert!((rates[9] - 0.125).abs() < 1e-12 && rates[10] == 0.0);
        let constant = Schedule::new(ScheduleKind::Constant, 1.0, 10, None);
        assert!((0..10).all(|step| constant.at(step)
            == StepSize {
                learning_rate: 1.0,
                beta1: None
            }));
    }

    #[test]
    fn no_schedule_divides_by_zero() {
        for kind in [
            ScheduleKind::OneCycle,
            ScheduleKind::Linear,
            ScheduleKind::Constant,
        ] {
            for steps in 0..6 {
                for warm_up in [None, Some(0.0), Some(0.5), Some(1.0)] {
                    let schedule = Schedule::new(kind, 1e-3, steps, warm_up);
                    for step in 0..steps + 2 {
                        let rate = schedule.at(step).learning_rate;
                        assert!(
                            (0.0..=1.000_000_1e-3).contains(&rate),
                            "{kind:?} {steps} {warm_up:?} {step}: {rate}"
                        );
                    }
                }
            }
        }
    }
}
