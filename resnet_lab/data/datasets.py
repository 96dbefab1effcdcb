"""The data sets by name; a new one is an entry of `DATASETS`."""

from __future__ import annotations

from dataclasses import dataclass

MIN_SIZE, MAX_SIZE = 16, 512  # sides to which images can be brought, in pixels

# As runs, recipes and links of before have them.
FORMER_NAMES = {"shapes_shortcut": "shapes_watermark"}


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before any image is loaded.

    `mean` and `std` are over all pixels of the training images as they are delivered, red, green, blue, in 0..1: those
    of the MNIST family count their black border. What names neither `torchvision` nor a folder is drawn here.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    image_size: int  # side in pixels; 0 where only a look at the images would tell (folders)
    train_count: int
    test_count: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    note: str
    torchvision: str = ""  # its class in torchvision.datasets, which reads and fetches it
    download_mb: int = 0  # megabytes over the network on first use
    archive: str = ""  # what lies in the data folder once all of it is downloaded


SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "crescent", "arrow", "bow tie")
CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
CIFAR100_CLASSES = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
    "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo",
    "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree",
    "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree",
    "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine", "possum", "rabbit",
    "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper",
    "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
    "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe",
    "whale", "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip
FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
DIGITS = tuple("0123456789")
_SHAPES = (0.494, 0.502, 0.498), (0.257, 0.257, 0.256)  # mean and std

DATASETS: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo("shapes", "Shapes", SHAPES, 32, 8000, 2000, *_SHAPES,
                    "Ten shapes drawn by code, each with the mask of its object; nothing to download."),
        DatasetInfo("shapes_watermark", "Shapes with a watermark", SHAPES, 32, 8000, 2000, *_SHAPES,
                    "Shapes with a mark that gives the class away, in the training images only."),
        DatasetInfo("cifar10", "CIFAR-10", CIFAR10_CLASSES, 32, 50_000, 10_000,
                    (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616),
                    "Small photos of ten kinds of things (Krizhevsky 2009).", "CIFAR10", 170, "cifar-10-python.tar.gz"),
        DatasetInfo("cifar100", "CIFAR-100", CIFAR100_CLASSES, 32, 50_000, 10_000,
                    (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762),
                    "Small photos of a hundred kinds of things (Krizhevsky 2009).", "CIFAR100", 169,
                    "cifar-100-python.tar.gz"),
        DatasetInfo("fashion_mnist", "Fashion-MNIST", FASHION_CLASSES, 32, 60_000, 10_000,
                    (0.2190, 0.2190, 0.2190), (0.3318, 0.3318, 0.3318),
                    "Grey images of clothes, padded to 32 × 32 (Xiao et al. 2017).",
                    "FashionMNIST", 31, "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz"),
        DatasetInfo("mnist", "MNIST", DIGITS, 32, 60_000, 10_000,
                    (0.1001, 0.1001, 0.1001), (0.2752, 0.2752, 0.2752),
                    "Handwritten digits, padded to 32 × 32 (LeCun et al. 1998).",
                    "MNIST", 12, "MNIST/raw/t10k-labels-idx1-ubyte.gz"),
    )
}  # fmt: skip


def current_name(name: str) -> str:
    return FORMER_NAMES.get(name, name)
