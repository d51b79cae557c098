//! The simulator, as a command.
use std::time::Duration;
use swim_sim::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let n: u32 = args[1].parse().unwrap();
    let loss: f64 = args[2].parse().unwrap();
    let secs: u64 = args[3].parse().unwrap();
    let judges: bool = args[4].parse().unwrap();
    let seed: u64 = args.get(5).map_or(7, |s| s.parse().unwrap());
    let network = Network::new(Latency::Uniform { least: Duration::from_millis(1), most: Duration::from_millis(5) }).with_loss(Chance::percent(loss));
    let mut s = Scenario::new(n, Duration::from_secs(secs)).join_over(Duration::from_secs(10)).network(network);
    s.heal_network = false;
    for slot in 1..=(n / 100).max(1) { s = s.at(Duration::from_secs(secs/2), Fault::Crash { slot: slot * 7 % n, how: Crash::Process }); }
    println!("{}", Run::new(s, seed, Options { judges, false_deaths_max: None }).unwrap().finish());
}
