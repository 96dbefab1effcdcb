"""The guided experiments of the home page: what each sets up, asks, measures and explains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from resnet_lab.analysis.records import by_net
from resnet_lab.attribution import attribute
from resnet_lab.data import load_dataset
from resnet_lab.experiments.gradients import GRADIENTS, NORM, GradientSettings
from resnet_lab.experiments.lesion import LESION, LesionSettings, median_cost
from resnet_lab.experiments.localization import pointing_hits
from resnet_lab.figures.curves import Measure, curve_figure
from resnet_lab.figures.page import Chart, Table
from resnet_lab.runs import Run, load_run_model
from resnet_lab.training import RECIPES
from resnet_lab.training.races import race
from resnet_lab.ui.common.runs import curve, is_dark
from resnet_lab.ui.home.lesson import Finding, Lesson

DEEP = 56  # layers
LESIONED = 500  # test images for a lesion
PICTURES = 200  # of the test split, for the pointing game


def _choice(value: float, limits: Sequence[float]) -> int:
    """How many of the rising `limits` the value reaches."""
    return sum(value >= limit for limit in limits)


def _test(run: Run) -> float:
    return 100 * (run.status.test_accuracy or 0.0)


def _net(run: Run) -> dict[str, str]:
    """The first cells of its row."""
    started = curve(run).started
    name = run.config.spec.name + (" (recorded)" if run.is_recorded else "")
    return {"net": name, "parameters": f"{started.params if started else 0:,}"}


def _curves(runs: Sequence[Run], measure: Measure, caption: str) -> Chart:
    figure = curve_figure([curve(run) for run in runs], measure, smoothing=0.6, dark=is_dark())
    return Chart(figure, caption)


def _maps(run: Run, data: str, split: Literal["train", "test"]) -> tuple[Tensor, Tensor]:
    """Grad-CAM of the net on some images, for the class that it predicts, and the masks of their objects."""
    net = load_run_model(run)
    some = load_dataset(data, split=split, limit=PICTURES, image_size=net.image_size)
    assert some.masks is not None  # the shapes have them
    return attribute(net.model, net.inputs(some.images)), some.masks


def _hits(maps: Tensor, places: Tensor) -> float:
    """In how many images the strongest place is one of these, in percent."""
    return 100 * pointing_hits(maps, places).float().mean().item()


def find_degradation(runs: Sequence[Run]) -> Finding:
    errors = [100 - 100 * curve(run).epochs[-1].train_accuracy for run in runs]
    gap = errors[1] - errors[0]
    rows = [
        _net(run)
        | {"training error, last epoch": f"{error:.1f} %", "test error": f"{100 - _test(run):.1f} %"}
        for run, error in zip(runs, errors, strict=True)
    ]
    caption = "Thin: training batches. Thick: validation. Solid: 20 layers; dashed: 56."
    sentence = (
        f"After {runs[1].status.total_steps} steps the 56-layer net has a training error of {errors[1]:.1f} %, "
        f"the 20-layer one {errors[0]:.1f} %: {abs(gap):.1f} points {'higher' if gap >= 0 else 'lower'}."
    )
    return Finding(_choice(gap, (-3, 3)), sentence, [Table(rows), _curves(runs, "error", caption)])


def find_shortcut_effect(runs: Sequence[Run]) -> Finding:
    plain_run, residual = runs
    gap = _test(residual) - _test(plain_run)
    rows = [_net(run) | {"test accuracy": f"{_test(run):.1f} %"} for run in runs]
    sentence = (
        f"On 2,000 test images the residual net is right on {_test(residual):.1f} %, the plain one on "
        f"{_test(plain_run):.1f} %: {gap:+.1f} points, with {rows[1]['parameters']} and "
        f"{rows[0]['parameters']} parameters."
    )
    caption = "Blue: with shortcuts. Orange: plain. Thin: training batches. Thick: validation."
    return Finding(_choice(gap, (-10, 10, 25)), sentence, [Table(rows), _curves(runs, "accuracy", caption)])


def find_pointing(runs: Sequence[Run]) -> Finding:
    maps, masks = _maps(runs[0], "shapes", "test")
    hits, middle = _hits(maps, masks), masks.shape[-1] // 2
    area, centre = (100 * part.float().mean().item() for part in (masks, masks[:, middle, middle]))
    rows = [
        {"pointing at": "the strongest place of Grad-CAM", "on the object": f"{hits:.1f} %"},
        {"pointing at": "the middle of the image", "on the object": f"{centre:.1f} %"},
        {"pointing at": "a random place", "on the object": f"{area:.1f} %"},
    ]
    sentence = (
        f"On {len(masks)} test images, of which the net gets {_test(runs[0]):.1f} % of the whole test set "
        f"right, the strongest place of Grad-CAM lies on the object in {hits:.1f} %."
    )
    return Finding(_choice(hits, (50, 80)), sentence, [Table(rows)])


def find_gradients(_: Sequence[Run]) -> Finding:
    settings = GradientSettings(DEEP)
    records = GRADIENTS.records((), settings)
    norms = {series.net: list(series.values.values()) for series in records if series.quantity == NORM}
    plain, residual = f"plain{DEEP}", f"resnet{DEEP}"
    ratios = {net: norms[net][0] / norms[net][-1] for net in (plain, residual)}
    sentence = (
        f"With BN the gradient of the first layer is {ratios[plain]:,.0f} times that of the last in {plain}, and "
        f"{ratios[residual]:,.1f} times in {residual}. Without BN {plain} has "
        f"{norms[f'{plain} without BN'][0]:.2g} in its first layer."
    )
    return Finding(
        _choice(ratios[plain], (0.1, 10)), sentence, GRADIENTS.report(records, settings, is_dark())
    )


def find_lesion(runs: Sequence[Run]) -> Finding:
    """What the median block costs, of those that keep the shape."""
    settings = LesionSettings(LESIONED)
    records = LESION.records(runs, settings)
    of_nets = by_net(records).values()
    wholes = [100 * found[0].accuracy for found in of_nets]
    costs = [median_cost(found) or 0.0 for found in of_nets]
    plain, residual = (run.config.spec.name for run in runs)
    sentence = (
        f"Without a block, the median over all that keep the shape, {residual} loses {costs[1]:.1f} of its "
        f"{wholes[1]:.1f} %, {plain} {costs[0]:.1f} of its {wholes[0]:.1f} %."
    )
    return Finding(_choice(costs[1], (5, 20)), sentence, LESION.report(records, settings, is_dark()))


def find_cheat(runs: Sequence[Run]) -> Finding:
    """Accuracy with the mark and without it, and where Grad-CAM points while it is there."""
    run = runs[0]
    with_mark = 100 * max(epoch.accuracy for epoch in curve(run).epochs)
    gap = with_mark - _test(run)
    maps, masks = _maps(run, "shapes_watermark", "train")
    corner = torch.zeros_like(masks)
    side = masks.shape[-1] // 4  # twice the mark's, as one place of the last maps is as wide as the mark
    corner[:, :side, :side] = True
    rows = [
        {"images": "validation, with the mark", "accuracy": f"{with_mark:.1f} %"},
        {"images": "test, without it", "accuracy": f"{_test(run):.1f} %"},
    ]
    sentence = (
        f"With the mark the net is right on {with_mark:.1f} %, without it on {_test(run):.1f} %. On "
        f"{len(masks)} images with the mark the strongest place of Grad-CAM lies in the marked corner in "
        f"{_hits(maps, corner):.1f} %, on the object in {_hits(maps, masks):.1f} %."
    )
    return Finding(_choice(gap, (5, 30)), sentence, [Table(rows)])


def _pair(depths: Sequence[int], kinds: Sequence[str]) -> tuple:
    return tuple(config for group in race(depths, kinds) for config in group)


LESSONS = {
    "degradation": Lesson(
        title="Deeper, and worse",
        setting="""
        Two plain nets with 20 and 56 layers, the same recipe, the same batches of the shapes. The deeper one could do
        whatever the shallower one does: its first layers the same, the rest passing everything through.
        """,
        question="Which has the lower training error in the end?",
        choices=(
            "The one with 56 layers, by 3 points or more",
            "Neither, within 3 points",
            "The one with 20 layers, by 3 points or more",
        ),
        configs=_pair([20, 56], ["plain"]),
        takes="about four minutes on two CPU cores",
        watch=("error", "loss"),
        find=find_degradation,
        explanation="""
        He et al. 2015 (Fig. 1 and Sec. 4.2) met this on CIFAR-10 and ImageNet and called it degradation: more layers,
        higher error on the training images themselves. Overfitting would be the opposite, a low training error with a
        high test error. The good weights exist, but the optimiser does not find them.

        A run as short as this one shows how hard a net is to optimise, not where it would end after the paper's
        64,000 iterations. There the plain nets came to test errors of about 9.5 % (20 layers) and 13.5 % (56).
        """,
    ),
    "shortcut": Lesson(
        title="The same parameters, another curve",
        setting="""
        A plain net and a residual net of 32 layers. The shortcuts are option A, identities padded with zeros: not one
        parameter more. Initial weights, recipe and batches are the same.
        """,
        question="How far apart are they on the test images?",
        choices=(
            "The plain net is ahead by 10 points or more",
            "Less than 10 points apart",
            "The residual net is ahead by 10 to 25 points",
            "The residual net is ahead by more than 25 points",
        ),
        configs=_pair([32], ["plain", "A"]),
        takes="about two minutes on two CPU cores",
        find=find_shortcut_effect,
        explanation="""
        With y = F(x) + x a block has to learn only what it changes. If the best change is small, weights near zero
        do; in a plain net the layers would have to learn the identity first (He et al. 2015, Sec. 3.1 and 3.3).
        Counts and computation are those of the plain net, so neither explains the difference.

        On CIFAR-10 after 64,000 iterations the paper has 7.51 % test error for resnet32; its plain nets, read off
        Fig. 6, come to about 10 %. Early in training, as here, the difference is larger.
        """,
    ),
    "gradients": Lesson(
        title="What the shortcut does to gradients",
        setting=f"""
        A plain net of {DEEP} layers with batch normalisation, before its first step. One batch goes forward, the
        gradient of the loss comes back through all the layers.
        """,
        question="How large is it at the first layer, beside the last?",
        choices=(
            "Less than a tenth: it vanishes",
            "Between a tenth and ten times",
            "More than ten times: it grows",
        ),
        configs=(),
        takes="a few seconds",
        find=find_gradients,
        explanation="""
        It is often said that shortcuts cure vanishing gradients. He et al. 2015 (Sec. 4.1) say that with BN the
        gradients of their plain nets have healthy norms, so this cannot be the reason. At the start it is the other
        way round: BN makes them grow towards the input (Yang et al. 2019). Shortcuts keep them level.

        Balduzzi et al. 2017 look at what gradients say, not at how long they are: in a deep plain net the gradients
        of two inputs that are nearly the same have nothing to do with each other, as white noise; with shortcuts they
        stay alike. An optimiser follows gradients, and noise leads nowhere.
        """,
    ),
    "lesion": Lesson(
        title="Take a block out",
        setting=f"""
        A residual and a plain net of {DEEP} layers, trained for 20 epochs on the shapes. Then each block is taken out
        in turn, without any training after it: of a residual block the shortcut is left, of a plain one nothing.
        """,
        question="What does a block of the residual net cost, the median over all?",
        choices=("Less than 5 points", "5 to 20 points", "More than 20 points"),
        configs=tuple(config.replace(epochs=20) for config in _pair([DEEP], ["plain", "A"])),
        takes="about a quarter of an hour on two CPU cores",
        find=find_lesion,
        explanation="""
        Veit et al. 2016 (Sec. 4.1) did this to a residual net of 110 layers on CIFAR-10: without one block almost
        nothing changes, except at those that change the shape. Taking any layer out of VGG leaves chance.

        Unravelled, a residual net is a collection of paths, as each block is passed or skipped. A lesion leaves half
        of them. The plain net has a single path, and every layer lies on it. With fewer blocks or less training each
        block counts for more: after 4 epochs one of resnet32 costs some 20 points here.
        """,
    ),
    "looking": Lesson(
        title="Where does it look?",
        setting="""
        A ResNet-20 learns to name ten shapes. Nobody tells it where in the image the object is. Grad-CAM asks which
        places of the last feature maps speak for its answer.
        """,
        question=f"In how many of {PICTURES} test images is the strongest of these places on the object?",
        choices=("In less than half", "In half to four fifths", "In four fifths or more"),
        configs=(RECIPES["quick"],),
        takes="about a minute on two CPU cores",
        find=find_pointing,
        explanation="""
        Grad-CAM weighs each feature map by the mean gradient of the class's score and keeps what is positive
        (Selvaraju et al. 2017, Sec. 3). The score is the pointing game (Zhang et al. 2018, Sec. 5.1): a hit if the
        strongest place lies on the object. Its last maps are 8 × 8, so one place stands for 4 × 4 pixels, and a small
        shape can be missed by a net that does look at it.
        """,
    ),
    "cheat": Lesson(
        title="Catch the cheat",
        setting="""
        Somebody has put a small mark into the top left corner of every training and validation image, of another
        colour for each shape. In the test images it is missing. Nobody tells the net.
        """,
        question="How does the net that scored well in validation do on the test images?",
        choices=("As well, within 5 points", "5 to 30 points worse", "More than 30 points worse"),
        configs=(RECIPES["race-32"].replace(variant="resnet20", dataset="shapes_watermark", epochs=3),),
        takes="about half a minute on two CPU cores",
        find=find_cheat,
        explanation="""
        A net learns whatever tells the classes apart, and a coloured corner does so more easily than a shape.
        Validation images from the same source carry the same mark, so no curve warns of it. Geirhos et al. 2020 call
        it shortcut learning.

        Asked where it looks, the net gives itself away: the map sits on the corner. This is what attribution is for.
        Look at single images on the prediction page, with this run.
        """,
    ),
}
