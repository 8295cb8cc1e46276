"""Attention: transformers over tokens, series and maps.

`MultiHeadAttention`, `Block`, and stacks of them: `Encoder`, `Decoder`, whose `step`
with what it remembers equals its pass over all tokens at once.
"""

from tendency.networks.attention.blocks import Block as Block
from tendency.networks.attention.blocks import FeedForward as FeedForward
from tendency.networks.attention.blocks import Norm as Norm
from tendency.networks.attention.encoder_decoder import (
    EncoderDecoderTransformer as EncoderDecoderTransformer,
)
from tendency.networks.attention.multi_head import KeysValues as KeysValues
from tendency.networks.attention.multi_head import (
    MultiHeadAttention as MultiHeadAttention,
)
from tendency.networks.attention.multi_head import causal as causal
from tendency.networks.attention.positions import rotated as rotated
from tendency.networks.attention.positions import sinusoidal as sinusoidal
from tendency.networks.attention.series import CausalTransformer as CausalTransformer
from tendency.networks.attention.series import Held as Held
from tendency.networks.attention.series import TransformerCell as TransformerCell
from tendency.networks.attention.stacks import Cache as Cache
from tendency.networks.attention.stacks import Decoder as Decoder
from tendency.networks.attention.stacks import Encoder as Encoder
