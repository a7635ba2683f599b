//! The way out, built: simulator, routes, name servers, delivery, queue.

use std::sync::Arc;

use super::state::State;
use super::wires::{NoticeWire, PermitWire, ReturnPathWire, SuppressionWire};
use super::{AppError, Hands, options};
use crate::config::Config;
use crate::delivery::{self, Delivery};
use crate::egress::routes::{Host, Pattern, RouteRule, Routes, Tls};
use crate::intake::Notary;
use crate::net::dns::Dns;
use crate::queue::{Partners, Queue};
use crate::simulator::Simulator;
use crate::supervise;

/// What moves mail out.
pub(super) struct Way {
    pub(super) simulator: Simulator,
    pub(super) routes: Routes,
    pub(super) queue: Queue,
}

/// Builds the way out; nothing moves before the queue runs.
pub(super) async fn build(
    config: &Arc<Config>,
    state: &State,
    hands: &Hands,
) -> Result<Way, AppError> {
    let simulator = Simulator::start(&config.hostname, Arc::clone(&hands.clock))
        .await
        .map_err(|error| AppError::Machine(format!("the simulator has no port: {error}")))?;
    let dns = Dns::new(&options::dns(config)).map_err(|failure| {
        AppError::Machine(format!(
            "no name server ({failure:?}); set dns.servers or mend /etc/resolv.conf"
        ))
    })?;
    let (config, state, hands) = (Arc::clone(config), state.clone(), hands.clone());
    let built = supervise::blocking("open queue", move || {
        let built_in = simulator
            .domains()
            .iter()
            .map(|domain| to_simulator(Pattern::Exact(domain.clone()), &simulator));
        let routes = Routes::open(state.store.clone(), built_in.collect())?;
        let paths = Arc::new(ReturnPathWire::new(&state));
        let clock = Arc::clone(&hands.clock);
        let parts = delivery::Parts { dns, routes: routes.clone(), paths, clock };
        let delivery = Delivery::new(&options::delivery(&config), parts)
            .map_err(|error| AppError::Machine(format!("TLS cannot be spoken: {error}")))?;
        let notary = Notary::new(
            state.store.clone(),
            Arc::clone(&state.identities),
            config.hostname.clone(),
            Arc::clone(&hands.clock),
        );
        let partners = Partners {
            courier: Arc::new(delivery),
            notices: Arc::new(NoticeWire(notary)),
            suppression: Arc::new(SuppressionWire {
                list: state.suppression.clone(),
                simulated: simulator.domains().to_vec(),
                clock: Arc::clone(&hands.clock),
            }),
            permits: Arc::new(PermitWire::new(&state, &config)),
        };
        let queue = Queue::open(state.store, hands.clock, partners, options::queue(&config))?;
        Ok(Way { simulator, routes, queue })
    });
    built.await.unwrap_or(Err(AppError::Panicked))
}

/// A route to the simulator, which speaks plain text on loopback.
pub(super) fn to_simulator(pattern: Pattern, simulator: &Simulator) -> RouteRule {
    let address = simulator.address();
    RouteRule { pattern, host: Host::Address(address.ip()), port: address.port(), tls: Tls::Never }
}
