"""Translators: folded is unfolded, filling changes nothing, the search is exact."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tendency.errors import InputError
from tendency.fitting import Teaching
from tendency.networks.sequences import (
    BEGIN,
    END,
    PAD,
    AbstractTranslator,
    Attending,
    SingleVector,
    Transformer,
    beam,
    greedy,
    seen_of,
)
from tendency.windows import Window

VOCABULARY, LENGTH = 11, 6
FORMS = ("single vector", "additive", "dot product", "transformer", "rotary")


def made(form: str, dropout: float = 0.0) -> AbstractTranslator:
    key = jax.random.key(3)
    if form == "single vector":
        return SingleVector(VOCABULARY, 6, (8, 8), dropout=dropout, key=key)
    if form in FORMS[3:]:
        rotary = form == "rotary"
        return Transformer(VOCABULARY, 8, 2, 2, dropout=dropout, rotary=rotary, key=key)
    additive = form == "additive"
    return Attending(VOCABULARY, 6, 8, additive=additive, dropout=dropout, key=key)


# The additive score differs from the other in one product, and is held to NumPy below.
@pytest.fixture(scope="module", params=[f for f in FORMS if f != "additive"])
def translator(request) -> AbstractTranslator:
    return made(request.param)


SOURCE = jnp.array([[5, 3, 8, 9, END, PAD], [7, END, PAD, PAD, PAD, PAD]])
TARGET = jnp.array(
    [[BEGIN, 4, 4, 10, 6, END, PAD], [BEGIN, 9, END, PAD, PAD, PAD, PAD]]
)
teach = eqx.filter_jit(lambda t, *a: jax.vmap(t.teach)(*a))


def test_folded_is_unfolded(translator):
    unfolded = teach(translator, SOURCE, seen_of(SOURCE), TARGET[:, :-1])

    @eqx.filter_jit
    def folded(translator, source, seen, given):
        memory = translator.encode(source, seen)
        state = translator.start(memory, LENGTH)

        def tell(state, now):
            return translator.step(memory, state, *now)

        return jax.lax.scan(tell, state, (given, jnp.arange(LENGTH)))[1]

    one = folded(translator, SOURCE[0], seen_of(SOURCE[0]), TARGET[0, :-1])
    np.testing.assert_allclose(one, unfolded[0], rtol=0, atol=1e-12)
    assert np.ptp(unfolded) > 0.1


def test_filling_and_what_comes_later_change_nothing(translator):
    given = TARGET[:, :-1]
    whole = teach(translator, SOURCE, seen_of(SOURCE), given)
    short = teach(translator, SOURCE[1:, :3], seen_of(SOURCE[1:, :3]), given[1:])
    np.testing.assert_allclose(short[0], whole[1], rtol=0, atol=1e-12)
    other = given.at[0, 3:].set(8)
    changed = teach(translator, SOURCE, seen_of(SOURCE), other)
    np.testing.assert_allclose(changed[0, :3], whole[0, :3], rtol=0, atol=1e-12)
    assert not np.allclose(changed[0, 3:], whole[0, 3:], atol=1e-3)


def test_weights_of_attention(translator):
    found = eqx.filter_jit(lambda t, *a: t.attention(*a))(
        translator, SOURCE[0], seen_of(SOURCE[0]), TARGET[0, :-1]
    )
    if isinstance(translator, SingleVector):
        assert found is None
        return
    assert found.shape == (LENGTH, SOURCE.shape[1])
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-12)
    assert (found[:, -1] == 0).all()
    assert (found[:, :-1] > 0).all()


def sigma(x):
    return 1 / (1 + np.exp(-x))


def lstm(layer, hidden, x):
    h, c = hidden
    i, f, g, o = np.split(np.concatenate([x, h]) @ layer.weight + layer.bias, 4)
    c = sigma(f) * c + sigma(i) * np.tanh(g)
    return (sigma(o) * np.tanh(c), c)


@pytest.mark.parametrize("form", ["additive", "dot product"])
def test_attending_against_numpy(form):
    t = made(form)
    logits = teach(t, SOURCE[:1], seen_of(SOURCE[:1]), TARGET[:1, :-1])[0]
    t = jax.tree.map(np.asarray, t)
    size = t.embedding.weight.shape[1]
    x = t.embedding.weight[SOURCE[0, :5]] * np.sqrt(size)
    nothing = (np.zeros(8), np.zeros(8))

    def read(layer, x):
        return list(
            itertools.accumulate(x, lambda h, x: lstm(layer, h, x), initial=nothing)
        )[1:]

    ahead, back = read(t.forward, x), read(t.backward, x[::-1])
    sides = zip(ahead, back[::-1], strict=True)
    m = np.stack([np.concatenate([a[0], b[0]]) for a, b in sides])
    first = np.concatenate([ahead[-1][0], back[-1][0]]) @ t.first.weight + t.first.bias
    hidden, a = tuple(np.split(np.tanh(first), 2)), np.zeros(8)
    for token, expected in zip(TARGET[0, :-1], logits, strict=True):
        y = t.embedding.weight[int(token)] * np.sqrt(size)
        hidden = lstm(t.decoder, hidden, np.concatenate([y, a]))
        h = hidden[0]
        if form == "additive":
            p = t.alignment
            scores = [p.weight @ np.tanh(h @ p.query + r @ p.key) for r in m]
        else:
            scores = [h @ (r @ t.alignment.key) / np.sqrt(8) for r in m]
        w = np.exp(scores) / np.exp(scores).sum()
        joined = np.concatenate([w @ m, h]) @ t.joined.weight + t.joined.bias
        a = np.tanh(joined)
        told = t.embedding.weight @ (a @ t.out.weight + t.out.bias) + t.embedding.bias
        np.testing.assert_allclose(told, expected, rtol=0, atol=1e-12)


def test_a_beam_of_one_is_greedy_is_the_likeliest_token_each_time(translator):
    seen = seen_of(SOURCE)
    told = greedy(translator, SOURCE, seen, LENGTH)
    one = beam(translator, SOURCE, seen, LENGTH, width=1)
    np.testing.assert_array_equal(told.tokens, one.tokens)
    np.testing.assert_allclose(told.log_probability, one.log_probability, rtol=1e-12)
    np.testing.assert_array_equal(told.ended, one.ended)
    given = jnp.full((2, LENGTH + 1), BEGIN).at[:, 1:].set(told.tokens)[:, :-1]
    logits = np.array(teach(translator, SOURCE, seen, given))
    logits[..., [PAD, BEGIN]] = -np.inf
    for tokens, expected in zip(
        np.asarray(told.tokens), logits.argmax(-1), strict=True
    ):
        end = list(tokens).index(END) if END in tokens else LENGTH
        np.testing.assert_array_equal(tokens[: end + 1], expected[: end + 1])
        assert (tokens[end + 1 :] == PAD).all()


class Table(AbstractTranslator):
    """Logits from a table: of the source's first token, the place, the last token."""

    table: jax.Array

    def encode(self, source, seen, *, key=None):
        return source[0]

    def start(self, memory, length):
        return jnp.zeros(())

    def step(self, memory, state, token, index):
        return state, self.table[memory, index, token]

    def teach(self, source, seen, given, *, key=None):
        return self.table[source[0], jnp.arange(given.shape[0]), given]

    def attention(self, source, seen, given):
        return None


def hypotheses(table, length, penalty):
    """All targets that end, and what each is worth."""
    logits = np.array(table)
    logits[..., [PAD, BEGIN]] = -np.inf
    p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    for n in range(1, length + 1):
        for words in itertools.product(range(3, table.shape[-1]), repeat=n - 1):
            tokens = (*words, END)
            before = (BEGIN, *words)
            total = sum(
                p[i, b, t] for i, (b, t) in enumerate(zip(before, tokens, strict=True))
            )
            yield total / n**penalty, total, tokens


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0])
def test_a_wide_beam_is_exact(penalty):
    length, count = 4, 6
    draw = np.random.default_rng(5).normal(size=(count, length, 6, 6)) * 1.5
    draw[..., END] -= 1  # so that long ones may win
    source = jnp.arange(count)[:, None]
    told = beam(
        Table(jnp.asarray(draw)), source, source >= 0, length, width=27, penalty=penalty
    )
    lengths = set()
    for i in range(count):
        _, total, tokens = max(hypotheses(draw[i], length, penalty))
        lengths.add(len(tokens))
        expected = [*tokens, *[PAD] * (length - len(tokens))]
        np.testing.assert_array_equal(told.tokens[i], expected)
        np.testing.assert_allclose(told.log_probability[i], total, rtol=1e-12)
    assert told.ended.all()
    assert len(lengths) > 1


def test_a_sentence_is_told_alike_in_any_batch():
    draw = np.random.default_rng(6).normal(size=(5, 7, 9, 9)) * 2
    source = jnp.arange(5)[:, None]
    t = Table(jnp.asarray(draw))
    together = beam(t, source, source >= 0, 7, width=3)
    alone = [beam(t, s[None], s[None] >= 0, 7, width=3) for s in source]
    for i, one in enumerate(alone):
        np.testing.assert_array_equal(one.tokens[0], together.tokens[i])


def test_without_an_end_the_length_is_full():
    table = jnp.zeros((1, 5, 6, 6)).at[..., END].set(-60).at[..., 4].set(1)
    source = jnp.zeros((1, 1), int)
    for told in (greedy(Table(table), source, source >= 0, 5),
                 beam(Table(table), source, source >= 0, 5, width=2)):  # fmt: skip
        assert told.tokens[0].tolist() == [4] * 5 or not told.ended[0]
        assert END not in told.tokens[0]


def window(row: int) -> Window:
    weights = (TARGET != PAD).astype(float).at[:, 0].set(0)
    return Window(
        {"source": SOURCE[row], "target": TARGET[row]}, weights=weights[row] / 4
    )


def random_table() -> Table:
    return Table(jnp.asarray(np.random.default_rng(7).normal(size=(9, 6, 11, 11))))


def test_teaching_is_the_cross_entropy_of_each_token():
    t = random_table()
    for row, told in enumerate(([4, 4, 10, 6, END], [9, END])):
        logits = t.teach(SOURCE[row], seen_of(SOURCE[row]), TARGET[row, :-1])
        p = jax.nn.log_softmax(logits)
        expected = -sum(p[i, token] for i, token in enumerate(told)) / 4
        found = Teaching(label_smoothing=0.3)(t, window(row))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_smoothing_and_sampling(key):
    t = random_table()
    logits = t.teach(SOURCE[0], seen_of(SOURCE[0]), TARGET[0, :-1])
    p = jax.nn.log_softmax(logits)
    q = 0.7 * jax.nn.one_hot(TARGET[0, 1:], VOCABULARY) + 0.3 / VOCABULARY
    expected = -(q * p).sum(-1)[:5].sum() / 4
    found = Teaching(label_smoothing=0.3)(t, window(0), key=key)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    plain, mixed = Teaching(), Teaching(scheduled_sampling=0.5)
    assert abs(float(mixed(t, window(0), key=key) - plain(t, window(0)))) > 1e-3
    np.testing.assert_array_equal(mixed(t, window(0)), plain(t, window(0)))


@pytest.mark.parametrize("form", [FORMS[0], FORMS[1], FORMS[3]])
def test_dropout_needs_a_key(form, key):
    t = made(form, dropout=0.4)
    args = (SOURCE[0], seen_of(SOURCE[0]), TARGET[0, :-1])
    teach = eqx.filter_jit(lambda t, key: t.teach(*args, key=key))
    plain, drawn = teach(t, None), teach(t, key)
    assert not np.allclose(plain, drawn, atol=1e-3)
    expected = eqx.filter_jit(lambda t: t.teach(*args))(made(form))
    np.testing.assert_allclose(plain, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Teaching(label_smoothing=1.0), "label_smoothing is 1.0"),
        (lambda: Teaching(scheduled_sampling=-0.1), "scheduled_sampling"),
        (lambda: greedy(made(FORMS[0]), SOURCE, seen_of(SOURCE), 0), "length is 0"),
        (lambda: beam(made(FORMS[0]), SOURCE, seen_of(SOURCE), 3, width=0), "width"),
        (
            lambda: beam(
                made(FORMS[0]), SOURCE, seen_of(SOURCE), 3, width=2, penalty=-1.0
            ),
            "penalty is -1.0",
        ),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(InputError, match=word):
        make()
