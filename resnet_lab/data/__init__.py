"""Images: where they come from, and what is done to them on the way into a net."""

from typing import TYPE_CHECKING

from resnet_lab.lazy import on_demand

if TYPE_CHECKING:
    from resnet_lab.data.augmentation import Augmentation
    from resnet_lab.data.base import Dataset, DatasetError, split_validation
    from resnet_lab.data.datasets import DATASETS, DatasetInfo
    from resnet_lab.data.loading import dataset_info, is_downloaded, load_dataset
    from resnet_lab.data.preprocess import ImageError, image_to_tensor, read_image
    from resnet_lab.data.transforms import augment, center_crop, normalize, rescale
else:
    __getattr__ = on_demand(__name__)

__all__ = [
    "DATASETS",
    "Augmentation",
    "Dataset",
    "DatasetError",
    "DatasetInfo",
    "ImageError",
    "augment",
    "center_crop",
    "dataset_info",
    "image_to_tensor",
    "is_downloaded",
    "load_dataset",
    "normalize",
    "read_image",
    "rescale",
    "split_validation",
]
