"""Translation: what one vector forgets as sentences grow, and what attention keeps.

The lecture's example of language, in its three architectures: two LSTMs with a vector
between them, an LSTM that looks back, and the Transformer; on pairs of sentences from a
file of the user's, or from catalogues of messages on the machine.
"""

from tendency.studies.translation.study import run as run
