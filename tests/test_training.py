import pytest
import torch
from torch import nn

from labkit import models
from labkit.training import Recipe, TrainingError, distillation, evaluate, fit, predict

RECIPE = Recipe(epochs=6, batch_size=16, learning_rate=5e-3)


def examples(n=70, seed=1):
    """Two classes that differ in the mean of a 1x8x8 picture."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 2
    return torch.randn(n, 1, 8, 8, generator=generator) + (y * 1.0)[:, None, None, None], y


def network(seed=0):
    """Batch norm and dropout, so that resuming must restore buffers and the global generator too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
        )


def jitter(batch, generator):
    return batch + 0.1 * torch.randn(batch.shape, generator=generator)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def trained(recipe=RECIPE, **options):
    model = network()
    history = fit(model, examples(), examples(40, seed=2), recipe, augment=jitter, progress=False, **options)
    return model, history


def test_learns_and_keeps_the_best_epoch():
    model, history = trained(Recipe(epochs=25, batch_size=16, learning_rate=2e-2))
    x, y = examples(40, seed=2)
    assert max(history.val_accuracy) > 0.9
    assert history.val_accuracy[history.best_epoch - 1] == max(history.val_accuracy)
    assert evaluate(model, x, y, ("a", "b")).accuracy == pytest.approx(max(history.val_accuracy))
    assert len(history.loss) == 25 and history.loss[-1] < history.loss[0] and not model.training


def test_same_seed_same_weights_other_seed_others():
    assert same(trained()[0], trained()[0])
    assert not same(trained()[0], trained(Recipe(epochs=6, batch_size=16, learning_rate=5e-3, seed=1))[0])


def test_the_global_generator_is_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    trained()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("batches_before_the_crash", [3, 12, 27])
def test_an_interrupted_run_continues_bit_for_bit(tmp_path, batches_before_the_crash):
    path, calls = tmp_path / "deep" / "run.pt", []

    def power_cut(batch, generator):
        calls.append(1)
        if len(calls) > batches_before_the_crash:
            raise KeyboardInterrupt
        return jitter(batch, generator)

    with pytest.raises(KeyboardInterrupt):
        fit(network(), examples(), examples(40, seed=2), RECIPE, augment=power_cut, checkpoint=path, progress=False)
    resumed, history = trained(checkpoint=path)
    whole, expected = trained()
    assert same(resumed, whole)
    assert (history.loss, history.val_accuracy, history.best_epoch) == (expected.loss, expected.val_accuracy, expected.best_epoch)
    assert [p.name for p in path.parent.iterdir()] == ["run.pt"]


def test_a_finished_run_is_not_trained_again(tmp_path):
    first, history = trained(checkpoint=tmp_path / "run.pt")

    def never(batch, generator):
        raise AssertionError("trained again")

    again = network()
    options = {"augment": never, "checkpoint": tmp_path / "run.pt", "progress": False}
    assert fit(again, examples(), examples(40, seed=2), RECIPE, **options).loss == history.loss
    assert same(first, again)


def test_a_checkpoint_of_another_run_or_a_broken_one_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    trained(checkpoint=path)
    with pytest.raises(TrainingError, match=r"epochs: 6 there, 7 here.*delete it"):
        trained(Recipe(epochs=7, batch_size=16, learning_rate=5e-3), checkpoint=path)
    with pytest.raises(TrainingError, match="weights of the network"):
        fit(nn.Linear(2, 2), examples(), None, RECIPE, checkpoint=path, progress=False)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(TrainingError, match="delete it to start again"):
        trained(checkpoint=path)


def test_an_unwritable_checkpoint_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"cannot write checkpoint .* choose another folder"):
        trained(checkpoint=tmp_path / "file" / "run.pt")


def test_patience_stops_early():
    x, y = examples()
    stuck = (torch.zeros(10, 1, 8, 8), torch.zeros(10, dtype=torch.long))  # one answer for all: accuracy is 0 or 1
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with torch.no_grad():
        model[1].bias.copy_(torch.tensor([5.0, -5.0]))
    history = fit(model, (x, y), stuck, Recipe(epochs=30, patience=3, learning_rate=1e-6), progress=False)
    assert len(history.loss) == history.best_epoch + 3 < 30


def test_without_validation_the_last_weights_stay():
    history = fit(network(), examples(), None, RECIPE, progress=False)
    assert history.best_epoch == 6 and history.val_accuracy == ()


def test_nan_and_infinity_are_named():
    x, y = examples()
    x[13, 0, 2, 2] = float("nan")
    with pytest.raises(TrainingError, match=r"training set has NaN .* example 13"):
        fit(network(), (x, y), None, RECIPE, progress=False)
    with pytest.raises(TrainingError, match="validation set has NaN"):
        fit(network(), examples(), (x, y), RECIPE, progress=False)
    with pytest.raises(TrainingError, match="epoch 1, batch 1: the augmented batch"):
        fit(network(), examples(), None, RECIPE, augment=lambda b, g: b / 0, progress=False)
    with pytest.raises(TrainingError, match=r"epoch \d, batch \d+: the loss is .* smaller learning_rate"):
        fit(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), examples(), None, Recipe(learning_rate=1e36, epochs=3), progress=False)
    with pytest.raises(TrainingError, match="70 inputs and 69 labels"):
        fit(network(), (examples()[0], y[:-1]), None, RECIPE, progress=False)


def test_settings_no_run_can_have():
    for wrong in ({"epochs": 0}, {"batch_size": -1}, {"learning_rate": 0.0}, {"label_smoothing": 1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Recipe(**wrong)


def test_progress_shows_loss_and_validation_accuracy(capsys):
    fit(network(), examples(), examples(), Recipe(epochs=2), progress=True)
    shown = capsys.readouterr().err
    assert "loss=" in shown and "val=" in shown


def test_ds_cnn_weights_stay_contiguous_for_safetensors():
    model, example = models.build("ds-cnn")
    fit(model, (torch.randn(4, *example.shape[1:]), torch.arange(4)), None, Recipe(epochs=1, batch_size=2), progress=False)
    assert all(p.is_contiguous() for p in model.parameters())


def test_predict_equals_one_by_one():
    x, _ = examples(1200)
    model = network().eval()
    assert torch.equal(predict(model, x)[::100], torch.cat([model(one[None]).argmax(1) for one in x[::100]]))


def test_labels_beyond_the_outputs_are_named():
    with pytest.raises(TrainingError, match="labels run from 0 to 5, but the network has 2 outputs"):
        fit(nn.Linear(1, 2), (torch.zeros(6, 1), torch.arange(6)), None, Recipe(epochs=1), progress=False)


QUICK = Recipe(epochs=20, batch_size=16, learning_rate=2e-2)


def test_a_penalty_is_part_of_what_is_minimised():
    """A penalty on the distance from a far point draws the weights there."""
    model = network()
    fit(model, examples(), None, QUICK, penalty=lambda: 10 * (model[-1].weight - 0.9).square().mean(), progress=False)
    plain = network()
    fit(plain, examples(), None, QUICK, progress=False)
    assert (model[-1].weight - 0.9).abs().mean() < 0.7 * (plain[-1].weight - 0.9).abs().mean()


def test_distillation_is_the_divergence_of_softened_answers():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(5, 3, generator=generator), torch.randn(5, 3, generator=generator)
    p, q = torch.softmax(teacher / 2, 1), torch.softmax(student / 2, 1)
    wanted = 4 * (p * (p / q).log()).sum(1).mean()
    assert distillation(student, lambda batch: teacher, None).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_a_student_learns_what_its_teacher_says_besides_the_labels():
    """A teacher that always says the same thing pulls the student there, and stays as it was."""
    teacher = network(seed=7)
    teacher[-1].weight.data.zero_()
    teacher[-1].bias.data.copy_(torch.tensor([3.0, -3.0]))
    before = {key: tensor.clone() for key, tensor in teacher.state_dict().items()}
    alone, taught = network(), network()
    fit(alone, examples(), None, QUICK, progress=False)
    fit(taught, examples(), None, QUICK, teacher=teacher, progress=False)
    x, _ = examples(40, seed=5)
    first = lambda model: torch.softmax(model(x), 1)[:, 0].mean()  # noqa: E731
    assert first(taught) > first(alone) + 0.1
    assert all(torch.equal(before[key], tensor) for key, tensor in teacher.state_dict().items())
