//! Which class a head says: both programs must choose alike where logits are equal.

/// The class with the largest logit, the first of equal ones.
#[must_use]
pub fn largest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (class, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = class;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_give_the_first_class() {
        assert_eq!(largest(&[0.0, 2.0, 2.0, -1.0]), 1);
        assert_eq!(largest(&[0.5, 0.7, 0.7]), 1);
        assert_eq!(largest(&[f32::NAN, 0.7]), 0);
    }
}
