"""Floor 5: the models that the TOML of a job may name, each with its own options.

`kind` says which; the table's name is the label under which its scores are kept. The
baselines (climatology, persistence, damped persistence) need no table.
"""

from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from tendency.configuration import Table

NotNegative = Annotated[float, Field(ge=0)]
NotNegativeInt = Annotated[int, Field(ge=0)]
_T = TypeVar("_T")
Choices = Annotated[list[_T], Field(min_length=1)]
Edge = Literal["zero", "reflect", "periodic", "replicate"]
Kernel = Literal[1, 3, 5, 7, 9]


class _Descended(Table):
    """What every model fitted by gradient descent reads."""

    epochs: PositiveInt = 100
    batch: PositiveInt = 64
    learning_rate: PositiveFloat = 1e-3
    patience: PositiveInt = 15  # epochs without a better validation loss
    horizon: PositiveInt = 4  # steps of the roll-out in the loss
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None  # of the weights, a step


class LinearAR(Table):
    """Linear regression on the last `lags` states.

    A list of lags or of ridges leaves the choice to the validation part: the pair whose
    forecasts err least there, over all lead times, is fitted again to all of `train`.
    """

    kind: Literal["linear_ar"]
    lags: PositiveInt | Choices[PositiveInt] = 3
    ridge: NotNegative | Choices[NotNegative] = 0.0
    increments: bool = False  # the ridge draws toward persistence, not to the mean


class Analog(Table):
    """What followed the most similar states of the past."""

    kind: Literal["analog"]
    neighbours: PositiveInt = 50
    lags: PositiveInt = 1
    method: Literal["linear", "increment", "constant"] = "increment"
    ridge: NotNegative = 0.0


class SparseRegression(Table):
    """A polynomial tendency with few terms, which prints as equations."""

    kind: Literal["sparse_regression"]
    degree: PositiveInt = 2
    threshold: NotNegative = 0.05
    scheme: Literal["euler", "rk4"] = "rk4"


class MLP(_Descended):
    """A tendency by dense layers."""

    kind: Literal["mlp"]
    width: PositiveInt = 64
    depth: PositiveInt = 2
    scheme: Literal["euler", "rk4"] = "euler"


class Bilinear(_Descended):
    """A tendency by products of linear maps of the state."""

    kind: Literal["bilinear"]
    width: PositiveInt = 8
    scheme: Literal["euler", "rk4"] = "rk4"


class Recurrent(_Descended):
    """A recurrent network, with `history` steps to inform its memory."""

    kind: Literal["rnn", "lstm", "gru"]
    width: PositiveInt = 64
    layers: PositiveInt = 1
    history: PositiveInt = 20


class EncoderDecoder(_Descended):
    """One recurrent network reads the history, another writes the forecast."""

    kind: Literal["encoder_decoder"]
    layer: Literal["rnn", "lstm", "gru"] = "gru"
    width: PositiveInt = 64
    history: PositiveInt = 20


class TemporalCNN(_Descended):
    """Causal convolutions over the last states, dilated by 1, 2, 4, ... steps."""

    kind: Literal["temporal_cnn"]
    width: PositiveInt = 32
    depth: Annotated[int, Field(ge=1, le=8)] = 3  # blocks
    kernel: PositiveInt = 3


class Transformer(_Descended):
    """Attention over the last `window` states; one token a step of a forecast.

    A decoder alone reads each state with those before it. Of an encoder and a decoder
    the first reads the history at once, the second writes the forecast.
    """

    kind: Literal["transformer"]
    form: Literal["decoder", "encoder_decoder"] = "decoder"
    size: PositiveInt = 64  # numbers of a token
    heads: PositiveInt = 4  # a divisor of it
    depth: PositiveInt = 2  # blocks
    window: PositiveInt = 20
    positions: Literal["rotary", "learned"] = "rotary"  # of a decoder alone


class Convolutional(_Descended):
    """Convolutions of the last `lags` fields, on the grid itself, without EOFs.

    A linear stencil, regressed over one step, to which `depth - 1` hidden layers are
    added; then all of it is fitted through roll-outs, in single precision.
    """

    kind: Literal["convolutional"]
    epochs: PositiveInt = 10
    batch: PositiveInt = 16
    horizon: PositiveInt = 5
    width: PositiveInt = 8
    depth: PositiveInt = 1  # 1 is linear
    kernel: Kernel = 5
    coarse: NotNegativeInt = 10  # points across the blocks of a second stencil; 0: none
    lags: PositiveInt = 3
    ridge: NotNegative = 0.01  # of the stencil's regression, toward persistence


class _OnMaps(_Descended):
    """What every network on maps reads; EOFs are left out, points of land not seen."""

    epochs: PositiveInt = 30
    batch: PositiveInt = 8
    increments: bool = True  # the network gives a change, not a value
    noise: NotNegative = 0.0  # on what is read in training, of a step's usual change
    gradient: NotNegative = 0.0  # weights of terms beside the square of the errors
    spectral: NotNegative = 0.0
    energy: NotNegative = 0.0
    precision: Literal["single", "half"] = "single"  # of products in training: bfloat16
    checkpoint: bool = False  # recompute the steps: less memory, more time


class _Edged(_OnMaps):
    """What networks of convolutions read besides."""

    rows: Edge = "replicate"  # what lies beyond the first and the last row
    columns: Edge = "replicate"  # of a globe "periodic"
    partial: bool = True  # convolutions count only the points that there are


class _Stepper(_OnMaps):
    """What networks read that step from the last `lags` maps.

    With `members` a network reads a map of noise too and is fitted by the fair CRPS of
    so many forecasts: `forecast.members` then draws from what it learned of its errors.
    """

    lags: PositiveInt = 1
    members: Annotated[int, Field(ge=2)] | None = None
    cycles: list[Literal["year", "day"]] = Field(default=[])  # whose phase it reads

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.members is not None and (self.gradient or self.spectral or self.energy):
            raise ValueError(
                "members fits the score of an ensemble, which takes no gradient, "
                "spectral or energy term: leave out either"
            )
        return self


class UNet(_Stepper, _Edged):
    """A network that sees far by coarser and coarser maps."""

    kind: Literal["unet"]
    widths: list[PositiveInt] = Field(default=[16, 32, 64], min_length=2)
    kernel: Kernel = 3


class ResNet(_Stepper, _Edged):
    """Residual blocks of convolutions, as far-sighted as they are deep."""

    kind: Literal["resnet"]
    width: PositiveInt = 32
    depth: PositiveInt = 4  # blocks
    kernel: Kernel = 3


class FNO(_Stepper):
    """A Fourier neural operator: products of the longest waves of the map."""

    kind: Literal["fno"]
    width: PositiveInt = 32
    depth: PositiveInt = 4  # layers
    # Wavenumbers kept along rows and columns, and zeros beyond a map that is no torus.
    modes: list[PositiveInt] = Field(default=[8, 8], min_length=2, max_length=2)
    margin: list[NotNegativeInt] = Field(default=[0, 0], min_length=2, max_length=2)


class MapTransformer(_Stepper, _Edged):
    """Attention among patches: all of them, rows and columns, or shifted windows."""

    kind: Literal["map_transformer"]
    size: PositiveInt = 64  # numbers of a patch, a multiple of 4
    heads: PositiveInt = 4
    depth: PositiveInt = 4  # blocks
    patch: PositiveInt = 4  # points along a side
    reach: Literal["global", "axial", "window"] = "global"
    window: PositiveInt = 8  # patches along a side, even


class ConvRecurrent(_Edged):
    """Recurrent layers whose hidden states are maps, informed by `history` steps."""

    kind: Literal["conv_lstm", "conv_gru", "predrnn"]
    widths: list[PositiveInt] = Field(default=[32], min_length=1)  # of the layers
    kernel: Kernel = 3
    history: PositiveInt = 5

    @model_validator(mode="after")
    def _one_memory(self) -> Self:
        if self.kind == "predrnn" and len(set(self.widths)) > 1:
            raise ValueError(
                f"widths is {self.widths}, the same number for each layer was expected "
                "of a predrnn, whose memory passes through all of them: make them equal"
            )
        return self


Model = Annotated[
    LinearAR
    | Analog
    | SparseRegression
    | MLP
    | Bilinear
    | Recurrent
    | EncoderDecoder
    | TemporalCNN
    | Transformer
    | Convolutional
    | UNet
    | ResNet
    | FNO
    | MapTransformer
    | ConvRecurrent,
    Field(discriminator="kind"),
]
OnMaps = UNet | ResNet | FNO | MapTransformer | ConvRecurrent
BASELINES = ("climatology", "persistence", "damped_persistence")


def past_steps(model: Model) -> int:
    """The steps of history that a forecast needs before its first state."""
    if isinstance(model, TemporalCNN):
        return 2 * (model.kernel - 1) * (2**model.depth - 1)
    if isinstance(model, Recurrent | EncoderDecoder | ConvRecurrent):
        return model.history
    if isinstance(model, Transformer):
        return model.window - 1
    lags = getattr(model, "lags", 1)
    return (max(lags) if isinstance(lags, list) else lags) - 1


def window_times(model: Model) -> int:
    """The times of one training sample."""
    if isinstance(model, SparseRegression):
        return 5  # of its finite differences
    return past_steps(model) + 1 + getattr(model, "horizon", 1)
