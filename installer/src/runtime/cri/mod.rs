//! CRI v1 (the kubelet's API to a container runtime) over gRPC on a unix socket, as much of it as Sluice needs.
//!
//! The messages are declared by hand with prost's derive, field numbers as in `runtime.v1` of Kubernetes' cri-api: there is
//! no protoc on a fresh machine, and fields that are not declared are skipped when read.

use std::path::Path;
use std::time::Duration;

use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};

pub mod cni;
pub mod messages;
pub mod networks;
use messages::*;

/// As the kubelet: a list of pods with all their annotations is long.
const LARGEST: usize = 16 << 20;

/// A connection to one runtime.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    deadline: Option<Duration>,
}

/// What a call comes to: the answer, or the runtime's status with its message.
pub type Answer<T> = Result<T, tonic::Status>;

/// One CRI call a line: method of ours, method of the service, request, answer.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident $method:literal $request:ty => $answer:ty;)*) => {
        impl Client {
            $($(#[$doc])* pub async fn $name(&self, request: $request) -> Answer<$answer> {
                self.call(concat!("/runtime.v1.RuntimeService/", $method), request).await
            })*
        }
    };
}

calls! {
    /// Which runtime this is.
    version "Version" VersionRequest => VersionResponse;
    /// Whether runtime and network are ready; verbose: the loaded CNI configuration too (containerd).
    status "Status" StatusRequest => StatusResponse;
    /// Makes a pod: network namespace, CNI ADD, pause container.
    run_pod_sandbox "RunPodSandbox" RunPodSandboxRequest => RunPodSandboxResponse;
    /// Stops a pod: CNI DEL, network namespace gone.
    stop_pod_sandbox "StopPodSandbox" StopPodSandboxRequest => Empty;
    /// Removes a pod; stops it first, so CNI DEL comes again.
    remove_pod_sandbox "RemovePodSandbox" RemovePodSandboxRequest => Empty;
    /// One pod; verbose: its network namespace too.
    pod_sandbox_status "PodSandboxStatus" PodSandboxStatusRequest => PodSandboxStatusResponse;
    /// All pods, with their annotations.
    list_pod_sandbox "ListPodSandbox" ListPodSandboxRequest => ListPodSandboxResponse;
    /// Makes a container in a pod.
    create_container "CreateContainer" CreateContainerRequest => CreateContainerResponse;
    /// Starts it.
    start_container "StartContainer" StartContainerRequest => Empty;
    /// Stops it, by force after the timeout.
    stop_container "StopContainer" StopContainerRequest => Empty;
    /// Removes it.
    remove_container "RemoveContainer" RemoveContainerRequest => Empty;
    /// Runs a program in it and waits.
    exec_sync "ExecSync" ExecSyncRequest => ExecSyncResponse;
}

impl Client {
    /// Connects to the socket, an absolute path.
    pub async fn connect(socket: &Path) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::try_from(format!("unix://{}", socket.display()))?;
        Ok(Self { channel: endpoint.connect().await?, deadline: None })
    }

    /// The same connection with a deadline for each call, which the runtime is told.
    pub fn within(&self, deadline: Duration) -> Self {
        Self { channel: self.channel.clone(), deadline: Some(deadline) }
    }

    async fn call<Q, A>(&self, method: &'static str, request: Q) -> Answer<A>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(LARGEST);
        grpc.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
        let codec = tonic_prost::ProstCodec::default();
        let mut request = tonic::Request::new(request);
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline);
        }
        let answer = grpc.unary(request, PathAndQuery::from_static(method), codec).await?;
        Ok(answer.into_inner())
    }
}
