//! Medians of runs that took turns.

/// Times of one contender, in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, micros: f64) {
        self.0.push(micros);
    }

    /// The value that this part of the runs stay below.
    fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1) as f64;
        sorted.get((last * part).round() as usize).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn p10(&self) -> f64 {
        self.quantile(0.1)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn p90(&self) -> f64 {
        self.quantile(0.9)
    }
}

/// How many times one median is the other.
pub(crate) fn ratio(one: &Samples, other: &Samples) -> f64 {
    one.median() / other.median()
}

/// Microseconds for a reader.
pub(crate) fn time(micros: f64) -> String {
    match micros {
        none if none.is_nan() => "-".to_owned(),
        long if long >= 10_000.0 => format!("{:.1} ms", long / 1000.0),
        middle if middle >= 1000.0 => format!("{:.2} ms", middle / 1000.0),
        short if short >= 10.0 => format!("{short:.0} us"),
        tiny => format!("{tiny:.1} us"),
    }
}
