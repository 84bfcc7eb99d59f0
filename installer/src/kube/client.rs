//! How the API server is reached: by the pod's own credentials, or by a kubeconfig.
//!
//! Both the token and the CA of a pod are read again by kube each minute, so that their rotation needs nothing from us.

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::error::Error;
use super::pods::{Api, Pods};

/// How often credentials are looked for that are not there yet.
const AGAIN: Duration = Duration::from_secs(5);

/// A connection on which nothing comes for so long is dead. The server ends a watch after 290 s at the latest.
const SILENCE: Duration = Duration::from_secs(300);

/// A client; waits for its credentials for ever. Whether the server answers is not asked here.
pub(super) async fn connect(kubeconfig: Option<&Path>, pods: &Pods) -> Client {
    loop {
        match client(kubeconfig).await {
            Ok(client) => return client,
            Err(why) => pods.now(Api::Away(why.to_string())),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The same, at once or not at all.
pub(super) async fn client(kubeconfig: Option<&Path>) -> Result<Client, Error> {
    let mut config = config(kubeconfig).await?;
    config.read_timeout = Some(SILENCE);
    // Without a CA, the system's own list of authorities would decide who is the API server.
    if config.root_cert.is_none() && config.root_cert_file.is_none() {
        return Err(Error::NoCa(config.cluster_url.to_string()));
    }
    Ok(Client::try_from(config)?)
}

async fn config(kubeconfig: Option<&Path>) -> Result<Config, Error> {
    let read = match kubeconfig {
        Some(path) => Some(
            Kubeconfig::read_from(path)
                .map_err(|source| Error::KubeconfigFile { path: path.to_owned(), source })?,
        ),
        None => Kubeconfig::from_env().map_err(Error::KubeconfigEnv)?,
    };
    match read {
        Some(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(Error::Kubeconfig),
        None => Config::incluster().map_err(Error::NotInCluster),
    }
}
