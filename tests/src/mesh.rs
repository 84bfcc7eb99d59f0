//! A pod in its world, programmed by the plugin, and short words for sending it packets.

use std::ops::{Deref, DerefMut};

use crate::plugin::prev_result;
use crate::world::World;
use crate::{Answer, Plugin, Probe, Request, Who};

/// The ids of the proxy in every test of our own dialect.
pub const PROXY: Who = Who::new(1337, 1337);

/// The pod of `istio.tsv` (10.1.0.2, fd00:1::2) with the plugin's rules in it.
#[derive(Debug)]
pub struct Mesh {
    pub world: World,
    pub plugin: Plugin,
    pub request: Request,
}

impl Mesh {
    /// Programmed by our own annotations on top of [`Request::native`].
    #[must_use]
    pub fn native(fields: &[(&str, &str)]) -> Self {
        let mesh = Self::unprogrammed(fields);
        mesh.plugin.add(&mesh.request);
        mesh
    }

    /// The same before its ADD.
    #[must_use]
    pub fn unprogrammed(fields: &[(&str, &str)]) -> Self {
        Self::of(fields.contains(&("mode", "tproxy")), |request| {
            request.native(fields).with("prevResult", prev_result(&["10.1.0.2/24", "fd00:1::2/64"]))
        })
    }

    /// Any request, before its ADD.
    #[must_use]
    pub fn of(tproxy: bool, configure: impl FnOnce(Request) -> Request) -> Self {
        let world = World::istio(tproxy);
        let plugin = Plugin::new();
        let request = configure(plugin.request(&world.pod));
        Mesh { world, plugin, request }
    }

    /// Who takes TCP that someone in the pod sends.
    #[must_use]
    pub fn out(&self, who: Who, to: &str) -> String {
        Probe::tcp(who, to).send(&self.pod).by().into()
    }

    /// Who takes UDP that someone in the pod sends.
    #[must_use]
    pub fn ask(&self, who: Who, to: &str) -> String {
        Probe::udp(who, to).send(&self.pod).by().into()
    }

    /// Who takes TCP that comes from outside.
    #[must_use]
    pub fn enters(&self, to: &str) -> String {
        Probe::tcp(Who::ROOT, to).send(&self.peer).by().into()
    }

    /// The same from a certain address.
    #[must_use]
    pub fn enters_from(&self, from: &str, to: &str) -> String {
        Probe::tcp(Who::ROOT, to).from(from).send(&self.peer).by().into()
    }

    /// Who takes TCP of the VM behind the bridge.
    #[must_use]
    pub fn vm(&self, to: &str) -> String {
        Probe::tcp(Who::APP, to).send(&self.inner).by().into()
    }

    /// The whole answer to TCP that someone in the pod sends.
    #[must_use]
    pub fn answer_out(&self, who: Who, to: &str) -> Answer {
        Probe::tcp(who, to).send(&self.pod).answer()
    }

    /// The whole answer to TCP that comes from outside.
    #[must_use]
    pub fn answer_in(&self, to: &str) -> Answer {
        Probe::tcp(Who::ROOT, to).send(&self.peer).answer()
    }
}

impl Deref for Mesh {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Mesh {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}
