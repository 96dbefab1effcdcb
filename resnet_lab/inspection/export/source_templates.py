"""What a net looks like as a file of its own; `source` fills the gaps. A line whose gap stays empty goes."""

HEADER = '''
"""{name}: a {kind} net of {table.named_layers:,} layers.

{table.total_params:,} parameters; {table.total_macs:,} multiply-accumulates (MACs) for one image of {facts.picture}.

{papers}

Modules are named as in torchvision and in ResNet Lab, so that state dicts pass both ways.
"""

{import_math}
import torch
{import_functional}
from torch import Tensor, nn
'''

PAD = '''
class PadShortcut(nn.Module):
    """The shortcut {where} (option A): {pixels}x, between channels of zeros."""

    def __init__(self, {parameters}) -> None:
        super().__init__()
        {keep_stride}
        self.before = (outputs - inputs) // 2
        self.after = outputs - inputs - self.before

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x{step}, (0, 0, 0, 0, self.before, self.after))
'''

PROJECTION = '''
def projection({parameters}) -> nn.Sequential:
    """The shortcut {where}: a 1×1 convolution gives x the shape of F(x)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1{stride}{facts.bias}),
        {norm}
    )
'''

BLOCK = '''
class {facts.block}(nn.Module):
    """y = {formula}, where F is {steps}."""

    {head}
        super().__init__()
        {layers}
        self.relu = nn.ReLU()
        {downsample}

    def forward(self, x: Tensor) -> Tensor:
        {forward}
'''

NET = '''
class {facts.net}(nn.Module):
    """Stem, stages and head. The shapes are for B images of {facts.picture}; other sizes work too."""

    def __init__(self) -> None:
        super().__init__()
        {layers}
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear({facts.channels}, {spec.num_classes})
        self.initialize()

    def forward(self, x: Tensor) -> Tensor:
        {forward}
        x = self.avgpool(x).flatten(1)  # (B, {facts.channels})
        return self.fc(x)  # (B, {spec.num_classes})

    def initialize(self) -> None:
        """Convolutions: normal, variance 2 / fan-out (He et al. 2015, arXiv:1502.01852)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            {zeros}


if __name__ == "__main__":
    model = {facts.net}().eval()
    print(f"{{sum(p.numel() for p in model.parameters()):,}} parameters")
    image = torch.randn(1, {table.input_size[0]}, {table.input_size[1]}, {table.input_size[2]})
    with torch.no_grad():
        logits = model(image)
    print("logits:", tuple(logits.shape))  # (1, {spec.num_classes})
'''

FEED = '''
# How the weights that belong to this net are to be fed, and what its outputs mean.
{constants}
# The net itself, as ResNet Lab reads it.
{net_spec}


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Probabilities, (B, {outputs}), of images with values 0 to 255, (B, 3, {size}, {size}).

    {prepared}
    """
    mean, std = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (MEAN, STD))
    {views}
    {probabilities}
'''

PAPERS = """
He et al. 2015, "Deep Residual Learning for Image Recognition", arXiv:1512.03385
He et al. 2016, "Identity Mappings in Deep Residual Networks", arXiv:1603.05027
Zagoruyko and Komodakis 2016, "Wide Residual Networks", arXiv:1605.07146
Xie et al. 2016, "Aggregated Residual Transformations for Deep Neural Networks", arXiv:1611.05431
""".strip().splitlines()
