//! The table of one scenario: medians over the rounds, and ratios to the first proxy.
//!
//! A ratio is the median of the ratios of the rounds, not the ratio of the medians: in one round
//! the proxies ran right after each other, so what else the machine did hit them alike.

use crate::measurement::{Figures, Measurement};
use crate::scenario::Scenario;
use crate::statistics::{Sample, median, range, ratios};
use crate::table::{MISSING, Table, number};

/// One column: what is computed from the figures of a measurement.
struct Column {
    title: &'static str,
    value: fn(&Figures) -> Option<f64>,
    beside: Beside,
}

/// What stands beside a median.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Ratio,
    /// The ratio, and the lowest and highest ratio of a round.
    RatioAndSpread,
}

const MEBIBYTE: f64 = 1024.0 * 1024.0;
/// Stands after a proxy's name if something went wrong with it.
const FLAWED: &str = " (!)";

const OF_LOAD: [Column; 7] = [
    Column { title: "CPU µs/req", value: cpu_us_per_request, beside: Beside::RatioAndSpread },
    Column { title: "in kernel", value: kernel_us_per_request, beside: Beside::Ratio },
    Column { title: "req/s", value: requests_per_second, beside: Beside::Ratio },
    Column {
        title: "p50 µs", value: |figures| load(figures, |l| l.p50_us), beside: Beside::Ratio
    },
    Column {
        title: "p99 µs", value: |figures| load(figures, |l| l.p99_us), beside: Beside::Ratio
    },
    Column { title: "RSS MiB", value: rss_mib, beside: Beside::Ratio },
    Column { title: "busy %", value: busy_percent, beside: Beside::Nothing },
];

const OF_REST: [Column; 3] = [
    Column { title: "B/connection", value: bytes_per_connection, beside: Beside::RatioAndSpread },
    Column { title: "RSS MiB", value: rss_mib, beside: Beside::Ratio },
    Column { title: "warm RSS MiB", value: warm_rss_mib, beside: Beside::Nothing },
];

/// The table of `scenario` under a line that names it. `proxies` are the labels in order; ratios
/// are to the first.
pub fn render(scenario: &Scenario, proxies: &[&str], measurements: &[Measurement]) -> String {
    let columns: &[Column] = if scenario.measures_memory() { &OF_REST } else { &OF_LOAD };
    let mut table = Table::new(header(columns));
    for proxy in proxies {
        table.push(row(columns, proxy, proxies.first().copied(), measurements));
    }
    format!("{}: {}\n{}", scenario.name, scenario.about, table.render())
}

fn header(columns: &[Column]) -> Vec<String> {
    let mut header = vec!["proxy".to_owned()];
    for column in columns {
        header.push(column.title.to_owned());
        match column.beside {
            Beside::Nothing => {}
            Beside::Ratio => header.push("ratio".to_owned()),
            Beside::RatioAndSpread => header.extend(["ratio", "spread"].map(str::to_owned)),
        }
    }
    header
}

fn row(
    columns: &[Column],
    proxy: &str,
    base: Option<&str>,
    measurements: &[Measurement],
) -> Vec<String> {
    let is_flawed = of_proxy(measurements, proxy).any(|one| one.complaint().is_some());
    let mut row = vec![format!("{proxy}{}", if is_flawed { FLAWED } else { "" })];
    for column in columns {
        let samples = samples(measurements, proxy, column);
        let values = samples.iter().map(|(_, value)| *value).collect::<Vec<_>>();
        row.push(number(median(&values)));
        if column.beside == Beside::Nothing {
            continue;
        }
        let of_base = base.map(|base| self::samples(measurements, base, column));
        let ratios = ratios(&samples, &of_base.unwrap_or_default());
        row.push(number(median(&ratios)));
        if column.beside == Beside::RatioAndSpread {
            // The first proxy's ratio to itself has no spread.
            let spread = if base == Some(proxy) { None } else { range(&ratios) };
            row.push(spread.map_or(MISSING.to_owned(), |(low, high)| {
                format!("{}..{}", number(Some(low)), number(Some(high)))
            }));
        }
    }
    row
}

fn of_proxy<'a>(
    measurements: &'a [Measurement],
    proxy: &'a str,
) -> impl Iterator<Item = &'a Measurement> {
    measurements.iter().filter(move |one| one.proxy == proxy)
}

fn samples(measurements: &[Measurement], proxy: &str, column: &Column) -> Vec<Sample> {
    let value = |one: &Measurement| Some((one.round, (column.value)(one.figures.as_ref()?)?));
    of_proxy(measurements, proxy).filter_map(value).collect()
}

fn load(figures: &Figures, value: fn(&crate::measurement::LoadFigures) -> f64) -> Option<f64> {
    match figures {
        Figures::Load(load) => Some(value(load)),
        Figures::Rest(_) => None,
    }
}

fn cpu_us_per_request(figures: &Figures) -> Option<f64> {
    load(figures, |load| load.cpu_ns as f64 / 1_000.0 / load.answers as f64)
}

fn kernel_us_per_request(figures: &Figures) -> Option<f64> {
    let share = match figures {
        Figures::Load(load) => load.kernel_share,
        Figures::Rest(_) => None,
    };
    Some(cpu_us_per_request(figures)? * share?)
}

fn requests_per_second(figures: &Figures) -> Option<f64> {
    load(figures, |load| load.answers as f64 / load.seconds)
}

/// How much of its core the proxy used: far below 100, the load was the limit and not the proxy.
fn busy_percent(figures: &Figures) -> Option<f64> {
    load(figures, |load| load.cpu_ns as f64 / 1e9 / load.seconds * 100.0)
}

fn rss_mib(figures: &Figures) -> Option<f64> {
    Some(match figures {
        Figures::Load(load) => load.rss_bytes as f64 / MEBIBYTE,
        Figures::Rest(rest) => rest.rss_bytes as f64 / MEBIBYTE,
    })
}

fn warm_rss_mib(figures: &Figures) -> Option<f64> {
    match figures {
        Figures::Load(_) => None,
        Figures::Rest(rest) => Some(rest.warm_rss_bytes as f64 / MEBIBYTE),
    }
}

fn bytes_per_connection(figures: &Figures) -> Option<f64> {
    match figures {
        Figures::Load(_) => None,
        Figures::Rest(rest) => {
            let growth = rest.rss_bytes as f64 - rest.warm_rss_bytes as f64;
            Some(growth / rest.connections as f64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::{Errors, LoadFigures, RestFigures};
    use crate::scenario::SCENARIOS;

    fn measurement(proxy: &str, round: u32, figures: Figures) -> Measurement {
        Measurement {
            scenario: "any",
            proxy: proxy.to_owned(),
            round,
            figures: Some(figures),
            errors: Errors::default(),
            failure: None,
        }
    }

    fn load_figures(cpu_ns: u64) -> Figures {
        Figures::Load(LoadFigures {
            seconds: 2.0,
            answers: 1_000,
            cpu_ns,
            kernel_share: Some(0.9),
            p50_us: 100.0,
            p99_us: 250.0,
            rss_bytes: 2 * 1024 * 1024,
        })
    }

    #[test]
    fn ratios_are_those_of_the_rounds() {
        let mut measurements = vec![
            measurement("a", 1, load_figures(1_000_000)),
            measurement("b", 1, load_figures(2_000_000)),
            measurement("a", 2, load_figures(10_000_000)),
            measurement("b", 2, load_figures(30_000_000)),
        ];
        measurements[3].failure = Some("odd".to_owned());
        let text = render(&SCENARIOS[0], &["a", "b"], &measurements);
        let words = |line: usize| {
            let line = text.lines().nth(line).unwrap_or_default();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
        };
        assert!(words(0).starts_with("keepalive-64: "), "{text}");
        let of_a = "a 5.50 1.00 - 4.95 1.00 500 1.00 100 1.00 250 1.00 2.00 1.00 0.28";
        assert_eq!(words(2), of_a, "{text}");
        assert!(words(3).starts_with("b (!) 16.0 2.50 2.00..3.00 14.4 2.50 500 1.00"), "{text}");
    }

    #[test]
    fn memory_at_rest_is_the_growth_for_each_connection() {
        let rest = RestFigures { connections: 10, warm_rss_bytes: 1_000, rss_bytes: 6_000 };
        assert_eq!(bytes_per_connection(&Figures::Rest(rest)), Some(500.0));
    }

    #[test]
    fn a_proxy_without_figures_has_dashes() {
        let text = render(&SCENARIOS[5], &["a"], &[]);
        assert!(text.lines().nth(2).unwrap_or_default().ends_with('-'), "{text}");
    }
}
