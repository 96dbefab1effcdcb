"""Whether a map hits the object, where the object's mask is known."""

from __future__ import annotations

from torch import Tensor


def pointing_hits(maps: Tensor, masks: Tensor) -> Tensor:
    """The pointing game: is the strongest place on the object? (Zhang et al. 2018, Sec. 5.1, no tolerance.)

    `maps` float (N, H, W), `masks` bool (N, H, W). Returns bool (N,). An empty map points nowhere: a miss.
    """
    flat = maps.flatten(1)
    peaks, places = flat.max(dim=1)
    return masks.flatten(1).gather(1, places[:, None]).squeeze(1) & (peaks > 0)


def energy_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """The share of a map's sum that lies on the object (Wang et al. 2020, Sec. 4.3).

    `maps` float (N, H, W), not negative, `masks` bool (N, H, W). Returns float (N,), 0 for an empty map. A
    map that is the same everywhere gets the object's share of the area: that is what chance scores.
    """
    total = maps.sum(dim=(1, 2))
    return (maps * masks).sum(dim=(1, 2)) / total.where(total > 0, 1.0)
