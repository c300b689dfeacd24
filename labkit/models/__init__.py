"""Networks by name: `build` gives a fresh one, `pretrained` a trained one that is shipped with its card.

    model, example = build("ds-cnn")
    model, card = pretrained("ds-cnn", "synthetic")
    logits = model(card.prepare(audio))                 # audio (clips, samples) at 16 kHz
"""

from labkit.models.weights import ModelCard, card, pretrained, save, shipped
from labkit.models.zoo import ZOO, build, names

__all__ = ["ZOO", "ModelCard", "build", "card", "names", "pretrained", "save", "shipped"]
