//! CRI v1 (the kubelet's API to a container runtime) over gRPC on a unix socket: what Sluice's programs ask a
//! runtime.
//!
//! The messages are declared by hand with prost's derive, field numbers as in `runtime.v1` of Kubernetes' cri-api: there is
//! no protoc on a fresh machine, and fields that are not declared are skipped when read.

use std::path::Path;
use std::time::Duration;

use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};

pub mod messages;

use messages::{
    ListPodSandboxRequest, ListPodSandboxResponse, PodSandboxStatusRequest, PodSandboxStatusResponse,
    StatusRequest, StatusResponse,
};

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

    /// Whether runtime and network are ready; verbose: the loaded CNI configuration too (containerd).
    ///
    /// # Errors
    /// The runtime's status.
    pub async fn status(&self, request: StatusRequest) -> Answer<StatusResponse> {
        self.call("/runtime.v1.RuntimeService/Status", request).await
    }

    /// One pod; verbose: its network namespace too.
    ///
    /// # Errors
    /// The runtime's status.
    pub async fn pod_sandbox_status(
        &self,
        request: PodSandboxStatusRequest,
    ) -> Answer<PodSandboxStatusResponse> {
        self.call("/runtime.v1.RuntimeService/PodSandboxStatus", request).await
    }

    /// All pods, with their annotations.
    ///
    /// # Errors
    /// The runtime's status.
    pub async fn list_pod_sandbox(&self, request: ListPodSandboxRequest) -> Answer<ListPodSandboxResponse> {
        self.call("/runtime.v1.RuntimeService/ListPodSandbox", request).await
    }

    /// Any call, by the path of its method.
    ///
    /// # Errors
    /// The runtime's status.
    pub async fn call<Q, A>(&self, method: &'static str, request: Q) -> Answer<A>
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
