//! Which plugins a runtime has loaded, as containerd's answer to `Status(verbose)` tells.

use std::collections::HashMap;

use serde::Deserialize;

/// Each loaded network's plugin types; `None` where the runtime does not tell.
#[must_use]
pub fn read(info: &HashMap<String, String>) -> Option<Vec<Vec<String>>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Info {
        #[serde(default)]
        networks: Option<Vec<Network>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Network {
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config {
        plugins: Option<Vec<Plugin>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Plugin {
        network: Option<Type>,
    }
    #[derive(Deserialize)]
    struct Type {
        r#type: String,
    }
    let info: Option<Info> = serde_json::from_str(info.get("cniconfig")?).ok()?;
    let networks = info.and_then(|info| info.networks).unwrap_or_default();
    let types = |network: Network| {
        let plugins = network.config.and_then(|config| config.plugins).unwrap_or_default();
        plugins.into_iter().filter_map(|plugin| Some(plugin.network?.r#type)).collect()
    };
    Some(networks.into_iter().map(types).collect())
}

/// The pods' network: the first that is more than loopback.
#[must_use]
pub fn default(networks: &[Vec<String>]) -> Option<&Vec<String>> {
    networks.iter().find(|types| types.iter().any(|found| found != "loopback"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(cniconfig: &str) -> Option<Vec<Vec<String>>> {
        read(&HashMap::from([("cniconfig".to_owned(), cniconfig.to_owned())]))
    }

    #[test]
    fn what_containerd_tells_is_read_and_what_others_leave_out_is_no_answer() {
        let networks = told(
            r#"{"PluginDirs":["/opt/cni/bin"],"Networks":[
                {"IFName":"lo","Config":{"Plugins":[{"Network":{"type":"loopback"},"Source":"{}"}]}},
                {"IFName":"eth0","Config":{"Plugins":[{"Network":{"type":"bridge"}},{"Network":{"type":"sluice"}}]}}]}"#,
        )
        .unwrap();
        assert_eq!(default(&networks).unwrap().join(","), "bridge,sluice");
        assert_eq!(told("null"), Some(vec![]), "nothing loaded");
        assert_eq!(told(r#"{"Networks":null}"#), Some(vec![]));
        assert_eq!(read(&HashMap::new()), None, "CRI-O tells nothing of CNI");
    }
}
