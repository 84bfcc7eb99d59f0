//! The table: which address a pod, plain or diverted, is called from, by every way and by everyone.

use super::cast::{PODS, Pod};
use super::town::{self, Town, Way};

/// Who calls, as the pod that is called would put it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Pod(&'static Pod),
    /// A process of the node's own, by the node's name.
    Node(&'static str),
    /// A machine that is no node.
    Outside,
}

/// What the pod that is called must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sees {
    /// The caller's own address.
    Caller,
    /// The bridge of the pod's node: kube-proxy masquerades, on that node.
    Bridge,
    /// The other node: kube-proxy masquerades there.
    Other,
    /// Nothing, and the caller gets no answer.
    Nothing,
}

use Sees::{Bridge, Caller as Client, Nothing, Other};

/// Columns: the pod itself, a pod on its node, a pod on the other node, its node, the other node, outside.
const TABLE: [(Way, [Sees; 6]); 6] = [
    (Way::ClusterIp, [Bridge, Client, Client, Bridge, Client, Nothing]),
    (Way::NodePortHere, [Bridge, Bridge, Bridge, Bridge, Bridge, Bridge]),
    (Way::NodePortThere, [Other, Other, Other, Other, Other, Other]),
    // Pods need not go by the policy, as if they called the ClusterIP.
    (Way::LocalHere, [Bridge, Client, Client, Bridge, Client, Client]),
    // No endpoint on that node. It sends pods on all the same, under their own address: to a pod on its own node the answer
    // then comes straight from whom it did not call.
    (Way::LocalThere, [Other, Nothing, Client, Nothing, Other, Nothing]),
    (Way::Headless, [Client, Client, Client, Bridge, Client, Client]),
];

impl Caller {
    pub(crate) fn all() -> Vec<Self> {
        let pods = PODS.iter().map(Caller::Pod);
        pods.chain([Caller::Node("node-1"), Caller::Node("node-2"), Caller::Outside]).collect()
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Caller::Pod(pod) => pod.name,
            Caller::Node(name) => name,
            Caller::Outside => "outside",
        }
    }

    fn column(self, callee: &Pod) -> usize {
        match self {
            Caller::Pod(pod) if pod.name == callee.name => 0,
            Caller::Pod(pod) if pod.node == callee.node => 1,
            Caller::Pod(_) => 2,
            Caller::Node(name) if name == callee.node => 3,
            Caller::Node(_) => 4,
            Caller::Outside => 5,
        }
    }
}

/// One call.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) callee: &'static Pod,
    pub(crate) way: Way,
    pub(crate) udp: bool,
    /// 0 is IPv4, 1 is IPv6.
    pub(crate) family: usize,
}

/// Every call of this caller's.
pub(crate) fn calls(caller: Caller) -> Vec<Call> {
    let mut calls = Vec::new();
    for callee in &PODS {
        for (way, _) in TABLE {
            for (udp, family) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
                calls.push(Call { caller, callee, way, udp, family });
            }
        }
    }
    calls
}

impl Call {
    /// `tcp:10.96.0.7:80`
    pub(crate) fn target(&self, town: &Town) -> String {
        let protocol = if self.udp { "udp" } else { "tcp" };
        format!("{protocol}:{}", town.address(self.callee, self.way, self.udp, self.family))
    }

    /// Whether there must be no answer.
    pub(crate) fn in_vain(&self) -> bool {
        self.client().is_none()
    }

    /// Whose address the pod has to see; None: there must be no answer.
    fn client(&self) -> Option<String> {
        let row = TABLE.iter().find(|(way, _)| *way == self.way).unwrap();
        let other = if self.callee.node == "node-1" { "node-2" } else { "node-1" };
        match row.1[self.caller.column(self.callee)] {
            Client => Some(self.caller.name().into()),
            Bridge => Some(format!("{}'s bridge", self.callee.node)),
            Other => Some(other.into()),
            Nothing => None,
        }
    }

    /// To its own address a pod does not leave itself: over lo, which nobody diverts.
    fn over_lo(&self) -> bool {
        self.way == Way::Headless && self.caller == Caller::Pod(self.callee)
    }

    /// Whether the caller's proxy has to take it.
    fn passes_out(&self) -> bool {
        let diverts = matches!(self.caller, Caller::Pod(pod) if pod.diverts(self.family));
        diverts && !self.udp && !self.over_lo()
    }

    /// Whether the proxy of the pod that is called has to take it.
    fn passes_in(&self) -> bool {
        self.callee.diverts(self.family) && !self.udp && !self.over_lo()
    }

    /// What the answer has to say: who answers, whom it sees, and what the proxies on the way say of the same.
    pub(crate) fn expected(&self, town: &Town) -> Answer {
        let outbound = self.passes_out().then(|| {
            let dialled = town.address(self.callee, self.way, self.udp, self.family);
            (self.caller.name().to_string(), dialled)
        });
        // Where a plain pod waits in vain, a diverted one's own proxy says 503.
        let Some(client) = self.client() else { return Answer { outbound, ..Answer::default() } };
        let own = town.pod(self.callee.name, self.family);
        let inbound = self.passes_in().then(|| (client.clone(), town::socket(own, 8080)));
        // Here, and nowhere else, a diverted pod's app may see something else than a plain one.
        let app_sees = match inbound {
            Some(_) => town.name(self.callee.app_sees(&client, own, self.family)).to_string(),
            None => client,
        };
        Answer { app: Some((self.callee.name.to_string(), app_sees)), inbound, outbound }
    }
}

/// What an answer says; of all clients the names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Who answers, and whom it sees. None: no answer.
    pub(crate) app: Option<(String, String)>,
    /// Whom the called pod's proxy sees, and the address called as SO_ORIGINAL_DST tells it.
    pub(crate) inbound: Option<(String, String)>,
    /// The same of the calling pod's proxy.
    pub(crate) outbound: Option<(String, String)>,
}

impl Answer {
    /// Reads a line of `/pod ask`, without what was asked.
    pub(crate) fn read(line: &str, town: &Town) -> Self {
        let header = |name: &str| {
            let rest = line.split(&format!("| x-envoy-{name}: ")).nth(1)?;
            let (client, meant) = rest.split(" | ").next()?.split_once(" at ")?;
            Some((town.name(host(client)).to_string(), meant.to_string()))
        };
        let app = line.rsplit_once(" sees ").map(|(before, after)| {
            let who = before.rsplit(' ').next().unwrap_or_default();
            (who.to_string(), town.name(host(after.split(' ').next().unwrap_or_default())).to_string())
        });
        Self { app, inbound: header("inbound"), outbound: header("outbound") }
    }
}

fn host(socket: &str) -> &str {
    let host = socket.rsplit_once(':').map_or(socket, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}
