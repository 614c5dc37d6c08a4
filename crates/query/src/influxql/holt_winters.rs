//! Forecasts by the method of Holt and Winters: a level, a damped trend, and seasons by which both are multiplied.
//!
//! The relations are those of Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 7.3 (multiplicative
//! seasons, damped trend). Four weights, the first level and trend, and the first seasons are chosen so that the squared
//! errors of one-step forecasts are least, by the simplex method of Nelder and Mead (1965) from a grid of guesses. Points
//! in windows without any are not there for the errors. The numbers are those of InfluxDB 1.x, which starts the search,
//! ends it, and rounds as is done here.

use influxql::ast::{Call, Expr};

use super::function::arguments;
use crate::error::Error;

/// Longest season: the search has as many dimensions.
const SEASON_MAX: i64 = 1000;
/// Most points to forecast.
const HORIZON_MAX: i64 = 1_000_000;
/// Guesses of each weight.
const GUESSES: [f64; 2] = [0.3, 0.3 + 0.4];
/// Weight of the first value, and of the first change, in the first guess.
const FIRST: f64 = 0.5;
/// Deviation of the errors at the corners of the simplex with which the search ends.
const CLOSE: f64 = 1e-4;
/// Steps after which it ends anyhow.
const STEPS_MAX: usize = 1000;
/// Weights before level, trend and seasons among the parameters.
const WEIGHTS: usize = 4;

/// A forecast with its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HoltWinters {
    /// Points to forecast.
    horizon: usize,
    /// Points of a season; there are none below two.
    season: usize,
    /// Whether to answer how the points that there are would have been forecast.
    with_fit: bool,
    /// Nanoseconds between points.
    interval: i64,
}

impl HoltWinters {
    /// Reads `holt_winters(aggregate, n, season)`, or `holt_winters_with_fit`; `None` when it is neither.
    pub(crate) fn read(call: &Call, interval: i64) -> Result<Option<Self>, Error> {
        let name = call.name.as_str();
        if !matches!(name, "holt_winters" | "holt_winters_with_fit") {
            return Ok(None);
        }
        arguments(call, 3, 3)?;
        let horizon = match call.args.get(1) {
            Some(Expr::Integer(n)) if *n > 0 => *n,
            Some(Expr::Integer(n)) => {
                return Error::invalid(format!("second arg to {name} must be greater than 0, got {n}"));
            }
            _ => return Error::invalid(format!("expected integer argument as second arg in {name}")),
        };
        let season = match call.args.get(2) {
            Some(Expr::Integer(n)) if *n >= 0 => *n,
            Some(Expr::Integer(n)) => {
                return Error::invalid(format!("third arg to {name} cannot be negative, got {n}"));
            }
            _ => return Error::invalid(format!("expected integer argument as third arg in {name}")),
        };
        if season > SEASON_MAX {
            return Err(Error::limit("holt-winters-season", SEASON_MAX.to_string()));
        }
        if horizon > HORIZON_MAX {
            return Err(Error::limit("holt-winters-points", HORIZON_MAX.to_string()));
        }
        let small = |n: i64| usize::try_from(n).expect("at most a million");
        let with_fit = name == "holt_winters_with_fit";
        Ok(Some(Self { horizon: small(horizon), season: small(season), with_fit, interval }))
    }

    /// Forecasts points behind these, which ascend in time. `check` is asked often whether to go on.
    pub(crate) fn over(
        self,
        points: &[(i64, f64)],
        check: &dyn Fn() -> Result<(), Error>,
    ) -> Result<Vec<(i64, f64)>, Error> {
        let seasonal = self.season >= 2;
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(Vec::new()) };
        if points.len() < 2 || (seasonal && points.len() < self.season) || self.interval <= 0 {
            return Ok(Vec::new());
        }
        let steps = (self.round(last.0) - self.round(first.0)) / self.interval;
        if steps <= 0 {
            return Ok(Vec::new());
        }
        let series = Series { values: self.spread(points), season: if seasonal { self.season } else { 0 } };
        let mut best = series.fit(check)?;
        let forecast = series.forecast(self.horizon, &mut best);
        let (start, from) = match self.with_fit {
            true => (first.0, 0),
            false => (last.0 + self.interval, series.values.len()),
        };
        let times = (0..).map(|step: i64| start.saturating_add(self.interval.saturating_mul(step)));
        let found = times.zip(forecast.into_iter().skip(from));
        Ok(found.filter(|(_, value)| !value.is_nan()).collect())
    }

    /// The start of the interval that is nearest to a time.
    fn round(self, time: i64) -> i64 {
        let up = time % self.interval > self.interval / 2;
        (time / self.interval + i64::from(up)) * self.interval
    }

    /// The values, one for each interval; what is not there is no number.
    fn spread(self, points: &[(i64, f64)]) -> Vec<f64> {
        let (first, rest) = points.split_first().expect("there are two at least");
        let mut values = vec![first.1];
        let mut at = self.round(first.0);
        for (time, value) in rest {
            let here = self.round(*time);
            if here <= at {
                continue;
            }
            at += self.interval;
            while at != here {
                values.push(f64::NAN);
                at += self.interval;
            }
            values.push(*value);
        }
        values
    }
}

/// Values at equal distances, and how many make a season; 0 where there are none.
struct Series {
    values: Vec<f64>,
    season: usize,
}

impl Series {
    /// The parameters with the least errors: four weights, level, trend, seasons.
    fn fit(&self, check: &dyn Fn() -> Result<(), Error>) -> Result<Vec<f64>, Error> {
        let mut best: Option<(f64, Vec<f64>)> = None;
        let mut guess = vec![0.0; WEIGHTS];
        guess.extend(self.guess());
        let every = || GUESSES.into_iter();
        let grid = every().flat_map(|alpha| {
            every().flat_map(move |beta| {
                every().flat_map(move |gamma| every().map(move |phi| [alpha, beta, gamma, phi]))
            })
        });
        for weights in grid {
            guess[..WEIGHTS].copy_from_slice(&weights);
            let (errors, found) = minimize(&mut |parameters| self.errors(parameters), &guess, check)?;
            if best.as_ref().is_none_or(|(least, _)| errors < *least) {
                best = Some((errors, found));
            }
        }
        Ok(best.map(|(_, parameters)| parameters).unwrap_or_default())
    }

    /// A first level, trend and seasons.
    #[expect(clippy::cast_precision_loss, reason = "a season has few points")]
    fn guess(&self) -> Vec<f64> {
        let (values, m) = (&self.values, self.season);
        if m == 0 {
            let trend =
                values.get(1).filter(|next| !next.is_nan()).map_or(0.0, |next| FIRST * (next - values[0]));
            return vec![0.0 + FIRST * values[0], trend];
        }
        let first = values.iter().take(m);
        let mut level = 0.0;
        first.clone().filter(|value| !value.is_nan()).for_each(|value| level += (1.0 / m as f64) * value);
        let mut trend = 0.0;
        for (now, next) in values.iter().take(m).zip(values.iter().skip(m)) {
            if !now.is_nan() && !next.is_nan() {
                trend += 1.0 / (m * m) as f64 * (next - now);
            }
        }
        // Intervals without points may make fewer values than a season has.
        let seasons = (0..m).map(|i| values.get(i).filter(|v| !v.is_nan()).map_or(0.0, |v| v / level));
        [level, trend].into_iter().chain(seasons).collect()
    }

    /// The sum of the squared errors of one-step forecasts.
    fn errors(&self, parameters: &mut [f64]) -> f64 {
        let forecast = self.forecast(0, parameters);
        let mut sum = 0.0;
        for (found, value) in forecast.iter().zip(&self.values).filter(|(_, value)| !value.is_nan()) {
            if found.is_nan() {
                return f64::INFINITY;
            }
            let error = found - value;
            sum += error * error;
        }
        sum
    }

    /// The values forecast, and so many behind them. Weights are brought between 0 and 1, and seasons to their last, in
    /// the parameters: the search goes on from there.
    fn forecast(&self, horizon: usize, parameters: &mut [f64]) -> Vec<f64> {
        let (weights, rest) = parameters.split_at_mut(WEIGHTS);
        for weight in weights.iter_mut() {
            *weight = weight.clamp(0.0, 1.0);
        }
        let (alpha, beta, gamma, phi) = (weights[0], weights[1], weights[2], weights[3]);
        let (mut level, mut trend) = (rest[0], rest[1]);
        let seasons = &mut rest[2..];
        let m = seasons.len();
        let mut value = self.values[0];
        let mut damping = phi;
        let mut forecast = Vec::with_capacity(self.values.len() + horizon);
        forecast.push(value);
        for t in 1..self.values.len() + horizon {
            // The ring moves on by one with each step.
            let at = |shift: usize| (2 * t - 2 + shift) % m;
            let (season, season_then) =
                if m == 0 { (1.0, 1.0) } else { (seasons[at(0)], seasons[at(t % m)]) };
            let expected = level + phi * trend;
            let next_level = alpha * (value / season) + (1.0 - alpha) * expected;
            let next_trend = beta * (next_level - level) + (1.0 - beta) * phi * trend;
            let next_season = gamma * (value / expected) + (1.0 - gamma) * season;
            value = (next_level + damping * next_trend) * season_then;
            (level, trend) = (next_level, next_trend);
            damping += power(phi, t);
            if m > 0 {
                seasons[at(0)] = next_season;
            }
            forecast.push(value);
        }
        forecast
    }
}

/// A power by squaring, whose last digits are the same everywhere.
fn power(base: f64, mut exponent: usize) -> f64 {
    let (mut result, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    result
}

/// Finds the arguments for which a function is least, from a start, by the simplex method. The function may bring its
/// arguments in order.
fn minimize(
    function: &mut dyn FnMut(&mut [f64]) -> f64,
    start: &[f64],
    check: &dyn Fn() -> Result<(), Error>,
) -> Result<(f64, Vec<f64>), Error> {
    let n = start.len();
    #[expect(clippy::cast_precision_loss, reason = "few dimensions")]
    let dimensions = n as f64;
    let root = (dimensions + 1.0).sqrt();
    let near = (root - 1.0) / (dimensions * 2.0_f64.sqrt());
    let far = (root - 1.0 + dimensions) / (dimensions * 2.0_f64.sqrt());
    let corner = |i: usize| -> Vec<f64> {
        let shift = |j: usize| {
            if i == 0 {
                0.0
            } else if i - 1 == j {
                far
            } else {
                near
            }
        };
        start.iter().enumerate().map(|(j, at)| shift(j) + at).collect()
    };
    let mut corners: Vec<Vec<f64>> = (0..=n).map(corner).collect();
    let mut results = Vec::with_capacity(n + 1);
    for corner in &mut corners {
        check()?;
        results.push(function(corner));
    }
    for _ in 0..STEPS_MAX {
        check()?;
        let (best, second, worst) = ranked(&results);
        let centre: Vec<f64> = (0..n)
            .map(|i| {
                let others = corners.iter().enumerate().filter(|(at, _)| *at != worst);
                let mut sum = 0.0;
                others.for_each(|(_, corner)| sum += corner[i]);
                sum / dimensions
            })
            .collect();
        let from_centre = |to: &[f64], by: f64| -> Vec<f64> {
            centre.iter().zip(to).map(|(centre, to)| centre + by * (to - centre)).collect()
        };
        let mut reflected: Vec<f64> =
            centre.iter().zip(&corners[worst]).map(|(centre, worst)| centre + (centre - worst)).collect();
        let result = function(&mut reflected);
        if result < results[second] && result >= results[best] {
            corners[worst].clone_from(&reflected);
            results[worst] = result;
        }
        if result < results[best] {
            let mut expanded = from_centre(&reflected, 2.0);
            let further = function(&mut expanded);
            let (corner, value) =
                if further < result { (expanded, further) } else { (reflected.clone(), result) };
            corners[worst] = corner;
            results[worst] = value;
        }
        if result >= results[second] {
            let mut contracted: Vec<f64> = match result < results[worst] {
                true => from_centre(&reflected, 0.5),
                false => {
                    let inside = centre.iter().zip(&corners[worst]);
                    inside.map(|(centre, worst)| centre - 0.5 * (centre - worst)).collect()
                }
            };
            let value = function(&mut contracted);
            if value < results[worst] {
                corners[worst] = contracted;
                results[worst] = value;
            } else {
                let towards = corners[best].clone();
                for (_, corner) in corners.iter_mut().enumerate().filter(|(at, _)| *at != best) {
                    for (at, best) in corner.iter_mut().zip(&towards) {
                        *at = best + (*at - best) / 2.0;
                    }
                }
                results[worst] = function(&mut corners[worst]);
                results[second] = function(&mut corners[second]);
            }
        }
        let mut sum = 0.0;
        results.iter().for_each(|value| sum += value);
        let mean = sum / (dimensions + 1.0);
        let mut variance = 0.0;
        results.iter().for_each(|value| variance += (value - mean) * (value - mean) / dimensions);
        if variance.sqrt() < CLOSE {
            break;
        }
    }
    let (best, ..) = ranked(&results);
    let mut corner = corners.swap_remove(best);
    let found = corner.clone();
    Ok((function(&mut corner), found))
}

/// Where the least, the second largest and the largest of results are. What is no number is none of them.
fn ranked(results: &[f64]) -> (usize, usize, usize) {
    let (mut least, mut largest) = (0, 0);
    for (i, value) in results.iter().enumerate() {
        if *value > results[largest] {
            largest = i;
        }
        if *value < results[least] {
            least = i;
        }
    }
    let mut second = least;
    for (i, value) in results.iter().enumerate() {
        if *value > results[second] && *value < results[largest] {
            second = i;
        }
    }
    (least, second, largest)
}
