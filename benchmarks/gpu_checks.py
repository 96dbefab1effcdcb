"""What must hold on the device, against the CPU; the docstring's first line is what the report calls it.

The bounds for gradients are those that CPU float32 itself keeps against float64, with room: 1 − cosine of 7e-13
(resnet20), 3e-4 (plain32) and 1e-2 (plain56), as rounding grows on its way through layers without shortcuts.
"""

from __future__ import annotations

import gc
import math
import threading
import time
import weakref
from copy import deepcopy
from typing import Any

import torch

from benchmarks.gpu_lab import (
    Ask,
    Failed,
    Lab,
    Skipped,
    apart,
    gradients,
    images,
    losses,
    net_of,
    reading_each_step,
    relative,
    set_to,
    trained,
    within,
)
from resnet_lab.data import Augmentation
from resnet_lab.data.transforms import Draws, augment
from resnet_lab.models.layout import training_format
from resnet_lab.training import fit
from resnet_lab.training.events import Checkpoint, EpochEvent, ModeChosen, Notice, StepEvent
from resnet_lab.training.execution import tuner
from resnet_lab.training.execution.device import (
    autocast,
    device_use,
    half_precision,
    has_tf32,
    memory_mb,
    tf32,
)
from resnet_lab.training.execution.tuner import Tuner
from resnet_lab.training.loop import Trainer

FAMILIES = {  # net → bound of 1 − cosine of the first gradient in float32
    "resnet20": 1e-6, "plain20": 1e-3, "plain32": 1e-2, "plain56": 0.1, "preact_resnet20": 1e-6, "resnet18": 1e-4,
    "resnet50": 1e-3, "resnext50_32x4d": 1e-3, "wide_resnet50_2": 1e-3, "tutorial_resnet50": 0.1,
}  # fmt: skip


def float32(lab: Lab) -> dict[str, Any]:
    """Forward, loss and gradients in float32, both memory formats, all families, against CPU float64."""
    data, x = images(8 if lab.tiny else 64)
    found: dict[str, float] = {}
    bounds: dict[str, float] = {}
    for name in ("resnet20", "plain20") if lab.tiny else FAMILIES:
        expected = gradients(net_of(name, torch.device("cpu"), torch.float64), x.double(), data.labels)
        for layout in (torch.contiguous_format, training_format(net_of(name, lab.device), lab.device)):
            model = net_of(name, lab.device).to(memory_format=layout)
            got = gradients(model, x.to(lab.device, memory_format=layout), data.labels.to(lab.device))
            for what, value, bound in (
                (
                    "logits",
                    relative(got[0], expected[0]),
                    1e-3 if "plain" in name or "tutorial" in name else 1e-5,
                ),
                ("loss", relative(got[1], expected[1]), 1e-4),
                ("gradient", apart(got[2], expected[2]), FAMILIES[name]),
            ):
                found[f"{name} {what}"] = max(value, found.get(f"{name} {what}", 0.0))
                bounds[f"{name} {what}"] = bound
    return within(found, bounds)


def half(lab: Lab) -> dict[str, Any]:
    """Forward and gradients in bf16, fp16 with a scaler and TF32, against CPU float64."""
    data, x = images(8 if lab.tiny else 64)
    found: dict[str, float] = {}
    kinds = [half_precision(lab.device) or "bf16"]
    if lab.is_cuda:
        kinds = ["bf16"] * (half_precision(lab.device) == "bf16") + ["fp16"] + ["tf32"] * has_tf32(lab.device)
    for name in ("resnet20",) if lab.tiny else ("resnet20", "preact_resnet20", "resnet18", "resnet50"):
        expected = gradients(net_of(name, torch.device("cpu"), torch.float64), x.double(), data.labels)
        for kind in kinds:
            model = net_of(name, lab.device).train()
            scaler = torch.amp.GradScaler(lab.device.type, init_scale=1024.0, enabled=kind == "fp16")
            with tf32(kind == "tf32"):
                with autocast(kind, lab.device):
                    logits = model(x.to(lab.device))
                    loss = torch.nn.functional.cross_entropy(logits, data.labels.to(lab.device))
                scaler.scale(loss).backward()
            flat = (
                torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).double().cpu()
            )
            found[f"{name} {kind} logits"] = relative(logits.detach(), expected[0])
            found[f"{name} {kind} gradient"] = apart(flat, expected[2])
    return within(found, {key: 6e-2 if key.endswith("logits") else 0.1 for key in found})


def float32_is_float32(lab: Lab) -> dict[str, Any]:
    """float32 is not rounded to TF32, and TF32 is where it is asked for."""
    lab.only_cuda()
    if not has_tf32(lab.device):
        raise Skipped("this GPU has no TF32")
    x = torch.randn(8, 64, 32, 32, generator=torch.Generator().manual_seed(0))
    w = torch.randn(64, 64, 3, 3, generator=torch.Generator().manual_seed(1))
    exact = torch.nn.functional.conv2d(x.double(), w.double(), padding=1)
    found = {}
    for wanted in (False, True):
        with tf32(wanted):
            got = torch.nn.functional.conv2d(x.to(lab.device), w.to(lab.device), padding=1)
        found["tf32" if wanted else "float32"] = relative(got, exact)
    if not found["float32"] < 1e-5 < found["tf32"]:
        raise Failed("float32 and TF32 are not what they should be", found)
    return found


def augmentation(lab: Lab) -> dict[str, Any]:
    """Crop and flip of the same draws are equal, jitter is near."""
    data, _ = images(64)

    class Fixed(Draws):
        """Draws on the CPU, and moves what it drew."""

        def uniform(self, *shape: int) -> torch.Tensor:
            return super().uniform(*shape).to(data_images.device)

        def below(self, high: int) -> torch.Tensor:
            return super().below(high).to(data_images.device)

    found = {}
    for name, how in (
        ("crop and flip", Augmentation()),
        ("jitter", Augmentation(colour_jitter=0.2, scale_jitter=(1.0, 1.5))),
    ):
        results = []
        for device in (torch.device("cpu"), lab.device):
            data_images = data.images.to(device)
            results.append(
                augment(data_images, how, Fixed(torch.Generator().manual_seed(0), 64)).float().cpu()
            )
        found[name] = float((results[0] - results[1]).abs().max())
    return within(found, {"crop and flip": 0.0, "jitter": 0.1})


def ten_steps(lab: Lab) -> dict[str, Any]:
    """Ten steps with the same batches as on the CPU."""
    config = lab.config(augmentation=Augmentation(0, False), epochs=2, lr=0.01)
    with reading_each_step():
        on_cpu, here = (
            losses(trained(config.replace(device=device), steps=10)) for device in ("cpu", str(lab.device))
        )
    return within({"loss": relative(here, on_cpu)}, {"loss": 1e-3})


def no_waiting(lab: Lab) -> dict[str, Any]:
    """Ten steps wait for the device nowhere."""
    lab.only_cuda()
    trainer = Trainer(lab.config(epochs=10), lambda event: None)
    for _ in range(3):
        trainer.stepper.take()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(10):
            trainer.stepper.take()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return {"steps": 10}


def graph(lab: Lab) -> dict[str, Any]:
    """Steps as a CUDA graph are those of before, over 20 steps, with each optimizer."""
    lab.only_cuda()
    found = {}
    for optimizer, lr in (("sgd", 0.01), ("adam", 1e-4), ("adamw", 1e-4)):
        config = lab.config(optimizer=optimizer, lr=lr, epochs=12, clip_norm=1.0)
        curves = []
        for captured_on in (set(), {"cuda"}):
            record = Tuner.record
            quick = lambda self, s, record=record: record(self, 0.5 if self.current.graph else 1.0)  # noqa: E731
            with (
                reading_each_step(),
                set_to(tuner, "CAPTURED_ON", captured_on),
                set_to(Tuner, "record", quick),
            ):
                events = trained(config, steps=40)
            told = [e.text for e in events if isinstance(e, ModeChosen)]
            curves.append(losses(events)[:26])
            if captured_on and not any("Fastest" in text and "CUDA graph" in text for text in told):
                raise Failed(f"no graph: {told}")
        found[optimizer] = relative(curves[1], curves[0])
    return within(found, dict.fromkeys(found, 1e-3))


def auto(lab: Lab) -> dict[str, Any]:
    """A run that leaves everything open trains to its end, and says how."""
    config = lab.config(precision="auto", channels_last=None, compile=None, epochs=8 if lab.tiny else 40)
    events = trained(config)
    return {"chosen": [e.text for e in events if isinstance(e, ModeChosen)][-1:] or ["nothing"]}


def places(lab: Lab) -> dict[str, Any]:
    """A run goes from the CPU to the device and back by its checkpoints."""
    config = lab.config(precision="auto")
    state = None
    for device, steps in (("cpu", 4), (str(lab.device), 4), ("cpu", None)):
        events = trained(config.replace(device=device), resume=deepcopy(state), steps=steps)
        state = [e for e in events if isinstance(e, Checkpoint)][-1].state
    last = [e for e in events if isinstance(e, EpochEvent)][-1]
    if not math.isfinite(last.val_loss):
        raise Failed("the loss is no number")
    return {"validation loss": last.val_loss}


def resumed(lab: Lab) -> dict[str, Any]:
    """A run that was stopped and resumed draws the curve of an undisturbed one."""
    config = lab.config(deterministic=True)
    whole = trained(config)
    first = trained(config, steps=5)
    state = [e for e in first if isinstance(e, Checkpoint)][-1].state
    rest = trained(config, resume=deepcopy(state))
    curves = [
        torch.tensor([e.train_loss for e in events if isinstance(e, EpochEvent)], dtype=torch.float64)
        for events in (whole, rest)
    ]
    return within({"loss": relative(curves[1], curves[0])}, {"loss": 1e-6})


def full(lab: Lab) -> dict[str, Any]:
    """A batch that does not fit shrinks, and the run goes on."""
    lab.only_cuda()
    config = lab.config(train_limit=2560, batch_size=2048, epochs=2)
    torch.cuda.reset_peak_memory_stats()
    trained(config, steps=1)
    share = torch.cuda.max_memory_allocated() / torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.75 * share)
    try:
        events = trained(config)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    told = [e.micro_batch for e in events if isinstance(e, Notice)]
    if not told:
        raise Failed("nothing shrank")
    return {"micro-batches": told}


def gone(lab: Lab) -> dict[str, Any]:
    """Nothing of a run stays on the device."""
    trainer = Trainer(lab.config(), lambda event: None)
    trainer.stepper.take()
    weight = weakref.ref(trainer.model.conv1.weight)
    gc.disable()
    try:
        del trainer
        if weight() is not None:
            raise Failed("the net outlives its run")
    finally:
        gc.enable()
    return {}


def stop(lab: Lab) -> dict[str, Any]:
    """A stop is answered within 2 s, whatever the net."""
    nets = (
        [("resnet20", 32, 16)]
        if lab.tiny
        else [("resnet20", 32, 128), ("resnet50", 224, 64), ("resnet152", 224, 64)]
    )
    found = {}
    for net, side, batch in nets:
        config = lab.config(
            variant=net, image_size=side, batch_size=batch, train_limit=4 * batch, epochs=10_000
        )
        asked_at: list[float] = []
        begun: list[float] = []

        def should_stop(begun: list[float] = begun, asked_at: list[float] = asked_at) -> bool:
            if begun and time.monotonic() - begun[0] > (0.2 if lab.tiny else 2.0):
                asked_at.append(time.monotonic())
            return bool(asked_at)

        def emit(event: Any, begun: list[float] = begun) -> None:
            if isinstance(event, StepEvent) and not begun:
                begun.append(time.monotonic())

        fit(config, emit, should_stop)
        found[net] = time.monotonic() - asked_at[0]
    return within(found, dict.fromkeys(found, 2.0))


def beside(lab: Lab) -> dict[str, Any]:
    """Maps, lesions and a loss surface from another thread, while a run trains as it does alone."""
    from resnet_lab.analysis.lesions import Prepared, remove_each
    from resnet_lab.analysis.loss_surface import Grid, random_direction, surface
    from resnet_lab.attribution import attribute

    data, x = images(20 if lab.tiny else 200)
    model, x, labels = net_of("resnet20", lab.device).eval(), x.to(lab.device), data.labels.to(lab.device)
    problems: list[Exception] = []
    rounds = [0]
    done = threading.Event()

    def ask() -> None:
        try:
            while not done.is_set() or rounds[0] == 0:
                attribute(model, x[:8])
                list(remove_each(Prepared(model, x, labels)))
                list(
                    surface(
                        model,
                        x,
                        labels,
                        (random_direction(model, 0), random_direction(model, 1)),
                        Grid(3).places(),
                    )
                )
                rounds[0] += 1
        except Exception as error:
            problems.append(error)

    config = lab.config(deterministic=True, epochs=2 if lab.tiny else 8)
    alone = losses(trained(config))[-1:]
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        together = losses(trained(config))[-1:]
    finally:
        done.set()
        thread.join()
    if problems:
        raise Failed(f"beside the run: {problems[0]}")
    return {"rounds beside": rounds[0], **within({"loss": relative(together, alone)}, {"loss": 1.0})}


def maps(lab: Lab) -> dict[str, Any]:
    """Maps of every method are those of the CPU."""
    from resnet_lab.attribution import METHODS, attribute

    _, x = images(4)
    model = net_of("resnet20", torch.device("cpu")).eval()
    here, found = deepcopy(model).to(lab.device), {}
    for method in METHODS:
        if method == "smooth_grad":  # each device draws its own noise
            continue
        try:
            expected = attribute(model, x, 0, method)
        except ModuleNotFoundError:  # Captum, which a GPU machine may lack
            continue
        got = attribute(here, x.to(lab.device), 0, method).cpu()
        found[method] = float((got - expected).abs().max())
    return within(found, dict.fromkeys(found, 1e-3))


def analyses(lab: Lab) -> dict[str, Any]:
    """Lesions, responses, gradients and a loss surface are those of the CPU."""
    from resnet_lab.analysis.gradients import gradient_norms
    from resnet_lab.analysis.lesions import Prepared, remove_each
    from resnet_lab.analysis.loss_surface import Grid, random_direction, surface
    from resnet_lab.analysis.responses import layer_responses

    data, x = images(20 if lab.tiny else 200)
    found: dict[str, list[torch.Tensor]] = {}
    for device in (torch.device("cpu"), lab.device):
        model, here, labels = net_of("resnet20", device).eval(), x.to(device), data.labels.to(device)
        directions = random_direction(model, 0), random_direction(model, 1)
        for name, values in (
            ("lesions", [record.accuracy for record in remove_each(Prepared(model, here, labels))]),
            ("responses", [*layer_responses(model, here).values()]),
            ("gradients", [*gradient_norms(model, here, labels).values()]),
            ("surface", [point.loss for point in surface(model, here, labels, directions, Grid(3).places())]),
        ):
            found.setdefault(name, []).append(torch.tensor(values, dtype=torch.float64))
    differences = {name: relative(here, cpu) for name, (cpu, here) in found.items()}
    return within(differences, {"lesions": 0.1, "responses": 1e-3, "gradients": 1e-2, "surface": 1e-3})


def evaluation(lab: Lab) -> dict[str, Any]:
    """The loss of an evaluation is the CPU's."""
    from resnet_lab.training import evaluate

    data, _ = images(100 if lab.tiny else 1000)
    found = [
        evaluate(net_of("resnet20", device), data.to(device)) for device in (torch.device("cpu"), lab.device)
    ]
    loss = abs(found[1].loss - found[0].loss) / found[0].loss
    return within(
        {"loss": loss, "accuracy": abs(found[1].accuracy - found[0].accuracy)},
        {"loss": 1e-4, "accuracy": 0.002},
    )


def compiled(lab: Lab) -> dict[str, Any]:
    """torch.compile from a thread of its own, as the app trains."""
    if lab.tiny:
        raise Skipped("it takes a minute")
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(losses(trained(lab.config(compile=True, epochs=3)))[-1])
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(found[0], Exception):
        raise Failed(f"{type(found[0]).__name__}: {found[0]}"[:300])
    return {"last loss": float(found[0])}


def distributed(lab: Lab) -> dict[str, Any]:
    """DistributedDataParallel of one process gives the gradients of the bare net, on NCCL or gloo."""
    import torch.distributed as dist

    data, x = images(16)
    x, labels = x.to(lab.device), data.labels.to(lab.device)
    bare = gradients(net_of("resnet20", lab.device), x, labels)
    store = dist.HashStore()
    dist.init_process_group("nccl" if lab.is_cuda else "gloo", store=store, rank=0, world_size=1)
    try:
        model = net_of("resnet20", lab.device)
        wrapped = torch.nn.parallel.DistributedDataParallel(
            model, device_ids=[lab.device] if lab.is_cuda else None
        )
        torch.nn.functional.cross_entropy(wrapped(x), labels).backward()
        flat = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        return within({"gradient": apart(flat.cpu(), bare[2])}, {"gradient": 1e-6})
    finally:
        dist.destroy_process_group()


def figures(lab: Lab) -> dict[str, Any]:
    """Memory and use of the device are told."""
    trained(lab.config(), steps=8)
    use = device_use(lab.device)
    if memory_mb(lab.device) <= 0 or not (use is None or 0 <= use <= 1):
        raise Failed("no such figures", {"memory": memory_mb(lab.device), "use": use})
    return {"MiB": memory_mb(lab.device), "use": "not told" if use is None else use}


def submitted(lab: Lab) -> dict[str, Any]:
    """The whole way of the app: submitted, trained in its thread, tested, asked."""
    from resnet_lab.runs import RunManager, RunStore, load_run_model

    manager = RunManager(RunStore(lab.folder / "runs"))
    run = manager.store.get(manager.submit(lab.config(precision="auto")))
    began = time.monotonic()
    while run.status.is_active and time.monotonic() - began < 120:
        time.sleep(0.05)
    manager.close()
    if run.status.state != "completed":
        raise Failed(f"{run.status.state}: {run.status.message}")
    data, _ = images(4)
    load_run_model(run).predict(data.images)
    return {"test accuracy": run.status.test_accuracy}


CHECKS: list[Ask] = [
    float32, half, float32_is_float32, augmentation, ten_steps, graph, no_waiting, auto, places, resumed, submitted,
    full, gone, stop, beside, maps, analyses, evaluation, distributed, figures, compiled,
]  # fmt: skip
