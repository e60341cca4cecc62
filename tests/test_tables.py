"""Tables of people one does not know: read rightly or refused, never read wrongly in silence."""

import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from fnn.search import Estimate
from fnn.tables import Table, fit_encoder, load_model, read_table
from fnn.tables.encode import Encoder, as_days
from fnn.tables.picture import scores_svg
from fnn.tables.read import parse_csv
from fnn.tables.search import page, search_table, table_of, write

ROOT = pathlib.Path(__file__).parents[1]
GOOD = 'age,town,when\n3,"Ulm, Donau",2020-01-02\n,Bonn,2020-01-03\n5.5,Ulm,\n'


def test_a_csv_is_read_cell_by_cell():
    table = parse_csv(GOOD.encode())
    assert table.columns["age"].tolist() == ["3", None, "5.5"]
    assert table.columns["town"].tolist() == ["Ulm, Donau", "Bonn", "Ulm"]
    assert table.columns["when"].tolist() == ["2020-01-02", "2020-01-03", None]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffa,b\r\n1,2\r\n3,4\r\n",
        "a;b\n1;2\n3;4\n",
        "a\tb\n1\t2\n\n3\t4\n",
        'a|b\n"1"|2\n3|4',
        " a , b \n 1 , 2 \n 3 , 4 \n",
    ],
    ids=["byte order mark and CRLF", "semicolons", "tabs and an empty line", "bars", "spaces"],
)
def test_the_ways_of_writing_a_table_give_the_same(text):
    table = parse_csv(text.encode())
    assert {name: column.tolist() for name, column in table.columns.items()} == {
        "a": ["1", "3"],
        "b": ["2", "4"],
    }


def test_decimal_commas_are_numbers_where_semicolons_part_the_cells():
    table = parse_csv(b"a;b\n1,5;x\n2;y\n-0,25;x\n")
    assert fit_encoder(table)(table)[:, 0].tolist() == [0.0, 0.5, -1.75]
    mixed = parse_csv(b"a;b\n1,5;0.5\n2,5;1.5\n3,5;2.5\n")  # whose comma is it? left as words
    assert fit_encoder(mixed).rules["a"].kind == "category"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n", r"has a header \(a, b\) and no rows"),
        (b"a,b\n1,2,3\n", "line 2 has 3 cells where the header has 2"),
        (b"a,b\n1,2\n3\n", "line 3 has 1 cells where the header has 2"),
        (b"a,a\n1,2\n", "names a column twice: a"),
        (b"a,\n1,2\n", "column 2 has no name in the header"),
        (b"1,2\n3,4\n", "has no header: its first line holds numbers"),
        (b'a,b\n1,"2\n3,4\n', "is a quotation mark open"),
        (b'a,b\n"1"x,2\n', "line 2"),
        (b"a,b\n\xff,2\n", r"line 2 is not UTF-8 \(byte 0xff\)"),
        ("a,b\n1,2\n".encode("utf-16"), "is not UTF-8|zero bytes"),
        (b"a,b\n1,\x002\n", "zero bytes"),
        (",".join(f"c{i}" for i in range(1_000_000)).encode(), "has 1,000,000 columns"),
        (b"a,b\n" + b"x" * 200_000 + b",1\n", "field larger than field limit"),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(content, message, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^read_table: bad.csv: .*({message})"):
        read_table(path)


def test_accidents_never_make_a_table_that_is_not_in_the_file(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import hostile

    outcomes = hostile.csv_trials(600, seed=1)
    assert set(outcomes) == {"read", "refused"}
    assert min(outcomes.values()) > 100


def test_gaps_words_and_dates_become_numbers_by_rules_of_the_training_rows():
    table = parse_csv(GOOD.encode())
    encoder = fit_encoder(table)
    towns = ["town = Bonn", "town = Ulm", "town = Ulm, Donau"]
    assert encoder.names == ["age", "age is missing", *towns, "when", "when is missing"]
    new = Table(
        {
            "when": np.array(["2020-01-04T12:00"], object),
            "age": np.array([None], object),
            "town": np.array(["Rome"], object),
        }
    )
    row = dict(zip(encoder.names, encoder(new)[0].tolist(), strict=True))
    assert (row["age"], row["age is missing"]) == (0.0, 1.0)
    assert sum(value for name, value in row.items() if name.startswith("town =")) == 0
    assert row["when"] == pytest.approx(2.0)  # days after the median, noon between the two


def test_the_header_tells_the_delimiter_and_rows_that_disagree_are_refused():
    with pytest.raises(ValueError, match="line 3 has 3 cells where the header has 2"):
        parse_csv(b"a;b\n1;2\n3;4;5\n")
    assert parse_csv("a;b\nx\u2028y;2\n".encode()).columns["a"].tolist() == ["x\u2028y"]
    wide = "\t".join(f"c{i}" for i in range(5000))
    assert len(parse_csv(f"{wide}\n{wide}\n".encode()).columns) == 5000


def test_no_row_is_lost_for_being_empty():
    assert parse_csv(b"a,b\n1,2\n,\n3,4\n").rows == 3
    assert parse_csv(b"a\n1\n\n3\n\n").columns["a"].tolist() == ["1", None, "3"]
    assert parse_csv(b",a\n0,1\n1,2\n").columns.keys() == {"row", "a"}


def test_large_numbers_keep_their_digits_and_too_large_ones_are_told():
    table = Table({"t": np.array(["1700000001", "1700000031", "1700000050"], object)})
    assert fit_encoder(table)(table)[:, 0].tolist() == [-30.0, 0.0, 19.0]
    huge = Table({"t": np.array(["1700000001", "1e39"], object)})
    with pytest.raises(ValueError, match="row 2, column 't': the number is too large"):
        fit_encoder(table)(huge)


def test_a_date_beyond_time_is_a_word():
    assert as_days("0001-01-01T00:00:00+05:00") is None


def test_columns_that_say_nothing_are_left_out_with_the_reason():
    n = 40
    table = Table(
        {
            "row": np.array([str(i) for i in range(n)], object),
            "same": np.array(["x"] * n, object),
            "empty": np.array([None] * n, object),
            "name": np.array([f"word{i}" for i in range(n)], object),
            "age": np.array([str(i % 7) for i in range(n)], object),
        }
    )
    rules = fit_encoder(table).rules
    assert {name: rule.why for name, rule in rules.items() if rule.why} == {
        "row": "counts the rows",
        "same": "is 'x' in every row",
        "empty": "is empty",
        "name": "has 40 different words",
    }
    with pytest.raises(ValueError, match="no column says anything: same is 'x'"):
        fit_encoder(Table({"same": table.columns["same"]}))


def test_new_tables_that_do_not_fit_are_told_where():
    table = parse_csv(GOOD.encode())
    encoder = fit_encoder(table)
    with pytest.raises(ValueError, match="the table lacks town; it has age, when"):
        encoder(table.without("town"))
    wrong = Table({**table.columns, "age": np.array(["3", "x", "4"], object)})
    with pytest.raises(ValueError, match="row 2, column 'age': 'x' is no number"):
        encoder(wrong)


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("houses")
    rng = np.random.default_rng(0)
    lines = ["size,town,<b>note</b>,price"]
    for i in range(60):
        size, town = rng.uniform(50, 150), rng.choice(["Ulm", "Bonn"])
        price = 3 * size + 40 * (town == "Ulm") + rng.normal()
        lines.append(f"{size:.2f},{town},note {i},{price:.2f}")
    (folder / "houses.csv").write_text("\n".join(lines), encoding="utf-8")
    table, target = table_of(str(folder / "houses.csv"), None)
    found = search_table(table, target, quick=True)
    write(found, folder)
    return folder, table, found


def test_a_search_of_a_linear_table_finds_a_linear_model(houses):
    _, _, found = houses
    assert found.target == "price"
    assert found.selection.kind == "linear"
    assert found.selection.test.mean > 0.99
    assert any("<b>note</b> is not used" in note for note in found.notes)


def test_the_model_folder_says_what_the_selection_says(houses):
    folder, table, found = houses
    model = load_model(folder / "model")
    expected = found.selection.predict(found.encoder(table.without("price")))
    np.testing.assert_allclose(model.predict(table), expected, rtol=1e-4)
    with pytest.raises(ValueError, match="predicts numbers; use predict"):
        model.predict_proba(table)


def test_a_network_of_classes_comes_back_from_its_folder(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(240, 2))
    word = np.where(x[:, 0] * x[:, 1] > 0, "like", "unlike").astype(object)
    cells = {f"x{i}": np.array([f"{v:.4f}" for v in x[:, i]], object) for i in (0, 1)}
    table = Table({**cells, "signs": word})
    found = search_table(table, "signs", quick=True)
    assert found.selection.kind == "network"
    write(found, tmp_path)
    model = load_model(tmp_path / "model")
    numbers = found.encoder(table.without("signs"))
    np.testing.assert_allclose(
        model.predict_proba(table), found.selection.predict_proba(numbers), atol=1e-5
    )
    assert (model.predict(table) == word).mean() > 0.9


def test_the_report_escapes_what_is_in_the_file(houses):
    folder, _, found = houses
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "<b>note</b>" not in text
    assert "&lt;b&gt;note&lt;/b&gt;" in text
    assert text == page(found)
    assert json.loads((folder / "results.json").read_text())["kind"] == "linear"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("model.json", lambda text: text[:-30], "holds no model of fnn search"),
        ("model.json", lambda text: text.replace('"number"', '"code"'), "holds no model|lacks"),
        ("model.json", lambda text: text.replace('"target"', '"other"'), "holds no model"),
        ("model.json", lambda text: "{}", "holds no model"),
        (
            "model.json",
            lambda text: text.replace("model 1", "model 2"),
            "format 'fnn table model 2'",
        ),
        ("model.json", lambda text: text.replace('"y_scale": ', '"y_scale": "a'), "holds no model"),
        ("weights.safetensors", lambda text: text[:20], "holds no model"),
    ],
)
def test_a_damaged_model_is_refused(houses, tmp_path, name, change, message):
    folder, table, _ = houses
    for file in (folder / "model").iterdir():
        content = file.read_bytes().decode("latin-1")
        content = change(content) if file.name == name else content
        (tmp_path / file.name).write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path).predict(table)


def test_the_command_line_searches_and_predicts(houses, tmp_path):
    folder, _, _ = houses

    def fnn(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "fnn", *arguments], capture_output=True, text=True, cwd=ROOT
        )

    new = tmp_path / "new.csv"
    new.write_text("town,size,<b>note</b>,more\nUlm,100,n,1\n", encoding="utf-8")
    said = fnn("predict", str(folder / "model"), str(new))
    assert said.returncode == 0, said.stderr
    assert "not used: more" in said.stderr
    head, value = said.stdout.split()
    assert head == "price"
    assert float(value) == pytest.approx(340, abs=3)
    missing = fnn("search", "none.csv")
    assert (missing.returncode, missing.stderr) == (
        2,
        "fnn search: search: there is no file none.csv\n",
    )
    other = fnn("search", str(folder / "houses.csv"), "--target", "rent")
    assert "there is no column 'rent'; there are size, town" in other.stderr


def test_the_picture_of_scores_has_a_line_for_each_kind_and_ends_at_one():
    scores = {
        "null": Estimate(0.4, 0.3, 0.5, 0.05),
        "<b>": Estimate(0.9, 0.75, 1.05, 0.05),
        "network": Estimate(0.8, -np.inf, np.inf, np.inf),
    }
    svg = scores_svg(scores, "<b>", "accuracy", Estimate(0.7, 0.6, 0.8, 0.05))
    assert svg.count("<circle") == 4
    assert "&lt;b&gt;" in svg
    assert "<b>" not in svg
    drawn = [
        [float(re.search(f'{end}="([0-9.]+)"', line)[1]) for end in ("x1", "x2")]
        for line in re.findall("<line[^>]*stroke-linecap[^>]*>", svg)
    ]
    middles = [float(x) for x in re.findall('<circle cx="([0-9.]+)"', svg)]
    ticks = [float(x) for x in re.findall('<line x1="([0-9.]+)" x2="[0-9.]+" y1="8"', svg)]
    assert drawn[0][0] < middles[0] < drawn[0][1]
    assert drawn[1][1] == max(ticks)  # no score is above 1
    assert drawn[2][0] == drawn[2][1] == middles[2]  # without an interval a point
    unit = (middles[1] - middles[0]) / 0.5
    assert middles[3] - middles[0] == pytest.approx(0.3 * unit, abs=0.2)


def test_few_words_among_numbers_are_gaps_and_many_leave_the_column_out():
    cells = [f"{0.5 * i}" for i in range(100)]
    some = np.array([*cells[:97], "unknown", "?!", None], object)
    encoder = fit_encoder(Table({"age": some}))
    rule = encoder.rules["age"]
    assert (rule.kind, rule.gaps, rule.values) == ("number", True, ("?!", "unknown"))
    assert rule.fill == np.median([0.5 * i for i in range(97)])
    numbers = encoder(Table({"age": some}))
    assert numbers[97:].tolist() == [[0, 1]] * 3
    np.testing.assert_allclose(numbers[:97, 0], 0.5 * np.arange(97) - rule.fill)
    assert not numbers[:97, 1].any()
    again = Encoder.from_json(json.loads(json.dumps(encoder.as_json())))
    assert (again(Table({"age": some})) == numbers).all()
    with pytest.raises(ValueError, match="row 1, column 'age': 'other' is no number"):
        encoder(Table({"age": np.array(["other"], object)}))
    many = np.array([*cells[:90], *[f"word {i}" for i in range(10)]], object)
    both = fit_encoder(Table({"age": many, "b": np.array(["x", "y"] * 50, object)}))
    assert both.rules["age"].kind == "left out"


@pytest.mark.parametrize("row", [0, 7, 31, 58])
def test_a_word_among_numbers_is_a_gap_in_whatever_rows_it_stands(row, monkeypatch):
    """The rows that are set aside have words, too, and no seed may end a search by them."""

    class Seen(Exception):
        pass

    def select(x, y, *, test, **_):
        raise Seen(np.concatenate([x, test[0]]))

    monkeypatch.setattr("fnn.search.select", select)
    rng = np.random.default_rng(0)
    cells = np.array([f"{v:.4f}" for v in rng.normal(size=60)], object)
    target = np.array([f"{v:.4f}" for v in rng.normal(size=60)], object)
    cells[row] = "unknown"
    for seed in range(6):
        with pytest.raises(Seen) as seen:
            search_table(Table({"x": cells, "y": target}), "y", seed=seed)
        numbers = seen.value.args[0]
        assert numbers.shape == (60, 2)
        assert numbers[numbers[:, 1] == 1].tolist() == [[0, 1]]


def test_a_search_draws_nothing_and_asks_for_no_matplotlib(houses, tmp_path, monkeypatch):
    from fnn import cli

    folder, _, found = houses
    of_search = sys.modules["fnn.cli.search"]
    for name in ("use_all_cores", "keep_programs"):  # they are the process's, not the test's
        monkeypatch.setattr(of_search, name, lambda: None)
    monkeypatch.setattr("fnn.tables.search.search_table", lambda *_, **__: found)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    out = tmp_path / "out"
    command = ["search", str(folder / "houses.csv"), "--out", str(out)]
    assert cli.main(command) == 0
    assert (out / "report.html").is_file()
    (tmp_path / "file").write_text("")
    command[-1] = str(tmp_path / "file")
    assert cli.main(command) == 2
