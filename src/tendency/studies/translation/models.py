"""The three networks, fitted alike, and what they tell."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from tendency.fitting import Descent, Teaching, fit
from tendency.networks.sequences import BEGIN, END, seen_of
from tendency.studies.translation.corpus import Corpus
from tendency.studies.translation.setting import Size, network
from tendency.text import (
    Measured,
    Translator,
    bucketed,
    chrf_of_each,
    measured,
)

_WIDTH = 4  # of the beam


@dataclass(frozen=True)
class Outcome:
    """A network and what it told of the held-out part."""

    translator: Translator
    weights: int
    train_loss: Float[np.ndarray, " epoch"]
    validation_loss: Float[np.ndarray, " epoch"]
    best: int  # epoch
    bleu_by_epoch: dict[int, float] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    chrf_of_each: list[float] = field(default_factory=list)
    greedy: Measured | None = None
    beam: Measured | None = None
    seconds: float = 0.0  # of the fit
    rate: float = 0.0  # sentences a second, greedy


def fitted(
    name: str, corpus: Corpus, size: Size, seed: int, say: Callable[[str], None]
) -> Outcome:
    """Fit a network to the training part; the validation part chooses the epoch."""
    training = size.training[name]
    data = bucketed(corpus.train, size.buckets, least=size.batch)
    validation = bucketed(corpus.validation, max(1, size.buckets - 1))
    batch = min(size.batch, *data.sizes)
    steps = training.epochs * data.steps(batch)
    rate = optax.warmup_cosine_decay_schedule(
        0.0, training.rate, max(1, min(steps // 10, 400)), steps, 0.02 * training.rate
    )
    method = Descent(
        optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.adamw(rate, b2=0.98, weight_decay=0.01),
        ),
        epochs=training.epochs,
        batch=batch,
        ema=0.98,
    )
    some = corpus.parts[1].part(range(min(size.watched, len(corpus.parts[1]))))
    by_epoch: dict[int, float] = {}

    def watch(epoch: int, cell: eqx.Module) -> None:
        if (epoch + 1) % size.every and epoch + 1 != training.epochs:
            return
        translator = Translator(cell, corpus.tokenizer, size.window)  # pyright: ignore
        by_epoch[epoch] = measured(translator(some.source), some.target).bleu
        say(f"{name}, epoch {epoch + 1}: BLEU {by_epoch[epoch]:.1f} of validation")

    began = time.perf_counter()
    found = fit(
        network(name, size, len(corpus.tokenizer), seed),
        data,
        method,
        loss=Teaching(label_smoothing=0.1),
        validation=validation,
        key=jax.random.key(seed),
        watch=watch,
    )
    seconds = time.perf_counter() - began
    translator = Translator(found.cell, corpus.tokenizer, size.window)
    weights = sum(a.size for a in jax.tree.leaves(eqx.filter(found.cell, eqx.is_array)))
    test = corpus.parts[2]
    translator(test.source)  # compiled
    clock = time.perf_counter()
    told = translator(test.source)
    clock = time.perf_counter() - clock
    wide = Translator(found.cell, corpus.tokenizer, size.window, width=_WIDTH)
    outcome = Outcome(
        translator,
        weights,
        found.history["train_loss"],
        found.history["validation_loss"],
        found.best,
        by_epoch,
        told,
        chrf_of_each(told, test.target),
        measured(told, test.target),
        measured(wide(test.source), test.target),
        seconds,
        len(told) / clock,
    )
    assert outcome.greedy is not None
    say(
        f"{name}: BLEU {outcome.greedy.bleu:.1f}, chrF {outcome.greedy.chrf:.1f} of "
        f"{len(told)} held-out sentences; fitted in {seconds:.0f} s, "
        f"{outcome.rate:.0f} sentences a second"
    )
    return outcome


@eqx.filter_jit
def _attention(translator, source, given):
    return translator.attention(source, seen_of(source), given)


def word_attention(
    translator: Translator, source: str, target: str
) -> tuple[list[str], list[str], Float[np.ndarray, "target source"]] | None:
    """How much each word of the target was read off each word of the source.

    The attention of the tokens of a source's word is added, that of the tokens of a
    target's word averaged; the ends are words too.
    """
    tokenizer = translator.tokenizer
    one, other = tokenizer.encode([source, target])
    given = jnp.asarray([BEGIN, *other], jnp.int32)
    weights = _attention(translator.network, jnp.asarray([*one, END], jnp.int32), given)
    if weights is None:
        return None
    columns, names = _words(tokenizer.words([*one, END]))
    rows, told = _words(tokenizer.words([*other, END]))
    weights = np.asarray(weights, np.float64)
    across = np.add.reduceat(weights, columns, axis=1)
    counts = np.diff([*rows, len(weights)])
    return names, told, np.add.reduceat(across, rows, axis=0) / counts[:, None]


def _words(tokens: list[str]) -> tuple[list[int], list[str]]:
    """Where words begin among tokens, and how they read."""
    starts = [i for i, t in enumerate(tokens) if not i or t[:1] in (" ", "⏎")]
    ends = [*starts[1:], len(tokens)]
    return starts, [
        "".join(tokens[i:j]).strip() for i, j in zip(starts, ends, strict=True)
    ]
