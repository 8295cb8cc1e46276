"""Floor 1: the steps of a generated module, in time."""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from tendency.symbolic.languages import JAX, Language

_WIDTH = 88


class Steps(NamedTuple):
    """A scheme and its step: Runge-Kutta, or Adams-Bashforth 3 where there is no b."""

    name: str
    dt: float
    a: tuple[tuple[float, ...], ...] = ((1.0,), (1.5, -0.5), (23 / 12, -4 / 3, 5 / 12))
    b: tuple[float, ...] = ()


def tables(steps: Steps) -> list[str]:
    """The lines of the constants."""
    lines = [f"DT = {steps.dt!r}"]
    if not steps.b:
        padded = [(*row, *(0.0,) * (3 - len(row))) for row in steps.a]
        return [*lines, *_row("B", padded)]
    return [*lines, *_row("A", steps.a), f"B = {_tuple(steps.b)}"]


def stepping(steps: Steps, arguments: Sequence[str], language: Language) -> list[str]:
    """`step` and `forecast`, and what they need."""
    names = [a.partition("=")[0] for a in arguments]
    kinds = {
        "state": "state: State",
        "parameters": "parameters: Mapping[str, float] = PARAMETERS",
        "constants": "constants: State",
        "forcing": "forcing: Mapping[str, float]",
    }
    typed = [kinds[n] for n in names] + ["dt: float = DT"]
    if steps.b:
        return [_runge_kutta(typed, names), language.forecast]
    return [_adams_bashforth(typed, names, language), _with_memory(language)]


def _runge_kutta(typed: list[str], names: list[str]) -> str:
    passed = ", ".join(["moved(state, dt, row, slopes)", *names[1:]])
    return f'''
def moved(state: State, dt: float, weights: tuple, slopes: list[State]) -> State:
    """The state plus dt times the weighted sum of slopes."""
    terms = [(dt * w, k) for w, k in zip(weights, slopes, strict=True) if w != 0]
    if not terms:
        return state
    return {{name: x + sum(w * k[name] for w, k in terms) for name, x in state.items()}}


def step(
{"".join(f"    {t},{chr(10)}" for t in typed)}) -> State:
    """The state after dt; a forcing is held over the step."""
    slopes: list[State] = []
    for row in A:
        slopes.append(tendency({passed}))
    return moved(state, dt, B, slopes)
'''


def _adams_bashforth(typed: list[str], names: list[str], language: Language) -> str:
    typed = [typed[0], "memory: tuple[State, State, int]", *typed[1:]]
    weights, start = "B[min(count, 2)]", "0"
    zeros = "{name: 0 * x for name, x in state.items()}"
    if language is JAX:
        weights = "jnp.asarray(B, x.dtype)[jnp.minimum(count, 2)]"
        start = "jnp.zeros((), jnp.int32)"
        zeros = "jax.tree.map(jnp.zeros_like, state)"
    lines = "".join(f"    {t},\n" for t in typed)
    return f'''
def start(state: State) -> tuple[State, State, int]:
    """What the scheme remembers before its first step: two tendencies and a count."""
    nothing = {zeros}
    return nothing, nothing, {start}


def step(
{lines}) -> tuple[State, tuple[State, State, int]]:
    """The state after dt, and what to remember; a forcing is held over the step."""
    last, last_but_one, count = memory
    now = tendency({", ".join(names)})
    new = {{}}
    for name, x in state.items():
        w = {weights}
        slope = w[0] * now[name] + w[1] * last[name] + w[2] * last_but_one[name]
        new[name] = x + dt * slope
    return new, (now, last, count + 1)
'''


def _with_memory(language: Language) -> str:
    if language is JAX:
        return '''
def forecast(state: State, steps: int, **given) -> State:
    """The state after so many steps, as one compiled loop."""

    def one(now: tuple[State, tuple], _: None) -> tuple[tuple[State, tuple], None]:
        return step(*now, **given), None

    return jax.lax.scan(one, (state, start(state)), None, length=steps)[0][0]
'''
    return '''
def forecast(state: State, steps: int, **given) -> State:
    """The state after so many steps."""
    memory = start(state)
    for _ in range(steps):
        state, memory = step(state, memory, **given)
    return state
'''


def _row(name: str, rows: Sequence[Sequence[float]]) -> list[str]:
    inside = [_tuple(row) for row in rows]
    line = f"{name} = ({', '.join(inside)}{',' if len(inside) == 1 else ''})"
    if len(line) <= _WIDTH:
        return [line]
    return [f"{name} = (", *(f"    {row}," for row in inside), ")"]


def _tuple(row: Sequence[float]) -> str:
    return f"({', '.join(map(_exact, row))}{',' if len(row) == 1 else ''})"


def _exact(value: float) -> str:
    """A float as the fraction that it stands for, where there is one."""
    near = Fraction(value).limit_denominator(100_000)
    if near.numerator / near.denominator != value:
        return repr(value)
    if near.denominator == 1:
        return f"{near.numerator}.0"
    return f"{near.numerator} / {near.denominator}"
