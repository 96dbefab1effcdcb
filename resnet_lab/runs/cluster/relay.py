"""`python -m resnet_lab.runs.cluster.relay ADDRESS`: connects to the cluster and passes calls on to the keeper.

A line of JSON on stdin is a call, [name, arguments…]; a line on stdout its answer, {"result": …} or {"problem": "…"}.
After a problem it ends. Ray ends the process that is connected to it when the cluster goes away: this one, not the app.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.exceptions import RayError

from resnet_lab import __version__
from resnet_lab.runs.cluster.keeper import Keeper, explain
from resnet_lab.runs.files import RunError, reason


def main(address: str) -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what Ray prints is no answer
    keeper = None
    with suppress(RunError):  # said to whoever asks, if it is so then
        keeper = connect(address)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            keeper = keeper or connect(address)
            answer = {"result": call(keeper, name, *arguments)}
        except RunError as error:
            answer = {"problem": str(error)}
        print(json.dumps(answer), file=answers, flush=True)
        if "problem" in answer:
            return


def connect(address: str) -> Any:
    """The keeper of the cluster, made by whoever comes first.

    Raises:
        RunError: there is no cluster, or one on which the lab cannot run.
    """
    _require_answer(address)
    try:
        ray.init(address, namespace="resnet-lab", log_to_driver=False, logging_level=logging.ERROR)
        actor = ray.remote(Keeper).options(
            name=f"keeper {__version__}",
            get_if_exists=True,
            lifetime="detached",
            num_cpus=0,
            resources={"node:__internal_head__": 0.001},  # it ends with the cluster, and not before
        )
        keeper = actor.remote()
        call(keeper, "waiting")
    except Exception as error:  # of any kind: ConnectionError, RuntimeError for other versions, ImportError …
        ray.shutdown()
        raise error if isinstance(error, RunError) else RunError(explain(error)) from None
    return keeper


def _require_answer(address: str) -> None:
    """That something listens there; Ray itself would try for a minute. "auto" names no host."""
    url = urlsplit(address if "://" in address else f"//{address}")
    try:
        if url.hostname and url.port:
            socket.create_connection((url.hostname, url.port), 5.0).close()
    except (OSError, ValueError) as error:
        raise RunError(f"No Ray cluster answers at {address} ({reason(error)}).") from None


def call(keeper: Any, name: str, *arguments: Any) -> Any:
    """
    Raises:
        RunError: the keeper does not answer.
    """
    try:
        return ray.get(getattr(keeper, name).remote(*arguments))
    except RayError as error:
        raise RunError(explain(error)) from None


if __name__ == "__main__":
    main(sys.argv[1])
