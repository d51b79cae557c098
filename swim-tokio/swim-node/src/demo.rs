//! A whole cluster on this machine: it forms, loses a node without notice, notices, and takes it back.
//!
//! The nodes are real ones on real loopback sockets, all in this process. [`cluster`] runs them and keeps what each
//! of them sees; this module is the plot, and tells it step by step to [`story`] (text) or as JSON lines.

mod cluster;
mod story;
mod summary;

use std::time::{Duration, Instant};

use swim_proto::Config;

use self::cluster::{Cluster, Sight};
use self::story::{Form, Out, Step};
use self::summary::Summary;
use crate::cli::DemoArgs;
use crate::config::Profile;
use crate::exit::Exit;

/// Runs the demo.
pub(crate) fn run(args: &DemoArgs) -> Exit {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            crate::complain(&format!("error: the system gives no threads: {error}"));
            return Exit::Start;
        }
    };
    let (nodes, config) = (usize::from(args.nodes), args.profile.settings());
    let limits = Limits::of(&config, nodes);
    let form = Form::new(args.json, nodes, Out::stdout());
    let exit = runtime.block_on(play(nodes, args.profile, limits, form));
    runtime.shutdown_background();
    exit
}

async fn play(nodes: usize, profile: Profile, limits: Limits, mut form: Form) -> Exit {
    let config = profile.settings();
    let mut summary = Summary::new(nodes);
    form.tell(&Step::Begin { profile: profile.name(), config: &config });
    let mut plot = Plot { limits, form, victim: nodes / 2 };
    match plot.play(nodes, config, &mut summary).await {
        Ok(()) => {}
        Err(Failure::Start(why)) => {
            crate::complain(&format!("error: {why}"));
            return Exit::Start;
        }
        Err(Failure::Missing(what)) => summary.missing = Some(what),
    }
    if summary.false_deaths > 0 && summary.missing.is_none() {
        summary.missing = Some("a living node was declared dead".to_owned());
    }
    plot.form.tell(&Step::End { summary: &summary });
    if summary.missing.is_none() { Exit::Done } else { Exit::Incomplete }
}

/// Why the plot was not played to its end.
enum Failure {
    /// A node could not be started.
    Start(String),
    /// Something did not happen in its time.
    Missing(String),
}

/// How long each act may take before the demo gives up.
struct Limits {
    converge: Duration,
    detect: Duration,
    rejoin: Duration,
}

impl Limits {
    /// Several times what the protocol promises with these settings.
    fn of(config: &Config, nodes: usize) -> Limits {
        let n = nodes as f64;
        // Everyone is probed within 2n - 1 periods; a suspicion lasts its greatest time-out at most, and may be put
        // off once before the burial.
        let probing = config.probe_interval.mul_f64(2.0 * n);
        let suspicion =
            config.probe_interval.mul_f64(config.suspicion_alpha * n.log10().max(1.0) * config.suspicion_beta);
        let slack = Duration::from_secs(30);
        Limits {
            converge: slack + config.sync_interval,
            detect: probing + suspicion * 2 + slack,
            rejoin: slack + config.sync_interval,
        }
    }
}

struct Plot {
    limits: Limits,
    form: Form,
    /// Who will be killed. Never the first, by whom the others join.
    victim: usize,
}

impl Plot {
    async fn play(&mut self, nodes: usize, config: Config, summary: &mut Summary) -> Result<(), Failure> {
        let mut cluster = Cluster::new(config);
        let converged = self.form_cluster(&mut cluster, nodes, summary).await;
        summary.false_deaths = cluster.false_deaths;
        converged?;
        let detected = self.kill_one(&mut cluster, summary).await;
        summary.false_deaths = cluster.false_deaths;
        detected?;
        let rejoined = self.take_back(&mut cluster, summary).await;
        summary.false_deaths = cluster.false_deaths;
        rejoined
    }

    /// Act 1: everyone starts, and everyone comes to know everyone.
    async fn form_cluster(
        &mut self,
        cluster: &mut Cluster,
        nodes: usize,
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        let mut since = Instant::now();
        for _ in 0..nodes {
            since = Instant::now();
            let (name, address) = cluster.add().await.map_err(Failure::Start)?;
            self.form.tell(&Step::Started { name: &name, address });
        }
        while !cluster.is_converged() {
            let full = cluster.full_views();
            let waiting = format!("{full} of {nodes} nodes know all {nodes}");
            self.watch(cluster, since, self.limits.converge, &waiting).await.ok_or_else(|| {
                Failure::Missing(format!("only {waiting} after {} s", self.limits.converge.as_secs()))
            })?;
        }
        let after = cluster.last_sight().saturating_duration_since(since);
        summary.converged = Some(after);
        self.form.tell(&Step::Converged { after });
        Ok(())
    }

    /// Act 2: one is killed, and everyone else comes to hold it dead.
    async fn kill_one(&mut self, cluster: &mut Cluster, summary: &mut Summary) -> Result<(), Failure> {
        let victim = cluster.name(self.victim);
        let survivors = cluster.len() - 1;
        self.form.tell(&Step::Killing { name: &victim });
        let since = Instant::now();
        cluster.kill(self.victim).await;
        let (mut suspecting, mut holding) = (0, 0);
        while holding < survivors {
            let waiting = format!("{suspecting} of {survivors} suspect {victim}, {holding} hold it dead");
            let sight = self
                .watch(cluster, since, self.limits.detect, &waiting)
                .await
                .ok_or_else(|| Failure::Missing(format!("only {waiting} after {} s", self.limits.detect.as_secs())))?;
            let after = sight.at.saturating_duration_since(since);
            if sight.about.as_deref() == Some(&victim) {
                suspecting = cluster.count(|view| view.suspected(&victim));
                holding = cluster.count(|view| view.declared_dead(&victim));
                if sight.is_death() {
                    summary.noticed(after);
                }
            }
        }
        self.form.tell(&Step::Detected { name: &victim, survivors });
        Ok(())
    }

    /// Act 3: it starts again, and everyone takes it back.
    async fn take_back(&mut self, cluster: &mut Cluster, summary: &mut Summary) -> Result<(), Failure> {
        let victim = cluster.name(self.victim);
        let nodes = cluster.len();
        self.form.tell(&Step::Restarting { name: &victim });
        let since = cluster.restart(self.victim).await.map_err(Failure::Missing)?;
        while !cluster.is_converged() {
            let back = cluster.count(|view| view.holds_live(&victim));
            let waiting = format!("{back} of {nodes} see {victim} back");
            self.watch(cluster, since, self.limits.rejoin, &waiting)
                .await
                .ok_or_else(|| Failure::Missing(format!("only {waiting} after {} s", self.limits.rejoin.as_secs())))?;
        }
        let after = cluster.last_sight().saturating_duration_since(since);
        summary.rejoined = Some(after);
        self.form.tell(&Step::Back { name: &victim, after });
        Ok(())
    }

    /// The next thing that some node sees, told; `None` when the time is over. Meanwhile a terminal shows that, and for
    /// what, the demo waits.
    async fn watch(&mut self, cluster: &mut Cluster, since: Instant, limit: Duration, waiting: &str) -> Option<Sight> {
        loop {
            let left = limit.checked_sub(since.elapsed())?;
            self.form.wait(since.elapsed(), waiting);
            if let Ok(sight) = tokio::time::timeout(left.min(Duration::from_millis(80)), cluster.next()).await {
                self.form.tell(&Step::Seen { sight: &sight, after: sight.at.saturating_duration_since(since) });
                return Some(sight);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::story::Paper;
    use super::*;

    async fn hurried(limits: Limits) -> (Exit, serde_json::Value) {
        let paper = Paper::default();
        let exit = play(3, Profile::Local, limits, Form::new(true, 3, paper.out())).await;
        let summary = serde_json::from_str(paper.text().lines().last().expect("the summary")).expect("JSON");
        (exit, summary)
    }

    #[tokio::test]
    async fn what_did_not_happen_in_its_time_is_named_and_costs_the_exit_status() {
        let long = Duration::from_secs(60);
        let limits = Limits { converge: Duration::ZERO, detect: long, rejoin: long };
        let (exit, summary) = hurried(limits).await;
        assert_eq!(exit, Exit::Incomplete);
        let missing = summary["missing"].as_str().expect("what is missing");
        assert!(missing.starts_with("only") && missing.ends_with("of 3 nodes know all 3 after 0 s"), "{missing}");
        assert!(summary["converged_s"].is_null());

        let limits = Limits { converge: long, detect: Duration::ZERO, rejoin: long };
        let (exit, summary) = hurried(limits).await;
        assert_eq!(exit, Exit::Incomplete);
        assert_eq!(summary["missing"], "only 0 of 2 suspect n2, 0 hold it dead after 0 s");
        assert!(summary["converged_s"].is_f64() && summary["first_detection_s"].is_null());
    }
}
