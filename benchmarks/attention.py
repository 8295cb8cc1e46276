"""A transformer that translates: a training step, and a greedy translation with cache.

An encoder and a decoder of three blocks, 128 numbers a token, 2,000 tokens, 64 pairs of
20 tokens each; PyTorch's is `torch.nn.Transformer`, eager, its fused attention on, the
same weights. It is told 24 tokens of one sentence, and of each of 64; PyTorch's by a
loop that keeps the keys and values of what was told.
"""

from benchmarks.measure import Case, Peer

VOCABULARY, SIZE, HEADS, DEPTH = 2000, 128, 4, 3
PAIRS, LENGTH, TOLD = 64, 20, 24
BATCHES, EPOCHS = 4, 2
ASKED = {"training": 1.2, "greedy": 5.0}
CASES = tuple(
    Case(
        f"transformer, {work}, float32",
        unit,
        (Peer("PyTorch, eager", "attention_torch", {}, ASKED[work]),),
        {"work": work, "sentences": sentences},
    )
    for work, sentences, unit in (
        ("training", PAIRS, "step of 64 pairs"),
        ("greedy", 1, "sentence"),
        ("greedy", PAIRS, "64 sentences"),
    )
)


def blocks_of(translator):
    """The weights of the blocks by the names of the peer."""

    def dense(name, of):
        return {f"{name}weight": of.weight.T.tolist(), f"{name}bias": of.bias.tolist()}

    def norm(name, of):
        return {f"{name}.weight": of.gain.tolist(), f"{name}.bias": of.offset.tolist()}

    def attention(name, of):
        weight = [*of.query.weight.T.tolist(), *of.source.weight.T.tolist()]
        bias = [*of.query.bias.tolist(), *of.source.bias.tolist()]
        held = {f"{name}.in_proj_weight": weight, f"{name}.in_proj_bias": bias}
        return held | dense(f"{name}.out_proj.", of.out)

    held = {}
    for stack in ("encoder", "decoder"):
        of = getattr(translator, stack)
        held |= norm(f"{stack}.norm", of.norm)
        for i, block in enumerate(of.blocks):
            at = f"{stack}.layers.{i}"
            held |= norm(f"{at}.norm1", block.own_norm)
            held |= attention(f"{at}.self_attn", block.own)
            if block.cross is not None:
                held |= norm(f"{at}.norm2", block.cross_norm)
                held |= attention(f"{at}.multihead_attn", block.cross)
            last = 2 if block.cross is None else 3
            held |= norm(f"{at}.norm{last}", block.last_norm)
            held |= dense(f"{at}.linear1.", block.last.first)
            held |= dense(f"{at}.linear2.", block.last.second)
    return held


def prepare(work, sentences=PAIRS, dtype="float32"):
    import jax

    jax.config.update("jax_enable_x64", dtype == "float64")
    import equinox as eqx
    import jax.numpy as jnp
    import optax

    import tendency
    from tendency.buckets import Buckets
    from tendency.fitting import Teaching
    from tendency.networks.attention import sinusoidal
    from tendency.networks.sequences import END, Transformer, greedy, seen_of
    from tendency.windows import Window

    translator = Transformer(
        VOCABULARY, SIZE, HEADS, DEPTH, dtype=dtype, key=jax.random.key(0)
    )
    never = translator.embedding.bias.at[END].set(-1e9)  # told to the last token
    translator = eqx.tree_at(lambda t: t.embedding.bias, translator, never)
    shape = (2, BATCHES * PAIRS, LENGTH)
    tokens = jax.random.randint(jax.random.key(1), shape, 3, VOCABULARY)
    source, target = tokens.astype(jnp.int32)
    waves = sinusoidal(jnp.arange(TOLD), SIZE, dtype)
    problem = {
        "source": source.tolist(),
        "target": target.tolist(),
        "weights": blocks_of(translator),
        "embedding": translator.embedding.weight.tolist(),
        "bias": never.tolist(),
        "waves": waves.tolist(),
    }
    if work == "greedy":
        few = source[:sentences]
        seen = seen_of(few)

        def tell(times):
            for _ in range(times):
                told = greedy(translator, few, seen, TOLD)
                told.tokens.block_until_ready()
            return told

        return {"problem": problem, "agreed": tell(1).tokens.tolist()}, tell
    weights = jnp.full(target.shape, 1 / (LENGTH - 1), dtype)
    states = {"source": source, "target": target}
    windows = Buckets.of([Window(states, weights=weights)])
    loss = Teaching()
    batch = jax.tree.map(lambda a: a[:PAIRS], windows.groups[0])

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def mean_loss(translator):
        return jax.vmap(lambda w: loss(translator, w))(batch).mean()

    value, slope = mean_loss(translator)
    method = tendency.Descent(optax.adam(1e-3), epochs=EPOCHS, batch=PAIRS)

    def run(times):
        for _ in range(times):
            tendency.fit(translator, windows, method, loss=loss, key=jax.random.key(2))

    gradient = slope.encoder.blocks[0].own.query.weight.T
    agreed = {"loss": float(value), "slope": gradient.tolist()}
    return {"problem": problem, "agreed": agreed, "work": BATCHES * EPOCHS}, run
