"""What a run measured before, to compare with.

Measured for this test bed with a hand-written model of the same equations, scheme and
filter on 128 x 128 points, after three years of spin-up, and for the closed basin with
another one of its kind. Nobody published them.
"""

CASE = "midlat"

NUMBERS: dict[str, float] = {
    "SSH standard deviation": 0.154,  # [m]
    "surface eddy kinetic energy": 0.0589,  # [m² / s²]
    "spectral slope of SSH, 70 to 250 km": -5.4,
    "e-folding distance of SSH": 100.0,  # [km]
    "autocorrelation of SSH, 5": 0.83,  # after so many days
    "autocorrelation of SSH, 10": 0.58,
    "autocorrelation of SSH, 20": 0.21,
}

GYRE_NUMBERS: dict[str, float] = {
    "lowest SSH": -1.03,  # [m]
    "highest SSH": 1.16,
}

SKILL: dict[str, dict[int, float]] = {  # model -> days -> 1 - RMSE / std
    "Persistence": {1: 0.86, 5: 0.44, 10: 0.11, 20: -0.21},
    "Physics on 64 x 64": {1: 0.98, 5: 0.93, 10: 0.85, 20: 0.60},
}
