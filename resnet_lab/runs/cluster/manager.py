"""The part that lives in the app: it hands runs to a Ray cluster and reads their folders, as of any other run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from resnet_lab.data.loading import data_root
from resnet_lab.runs.files import RunError
from resnet_lab.runs.manager import RunManager
from resnet_lab.runs.run import Run
from resnet_lab.runs.store import RunStore

RELAY = "resnet_lab.runs.cluster.relay"
CONNECTING = 120.0  # seconds for a new relay: imports, there and in the cluster
ANSWERING = 15.0  # seconds for one that is connected
PLACES_AGE = 1.0  # seconds for which places in the queue are not asked anew


def manager_from_environment(store: RunStore, at_once: int = 1) -> RunManager:
    """Trains `at_once` runs a device in this process; or in the Ray cluster of $RESNET_LAB_RAY_ADDRESS, which decides.

    The address is "auto" or such as "host:6379".
    """
    address = os.environ.get("RESNET_LAB_RAY_ADDRESS")
    return RayManager(store, address) if address else RunManager(store, at_once)


class RayManager(RunManager):
    """Takes runs and trains them in a Ray cluster, each as a task of its own, whether this process lives or not."""

    def __init__(self, store: RunStore, address: str) -> None:
        super().__init__(store)
        self._relay = Relay(address)
        self._places: dict[str, int] = {}
        self._asked_places = 0.0
        self._asking_places = threading.Lock()

    def place(self, run_id: str) -> int | None:
        """How many runs are before it in the cluster; None where it does not wait there, or that is not known yet."""
        if time.monotonic() - self._asked_places > PLACES_AGE and self._asking_places.acquire(blocking=False):
            threading.Thread(target=self._ask_places, name="places", daemon=True).start()
        return self._places.get(_path(Run(self.store.root / run_id)))

    def close(self, timeout: float = 4.0) -> None:
        """Lets go of the cluster, where runs go on."""
        super().close(timeout)
        self._relay.close()

    def _enqueue(self, runs: list[Run], steps: int | None = None) -> None:
        """Gives `runs` to the cluster's keeper, which claims them in turn.

        Raises:
            RunError: the cluster does not take them; they are interrupted then.
        """
        for run in runs:
            run.release()
        try:
            if problem := self._relay.ask("take", [_order(run, steps, self.longest(run)) for run in runs]):
                raise RunError(problem)
        except RunError as error:
            for run in runs:
                with suppress(RunError):
                    run.claim()
                    run.set_status(state="interrupted", message=str(error))
                run.release()
            raise

    def _withdraw(self, run_id: str) -> Run | None:
        run = self.store.get(run_id)
        with suppress(RunError):  # then the stop file tells it, once it begins
            if run.status.state == "queued" and self._relay.ask("withdraw", _path(run)):
                run.claim()
                return run
        return None

    def _ask_places(self) -> None:
        try:
            self._places = {path: place for place, path in enumerate(self._relay.ask("waiting"))}
        except RunError:
            self._places = {}
        finally:
            self._asked_places = time.monotonic()
            self._asking_places.release()


class Relay:
    """The process that is connected to the cluster, begun anew where it has ended (`relay.py`)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._has_answered = False

    def ask(self, name: str, *arguments: Any) -> Any:
        """What the cluster's keeper answers.

        Raises:
            RunError: it does not, within CONNECTING or ANSWERING.
        """
        with self._lock:
            process = self._connected()
            assert process.stdin is not None
            assert process.stdout is not None
            watchdog = threading.Timer(ANSWERING if self._has_answered else CONNECTING, process.kill)
            watchdog.start()
            try:
                process.stdin.write(json.dumps([name, *arguments]) + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except OSError:
                answer = ""
            finally:
                watchdog.cancel()
            said = json.loads(
                answer or json.dumps({"problem": f"The Ray cluster at {self.address} does not answer."})
            )
            if "problem" in said:
                self.close()
                raise RunError(said["problem"])
            self._has_answered = True
            return said["result"]

    def _connected(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        if find_spec("ray") is None:
            raise RunError(
                "RESNET_LAB_RAY_ADDRESS is set, and Ray is not installed here: pip install 'resnet-lab[ray]'."
            )
        command, pipe, root = (
            [sys.executable, "-m", RELAY, self.address],
            subprocess.PIPE,
            Path(__file__).parents[3],
        )
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root)
        self._has_answered = False
        return self._process

    def close(self) -> None:
        """Ends the process; the next question begins another."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _path(run: Run) -> str:
    return os.path.abspath(run.path)


def _order(run: Run, steps: int | None, seconds: float | None = None) -> dict[str, Any]:
    """As keeper.Order.

    Raises:
        RunError: RESNET_LAB_RAY_CPUS or RESNET_LAB_RAY_GPUS is no number that Ray takes.
    """
    gpus, cpus = _number("RESNET_LAB_RAY_GPUS"), _number("RESNET_LAB_RAY_CPUS")
    return {
        "path": _path(run),
        "steps": steps,
        "seconds": seconds,
        "num_cpus": 1.0 if cpus is None else cpus,
        "num_gpus": 0.0 if run.config.device == "cpu" else gpus,
        "working": os.getcwd(),
        "data": os.path.abspath(data_root()),
    }


def _number(name: str) -> float | None:
    """
    Raises:
        RunError: it is none, or none that Ray takes.
    """
    text = os.environ.get(name, "")
    if not text:
        return None
    with suppress(ValueError):
        number = float(text)
        if 0 <= number < 1000 and (number < 1 or number.is_integer()):
            return number
    raise RunError(f"{name} is {text!r}; it may be a fraction below 1 or a whole number.")
