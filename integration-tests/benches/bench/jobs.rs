//! The jobs: each beside its floor, in alternation.

use crate::child::{self, Spec, Work};
use crate::fleet::{Fleet, Stream, from_env, list_from_env};
use crate::input::{AGENTS, Skew};
use crate::measure::Measured;
use crate::report::Report;
use crate::upsert::Way;
use domain::Projection;
use std::time::Duration;

/// What was asked for.
pub struct Plan {
    pub events: usize,
    pub ingest_events: u64,
    pub in_flight: usize,
    pub backlogs: Vec<u64>,
    pub jobs: Vec<String>,
    pub rounds: usize,
    pub latency_s: f64,
}

const JOBS: &str = "decode,aggregator,projector,ingest,embedded,latency,scale";
/// Seconds of a latency run that are left out.
const WARM_UP_S: f64 = 5.0;
/// Shares of the measured capacity.
const LOADS: [f64; 3] = [0.1, 0.5, 0.8];

impl Plan {
    pub fn from_env() -> Self {
        let events: usize = from_env("SPORELOG_BENCH_EVENTS", 2_000_000);
        Self {
            events,
            ingest_events: from_env("SPORELOG_BENCH_INGEST_EVENTS", (events / 4) as u64),
            in_flight: from_env("SPORELOG_BENCH_IN_FLIGHT", 256),
            backlogs: list_from_env("SPORELOG_BENCH_BACKLOGS", &format!("{},{events}", events / 4))
                .iter()
                .map(|number| number.parse().unwrap())
                .collect(),
            jobs: list_from_env("SPORELOG_BENCH_JOBS", JOBS),
            rounds: from_env("SPORELOG_BENCH_ROUNDS", 3),
            latency_s: from_env("SPORELOG_BENCH_LATENCY_S", 20.0),
        }
    }

    fn wants(&self, job: &str) -> bool {
        self.jobs.iter().any(|wanted| wanted == job)
    }

    /// Whether any job needs the engines.
    pub fn needs_engines(&self) -> bool {
        self.jobs.iter().any(|job| job != "embedded")
    }
}

/// The projections by the names of their roles.
const ROLES: [(&str, &str); 3] = [("ingest", "records"), ("projector", "views"), ("aggregator", "series")];

fn projection(role: &str) -> &'static Projection {
    let name = ROLES.iter().find(|known| known.0 == role).unwrap().1;
    Projection::named(name).unwrap()
}

/// The engines, the stream that every job reads, and where results go.
pub struct Bench<'a> {
    pub plan: &'a Plan,
    pub fleet: &'a Fleet,
    pub stream: &'a Stream,
    pub report: &'a mut Report,
}

impl Bench<'_> {
    /// Everything that was asked for but `embedded`.
    pub fn run(&mut self) {
        for round in 0..self.plan.rounds {
            eprintln!("round {} of {}", round + 1, self.plan.rounds);
            for (job, of_job) in [
                ("decode", Self::decode as fn(&mut Self)),
                ("aggregator", Self::aggregator),
                ("projector", Self::projector),
                ("ingest", Self::ingest),
            ] {
                if self.plan.wants(job) {
                    of_job(self);
                }
            }
        }
        for (role, _) in ROLES.iter().filter(|(role, _)| self.plan.wants(&format!("profile-{role}"))) {
            let measured = self.fresh(&self.spec(Work::Worker, role, u64::MAX));
            self.add("profile", role, &[], measured);
        }
        for (part, of_part) in
            [("workers", Self::workers as fn(&mut Self)), ("backlog", Self::backlogs), ("keys", Self::keys)]
        {
            if self.plan.wants("scale") || self.plan.wants(&format!("scale-{part}")) {
                of_part(self);
            }
        }
        for (role, _) in ROLES {
            if self.plan.wants("latency") || self.plan.wants(&format!("latency-{role}")) {
                self.latency(role);
            }
        }
    }

    fn spec(&self, work: Work, role: &str, limit: u64) -> Spec {
        let projection = projection(role);
        self.fleet.spec(work, projection, &self.stream.prefix, self.stream.of(projection, limit))
    }

    fn fresh(&self, spec: &Spec) -> Measured {
        self.fleet.on_fresh_stores(spec, || child::run(spec))
    }

    fn add(&mut self, job: &str, what: &str, floors: &[&str], measured: Measured) {
        self.report.add(job, what, floors, measured);
    }

    fn decode(&mut self) {
        let run = |decode| child::run(&self.spec(Work::Consume { decode }, "aggregator", u64::MAX));
        let (count, decode) = (run(false), run(true));
        self.add("decode", "consume and count", &[], count);
        self.add("decode", "consume and decode", &["consume and count"], decode);
    }

    fn aggregator(&mut self) {
        let floor = child::run(&self.spec(Work::Consume { decode: true }, "aggregator", u64::MAX));
        self.add("aggregator", "floor: consume and decode", &[], floor);
        let worker = self.fresh(&self.spec(Work::Worker, "aggregator", u64::MAX));
        self.add("aggregator", "worker", &["floor: consume and decode"], worker);
    }

    fn projector(&mut self) {
        let (unnest, copy) = ("floor: bulk upsert, unnest", "floor: bulk upsert, COPY");
        for (name, way) in [(unnest, Way::Unnest), (copy, Way::Copy)] {
            let floor = self.fresh(&self.spec(Work::Upsert { way }, "projector", u64::MAX));
            self.add("projector", name, &[], floor);
        }
        let worker = self.fresh(&self.spec(Work::Worker, "projector", u64::MAX));
        self.add("projector", "worker", &[unnest, copy], worker);
    }

    fn ingest(&mut self) {
        let (in_flight, limit) = (self.plan.in_flight, self.plan.ingest_events);
        let name = format!("floor: a row a request, {in_flight} in flight");
        let floor = self.fresh(&self.spec(Work::Insert { in_flight }, "ingest", limit));
        self.add("ingest", &name, &[], floor);
        let worker = self.fresh(&self.spec(Work::Worker, "ingest", limit));
        self.add("ingest", "worker", &[&name], worker);
    }

    fn workers(&mut self) {
        for (role, _) in ROLES {
            let limit = if role == "ingest" { self.plan.ingest_events } else { u64::MAX };
            for workers in [1, 2, 4] {
                let spec = Spec { workers, ..self.spec(Work::Worker, role, limit) };
                let measured = self.fresh(&spec);
                self.add("workers", &format!("{role}, {workers}"), &[&format!("{role}, 1")], measured);
            }
        }
    }

    fn backlogs(&mut self) {
        for role in ["projector", "aggregator"] {
            for backlog in self.plan.backlogs.clone() {
                let measured = self.fresh(&self.spec(Work::Worker, role, backlog));
                self.add("backlog", &format!("{role}, {backlog}"), &[], measured);
            }
        }
    }

    fn keys(&mut self) {
        for keys in [1_000, 100_000, 1_000_000] {
            let prefix = format!("keys-{keys}.");
            eprintln!("preparing {keys} keys ...");
            let stream = self.fleet.prepare(&prefix, (self.plan.events / 2).max(1_000), keys, Skew::Even);
            for role in ["projector", "aggregator"] {
                let of = projection(role);
                let spec = self.fleet.spec(Work::Worker, of, &prefix, stream.of(of, u64::MAX));
                let measured = self.fresh(&spec);
                self.add("keys", &format!("{role}, {keys}"), &[], measured);
            }
            self.fleet.delete(&prefix);
        }
    }

    /// A worker and a producer, at shares of what the worker did over the backlog.
    fn latency(&mut self, role: &str) {
        let measured = self.report.median(role, "worker").cloned();
        let limit = if role == "ingest" { self.plan.ingest_events } else { u64::MAX };
        let measured = measured.unwrap_or_else(|| self.fresh(&self.spec(Work::Worker, role, limit)));
        let capacity = measured.events as f64 / measured.wall_s;
        for load in LOADS {
            let (rate, prefix) = (capacity * load, format!("latency-{role}-{load}."));
            let limit = (rate * (WARM_UP_S + self.plan.latency_s)) as u64;
            self.fleet.topics(&prefix);
            let spec = |work| self.fleet.spec(work, projection(role), &prefix, limit);
            let worker = spec(Work::Latency { warm_up_s: WARM_UP_S });
            let producer = spec(Work::Produce { rate, agents: AGENTS });
            let measured = self.fleet.on_fresh_stores(&worker, || {
                let running = child::start(&worker);
                // It has joined its group by then.
                std::thread::sleep(Duration::from_secs(3));
                let produced = child::start(&producer).one();
                let late = produced.wall_s * rate / produced.events as f64;
                if late > 1.05 {
                    eprintln!("  the producer took {late:.2} times as long as it should: this machine is too small");
                }
                running.one()
            });
            let what = format!("{role}, {:.0} % of {capacity:.0}/s = {rate:.0}/s", load * 100.0);
            self.add("latency", &what, &[], measured);
            self.fleet.delete(&prefix);
        }
    }
}

/// All of the embedded suite, a process a round.
pub fn embedded(plan: &Plan, report: &mut Report) {
    let spec = Spec {
        work: Work::Embedded,
        projection: String::new(),
        limit: from_env("SPORELOG_BENCH_EMBEDDED_EVENTS", (plan.events / 4) as u64),
        workers: 1,
        kafka: String::new(),
        topics: String::new(),
        sink: String::new(),
        database: String::new(),
        cassandra: String::new(),
        keyspace: String::new(),
        pids: crate::measure::Pids::default(),
        run: String::new(),
    };
    for round in 0..plan.rounds {
        eprintln!("embedded, round {} of {}", round + 1, plan.rounds);
        for line in child::start(&spec).wait() {
            let floor = match line.name.split_once(' ') {
                Some(("worker", of)) => format!("bare upsert {of}"),
                _ if line.name == "up" => "bare upserts of all rows".to_owned(),
                _ if line.name == "decode" => "decode, bare".to_owned(),
                _ => String::new(),
            };
            report.add("embedded", &line.name, &[&floor], line.measured);
        }
    }
}

/// Whether the embedded suite was asked for.
pub fn wants_embedded(plan: &Plan) -> bool {
    plan.wants("embedded")
}
