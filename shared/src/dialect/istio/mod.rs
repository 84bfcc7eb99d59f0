//! Istio's dialect, sidecar mode.
use super::defaults::{Defaults, Extra};
use super::{Annotations, Reason, Refusal};
use crate::redirect::Redirect;
use std::net::IpAddr;
pub(super) const EXTRAS: &[Extra] = &[];
pub(super) fn claims(_: &Annotations) -> Result<Result<(), Reason>, Refusal> {
    Ok(Err(Reason::NoMesh))
}
pub(super) fn redirect(_: &Annotations, _: Option<IpAddr>, _: &Defaults) -> Result<Result<Redirect, Reason>, Refusal> {
    Ok(Err(Reason::NoMesh))
}
pub(super) fn always(_: &mut Redirect, _: &Defaults) -> Result<(), Refusal> {
    Ok(())
}
