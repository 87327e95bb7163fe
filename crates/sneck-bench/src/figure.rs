//! A figure: two things measured in turns, and what may be concluded from it.

use serde_json::{Value, json};

/// How wide the interval of a ratio may be, as a part of the ratio, for it to be told.
const WIDTH_MAX: f64 = 0.25;
/// What may be said of a ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    /// This is the ratio, within [`WIDTH_MAX`].
    Is(f64),
    /// Ours is less, at most this part of theirs. The rounds disagree by how much.
    AtMost(f64),
    /// Ours is more, at least so many times theirs. The rounds disagree by how much.
    AtLeast(f64),
    /// The rounds disagree on who has more.
    Nothing,
}

/// With fewer rounds even the whole of them does not enclose the true median with 95 % confidence.
const ROUNDS_MIN: usize = 6;
/// In how many standard deviations of a normal distribution 95 % of it lie, to either side.
const NORMAL_95: f64 = 1.96;

/// One quantity of sneck and of what it is compared with, round by round.
#[derive(Debug)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) what: &'static str,
    /// What it is measured in.
    pub(crate) unit: &'static str,
    /// Under which conditions.
    pub(crate) scene: &'static str,
    /// How sneck was used.
    pub(crate) ours: &'static str,
    /// What it is compared with.
    pub(crate) theirs: &'static str,
    /// The two quantities of each round, ours first.
    pub(crate) rounds: Vec<(f64, f64)>,
}

impl Figure {
    /// Ours in the middle round.
    pub(crate) fn ours_median(&self) -> f64 {
        median(self.rounds.iter().map(|(ours, _)| *ours))
    }

    /// Theirs in the middle round.
    pub(crate) fn theirs_median(&self) -> f64 {
        median(self.rounds.iter().map(|(_, theirs)| *theirs))
    }

    /// The median of the rounds' ratios. What both sides of a round suffered alike is not in it.
    pub(crate) fn ratio(&self) -> f64 {
        median(self.ratios())
    }

    /// Where the true median lies with 95 % confidence: the rounds' ratios in order, counted from the
    /// middle. It makes no assumption about how they are distributed.
    pub(crate) fn interval(&self) -> (f64, f64) {
        let mut ratios: Vec<f64> = self.ratios().collect();
        ratios.sort_by(f64::total_cmp);
        let Some(last) = ratios.len().checked_sub(1) else { return (f64::NAN, f64::NAN) };
        // How many of the rounds come out below the true median is binomial with probability one half.
        let reach = (NORMAL_95 * (ratios.len() as f64).sqrt() / 2.0).ceil();
        let middle = last as f64 / 2.0;
        let low = (middle - reach).floor().max(0.0) as usize;
        let high = ((middle + reach).ceil() as usize).min(last);
        (ratios[low], ratios[high])
    }

    /// Whether the rounds disagree too much for a ratio to be told.
    pub(crate) fn is_too_noisy(&self) -> bool {
        let (low, high) = self.interval();
        // Also what is no number is none to tell.
        self.rounds.len() < ROUNDS_MIN || !((high - low) / self.ratio()).le(&WIDTH_MAX)
    }

    /// What the rounds agree on.
    pub(crate) fn verdict(&self) -> Verdict {
        let (low, high) = self.interval();
        match (low, high) {
            _ if !self.is_too_noisy() => Verdict::Is(self.ratio()),
            _ if self.rounds.len() < ROUNDS_MIN => Verdict::Nothing,
            (_, high) if high < 1.0 => Verdict::AtMost(high),
            (low, _) if low > 1.0 => Verdict::AtLeast(low),
            _ => Verdict::Nothing,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "what": self.what,
            "unit": self.unit,
            "scene": self.scene,
            "ours": self.ours,
            "theirs": self.theirs,
            "ours_median": self.ours_median(),
            "theirs_median": self.theirs_median(),
            "ratio": self.ratio(),
            "interval_95": self.interval(),
            "too_noisy": self.is_too_noisy(),
            "rounds": self.rounds,
        })
    }

    fn ratios(&self) -> impl Iterator<Item = f64> {
        self.rounds.iter().map(|(ours, theirs)| ours / theirs)
    }
}

/// The middle of some numbers.
pub(crate) fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    quantile(&numbers, 0.5)
}

/// A quantile of sorted numbers, between neighbours by straight line.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = part * last as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(rounds: &[(f64, f64)]) -> Figure {
        let rounds = rounds.to_vec();
        Figure { what: "", unit: "", scene: "", ours: "", theirs: "", rounds }
    }

    #[test]
    fn the_ratio_is_that_of_a_round_and_not_of_the_medians() {
        let drifting = figure(&[(1.0, 1.0), (4.0, 2.0), (8.0, 4.0), (16.0, 8.0), (3.0, 1.0)]);
        assert_eq!(drifting.ratio(), 2.0);
        assert_eq!((drifting.ours_median(), drifting.theirs_median()), (4.0, 2.0));
    }

    #[test]
    fn the_interval_is_made_of_rounds_near_the_middle() {
        let hundred: Vec<(f64, f64)> = (1..=101).map(|n| (f64::from(n), 1.0)).collect();
        assert_eq!(figure(&hundred).interval(), (41.0, 61.0));
        assert_eq!(figure(&hundred[..3]).interval(), (1.0, 3.0));
    }

    #[test]
    fn rounds_that_disagree_tell_nothing() {
        let mut rounds = vec![(2.0, 1.0); 20];
        rounds.extend([(9.0, 1.0), (0.1, 1.0), (7.0, 1.0)]);
        assert!(!figure(&rounds).is_too_noisy(), "odd rounds are no noise");
        let noisy: Vec<(f64, f64)> = (1..=9).map(|n| (f64::from(n), 1.0)).collect();
        assert!(figure(&noisy).is_too_noisy());
        assert!(figure(&[]).is_too_noisy());
        assert_eq!(figure(&[]).verdict(), Verdict::Nothing);
        assert_eq!(figure(&[(2.0, 1.0); 5]).verdict(), Verdict::Nothing, "too few");
    }

    #[test]
    fn what_rounds_disagree_on_may_still_lie_on_one_side() {
        let rounds = |from: f64| -> Vec<(f64, f64)> {
            (0..9).map(|round| (from + f64::from(round), 10.0)).collect()
        };
        assert_eq!(figure(&rounds(1.0)).verdict(), Verdict::AtMost(0.8));
        assert_eq!(figure(&rounds(11.0)).verdict(), Verdict::AtLeast(1.2));
        assert_eq!(figure(&rounds(6.0)).verdict(), Verdict::Nothing);
        assert_eq!(figure(&rounds(96.0)).verdict(), Verdict::Is(10.0));
    }
}
