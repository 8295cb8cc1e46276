"""Translators: from the tokens of one sentence to those of another.

`AbstractTranslator` is what each can do, `SingleVector`, `Attending` and `Transformer`
the three forms; `greedy` and `beam` tell a target with any of them.
"""

from tendency.networks.sequences.attending import Additive as Additive
from tendency.networks.sequences.attending import Attending as Attending
from tendency.networks.sequences.attending import DotProduct as DotProduct
from tendency.networks.sequences.decoding import Told as Told
from tendency.networks.sequences.decoding import beam as beam
from tendency.networks.sequences.decoding import greedy as greedy
from tendency.networks.sequences.single_vector import SingleVector as SingleVector
from tendency.networks.sequences.transformer import Transformer as Transformer
from tendency.networks.sequences.translator import BEGIN as BEGIN
from tendency.networks.sequences.translator import END as END
from tendency.networks.sequences.translator import PAD as PAD
from tendency.networks.sequences.translator import (
    AbstractTranslator as AbstractTranslator,
)
from tendency.networks.sequences.translator import Embedding as Embedding
from tendency.networks.sequences.translator import seen_of as seen_of
