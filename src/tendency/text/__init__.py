"""Floor 4: text to translate, as pairs of sentences, as tokens, as scores.

`read_pairs` reads them, `clean` and `split` prepare them; a `Tokenizer` makes tokens of
them, `tokens_of` and `bucketed` samples for `Teaching`; `Translator` is a fitted
translator with its tokenizer, `measured` gives BLEU and chrF.
"""

from tendency.text.batches import TokenPairs as TokenPairs
from tendency.text.batches import bucketed as bucketed
from tendency.text.batches import filled as filled
from tendency.text.batches import tokens_of as tokens_of
from tendency.text.clean import clean as clean
from tendency.text.clean import normalised as normalised
from tendency.text.clean import split as split
from tendency.text.measures import Measured as Measured
from tendency.text.measures import chrf_of_each as chrf_of_each
from tendency.text.measures import measured as measured
from tendency.text.pairs import Pairs as Pairs
from tendency.text.pairs import read_pairs as read_pairs
from tendency.text.tokenizer import Tokenizer as Tokenizer
from tendency.text.translate import Translator as Translator
