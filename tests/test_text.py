"""Text: pairs read, cleaned and split, tokens that lose nothing, scores of others."""

import numpy as np
import polib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tendency.errors import InputError
from tendency.networks.sequences import BEGIN, END, PAD
from tendency.text import (
    Pairs,
    Tokenizer,
    bucketed,
    chrf_of_each,
    clean,
    measured,
    normalised,
    read_pairs,
    split,
    tokens_of,
)
from tendency.text.extra import needed

EN = ("open the map", "close the map", "open the file", "no file", "close all")
FR = ("ouvrir la carte", "fermer la carte", "ouvrir le fichier", "aucun", "tout fermer")
PAIRS = Pairs(EN, FR, "here")


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.learn([*EN, *FR], 300)


# Files.


def test_a_table_two_files_and_catalogues_give_the_same_pairs(tmp_path):
    table, source, target = (tmp_path / n for n in ("a.tsv", "a.en", "a.fr"))
    rows = "".join(f"{s}\t{t}\n" for s, t in zip(EN, FR, strict=True))
    table.write_text("\ufeff" + rows.replace("\n", "\r\n"), encoding="utf-8")
    source.write_text("\n".join(EN), encoding="utf-8")
    target.write_text("\n".join(FR) + "\n", encoding="utf-8")
    catalogue = polib.POFile()
    catalogue.metadata = {"Content-Type": "text/plain; charset=utf-8"}
    for s, t in zip(EN, FR, strict=True):
        catalogue.append(polib.POEntry(msgid=s, msgstr=t))
    catalogue.append(polib.POEntry(msgid="not yet", msgstr=""))
    catalogue.append(polib.POEntry(msgid="old", msgstr="vieux", obsolete=True))
    catalogue.append(polib.POEntry(msgid="doubt", msgstr="doute", flags=["fuzzy"]))
    catalogue.save(str(tmp_path / "a.po"))
    catalogue.save_as_mofile(str(tmp_path / "a.mo"))
    expected = sorted(zip(EN, FR, strict=True))
    for paths in (table, [source, target], tmp_path / "a.po", tmp_path / "a.mo"):
        found = read_pairs(paths)
        assert sorted(zip(found.source, found.target, strict=True)) == expected
    assert len(read_pairs([table, tmp_path / "a.po"])) == 10


def test_plural_forms_are_pairs(tmp_path):
    catalogue = polib.POFile()
    catalogue.metadata = {"Content-Type": "text/plain; charset=utf-8"}
    forms = {0: "un point", 1: "des points"}
    catalogue.append(
        polib.POEntry(msgid="a point", msgid_plural="points", msgstr_plural=forms)
    )
    catalogue.save(str(tmp_path / "a.po"))
    found = read_pairs(tmp_path / "a.po")
    assert found.source == ("a point", "points")
    assert found.target == ("un point", "des points")


def write(folder, name, content):
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"a.tsv": b"a\tb\n\nc\td\te\n"}, "line 3 of .*a.tsv has 3 columns, 2"),
        ({"a.tsv": b"a b\n"}, "line 1 of .*a.tsv has 1 columns"),
        ({"a.tsv": "a\té\nb\tà\n".encode("latin1")}, "not UTF-8: byte 0xe9 in line 1"),
        ({"a.tsv": b""}, "holds no pair"),
        ({"a.en": b"a\nb\n", "a.fr": b"a\n"}, "a.en has 2 lines and .*a.fr 1"),
        ({"a.mo": b"no catalogue"}, "a.mo is not a gettext catalogue"),
        ({"a.po": b"msgid \"a\"\nmsgstr"}, "a.po is not a gettext catalogue"),
        ({"a.doc": b""}, "a table"),
        ({"a.tsv": b"a\tb\n", "b.doc": b""}, "a table"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read(tmp_path, files, word):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=word.replace("a table", "one table")):
        read_pairs([tmp_path / name for name in files])


@pytest.mark.parametrize("name", ["missing.tsv", "missing.mo"])
def test_a_file_that_is_missing(tmp_path, name):
    with pytest.raises(InputError, match=rf"{name} could not be read"):
        read_pairs(tmp_path / name)


def test_a_package_that_is_missing():
    with pytest.raises(
        InputError, match=r"needs the package nowhere.*tendency\[text\]"
    ):
        needed("nowhere", "nothing")


# Cleaning and splitting.


def test_what_is_cleaned_is_counted():
    source = ("a  b\u00a0c", "a b c", "", "x", "%d of %s", "cafe\u0301", "same", " ")
    target = ("d\n e", "d e", "f", " ", "%d de %s", "café", "same", "")
    given = Pairs(source, target, "here")
    pairs, left_out = clean(given, placeholders=False, same=False)
    assert (pairs.source, pairs.target) == (("a b c",), ("d e",))
    assert left_out == {"empty": 3, "repeated": 1, "placeholder": 1, "same": 2}
    pairs, left_out = clean(given)
    assert pairs.source == ("a b c", "%d of %s", "café", "same")
    assert left_out == {"empty": 3, "repeated": 1, "placeholder": 0, "same": 0}


def test_cleaning_everything_away():
    with pytest.raises(InputError, match=r"none of the 1 pairs of here .*1 empty"):
        clean(Pairs(("",), ("a",), "here"))


WORDS = st.lists(st.sampled_from("abcdefgh"), min_size=6, max_size=60)


@given(WORDS, st.integers(0, 9))
def test_no_sentence_of_either_language_is_on_both_sides(words, seed):
    half = len(words) // 2
    pairs = Pairs(
        tuple(w + ".!?"[i % 3] for i, w in enumerate(words[:half])),
        tuple(w.upper() for w in words[half : 2 * half]),
        "here",
    )
    try:
        parts = split(pairs, (0.5, 0.25, 0.25), seed)
    except InputError:  # all are linked
        return
    whole = [p for part in parts for p in zip(part.source, part.target, strict=True)]
    assert sorted(whole) == sorted(zip(pairs.source, pairs.target, strict=True))
    for side in ("source", "target"):
        seen = [set(map(normalised, getattr(part, side))) for part in parts]
        assert not seen[0] & seen[1]
        assert not (seen[0] | seen[1]) & seen[2]


def test_shares_of_a_split():
    many = Pairs(
        tuple(f"s{i}" for i in range(200)), tuple(f"t{i}" for i in range(200)), "here"
    )
    parts = split(many, (0.8, 0.1, 0.1), 0)
    assert [len(p) for p in parts] == [160, 20, 20]
    assert parts == split(many, (0.8, 0.1, 0.1), 0) != split(many, (0.8, 0.1, 0.1), 1)
    with pytest.raises(InputError, match="the shares of the parts"):
        split(many, (0.8, 0.3), 0)


# Tokens.


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_text_comes_back_from_its_tokens(text):
    tokenizer = Tokenizer.learn([*EN, *FR], 300)
    (tokens,) = tokenizer.encode([text])
    assert all(t not in (PAD, BEGIN, END) for t in tokens)
    assert tokenizer.decode([[*tokens, END, 9, 9]]) == [text.strip()]


def test_marks_in_a_text_are_text(tokenizer):
    (tokens,) = tokenizer.encode(["<end> <pad>"])
    assert tokenizer.decode([tokens]) == ["<end> <pad>"]
    assert tokenizer.words([END, PAD]) == ["⏎", ""]
    assert "".join(tokenizer.words(tokens)) == " <end> <pad>"


def test_characters_that_were_never_learned_from(tokenizer):
    assert tokenizer.unseen("la carte 漢é漢") == "é漢"
    assert tokenizer.unseen("la carte") == ""
    with pytest.raises(InputError, match="not Unicode"):
        tokenizer.encode(["a\udce9"])


def test_a_tokenizer_comes_back_from_its_file(tokenizer, tmp_path):
    tokenizer.write(tmp_path / "t.json")
    back = Tokenizer.read(tmp_path / "t.json")
    assert back.digest == tokenizer.digest != Tokenizer.learn(EN, 300).digest
    assert back.encode(EN) == tokenizer.encode(EN)
    assert len(back) == len(tokenizer) <= 300
    assert back.characters == tokenizer.characters


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "could not be read"),
        ("{", "is not a tokenizer"),
        ("{}", "not a tokenizer by tendency"),
        ("[]", "not a tokenizer by tendency"),
        (
            '{"format": "tendency-tokenizer-1", "merges": {}, "characters": ""}',
            "damaged",
        ),
    ],
)
def test_files_that_are_no_tokenizer(content, word, tmp_path):
    path = tmp_path / "t.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=word):
        Tokenizer.read(path)


def test_a_vocabulary_that_is_too_small():
    with pytest.raises(InputError, match="vocabulary is 100 tokens, at least 259"):
        Tokenizer.learn(EN, 100)
    with pytest.raises(InputError, match="no text"):
        Tokenizer.learn([""], 300)


def test_long_sentences_are_counted_and_then_dropped_cut_or_refused(tokenizer):
    long = Pairs((*EN, EN[0] * 9), (*FR, FR[0]), "here")
    window = max(map(len, tokenizer.encode([*EN, *FR]))) + 1
    assert tokens_of(PAIRS, tokenizer, window, long="refuse").long == 0
    dropped = tokens_of(long, tokenizer, window, long="drop")
    assert (len(dropped), dropped.long) == (5, 1)
    cut = tokens_of(long, tokenizer, window, long="cut")
    assert (len(cut), cut.long) == (6, 1)
    assert len(cut.source[5]) == window - 1
    with pytest.raises(InputError, match="1 of 6 pairs are longer than the window of"):
        tokens_of(long, tokenizer, window, long="refuse")
    with pytest.raises(InputError, match="all 5 pairs of here are longer"):
        tokens_of(PAIRS, tokenizer, 2, long="drop")


def test_buckets_hold_each_pair_once_and_count_tokens_alike(tokenizer):
    tokens = tokens_of(PAIRS, tokenizer, 64, long="refuse")
    buckets = bucketed(tokens, 3)
    found, weight = [], 0.0
    for group in buckets.groups:
        states, weights = group.states, np.asarray(group.weights)
        weight += weights.sum()
        np.testing.assert_array_equal(
            weights[:, 1:] > 0, np.asarray(states["target"])[:, 1:] != PAD
        )
        assert (weights[:, 0] == 0).all()
        assert len(np.unique(weights[weights > 0])) == 1
        sides = (np.asarray(states[name]) for name in ("source", "target"))
        for source, target in zip(*sides, strict=True):
            assert target[0] == BEGIN
            decode = tokenizer.decode
            found.append((decode([source])[0], decode([target[1:]])[0]))
    assert sorted(found) == sorted(zip(EN, FR, strict=True))
    np.testing.assert_allclose(weight, len(PAIRS), rtol=1e-6)
    assert len(buckets.groups) == 3


@pytest.mark.parametrize("least", [1, 4])
def test_the_cuts_between_buckets_need_the_fewest_tokens(least):
    draw = np.random.default_rng(least)
    lengths = draw.integers(1, 12, size=25)
    from tendency.text.batches import TokenPairs, _groups

    groups = _groups(lengths, 3, least)
    assert sorted(np.concatenate(groups)) == list(range(25))
    assert min(map(len, groups)) >= least

    def cost(parts):
        return sum(len(p) * (max(p) + 2) for p in parts)

    ordered = np.sort(lengths)
    best = cost([ordered])
    for i in range(least, 26 - least):
        if ordered[i - 1] < ordered[i]:
            best = min(best, cost([ordered[:i], ordered[i:]]))
        for j in range(i + least, 26 - least):
            if ordered[i - 1] < ordered[i] and ordered[j - 1] < ordered[j]:
                parts = [ordered[:i], ordered[i:j], ordered[j:]]
                best = min(best, cost(parts))
    assert cost([lengths[g] for g in groups]) == best
    few = TokenPairs(((5,),), ((6,),), 0)
    assert bucketed(few, 3, least=9).sizes == (1,)


# Scores.


def test_scores_of_translations():
    whole = (" ".join(FR), *FR[1:])
    told = measured(whole, whole)
    assert (round(told.bleu, 6), round(told.chrf, 6)) == (100, 100)
    assert "nrefs:1" in told.bleu_signature
    assert "version:" in told.chrf_signature
    other = measured([whole[0], *FR[:4]], whole)
    assert 0 < other.bleu < 100
    assert chrf_of_each(["a b", "rien"], ["a b", "tout"])[0] == 100
    with pytest.raises(InputError, match="0 translations and 0 references"):
        measured([], [])
    with pytest.raises(InputError, match="1 translations and 5 references"):
        measured(["a"], FR)


def test_the_real_text_is_whole(shared_data):
    pairs, left_out = clean(read_pairs(shared_data / "enfr_grass_gis.tsv"))
    assert len(pairs) == 4830
    assert not any(left_out.values())
