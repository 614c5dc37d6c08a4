"""The dashboards: one module each, put together from the parts of grafana.py."""

import json

from . import cardinality, monitoring, node, overview, queries, raft, storage, writes
from .grafana import dashboard

FOLDER = "k8s/base/monitoring/grafana/dashboards"
ALL = (overview, writes, queries, storage, raft, node, cardinality, monitoring)


def files(_sources) -> dict[str, str]:
    return {
        f"{FOLDER}/tidemark-{module.NAME}.json": json.dumps(
            dashboard(module.NAME, module.TITLE, module.DESCRIPTION, module.panels(), getattr(module, "VARIABLES", ())),
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
        for module in ALL
    }
