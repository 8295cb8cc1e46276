"""Floor 1: the steps of a generated module, in time."""

import math
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


def tables(steps: Steps, forced: bool) -> list[str]:
    """The lines of the constants."""
    lines = [f"DT = {steps.dt!r}"]
    if not steps.b:
        padded = [(*row, *(0.0,) * (3 - len(row))) for row in steps.a]
        return [*lines, *_row("B", padded)]
    lines += [*_row("A", steps.a), f"B = {_tuple(steps.b)}"]
    when = tuple(math.fsum(row) for row in steps.a)
    return [*lines, *([f"C = {_tuple(when)}"] if forced else [])]


def stepping(steps: Steps, arguments: Sequence[str], language: Language) -> list[str]:
    """`step` and `forecast`, and what they need."""
    names = [a.partition("=")[0] for a in arguments]
    kinds = {
        "state": "state: State",
        "parameters": "parameters: Mapping[str, float] = PARAMETERS",
        "constants": "constants: State",
        "forcing": "forcing: State",
        "functions": "functions: Mapping[str, Callable]",
    }
    typed = [kinds[n] for n in names] + ["dt: float = DT"]
    forced = "forcing" in names
    if steps.b:
        one = _runge_kutta(typed, names)
        return [one, _forced(language, False) if forced else language.forecast]
    memory = _forced(language, True) if forced else _with_memory(language)
    return [_adams_bashforth(typed, names, language), memory]


def _runge_kutta(typed: list[str], names: list[str]) -> str:
    """Where there is a forcing, `after` is what it is at the end of the step."""
    passed = ["moved(state, dt, row, slopes)", *names[1:]]
    told, loop, between = "The state after dt.", "for row in A:", ""
    if "forcing" in names:
        at = names.index("forcing")
        typed = [*typed[: at + 1], "after: State", *typed[at + 1 :]]
        passed[at] = "now"
        told = "The state after dt; the forcing is `after` by then, linear between."
        loop = "for c, row in zip(C, A, strict=True):"
        between = (
            "        now = {n: x + c * (after[n] - x) for n, x in forcing.items()}\n"
        )
    return f'''
def moved(state: State, dt: float, weights: tuple, slopes: list[State]) -> State:
    """The state plus dt times the weighted sum of slopes."""
    terms = [(dt * w, k) for w, k in zip(weights, slopes, strict=True) if w != 0]
    if not terms:
        return state
    return {{name: x + sum(w * k[name] for w, k in terms) for name, x in state.items()}}


def step(
{_lines(typed)}) -> State:
    """{told}"""
    slopes: list[State] = []
    {loop}
{between}        slopes.append(tendency({", ".join(passed)}))
    return moved(state, dt, B, slopes)
'''


def _adams_bashforth(typed: list[str], names: list[str], language: Language) -> str:
    """The forcing is wanted at the start of the step alone."""
    typed = [typed[0], "memory: tuple[State, State, int]", *typed[1:]]
    weights, start = "B[min(count, 2)]", "0"
    zeros = "{name: 0 * x for name, x in state.items()}"
    if language is JAX:
        weights = "jnp.asarray(B, x.dtype)[jnp.minimum(count, 2)]"
        start = "jnp.zeros((), jnp.int32)"
        zeros = "jax.tree.map(jnp.zeros_like, state)"
    return f'''
def start(state: State) -> tuple[State, State, int]:
    """What the scheme remembers before its first step: two tendencies and a count."""
    nothing = {zeros}
    return nothing, nothing, {start}


def step(
{_lines(typed)}) -> tuple[State, tuple[State, State, int]]:
    """The state after dt, and what to remember."""
    last, last_but_one, count = memory
    now = tendency({", ".join(names)})
    new = {{}}
    for name, x in state.items():
        w = {weights}
        slope = w[0] * now[name] + w[1] * last[name] + w[2] * last_but_one[name]
        new[name] = x + dt * slope
    return new, (now, last, count + 1)
'''


def _lines(typed: list[str]) -> str:
    return "".join(f"    {t},\n" for t in typed)


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


def _forced(language: Language, memory: bool) -> str:
    """With series of the forcing, at both ends of every step."""
    told = '''    """The state after so many steps.

    The forcing holds series, time first, at the ends of the steps: steps + 1 values,
    the time t among them where the equations read it.
    """'''
    now, took = ("*now", "start(state)") if memory else ("now", "")
    if language is JAX:
        ends = "forcing=ends[0]" if memory else "forcing=ends[0], after=ends[1]"
        first = f"(state, {took})" if memory else "state"
        last = "[0][0]" if memory else "[0]"
        return f"""
def forecast(state: State, steps: int, forcing: State, **given) -> State:
{told}

    def one(now, ends):
        return step({now}, {ends}, **given), None

    ends = tuple({{n: x[i : i + steps] for n, x in forcing.items()}} for i in (0, 1))
    return jax.lax.scan(one, {first}, ends, length=steps){last}
"""
    here = "{n: x[i] for n, x in forcing.items()}"
    there = "{n: x[i + 1] for n, x in forcing.items()}"
    if memory:
        body = f"""    memory = start(state)
    for i in range(steps):
        here = {here}
        state, memory = step(state, memory, forcing=here, **given)"""
    else:
        body = f"""    for i in range(steps):
        here = {here}
        after = {there}
        state = step(state, forcing=here, after=after, **given)"""
    return f"""
def forecast(state: State, steps: int, forcing: State, **given) -> State:
{told}
{body}
    return state
"""


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
