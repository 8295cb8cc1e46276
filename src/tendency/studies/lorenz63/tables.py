"""The two tables of Fablet, Ouala & Herzet (2018), ours beside theirs.

Published errors are after h, 4h and 8h, as summarised in the lecture of 2022 from
arXiv:1712.07003; "< 1e-6" is kept as 1e-6.
"""

from tendency.integrate import dormand_prince5
from tendency.studies.lorenz63 import models as m
from tendency.studies.lorenz63.models import Row

LEADS: tuple[int, ...] = (1, 4, 8)  # steps of h
_BELOW = 1e-6

CLEAN, NOISY = "noise-free", "noise 0.5"

_CLEAN = (
    Row("Persistence", m.persistence, quick=True),
    Row("True equations, RK4", m.true_equations, quick=True),
    Row("Linear AR(5)", m.autoregression(5), quick=True),
    Row("Analogs, local linear", m.analogs("linear", 0.4), (_BELOW, 0.002, 0.005),
        False),
    Row("Analogs, local quadratic", m.analogs("quadratic"), tangent=False),
    Row("Sparse regression, differences of order 2", m.finite_differences(2)),
    Row("Sparse regression, differences of order 4", m.finite_differences(4),
        (_BELOW, 0.002, 0.006)),
    Row("Sparse regression, weak form", m.weak_form, quick=True),
    Row("MLP, RK4", m.mlp, (_BELOW, 0.018, 0.044), quick=True),
    Row("RNN", m.recurrent("rnn")),
    Row("GRU", m.recurrent("gru")),
    Row("LSTM", m.recurrent("lstm")),
    Row("Bi-NN(4), RK4", m.bilinear(), (_BELOW, _BELOW, _BELOW), quick=True),
    Row("Bi-NN, Dormand-Prince 5", m.bilinear(dormand_prince5)),
    Row("Bi-NN, Dormand-Prince 5, 2 substeps", m.bilinear(dormand_prince5, 2)),
)  # fmt: skip

_NOISY = (
    Row("Linear AR(5)", m.autoregression(5)),
    Row("Analogs, local linear", m.analogs("linear"), (_BELOW, 2.01, 2.2), False),
    Row("Sparse regression, weak form, reweighted", m.reweighted_weak_form, quick=True),
    Row("MLP, RK4, roll-outs of 8", m.mlp_rollout),
    Row("RNN", m.recurrent("rnn")),
    Row("GRU", m.recurrent("gru")),
    Row("LSTM", m.recurrent("lstm")),
    Row("Bi-NN(4), one step", m.bilinear(), (_BELOW, 0.054, 0.14), quick=True),
    Row("Bi-NN(4), roll-outs of 20", m.bilinear_rollout),
    Row("Bi-NN(4), multiple shooting", m.bilinear_shooting, quick=True),
)

TABLES = {CLEAN: _CLEAN, NOISY: _NOISY}
