"""Floor 5: ensemble filters on Lorenz-96, by the size of the ensemble.

The twin experiment of Lorenz & Emanuel (1998, J. Atmos. Sci. 55, 399) as Sakov & Oke
(2008, Tellus A 60, 361) set it, beside what DAPPER 1.8 reaches. `methods` are the rows,
`twin` runs one of them, `page` is the report.
"""

from tendency.studies.lorenz96_assimilation.study import run as run
