//! Nodes that come and go for good: scaling, volumes that are lost, and the shares of replicas that follow.

use super::*;

impl Operator<'_> {
    fn survey(&self) -> Result<Value, String> {
        let (service, _) = self.world.service(self.service).ok_or("no Service")?;
        let request = Request::new("GET", format!("{service}/api/v1/cluster/status"));
        let reply = self.client(ASK).send(request).map_err(|error| error.to_string())?;
        let said: Value = serde_json::from_slice(&reply.body).map_err(|error| error.to_string())?;
        if said["isCurrent"] == true { Ok(said) } else { Err(excerpt(&reply)) }
    }

    /// What the cluster says of the node that a pod is now.
    fn node_of(&self, pod: &str) -> Result<Value, String> {
        let said = self.survey()?;
        let is_it = |one: &&Value| {
            let is_out = one["state"] == "lost" || one["state"] == "decommissioned";
            !is_out && one["address"].as_str().is_some_and(|address| address.starts_with(&format!("{pod}.")))
        };
        let found = said["nodes"].as_array().into_iter().flatten().find(is_it).cloned();
        found.ok_or_else(|| format!("no node {pod}: {said}"))
    }

    /// Waits until every node has its share of replicas: nothing is on its way, and the nodes of a zone have about as many
    /// as one another. Zones have as many as there are nodes in them, or one node has all of its zone.
    fn wait_shares(&self) -> Result<Vec<u64>, String> {
        wait_until(self.limit, || {
            let moves = self.survey()?["moves"].as_array().map_or(0, Vec::len);
            let pods = self.pods();
            let of = |pod: &PodView| Ok(self.node_of(&pod.name)?["replicas"].as_u64().unwrap_or(0));
            let shares = pods.iter().map(of).collect::<Result<Vec<u64>, String>>()?;
            if moves == 0 && are_even(&pods, &shares) {
                return Ok(shares);
            }
            Err(format!("{moves} on their way, replicas {shares:?}"))
        })
    }

    pub(super) fn scale_up(&self, to: usize, seen: &mut Seen) -> Done {
        let since = self.world.elapsed();
        self.world.scale(self.set, to, true)?;
        let ready = self.wait_ready()?;
        let shares = self.wait_shares()?;
        let took = (self.world.elapsed() - since).as_secs_f64();
        let zones: BTreeSet<String> = self.pods().into_iter().map(|pod| pod.zone).collect();
        seen.saw(
            shares.len() == to,
            format!(
                "{to} ready after {:.1} s, in {} zones; each has its share after {took:.1} s: {shares:?}",
                ready.as_secs_f64(),
                zones.len()
            ),
        );
        Ok(())
    }

    pub(super) fn scale_down(&self, to: usize, seen: &mut Seen) -> Done {
        let from = self.world.replicas(self.set);
        for ordinal in (to..from).rev() {
            let pod = format!("{}-{ordinal}", self.set);
            let since = self.world.elapsed();
            // It leaves, and its pod starts again and again until it is scaled away.
            seen.excused.insert(pod.clone());
            let node = wait_until(self.limit, || self.node_of(&pod))?;
            let id = node["id"].as_str().map_or_else(|| node["id"].to_string(), str::to_owned);
            let had = node["replicas"].as_u64();
            self.order(&id, "drain")?;
            wait_until(self.limit, || match self.node_of(&pod)?["holds"].as_u64() {
                Some(0) => Ok(()),
                left => Err(format!("{pod} holds {left:?}")),
            })?;
            let drained = (self.world.elapsed() - since).as_secs_f64();
            self.order(&id, "decommission")?;
            let left = wait_until(self.limit, || {
                self.noted(&pod, since, " ended ").ok_or_else(|| format!("{pod} has not left"))
            })?;
            self.world.scale(self.set, ordinal, true)?;
            wait_until(self.limit, || match self.pod(&pod) {
                Some(_) => Err(format!("{pod} is still there")),
                None => Ok(()),
            })?;
            let took = (self.world.elapsed() - since).as_secs_f64();
            let what = format!(
                "{pod} gave {had:?} replicas away in {drained:.1} s, {}; gone after {took:.1} s",
                left.1
            );
            seen.saw(had.is_some_and(|had| had > 0) && left.1.contains("exit status: 0"), what);
        }
        self.wait_ready()?;
        Ok(())
    }

    /// Gives an order about a node until it is answered.
    fn order(&self, id: &str, verb: &str) -> Result<(), String> {
        wait_until(self.limit, || {
            let (service, _) = self.world.service(self.service).ok_or("no Service")?;
            let request = Request::new("POST", format!("{service}/api/v1/cluster/nodes/{id}/{verb}"));
            match self.client(ASK).send(request) {
                Ok(reply) if reply.status == 204 => Ok(()),
                Ok(reply) => Err(format!("{verb} of {id}: {}: {}", reply.status, excerpt(&reply))),
                Err(error) => Err(error.to_string()),
            }
        })
    }

    pub(super) fn scale_too_far(&self, to: usize, seen: &mut Seen) -> Done {
        let before = self.pods().len();
        for (by_scale, verb) in [(true, "kubectl scale"), (false, "kubectl patch")] {
            let answer = self.world.scale(self.set, to, by_scale);
            let said = answer.as_ref().err().cloned().unwrap_or_else(|| "accepted".to_owned());
            seen.saw(answer.is_err(), format!("{verb} to {to}: {said}"));
        }
        let even = self.world.set_config(self.set, VOTERS.0, VOTERS.1, "2");
        seen.saw(
            even.is_err(),
            format!("voters: 2: {}", even.err().unwrap_or_else(|| "accepted".to_owned())),
        );
        seen.saw(self.pods().len() == before, format!("{before} pods stay"));
        Ok(())
    }

    pub(super) fn lose_volume(&self, target: Target, seen: &mut Seen) -> Done {
        let name = self.choose(target)?;
        let before: Vec<PodView> = self.pod(&name).into_iter().collect();
        let was = wait_until(self.limit, || self.node_of(&name))?["id"].clone();
        let since = self.world.elapsed();
        seen.excused.insert(name.clone());
        self.world.delete_claims(&name);
        self.world.delete(&name, Some(Duration::ZERO));
        self.wait_new(&name, &before)?;
        let ready = (self.world.elapsed() - since).as_secs_f64();
        let volume = self.noted(&name, since, "volume ").map(|(_, what)| what).unwrap_or_default();
        seen.saw(volume.ends_with("true"), volume);
        let shares = self.wait_shares()?;
        let is = self.node_of(&name)?["id"].clone();
        let took = (self.world.elapsed() - since).as_secs_f64();
        seen.saw(
            is != was,
            format!("{name} was node {was} and is node {is}, ready after {ready:.1} s; its share after {took:.1} s: {shares:?}"),
        );
        Ok(())
    }
}

/// Whether the nodes of each zone have about as many replicas, and all have some.
fn are_even(pods: &[PodView], shares: &[u64]) -> bool {
    let zones: BTreeSet<&str> = pods.iter().map(|pod| pod.zone.as_str()).collect();
    zones.into_iter().all(|zone| {
        let own = || pods.iter().zip(shares).filter(|(pod, _)| pod.zone == zone).map(|(_, share)| *share);
        let (least, most) = (own().min().unwrap_or(0), own().max().unwrap_or(0));
        least > 0 && most - least <= UNEVEN
    })
}
