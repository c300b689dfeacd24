import json

import pytest

from labkit import cli, models, trace


def run(capsys, *words):
    code = cli.main(list(words))
    out = capsys.readouterr()
    return code, out.out, out.err


def test_estimate_prints_one_json_object_of_the_fixed_shape(capsys):
    code, out, err = run(capsys, "estimate", "ds-cnn", "--device", "nucleo-l4r5zi", "--json")
    answer = json.loads(out)
    assert code == 0 and err == ""
    assert set(answer) == {
        "model", "device", "latency_ms", "energy_uj", "flash_bytes", "ram_bytes", "fits", "missing", "layers",
        "provenance",
    }  # fmt: skip
    assert set(answer["latency_ms"]) == set(answer["energy_uj"]) == {"low", "mid", "high"}
    assert set(answer["layers"][0]) == {"name", "op", "macs", "latency_ms", "energy_uj"}
    assert sum(layer["macs"] for layer in answer["layers"]) == 2_656_768
    assert answer["provenance"] and answer["fits"] is True


def test_a_workload_file_costs_what_the_network_costs(capsys, tmp_path):
    trace(*models.build("har-cnn")).to_json(tmp_path / "net.json")
    _, from_file, _ = run(capsys, "estimate", str(tmp_path / "net.json"), "--device", "max78000", "--json")
    _, from_zoo, _ = run(capsys, "estimate", "har-cnn", "--device", "max78000", "--json")
    assert json.loads(from_file)["latency_ms"] == json.loads(from_zoo)["latency_ms"]


def test_validate_prints_rows_of_the_fixed_shape(capsys):
    code, out, _ = run(capsys, "validate", "--json")
    keys = {"family", "quantity", "protocol", "n", "mape", "median", "worst", "worst_case", "baseline_mape", "coverage80"}
    keys |= {"rank", "at_most"}
    assert code == 0
    assert all(set(row) == keys for row in json.loads(out)["rows"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["estimate", "ds-cnnn", "--device", "max78000"], "did you mean ds-cnn"),
        (["estimate", "ds-cnn", "--device", "max7800"], "did you mean max78000"),
        (["estimate", "nowhere.json", "--device", "max78000"], "nowhere.json cannot be read"),
        (["train", "ds-cnn-syntetic"], "did you mean ds-cnn-synthetic"),
        (["build", "99"], "99"),
    ],
)
def test_an_error_is_one_sentence_on_stderr_and_status_2(capsys, words, sentence):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert sentence in err and err.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["frob"], ["estimate"], ["estimate", "ds-cnn", "--jsn"], ["bench", "nothing"]])
def test_words_that_make_no_command_are_one_sentence_too(capsys, words):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
    assert "--help says more" in err


def test_models_and_devices_are_listed(capsys):
    assert "2,656,768" in run(capsys, "models")[1]
    assert "max78000" in run(capsys, "devices")[1]
