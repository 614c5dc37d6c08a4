"""Raft and placement: leaders, followers, elections, replicas on their way, nodes."""

from .grafana import NODE, ORANGE, RED, YELLOW, Panel, Row, largest, quantile, rate, total

NAME = "raft"
TITLE = "Raft and placement"
DESCRIPTION = "Who leads, who is behind, what is on its way. Single groups: `tidemark raft status`."


def panels() -> list:
    return [
        Row("Groups"),
        Panel("Without leader", "timeseries", "Groups of which a node knows no leader. Where one node alone says so, that node is cut off.",
              [(largest("tidemark_raft_groups_without_leader"), "{{instance}}")], thresholds=[(1, RED)], lines=True),
        Panel("Without majority", "timeseries", "Groups of which no majority of voters is within reach.",
              [(largest("tidemark_raft_groups_without_quorum"), "{{instance}}")], thresholds=[(1, RED)], lines=True),
        Panel("At risk", "timeseries", "Groups that lose their majority with one more failure, by the node that leads them.",
              [(largest("tidemark_raft_groups_at_risk"), "{{instance}}")], thresholds=[(1, ORANGE)], lines=True, stacked=True),
        Panel("Leads", "timeseries", "Groups that each node leads; they are kept even.",
              [(largest("tidemark_raft_leaders"), "{{instance}}")], stacked=True),
        Panel("Members", "timeseries", "Groups with a member on each node.",
              [(largest("tidemark_raft_groups"), "{{instance}}")], stacked=True),
        Panel("Changes of leader", "timeseries", "Seen by each node over 15 minutes. A restart makes a burst; an unbroken line is flapping.",
              [(f"increase(tidemark_raft_leader_changes_total{{{NODE}}}[15m])", "{{instance}}")]),
        Panel("Elections", "timeseries", "Begun by members of each node.",
              [(rate("tidemark_raft_elections_total", "instance"), "{{instance}}")], unit="ops"),
        Panel("Members shut out", "timeseries", "Because they had lost what they had acknowledged.",
              [(f"increase(tidemark_raft_members_expelled_total{{{NODE}}}[1h])", "{{instance}}")], thresholds=[(1, RED)], lines=True),
        Panel("Proposals", "timeseries", "Entries proposed a second, and those that failed.",
              [(rate("tidemark_raft_proposals_total", "instance"), "{{instance}}"),
               (rate("tidemark_raft_proposals_failed_total", "instance"), "failed, {{instance}}")], unit="ops"),
        Row("How far each is"),
        Panel("Followers behind (time)", "timeseries", "How long the follower that is furthest behind has lacked an entry, by leader.",
              [(largest("tidemark_raft_follower_lag_seconds"), "{{instance}}")], unit="s", thresholds=[(5, RED)], lines=True),
        Panel("Followers behind (entries)", "timeseries", "Entries that it lacks.",
              [(largest("tidemark_raft_follower_lag_entries"), "{{instance}}")]),
        Panel("Not applied (time)", "timeseries", "How long the oldest committed entry has waited to be applied.",
              [(largest("tidemark_raft_apply_lag_seconds"), "{{instance}}")], unit="s", thresholds=[(10, RED)], lines=True),
        Panel("Not applied (entries)", "timeseries", "In the group that has most.",
              [(largest("tidemark_raft_apply_lag_entries"), "{{instance}}")]),
        Panel("Committed and applied", "timeseries", "Entries a second, over all members.",
              [(f"sum(rate(tidemark_raft_commit_index{{{NODE}}}[$__rate_interval]))", "committed"),
               (f"sum(rate(tidemark_raft_applied_index{{{NODE}}}[$__rate_interval]))", "applied")], unit="ops"),
        Panel("Duration of proposals, p99", "timeseries", "From a proposal to its application.",
              [(quantile(0.99, "tidemark_raft_proposal_duration_seconds", "instance"), "{{instance}}")], unit="s"),
        Row("Nodes and placement"),
        Panel("Nodes", "timeseries", "As the catalog says. One that only does not answer is active.",
              [(f"max by (state) (tidemark_cluster_nodes{{{NODE}}})", "{{state}}")], stacked=True),
        Panel("Not reached", "timeseries", "Nodes that each node does not reach.",
              [(largest("tidemark_cluster_peers_unreachable"), "{{instance}}")], thresholds=[(1, RED)], lines=True),
        Panel("Replicas missing", "timeseries", "Placements with fewer live replicas than wanted.",
              [(f"max(tidemark_cluster_replicas_missing{{{NODE}}})", "placements")], thresholds=[(1, YELLOW)], lines=True),
        Panel("Replicas on their way", "timeseries", "To a node.",
              [(f"max(tidemark_cluster_moves_running{{{NODE}}})", "replicas")]),
        Panel("Files sent and received", "timeseries", "Bytes of replicas' files a second; move-bytes-per-second limits what a node sends.",
              [(rate("tidemark_raft_snapshot_bytes_total", "instance, direction"), "{{direction}} {{instance}}")], unit="Bps"),
        Panel("Transfers", "timeseries", "Replicas' files sent and received, over an hour.",
              [(f"sum by (direction, result) (increase(tidemark_raft_snapshots_total{{{NODE}}}[1h]))", "{{direction}}, {{result}}")]),
    ]
