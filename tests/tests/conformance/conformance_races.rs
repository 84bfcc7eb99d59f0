//! Calls for two interfaces of one container at the same time, in many orders: a state always has its table, and with
//! the last state the table goes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use sluice_tests::plugin::Request;
use sluice_tests::traced::Traced;
use sluice_tests::{Netns, Plugin, need};

/// More system calls than any call makes.
const MOST: usize = 2000;

struct Lab {
    plugin: Plugin,
    ns: Netns,
    eth0: Request,
    net1: Request,
}

impl Lab {
    fn new() -> Self {
        let (plugin, ns) = (Plugin::new(), Netns::pod());
        ns.link(|net| Box::pin(async move { net.veth("net1", "far1").await }));
        let eth0 = plugin.request(&ns).native(&[("passthrough-sources", "127.0.0.6,::6")]);
        let eth0 = eth0.with("log", serde_json::json!({ "level": "error", "file": "/dev/null" }));
        let net1 = eth0.clone().env("CNI_IFNAME", "net1").with("name", "second".into());
        Lab { plugin, ns, eth0, net1 }
    }

    /// One state file of `count`, and a whole table if there is any; then nothing at all.
    #[track_caller]
    fn ends_well(&self, count: usize, when: &str) {
        assert_eq!(self.plugin.attachments().len(), count, "{when}");
        assert_eq!(
            self.ns.table().is_empty(),
            count == 0,
            "{when}: a state has its table, and no table is left alone"
        );
        if count > 0 {
            let checked = self.plugin.call("CHECK", &self.net1);
            assert_eq!(checked.code, Some(0), "{when}: {}", checked.stdout);
        }
        self.plugin.del(&self.eth0);
        self.plugin.del(&self.net1);
        assert_eq!(self.ns.table(), "", "{when}");
        assert!(self.plugin.attachments().is_empty(), "{when}");
        assert!(!self.ns.output("ip", &["-6", "addr", "show", "lo"], "").contains("::6"), "{when}");
    }
}

/// How many steps a call has.
fn steps_of(lab: &Lab, verb: &str, request: &Request) -> usize {
    let mut traced = Traced::start(&lab.plugin, verb, request);
    let steps = (0..MOST).take_while(|_| traced.steps(1)).count();
    let _ = traced.finish();
    steps
}

#[test]
fn a_del_of_one_interface_at_any_step_of_an_add_of_another() {
    need!(need::program("nft"), need::program("ip"));
    let lab = Lab::new();
    lab.plugin.add(&lab.eth0);
    let steps = steps_of(&lab, "ADD", &lab.net1);
    lab.ends_well(2, "one after the other");
    for step in 1..steps {
        lab.plugin.add(&lab.eth0);
        let mut add = Traced::start(&lab.plugin, "ADD", &lab.net1);
        add.steps(step);
        lab.plugin.del(&lab.eth0);
        let _ = add.finish();
        lab.ends_well(1, &format!("DEL at step {step} of ADD"));
    }
}

#[test]
fn an_add_of_one_interface_at_any_step_of_a_del_of_another() {
    need!(need::program("nft"), need::program("ip"));
    let lab = Lab::new();
    lab.plugin.add(&lab.eth0);
    let steps = steps_of(&lab, "DEL", &lab.eth0);
    lab.ends_well(0, "alone");
    for step in 1..steps {
        lab.plugin.add(&lab.eth0);
        let mut del = Traced::start(&lab.plugin, "DEL", &lab.eth0);
        del.steps(step);
        lab.plugin.add(&lab.net1);
        let _ = del.finish();
        lab.ends_well(1, &format!("ADD at step {step} of DEL"));
    }
}

#[test]
fn add_and_del_each_stopped_somewhere_while_the_other_goes_on() {
    need!(need::program("nft"), need::program("ip"));
    let lab = Lab::new();
    lab.plugin.add(&lab.eth0);
    let adds = steps_of(&lab, "ADD", &lab.net1);
    let dels = steps_of(&lab, "DEL", &lab.eth0);
    lab.ends_well(1, "one after the other");
    // Strides without a common divisor meet every part of both.
    for (first, then) in (0..adds * dels).step_by(211).map(|n| (1 + n % adds, 1 + n / adds)) {
        lab.plugin.add(&lab.eth0);
        let mut add = Traced::start(&lab.plugin, "ADD", &lab.net1);
        add.steps(first);
        let mut del = Traced::start(&lab.plugin, "DEL", &lab.eth0);
        del.steps(then);
        let _ = add.finish();
        let _ = del.finish();
        lab.ends_well(1, &format!("ADD stopped at {first}, DEL at {then}, ADD ends first"));
    }
}

#[test]
fn two_dels_at_once_leave_nothing() {
    need!(need::program("nft"), need::program("ip"));
    let lab = Lab::new();
    lab.plugin.add(&lab.eth0);
    lab.plugin.add(&lab.net1);
    let steps = steps_of(&lab, "DEL", &lab.eth0);
    lab.plugin.del(&lab.net1);
    for step in 1..steps {
        lab.plugin.add(&lab.eth0);
        lab.plugin.add(&lab.net1);
        let mut del = Traced::start(&lab.plugin, "DEL", &lab.eth0);
        del.steps(step);
        lab.plugin.del(&lab.net1);
        let _ = del.finish();
        lab.ends_well(0, &format!("another DEL at step {step}"));
    }
}
