//! Plots as SVG, for one kind: lines over powers of something.

use std::fmt::Write as _;

/// What is drawn on, and where the axes are in it.
const SIZE: (f64, f64) = (760.0, 420.0);
const LEFT: f64 = 80.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 360.0;

/// Steps of a linear axis.
const STEPS: u32 = 5;

/// Lines over a logarithmic axis, which is marked where there are points.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    /// What the axis to the right counts.
    pub(crate) x: &'static str,
    /// What the axis upwards counts.
    pub(crate) y: (&'static str, Scale),
    pub(crate) series: Vec<Series>,
}

/// How an axis upwards is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    Log,
}

/// A line, from left to right; every coordinate is above 0.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    name: &'static str,
    colour: Colour,
    points: Vec<(f64, f64)>,
}

/// What a line stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Colour {
    Freshen,
    Unchanged,
    Floor,
    Other,
}

impl Colour {
    fn rgb(self) -> &'static str {
        match self {
            Self::Freshen => "#0b6bcb",
            Self::Unchanged => "#1a8a4a",
            Self::Floor => "#8a8a8a",
            Self::Other => "#c98a1b",
        }
    }
}

impl Series {
    /// A line without points.
    pub(crate) fn new(name: &'static str, colour: Colour) -> Self {
        Self {
            name,
            colour,
            points: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, x: usize, y: f64) {
        self.points.push((x as f64, y));
    }
}

/// From values to places, along one axis.
struct Axis {
    is_log: bool,
    from: f64,
    to: f64,
    /// Where `from` and `to` are.
    places: (f64, f64),
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let scaled = |value: f64| if self.is_log { value.log10() } else { value };
        let (from, to) = (scaled(self.from), scaled(self.to));
        let (start, end) = self.places;
        start + (scaled(value) - from) / (to - from) * (end - start)
    }
}

impl Plot {
    /// The document.
    pub(crate) fn svg(&self) -> String {
        let (width, height) = SIZE;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        text(
            &mut svg,
            (LEFT, 28.0),
            "start",
            &format!("{}: {}", self.title, self.y.0),
        );
        text(
            &mut svg,
            (f64::midpoint(LEFT, RIGHT), BOTTOM + 45.0),
            "middle",
            self.x,
        );
        let (x, y) = (self.x_axis(), self.y_axis());
        for value in self.columns() {
            let place = x.place(value);
            line(&mut svg, (place, TOP), (place, BOTTOM));
            text(&mut svg, (place, BOTTOM + 20.0), "middle", &short(value));
        }
        for value in ticks(&y) {
            let place = y.place(value);
            line(&mut svg, (LEFT, place), (RIGHT, place));
            text(&mut svg, (LEFT - 8.0, place + 4.0), "end", &short(value));
        }
        for (number, series) in self.series.iter().enumerate() {
            draw(&mut svg, series, (&x, &y));
            let legend = (RIGHT + 16.0, TOP + 12.0 + 22.0 * number as f64);
            name(&mut svg, series, legend);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.series
            .iter()
            .flat_map(|series| series.points.iter().copied())
    }

    /// Where there are points, from left to right.
    fn columns(&self) -> Vec<f64> {
        let mut columns: Vec<f64> = self.points().map(|(x, _)| x).collect();
        columns.sort_by(f64::total_cmp);
        columns.dedup();
        columns
    }

    fn x_axis(&self) -> Axis {
        let columns = self.columns();
        Axis {
            is_log: true,
            from: columns.first().copied().unwrap_or(1.0),
            to: columns.last().copied().unwrap_or(10.0),
            places: (LEFT, RIGHT),
        }
    }

    fn y_axis(&self) -> Axis {
        let values = || self.points().map(|(_, y)| y);
        let highest = values().fold(f64::MIN_POSITIVE, f64::max);
        let lowest = values().fold(highest, f64::min);
        let is_log = self.y.1 == Scale::Log;
        let power = 10_f64.powf(highest.log10().floor());
        Axis {
            is_log,
            from: if is_log {
                10_f64.powf(lowest.log10().floor())
            } else {
                0.0
            },
            to: if is_log {
                10_f64.powf(highest.log10().ceil())
            } else {
                (highest / power).ceil() * power
            },
            places: (BOTTOM, TOP),
        }
    }
}

/// Powers of ten, or equal steps.
fn ticks(axis: &Axis) -> Vec<f64> {
    if axis.is_log {
        let powers = axis.from.log10().round() as i32..=axis.to.log10().round() as i32;
        return powers.map(|power| 10_f64.powi(power)).collect();
    }
    let steps = 0..=STEPS;
    steps
        .map(|step| axis.to * f64::from(step) / f64::from(STEPS))
        .collect()
}

fn draw(svg: &mut String, series: &Series, (x, y): (&Axis, &Axis)) {
    let colour = series.colour.rgb();
    let places = series.points.iter().map(|&(a, b)| (x.place(a), y.place(b)));
    let path: Vec<String> = places
        .clone()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    put(
        svg,
        format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        ),
    );
    for (x, y) in places {
        put(
            svg,
            format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"),
        );
    }
}

fn name(svg: &mut String, series: &Series, (x, y): (f64, f64)) {
    let colour = series.colour.rgb();
    put(
        svg,
        format_args!(
            "<circle cx=\"{x}\" cy=\"{}\" r=\"5\" fill=\"{colour}\"/>",
            y - 4.0
        ),
    );
    text(svg, (x + 12.0, y), "start", series.name);
}

fn line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    put(
        svg,
        format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#ddd\"/>"
        ),
    );
}

/// `words` are ours and hold nothing to be escaped.
fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    put(
        svg,
        format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"),
    );
}

fn put(svg: &mut String, element: std::fmt::Arguments<'_>) {
    writeln!(svg, "{element}").expect("a string takes everything");
}

/// `20 k`, `3 M`.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e3 => format!("{} k", value / 1e3),
        value => format!("{value}"),
    }
}
