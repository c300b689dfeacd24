"""The model of the analog front end: filters where they belong, references as documented, no dependence on loudness."""

import numpy as np
import pytest
import scipy.signal

from labkit.data.binary_features import AnalogFrontEnd, binary_features, compare, envelopes, slow_average

RATE = 16000


def tone(hz, seconds=1.0):
    return np.sin(2 * np.pi * hz * np.arange(round(RATE * seconds)) / RATE).astype(np.float32)[None]


@pytest.mark.parametrize("hz", [200, 700, 1500, 3000, 5000])
def test_a_tone_is_loudest_in_its_own_band(hz):
    corners = AnalogFrontEnd().corners_hz
    own = np.searchsorted(corners, hz) - 1
    assert envelopes(tone(hz))[0, 25].argmax() == own


def test_a_tone_in_the_middle_of_a_band_passes_whole():
    """The mean of a rectified sine of height 1 is 2/π; at a corner the filter lets 1/√2 of it through."""
    front_end = AnalogFrontEnd(bands=4)
    low, high = front_end.corners_hz[1:3]
    assert envelopes(tone(np.sqrt(low * high)), front_end)[0, 10:, 1].mean() == pytest.approx(2 / np.pi, rel=0.02)
    assert envelopes(tone(low), front_end)[0, 10:, 1].mean() == pytest.approx(np.sqrt(0.5) * 2 / np.pi, rel=0.02)


def test_the_filters_are_resonances_of_order_two():
    front_end = AnalogFrontEnd()
    hz, response = scipy.signal.freqz_sos(front_end.filters[10], worN=4096, fs=RATE)
    low, high = front_end.corners_hz[10:12]
    middle, quality = np.sqrt(low * high), np.sqrt(low * high) / (high - low)
    analog = 1 / (1 + 1j * quality * (hz[1:1000] / middle - middle / hz[1:1000]))  # resistor, coil, capacitor
    assert np.abs(np.abs(response[1:1000]) - np.abs(analog)).max() < 0.05


def test_contrast_and_level_by_hand():
    front_end = AnalogFrontEnd(bands=3, tilt=0.0, offset=0.01, memory_ms=40)
    held = np.array([[[1.0, 2.0, 3.0], [4.0, 4.005, 4.1], [0.0, 0.0, 9.0]]])
    now = np.array([2.0, 4.035, 3.0])
    slow = [2.0, 2.0 + (4.035 - 2.0) / 2, 0]
    slow[2] = slow[1] + (3.0 - slow[1]) / 2
    assert slow_average(now[None, :, None], front_end)[0, :, 0] == pytest.approx(slow)
    expected = [np.where(held[0] > np.array(r)[:, None] + 0.01, 1, -1) for r in (now, slow)]
    assert np.array_equal(compare(held, front_end)[0], expected)


def test_pictures_do_not_depend_on_loudness():
    rng = np.random.default_rng(0)
    clips = (rng.normal(size=(4, RATE)) * np.linspace(0, 0.1, RATE)).astype(np.float32)
    quieter = AnalogFrontEnd(offset=AnalogFrontEnd().offset / 4)
    assert np.mean(binary_features(clips) != binary_features(clips / 4, quieter)) < 1e-4


def test_silence_is_all_minus_one_and_int16_is_the_same_sound():
    assert (binary_features(np.zeros((2, RATE), dtype=np.float32)) == -1).all()
    pcm = np.random.default_rng(1).integers(-3000, 3000, (2, RATE)).astype(np.int16)
    assert np.array_equal(binary_features(pcm), binary_features(pcm.astype(np.float32) / 32768))


def test_batches_are_the_same_clips():
    clips = np.random.default_rng(2).normal(size=(60, 1600)).astype(np.float32) / 10
    assert np.array_equal(binary_features(clips)[55], binary_features(clips[55:56])[0])


def test_the_picture_is_one_bit_deep_and_of_the_documented_shape():
    pixels = binary_features(np.random.default_rng(3).normal(size=(3, 8000)).astype(np.float32))
    assert pixels.shape == (3, 2, 25, 32) and pixels.dtype == np.int8 and set(np.unique(pixels)) == {-1, 1}


def test_bad_settings_and_bad_audio_are_one_sentence():
    for wrong, sentence in (
        ({"bands": 0}, "hold nothing"),
        ({"high_hz": 9000}, "must rise"),
        ({"memory_ms": 1}, "shorter than a frame"),
    ):
        with pytest.raises(ValueError, match=sentence):
            AnalogFrontEnd(**wrong)
    for shape in ((RATE,), (1, 100)):
        with pytest.raises(ValueError, match="320 samples or more"):
            binary_features(np.zeros(shape, dtype=np.float32))
