//! Indicators of technical analysis: averages and oscillators over the points of a series, one value for each.
//!
//! Each takes a period in points. The first results are held back until enough points were seen, as many as the caller
//! says or as the indicator itself needs. Averages begin as simple ones, or as exponential ones whose weights grow into
//! their own. Definitions: Wilder, "New Concepts in Technical Trading Systems" (1978), for the relative strength index;
//! Kaufman, "Trading Systems and Methods", for his two; Chande and Kroll, "The New Technical Trader" (1994), for the
//! momentum oscillator; Mulloy (1994) for the double and triple averages. Where they leave room, numbers are those of
//! InfluxDB 1.x.

use influxql::ast::{Call, Expr};

use super::function::arguments;
use crate::error::Error;

/// Longest period: some indicators keep so many points.
const PERIOD_MAX: i64 = 1_000_000;

/// Which indicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    ExponentialMovingAverage,
    DoubleExponentialMovingAverage,
    TripleExponentialMovingAverage,
    TripleExponentialDerivative,
    RelativeStrengthIndex,
    KaufmansEfficiencyRatio,
    KaufmansAdaptiveMovingAverage,
    ChandeMomentumOscillator,
}

/// How an average begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Warmup {
    /// As an exponential one, with weights for as many points as there are.
    Exponential,
    /// As the mean of the points that there are.
    Simple,
    /// Only for the momentum oscillator, which then takes sums instead of averages.
    None,
}

/// An indicator with its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Indicator {
    kind: Kind,
    period: u32,
    /// Results to hold back; as many as the indicator needs where it does not say.
    hold: Option<u32>,
    warmup: Warmup,
}

impl Kind {
    /// The indicator of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "exponential_moving_average" => Self::ExponentialMovingAverage,
            "double_exponential_moving_average" => Self::DoubleExponentialMovingAverage,
            "triple_exponential_moving_average" => Self::TripleExponentialMovingAverage,
            "triple_exponential_derivative" => Self::TripleExponentialDerivative,
            "relative_strength_index" => Self::RelativeStrengthIndex,
            "kaufmans_efficiency_ratio" => Self::KaufmansEfficiencyRatio,
            "kaufmans_adaptive_moving_average" => Self::KaufmansAdaptiveMovingAverage,
            "chande_momentum_oscillator" => Self::ChandeMomentumOscillator,
            _ => return None,
        })
    }

    const fn arguments_max(self) -> usize {
        match self {
            Self::KaufmansEfficiencyRatio | Self::KaufmansAdaptiveMovingAverage => 3,
            _ => 4,
        }
    }
}

impl Indicator {
    /// Reads `name(field, period[, hold[, warmup]])`.
    pub(crate) fn read(kind: Kind, call: &Call) -> Result<Self, Error> {
        let name = &call.name;
        match (call.args.len(), kind.arguments_max()) {
            (got, most) if got < 2 || got > most => arguments(call, 2, most)?,
            _ => {}
        }
        let period = match call.args.get(1) {
            Some(Expr::Integer(period)) if *period < 1 => {
                return Error::invalid(format!("{name} period must be greater than or equal to 1"));
            }
            Some(Expr::Integer(period)) if *period > PERIOD_MAX => {
                return Err(Error::limit("indicator-period", PERIOD_MAX.to_string()));
            }
            Some(Expr::Integer(period)) => u32::try_from(*period).expect("at most a million"),
            _ => return Error::invalid(format!("{name} period must be an integer")),
        };
        let least = i64::from(kind == Kind::TripleExponentialDerivative);
        let hold = match call.args.get(2) {
            None | Some(Expr::Integer(-1)) => None,
            Some(Expr::Integer(hold)) if *hold < least => {
                return Error::invalid(format!(
                    "{name} hold period must be greater than or equal to {least}"
                ));
            }
            // What is held back longer than there can be points is held back for ever.
            Some(Expr::Integer(hold)) => Some(u32::try_from(*hold).unwrap_or(u32::MAX)),
            Some(_) => return Error::invalid(format!("{name} hold period must be an integer")),
        };
        let oscillates = kind == Kind::ChandeMomentumOscillator;
        let warmup = match call.args.get(3) {
            None if oscillates => Warmup::None,
            None => Warmup::Exponential,
            Some(Expr::String(word)) => match word.as_str() {
                "exponential" => Warmup::Exponential,
                "simple" => Warmup::Simple,
                "none" if oscillates => Warmup::None,
                _ => {
                    let words =
                        if oscillates { "'none' 'exponential' 'simple'" } else { "'exponential' 'simple'" };
                    return Error::invalid(format!("{name} warmup type must be one of: {words}"));
                }
            },
            Some(_) => return Error::invalid(format!("{name} warmup type must be a string")),
        };
        if warmup == Warmup::None && period < 2 {
            // The sum of the changes within one point.
            return Error::invalid(format!("{name} period must be greater than or equal to 2"));
        }
        Ok(Self { kind, period, hold, warmup })
    }

    /// The indicator's values, each with the time of the point that it came with. Values that are infinite are left out.
    pub(crate) fn over(self, points: impl Iterator<Item = (i64, f64)>) -> Vec<(i64, f64)> {
        let mut running = Running::new(self);
        let hold = self.hold.unwrap_or_else(|| running.needs()) as usize;
        let values = points.map(|(time, value)| (time, running.add(value)));
        values.skip(hold).filter(|(_, value)| !value.is_infinite()).collect()
    }
}

/// An indicator on its way.
#[derive(Debug)]
enum Running {
    Average(Average),
    Double([Average; 2]),
    Triple([Average; 3]),
    Derivative { averages: [Average; 3], last: f64 },
    Strength(UpAndDown),
    Efficiency(Efficiency),
    Adaptive { efficiency: Efficiency, last: f64 },
    Momentum(Momentum),
    SmoothMomentum(UpAndDown),
}

impl Running {
    fn new(of: Indicator) -> Self {
        let average = || Average::new(of.period, of.warmup);
        match of.kind {
            Kind::ExponentialMovingAverage => Self::Average(average()),
            Kind::DoubleExponentialMovingAverage => Self::Double([average(), average()]),
            Kind::TripleExponentialMovingAverage => Self::Triple([average(), average(), average()]),
            Kind::TripleExponentialDerivative => {
                Self::Derivative { averages: [average(), average(), average()], last: 0.0 }
            }
            Kind::RelativeStrengthIndex => Self::Strength(UpAndDown::new(of)),
            Kind::KaufmansEfficiencyRatio => Self::Efficiency(Efficiency::new(of.period)),
            Kind::KaufmansAdaptiveMovingAverage => {
                Self::Adaptive { efficiency: Efficiency::new(of.period), last: 0.0 }
            }
            Kind::ChandeMomentumOscillator if of.warmup == Warmup::None => {
                Self::Momentum(Momentum::new(of.period))
            }
            Kind::ChandeMomentumOscillator => Self::SmoothMomentum(UpAndDown::new(of)),
        }
    }

    /// How many results come before the first that is one.
    fn needs(&self) -> u32 {
        // Averages of averages need each other's first results, unless they have results at once.
        let chain = |averages: &[Average]| {
            let each = averages.first().map_or(0, Average::needs);
            let links = if averages.first().is_some_and(Average::is_usable) { 1 } else { averages.len() };
            each.saturating_mul(u32::try_from(links).expect("three at most"))
        };
        match self {
            Self::Average(average) => average.needs(),
            Self::Double(averages) => chain(averages),
            Self::Triple(averages) => chain(averages),
            Self::Derivative { averages, .. } => chain(averages) + 1,
            Self::Strength(both) | Self::SmoothMomentum(both) => both.up.needs(),
            Self::Efficiency(efficiency) | Self::Adaptive { efficiency, .. } => efficiency.period(),
            Self::Momentum(momentum) => momentum.changes(),
        }
    }

    fn add(&mut self, value: f64) -> f64 {
        match self {
            Self::Average(average) => average.add(value),
            Self::Double([first, second]) => {
                let one = first.add(value);
                let two = if first.is_usable() { second.add(one) } else { one };
                2.0 * one - two
            }
            Self::Triple([first, second, third]) => {
                let one = first.add(value);
                let two = if first.is_usable() { second.add(one) } else { one };
                let three = if second.is_usable() { third.add(two) } else { two };
                3.0 * one - 3.0 * two + three
            }
            Self::Derivative { averages: [first, second, third], last } => {
                let mut now = first.add(value);
                if first.is_usable() {
                    now = second.add(now);
                    if second.is_usable() {
                        now = third.add(now);
                    }
                }
                let before = std::mem::replace(last, now);
                (now / before - 1.0) * 100.0
            }
            Self::Strength(both) => {
                let (up, down) = both.add(value);
                100.0 - 100.0 / (1.0 + up / down)
            }
            Self::SmoothMomentum(both) => {
                let (up, down) = both.add(value);
                100.0 * ((up - down) / (up + down))
            }
            Self::Efficiency(efficiency) => efficiency.add(value),
            Self::Adaptive { efficiency, last } => {
                if !efficiency.is_full() {
                    *last = efficiency.newest().0;
                }
                // Between an average of 2 points where the way is straight, and one of 30 where it is all noise.
                let (slow, range) = (2.0 / 31.0, 56.0 / 93.0); // 2/31, and 2/3 - 2/31
                let weight = efficiency.add(value) * range + slow;
                let weight = weight * weight;
                *last += weight * (value - *last);
                *last
            }
            Self::Momentum(momentum) => momentum.add(value),
        }
    }
}

/// An exponential moving average.
#[derive(Debug)]
struct Average {
    period: u32,
    weight: f64,
    warmup: Warmup,
    seen: u32,
    last: f64,
}

impl Average {
    fn new(period: u32, warmup: Warmup) -> Self {
        Self { period, weight: 2.0 / (f64::from(period) + 1.0), warmup, seen: 0, last: 0.0 }
    }

    const fn needs(&self) -> u32 {
        self.period - 1
    }

    const fn is_warm(&self) -> bool {
        self.seen == self.period
    }

    /// Whether an average of this one may be taken.
    fn is_usable(&self) -> bool {
        self.is_warm() || self.warmup == Warmup::Exponential
    }

    fn add(&mut self, value: f64) -> f64 {
        let seen = f64::from(self.seen);
        self.last = match (self.is_warm(), self.warmup) {
            _ if self.seen == 0 => value,
            (true, _) => (value - self.last) * self.weight + self.last,
            (false, Warmup::Simple) => (self.last * seen + value) / (seen + 1.0),
            (false, _) => (value - self.last) * (2.0 / (seen + 2.0)) + self.last,
        };
        self.seen = self.period.min(self.seen + 1);
        self.last
    }
}

/// Averages of the changes upwards and of those downwards, the first from zero.
#[derive(Debug)]
struct UpAndDown {
    up: Average,
    down: Average,
    last: f64,
}

impl UpAndDown {
    fn new(of: Indicator) -> Self {
        let average = || Average {
            weight: 1.0 / f64::from(of.period),
            ..Average::new(of.period.saturating_add(1), of.warmup)
        };
        Self { up: average(), down: average(), last: 0.0 }
    }

    fn add(&mut self, value: f64) -> (f64, f64) {
        let before = std::mem::replace(&mut self.last, value);
        let up = if value > before { value - before } else { 0.0 };
        let down = if value < before { before - value } else { 0.0 };
        (self.up.add(up), self.down.add(down))
    }
}

/// The way there over the way gone, in the last points.
#[derive(Debug)]
struct Efficiency {
    /// Values with their distance from the one before, in a ring; zeros at first.
    points: Vec<(f64, f64)>,
    newest: usize,
    gone: f64,
    seen: usize,
}

impl Efficiency {
    fn new(period: u32) -> Self {
        Self { points: vec![(0.0, 0.0); period as usize], newest: 0, gone: 0.0, seen: 0 }
    }

    fn period(&self) -> u32 {
        u32::try_from(self.points.len()).expect("it was made of one")
    }

    fn is_full(&self) -> bool {
        self.seen == self.points.len() + 1
    }

    fn newest(&self) -> (f64, f64) {
        self.points[self.newest]
    }

    fn add(&mut self, value: f64) -> f64 {
        let oldest = (self.newest + 1) % self.points.len();
        let (from, first_step) = self.points[oldest];
        let way = (value - from).abs();
        let step = (value - self.newest().0).abs();
        self.gone -= first_step;
        self.gone += step;
        self.points[oldest] = (value, step);
        self.newest = oldest;
        self.seen = (self.points.len() + 1).min(self.seen + 1);
        if way == 0.0 || self.gone == 0.0 { 0.0 } else { way / self.gone }
    }
}

/// The sum of changes over the sum of their sizes, in the last points.
#[derive(Debug)]
struct Momentum {
    /// Values with their change from the one before, in a ring; zeros at first.
    points: Vec<(f64, f64)>,
    newest: usize,
    up: f64,
    down: f64,
    has_any: bool,
}

impl Momentum {
    fn new(period: u32) -> Self {
        let points = vec![(0.0, 0.0); period as usize - 1];
        Self { points, newest: 0, up: 0.0, down: 0.0, has_any: false }
    }

    fn changes(&self) -> u32 {
        u32::try_from(self.points.len()).expect("it was made of one")
    }

    fn add(&mut self, value: f64) -> f64 {
        let oldest = (self.newest + 1) % self.points.len();
        let change = if self.has_any { value - self.points[self.newest].0 } else { 0.0 };
        if change > 0.0 {
            self.up += change;
        } else if change < 0.0 {
            self.down -= change;
        }
        let moved = self.up != 0.0 || self.down != 0.0;
        let answer = if moved { 100.0 * ((self.up - self.down) / (self.up + self.down)) } else { 0.0 };
        let gone = self.points[oldest].1;
        if gone > 0.0 {
            self.up -= gone;
        } else if gone < 0.0 {
            self.down += gone;
        }
        self.points[oldest] = (value, change);
        self.newest = oldest;
        self.has_any = true;
        answer
    }
}
