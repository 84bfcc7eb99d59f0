//! The picture: medians as bars on a logarithmic scale, and the growth curve on two.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 250.0;
const BAR: f64 = 24.0;
const CURVE: f64 = 190.0;

/// An axis of powers of ten, from one end of the picture to the other.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) =
            values.fold((f64::MAX, 1.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        Axis { low: low.min(high).log10().floor(), high: high.log10().ceil(), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value.log10() - self.low) / (self.high - self.low).max(1.0) * (self.to - self.from)
    }

    /// The powers of ten on it.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.low as i32..=self.high as i32).map(|power| 10_f64.powi(power))
    }
}

/// A drawing of both.
pub(crate) fn draw(bars: &[(String, f64)], curve: &[(usize, f64)]) -> String {
    let floor = 30.0 + bars.len() as f64 * BAR;
    let (top, bottom) = (floor + 70.0, floor + 70.0 + CURVE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"10\" y=\"18\" font-weight=\"bold\">One pod, start to exit</text>\n",
        bottom + 40.0
    );
    let across = Axis::over(bars.iter().map(|bar| bar.1), LEFT, WIDTH - 80.0);
    for tick in across.ticks() {
        line(&mut svg, (across.at(tick), 26.0), (across.at(tick), floor));
        text(&mut svg, across.at(tick), floor + 15.0, "middle", &short(tick));
    }
    for (row, (name, micros)) in bars.iter().enumerate() {
        let y = 30.0 + row as f64 * BAR;
        let ours = !["nft", "iptables", "echo"].iter().any(|other| name.contains(other));
        let (fill, width) = (if ours { "#2b6cb0" } else { "#a0aec0" }, across.at(*micros) - LEFT);
        text(&mut svg, LEFT - 8.0, y + 14.0, "end", name);
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"17\" fill=\"{fill}\"/>"
        );
        text(&mut svg, across.at(*micros) + 6.0, y + 14.0, "start", &short(*micros));
    }

    let _ = writeln!(
        svg,
        "<text x=\"10\" y=\"{}\" font-weight=\"bold\">ADD by the number of excluded CIDRs</text>",
        top - 15.0
    );
    let across = Axis::over(curve.iter().map(|point| point.0 as f64), LEFT, WIDTH - 80.0);
    let up = Axis::over(curve.iter().map(|point| point.1), bottom, top);
    for tick in across.ticks() {
        line(&mut svg, (across.at(tick), top), (across.at(tick), bottom));
        text(&mut svg, across.at(tick), bottom + 16.0, "middle", &format!("{tick}"));
    }
    for tick in up.ticks() {
        line(&mut svg, (LEFT, up.at(tick)), (WIDTH - 80.0, up.at(tick)));
        text(&mut svg, LEFT - 8.0, up.at(tick) + 4.0, "end", &short(tick));
    }
    let points: Vec<(f64, f64)> =
        curve.iter().map(|point| (across.at(point.0 as f64), up.at(point.1))).collect();
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#2b6cb0\" stroke-width=\"2\"/>",
        path.join(" ")
    );
    for ((x, y), (_, micros)) in points.iter().zip(curve) {
        let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#2b6cb0\"/>");
        text(&mut svg, *x, y - 9.0, "middle", &short(*micros));
    }
    svg + "</svg>\n"
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#e2e8f0\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, what: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{what}</text>");
}

/// Microseconds in at most three digits.
fn short(micros: f64) -> String {
    match micros {
        tiny if tiny < 1000.0 => format!("{tiny:.0} us"),
        small if small < 10_000.0 => format!("{:.1} ms", small / 1000.0),
        long => format!("{:.0} ms", long / 1000.0),
    }
}
