//! `sluice-node run` against a real API server, with the chart's own rights: the agent, the startup taint, Events, tokens,
//! memory. Nodes and pods are objects only; what a kubelet and a scheduler do with them is in `cluster_*.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

mod crowd;
mod seat;

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seat::{FILE, OTHER, SHOP, Seat, furnish};
use serde_json::{Value, json};
use sluice_tests::cluster::Plane;
use sluice_tests::harness::PerFile;
use sluice_tests::plugin::Plugin;
use sluice_tests::runtime::injected;
use sluice_tests::runtime::node::words;
use sluice_tests::runtime::tools;
use sluice_tests::runtime::watched::{MESHED, OURS};

/// The API that tests share. One at a time has it, as some take it away; it is there when a test begins.
fn shared() -> (Arc<Plane>, MutexGuard<'static, ()>) {
    static TURN: Mutex<()> = Mutex::new(());
    static PLANE: PerFile<Plane> = PerFile::new();
    need!(tools::have(&["kubernetes", "helm", "etcd-debian"]));
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let plane = PLANE.get(|| {
        let plane = Plane::alone();
        furnish(&plane);
        plane
    });
    plane.apiserver.start();
    (plane, turn)
}

#[test]
fn an_api_that_is_away_at_the_start_is_waited_for_and_later_the_store_answers_without_it() {
    let (plane, _turn) = shared();
    let seat = Seat::new(&plane, "away");
    let uid = seat.pod("early", &MESHED);
    assert_eq!(seat.taints(), [OTHER, "sluice-cni.dev/not-ready"]);
    plane.apiserver.kill();
    let _daemon = seat.start();
    seat.place.wait_for_entry(FILE);
    seat.wait_until("the API is missed", 30, || seat.log().contains("the API server: "));
    let unknown = format!("no pod {SHOP}/early is known on node away, and the API server is away: ");
    let said = seat.refusal("early", &uid);
    assert!(said.starts_with(&unknown) && !said.contains('\n'), "{said}");

    plane.apiserver.start();
    seat.wait_for_answer("early", 60);
    seat.wait_for_taint_off();

    plane.apiserver.kill();
    seat.wait_until("the API is missed again", 60, || seat.metric("sluice_api_up") == Some(0.0));
    let answer = seat.ask("early", &uid).unwrap();
    assert_eq!(answer["annotations"]["sluice-cni.dev/redirect"], "enabled");
    assert!(seat.refusal("late", "").contains("the API server is away: "));
}

#[test]
fn the_agent_tells_root_of_its_own_nodes_pods_and_nobody_else_of_anything() {
    let (plane, _turn) = shared();
    let (seat, other) = (Seat::new(&plane, "asked"), Seat::new(&plane, "elsewhere"));
    let uid = seat.pod("known", &MESHED);
    other.pod("others", &MESHED);
    let _daemon = seat.start();
    seat.wait_for_answer("known", 30);
    let told: std::collections::BTreeMap<String, String> =
        serde_json::from_value(seat.ask("known", &uid).unwrap()["annotations"].clone()).unwrap();
    assert!(told.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(sorted(&MESHED)), "{told:?}");
    assert_eq!(seat.refusal("nobody", "u-1"), format!("no pod {SHOP}/nobody is known on node asked"));
    assert_eq!(seat.refusal("others", ""), format!("no pod {SHOP}/others is known on node asked"));
    assert_eq!(seat.refusal("known", "u-1"), format!("pod {SHOP}/known is known with UID {uid}, not u-1"));
    // A pod that comes while it is asked for is waited for a moment.
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            (0..100).map(|_| seat.ask("later", "").unwrap()).find(|answer| answer["annotations"].is_object())
        });
        seat.pod("later", &MESHED);
        assert!(asked.join().unwrap().is_some());
    });
    somebody_else_is_refused(&seat, &uid);
    seat.wait_for_taint_off();
}

fn sorted<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut pairs = pairs.to_vec();
    pairs.sort_unstable();
    pairs
}

/// The plugin itself, under another user, who even may open the socket.
fn somebody_else_is_refused(seat: &Seat<'_>, uid: &str) {
    let socket = seat.place.state.join("agent.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
    std::fs::set_permissions(seat.place.beside(""), PermissionsExt::from_mode(0o755)).unwrap();
    seat.netns("known");
    let said = add(seat, "known", uid, Some(65534)).unwrap_err();
    assert!(said.contains("only root is answered"), "{said}");
}

/// ADD of a pod whose annotations the runtime does not tell: the agent is asked. By which user, if not root; what it failed by.
fn add(seat: &Seat<'_>, pod: &str, uid: &str, user: Option<u32>) -> Result<(), String> {
    let plugin = Plugin::new();
    let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE={SHOP};K8S_POD_NAME={pod};K8S_POD_UID={uid}");
    let request =
        plugin.request_at(&format!("/run/netns/{pod}")).env("CNI_ARGS", args).env("CNI_COMMAND", "ADD");
    let request =
        request.without("runtimeConfig").without("log").with("onMissingAnnotations", json!("agent"));
    let request =
        request.with("stateDir", json!(seat.place.state)).defaults("istio", json!({ "proxy-uid": "agent" }));
    let config = seat.place.beside("request");
    std::fs::write(&config, Value::from(request.config.clone()).to_string()).unwrap();
    let binary = plugin.binary.canonicalize().unwrap();
    let mut command = match user {
        None => std::process::Command::new(binary),
        Some(user) => {
            // From a folder that others may look into.
            let copy = seat.place.beside("sluice");
            std::fs::copy(binary, &copy).unwrap();
            let mut command = words(&["setpriv", "--clear-groups"]);
            command.args([format!("--reuid={user}"), format!("--regid={user}")]).arg(copy);
            command
        }
    };
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(&request.env);
    command.stdin(std::fs::File::open(config).unwrap());
    let done = seat.plane.within(move || command.output().unwrap());
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    if done.status.success() { Ok(()) } else { Err(said) }
}

#[test]
fn the_ids_of_istios_proxy_are_asked_for_where_the_defaults_say_so() {
    let (plane, _turn) = shared();
    let seat = Seat::new(&plane, "openshift");
    let _daemon = seat.start();
    let annotations = injected::istio("REDIRECT");
    let container =
        |ids: Value| json!({ "name": "istio-proxy", "image": "shop.example/proxy", "securityContext": ids });
    let rules = |pod: &'static str| {
        plane.within(move || tools::run(&mut words(&["ip", "netns", "exec", pod, "nft", "list", "ruleset"])))
    };
    let run = |name: &'static str, proxy: Value, more: &[(&str, &str)]| {
        let uid = seat.pod_with(name, &[annotations.as_slice(), more].concat(), &[proxy]);
        seat.wait_for_answer(name, 30);
        seat.netns(name);
        add(&seat, name, &uid, None)
    };
    run("ranged", container(json!({ "runAsUser": 1_000_680_000, "runAsGroup": 1_000_690_000 })), &[])
        .unwrap();
    assert!(
        rules("ranged").contains("skuid 1000680000") && rules("ranged").contains("skgid 1000690000"),
        "{}",
        rules("ranged")
    );
    run("groupless", container(json!({ "runAsUser": 1_000_680_001 })), &[]).unwrap();
    assert!(rules("groupless").contains("skuid 1000680001"), "{}", rules("groupless"));

    let said = run("idless", container(json!({})), &[]).unwrap_err();
    assert!(said.contains("\"code\":101") && said.contains("runAsUser"), "{said}");
    run("named", container(json!({})), &[("sluice-cni.dev/proxy-uid", "7777")]).unwrap();
    assert!(rules("named").contains("skuid 7777"), "{}", rules("named"));
}

#[test]
fn what_happens_to_a_pod_and_to_the_node_is_shown_by_kubectl_describe() {
    let (plane, _turn) = shared();
    let seat = Seat::new(&plane, "described");
    let uid = seat.pod("web", &MESHED);
    let _daemon = seat.start();
    seat.wait_for_answer("web", 30);

    let inside = |words: &'static [&'static str]| plane.within(move || tools::run(&mut self::words(words)));
    seat.netns("web");
    add(&seat, "web", &uid, None).unwrap();
    let rules = || inside(&["ip", "netns", "exec", "web", "nft", "list", "ruleset"]);
    assert!(rules().contains(OURS), "the annotations came from the agent");
    inside(&["ip", "netns", "exec", "web", "nft", "delete", "table", "inet", "sluice"]);
    seat.wait_until("the table is back", 30, || rules().contains(OURS));
    seat.wait_for_described(&["pod", "web", "-n", SHOP], "SluiceRepaired", 30);

    seat.wage_war();
    seat.wait_for_described(&["node", seat.name], "SluiceRewriteWar", 30);
    assert_eq!(seat.metric("sluice_events_dropped_total"), Some(0.0), "{}", seat.log());
}

#[test]
fn a_token_that_was_replaced_is_read_again_and_an_event_that_it_was_refused_for_is_made_then() {
    let (plane, turn) = shared();
    let seat = Seat::new(&plane, "rotated");
    seat.pod("before", &MESHED);
    plane.kubectl(&["create", "secret", "generic", "first", "-n", "sluice"]).unwrap();
    let (first, second) = (seat.token("Secret", "first"), seat.token("Node", seat.name));
    seat.put_token(&first);
    let _daemon = seat.start();
    seat.wait_for_answer("before", 30);
    seat.put_token(&second);
    plane.kubectl(&["delete", "secret", "first", "-n", "sluice"]).unwrap();
    // Whom the API server has let in lately, it lets in for ten seconds more.
    let list = ["get", "pods", "-n", SHOP, "--token", &first];
    seat.wait_until("the old token is refused", 60, || {
        plane.kubectl(&list).is_err_and(|why| why.contains("Unauthorized") || why.contains("logged in"))
    });
    seat.wage_war();
    // It takes a minute. The others may take the API away meanwhile.
    drop(turn);
    seat.wait_for_described(&["node", seat.name], "SluiceRewriteWar", 150);
    assert_eq!(seat.metric("sluice_events_dropped_total"), Some(0.0), "{}", seat.log());
}
