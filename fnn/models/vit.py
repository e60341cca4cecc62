"""The vision transformer: an image as a sequence of patches."""

from collections.abc import Callable

import jax

from fnn.checks import check_count
from fnn.combine import serial
from fnn.core import Layer
from fnn.layers import dense, dropout, global_avg_pool, layer_norm, patches, position_embed
from fnn.models.transformer import Activation, transformer


def vit(
    classes: int,
    *,
    image: int | tuple[int, int],
    patch: int,
    features: int = 64,
    heads: int = 4,
    blocks: int = 4,
    hidden: int | None = None,
    activation: Activation = jax.nn.gelu,
    norm: Callable[[], Layer] = layer_norm,
    rate: float = 0.0,
) -> Layer:
    r"""Cut images into patches, let them look at one another, and classify their mean.

    .. math:: z = W \operatorname{mean}_t N(\operatorname{blocks}(E x_t + p_t))

    The mean over patches stands for the paper's class token, which does no better (Zhai et al.
    2022, section 4).

    Args:
      classes: the size of the output's last axis.
      image: height and width in pixels, one int if they are equal; multiples of `patch`.
      patch: the side of a patch in pixels.
      features: the size of each patch's vector.
      heads: attention heads, a divisor of `features`.
      blocks: how many.
      hidden: hidden neurons of the feed-forward networks; 4 features if None.
      activation: of the feed-forward networks.
      norm: makes the normalisations.
      rate: probability to drop in training, as of `transformer`, and of the embeddings.

    Shapes:
      x: (batch, height, width, channels) -> y: (batch, classes), logits.
      params: {"embed", "positions", "body", "head"}. state: {}.

    Raises:
      ValueError: at construction if patches do not fit the image, or heads the features.

    Source: Dosovitskiy et al. 2021, eq. 1-4, https://arxiv.org/abs/2010.11929; the mean: Zhai et
      al. 2022, https://arxiv.org/abs/2106.04560

    >>> net = vit(10, image=28, patch=7, features=8, heads=2, blocks=1)
    >>> x = jax.numpy.ones((2, 28, 28, 1))
    >>> net.apply(*net.init(jax.random.key(0), x), x)[0].shape
    (2, 10)
    """
    patch = check_count("vit", "patch", patch)
    height, width = (image, image) if isinstance(image, int) else image
    if height % patch or width % patch:
        raise ValueError(
            f"vit: patch must divide the image's height and width, got {patch} and {image}"
        )
    tokens = (height // patch) * (width // patch)
    return serial(
        patches=patches(patch),
        embed=dense(features),
        positions=position_embed(tokens),
        **({"drop": dropout(rate)} if rate else {}),
        body=transformer(
            features,
            heads=heads,
            blocks=blocks,
            hidden=hidden,
            activation=activation,
            norm=norm,
            rate=rate,
        ),
        mean=global_avg_pool(),
        head=dense(classes),
    )
