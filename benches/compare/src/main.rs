//! Measures Ringway side by side with other proxies on one machine. README.md says how to read it.
//!
//! This file only puts the parts together: what is compared, where it runs, and what is written.

mod arguments;
mod child;
mod comparison;
mod contender;
mod date;
mod load;
mod measurement;
mod measuring;
mod origin;
mod probes;
mod procfs;
mod provenance;
mod record;
mod scenario;
mod statistics;
mod summary;
mod sys;
mod table;

use crate::arguments::{Arguments, Command};
use crate::child::TemporaryFolder;
use crate::comparison::Comparison;
use crate::contender::{Certificate, Contender, Protocol, Surroundings};
use crate::measurement::Measurement;
use crate::origin::{Origin, Places};
use crate::provenance::Provenance;
use crate::scenario::Scenario;
use crate::sys::{process, signal};
use anyhow::{Context, Result, bail};
use clap::Parser;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

/// Descriptors that a proxy needs for the most connections, one on each side, and some more.
const DESCRIPTORS: u64 = 2 * contender::MAX_CLIENTS as u64 + 1_000;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Some(Command::Origin { addresses }) => origin::serve(*addresses).map(|()| true),
        Some(Command::Probes(probes)) => probes::run(probes),
        None => run(&arguments),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Compares, prints and writes. `false` if a measurement had errors.
fn run(arguments: &Arguments) -> Result<bool> {
    signal::watch_interrupts()?;
    let scenarios = scenario::select(&arguments.only)?;
    record::check_destinations(arguments)?;
    let contenders = contender::find_all(arguments)?;
    let provenance = Provenance::inspect(arguments.machine.as_deref(), &contenders);
    prepare_process(arguments)?;

    let mut summary = Summary::default();
    summary.add(&head(&provenance, arguments, &contenders))?;
    let measurements = compare(arguments, &scenarios, &contenders, &mut summary)?;
    let complaints = measurements.iter().filter_map(Measurement::complaint).collect::<Vec<_>>();
    summary.add(&conclusion(&complaints))?;
    write_results(arguments, &provenance, &measurements, &summary.text)?;
    Ok(complaints.is_empty())
}

/// Must come after the build of Ringway, which may use all cores.
fn prepare_process(arguments: &Arguments) -> Result<()> {
    let Arguments { proxy_core, load_core, .. } = *arguments;
    if proxy_core == load_core {
        bail!("--proxy-core and --load-core must differ: they would measure each other");
    }
    let descriptors = process::raise_descriptor_limit().context("cannot raise the limit")?;
    if descriptors < DESCRIPTORS {
        eprintln!(
            "warning: at most {descriptors} descriptors for each process (`ulimit -Hn`); \
             idle-8000 may need {DESCRIPTORS}"
        );
    }
    process::pin_to_core(load_core).with_context(|| format!("cannot use core {load_core}"))
}

fn compare(
    arguments: &Arguments,
    scenarios: &[Scenario],
    contenders: &[Contender],
    summary: &mut Summary,
) -> Result<Vec<Measurement>> {
    let folder = TemporaryFolder::create()?;
    let origin = Origin::start(arguments.load_core, &folder, Places::Ports)?;
    let surroundings = Surroundings {
        certificate: Certificate::write(&folder)?,
        folder,
        proxy_core: arguments.proxy_core,
        backends: origin.addresses.clone(),
    };
    let mut all = Vec::new();
    for scenario in scenarios {
        let (able, notes) = split_able(&taking_part(contenders, scenario), scenario)?;
        let comparison = Comparison {
            contenders: &able,
            surroundings: &surroundings,
            rounds: arguments.rounds,
            window: Duration::from_secs(arguments.seconds),
        };
        let measurements = comparison.run(scenario)?;
        let labels = able.iter().map(|one| one.label.as_str()).collect::<Vec<_>>();
        let table = summary::render(scenario, &labels, &measurements);
        summary.add(&format!("{table}{notes}\n"))?;
        all.extend(measurements);
    }
    Ok(all)
}

/// Who is asked to take part in a scenario.
fn taking_part(contenders: &[Contender], scenario: &Scenario) -> Vec<Contender> {
    let mut all = contenders.to_vec();
    if scenario.protocol == Protocol::TlsPassthrough {
        all.extend(contenders.iter().filter_map(Contender::unread));
    }
    all
}

/// Who can take part in a scenario; and, a line each, who cannot and why.
fn split_able(contenders: &[Contender], scenario: &Scenario) -> Result<(Vec<Contender>, String)> {
    let (mut able, mut notes) = (Vec::new(), String::new());
    for contender in contenders {
        match contender.obstacle(scenario.protocol)? {
            None => able.push(contender.clone()),
            Some(obstacle) => {
                let _ = writeln!(notes, "skipped: {}: {obstacle}", contender.label);
            }
        }
    }
    Ok((able, notes))
}

/// What is printed, kept for the record too. Printed at once, so that an interrupt loses little.
#[derive(Default)]
struct Summary {
    text: String,
}

impl Summary {
    fn add(&mut self, text: &str) -> Result<()> {
        self.text.push_str(text);
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot print")
    }
}

fn head(provenance: &Provenance, arguments: &Arguments, contenders: &[Contender]) -> String {
    let Arguments { rounds, seconds, proxy_core, load_core, .. } = arguments;
    let mut text = format!("{} on {}\n", provenance.date, provenance.machine);
    for (what, value) in &provenance.facts {
        let _ = writeln!(text, "{what}: {value}");
    }
    let base = contenders.first().map_or("nothing", |one| one.label.as_str());
    let _ = writeln!(
        text,
        "{rounds} rounds of {seconds} s, proxies on core {proxy_core}, load and origin on core \
         {load_core}\nmedians; ratios are to {base} in the same round\n"
    );
    text
}

fn conclusion(complaints: &[String]) -> String {
    if complaints.is_empty() {
        return "no errors\n".to_owned();
    }
    let mut text = "errors; what is marked (!) is not valid:\n".to_owned();
    for complaint in complaints {
        let _ = writeln!(text, "- {complaint}");
    }
    text
}

fn write_results(
    arguments: &Arguments,
    provenance: &Provenance,
    measurements: &[Measurement],
    summary: &str,
) -> Result<()> {
    let raw = record::to_json(provenance, arguments, measurements);
    if let Some(file) = &arguments.json {
        record::write_json(file, &raw)?;
    }
    if let Some(folder) = &arguments.record {
        let made = record::write_folder(folder, provenance, &raw, summary)?;
        eprintln!("recorded in {}", made.display());
    }
    Ok(())
}
