"""A W&B server with sweeps: it chooses the values, and agents request them."""

from __future__ import annotations

from typing import Any

import orjson
import yaml

from tests.support.wandb_server import WandbServer


class SweepServer(WandbServer):
    """Takes a sweep and hands out the first value of each parameter, then the second, and so on."""

    def __init__(self) -> None:
        super().__init__()
        self.sweeps: list[dict[str, Any]] = []  # as they were sent
        self.projects: list[tuple[str | None, str | None]] = []  # entity and project of each
        self.agents: list[str] = []  # the sweeps that agents have asked to work on
        self.given = 0
        self.answers |= {
            "UpsertSweep": self._upsert_sweep,
            "CreateAgent": self._create_agent,
            "Heartbeat": self._heartbeat,
        }

    def _upsert_sweep(self, asked: dict[str, Any]) -> Any:
        self.sweeps.append(yaml.safe_load(asked["config"]))
        self.projects.append((asked["entityName"], asked["projectName"]))
        project = {"id": "p", "name": asked["projectName"], "entity": {"id": "me", "name": "me"}}
        sweep = {"name": f"sweep{len(self.sweeps)}", "project": project}
        return {"upsertSweep": {"sweep": sweep, "configValidationWarnings": []}}

    def _create_agent(self, asked: dict[str, Any]) -> Any:
        self.agents.append(asked["sweep"])
        return {"createAgent": {"agent": {"id": "agent"}}}

    def _heartbeat(self, asked: dict[str, Any]) -> Any:
        """Give a run where the agent has none, until there are as many as the sweep's run_cap."""
        commands: list[dict[str, Any]] = []
        busy = any(orjson.loads(asked["runState"]).values())
        sweep = self.sweeps[-1]
        if not busy and self.given == sweep["run_cap"]:
            commands = [{"type": "exit"}]
        elif not busy:
            values = {
                key: {
                    "value": result["value"] if "value" in result else result["values"][self.given]
                }
                for key, result in sweep["parameters"].items()
            }
            self.given += 1
            commands = [{"type": "run", "run_id": f"run{self.given}", "args": values}]
        return {
            "agentHeartbeat": {
                "agent": {"id": "agent"},
                "commands": orjson.dumps(commands).decode(),
            }
        }
