"""The study of translation: from pairs to a page, and the command that uses it."""

import io
import itertools
import json
import sys
from typing import Any

import numpy as np
import pytest

from tendency import cli
from tendency.errors import InputError
from tendency.report.heat import heat_chart
from tendency.scores.records import Score, read_scores
from tendency.studies.translation import corpus, study
from tendency.studies.translation.command import translate
from tendency.studies.translation.models import _words, word_attention
from tendency.studies.translation.page import verdict
from tendency.studies.translation.setting import FILES, ONE, SMALL, TRANSFORMER
from tendency.text import Tokenizer, Translator, normalised

VERBS = {"open": "ouvrir", "close": "fermer", "draw": "dessiner", "read": "lire"}
THINGS = {"map": "carte", "layer": "couche", "line": "ligne", "table": "table"}
KINDS = {"red": "rouge", "old": "ancienne", "small": "petite", "next": "suivante"}


def write_pairs(path):
    """All sentences of a verb, a thing and one or two of its kinds."""
    rows = []
    kinds = [(k,) for k in KINDS] + list(itertools.permutations(KINDS, 2))
    for verb, thing, kind in itertools.product(VERBS, THINGS, kinds):
        source = f"{verb} the {' '.join(kind)} {thing}"
        told = " ".join(KINDS[k] for k in kind)
        rows.append(f"{source}\t{VERBS[verb]} la {THINGS[thing]} {told}\n")
    path.write_text("".join(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The study's quick look, and what it said."""
    folder = tmp_path_factory.mktemp("translation")
    pairs, said = write_pairs(folder / "pairs.tsv"), []
    study.run(folder, seed=0, small=True, say=said.append, pairs=[pairs])
    return folder, said


def test_what_is_written(finished):
    folder, said = finished
    document, scores = read_scores(folder / "scores.json")
    assert (
        document["settings"]["tokenizer"]
        == Tokenizer.read(folder / "tokenizer.json").digest
    )
    assert "nrefs:1" in document["settings"]["bleu"]
    found = {(s.case, s.model, s.metric) for s in scores}
    for name, file in FILES.items():
        assert {("greedy", name, m) for m in ("bleu", "chrf")} <= found
        assert ("beam", name, "bleu") in found
        assert (folder / f"{file}.safetensors").exists()
        loss = [s for s in scores if s.model == name and s.metric == "cross-entropy"]
        assert 0 < loss[0].value < np.log(SMALL.vocabulary)
    page = (folder / "report.html").read_text(encoding="utf-8")
    for words in ("no published number", "Word to word", "nrefs:1", "256 pairs"):
        assert words in page
    assert any("no sentence of either language is in two parts" in s for s in said)


def test_attention_of_words_sums_to_one(finished):
    folder, _ = finished
    for name, file in FILES.items():
        translator = Translator.load(folder / f"{file}.safetensors")
        found = word_attention(translator, "open the red map", "ouvrir la carte")
        if name == ONE:
            assert found is None
            continue
        assert found is not None
        columns, rows, weights = found
        assert columns == ["open", "the", "red", "map", "⏎"]
        assert rows == ["ouvrir", "la", "carte", "⏎"]
        np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)


def test_words_of_tokens():
    starts, words = _words([" op", "en", " the", " map", ".", "⏎"])
    assert (starts, words) == ([0, 2, 3, 5], ["open", "the", "map.", "⏎"])


def test_texts_and_a_filter_give_the_same(finished, capsys, monkeypatch):
    folder, _ = finished
    lines = ["open the red map", "", "draw the old table"]
    said = []
    options: Any = {"model": None, "beam": 1, "long": "cut", "say": said.append}
    translate(folder, lines, **options)
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 3
    assert told[1] == ""
    stream = io.BytesIO("\r\n".join(lines).encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream, encoding="utf-8"))
    translate(folder, [], **options)
    assert capsys.readouterr().out.splitlines() == told
    assert said == []
    translate(folder, ["漢" * 9, "open " * 30], **options)
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert "2 of 2 texts are longer than 16 tokens and were cut" in said[0]
    assert "1 of 2 texts hold characters that were never learned from" in said[1]
    translate(folder, ["open " * 30], **(options | {"long": "drop"}))
    assert capsys.readouterr().out == "\n"


def test_a_translator_comes_back_from_its_file(finished):
    folder, _ = finished
    translator = Translator.load(folder / "transformer.safetensors")
    lines = ["close the small layer", "open the next line"]
    assert translator(lines) == [translator([line])[0] for line in lines]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"long": "refuse", "texts": ["open", "open " * 30]}, "text 2 is longer"),
        ({"model": "transfomer"}, "did you mean transformer"),
        ({"run": "nowhere"}, "give the folder of a run of `tendency run translation`"),
        ({"run": "transformer.safetensors", "model": "attention"}, "leave one of them"),
        ({"run": "scores.json"}, "not a whole safetensors file"),
        ({"input": b"open\nferm\xe9\n"}, "line 2 of standard input is not UTF-8"),
    ],
)
def test_what_cannot_be_translated(finished, options, word, monkeypatch):
    folder, _ = finished
    run = folder / options.get("run", "")
    texts = options.get("texts", [] if "input" in options else ["open"])
    stream = io.TextIOWrapper(io.BytesIO(options.get("input", b"")), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stream)
    with pytest.raises(InputError, match=word):
        translate(
            run, texts, model=options.get("model"), beam=1,
            long=options.get("long", "cut"), say=print,
        )  # fmt: skip


def test_a_tokenizer_that_does_not_match_is_refused(finished, tmp_path):
    folder, _ = finished
    name = "transformer.safetensors"
    (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(InputError, match=r"tokenizer.json could not be read"):
        Translator.load(tmp_path / name)
    Tokenizer.learn(["another text"], 300).write(tmp_path / "tokenizer.json")
    with pytest.raises(InputError, match="is not the tokenizer that"):
        Translator.load(tmp_path / name)


def test_parts_do_not_overlap(tmp_path):
    found = corpus.corpus_of([write_pairs(tmp_path / "a.tsv")], SMALL, 1, print)
    for side in ("source", "target"):
        seen = [set(map(normalised, getattr(part, side))) for part in found.parts]
        assert not seen[0] & seen[1]
        assert not (seen[0] | seen[1]) & seen[2]
    assert len(found.parts[2]) == pytest.approx(24, abs=2)


def test_without_pairs_or_catalogues(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "CATALOGUES", tmp_path)
    with pytest.raises(InputError, match="libreoffice-l10n-fr"):
        corpus.corpus_of(None, SMALL, 0, print)
    (tmp_path / "few.tsv").write_text("one\tun\ntwo\tdeux\n")
    with pytest.raises(InputError, match="holds 2 pairs, at least 200"):
        corpus.corpus_of([tmp_path / "few.tsv"], SMALL, 0, print)


def test_catalogues_of_the_machine(tmp_path, monkeypatch):
    import polib

    monkeypatch.setattr(corpus, "CATALOGUES", tmp_path)
    catalogue = polib.POFile()
    catalogue.metadata = {"Content-Type": "text/plain; charset=utf-8"}
    for i in range(260):
        names = "%s " if i < 10 else ""
        entry = polib.POEntry(msgid=f"{names}file {i}", msgstr=f"{names}fichier {i}")
        catalogue.append(entry)
    catalogue.save_as_mofile(str(tmp_path / "a.mo"))
    said = []
    found = corpus.corpus_of(None, SMALL, 0, said.append)
    assert sum(map(len, found.parts)) == 250
    assert "French catalogues" in found.origin
    assert "--pairs" in said[0]
    assert "10 placeholder" in said[1]


def test_the_verdict_says_who_is_ahead():
    def of(one, other):
        return verdict(
            [
                Score("greedy", TRANSFORMER, "bleu", None, one),
                Score("greedy", TRANSFORMER, "chrf", None, 50.0),
                Score("greedy", ONE, "bleu", None, other),
            ]
        )

    assert "20.0 BLEU more than a single vector" in of(30.0, 10.0)
    assert "20.0 BLEU less than a single vector" in of(10.0, 30.0)


def test_a_chart_of_attention_is_drawn():
    weights = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    chart = heat_chart(
        weights, ["a", "b", "a"], ["x", "⏎"], across="source", up="told", label="share"
    )
    import vl_convert

    drawn = vl_convert.vegalite_to_svg(json.loads(json.dumps(chart)))
    assert drawn.count(">a<") == 2
    assert ">⏎<" in drawn
    with pytest.raises(InputError, match="have 1 names of rows and 2 of columns"):
        heat_chart(weights, ["a"], ["x", "y"], across="", up="", label="")


def test_a_study_that_reads_no_pairs(monkeypatch, tmp_path, capfd):
    for line, word in (
        (["run", "lorenz63", "--pairs", "a.tsv"], "makes its own data: leave it out"),
        (["run", "sst", "--pairs", "a.tsv"], "reads --data: give that"),
        (["run", "translation", "--data", "a.tsv"], "reads --pairs: give that"),
        (["run", "job.toml", "--pairs", "a.en", "a.fr"], "names its own"),
    ):
        monkeypatch.setattr(sys, "argv", ["tendency", *line])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2
        assert word in capfd.readouterr().err
