//! What is done again and again: controllers make and delete pods, the scheduler places them, kubelets run them, and Services
//! follow.

use super::*;

impl State {
    /// Everything that is due.
    pub(super) fn turn(&mut self, now: Instant) {
        self.control_sets(now);
        self.control_fleets(now);
        self.place_pods();
        self.turn_pods(now);
        self.bury_pods();
        self.tell_services(now);
    }

    fn seen(
        &self,
        owner: (&str, &str),
        revision: u64,
        min_ready: u64,
        now: Instant,
    ) -> (Vec<usize>, Vec<Seen>) {
        let is_of = |pod: &Pod| (pod.owner.kind, pod.owner.name.as_str()) == owner;
        let places: Vec<usize> = (0..self.pods.len()).filter(|at| is_of(&self.pods[*at])).collect();
        let see = |at: &usize| {
            let pod = &self.pods[*at];
            let ready_for = pod.ready_since.map(|since| now.saturating_duration_since(since));
            Seen {
                ordinal: pod.owner.ordinal,
                is_new: pod.owner.revision == revision,
                is_ready: pod.is_ready(),
                is_available: pod.is_ready() && ready_for >= Some(Duration::from_secs(min_ready)),
                is_ending: pod.deleted.is_some(),
            }
        };
        let seen = places.iter().map(see).collect();
        (places, seen)
    }

    fn control_sets(&mut self, now: Instant) {
        for number in 0..self.sets.len() {
            let controlled = &self.sets[number];
            let (name, namespace) =
                (controlled.object.metadata.name.clone(), controlled.object.metadata.namespace.clone());
            let (spec, revision) = (&controlled.object.spec, controlled.revision);
            let set = Set {
                replicas: spec.replicas.unwrap_or(1),
                management: spec.pod_management_policy,
                partition: spec.update_strategy.rolling_update.partition,
                on_delete: spec.update_strategy.kind.as_deref() == Some("OnDelete"),
            };
            let deletes_claims =
                spec.persistent_volume_claim_retention_policy.when_scaled.as_deref() == Some("Delete");
            let (places, seen) = self.seen((SET, &name), revision, spec.min_ready_seconds, now);
            for action in controller::stateful_set(set, &seen) {
                match action {
                    Do::Create { ordinal, from_new } => {
                        let controlled = &self.sets[number];
                        let previous = controlled.previous.as_ref().filter(|_| !from_new);
                        let revision = if previous.is_some() { revision - 1 } else { revision };
                        let mut template = previous.unwrap_or(&controlled.object.spec.template).clone();
                        template.spec.subdomain = controlled.object.spec.service_name.clone();
                        let pod = format!("{name}-{ordinal}");
                        template
                            .metadata
                            .labels
                            .insert("statefulset.kubernetes.io/pod-name".to_owned(), pod.clone());
                        template
                            .metadata
                            .labels
                            .insert("apps.kubernetes.io/pod-index".to_owned(), ordinal.to_string());
                        let owner = Owner { kind: SET, name: name.clone(), revision, ordinal };
                        let claims = claim_templates(&self.sets, &owner);
                        self.create(pod, namespace.clone(), owner, &template, claims);
                    }
                    Do::Delete { at } => {
                        let pod = &mut self.pods[places[at]];
                        pod.delete(now, pod.spec.grace());
                        let (pod, is_surplus) = (pod.name.clone(), pod.owner.ordinal >= set.replicas);
                        self.note(&pod, "deleted by its StatefulSet");
                        if deletes_claims && is_surplus {
                            self.doom_claims(&pod);
                        }
                    }
                }
            }
        }
    }

    fn control_fleets(&mut self, now: Instant) {
        for number in 0..self.fleets.len() {
            let controlled = &self.fleets[number];
            let (name, namespace) =
                (controlled.object.metadata.name.clone(), controlled.object.metadata.namespace.clone());
            let (spec, revision) = (&controlled.object.spec, controlled.revision);
            let replicas = spec.replicas.unwrap_or(1);
            let quarter = Value::from("25%");
            let update = &spec.strategy.rolling_update;
            let surge = scaled(update.max_surge.as_ref().unwrap_or(&quarter), replicas);
            let unavailable = scaled_down(update.max_unavailable.as_ref().unwrap_or(&quarter), replicas);
            // Both may not be nothing.
            let unavailable = if surge == 0 { unavailable.max(1) } else { unavailable };
            let (places, seen) = self.seen((FLEET, &name), revision, spec.min_ready_seconds, now);
            for action in controller::deployment(Fleet { replicas, surge, unavailable }, &seen) {
                match action {
                    Do::Create { .. } => {
                        let template = self.fleets[number].object.spec.template.clone();
                        let owner = Owner { kind: FLEET, name: name.clone(), revision, ordinal: 0 };
                        let pod = format!("{name}-{revision}-{:04x}", self.made);
                        self.create(pod, namespace.clone(), owner, &template, Vec::new());
                    }
                    Do::Delete { at } => {
                        let pod = &mut self.pods[places[at]];
                        pod.delete(now, pod.spec.grace());
                        let pod = pod.name.clone();
                        self.note(&pod, "deleted by its Deployment");
                    }
                }
            }
        }
    }

    fn create(
        &mut self,
        name: String,
        namespace: String,
        owner: Owner,
        template: &Template,
        claims: Vec<String>,
    ) {
        self.made += 1;
        self.note(&name, "created");
        self.pods.push(Pod::new(name, namespace, owner, template, claims, self.made));
    }

    fn place_pods(&mut self) {
        for at in 0..self.pods.len() {
            let pod = &self.pods[at];
            if pod.place.is_some() || pod.deleted.is_some() {
                continue;
            }
            let templates = claim_templates(&self.sets, &pod.owner);
            let key = |template: &String| (pod.namespace.clone(), claim_name(template, &pod.name));
            let claims: Vec<_> = templates.iter().map(key).collect();
            let zone = claims.iter().find_map(|claim| self.claims.get(claim)).map(String::as_str);
            let placed: Vec<Placed<'_>> = self
                .pods
                .iter()
                .filter(|other| other.deleted.is_none())
                .filter_map(|other| {
                    let machine = &self.machines[other.place.as_ref()?.machine].name;
                    Some(Placed { labels: &other.labels, namespace: &other.namespace, machine })
                })
                .collect();
            let chosen =
                schedule::choose(&pod.spec, &pod.labels, &pod.namespace, zone, &self.machines, &placed);
            match chosen {
                Err(why) => self.pods[at].why = why,
                Ok(machine) => {
                    let Some(slot) = self.slots.pop_front() else { continue };
                    let machine_zone = self.machines[machine].zone().to_owned();
                    self.claims.extend(claims.into_iter().map(|claim| (claim, machine_zone.clone())));
                    let linked = self.network.switch_link(slot, true);
                    let one = &self.machines[machine];
                    let event = format!("goes to {}, {}", one.name, crate::network::address(slot));
                    let name = self.pods[at].name.clone();
                    self.pods[at].settle(machine, slot, &one.name.clone(), &one.labels.clone());
                    self.note(&name, &event);
                    if let Err(error) = linked {
                        self.note(&name, &crate::run::chain(&error));
                    }
                }
            }
        }
    }

    fn turn_pods(&mut self, now: Instant) {
        let around = Around {
            network: &self.network,
            stores: Stores { config_maps: &self.manifests.config_maps, secrets: &self.manifests.secrets },
            image: &self.settings.image,
            program: &self.settings.program,
            home: &self.settings.home,
        };
        let mut events = Vec::new();
        for pod in &mut self.pods {
            let machine = pod.place.as_ref().map(|place| place.machine);
            match machine.and_then(|machine| self.dark.get(&machine)) {
                Some(since) => {
                    let silent = now.saturating_duration_since(*since);
                    if silent >= self.settings.machine_silence && !pod.is_lost {
                        pod.is_lost = true;
                        let what = "its node is silent, it counts as not ready".to_owned();
                        events.push(Event { pod: pod.name.clone(), what, concern: Concern::None });
                    }
                }
                None => events.extend(pod.turn(now, &around)),
            }
        }
        events.into_iter().for_each(|event| self.keep(event));
    }

    /// Removes what has ended of those that were deleted.
    fn bury_pods(&mut self) {
        let is_dark =
            |pod: &Pod| pod.place.as_ref().is_some_and(|place| self.dark.contains_key(&place.machine));
        let gone: Vec<usize> =
            (0..self.pods.len()).filter(|at| self.pods[*at].is_gone() && !is_dark(&self.pods[*at])).collect();
        for at in gone.into_iter().rev() {
            let pod = self.pods.remove(at);
            let around = Around {
                network: &self.network,
                stores: Stores { config_maps: &self.manifests.config_maps, secrets: &self.manifests.secrets },
                image: &self.settings.image,
                program: &self.settings.program,
                home: &self.settings.home,
            };
            pod.clear(&around);
            let mut failed = None;
            if let Some(place) = &pod.place {
                failed = self.network.switch_link(place.slot, false).err();
                self.slots.push_back(place.slot);
            }
            for template in claim_templates(&self.sets, &pod.owner) {
                let claim = (pod.namespace.clone(), claim_name(&template, &pod.name));
                if self.doomed.remove(&claim) {
                    self.claims.remove(&claim);
                    let path = claim_path(&self.settings.home.join("claims"), &claim.0, &claim.1);
                    let had = std::fs::read_dir(&path).map_or(0, Iterator::count);
                    let removed = std::fs::remove_dir_all(&path).is_ok();
                    let what = format!("volume {} with {had} entries removed: {removed}", claim.1);
                    self.note(&pod.name, &what);
                }
            }
            self.note(&pod.name, "gone");
            if let Some(error) = failed {
                self.note(&pod.name, &crate::run::chain(&error));
            }
        }
    }

    fn tell_services(&mut self, now: Instant) {
        let endpoint = |pod: &Pod| {
            Some(Endpoint {
                namespace: pod.namespace.clone(),
                labels: pod.labels.clone(),
                host: pod.name.clone(),
                subdomain: pod.spec.subdomain.clone(),
                address: pod.address()?,
                containers: Arc::new(pod.spec.containers.clone()),
                is_ready: pod.is_ready(),
                is_ending: pod.deleted.is_some(),
            })
        };
        let endpoints: Vec<Endpoint> = self.pods.iter().filter_map(endpoint).collect();
        for service in &mut self.services {
            service.follow(&endpoints, &self.names, now, self.settings.propagation);
        }
    }
}
