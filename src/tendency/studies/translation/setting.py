"""What is learned from, by which networks, for how long."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from tendency.networks.sequences import (
    AbstractTranslator,
    Attending,
    SingleVector,
    Transformer,
)

ONE, ATTENDING, TRANSFORMER = "Single vector", "LSTM with attention", "Transformer"
FILES = {ONE: "single-vector", ATTENDING: "attention", TRANSFORMER: "transformer"}
SHARES = (0.85, 0.05, 0.1)  # learned from, chosen by, held out
HOW = (
    "Give pairs of sentences with --pairs: a table with a tab between (.tsv), gettext "
    "catalogues (.mo, .po) or two files of a sentence a line."
)


class Training(NamedTuple):
    """Of one network."""

    epochs: int
    rate: float  # at its highest
    dropout: float


class Size(NamedTuple):
    """Of the study, or of its quick look."""

    vocabulary: int
    window: int  # tokens of a sentence at most
    most: int  # pairs that are taken of a file
    batch: int
    buckets: int
    every: int  # epochs between two BLEUs of the validation part
    watched: int  # pairs of the validation part that they are of
    size: int  # numbers of a token
    units: int  # of an LSTM
    heads: int
    depth: int  # blocks of an encoder, and of a decoder
    hidden: int
    training: dict[str, Training]


FULL = Size(
    vocabulary=2000,
    window=64,
    most=6000,
    batch=32,
    buckets=5,
    every=4,
    watched=200,
    size=128,
    units=192,
    heads=4,
    depth=2,
    hidden=256,
    training={
        ONE: Training(20, 3e-3, 0.3),
        ATTENDING: Training(16, 3e-3, 0.3),
        TRANSFORMER: Training(26, 3e-3, 0.2),
    },
)
SMALL = Size(
    vocabulary=600,
    window=16,
    most=300,
    batch=16,
    buckets=1,
    every=1,
    watched=20,
    size=16,
    units=16,
    heads=2,
    depth=1,
    hidden=32,
    training={name: Training(2, 3e-3, 0.1) for name in FILES},
)


def network(name: str, size: Size, vocabulary: int, seed: int) -> AbstractTranslator:
    """Before it has learned anything, in single precision."""
    key = jax.random.key(seed)
    dropout, single = size.training[name].dropout, jnp.float32
    if name == TRANSFORMER:
        return Transformer(
            vocabulary,
            size.size,
            size.heads,
            size.depth,
            hidden=size.hidden,
            dropout=dropout,
            rotary=True,
            dtype=single,
            key=key,
        )
    if name == ATTENDING:
        return Attending(
            vocabulary,
            size.size,
            size.units,
            additive=False,
            dropout=dropout,
            dtype=single,
            key=key,
        )
    return SingleVector(
        vocabulary, size.size, (size.units,), dropout=dropout, dtype=single, key=key
    )
